//! Groups of devices by list, file and rule; people and their groups from the file directory, and what becomes of them when the
//! file changes, breaks or shrinks.

use sandbox::device::DeviceSpec;
use vppd::clock::Clock;
use vppd::model::{GroupKind, Ownership};
use vppd::operations::view::*;
use vppd::operations::{Kind, OperationError, alerts, device_notes, directory, groups, people, users};

use crate::support::*;

const DAY: u64 = 24 * 60;

/// An appliance whose directory is the file `name` in its folder.
async fn with_directory(clock: Clock, name: &str) -> App {
    App::start_with(clock, &[], |text| {
        let socket = text.split("control-socket = \"").nth(1).unwrap().split('"').next().unwrap();
        let file = std::path::Path::new(socket).with_file_name(name);
        format!("{text}[directory]\nfile = {:?}\n", file.display().to_string())
    })
    .await
}

fn write(app: &App, name: &str, content: &str) {
    std::fs::write(app.path(name), content).unwrap();
}

/// A person of the file, as TOML.
fn person(uid: u32, groups: &str, devices: &str) -> String {
    format!("[[person]]\nuid = \"{uid}\"\nemail = \"p{uid}@example.org\"\ngroups = [{groups}]\ndevices = [{devices}]\n")
}

/// People of the file with these uids, all teachers.
fn teachers(uids: impl Iterator<Item = u32>) -> String {
    uids.map(|uid| person(uid, "\"Teachers\"", "")).collect()
}

async fn sync(app: &App, confirm: bool) -> Result<DirectoryView, OperationError> {
    directory::sync(&app.context, DirectorySyncRequest { confirm }, "test").await
}

async fn show(app: &App, who: &str) -> PersonView {
    people::show(&app.context, who.into()).await.unwrap()
}

async fn group(app: &App, name: &str) -> GroupDetailView {
    groups::show(&app.context, name.into()).await.unwrap()
}

async fn add_group(app: &App, name: &str, rule: Option<&str>) -> Result<GroupView, OperationError> {
    let request = GroupAddRequest { name: name.into(), rule: rule.map(str::to_owned), ..GroupAddRequest::default() };
    groups::add(&app.context, request, "test").await
}

async fn open_alerts(app: &App) -> Vec<String> {
    alerts::list(&app.context, false).await.unwrap().into_iter().map(|alert| alert.kind).collect()
}

fn serials(detail: &GroupDetailView) -> Vec<&str> {
    detail.devices.iter().map(|device| device.serial.as_str()).collect()
}

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn devices_are_in_groups_by_list_by_file_and_by_rule() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let specs: Vec<DeviceSpec> = devices(0, 3);
        let names: Vec<String> = specs.iter().map(|spec| spec.serial.clone()).collect();
        app.enrol(specs).await;
        app.wait(minutes(5)).await;

        let made = cli(&app, &["group", "add", "Room 12", "--device", &names[0], "--device", "notyet1"]).await;
        assert!(made.status.success(), "{}", text(&made));
        assert!(text(&made).contains("enrolled devices:  1 of 2 listed"), "{}", text(&made));
        write(&app, "register.csv", &format!("Room;Serial\n12;{}\n12;NOTYET1\n", names[1].to_lowercase()));
        let file = app.path("register.csv").display().to_string();
        let imported = cli(&app, &["group", "import", "room 12", &file]).await;
        assert!(text(&imported).contains("1 device added, 0 taken out, 1 as they were"), "{}", text(&imported));
        let replaced = cli(&app, &["group", "import", "Room 12", &file, "--replace"]).await;
        assert!(text(&replaced).contains("0 devices added, 1 taken out, 2 as"), "{}", text(&replaced));
        let shown = group(&app, "Room 12").await;
        assert_eq!(serials(&shown), [names[1].as_str(), "NOTYET1"]);
        assert_eq!((shown.devices[0].enrolled, shown.devices[1].enrolled), (true, false));
        write(&app, "register.csv", "serial\nDMPX 0001\n");
        let refused = cli(&app, &["group", "import", "Room 12", &file, "--replace"]).await;
        assert!(!refused.status.success());
        assert!(text(&refused).contains("line 2, column 1: \"DMPX 0001\" is no serial number"), "{}", text(&refused));
        assert_eq!(group(&app, "Room 12").await.devices.len(), 2, "nothing was changed");

        let rule = "(model = \"iPad*\" or model = iPhone15*) and os >= 9 and supervised and not tag = lab";
        assert_eq!(add_group(&app, "Tablets", Some(rule)).await.unwrap().devices, 3);
        let note = cli(&app, &["device", "edit", &names[0], "--tag", "lab", "--ownership", "kiosk"]).await;
        assert!(text(&note).contains("ownership:  kiosk"), "{}", text(&note));
        assert_eq!(group(&app, "Tablets").await.group.devices, 2);
        let edit =
            GroupEditRequest { rule: Some("tag = lab or serial = NOTYET*".into()), ..GroupEditRequest::default() };
        assert_eq!(groups::edit(&app.context, "tablets".into(), edit, "test").await.unwrap().devices, 1);
        let detail = cli(&app, &["device", "show", &names[0]]).await;
        assert!(text(&detail).contains("groups:          Tablets\n"), "{}", text(&detail));

        let wrong = cli(&app, &["group", "edit", "Tablets", "--rule", "modell = x"]).await;
        assert!(text(&wrong).contains("column 1: \"modell\" is nothing that a rule knows"), "{}", text(&wrong));
        let listed = cli(&app, &["group", "list"]).await;
        assert!(text(&listed).contains("tag = lab or serial = NOTYET*"), "{}", text(&listed));
        assert!(cli(&app, &["group", "remove", "Tablets"]).await.status.success());
        let gone = cli(&app, &["group", "show", "Tablet"]).await;
        assert!(text(&gone).contains("there is no group \"Tablet\""), "{}", text(&gone));
    });
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        add_group(&app, "Room 12", None).await.unwrap();
        let kind = |error: OperationError| (error.kind, error.code);
        let taken = add_group(&app, "ROOM 12", Some("supervised")).await.unwrap_err();
        assert_eq!(kind(taken), (Kind::Conflict, "name-taken"));
        for name in ["", "a\"b", "a*", "a\nb"] {
            assert_eq!(kind(add_group(&app, name, None).await.unwrap_err()), (Kind::Invalid, "group-name"), "{name:?}");
        }
        let both = GroupAddRequest {
            name: "Both".into(),
            rule: Some("supervised".into()),
            devices: vec!["D1".into()],
            ..GroupAddRequest::default()
        };
        assert_eq!(kind(groups::add(&app.context, both, "test").await.unwrap_err()).1, "group-kind");
        let rule = add_group(&app, "Guests", Some("group = Nobodies")).await.unwrap();
        assert!(rule.notes[0].contains("no group of people is called \"Nobodies\""), "{:?}", rule.notes);
        let put = GroupDevicesRequest { add: vec!["D1".into()], remove: Vec::new() };
        let error = groups::change_devices(&app.context, "Guests".into(), put, "test").await.unwrap_err();
        assert!(error.message.contains("has a rule"), "{error}");
        let nobody = DeviceEditRequest { person: Some("nobody@example.org".into()), ..DeviceEditRequest::default() };
        let error = device_notes::edit(&app.context, "D1".into(), nobody, "test").await.unwrap_err();
        assert!(error.message.contains("there is no person"), "{error}");
        let tags = DeviceEditRequest { tags: Some(vec!["a\"b".into()]), ..DeviceEditRequest::default() };
        assert_eq!(kind(device_notes::edit(&app.context, "D1".into(), tags, "test").await.unwrap_err()).1, "tags");
        assert_eq!(kind(sync(&app, false).await.unwrap_err()), (Kind::Invalid, "no-directory"));
    });
}

#[test]
fn people_come_go_and_come_back_with_the_file() {
    story(|clock| async move {
        let app = with_directory(clock, "people.toml").await;
        app.wait(minutes(1)).await;
        assert_eq!(open_alerts(&app).await, ["directory-refused"], "there is no file yet");
        let two = person(1, "\"Teachers\", \"Year 5\"", "\"dev1\"") + &person(2, "\"teachers\"", "\"DEV2\"");
        write(&app, "people.toml", &two);
        app.wait(minutes(1)).await;
        assert!(open_alerts(&app).await.is_empty());
        let anna = show(&app, "p1@example.org").await;
        assert_eq!((anna.state, anna.groups.len(), anna.devices), (PersonState::Present, 2, vec!["DEV1".to_owned()]));
        assert!(anna.registered.is_empty(), "who is only in the directory is not registered at Apple");
        let of_people = group(&app, "Teachers").await;
        assert_eq!((of_people.group.kind, of_people.people.len()), (GroupKind::People, 2));
        let refused = groups::remove(&app.context, "Teachers".into(), "test").await.unwrap_err();
        assert_eq!(refused.code, "from-directory");

        // A word of an administrator stands until it is taken back.
        let by_hand = |who: &str| DeviceEditRequest { person: Some(who.into()), ..DeviceEditRequest::default() };
        device_notes::edit(&app.context, "DEV2".into(), by_hand("p1@example.org"), "test").await.unwrap();
        sync(&app, false).await.unwrap();
        assert_eq!(show(&app, "p1@example.org").await.devices, ["DEV1", "DEV2"]);
        device_notes::edit(&app.context, "DEV2".into(), by_hand(""), "test").await.unwrap();
        let changes = sync(&app, false).await.unwrap().changes.unwrap();
        assert_eq!(changes, DirectoryChangesView { devices: 1, ..DirectoryChangesView::default() });
        let note = device_notes::show(&app.context, "DEV2".into()).await.unwrap();
        assert_eq!((note.person.as_str(), note.ownership), ("p2@example.org", Ownership::Organisation));
        assert_eq!(note.groups, ["Teachers"]);

        // Who is gone keeps everything for seven days.
        write(&app, "people.toml", &person(1, "\"Year 5\"", ""));
        app.wait(minutes(1)).await;
        let anna = show(&app, "p1@example.org").await;
        assert_eq!((anna.groups, anna.devices), (vec!["Year 5".to_owned()], Vec::new()), "a change holds at once");
        let bert = show(&app, "p2@example.org").await;
        assert_eq!((bert.state, bert.groups.len(), bert.devices.len()), (PersonState::Leaving, 1, 1));
        app.wait(minutes(6 * DAY)).await;
        assert_eq!(show(&app, "p2@example.org").await.groups, ["Teachers"]);
        write(&app, "people.toml", &two);
        app.wait(minutes(1)).await;
        let bert = show(&app, "p2@example.org").await;
        assert_eq!((bert.state, bert.gone_at), (PersonState::Present, None));
        write(&app, "people.toml", &person(1, "\"Year 5\"", ""));
        app.wait(minutes(6 * DAY)).await;
        assert_eq!(show(&app, "p2@example.org").await.state, PersonState::Leaving, "the seven days begin anew");
        app.wait(minutes(DAY + 15)).await;
        let bert = show(&app, "p2@example.org").await;
        assert_eq!((bert.state, bert.groups, bert.devices), (PersonState::Gone, Vec::new(), Vec::new()));

        // And even then the same person comes back.
        write(&app, "people.toml", &two);
        app.wait(minutes(1)).await;
        let back = show(&app, "p2@example.org").await;
        assert_eq!((back.id, back.state, back.groups.len()), (bert.id, PersonState::Present, 1));
        app.assert_clean();
    });
}

#[test]
fn a_broken_file_changes_nothing_and_a_shrunken_one_waits() {
    story(|clock| async move {
        let mut app = with_directory(clock, "people.toml").await;
        write(&app, "people.toml", &teachers(0..20));
        sync(&app, false).await.unwrap();
        assert_eq!(group(&app, "Teachers").await.people.len(), 20);

        write(&app, "people.toml", &format!("{}[[person]]\nuid = 5\n", teachers(0..3)));
        app.wait(minutes(1)).await;
        assert_eq!(open_alerts(&app).await, ["directory-refused"]);
        let said = cli(&app, &["directory", "sync"]).await;
        assert!(!said.status.success());
        assert!(text(&said).contains("line 17, column 7: invalid type: integer `5`"), "{}", text(&said));
        assert!(people::list(&app.context).await.unwrap().iter().all(|person| person.state == PersonState::Present));

        // Four of twenty are a fifth; five are more.
        write(&app, "people.toml", &teachers(4..20));
        app.wait(minutes(1)).await;
        assert!(open_alerts(&app).await.is_empty());
        assert_eq!(show(&app, "p3@example.org").await.state, PersonState::Leaving);
        write(&app, "people.toml", &teachers(9..20));
        app.wait(minutes(1)).await;
        assert_eq!(open_alerts(&app).await, ["directory-held"]);
        assert_eq!(show(&app, "p8@example.org").await.state, PersonState::Present);
        write(&app, "people.toml", "");
        app.wait(minutes(1)).await;
        let held = directory::show(&app.context).await.unwrap();
        assert_eq!((held.state, held.people), (DirectoryState::Held, 16));
        assert!(held.problems[0].contains("16 of the 16 people"), "{:?}", held.problems);
        app.restart().await;
        app.wait(minutes(1)).await;
        assert_eq!(show(&app, "p8@example.org").await.state, PersonState::Present, "a restart confirms nothing");
        assert_eq!(sync(&app, false).await.unwrap_err().code, "directory-held");

        write(&app, "people.toml", &teachers(9..20));
        let confirmed = cli(&app, &["directory", "sync", "--confirm"]).await;
        assert!(text(&confirmed).contains("changes:       5 gone"), "{}", text(&confirmed));
        assert!(open_alerts(&app).await.is_empty());
        assert_eq!(show(&app, "p8@example.org").await.state, PersonState::Leaving);
        std::fs::remove_file(app.path("people.toml")).unwrap();
        app.wait(minutes(8 * DAY)).await;
        assert_eq!(
            show(&app, "p10@example.org").await.state,
            PersonState::Present,
            "a file that is lost changes nothing"
        );
        assert_eq!(group(&app, "Teachers").await.people.len(), 11);
    });
}

#[test]
fn people_who_were_registered_by_hand_are_the_same_and_conflicts_are_told() {
    story(|clock| async move {
        let app = with_directory(clock, "people.csv").await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(1)).await;
        let wish =
            UserAddRequest { location: "Leeds".into(), email: "P1@example.org".into(), ..UserAddRequest::default() };
        let anna = users::add(&app.context, wish, "test").await.unwrap();
        add_group(&app, "Room 12", None).await.unwrap();
        write(&app, "people.csv", "uid,email,groups\n1,p1@example.org,Room 12;Teachers\n2,p2@example.org,Teachers\n");
        let view = sync(&app, false).await.unwrap();
        assert!(view.problems[0].contains("group \"Room 12\" is left out"), "{:?}", view.problems);
        assert_eq!(open_alerts(&app).await, ["directory-conflict"]);
        let same = show(&app, "p1@example.org").await;
        assert_eq!((same.id, same.registered, same.groups), (anna.id, vec!["Leeds".into()], vec!["Teachers".into()]));

        // Two people change their addresses over; Apple is told of the one whom it knows.
        write(&app, "people.csv", "uid,email,groups\n1,p2@example.org,Teachers\n2,p1@example.org,Teachers\n");
        let view = sync(&app, false).await.unwrap();
        assert_eq!((view.changes.unwrap().changed, view.problems.len()), (2, 0));
        assert!(open_alerts(&app).await.is_empty());
        assert_eq!(show(&app, &anna.id.to_string()).await.email, "p2@example.org");
        app.wait(minutes(2)).await;
        let at_apple = app.sandbox.apple.location(&app.uid).unwrap().users;
        assert_eq!(at_apple[0].email.as_deref(), Some("p2@example.org"));

        // An address that belongs to somebody who has gone is nobody else's.
        write(&app, "people.csv", "uid,email,groups\n1,p2@example.org,Teachers\n3,p1@example.org,Teachers\n");
        let view = sync(&app, false).await.unwrap();
        assert!(view.problems[0].contains("p1@example.org is left out"), "{:?}", view.problems);
        let rename = UserEditRequest { email: Some("p1.former@example.org".into()), ..UserEditRequest::default() };
        users::edit(&app.context, "p1@example.org".into(), rename, "test").await.unwrap();
        let view = sync(&app, false).await.unwrap();
        assert_eq!((view.changes.unwrap().added, view.problems.len()), (1, 0));
        assert_eq!(show(&app, "p1@example.org").await.external_id.as_deref(), Some("3"));
        assert_eq!(show(&app, "p1.former@example.org").await.state, PersonState::Leaving);
    });
}
