//! Every way out of a licence, for devices and for people, with the device there and away: who gets what back, and by when.
//! Each story is one appliance in which all ways out happen at once, beside a device that must keep everything it has; it
//! prints its part of the table (`cargo nextest run exit_matrix --no-capture`).

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use sandbox::apns::{AnswerRule, PushAnswer};
use sandbox::apple::NewAsset;
use sandbox::device::Person;
use sandbox::device::options::Refused;
use serde_json::json;
use vppd::clock::Clock;
use vppd::model::LicenceKind;
use vppd::operations::view::*;
use vppd::operations::{by_hand, deployments, device_notes, device_removal, directory, groups, users};
use vppd::store::devices as known_devices;

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = HOUR;
const OFFLINE: Duration = Duration::from_secs(24 * 3600);
const SILENT: Duration = Duration::from_secs(4 * 24 * 3600);
const REJECTED: Duration = Duration::from_secs(36 * 3600);
const GRACE: Duration = Duration::from_secs(48 * 3600);
/// What comes on top of a deadline: the times of the plans, of the looks at the directory, and of Apple's own work.
const SLACK: Duration = Duration::from_secs(2 * 3600);

const BESIDE: &str = "1600000200";
const BOOK: &str = "1700000033";
/// Exits whose device or person stays, so that another app there must stay, too.
const STAYERS: [usize; 6] = [1, 2, 3, 4, 5, 12];

fn app_of(exit: usize) -> String {
    format!("16000001{exit:02}")
}

fn email(number: usize) -> String {
    format!("p{number}@example.org")
}

struct World {
    app: App,
    kind: LicenceKind,
    serials: Vec<String>,
    people: Vec<String>,
}

/// One way out of one kind of licence.
struct Cell {
    exit: usize,
    way: &'static str,
    rule: &'static str,
    /// When the way out began, and between which times after that the licence is to be back; or why there is no such cell.
    times: Result<(Timestamp, Duration, Duration), &'static str>,
    back: Option<Duration>,
}

impl World {
    async fn new(clock: Clock, kind: LicenceKind, online: bool) -> World {
        let assets: Vec<String> = (1..=13).map(app_of).chain([BESIDE.to_owned()]).collect();
        let assets: Vec<(&str, i64)> = assets.iter().map(|id| (id.as_str(), 20)).collect();
        let app = App::start_with(clock, &assets, |text| {
            let socket = text.split("control-socket = \"").nth(1).unwrap().split('"').next().unwrap();
            let file = std::path::Path::new(socket).with_file_name("people.toml").display().to_string();
            format!(
                "{text}[licences]\noffline-limit = \"24h\"\nsilent-after = \"96h\"\nrejected-after = \"36h\"\n\
                 [directory]\nfile = {file:?}\ngrace = \"48h\"\n"
            )
        })
        .await;
        app.sandbox.apple.add_asset(&app.uid, NewAsset::book(BOOK, 20)).unwrap();
        let mut specs = devices(0, 14);
        let too_old = Refused { reason: Some("NotSupported".into()), ..Refused::default() };
        specs[13].behaviour.refuse_installs = vec![too_old; 9];
        specs[6].supervised = false;
        specs[6].person = Person::Decline { after: Duration::from_secs(30) };
        specs[7].behaviour.lose_check_out = !online;
        let serials: Vec<String> = specs.iter().map(|spec| spec.serial.clone()).collect();
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(1)).await;
        let mut people = Vec::new();
        for (number, serial) in serials.iter().enumerate() {
            let account = format!("p{number}@managed.example");
            app.sandbox.apple.sign_in(serial, &account);
            let managed_account = Some(account);
            let request = UserAddRequest {
                location: "Leeds".into(),
                email: email(number),
                managed_account,
                ..Default::default()
            };
            people.push(users::add(&app.context, request, "test").await.unwrap().client_user_id);
        }
        let world = World { app, kind, serials, people };
        world.directory(&[0, 10]).await;
        for number in (0..14).filter(|number| *number != 10) {
            let note = DeviceEditRequest { person: Some(email(number)), ..DeviceEditRequest::default() };
            device_notes::edit(&world.app.context, world.serials[number].clone(), note, "test").await.unwrap();
        }
        world.app.enrol(specs).await;
        world.app.wait(minutes(2)).await;
        world
    }

    /// The directory knows these people; the one of the tenth exit is in a group of its own and has its device from there.
    async fn directory(&self, people: &[usize]) {
        let entry = |number: &usize| {
            let leaver = *number == 10;
            let devices = if leaver { format!("\"{}\"", self.serials[10]) } else { String::new() };
            let groups = if leaver { "\"Leavers\"" } else { "" };
            format!(
                "[[person]]\nuid = \"{number}\"\nemail = \"{}\"\nmanaged-account = \"p{number}@managed.example\"\n\
                 groups = [{groups}]\ndevices = [{devices}]\n",
                email(*number)
            )
        };
        std::fs::write(self.app.path("people.toml"), people.iter().map(entry).collect::<String>()).unwrap();
        let looked = directory::sync(&self.app.context, DirectorySyncRequest { confirm: false }, "test").await.unwrap();
        assert!(looked.problems.is_empty(), "{:?}", looked.problems);
    }

    async fn deploy(&self, adam_id: &str, to: &str, kind: LicenceKind) -> i64 {
        let terms = TermsRequest { licence: Some(kind), ..TermsRequest::default() };
        let request = DeployRequest {
            terms,
            confirm_irrevocable: true,
            ..DeployRequest::new(adam_id, to, PurposeView::Required)
        };
        deployments::add(&self.app.context, request, "test").await.unwrap().deployment.id
    }

    async fn hand(&self, decision: DecisionView, adam_id: &str, holder: String) -> ByHandOutcome {
        let request = ByHandRequest {
            decision,
            apps: vec![adam_id.to_owned()],
            holders: vec![holder],
            items: Vec::new(),
            token: None,
            licence_only: false,
            dry_run: false,
            expected: None,
        };
        by_hand::decide(&self.app.context, request, "test").await.unwrap().items[0].outcome
    }

    async fn purpose(&self, deployment: i64, purpose: PurposeView) {
        let request = DeployEditRequest { purpose: Some(purpose), ..DeployEditRequest::default() };
        deployments::edit(&self.app.context, deployment, request, "test").await.unwrap();
    }

    async fn undeploy(&self, deployment: i64) {
        deployments::remove(&self.app.context, deployment, "test").await.unwrap();
    }

    /// From now on no push reaches the devices of these exits.
    async fn take_away(&self, exits: std::ops::RangeInclusive<usize>) {
        let all = self.app.context.store.read(known_devices::all).await.unwrap();
        for device in all.iter().filter(|one| self.serials[exits.clone()].contains(&one.serial)) {
            let token = device.push.token.as_ref().unwrap();
            let token_prefix = Some(token.iter().map(|byte| format!("{byte:02x}")).collect());
            let answer = PushAnswer::Canned { status: 200, body: String::new() };
            self.app.sandbox.apns.add_answer(AnswerRule { answer, token_prefix, next: None });
        }
    }

    fn holder(&self, number: usize) -> String {
        match self.kind {
            LicenceKind::User => format!("person:{}", email(number)),
            _ => format!("serial:{}", self.serials[number]),
        }
    }

    /// Everything that is held at Apple: (adamId, serial number or clientUserId).
    fn held(&self) -> BTreeSet<(String, String)> {
        let location = self.app.sandbox.apple.location(&self.app.uid).unwrap();
        let all = location.assignments.into_iter();
        all.filter_map(|one| Some((one.adam_id, one.serial_number.or(one.client_user_id)?))).collect()
    }

    fn licence(&self, adam_id: &str, number: usize) -> (String, String) {
        let by_user = self.kind == LicenceKind::User || adam_id == BOOK;
        (adam_id.to_owned(), if by_user { self.people[number].clone() } else { self.serials[number].clone() })
    }

    fn now(&self) -> Timestamp {
        self.app.clock.now()
    }
}

/// All ways out of one kind of licence, with the devices there or away.
fn matrix(kind: LicenceKind, online: bool) {
    story(|clock| async move {
        let world = World::new(clock, kind, online).await;
        let (app, by_user) = (&world.app, kind == LicenceKind::User);
        let beside = GroupAddRequest {
            name: "Beside".into(),
            devices: STAYERS.iter().chain([&0]).map(|number| world.serials[*number].clone()).collect(),
            ..GroupAddRequest::default()
        };
        groups::add(&app.context, beside, "test").await.unwrap();
        let scope = GroupAddRequest {
            name: "Scope".into(),
            devices: vec![world.serials[2].clone()],
            ..GroupAddRequest::default()
        };
        groups::add(&app.context, scope, "test").await.unwrap();
        world.deploy(BESIDE, "group:Beside", kind).await;
        let mut of_exit = [0; 14];
        for (exit, deployed) in of_exit.iter_mut().enumerate().skip(1) {
            world.deploy(&app_of(exit), &format!("serial:{}", world.serials[0]), kind).await;
            let to = match exit {
                1 | 12 => continue,
                2 => "group:Scope".to_owned(),
                10 => "group:Leavers".to_owned(),
                11 => format!("person:{}", email(11)),
                _ => format!("serial:{}", world.serials[exit]),
            };
            *deployed = world.deploy(&app_of(exit), &to, kind).await;
        }
        let given = world.hand(DecisionView::Assigned, &app_of(1), world.holder(1)).await;
        assert_eq!(given, ByHandOutcome::Assigns);
        let mut book = 0;
        if by_user {
            book = world.deploy(BOOK, &format!("person:{}", email(3)), LicenceKind::User).await;
            world.hand(DecisionView::Assigned, BOOK, format!("person:{}", email(1))).await;
        }
        app.wait(minutes(40)).await;
        let held = world.held();
        for exit in (1..12).chain([13]) {
            assert!(held.contains(&world.licence(&app_of(exit), exit)), "exit {exit} has nothing to come out of");
            assert_eq!(
                app.installed(&app_of(exit)).contains(&world.serials[exit]),
                ![6, 13].contains(&exit),
                "exit {exit}"
            );
        }

        // All ways out at once.
        if !online {
            world.take_away(1..=13).await;
        }
        let slow = |delay: u64| json!({"chunk-delay-ms": [delay, delay]}).as_object().unwrap().clone();
        if online {
            app.sandbox.apple.patch_switches(slow(600_000)).unwrap();
        }
        let queued = world.deploy(&app_of(12), &format!("serial:{}", world.serials[12]), kind).await;
        app.wait(if online { minutes(1) } else { minutes(10) }).await;
        let asked = app.context.store.read(|c| vppd::store::events::open(c, vppd::model::LocationId(1))).await.unwrap();
        assert_eq!(asked.len(), usize::from(online), "{asked:?}");
        assert_eq!(world.held().contains(&world.licence(&app_of(12), 12)), !online);
        world.undeploy(queued).await;
        app.sandbox.apple.patch_switches(slow(400)).unwrap();
        let start = world.now();
        world.hand(DecisionView::Revoked, &app_of(1), world.holder(1)).await;
        let out = GroupDevicesRequest { add: Vec::new(), remove: vec![world.serials[2].clone()] };
        groups::change_devices(&app.context, "Scope".into(), out, "test").await.unwrap();
        world.undeploy(of_exit[3]).await;
        world.purpose(of_exit[4], PurposeView::Uninstall).await;
        world.purpose(of_exit[5], PurposeView::Available).await;
        assert!(app.fleet.device(&world.serials[5]).unwrap().person_deletes_app(&app_of(5)));
        app.fleet.device(&world.serials[7]).unwrap().unenrol().await;
        device_removal::remove(&app.context, world.serials[8].clone(), "test").await.unwrap();
        world.directory(&[0]).await;
        users::retire(&app.context, email(11), UserRetireRequest::default(), "test").await.unwrap();
        if by_user {
            world.undeploy(book).await;
            let refused = world.hand(DecisionView::Revoked, BOOK, format!("person:{}", email(1))).await;
            assert_eq!(refused, ByHandOutcome::Impossible, "a book stays for good");
        }

        let confirmed = if online { Ok((start, Duration::ZERO, SOON)) } else { Ok((start, OFFLINE, OFFLINE + SLACK)) };
        let at_once = Ok((start, Duration::ZERO, SOON));
        let silent = Ok((start, SILENT - SLACK, SILENT + SLACK));
        // After the grace the device is nobody's, and the person's licence serves nobody.
        let grace = if online || by_user { GRACE } else { GRACE + OFFLINE };
        let gone = if by_user { "grace, then back" } else { "grace, removed, then back" };
        let cell = |exit, way, rule, times| Cell { exit, way, rule, times, back: None };
        let mut cells = vec![
            cell(1, "unassigned by hand", "removed, then back", confirmed),
            cell(2, "out of scope", "removed, then back", confirmed),
            cell(3, "deployment deleted", "removed, then back", confirmed),
            cell(4, "app removed by us", "back once confirmed", confirmed),
            if online {
                let asked = Ok((start, Duration::ZERO, SILENT / 2 + SLACK));
                cell(5, "app removed by the person", "the device is asked, and tells", asked)
            } else {
                cell(5, "app removed by the person", "nobody tells: silent-after", silent)
            },
            cell(6, "install rejected for good", "rejected-after", Ok((start, REJECTED - SLACK, REJECTED + SLACK))),
            if online {
                cell(7, "checked out", "at once", at_once)
            } else {
                cell(7, "checked out, and nobody heard it", "silent-after", silent)
            },
            cell(8, "deleted by the administrator", "at once", at_once),
            if online {
                cell(9, "silent for N days", "", Err("cannot be: a device that is there is asked, and answers"))
            } else {
                cell(9, "silent for N days", "silent-after", silent)
            },
            cell(10, "person gone from the directory", gone, Ok((start, grace, grace + SLACK))),
            if by_user {
                cell(11, "person retired", "Apple takes them at once", at_once)
            } else {
                cell(11, "person retired", "removed, then back", confirmed)
            },
            if online {
                cell(12, "cancelled before its licence came", "back when it comes", at_once)
            } else {
                cell(12, "cancelled after its licence came", "at once: nothing was sent", at_once)
            },
            cell(13, "the device cannot run it", "rejected-after", Ok((start, REJECTED - SLACK, REJECTED + SLACK))),
        ];

        let all_of = |number: usize| (1..=13).map(app_of).map(move |adam_id| (adam_id, number));
        let mut keepers: BTreeSet<_> = all_of(0).map(|(adam_id, number)| world.licence(&adam_id, number)).collect();
        keepers.insert(world.licence(BESIDE, 0));
        let until_silent: Vec<_> = STAYERS.iter().map(|number| world.licence(BESIDE, *number)).collect();
        let mut wrongly = BTreeSet::new();
        while world.now() < vppd::clock::after(start, SILENT + 2 * SLACK) {
            app.wait(HOUR / 2).await;
            let (held, now) = (world.held(), world.now());
            for cell in &mut cells {
                let Ok((from, ..)) = cell.times else { continue };
                if cell.back.is_none() && !held.contains(&world.licence(&app_of(cell.exit), cell.exit)) {
                    // Not asked for yet, or cancelled before it came, is not back.
                    let passed = now.duration_since(from).unsigned_abs();
                    cell.back = (cell.exit != 12 || passed >= HOUR / 2).then_some(passed);
                }
            }
            let by_now =
                if now < vppd::clock::after(start, SILENT - SLACK) || online { &until_silent[..] } else { &[] };
            wrongly.extend(keepers.iter().chain(by_now).filter(|one| !held.contains(*one)).cloned());
        }

        let hours = |time: Duration| format!("{}d {:02}h", time.as_secs() / 86400, time.as_secs() % 86400 / 3600);
        let (licence, place) = (if by_user { "user" } else { "device" }, if online { "online" } else { "offline" });
        println!("exit | licence | device | way out | rule | back after | at the latest after | reclaimed");
        for cell in &cells {
            let what = format!("{:2} | {licence} | {place} | {} | {}", cell.exit, cell.way, cell.rule);
            match (cell.times, cell.back) {
                (Err(why), _) => println!("{what} | {why}"),
                (Ok((_, _, latest)), None) => println!("{what} | never | {} | 0 %", hours(latest)),
                (Ok((_, _, latest)), Some(back)) => {
                    println!("{what} | {} | {} | 100 %", hours(back), hours(latest));
                }
            }
        }
        let books = [world.licence(BOOK, 1), world.licence(BOOK, 3)];
        let held = world.held();
        match by_user {
            false => println!(" - | device | {place} | book | cannot be: books are for people"),
            true => println!(
                " - | user | {place} | book: by hand, and deployment deleted | stays for good | never | - | {} %",
                50 * books.iter().filter(|one| !held.contains(*one)).count()
            ),
        }
        println!("wrongly revoked: {} of {}", wrongly.len(), keepers.len() + until_silent.len());

        for cell in &cells {
            let Ok((_, earliest, latest)) = cell.times else { continue };
            let back = cell.back.unwrap_or(Duration::MAX);
            assert!(back <= latest, "exit {}, {}: not back in time", cell.exit, cell.way);
            assert!(back >= earliest, "exit {}, {}: back before its time", cell.exit, cell.way);
            assert!(!held.contains(&world.licence(&app_of(cell.exit), cell.exit)), "exit {}: taken again", cell.exit);
        }
        let told = app.context.store.read(|c| -> Result<Vec<String>, vppd::store::StoreError> {
            let mut statement =
                c.prepare("SELECT subject FROM audit WHERE what = 'licences taken back' ORDER BY id")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        });
        let told = told.await.unwrap();
        for cell in cells.iter().filter(|cell| cell.times.is_ok()) {
            // What Apple takes back by itself has the line of who told it to.
            let by_apple = cell.exit == 11 && by_user;
            let (adam_id, holder) = world.licence(&app_of(cell.exit), cell.exit);
            let lines = told.iter().filter(|line| line.starts_with(&format!("{adam_id} from {holder}: ")));
            assert_eq!(lines.count(), usize::from(!by_apple), "exit {}: {told:#?}", cell.exit);
        }
        assert_eq!(wrongly, BTreeSet::new());
        assert!(!by_user || books.iter().all(|one| held.contains(one)), "a book came back");
        app.assert_clean();
    });
}

#[test]
fn device_licences_with_the_device_there() {
    matrix(LicenceKind::Device, true);
}

#[test]
fn device_licences_with_the_device_away() {
    matrix(LicenceKind::Device, false);
}

#[test]
fn user_licences_with_the_device_there() {
    matrix(LicenceKind::User, true);
}

#[test]
fn user_licences_with_the_device_away() {
    matrix(LicenceKind::User, false);
}
