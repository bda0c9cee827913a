//! Deployments with all their terms: what is checked before one is kept, who would get it, and what it takes.

use sandbox::apple::NewAsset;
use vppd::model::{LicenceKind, UpdatePolicy};
use vppd::operations::view::*;
use vppd::operations::{OperationError, deployments, directory, groups};

use crate::support::*;

const READER: &str = "1600000011";
const PAINTER: &str = "1600000022";
const BOOK: &str = "1700000033";

/// Four devices, of which the first two are in the group "Room 12" and belong to two teachers of the directory.
async fn school(clock: vppd::clock::Clock) -> (App, Vec<String>) {
    let app = App::start_with(clock, &[(READER, 3)], |text| {
        let socket = text.split("control-socket = \"").nth(1).unwrap().split('"').next().unwrap();
        let file = std::path::Path::new(socket).with_file_name("people.csv");
        format!("{text}[directory]\nfile = {:?}\n", file.display().to_string())
    })
    .await;
    app.sandbox.apple.add_asset(&app.uid, NewAsset::book(BOOK, 1)).unwrap();
    app.sandbox
        .apple
        .add_asset(&app.uid, NewAsset { device_assignable: Some(false), ..NewAsset::app(PAINTER, 10) })
        .unwrap();
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
    let room = GroupAddRequest { name: "Room 12".into(), devices: serials[..2].to_vec(), ..GroupAddRequest::default() };
    groups::add(&app.context, room, "test").await.unwrap();
    app.wait(minutes(5)).await;
    (app, serials)
}

async fn try_out(app: &App, request: DeployRequest) -> Result<DeploymentDetailView, OperationError> {
    deployments::add(&app.context, DeployRequest { dry_run: true, ..request }, "test").await
}

fn with(app: &str, to: &str, terms: TermsRequest) -> DeployRequest {
    DeployRequest { terms, ..DeployRequest::new(app, to, PurposeView::Required) }
}

fn by(licence: LicenceKind) -> TermsRequest {
    TermsRequest { licence: Some(licence), ..TermsRequest::default() }
}

#[test]
fn a_preview_tells_who_would_get_it_and_what_it_takes() {
    story(|clock| async move {
        let (app, serials) = school(clock).await;
        let all = DeployRequest::new(READER, "all-devices", PurposeView::Required);
        let preview = try_out(&app, all.clone()).await.unwrap().preview;
        assert_eq!((preview.wanted, preview.takes, preview.free, preview.short), (4, 4, Some(3), 1));
        assert_eq!(preview.first.len(), 4);
        assert!(deployments::list(&app.context).await.unwrap().is_empty(), "nothing is kept of what is only tried");

        let except =
            TermsRequest { excluded: Some(vec!["room 12".into()]), quota: Some("1".into()), ..TermsRequest::default() };
        let shown = try_out(&app, with(READER, "all-devices", except)).await.unwrap();
        assert_eq!((shown.deployment.devices, shown.preview.takes, shown.preview.short), (2, 1, 0));
        assert_eq!(shown.deployment.excluded, ["Room 12"]);
        assert!(
            shown.preview.notes.iter().any(|note| note == "the quota of 1 lets 1 wait"),
            "{:?}",
            shown.preview.notes
        );

        // Licences by user: three teachers, of whom two have a device.
        let user = try_out(&app, with(PAINTER, "group:teachers", by(LicenceKind::User))).await.unwrap();
        assert_eq!((user.preview.wanted, user.deployment.devices, user.deployment.people), (2, 2, 3));
        assert_eq!(user.preview.first, ["p1@example.org", "p2@example.org"]);
        assert!(user.preview.notes[0].contains("1 people have no enrolled device yet"), "{:?}", user.preview.notes);
        let only = TermsRequest { licence_only: Some(true), ..by(LicenceKind::User) };
        assert_eq!(try_out(&app, with(PAINTER, "group:Teachers", only)).await.unwrap().preview.wanted, 3);
        let mixed = try_out(&app, with(PAINTER, "all-devices", by(LicenceKind::DeviceIfPossible))).await.unwrap();
        assert_eq!(mixed.preview.wanted, 2, "not for devices, so for the people of two");
        assert!(
            mixed.preview.notes[0].contains("2 devices are left out: they are nobody's"),
            "{:?}",
            mixed.preview.notes
        );
        let mixed =
            try_out(&app, with(READER, "person:p1@example.org", by(LicenceKind::DeviceIfPossible))).await.unwrap();
        assert_eq!(mixed.preview.first, [serials[0].clone()]);
        let available = DeployRequest { purpose: PurposeView::Available, ..all };
        let preview = try_out(&app, available).await.unwrap().preview;
        assert_eq!((preview.takes, preview.short), (0, 0));
        assert!(preview.notes[0].contains("if all do, it takes 4"), "{:?}", preview.notes);

        // A location that serves one group only.
        let edited = cli(&app, &["token", "edit", "Leeds", "--group", "Room 12"]).await;
        assert!(String::from_utf8_lossy(&edited.stdout).contains("only for:        Room 12"), "{edited:?}");
        let other = DeployRequest::new(READER, &format!("serial:{}", serials[3]), PurposeView::Required);
        let preview = try_out(&app, other).await.unwrap().preview;
        assert_eq!((preview.free, preview.short), (Some(0), 1));
        assert!(preview.notes.iter().any(|note| note.contains("is for other groups only")), "{:?}", preview.notes);
        let refused = groups::remove(&app.context, "Room 12".into(), "test").await.unwrap_err();
        assert!(refused.message.contains("used by location \"Leeds\""), "{refused}");
        app.assert_clean();
    });
}

#[test]
fn what_cannot_be_is_refused_before_it_is_kept() {
    story(|clock| async move {
        let (app, _) = school(clock).await;
        let code =
            |result: Result<DeploymentDetailView, OperationError>| result.map(|_| "taken").unwrap_or_else(|e| e.code);
        let add = |request: DeployRequest| deployments::add(&app.context, request, "test");
        let terms = |change: fn(&mut TermsRequest)| {
            let mut terms = TermsRequest::default();
            change(&mut terms);
            with(READER, "all-devices", terms)
        };
        for (request, expected) in [
            (with(PAINTER, "all-devices", by(LicenceKind::Device)), "not-device-assignable"),
            (with(BOOK, "group:Teachers", by(LicenceKind::Device)), "book"),
            (with(BOOK, "group:Teachers", by(LicenceKind::User)), "irrevocable"),
            (
                DeployRequest {
                    purpose: PurposeView::Uninstall,
                    ..with(BOOK, "group:Teachers", by(LicenceKind::User))
                },
                "book",
            ),
            (with(READER, "group:Nobodies", by(LicenceKind::Device)), "not-found"),
            (with(READER, "person:nobody@example.org", by(LicenceKind::User)), "not-found"),
            (with(READER, "everybody", by(LicenceKind::Device)), "target"),
            (terms(|t| t.quota = Some("many".into())), "quota"),
            (terms(|t| t.wave = Some("0".into())), "wave"),
            (terms(|t| t.priority = Some(5000)), "priority"),
            (terms(|t| t.excluded = Some(vec!["Nobodies".into()])), "not-found"),
            (terms(|t| t.locations = Some(vec!["Hull".into()])), "not-found"),
            (terms(|t| t.configuration = Some("{\"a\": null}".into())), "configuration"),
            (terms(|t| t.attributes = Some("[]".into())), "attributes"),
        ] {
            let words = format!("{request:?}");
            assert_eq!(code(add(request).await), expected, "{words}");
        }
        assert!(deployments::list(&app.context).await.unwrap().is_empty());
        let mac = NewAsset { supported_platforms: Some(vec!["macOS".into()]), ..NewAsset::app("1600000044", 5) };
        app.sandbox.apple.add_asset(&app.uid, mac).unwrap();
        vppd::operations::sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(3)).await;
        let refused = add(DeployRequest::new("1600000044", "all-devices", PurposeView::Required)).await.unwrap_err();
        assert!(
            refused.message.contains("none of the 4 devices") && refused.message.contains("it is for macOS"),
            "{refused}"
        );

        let book = DeployRequest { confirm_irrevocable: true, ..with(BOOK, "group:Teachers", by(LicenceKind::User)) };
        let added = add(book).await.unwrap();
        assert_eq!((added.preview.wanted, added.preview.free, added.preview.short), (3, Some(1), 2));
        let to_room = add(DeployRequest::new(READER, "group:Room 12", PurposeView::Required)).await.unwrap().deployment;
        let refused = groups::remove(&app.context, "Room 12".into(), "test").await.unwrap_err();
        assert!(refused.message.contains(&format!("used by deployment {}", to_room.id)), "{refused}");
        let same = add(DeployRequest::new(READER, "group:room 12", PurposeView::Required)).await.unwrap().deployment;
        assert_eq!(same.id, to_room.id);
        let known = with(READER, "group:Room 12", TermsRequest { priority: Some(1), ..TermsRequest::default() });
        assert_eq!(code(add(known).await), "deployment-known");
        let opposite = DeployRequest::new(READER, "group:Room 12", PurposeView::Uninstall);
        assert_eq!(code(add(opposite).await), "opposite-deployment");
        deployments::remove(&app.context, to_room.id, "test").await.unwrap();
        groups::remove(&app.context, "Room 12".into(), "test").await.unwrap();
    });
}

#[test]
fn the_command_line_sets_every_term_and_edit_changes_only_what_it_names() {
    story(|clock| async move {
        let (app, _) = school(clock).await;
        std::fs::write(app.path("settings.json"), r#"{"server": "https://a.example"}"#).unwrap();
        std::fs::write(app.path("attributes.json"), r#"{"Removable": false}"#).unwrap();
        let (settings, attributes) = (app.path("settings.json"), app.path("attributes.json"));
        let terms = [
            "--licence=device-if-possible",
            "--updates",
            "never",
            "--priority",
            "-5",
            "--quota",
            "10",
            "--wave",
            "2",
            "--exclude",
            "Room 12",
            "--location",
            "Leeds",
            "--configuration",
            settings.to_str().unwrap(),
            "--attributes",
            attributes.to_str().unwrap(),
            "--licence-only",
        ];
        let mut words = vec!["deploy", "add", "--app", READER, "--to", "group:Teachers", "--purpose", "available"];
        words.extend(terms);
        let tried = cli(&app, &[words.as_slice(), &["--dry-run"]].concat()).await;
        assert!(String::from_utf8_lossy(&tried.stdout).starts_with("Would add deployment: app"), "{tried:?}");
        let added = cli(&app, &words).await;
        assert!(added.status.success(), "{added:?}");
        let before = deployments::list(&app.context).await.unwrap().remove(0);
        assert_eq!((before.to.as_str(), before.purpose), ("group:Teachers", PurposeView::Available));
        assert_eq!((before.licence, before.updates), (LicenceKind::DeviceIfPossible, UpdatePolicy::Never));
        assert_eq!((before.priority, before.quota, before.wave, before.licence_only), (-5, Some(10), Some(2), true));
        assert_eq!(
            (before.excluded.as_slice(), before.locations.as_slice()),
            (&["Room 12".into()][..], &["Leeds".into()][..])
        );
        assert!(before.configuration.as_ref().unwrap().contains("<string>https://a.example</string>"));
        assert_eq!(before.attributes["Removable"], false);

        let id = before.id.to_string();
        let edited =
            cli(&app, &["deploy", "edit", &id, "--quota", "none", "--exclude", "", "--licence-only=false"]).await;
        assert!(edited.status.success(), "{edited:?}");
        let after = deployments::show(&app.context, before.id).await.unwrap().deployment;
        assert_eq!((after.quota, after.excluded.len(), after.licence_only), (None, 0, false));
        assert_eq!((after.wave, after.priority, &after.attributes), (Some(2), -5, &before.attributes));
        let shown = cli(&app, &["deploy", "show", &id]).await;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("attributes:     Removable = false\n") && shown.contains("hold one:"), "{shown}");
        let removed = cli(&app, &["deploy", "remove", &id]).await;
        assert!(removed.status.success(), "{removed:?}");
    });
}
