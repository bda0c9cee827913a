//! The pages as HTML. Everything that is put in is escaped.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::words::{LANGUAGES, Words};

/// All the style there is. Its hash stands in the policy of every page.
pub const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1c1e;--soft:#56565c;--paper:#fff;--back:#f2f2f7;--line:#8a8a91;--act:#0a58c2;--on-act:#fff;--bad:#a3160b}\
@media(prefers-color-scheme:dark){:root{--ink:#f2f2f7;--soft:#b4b4bb;--paper:#1c1c1e;--back:#000;--line:#8a8a91;--act:#8ab8ff;--on-act:#05204a;--bad:#ffb3ab}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--back);color:var(--ink);font:17px/1.5 -apple-system,system-ui,sans-serif}\
header,main{max-width:40rem;margin:0 auto;padding:1rem}\
header{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;justify-content:space-between;align-items:center}\
header p{margin:0;font-weight:600}\
nav ul{list-style:none;display:flex;flex-wrap:wrap;margin:0 -.35rem;padding:0}nav li{margin:0}\
nav a{display:block;padding:.5rem .35rem;font-size:.9rem;color:var(--act)}\
nav a[aria-current]{color:var(--ink);font-weight:600;text-decoration:none}\
h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0 1rem}\
h2{font-size:1.15rem;margin:0 0 .5rem}\
h3{font-size:1rem;margin:1rem 0 .25rem}\
section{background:var(--paper);border-radius:.8rem;padding:1rem 1.2rem;margin:1rem 0}\
label{display:block;font-weight:600;margin-top:.75rem}\
input{width:100%;font:inherit;color:inherit;background:transparent;border:1px solid var(--line);border-radius:.5rem;padding:.7rem;margin:.25rem 0}\
button,.act{display:block;width:100%;font:inherit;font-weight:600;text-align:center;text-decoration:none;color:var(--on-act);background:var(--act);border:0;border-radius:.5rem;padding:.8rem;margin-top:1rem;cursor:pointer}\
a{color:var(--act)}\
li{margin:.3rem 0}\
ul,ol{padding-left:1.4rem;margin:.25rem 0}\
.soft{color:var(--soft);font-size:.95rem;margin:.25rem 0}\
.bad p{margin:0}.bad{border-left:.4rem solid var(--bad)}\
.who{font-weight:600}\
code{font:.85rem/1.6 ui-monospace,monospace;overflow-wrap:anywhere}\
:focus-visible{outline:3px solid var(--act);outline-offset:2px}";

/// What all pages have in common.
pub struct Page {
    pub words: &'static Words,
    pub organisation: String,
    /// Of the certificates that a device must trust first; none when it trusts the server by itself.
    pub fingerprints: Vec<String>,
}

/// A profile that is there for the taking.
pub struct Offer {
    pub ticket: String,
    /// Who has signed in.
    pub person: Option<String>,
}

impl Page {
    /// Where everything begins: somebody signs in (if `people` can), or has a code.
    pub fn first(&self, people: bool, problem: Option<&str>) -> Markup {
        let words = self.words;
        self.whole("", html! {
            h1 { (words.title) }
            p { (self.say(words.introduction)) }
            @if let Some(problem) = problem { (self.bad(problem)) }
            @if people {
                section {
                    h2 { (words.sign_in) }
                    form method="post" action="/enrol" {
                        input type="hidden" name="lang" value=(words.tag);
                        label for="name" { (words.user_name) }
                        input id="name" name="name" type="text" inputmode="email" autocomplete="username"
                            autocapitalize="none" spellcheck="false" required;
                        label for="password" { (words.password) }
                        input id="password" name="password" type="password" autocomplete="current-password" required;
                        button { (words.sign_in_button) }
                    }
                }
            }
            section {
                h2 { (words.code_title) }
                form method="get" action="/enrol" {
                    input type="hidden" name="lang" value=(words.tag);
                    label for="code" { (words.code) }
                    input id="code" name="code" type="text" autocomplete="off" autocapitalize="characters"
                        spellcheck="false" aria-describedby="code-hint" required;
                    p.soft id="code-hint" { (words.code_hint) }
                    button { (words.code_button) }
                }
            }
            (self.trust())
        })
    }

    /// What the organisation can and cannot do, and the profile.
    pub fn offer(&self, offer: &Offer) -> Markup {
        let words = self.words;
        self.whole(
            &offer.ticket,
            html! {
                h1 { (words.title) }
                p.who {
                    @match &offer.person {
                        Some(person) => (self.say(words.for_person).replace("{person}", person)),
                        None => (words.for_device),
                    }
                }
                section {
                    h2 { (self.say(words.can_title)) }
                    ul { @for line in words.can { li { (self.say(line)) } } }
                }
                section {
                    h2 { (self.say(words.cannot_title)) }
                    ul { @for line in words.cannot { li { (line) } } }
                }
                p { (self.say(words.leave)) }
                a.act href={ "/enrol/" (offer.ticket) "/profile.mobileconfig" } { (words.get) }
                section {
                    h2 { (words.steps_title) }
                    h3 { (words.phone_title) }
                    ol { @for line in words.phone { li { (line) } } }
                    h3 { (words.mac_title) }
                    ol { @for line in words.mac { li { (line) } } }
                }
            },
        )
    }

    /// What stands in the way, and the way back.
    pub fn problem(&self, problem: &str) -> Markup {
        self.whole(
            "",
            html! {
                h1 { (self.words.problems.title) }
                (self.bad(problem))
                p { a href={ "/enrol?lang=" (self.words.tag) } { (self.words.back) } }
            },
        )
    }

    fn bad(&self, problem: &str) -> Markup {
        html! { section.bad role="alert" { p { (self.say(problem)) } } }
    }

    /// For devices that do not know the server yet.
    fn trust(&self) -> Markup {
        let words = self.words;
        html! {
            @if !self.fingerprints.is_empty() {
                section {
                    h2 { (words.trust_title) }
                    p { (self.say(words.trust)) }
                    p { a href="/enrol/trust.mobileconfig" { (words.trust_button) } }
                    p.soft {
                        (words.fingerprint) ":"
                        @for fingerprint in &self.fingerprints { br; code { (fingerprint) } }
                    }
                }
            }
        }
    }

    fn whole(&self, code: &str, content: Markup) -> Markup {
        let words = self.words;
        let address = |tag: &str| match code {
            "" => format!("/enrol?lang={tag}"),
            code => format!("/enrol?lang={tag}&code={code}"),
        };
        html! {
            (DOCTYPE)
            html lang=(words.tag) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    title { (words.title) " – " (self.organisation) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        p { (self.organisation) }
                        nav aria-label=(words.languages) {
                            ul {
                                @for other in LANGUAGES {
                                    li {
                                        a href=(address(other.tag)) lang=(other.tag) hreflang=(other.tag)
                                            aria-current=[(other.tag == words.tag).then_some("true")] { (other.name) }
                                    }
                                }
                            }
                        }
                    }
                    main { (content) }
                }
            }
        }
    }

    fn say(&self, text: &str) -> String {
        text.replace("{organisation}", &self.organisation)
    }
}
