//! Failure signatures: what devices and Apple's service say, sorted into the causes that a person is told. What is expected
//! was written down first, in `causes/expected.txt`; the table of what comes out is printed
//! (`cargo nextest run causes --no-capture`).

use vppd::apple::numbers;
use vppd::mdm::outcome::{Asked, Outcome, explain, judge, of_state, raw};
use vppd::mdm::report::{AppStatus, ErrorLink, RejectionReason, Status};
use vppd::model::Cause;

/// One line of the table.
struct Signature {
    line: &'static str,
    asked: &'static str,
    status: &'static str,
    rejection: Option<RejectionReason>,
    chain: Vec<ErrorLink>,
    number: Option<i64>,
    state: Option<AppStatus>,
    expected: Cause,
}

fn signatures() -> Vec<Signature> {
    let lines = include_str!("causes/expected.txt").lines().map(str::trim);
    let told = |word: &'static str| (word != "-").then_some(word);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let [asked, status, rejection, chain, state, expected] = fields[..] else { panic!("{line}") };
            let link = |text: &str| {
                let (domain, code) = text.trim().rsplit_once(' ').unwrap();
                let (localized, us_english) = (None, Some("Something went wrong.".to_owned()));
                ErrorLink { domain: domain.into(), code: code.parse().unwrap(), localized, us_english }
            };
            let by_service = status == "service";
            let chain = told(chain);
            Signature {
                line,
                asked,
                status,
                rejection: told(rejection).map(|word| RejectionReason::from(word.to_owned())),
                number: chain.filter(|_| by_service).map(|number| number.parse().unwrap()),
                chain: chain.filter(|_| !by_service).map_or(Vec::new(), |all| all.split(';').map(link).collect()),
                state: told(state).map(|word| AppStatus::from(word.to_owned())),
                expected: Cause::from_word(expected).unwrap_or_else(|| panic!("no such cause: {line}")),
            }
        })
        .collect()
}

fn found(signature: &Signature) -> Cause {
    if let Some(number) = signature.number {
        return numbers::cause(number);
    }
    let (chain, rejection, state) = (&signature.chain, signature.rejection.as_ref(), signature.state.as_ref());
    let asked = match signature.asked {
        // A book is asked for as an app is.
        "install" | "book" => Asked::Install,
        "remove" => Asked::Remove,
        "list" => return of_state(state.unwrap()).unwrap(),
        _ => Asked::Inventory,
    };
    match judge(asked, &Status::from(signature.status.to_owned()), chain, rejection, state) {
        Outcome::Refused(cause) => cause,
        other => panic!("{}: {other:?}", signature.line),
    }
}

#[test]
fn nineteen_of_twenty_signatures_get_the_cause_that_was_expected() {
    let all = signatures();
    let known = all.iter().filter(|signature| signature.expected != Cause::Unknown).count();
    let mut right = 0;
    println!("expected | found | signature");
    for signature in &all {
        let cause = found(signature);
        right += usize::from(cause == signature.expected);
        let mark = if cause == signature.expected { " " } else { "WRONG" };
        println!("{} | {} | {} {mark}", signature.expected.word(), cause.word(), signature.line);
    }
    println!("{right} of {} right; {known} with a known cause, {} unknown", all.len(), all.len() - known);
    assert!(known >= 60 && all.len() - known >= 15, "{known} known of {}", all.len());
    assert!(right * 100 >= all.len() * 95, "{right} of {}", all.len());
}

#[test]
fn what_is_unknown_is_called_so_and_shown_as_it_came() {
    for signature in signatures().iter().filter(|one| one.expected == Cause::Unknown && one.asked != "licence") {
        let (words, chain) = (explain(&signature.chain), raw(&signature.chain));
        assert!(words.starts_with("Unknown to vppd"), "{}: {words}", signature.line);
        assert!(words.contains(&chain), "{}: {words}", signature.line);
        for link in &signature.chain {
            assert!(chain.contains(&format!("{} {} “Something went wrong.”", link.domain, link.code)), "{chain}");
        }
    }
}
