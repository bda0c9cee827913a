use super::*;
use crate::device::testing::{FakeStore, ManualClock};

const SECOND: Duration = Duration::from_secs(1);

struct Phone {
    clock: ManualClock,
    store: Arc<FakeStore>,
    apps: Arc<Apps>,
}

impl Phone {
    fn new(supervised: bool, person: Person) -> Phone {
        let (clock, store) = (ManualClock::new(), Arc::new(FakeStore::default()));
        store.grant("SERIAL", "1");
        let timing = Timing { queued: SECOND, validating: SECOND, installing: SECOND, bytes_per_second: 1_000 };
        let apps = Apps::new(clock.clock(), store.clone(), "SERIAL".into(), supervised, person, timing);
        Phone { clock, store, apps }
    }

    fn install(&self, adam: i64) -> Result<AppState, Rejection> {
        self.install_with(adam, |_| ())
    }

    fn install_with(&self, adam: i64, change: fn(&mut Install)) -> Result<AppState, Rejection> {
        let app = AppName::Adam(adam);
        let mut install =
            Install { app, by_licence: true, take_over: false, flags: 1, configuration: None, attributes: None };
        change(&mut install);
        self.apps.install(&install).map(|(_, state)| state)
    }

    fn states(&self) -> Vec<AppState> {
        self.apps.report_managed(None).iter().filter_map(|app| app.state).collect()
    }

    async fn states_after(&self, seconds: u64) -> Vec<AppState> {
        self.clock.advance(SECOND * u32::try_from(seconds).unwrap()).await;
        self.states()
    }
}

#[tokio::test]
async fn a_supervised_device_installs_step_by_step_without_asking() {
    let phone = Phone::new(true, Person::Ignore);
    assert_eq!(phone.install(1), Ok(AppState::Queued));
    assert_eq!(phone.install(1), Err(Rejection::AppAlreadyQueued));
    assert_eq!(phone.states_after(0).await, [AppState::Queued]);
    assert_eq!(phone.states_after(1).await, [AppState::ValidatingPurchase]);
    assert_eq!(phone.states_after(1).await, [AppState::Installing]);
    assert_eq!(phone.states_after(2).await, [AppState::Installing]);
    assert_eq!(phone.states_after(1).await, [AppState::Managed], "one second and 2000 bytes at 1000 per second");
    assert_eq!(phone.install(1), Ok(AppState::Managed));
    assert_eq!(phone.apps.all()[0].installed, Some(10));
    assert!(phone.store.reports().is_empty());
}

#[tokio::test]
async fn an_owner_who_declines_is_reported_once() {
    let phone = Phone::new(false, Person::Decline { after: SECOND });
    assert_eq!(phone.install(1), Ok(AppState::Prompting));
    assert_eq!(phone.states_after(0).await, [AppState::Prompting]);
    assert_eq!(phone.states_after(1).await, [AppState::UserRejected]);
    assert_eq!(phone.states_after(0).await, []);
    assert_eq!(phone.install(1), Ok(AppState::Prompting), "may be asked again");
}

#[tokio::test]
async fn an_owner_who_ignores_the_question_keeps_the_app_waiting() {
    let phone = Phone::new(false, Person::Ignore);
    phone.install(1).unwrap();
    assert_eq!(phone.states_after(1_000_000).await, [AppState::Prompting]);
}

#[tokio::test]
async fn without_a_licence_the_device_reports_failure_once_and_the_store_hears_of_it() {
    let phone = Phone::new(true, Person::Ignore);
    assert_eq!(phone.install(2), Ok(AppState::Queued));
    assert_eq!(phone.store.reports(), [("SERIAL".to_owned(), "2".to_owned())]);
    phone.clock.advance(SECOND).await;
    assert_eq!(phone.states_after(1).await, [AppState::Failed]);
    assert_eq!(phone.states_after(1).await, []);
}

#[tokio::test]
async fn a_licence_that_arrives_before_validation_is_enough() {
    let phone = Phone::new(true, Person::Ignore);
    phone.install(2).unwrap();
    phone.clock.advance(SECOND).await;
    phone.store.grant("SERIAL", "2");
    assert_eq!(phone.states_after(1).await, [AppState::Installing]);
    assert_eq!(phone.store.reports().len(), 1, "it was too early all the same");
}

#[tokio::test]
async fn what_cannot_be_installed_is_rejected_at_once() {
    let phone = Phone::new(true, Person::Ignore);
    assert_eq!(phone.install(99), Err(Rejection::CouldNotVerifyAppId));
    assert_eq!(phone.install(3), Err(Rejection::NotAnApp));
    assert_eq!(phone.install_with(1, |install| install.by_licence = false), Ok(AppState::NeedsRedemption));
}

#[tokio::test]
async fn an_owners_own_copy_is_taken_over_only_when_asked_for() {
    let phone = Phone::new(true, Person::Ignore);
    assert!(phone.apps.person_installs("1"));
    assert_eq!(phone.install(1), Err(Rejection::AppAlreadyInstalled));
    assert!(!phone.apps.remove("example.app1"), "not managed");
    assert_eq!(phone.install_with(1, |install| install.take_over = true), Ok(AppState::Managed));

    let asked = Phone::new(false, Person::Decline { after: SECOND });
    asked.apps.person_installs("1");
    let state = asked.install_with(1, |install| install.take_over = true);
    assert_eq!(state, Ok(AppState::PromptingForManagement));
    assert_eq!(asked.states_after(0).await, [AppState::PromptingForManagement]);
    assert_eq!(asked.states_after(1).await, [AppState::ManagementRejected]);
    assert_eq!(asked.apps.all()[0].state, None, "the copy stays");
}

#[tokio::test]
async fn the_same_command_updates_an_older_version() {
    let phone = Phone::new(true, Person::Ignore);
    phone.install(1).unwrap();
    for _ in 0..5 {
        phone.clock.advance(SECOND).await;
    }
    phone.store.release("1", 11);
    assert!(phone.apps.has_update(&phone.apps.all()[0]));
    assert_eq!(phone.install(1), Ok(AppState::ValidatingUpdate));
    assert_eq!(phone.states_after(0).await, [AppState::ValidatingUpdate]);
    assert_eq!(phone.states_after(1).await, [AppState::Updating]);
    assert_eq!(phone.apps.all()[0].installed, Some(10), "the old version runs");
    assert_eq!(phone.states_after(3).await, [AppState::Managed]);
    assert_eq!(phone.apps.all()[0].installed, Some(11));
}

#[tokio::test]
async fn a_deleted_app_stays_known_and_a_removal_stops_an_installation() {
    let phone = Phone::new(true, Person::Ignore);
    phone.install(1).unwrap();
    for _ in 0..5 {
        phone.clock.advance(SECOND).await;
    }
    assert!(phone.apps.person_deletes("1"));
    assert!(!phone.apps.person_deletes("1"));
    assert_eq!(phone.states(), [AppState::ManagedButUninstalled]);
    assert_eq!(phone.install(1), Ok(AppState::Queued));
    assert!(phone.apps.remove("example.app1"));
    assert_eq!(phone.states_after(10).await, []);
    assert!(phone.apps.all().is_empty());
}

#[tokio::test]
async fn removing_the_profile_takes_flagged_apps_along() {
    let phone = Phone::new(true, Person::Ignore);
    phone.store.grant("SERIAL", "2");
    phone.install(1).unwrap();
    phone.install_with(2, |install| install.flags = 0).unwrap();
    for _ in 0..5 {
        phone.clock.advance(SECOND).await;
    }
    phone.apps.profile_removed();
    let left = phone.apps.all();
    assert_eq!((left.len(), left[0].product.adam_id.as_str(), left[0].state), (1, "2", None));
}
