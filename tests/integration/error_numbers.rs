//! What vppd makes of each error number of Apple's (Apple: Handling Error Responses), as an answer to a request for a licence
//! and as an answer to a read. The tests print a table with what a person sees and how it ended.

use std::time::Duration;

use sandbox::apple::{Canned, Fault, FaultRule, Often, TaskError};
use serde_json::json;
use vppd::apple::error::TokenProblemKind;
use vppd::apple::numbers::{Course, NUMBERS};
use vppd::operations::view::*;
use vppd::operations::{deployments, look, sync, tokens};

use crate::support::*;

/// The answer with a number, under the status that Apple has documented for it.
fn answer(number: i64) -> Fault {
    let status = match number {
        9601 | 9621 | 9622 | 9625 | 9722 => 401,
        9637 | 9647 => 403,
        9634 => 410,
        9726 => 405,
        9727 => 415,
        9646 => 429,
        9603 => 500,
        9729 => 503,
        _ => 400,
    };
    let body = json!({"errorNumber": number, "errorMessage": "(text varies)"}).to_string();
    Fault::Canned(Canned { status, content_type: "application/json".into(), headers: Vec::new(), body })
}

fn next(app: &App, endpoint: &str, number: i64) {
    let rule = FaultRule { endpoint: Some(endpoint.into()), fault: answer(number), often: Often::Next(1) };
    app.sandbox.apple.add_fault(rule).unwrap();
}

fn requests(app: &App) -> u64 {
    app.sandbox.apple.counters().calls.get("assets/associate").copied().unwrap_or(0)
}

async fn state(app: &App) -> TokenState {
    tokens::show(&app.context, "Leeds".into()).await.unwrap().state
}

/// How a sync ended that was asked for now.
async fn sync_now(app: &App) -> TaskView {
    let task = sync::request(&app.context, SyncRequest::default(), "test").await.unwrap().remove(0);
    app.wait(minutes(3)).await;
    look::task(&app.context, task.id).await.unwrap()
}

/// An app for each number, required on one device. The first request for its licence is answered with the number.
#[test]
fn every_number_as_an_answer_to_a_request_for_a_licence() {
    story(|clock| async move {
        let apps = NUMBERS.map(|(number, ..)| format!("16{number}"));
        let owned = apps.each_ref().map(|adam_id| (adam_id.as_str(), 1));
        let app = App::start(clock, &owned).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 1)).await;
        app.wait(minutes(5)).await;
        for ((number, course, meaning), adam_id) in NUMBERS.into_iter().zip(&apps) {
            next(&app, "assets/associate", number);
            let before = requests(&app);
            let deployment = app.deploy(adam_id, "all-devices", PurposeView::Required).await;
            app.wait(minutes(4)).await;
            let pair = app.pairs(adam_id).await.into_values().next().unwrap();
            let (asked, token) = (requests(&app) - before, state(&app).await);
            println!(
                "{number} | {meaning} | {} | {asked} requests in 4 min | {token:?} | {:?}: {}",
                course.words(),
                pair.stage,
                pair.why
            );
            let says = |words: &str| assert!(pair.why.contains(words), "{number}: {}", pair.why);
            match course {
                Course::NewToken(kind) => {
                    let expected = match kind {
                        TokenProblemKind::Expired => TokenState::Expired,
                        TokenProblemKind::Revoked => TokenState::Revoked,
                        TokenProblemKind::WrongKind => TokenState::WrongKind,
                        // The token is still good for looking.
                        TokenProblemKind::Rejected => TokenState::ReadOnly,
                    };
                    assert_eq!((asked, token), (1, expected), "{number}");
                    assert_eq!(sync_now(&app).await.state, TaskState::Done, "{number}");
                    assert_eq!(state(&app).await, TokenState::Valid, "{number}");
                }
                Course::AskPerson | Course::OurBug => {
                    assert_eq!((asked, pair.stage), (1, Stage::WaitingForLicence), "{number}");
                    says(meaning);
                    says(&number.to_string());
                }
                Course::LookFirst => {
                    assert_eq!((asked, pair.stage), (1, Stage::LicenceRequested), "{number}");
                    app.wait(minutes(15)).await;
                    assert_eq!(app.stages(adam_id).await, counts([(Stage::Installed, 1)]), "{number}");
                    continue;
                }
                Course::Slower | Course::Maintenance | Course::Later | Course::ReadAnew | Course::Smaller => {
                    assert_eq!((asked, pair.stage), (2, Stage::Installed), "{number}: {}", pair.why);
                    continue;
                }
            }
            // Until the others have had their turn: this one would be tried again among them.
            deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        }
        // Whatever it was has passed: nothing is pending for ever.
        for adam_id in &apps {
            app.deploy(adam_id, "all-devices", PurposeView::Required).await;
        }
        app.wait(Duration::from_secs(26 * 3600)).await;
        for adam_id in &apps {
            assert_eq!(app.stages(adam_id).await, counts([(Stage::Installed, 1)]), "{adam_id}");
        }
    });
}

#[test]
fn every_number_as_an_answer_to_a_read() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 1)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        for (number, course, meaning) in NUMBERS {
            next(&app, "assignments", number);
            let task = sync_now(&app).await;
            let words = task.error.map(|error| error.message).unwrap_or(task.detail);
            println!("{number} | {meaning} | {} | {:?}: {words}", course.words(), task.state);
            match course {
                Course::NewToken(_) | Course::AskPerson | Course::OurBug => {
                    assert_eq!(task.state, TaskState::Failed, "{number}");
                    assert!(words.contains(&number.to_string()), "{number}: {words}");
                }
                Course::Slower | Course::Maintenance | Course::Later | Course::LookFirst => {
                    assert_eq!(task.state, TaskState::Done, "{number}: {words}");
                }
                // What Apple says of events, versions, places and sizes it does not say of a page, but for one.
                Course::ReadAnew | Course::Smaller => {
                    let expected = if number == 9650 { TaskState::Done } else { TaskState::Failed };
                    assert_eq!(task.state, expected, "{number}: {words}");
                }
            }
            assert_eq!(sync_now(&app).await.state, TaskState::Done, "{number}");
            assert_eq!(state(&app).await, TokenState::Valid, "{number}");
        }
    });
}

/// The numbers with which tasks fail that Apple had accepted (Apple: Handling Error Responses, asynchronous errors).
const LATER: [i64; 7] = [9603, 9609, 9635, 9641, 9644, 9709, 9716];

/// Prints which number a story covers, as the failure of a task.
pub fn task_failure(number: i64) {
    let (course, meaning) = vppd::apple::numbers::known(number).unwrap();
    println!("{number} | {meaning} | {} | as the failure of a task", course.words());
}

#[test]
fn tasks_that_fail_inside_apple_are_told_and_tried_again() {
    for (number, fault) in [(9603, TaskError::Internal), (9644, TaskError::Maintenance)] {
        task_failure(number);
        story(|clock| async move {
            let app = App::start(clock, &[("1600000011", 3)]).await;
            app.add_token("Leeds", false).await.unwrap();
            app.enrol(devices(0, 3)).await;
            let often = Often::Next(1);
            let rule = FaultRule { endpoint: Some("assets/associate".into()), fault: Fault::TasksFail(fault), often };
            app.sandbox.apple.add_fault(rule).unwrap();
            app.deploy("1600000011", "all-devices", PurposeView::Required).await;
            app.wait(minutes(3)).await;
            let pair = app.pairs("1600000011").await.into_values().next().unwrap();
            println!("{:?}: {}", pair.stage, pair.why);
            assert!(pair.why.contains(&number.to_string()), "{}", pair.why);
            assert_eq!(requests(&app), 1);
            app.wait(Duration::from_secs(26 * 3600)).await;
            assert_eq!(app.stages("1600000011").await, counts([(Stage::Installed, 3)]), "{number}");
        });
    }
}

#[test]
fn no_failure_of_a_task_is_left_out() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    let files = ["", "users"].into_iter().flat_map(|below| std::fs::read_dir(folder.join(below)).unwrap());
    let sources: String = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok()).collect();
    for number in LATER.into_iter().filter(|number| ![9603, 9644].contains(number)) {
        assert!(sources.contains(&format!("task_failure({number});")), "no story for tasks that fail with {number}");
    }
}
