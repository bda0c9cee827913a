//! Answers to commands that make no sense.

use vppd::store::StoreError;
use vppd::store::commands::{self, CommandState};

use super::table::fingerprint;
use super::visitor::*;
use crate::captured;
use crate::support::*;

#[test]
fn a_senseless_result_changes_no_command_and_the_device_gets_the_next_one() {
    captured::listen();
    story(|clock| async move {
        let app = App::start(clock.clone(), &[]).await;
        let keys = device_keys(&clock).await;
        let witness = Visitor::at_rest(&app, 1, keys.take().unwrap()).await;
        let other = Visitor::enrolled(&app, 2, keys.take().unwrap()).await;
        let theirs = other.next_command(&other.idle()).await.unwrap();
        let result = |status: &str, uuid: &str| {
            text("Status", status) + &text("UDID", &witness.udid) + &text("CommandUUID", uuid)
        };
        let unknown = "11112222-3333-4444-5555-666677778888";
        let mut door = Doorstep::new(&app, "result", &witness);
        for (name, keys, status, says) in [
            ("result of a command that was never given", result("Acknowledged", unknown), 200, "was not given"),
            ("error of a command that was never given", result("Error", unknown), 200, "was not given"),
            ("result of another device's command", result("Acknowledged", &theirs), 200, "was not given"),
            (
                "result for another device",
                result("Acknowledged", &theirs).replace(&witness.udid, &other.udid),
                400,
                "another certificate",
            ),
            ("no Status", text("UDID", &witness.udid), 400, "key Status is missing"),
            (
                "Status is a number",
                format!("{}<key>Status</key><integer>1</integer>", text("UDID", &witness.udid)),
                400,
                "key Status does not",
            ),
            (
                "result without CommandUUID",
                text("Status", "Acknowledged") + &text("UDID", &witness.udid),
                400,
                "key CommandUUID is missing",
            ),
            (
                "CommandUUID is data",
                result("Error", "").replace("<string></string>", "<data>AA==</data>"),
                400,
                "key CommandUUID does not",
            ),
            ("CommandUUID of 300 letters", result("Error", &"A".repeat(300)), 400, "key CommandUUID does not"),
        ] {
            let body = list(&keys);
            let signature = Some(witness.signature(&witness.identity, &body));
            door.sent(name, &keys.chars().take(40).collect::<String>(), "/mdm", body, signature, status, says).await;
        }

        // From here on the door hands out commands, so only the rest of the store must stay as it is.
        let state = async |uuid: String| {
            let found = app.context.store.read(move |c| {
                let id = vppd::store::devices::by_serial(c, "BAD0000002")?.unwrap().id;
                commands::by_uuid(c, id, &uuid)
            });
            let found: Result<_, StoreError> = found.await;
            found.unwrap().unwrap().state
        };
        let answer = |status: &str, uuid: &str, more: &str| {
            text("Status", status) + &text("UDID", &other.udid) + &text("CommandUUID", uuid) + more
        };
        let before = fingerprint(&app, &["command"]).await;
        let mark = captured::mark();
        let next = other.next_command(&answer("Dreaming\n of sheep", &theirs, "")).await.unwrap();
        let said = format!(
            "200, the next command; journal: {}",
            captured::everything(mark).iter().find(|line| line.contains("Dreaming")).unwrap()
        );
        door.table.row(
            "unknown Status",
            "Status = \"Dreaming\\n of sheep\"",
            &said,
            "unknown status \"Dreaming\\n of sheep\"",
        );
        assert_eq!(state(theirs.clone()).await, CommandState::Sent, "the command waits on");
        assert_eq!(other.next_command(&other.idle()).await, Some(theirs.clone()), "and is offered again");

        let odd =
            "<key>ErrorChain</key><array><string>x</string><dict><key>ErrorCode</key><string>7</string></dict></array>";
        other.next_command(&answer("Error", &theirs, odd)).await;
        assert_eq!(state(theirs.clone()).await, CommandState::Error);
        door.table.row("ErrorChain of another shape", odd, "200, the next command; the failure counts", "200");
        let first = state(theirs.clone()).await;
        other.next_command(&answer("Acknowledged", &theirs, "")).await;
        assert_eq!(state(theirs.clone()).await, first, "the first answer counts");
        door.table.row(
            "result twice, the second another one",
            "Error, then Acknowledged",
            "200, the next command; the first answer counts",
            "200",
        );
        let odd = "<key>ManagedApplicationList</key><array/><key>QueryResponses</key><string>x</string>";
        other.next_command(&answer("Acknowledged", &next, odd)).await;
        assert_eq!(state(next.clone()).await, CommandState::Acknowledged);
        door.table.row("answers of another type than asked for", odd, "200; nothing was learned from it", "200");
        assert_eq!(fingerprint(&app, &["command"]).await, before);
        assert_eq!(other.next_command(&other.idle()).await, None, "nothing waits any more");
        door.table.end(13);
    });
}
