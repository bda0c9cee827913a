//! What a restored backup leads to: everything is read anew before anything is written, and who came after the backup is
//! neither harmed nor lost.

use std::path::Path;
use std::process::Command;

use sandbox::apple::{Fault, FaultRule, Often};
use vppd::operations::restore::{Request, restore};
use vppd::operations::view::*;
use vppd::operations::{OperationError, backup};

use crate::support::*;

const APP: &str = "1600000011";

/// Names a recovery certificate in the settings, and takes it into use.
async fn with_recovery_key(app: &mut App) {
    let place = app.folder.path().to_path_buf();
    let made = tokio::task::spawn_blocking(move || {
        let arguments =
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=recovery -keyout recovery-key.pem -out recovery.pem";
        Command::new("openssl").args(arguments.split(' ')).current_dir(place).output()
    });
    let made = made.await.unwrap().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut text = std::fs::read_to_string(&app.settings).unwrap();
    text += &format!("[backup]\nrecovery-certificate = {:?}\n", app.folder.path().join("recovery.pem"));
    std::fs::write(&app.settings, text).unwrap();
    app.restart().await;
}

fn put_back(app: &App, bytes: &[u8], force: bool) -> Result<(), OperationError> {
    let file = app.folder.path().join("vppd.cms");
    std::fs::write(&file, bytes).unwrap();
    let key = app.folder.path().join("recovery-key.pem");
    let request = Request { backup: &file, recovery_key: Some(&key), settings: &app.settings, force };
    restore(&request, app.clock.now()).map(|_| ())
}

#[test]
fn after_a_restore_everything_is_read_before_anything_is_written() {
    story(|clock| async move {
        let mut app = App::start(clock, &[(APP, 5)]).await;
        with_recovery_key(&mut app).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.wait(minutes(5)).await;
        let kept = backup::make(&app.context, "test").await.unwrap();
        // After the backup: licences are given, apps are installed, one more device enrols.
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.enrol(devices(2, 3)).await;
        app.wait(minutes(15)).await;
        assert_eq!(app.installed(APP).len(), 3);
        let refused = put_back(&app, &kept, true).unwrap_err();
        assert_eq!(refused.code, "running");
        app.end().await;
        assert_eq!(put_back(&app, &kept, false).unwrap_err().code, "state-exists");
        put_back(&app, &kept, true).unwrap();
        let associations = app.holders(APP).len();
        app.begin().await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.holders(APP).len(), associations, "no licence is given twice, none is taken");
        assert_eq!(app.stages(APP).await, counts([(Stage::Installed, 2)]), "what is there is seen, not done again");
        // The device that the backup does not know keeps its enrolment: no answer told it to go.
        for device in app.fleet.view() {
            assert_eq!(device.counters.got_401, 0, "{}", device.serial);
        }
        app.enrol(devices(3, 4)).await;
        app.wait(minutes(15)).await;
        assert_eq!(app.stages(APP).await, counts([(Stage::Installed, 3)]), "and the work goes on");
        assert_eq!(app.sandbox.apple.counters().installs_before_licence, 0);
    });
}

#[test]
fn while_apple_cannot_be_read_after_a_restore_nothing_is_written_not_even_after_another_start() {
    story(|clock| async move {
        let mut app = App::start(clock, &[(APP, 5)]).await;
        with_recovery_key(&mut app).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.wait(minutes(5)).await;
        let kept = backup::make(&app.context, "test").await.unwrap();
        app.end().await;
        put_back(&app, &kept, true).unwrap();
        let unreadable =
            FaultRule { endpoint: Some("assignments".into()), fault: Fault::BadGateway, often: Often::Next(u32::MAX) };
        app.sandbox.apple.add_fault(unreadable).unwrap();
        app.begin().await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        app.restart().await;
        app.wait(minutes(30)).await;
        assert_eq!(app.holders(APP).len(), 0, "written before anything was read");
        app.sandbox.apple.clear_faults();
        app.wait(minutes(30)).await;
        assert_eq!(app.installed(APP).len(), 2);
        app.assert_clean();
    });
}

#[test]
fn a_restore_of_something_else_changes_nothing() {
    story(|clock| async move {
        let mut app = App::start(clock, &[(APP, 5)]).await;
        assert_eq!(backup::make(&app.context, "test").await.unwrap_err().code, "no-recovery-certificate");
        with_recovery_key(&mut app).await;
        app.add_token("Leeds", false).await.unwrap();
        let kept = backup::make(&app.context, "test").await.unwrap();
        app.end().await;
        let state = app.folder.path().join("state");
        let before = std::fs::read(state.join("vppd.db")).unwrap();
        let mut changed = kept.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for bad in [changed, kept[..kept.len() / 2].to_vec(), b"0 is no backup".to_vec(), Vec::new()] {
            put_back(&app, &bad, true).unwrap_err();
        }
        assert_eq!(std::fs::read(state.join("vppd.db")).unwrap(), before);
        assert!(!state.join("restore.ready").exists());
        app.begin().await;
    });
}

/// Starts vppd on a restored backup as it lay between any two of the last renames.
fn starts_after(interruption: fn(state: &Path, ready: &Path)) {
    story(|clock| async move {
        let mut app = App::start(clock, &[(APP, 5)]).await;
        with_recovery_key(&mut app).await;
        app.add_token("Leeds", false).await.unwrap();
        let kept = backup::make(&app.context, "test").await.unwrap();
        app.end().await;
        put_back(&app, &kept, true).unwrap();
        let state = app.folder.path().join("state");
        let ready = state.join("restore.ready");
        std::fs::create_dir_all(ready.join("before")).unwrap();
        interruption(&state, &ready);
        app.begin().await;
        assert!(!ready.exists() && !state.join("master.key.previous").exists());
        assert_eq!(app.add_token("York", false).await.unwrap_err().code, "token-known", "the token is there");
    });
}

#[test]
fn a_restore_that_was_interrupted_before_its_first_rename_is_finished_by_the_next_start() {
    starts_after(|state, ready| {
        for name in ["vppd.db", "master.key.previous"] {
            std::fs::rename(state.join(name), ready.join(name)).unwrap();
        }
        for name in ["vppd.db", "vppd.db-wal", "master.key"] {
            std::fs::write(state.join(name), "of the old state").unwrap();
        }
    });
}

#[test]
fn a_restore_that_was_interrupted_between_its_renames_is_finished_by_the_next_start() {
    starts_after(|state, ready| {
        std::fs::rename(state.join("vppd.db"), ready.join("vppd.db")).unwrap();
        std::fs::write(state.join("vppd.db-wal"), "of the old state").unwrap();
    });
}

#[test]
fn a_restore_that_was_interrupted_after_its_renames_is_finished_by_the_next_start() {
    starts_after(|_, _| ());
}
