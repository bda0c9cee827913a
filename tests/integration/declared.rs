//! Groups, deployments and token settings as a file: written, applied, tried, refused.

use sandbox::apple::NewAsset;
use vppd::model::{Delivery, LicenceKind, UpdatePolicy};
use vppd::operations::view::*;
use vppd::operations::{OperationError, declared, deployments, directory, groups, look, tokens};

use crate::support::*;

const READER: &str = "1600000011";
const PAINTER: &str = "1600000022";
const BOOK: &str = "1700000033";

/// Four devices and three teachers of a directory.
async fn school(clock: vppd::clock::Clock) -> (App, Vec<String>) {
    let app = App::start_with(clock, &[(READER, 10), (PAINTER, 10)], |text| {
        let socket = text.split("control-socket = \"").nth(1).unwrap().split('"').next().unwrap();
        let file = std::path::Path::new(socket).with_file_name("people.csv");
        format!("{text}[directory]\nfile = {:?}\n", file.display().to_string())
    })
    .await;
    app.sandbox.apple.add_asset(&app.uid, NewAsset::book(BOOK, 5)).unwrap();
    app.add_token("Leeds", false).await.unwrap();
    app.wait(minutes(1)).await;
    let specs = devices(0, 4);
    let serials: Vec<String> = specs.iter().map(|spec| spec.serial.clone()).collect();
    app.enrol(specs).await;
    let people = format!(
        "uid,email,groups,devices\n1,p1@example.org,Teachers,{}\n2,p2@example.org,Teachers,{}\n3,p3@example.org,Teachers,\n",
        serials[0], serials[1]
    );
    std::fs::write(app.path("people.csv"), people).unwrap();
    directory::sync(&app.context, DirectorySyncRequest::default(), "test").await.unwrap();
    (app, serials)
}

async fn export(app: &App) -> String {
    declared::export(&app.context).await.unwrap().content
}

async fn apply(app: &App, content: &str, dry_run: bool) -> Result<AppliedView, OperationError> {
    let request = ApplyRequest { file: "f.toml".into(), content: content.into(), dry_run, ..ApplyRequest::default() };
    declared::apply(&app.context, request, "test").await
}

/// What changed, as `how what: name`.
fn told(applied: &AppliedView) -> Vec<String> {
    applied.changes.iter().map(|one| format!("{:?} {}: {}", one.how, one.what, one.name)).collect()
}

fn moves(applied: &AppliedView) -> Vec<(&str, &str, u64, u64, u64)> {
    let moved = |one: &'_ MoveView| (one.gives, one.takes, one.waits);
    let named = applied.moves.iter().map(|one| (one.adam_id.as_str(), one.location.as_str(), moved(one)));
    named.map(|(app, place, (gives, takes, waits))| (app, place, gives, takes, waits)).collect()
}

/// Groups, deployments and notes of every kind.
async fn furnish(app: &App, serials: &[String]) {
    let room = GroupAddRequest {
        name: "Room 12".into(),
        description: "The \"trolley\" \\ in\nroom 12".into(),
        devices: serials[..2].to_vec(),
        ..GroupAddRequest::default()
    };
    groups::add(&app.context, room, "test").await.unwrap();
    for (name, rule) in [("Tablets", Some("model = \"iPad*\" and not group = \"Teachers\"")), ("Émpty", None)] {
        let rule = rule.map(str::to_owned);
        let request = GroupAddRequest { name: name.into(), rule, ..GroupAddRequest::default() };
        groups::add(&app.context, request, "test").await.unwrap();
    }
    let list = r#"{"server": "https://a.example/?a=1&b='''\\\"\"\"", "tries": 3, "list": [true, 1.5]}"#;
    let terms = TermsRequest {
        licence: Some(LicenceKind::DeviceIfPossible),
        updates: Some(UpdatePolicy::Never),
        priority: Some(-5),
        quota: Some("0".into()),
        wave: Some("2".into()),
        licence_only: Some(true),
        delivery: Some(Delivery::Command),
        offered: None,
        build: None,
        excluded: Some(vec!["Room 12".into(), "Teachers".into()]),
        locations: Some(vec!["Leeds".into()]),
        configuration: Some(list.into()),
        attributes: Some(r#"{"Removable": false, "AssociatedDomains": ["a'b"]}"#.into()),
    };
    let declared = TermsRequest {
        delivery: Some(Delivery::Declarative),
        offered: Some(true),
        build: Some("870000123".into()),
        ..TermsRequest::default()
    };
    let user = TermsRequest { licence: Some(LicenceKind::User), ..TermsRequest::default() };
    for (id, to, purpose, terms) in [
        (PAINTER, "all-devices".to_owned(), PurposeView::Available, terms),
        (READER, "group:Room 12".to_owned(), PurposeView::Required, declared),
        (PAINTER, format!("serial:{}", serials[3]), PurposeView::Uninstall, TermsRequest::default()),
        (BOOK, "person:p3@example.org".to_owned(), PurposeView::Required, user),
    ] {
        let request = DeployRequest { terms, confirm_irrevocable: true, ..DeployRequest::new(id, &to, purpose) };
        deployments::add(&app.context, request, "test").await.unwrap();
    }
    let notes = TokenEditRequest {
        description: Some("All schools".into()),
        account_email: Some("vpp@example.org".into()),
        categories: Some(vec!["north".into(), "schools".into()]),
        contacts: Some(vec!["A. Person".into()]),
        groups: Some(vec!["Room 12".into()]),
        sync_interval: Some("90m".into()),
        full_sync_interval: Some("3d".into()),
        ..TokenEditRequest::default()
    };
    tokens::manage::edit(&app.context, "Leeds".into(), notes, "test").await.unwrap();
    app.wait(minutes(30)).await;
}

#[test]
fn applying_what_was_just_exported_changes_nothing() {
    story(|clock| async move {
        let (app, serials) = school(clock).await;
        furnish(&app, &serials).await;
        let first = export(&app).await;
        for dry_run in [true, false] {
            let applied = apply(&app, &first, dry_run).await.unwrap_or_else(|error| panic!("{error}\n{first}"));
            assert_eq!((applied.changes, applied.moves), (vec![], vec![]), "{first}");
        }
        assert_eq!(export(&app).await, first);
        assert!(!first.contains("name = \"Teachers\"") && first.contains("[[token]]"), "{first}");

        // After all was taken away the same file says the same again.
        let bare = "group = []\ndeployment = []\n[[token]]\nlocation = \"Leeds\"\n";
        let gone = apply(&app, bare, false).await.unwrap();
        assert_eq!(gone.changes.len(), 4 + 1 + 3, "{gone:?}");
        let empty = export(&app).await;
        assert!(empty.contains("\ngroup = []\ndeployment = []\n"), "{empty}");
        let request = ApplyRequest {
            file: "f.toml".into(),
            content: first.clone(),
            confirm_irrevocable: true,
            ..ApplyRequest::default()
        };
        let back = declared::apply(&app.context, request, "test").await.unwrap();
        assert_eq!(back.changes.len(), 4 + 1 + 3, "{back:?}");
        assert_eq!(export(&app).await, first);
        app.assert_clean();
    });
}

#[test]
fn what_a_file_has_is_the_whole_truth_of_its_kind_and_moves_licences() {
    story(|clock| async move {
        let (app, serials) = school(clock).await;
        let group = |name: &str, devices: &[String]| format!("[[group]]\nname = \"{name}\"\ndevices = {devices:?}\n");
        let deployment = format!("[[deployment]]\napp = \"{READER}\"\nto = \"group:Room\"\npurpose = \"required\"\n");
        let two = group("Room", &serials[..2]) + &deployment;
        let tried = apply(&app, &two, true).await.unwrap();
        assert_eq!(tried.changes.len(), 2, "{tried:?}");
        assert!(told(&tried)[0] == "Added group: Room" && told(&tried)[1].ends_with("to group:Room"), "{tried:?}");
        assert_eq!(moves(&tried), [(READER, "Leeds", 2, 0, 0)]);
        assert!(groups::list(&app.context).await.unwrap().iter().all(|group| group.name != "Room"), "only tried");
        let done = apply(&app, &two, false).await.unwrap();
        assert_eq!(AppliedView { dry_run: true, ..done }, tried);
        app.wait(minutes(30)).await;
        assert_eq!(app.holders(READER).len(), 2);

        // One device goes, another comes; a kind that the file does not have stays.
        let other = group("room", &serials[1..3]);
        let stale = ApplyRequest {
            file: "f.toml".into(),
            content: other.clone(),
            expected: Some(tried.changes.clone()),
            ..ApplyRequest::default()
        };
        assert_eq!(declared::apply(&app.context, stale, "test").await.unwrap_err().code, "changed-meanwhile");
        let changed = apply(&app, &other, false).await.unwrap();
        assert_eq!(changed.changes[0].details, ["name: Room becomes room", "devices: 1 added, 1 removed"]);
        assert_eq!(moves(&changed), [(READER, "Leeds", 1, 1, 0)]);
        app.wait(minutes(60)).await;
        assert_eq!(app.holders(READER), serials[1..3].iter().cloned().collect());

        let refused = apply(&app, "group = []\n", false).await.unwrap_err();
        assert!(refused.message.starts_with("f.toml: group \"room\" is used by deployment"), "{refused}");
        let removed = apply(&app, "group = []\ndeployment = []\n", false).await.unwrap();
        assert_eq!(moves(&removed), [(READER, "Leeds", 0, 2, 0)]);
        app.wait(minutes(60)).await;
        assert!(app.holders(READER).is_empty());
        assert!(look::plan(&app.context).await.unwrap().held.is_empty());
        app.assert_clean();
    });
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place_and_nothing_is_changed() {
    story(|clock| async move {
        let (app, _) = school(clock).await;
        let before = export(&app).await;
        let one = format!("[[deployment]]\napp = \"{READER}\"\nto = \"all-devices\"\npurpose = \"required\"\n");
        let with = |line: &str| format!("{one}{line}\n");
        for (text, expected) in [
            ("[[deployment]".to_owned(), "f.toml:1:"),
            (with("qouta = 3"), "f.toml:5:1: unknown key `qouta` in [[deployment]]. did you mean `quota`?"),
            ("[[groups]]\nname = \"a\"\n".to_owned(), "f.toml:1:3: unknown section [groups]. did you mean [[group]]?"),
            ("[group]\nname = \"a\"\n".to_owned(), "f.toml:1:2: `group` is a list. write [[group]]"),
            ("[[group]]\nrule = \"supervised\"\n".to_owned(), "f.toml:1:1: a group needs `name`"),
            ("[[group]]\nname = \"a\"\nrule = \"modle = x\"\n".to_owned(), "f.toml:3:8: the rule cannot be read"),
            ("[[group]]\nname = \"Teachers\"\n".to_owned(), "f.toml:2:8: group \"Teachers\" comes from the directory"),
            ("[[group]]\nname = \"a\"\n[[group]]\nname = \"A\"\n".to_owned(), "f.toml:4:8: group \"A\" is there twice"),
            (with("wave = 0"), "f.toml:5:8: `wave` must lie between 1 and"),
            (with("exclude = [\"Gone\"]"), "f.toml:5:11: there is no group \"Gone\""),
            (format!("{one}{one}"), "f.toml:7:6: deployment \"1600000011 to all-devices\" is there twice"),
            (
                one.replace("all-devices", "group:Techers"),
                "f.toml:3:6: there is no group \"Techers\". Did you mean \"Teachers\"?",
            ),
            ("[[token]]\nlocation = \"York\"\n".to_owned(), "f.toml:2:12: there is no location \"York\""),
            ("token = []\n".to_owned(), "f.toml: location \"Leeds\" is here"),
            (
                "[[token]]\nlocation = \"Leeds\"\nsync-interval = \"9d\"\nfull-sync-interval = \"1d\"\n".to_owned(),
                "f.toml:2:12: everything would be read",
            ),
        ] {
            let refused = apply(&app, &text, false).await.unwrap_err();
            assert!(refused.message.contains(expected), "{text}\n{refused}");
            assert_eq!(export(&app).await, before, "{text}");
        }
        // Several things at once; what is right beside them is not kept.
        let (unknown, nobody) = (one.replace(READER, "Nothing"), one.replace("all-", "some-"));
        let both = format!("[[group]]\nname = \"Good\"\n{unknown}{nobody}");
        let refused = apply(&app, &both, false).await.unwrap_err();
        assert_eq!(refused.message.lines().count(), 2, "{refused}");
        assert_eq!(export(&app).await, before);
    });
}

#[test]
fn the_command_line_writes_tries_and_applies_the_example_of_the_documentation() {
    story(|clock| async move {
        let (app, _) = school(clock).await;
        let page = include_str!("../../docs/declared.md");
        let example = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
        std::fs::write(app.path("school.toml"), example).unwrap();
        let file = app.path("school.toml").display().to_string();
        let tried = cli(&app, &["apply", &file, "--dry-run"]).await;
        let shown = String::from_utf8_lossy(&tried.stdout).into_owned();
        assert!(shown.contains("added group: Trolley 3") && shown.contains("Nothing was changed yet."), "{tried:?}");
        let asked = cli(&app, &["apply", &file]).await;
        assert!(!asked.status.success() && groups::list(&app.context).await.unwrap().len() == 1, "{asked:?}");
        let done = cli(&app, &["apply", &file, "--yes"]).await;
        assert!(done.status.success(), "{done:?}");
        let again = cli(&app, &["apply", &file, "--yes"]).await;
        assert!(String::from_utf8_lossy(&again.stdout).starts_with("All is as the file says"), "{again:?}");
        let out = app.path("out.toml").display().to_string();
        let written = cli(&app, &["export", "--output", &out]).await;
        assert!(written.status.success(), "{written:?}");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), export(&app).await);
        assert!(!cli(&app, &["export", "--output", &out]).await.status.success(), "not over another file");
        assert_eq!(cli(&app, &["export"]).await.stdout, export(&app).await.into_bytes());
        std::fs::write(&out, "[[deploymnt]]\n").unwrap();
        let wrong = cli(&app, &["apply", &out]).await;
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean [[deployment]]?"), "{wrong:?}");
    });
}
