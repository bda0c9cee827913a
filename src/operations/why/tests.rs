use super::*;
use crate::model::{App, DeviceId};
use crate::operations::view::MomentKind;
use crate::store::timeline::LicenceWord;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn command(state: CommandState, error: &str) -> Command {
    Command {
        id: 1,
        uuid: "u".into(),
        device: DeviceId(1),
        request_type: "InstallApplication".into(),
        adam_id: Some("1".into()),
        body: String::new(),
        priority: 2,
        state,
        queued_at: at(20),
        answered_at: Some(at(50)),
        error: error.into(),
        sent_at: Some(at(40)),
        chain: "[]".into(),
        put_off_at: Some(at(30)),
        put_offs: 2,
    }
}

#[test]
fn a_time_line_tells_everything_in_the_order_of_time() {
    let change = |second, app, status: &str, cause| Change {
        at: at(second),
        app,
        status: status.into(),
        cause,
        reason: "no licence".into(),
    };
    let licence = |second, what, detail: &str| LicenceMoment {
        at: at(second),
        location: "Leeds".into(),
        what,
        detail: detail.into(),
    };
    let told = moments::moments(
        &[command(CommandState::Error, "no licence")],
        &[
            change(20, App::InstallQueued, "", None),
            change(50, App::InstallRetry, "Failed", Some(Cause::LicenceNotSeen)),
        ],
        &[licence(5, LicenceWord::Asked, ""), licence(15, LicenceWord::Given, "E1")],
        &[(at(21), String::new()), (at(25), "APNs says Unregistered".into())],
    );
    let lines: Vec<(i64, MomentKind, &str)> =
        told.iter().map(|moment| (moment.at.as_second(), moment.kind, moment.what.as_str())).collect();
    let expected = [
        (5, MomentKind::Licence, "Apple is asked for a licence of Leeds"),
        (15, MomentKind::Event, "Apple has given the licence of Leeds (Apple's event E1)"),
        (20, MomentKind::Command, "InstallApplication is queued"),
        (21, MomentKind::Push, "the device was pushed"),
        (25, MomentKind::Push, "the device could not be pushed: APNs says Unregistered"),
        (30, MomentKind::Answer, "the device put InstallApplication off (NotNow), 2 times until now"),
        (40, MomentKind::CheckIn, "the device came and took InstallApplication"),
        (50, MomentKind::Answer, "the device refused InstallApplication: no licence"),
        (50, MomentKind::State, "did not work: it is tried again (Failed), licence-not-seen: no licence"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_last_chain_is_shown_as_it_came() {
    let mut failed = command(CommandState::Error, "");
    assert_eq!(chain_of(&failed), None);
    failed.chain = r#"[{"domain":"FooDomain","code":7,"us_english":"No."},{"domain":"BarDomain","code":-1}]"#.into();
    assert_eq!(chain_of(&failed).unwrap(), "FooDomain 7 “No.”; BarDomain -1");
}
