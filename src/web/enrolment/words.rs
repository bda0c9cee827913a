//! The words of the enrolment page, in the languages that it speaks, and which of them a browser wants.

mod de;
mod en;
mod es;
mod fr;
mod nl;

/// One language. `{organisation}` and the like stand where something is put in.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// As in `lang` and `Accept-Language`.
    pub tag: &'static str,
    /// What the language calls itself.
    pub name: &'static str,
    pub languages: &'static str,
    pub title: &'static str,
    pub introduction: &'static str,
    pub sign_in: &'static str,
    pub user_name: &'static str,
    pub password: &'static str,
    pub sign_in_button: &'static str,
    pub code_title: &'static str,
    pub code: &'static str,
    pub code_hint: &'static str,
    pub code_button: &'static str,
    pub for_person: &'static str,
    pub for_device: &'static str,
    pub can_title: &'static str,
    pub can: [&'static str; 4],
    pub cannot_title: &'static str,
    pub cannot: [&'static str; 6],
    pub leave: &'static str,
    pub get: &'static str,
    pub steps_title: &'static str,
    pub phone_title: &'static str,
    pub phone: [&'static str; 4],
    pub mac_title: &'static str,
    pub mac: [&'static str; 3],
    pub trust_title: &'static str,
    pub trust: &'static str,
    pub trust_button: &'static str,
    pub fingerprint: &'static str,
    pub back: &'static str,
    pub problems: Problems,
}

/// What may stand in the way.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems {
    pub title: &'static str,
    pub refused: &'static str,
    pub too_many: &'static str,
    pub unknown: &'static str,
    pub spent: &'static str,
    pub foreign: &'static str,
    pub closed: &'static str,
    pub trouble: &'static str,
}

/// The first is spoken to whoever wants none of them.
pub const LANGUAGES: [&Words; 5] = [&en::WORDS, &de::WORDS, &fr::WORDS, &nl::WORDS, &es::WORDS];

/// The language with this tag.
pub fn by_tag(tag: &str) -> Option<&'static Words> {
    let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
    LANGUAGES.into_iter().find(|words| words.tag.eq_ignore_ascii_case(primary))
}

/// What a browser would rather have, by its `Accept-Language`.
pub fn wanted(accept: &str) -> &'static Words {
    let mut best: Option<(&'static Words, f32)> = None;
    for range in accept.split(',').take(50) {
        let mut parts = range.split(';');
        let (tag, quality) = (parts.next().unwrap_or_default(), parts.next());
        let quality = match quality.map(|text| text.trim().trim_start_matches("q=").parse::<f32>()) {
            None => 1.0,
            Some(Ok(quality)) => quality,
            Some(Err(_)) => 0.0,
        };
        let better = quality > 0.0 && best.is_none_or(|(_, known)| quality > known);
        if let Some(words) = by_tag(tag).filter(|_| better) {
            best = Some((words, quality));
        }
    }
    best.map_or(LANGUAGES[0], |(words, _)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_language_that_it_would_rather_have() {
        for (accept, tag) in [
            ("", "en"),
            ("de-CH,de;q=0.9,en;q=0.8", "de"),
            ("ja,fr-CA;q=0.5,nl;q=0.7", "nl"),
            ("en;q=0.1, es", "es"),
            ("nl;q=0, pt", "en"),
            ("de;q=rubbish", "en"),
            ("*", "en"),
            ("FR", "fr"),
        ] {
            assert_eq!(wanted(accept).tag, tag, "{accept}");
        }
    }

    #[test]
    fn each_language_says_everything_and_puts_the_same_things_in() {
        let fields = |words: &Words| {
            // Debug tells all texts of a language in the same order.
            let text = format!("{words:?}");
            let marks = ["{organisation}", "{person}", "{minutes}"];
            (marks.map(|mark| text.matches(mark).count()), text.contains("\"\""))
        };
        let english = fields(LANGUAGES[0]);
        for words in LANGUAGES {
            assert_eq!(fields(words), (english.0, false), "{}", words.name);
            assert_eq!(by_tag(words.tag), Some(words));
        }
        let mut introductions: Vec<_> = LANGUAGES.iter().map(|words| words.introduction).collect();
        introductions.dedup();
        assert_eq!(introductions.len(), 5);
    }
}
