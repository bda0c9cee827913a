use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_000).unwrap()
}

fn patience() -> Patience {
    let seconds = |all: &[u64]| all.iter().map(|s| Duration::from_secs(*s)).collect();
    Patience {
        verify_after: seconds(&[15, 30, 60]),
        retry_after: seconds(&[60, 300]),
        max_attempts: 3,
        stuck_after: Duration::from_secs(24 * 3600),
        person_after: Duration::from_secs(14 * 24 * 3600),
        tells_within: Duration::from_secs(30),
    }
}

fn word(status: &str, means: Meaning) -> Word {
    Word { status: status.into(), means, cause: None }
}

fn run(facts: &[Fact]) -> Progress {
    let start = Progress { app: App::InstallQueued, ..Progress::default() };
    facts.iter().fold(start, |progress, fact| advance(&progress, fact, now(), &patience()))
}

#[test]
fn accepted_is_never_installed() {
    let end = run(&[Fact::InstallAccepted(word("Queued", Meaning::Working))]);
    assert_eq!((end.app, end.due), (App::Working, Some(after(now(), Duration::from_secs(15)))));
}

#[test]
fn looks_grow_further_apart_and_the_list_decides() {
    let working = Fact::Listed(word("Installing", Meaning::Working));
    let accepted = Fact::InstallAccepted(word("Queued", Meaning::Working));
    let end = run(&[accepted, working.clone(), working.clone(), working]);
    assert_eq!((end.looks, end.due), (4, Some(after(now(), Duration::from_secs(60)))));
    let end = advance(&end, &Fact::Listed(word("Managed", Meaning::Installed)), now(), &patience());
    assert_eq!((end.app, end.due, end.looks), (App::Installed, None, 0));
}

#[test]
fn a_list_decides_nothing_while_an_install_command_waits() {
    assert_eq!(run(&[Fact::Listed(word("Failed", Meaning::Failed))]).app, App::InstallQueued);
    // Called installed, the app could be removed and its licence given back before the command arrives.
    let managed = word("Managed", Meaning::Installed);
    assert_eq!(run(&[Fact::Listed(managed.clone())]).app, App::InstallQueued);
    assert_eq!(run(&[Fact::Listed(managed.clone()), Fact::InstallAccepted(managed)]).app, App::Installed);
}

#[test]
fn a_declined_install_stays_declined_when_the_device_forgets_it() {
    let end = run(&[
        Fact::InstallAccepted(word("Prompting", Meaning::WaitsForPerson)),
        Fact::Listed(word("UserRejected", Meaning::Declined)),
        Fact::NotListed,
    ]);
    assert_eq!((end.app, end.due), (App::Rejected, None));
}

#[test]
fn failures_are_retried_with_pauses_and_then_given_up() {
    let refused = |cause| Fact::InstallRefused { cause, reason: "licence not found".into() };
    let retry = || refused(Cause::LicenceNotSeen);
    let first = run(&[retry()]);
    assert_eq!((first.app, first.tries), (App::InstallRetry, 1));
    assert_eq!(first.due, Some(after(now(), Duration::from_secs(60))));
    let last = run(&[retry(), retry(), retry()]);
    assert_eq!((last.app, last.due, last.reason.as_str()), (App::Failed, None, "licence not found"));
    assert_eq!(run(&[refused(Cause::NotSupported)]).app, App::Failed);
    assert_eq!(run(&[refused(Cause::InProgress)]).app, App::Working);
}

#[test]
fn a_removal_is_confirmed_by_the_list_only() {
    let start = Progress { app: App::RemoveQueued, ..Progress::default() };
    let accepted = advance(&start, &Fact::RemoveAccepted, now(), &patience());
    assert_eq!(accepted.app, App::RemoveUnconfirmed);
    let still = advance(&accepted, &Fact::Listed(word("Managed", Meaning::Installed)), now(), &patience());
    assert_eq!(still.app, App::RemoveUnconfirmed);
    assert_eq!(advance(&still, &Fact::NotListed, now(), &patience()).app, App::Removed);
    assert_eq!(advance(&start, &Fact::NothingToRemove, now(), &patience()).app, App::Removed);
    assert_eq!(advance(&start, &Fact::NotListed, now(), &patience()).app, App::RemoveQueued);
}

#[test]
fn a_device_that_tells_nothing_is_asked_less_and_less_and_not_for_ever() {
    let nothing = Fact::NotTold { reason: "no list".into() };
    let mut progress = run(&[Fact::InstallAccepted(word("Queued", Meaning::Working))]);
    for look in 0..3 {
        progress = advance(&progress, &nothing, now(), &patience());
        assert_eq!((progress.app, progress.looks), (App::Working, look + 2));
    }
    let end = advance(&progress, &nothing, now(), &patience());
    assert_eq!((end.app, end.reason.as_str()), (App::InstallRetry, "no list"));
    let removing = Progress { app: App::RemoveUnconfirmed, ..progress };
    let still = advance(&removing, &nothing, now(), &patience());
    assert_eq!((still.app, still.due), (App::RemoveUnconfirmed, Some(after(now(), Duration::from_secs(60)))));
}

#[test]
fn an_app_that_never_shows_up_is_not_pending_for_ever() {
    let mut progress = run(&[Fact::InstallAccepted(word("Queued", Meaning::Working))]);
    for _ in 0..3 {
        progress = advance(&progress, &Fact::NotListed, now(), &patience());
    }
    assert_eq!(progress.app, App::InstallRetry);
}

#[test]
fn a_licence_that_apple_does_not_see_is_tried_four_times_and_anything_else_as_often_as_is_set() {
    let patience = Patience { max_attempts: 6, ..patience() };
    for (cause, tries) in [(Cause::LicenceNotSeen, 4), (Cause::Unknown, 6), (Cause::Unreachable, 6)] {
        let mut progress = Progress { app: App::InstallQueued, ..Progress::default() };
        let mut sent = 0;
        while progress.app != App::Failed {
            sent += 1;
            let refused = Fact::InstallRefused { cause, reason: "no".into() };
            progress = advance(&progress, &refused, now(), &patience);
        }
        assert_eq!((sent, progress.cause), (tries, Some(cause)));
    }
}

#[test]
fn what_failed_says_why_and_a_list_does_not_take_it_away() {
    let refused = Fact::InstallRefused { cause: Cause::LicenceNotSeen, reason: "no licence".into() };
    let failed = run(&[
        refused,
        Fact::InstallAccepted(word("Queued", Meaning::Working)),
        Fact::Listed(word("Failed", Meaning::Failed)),
    ]);
    assert_eq!((failed.cause, failed.reason.as_str()), (Some(Cause::LicenceNotSeen), "no licence"));
    let alone =
        run(&[Fact::InstallAccepted(word("Queued", Meaning::Working)), Fact::Listed(word("Failed", Meaning::Failed))]);
    assert_eq!(alone.cause, Some(Cause::Unknown));
}

#[test]
fn what_takes_too_long_ends() {
    let hours = |hours: u64| after(now(), Duration::from_secs(3600 * hours));
    let start = Progress { app: App::InstallQueued, ..Progress::default() };
    let working = Fact::InstallAccepted(word("Installing", Meaning::Working));
    let asking = Fact::InstallAccepted(word("Prompting", Meaning::WaitsForPerson));
    let at_work = advance(&start, &working, now(), &patience());
    let asks = advance(&start, &asking, now(), &patience());
    let listed = |word: &Fact| match word {
        Fact::InstallAccepted(word) => Fact::Listed(word.clone()),
        other => other.clone(),
    };
    assert_eq!(advance(&at_work, &listed(&working), hours(23), &patience()).app, App::Working);
    assert_eq!(
        advance(&at_work, &listed(&working), hours(23), &patience()).due,
        Some(hours(23) + Duration::from_secs(30))
    );
    let stuck = advance(&at_work, &listed(&working), hours(24), &patience());
    assert_eq!((stuck.app, stuck.cause), (App::InstallRetry, Some(Cause::Stuck)));
    assert_eq!(advance(&asks, &listed(&asking), hours(14 * 24 - 1), &patience()).app, App::WaitingForPerson);
    let unanswered = advance(&asks, &listed(&asking), hours(14 * 24), &patience());
    assert_eq!((unanswered.app, unanswered.cause), (App::Rejected, Some(Cause::NobodyAnswered)));
    let put_off = advance(&start, &Fact::PutOff, now(), &patience());
    assert_eq!((put_off.app, put_off.cause, put_off.due), (App::Failed, Some(Cause::NoAnswer), None));
}

proptest::proptest! {
    /// Whatever a device says, as long as it says something whenever it is asked.
    #[test]
    fn a_device_that_answers_comes_to_an_end_within_the_bound(words in proptest::collection::vec(0usize..8, 1..40)) {
        let patience = patience();
        let start = now();
        let (mut progress, mut time) = (Progress { app: App::InstallQueued, ..Progress::default() }, start);
        let mut words = words.iter().cycle();
        while !matches!(progress.app, App::Installed | App::Rejected | App::Failed) {
            let fact = match (progress.app, words.next().unwrap()) {
                // The plan sends the command again.
                (App::InstallRetry, _) => {
                    progress.app = App::InstallQueued;
                    progress.due = None;
                    progress.looks = 0;
                    continue;
                }
                (App::InstallQueued, 0..=5) => Fact::InstallAccepted(word("Queued", Meaning::Working)),
                (App::InstallQueued, 6) => Fact::InstallRefused { cause: Cause::InProgress, reason: String::new() },
                (App::InstallQueued, _) => Fact::InstallRefused { cause: Cause::Unreachable, reason: String::new() },
                (_, 0..=2) => Fact::Listed(word("Installing", Meaning::Working)),
                (_, 3 | 4) => Fact::Listed(word("Prompting", Meaning::WaitsForPerson)),
                (_, 5) => Fact::NotListed,
                (_, 6) => Fact::NotTold { reason: String::new() },
                (_, _) => Fact::Listed(word("Unknown", Meaning::Unknown)),
            };
            progress = advance(&progress, &fact, time, &patience);
            time = progress.due.unwrap_or(time).max(time);
            proptest::prop_assert!(time <= after(start, patience.bound()), "still {:?}", progress);
        }
    }
}
