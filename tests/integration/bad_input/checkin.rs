//! Check-in messages that are lists, but not what Apple describes.

use super::visitor::*;
use crate::captured;
use crate::support::*;

/// The keys of a message with one of them replaced; an empty replacement leaves it out.
fn with(keys: &str, key: &str, replacement: &str) -> String {
    let start = keys.find(&format!("<key>{key}</key>")).unwrap();
    let rest = &keys[start + key.len() + 11..];
    let end = rest.find("<key>").map_or(keys.len(), |end| keys.len() - rest.len() + end);
    format!("{}{replacement}{}", &keys[..start], &keys[end..])
}

#[test]
fn every_strange_check_in_is_refused_and_the_device_stays_enrolled() {
    captured::listen();
    story(|clock| async move {
        let app = App::start(clock.clone(), &[]).await;
        let keys = device_keys(&clock).await;
        let witness = Visitor::at_rest(&app, 1, keys.take().unwrap()).await;
        let other = Visitor::at_rest(&app, 2, keys.take().unwrap()).await;
        let (enter, update) = (witness.authenticate(), witness.token_update());
        let who = text("UDID", &witness.udid);
        let kind = |name: &str| text("MessageType", name) + &who;
        let mut door = Doorstep::new(&app, "check-in", &witness);
        let long = "Ω".repeat(100_000);
        for (name, keys, says) in [
            (
                "unknown MessageType",
                kind("ReturnOfTheDevice"),
                "\"ReturnOfTheDevice\" is no message that this vppd knows",
            ),
            ("MessageType with a line break", kind("A\nINFO vppd: all is well"), "A\\nINFO vppd"),
            ("MessageType of 200 kB", kind(&long), "is no message that this vppd knows"),
            ("no MessageType", who.clone(), "key MessageType is missing"),
            (
                "MessageType is a number",
                format!("{who}<key>MessageType</key><integer>1</integer>"),
                "key MessageType does not",
            ),
            ("MessageType is empty", kind(""), "key MessageType does not"),
            ("Authenticate without UDID", with(&enter, "UDID", ""), "key UDID is missing"),
            ("UDID is a number", with(&enter, "UDID", "<key>UDID</key><integer>7</integer>"), "key UDID does not"),
            ("UDID is empty", with(&enter, "UDID", &text("UDID", "")), "key UDID does not"),
            ("UDID of 300 letters", with(&enter, "UDID", &text("UDID", &"A".repeat(300))), "key UDID does not"),
            ("UDID with a line break", with(&enter, "UDID", &text("UDID", "A\nB")), "key UDID does not"),
            ("UserID is a list", format!("{enter}<key>UserID</key><array/>"), "key UserID does not"),
            ("Authenticate without Topic", with(&enter, "Topic", ""), "key Topic is missing"),
            ("Topic is data", with(&enter, "Topic", "<key>Topic</key><data>AAEC</data>"), "key Topic does not"),
            ("Authenticate of a user", enter.clone() + &text("UserID", "4C5F-11"), "user channel"),
            (
                "Authenticate with another device's serial",
                with(&enter, "SerialNumber", &text("SerialNumber", &other.serial)),
                "serial number belongs to device",
            ),
            ("Authenticate with another device's UDID", with(&enter, "UDID", &text("UDID", &other.udid)), "to device"),
            ("TokenUpdate without Token", with(&update, "Token", ""), "key Token is missing"),
            ("Token is text", with(&update, "Token", &text("Token", "abc")), "key Token does not"),
            ("Token is empty", with(&update, "Token", "<key>Token</key><data></data>"), "key Token does not"),
            ("TokenUpdate without PushMagic", with(&update, "PushMagic", ""), "key PushMagic is missing"),
            (
                "PushMagic is data",
                with(&update, "PushMagic", "<key>PushMagic</key><data>AA==</data>"),
                "key PushMagic does not",
            ),
            (
                "TokenUpdate for another device",
                with(&update, "UDID", &text("UDID", &other.udid)),
                "another certificate",
            ),
            (
                "CheckOut for another device",
                text("MessageType", "CheckOut") + &text("UDID", &other.udid),
                "another certificate",
            ),
            ("GetToken", kind("GetToken") + &text("TokenServiceType", "com.apple.maid"), "which vppd does not give"),
            ("GetToken without service", kind("GetToken"), "key TokenServiceType is missing"),
            (
                "DeclarativeManagement with an endpoint of its own",
                kind("DeclarativeManagement") + &text("Endpoint", "declaration/moon"),
                "unknown endpoint",
            ),
            (
                "a status report that is none",
                kind("DeclarativeManagement") + &text("Endpoint", "status") + "<key>Data</key><data>W10=</data>",
                "status report is no JSON object",
            ),
            ("DeclarativeManagement without endpoint", kind("DeclarativeManagement"), "key Endpoint is missing"),
        ] {
            let sent: String = keys.chars().take(40).collect();
            door.refused(name, &sent.replace('\n', " "), "/checkin", list(&keys), says).await;
        }
        door.refused(
            "a check-in sent to the command channel",
            "Authenticate",
            "/mdm",
            list(&enter),
            "key Status is missing",
        )
        .await;
        door.table.end(29);
    });
}
