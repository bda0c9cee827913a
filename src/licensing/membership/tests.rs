use proptest::prelude::*;

use super::*;

fn ipad() -> DeviceFacts {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    DeviceFacts {
        serial: "DMPX0001".to_owned(),
        models: texts(&["iPad13,18", "iPad (10th generation)"]),
        os: "17.6.1".to_owned(),
        platform: "iOS",
        supervised: Some(true),
        ownership: "organisation".to_owned(),
        tags: texts(&["lab", "Room 12"]),
        person: "p.osei@example.org".to_owned(),
        groups: texts(&["Teachers"]),
    }
}

fn holds(rule: &str) -> bool {
    Rule::parse(rule).unwrap_or_else(|error| panic!("{rule}: {error}")).matches(&ipad())
}

#[test]
fn conditions_hold_or_do_not() {
    for (rule, expected) in [
        ("model = \"iPad*\" and os >= 17.0 and (platform = iOS or tag = lab) and supervised", true),
        ("model = \"*10th*\"", true),
        ("model = iPad", false),
        ("MODEL = \"IPAD13,*8\"", true),
        ("model != \"iPhone*\"", true),
        ("os > 17", true),
        ("os = 17.6.1 and os < 18 and os <= 17.6.1.0", true),
        ("os >= 17.10", false),
        ("tag = \"room 12\"", true),
        ("not tag = lab", false),
        ("tag != lab", false),
        ("group = teachers and person = \"*@example.org\"", true),
        ("ownership = personal or serial = DMPX*", true),
        ("supervised = no", false),
        ("supervised != no", true),
        ("not (supervised and tag = lab) or group = Guests", false),
        ("group = Guests and tag = lab or supervised", true),
        ("group = Guests and (tag = lab or supervised)", false),
    ] {
        assert_eq!(holds(rule), expected, "{rule}");
    }
}

#[test]
fn what_a_device_has_not_told_fits_nothing() {
    let silent = DeviceFacts::default();
    for (rule, expected) in [
        ("os < 99", false),
        ("os != 17", true),
        ("supervised", false),
        ("not supervised", true),
        ("platform = \"*\"", false),
        ("model != \"iPad*\"", true),
    ] {
        assert_eq!(Rule::parse(rule).unwrap().matches(&silent), expected, "{rule}");
    }
}

#[test]
fn errors_say_what_and_where() {
    for (rule, column, words) in [
        ("", 1, "empty"),
        ("   ", 1, "empty"),
        ("modell = x", 1, "\"modell\" is nothing that a rule knows"),
        ("model \"iPad*\"", 7, "a sign behind model"),
        ("model = ", 8, "what model is compared with"),
        ("model = \"\"", 9, "empty"),
        ("tag = lab supervised", 11, "`and`, `or` or the end"),
        ("(tag = lab", 11, "closing parenthesis"),
        ("tag = lab)", 10, "closes nothing"),
        ("os >= seventeen", 7, "a version such as"),
        ("model > 3", 7, "= or != only"),
        ("tag ! lab", 5, "expected !="),
        ("tag = \"lab", 7, "does not end"),
        ("tag = lab and", 14, "expected a condition"),
        ("platform = Android", 12, "none of iOS"),
        ("ownership = school", 13, "none of organisation"),
        ("supervised = perhaps", 14, "yes or no"),
        ("é = 1", 1, "nothing that a rule knows"),
        ("tag = \"é\" x", 11, "expected `and`"),
        (&"(".repeat(50), 41, "deeper than 40"),
        (&"not ".repeat(50), 161, "deeper than 40"),
        (&"x".repeat(2001), 2000, "longer than"),
    ] {
        let error = Rule::parse(rule).unwrap_err();
        assert!(error.column == column && error.message.contains(words), "{rule:?}: {error}");
    }
}

#[test]
fn a_rule_names_the_groups_that_it_needs() {
    let rule = Rule::parse("group = Teachers or not (group = \"Year 5\" and group = \"A*\")").unwrap();
    assert_eq!(rule.groups(), ["Teachers", "Year 5"]);
}

#[test]
fn models_tell_the_platform() {
    for (model, expected) in [
        ("iPad13,18", "iOS"),
        ("MacBookPro18,1", "macOS"),
        ("iMac21,1", "macOS"),
        ("AppleTV14,1", "tvOS"),
        ("Pixel", ""),
    ] {
        assert_eq!(platform(model), expected, "{model}");
    }
}

fn expressions() -> impl Strategy<Value = Expression> {
    let field = proptest::sample::select(vec![Field::Model, Field::Tag, Field::Group, Field::Person, Field::Serial]);
    let pattern = prop_oneof!["[a-zA-Z0-9*.,-]{1,8}", "[^\"\\p{C}\\s][^\"\\p{C}]{0,6}[^\"\\p{C}\\s]"];
    let relation = proptest::sample::select(RELATIONS.map(|(_, relation)| relation).to_vec());
    let leaf = prop_oneof![
        Just(Expression::Supervised),
        (field, any::<bool>(), pattern).prop_map(|(field, equal, pattern)| Expression::Text { field, equal, pattern }),
        (relation, proptest::collection::vec(0u32..40, 1..4))
            .prop_map(|(relation, parts)| Expression::Os { relation, version: Version(parts) }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let several = proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several.clone().prop_map(Expression::All),
            several.prop_map(Expression::Any),
            inner.prop_map(|part| Expression::Not(Box::new(part))),
        ]
    })
}

/// The same pattern by another way: each place of the text is tried.
fn fits_slowly(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|at| fits_slowly(rest, &text[at..])),
        Some((first, rest)) => text.first() == Some(first) && fits_slowly(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn a_rule_reads_as_it_prints(expression in expressions()) {
        let rule = Rule(expression);
        let text = rule.to_string();
        prop_assert_eq!(Rule::parse(&text), Ok(rule), "{}", text);
    }

    #[test]
    fn any_text_is_a_rule_or_an_error_within_it(text in "\\PC{0,60}|[a-z =<>!()\"*]{0,60}") {
        match Rule::parse(&text) {
            Ok(rule) => { rule.matches(&ipad()); }
            Err(error) => prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1),
        }
    }

    #[test]
    fn patterns_fit_as_the_slow_way_says(pattern in "[ab*]{0,6}", text in "[ab]{1,8}") {
        let slow = fits_slowly(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(fits(&pattern, &text), slow);
    }

    #[test]
    fn not_turns_a_rule_round(expression in expressions()) {
        let holds = expression.matches(&ipad());
        prop_assert_eq!(Expression::Not(Box::new(expression)).matches(&ipad()), !holds);
    }
}
