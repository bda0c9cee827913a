//! Registered users: from the wish to the Apple Account, what Apple refuses on the way, and the way back.

mod trouble;

use hyper::Method;
use hyper::body::Bytes;
use sandbox::apple::{BASE_PATH, Call, NewAsset, NewLocation, NewUser, UserStatus, UserView as AtApple};
use serde_json::{Value, json};
use vppd::operations::users::{self, foreign};
use vppd::operations::view::*;
use vppd::operations::{OperationError, look, pause, sync, tokens};

use crate::support::*;

const READER: &str = "1600000011";
const BOOK: &str = "1700000033";

fn wish(email: &str) -> UserAddRequest {
    UserAddRequest { location: "Leeds".into(), email: email.into(), ..UserAddRequest::default() }
}

async fn add(app: &App, email: &str) -> UserView {
    users::add(&app.context, wish(email), "test").await.unwrap()
}

async fn add_managed(app: &App, email: &str, account: &str) -> UserView {
    let request = UserAddRequest { managed_account: Some(account.into()), ..wish(email) };
    users::add(&app.context, request, "test").await.unwrap()
}

async fn edit(app: &App, user: &str, email: &str) -> UserView {
    let request = UserEditRequest { email: Some(email.into()), ..UserEditRequest::default() };
    users::edit(&app.context, user.into(), request, "test").await.unwrap()
}

async fn retire(app: &App, user: &str) -> UserView {
    users::retire(&app.context, user.into(), UserRetireRequest::default(), "test").await.unwrap()
}

async fn show(app: &App, user: &str) -> UserView {
    users::show(&app.context, user.into(), false, "test").await.unwrap()
}

/// A person's registration in Leeds.
async fn place(app: &App, user: &str) -> RegistrationView {
    show(app, user).await.registrations.into_iter().find(|place| place.location == "Leeds").unwrap()
}

async fn state(app: &App, user: &str) -> RegistrationState {
    place(app, user).await.state
}

/// The records that Apple has for an id, in the order in which they were made.
fn at_apple(app: &App, id: &str) -> Vec<AtApple> {
    let location = app.sandbox.apple.location(&app.uid).unwrap();
    location.users.into_iter().filter(|user| user.client_user_id == id).collect()
}

fn statuses(app: &App, id: &str) -> Vec<UserStatus> {
    at_apple(app, id).into_iter().map(|user| user.status).collect()
}

fn calls(app: &App, endpoint: &str) -> u64 {
    app.sandbox.apple.counters().calls.get(endpoint).copied().unwrap_or(0)
}

fn switch(app: &App, patch: Value) {
    app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
}

/// The person accepts the newest invitation.
async fn accept(app: &App, id: &str, account: &str) {
    let code = at_apple(app, id).into_iter().rev().find_map(|user| user.invite_code).unwrap();
    app.sandbox.apple.accept_invitation(&app.uid, &code, account).unwrap();
}

async fn read_all(app: &App) {
    sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
    app.wait(minutes(2)).await;
}

/// Assigns licences to a user, as somebody with the token could.
pub async fn assign(app: &App, adam_id: &str, id: &str) {
    let call = Call {
        method: Method::POST,
        path: format!("{BASE_PATH}assets/associate"),
        query: String::new(),
        authorization: Some(format!("Bearer {}", app.token)),
        cookie: None,
        content_type: Some("application/json".into()),
        body: Bytes::from(json!({"assets": [{"adamId": adam_id}], "clientUserIds": [id]}).to_string()),
    };
    app.sandbox.apple.call(&call).await;
    app.wait(minutes(1)).await;
}

/// An appliance with Leeds, which owns apps and a book.
async fn leeds(clock: vppd::clock::Clock) -> App {
    let app = App::start(clock, &[(READER, 10)]).await;
    app.sandbox.apple.add_asset(&app.uid, NewAsset::book(BOOK, 5)).unwrap();
    app.add_token("Leeds", false).await.unwrap();
    app.wait(minutes(1)).await;
    app
}

#[test]
fn a_person_is_registered_invited_associated_and_retired() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let anna = add(&app, "anna@example.org").await;
        assert_eq!(anna.registrations[0].state, RegistrationState::New);
        assert!(!anna.client_user_id.contains("anna"), "an address may change hands");
        app.wait(minutes(1)).await;
        let registered = place(&app, "ANNA@example.org").await;
        assert_eq!((registered.state, registered.status.as_str()), (RegistrationState::Registered, "Registered"));
        assert_eq!((registered.apple_email.as_str(), registered.invitation), ("anna@example.org", None));
        let code = at_apple(&app, &anna.client_user_id)[0].invite_code.clone().unwrap();
        let shown = users::show(&app.context, anna.id.to_string(), true, "test").await.unwrap();
        let link = shown.registrations[0].invitation.clone().unwrap();
        assert!(link.contains(&format!("?inviteCode={code}&")) && !link.contains("%25"), "{link}");

        accept(&app, &anna.client_user_id, "anna@home.example").await;
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered, "nobody has told yet");
        // Between full listings only changes are read.
        let listings = calls(&app, "users");
        app.wait(minutes(13 * 60)).await;
        let associated = place(&app, &anna.client_user_id).await;
        assert_eq!((associated.state, associated.id_hash.is_some()), (RegistrationState::Associated, true));
        assert!(associated.associated_at > associated.registered_at);
        assert!(calls(&app, "users") > listings);
        let shown = users::show(&app.context, anna.id.to_string(), true, "test").await.unwrap();
        assert_eq!(shown.registrations[0].invitation, None, "accepted once");

        retire(&app, "anna@example.org").await;
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Retiring);
        app.wait(minutes(1)).await;
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Retired);
        assert_eq!(statuses(&app, &anna.client_user_id), [UserStatus::Retired]);
        for endpoint in ["users/create", "users/retire"] {
            assert_eq!(calls(&app, endpoint), 1, "{endpoint}");
        }
        assert_eq!(calls(&app, "users/update"), 0);
        app.assert_clean();
    });
}

#[test]
fn a_managed_account_is_linked_at_once_and_an_edit_tells_apple() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let lena = add_managed(&app, "lena@example.org", "lena@managed.example").await;
        app.wait(minutes(1)).await;
        assert_eq!(state(&app, "lena@example.org").await, RegistrationState::Associated);
        assert_eq!(at_apple(&app, &lena.client_user_id)[0].account.as_deref(), Some("lena@managed.example"));
        let shown = users::show(&app.context, lena.id.to_string(), true, "test").await.unwrap();
        assert_eq!(shown.registrations[0].invitation, None);
        // Another person cannot have the account, and Apple is not even asked.
        let request =
            UserAddRequest { managed_account: Some("Lena@managed.example".into()), ..wish("ben@example.org") };
        assert_eq!(users::add(&app.context, request, "test").await.unwrap_err().code, "account-taken");
        edit(&app, "lena@example.org", "l.haas@example.org").await;
        app.wait(minutes(1)).await;
        assert_eq!(at_apple(&app, &lena.client_user_id)[0].email.as_deref(), Some("l.haas@example.org"));
        assert_eq!((calls(&app, "users/create"), calls(&app, "users/update")), (1, 1));
        // A name is no business of Apple's.
        let request = UserEditRequest { name: Some("Lena Haas".into()), ..UserEditRequest::default() };
        users::edit(&app.context, "l.haas@example.org".into(), request, "test").await.unwrap();
        app.wait(minutes(1)).await;
        assert_eq!(calls(&app, "users/update"), 1);
        app.assert_clean();
    });
}

#[test]
fn whoever_is_registered_again_comes_back_as_apple_keeps_history() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let id = add(&app, "anna@example.org").await.client_user_id;
        app.wait(minutes(1)).await;
        // Never associated: the record is revived.
        retire(&app, "anna@example.org").await;
        app.wait(minutes(1)).await;
        assert_eq!(add(&app, "anna@example.org").await.client_user_id, id, "the same person");
        app.wait(minutes(1)).await;
        assert_eq!(statuses(&app, &id), [UserStatus::Registered]);
        // Once associated: a new record beside the retired one, and the new one counts.
        accept(&app, &id, "anna@home.example").await;
        read_all(&app).await;
        retire(&app, "anna@example.org").await;
        app.wait(minutes(1)).await;
        add(&app, "anna@example.org").await;
        app.wait(minutes(1)).await;
        assert_eq!(statuses(&app, &id), [UserStatus::Retired, UserStatus::Registered]);
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered);
        read_all(&app).await;
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered, "whichever stands first");
        // The same Apple Account accepts: the old record is the active one again.
        accept(&app, &id, "anna@home.example").await;
        app.wait(minutes(13 * 60)).await;
        assert_eq!(statuses(&app, &id), [UserStatus::Associated, UserStatus::Retired]);
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Associated);
        assert_eq!(calls(&app, "users/create"), 3);
        app.assert_clean();
    });
}

#[test]
fn one_person_under_two_locations_has_one_id_and_a_registration_in_each() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let york = app.sandbox.apple.add_location(NewLocation { name: "York".into(), ..NewLocation::default() });
        let content = app.sandbox.apple.add_token(&york, jiff::SignedDuration::from_hours(24 * 300)).unwrap();
        let request = TokenAddRequest { name: "York".into(), content, take_over: false };
        tokens::add(&app.context, request, "test").await.unwrap();
        let first = add(&app, "anna@example.org").await;
        let request = UserAddRequest { location: "york".into(), ..wish("Anna@example.org") };
        let both = users::add(&app.context, request, "test").await.unwrap();
        assert_eq!((both.id, both.registrations.len()), (first.id, 2));
        app.wait(minutes(1)).await;
        for uid in [&app.uid, &york] {
            let users = app.sandbox.apple.location(uid).unwrap().users;
            assert_eq!(users.iter().map(|user| &user.client_user_id).collect::<Vec<_>>(), [&first.client_user_id]);
        }
        let only = UserRetireRequest { location: Some("York".into()) };
        users::retire(&app.context, "anna@example.org".into(), only, "test").await.unwrap();
        app.wait(minutes(1)).await;
        let states: Vec<_> =
            show(&app, "anna@example.org").await.registrations.iter().map(|place| place.state).collect();
        assert_eq!(states, [RegistrationState::Registered, RegistrationState::Retired]);
        // Known by its id when the token comes back.
        tokens::removal::request(&app.context, "Leeds".into(), TokenRemoveRequest::default(), "test").await.unwrap();
        app.wait(minutes(1)).await;
        assert_eq!(show(&app, "anna@example.org").await.registrations.len(), 1);
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(1)).await;
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered);
        assert_eq!(foreign::list(&app.context, "Leeds".into()).await.unwrap().users, []);
        assert_eq!(calls(&app, "users/create"), 2);
        app.assert_clean();
    });
}

#[test]
fn two_hundred_and_fifty_people_are_registered_with_three_requests() {
    story(|clock| async move {
        let app = leeds(clock).await;
        for number in 0..250 {
            add(&app, &format!("person{number}@example.org")).await;
        }
        app.wait(minutes(2)).await;
        assert_eq!(calls(&app, "users/create"), 3);
        let all = users::list(&app.context).await.unwrap();
        let registered = all.iter().filter(|user| user.registrations[0].state == RegistrationState::Registered);
        assert_eq!(registered.count(), 250);
        app.assert_clean();
    });
}

#[test]
fn retiring_gives_apps_back_and_keeps_books() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let id = add(&app, "anna@example.org").await.client_user_id;
        app.wait(minutes(1)).await;
        assign(&app, READER, &id).await;
        assign(&app, BOOK, &id).await;
        read_all(&app).await;
        let free = |apps: Vec<AppView>, id: &str| apps.iter().find(|app| app.adam_id == id).unwrap().free;
        let apps = look::apps(&app.context).await.unwrap();
        assert_eq!((free(apps.clone(), READER), free(apps, BOOK)), (9, 4));
        let told = users::retirement(&app.context, "anna@example.org".into(), None).await.unwrap();
        assert_eq!(told.places, [RetirementPlaceView { location: "Leeds".into(), comes_back: 1, stays: 1 }]);
        retire(&app, "anna@example.org").await;
        app.wait(minutes(1)).await;
        let held = place(&app, "anna@example.org").await;
        assert_eq!(held.state, RegistrationState::Retired);
        assert_eq!(held.holds.iter().map(|held| held.adam_id.as_str()).collect::<Vec<_>>(), [BOOK]);
        let apps = look::apps(&app.context).await.unwrap();
        assert_eq!((free(apps.clone(), READER), free(apps, BOOK)), (10, 4), "known at once");
        app.assert_clean();
    });
}

#[test]
fn users_of_another_mdm_are_left_alone_until_they_are_retired_on_purpose() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.sandbox.apple.add_asset(&app.uid, NewAsset::book(BOOK, 5)).unwrap();
        let old = |id: &str, status: Option<UserStatus>| {
            let new = NewUser {
                email: Some(format!("{id}@example.org")),
                status,
                ..NewUser::associated(id, &format!("{id}@home.example"))
            };
            app.sandbox.apple.add_user_record(&app.uid, new).unwrap();
        };
        old("gone", Some(UserStatus::Retired));
        // Of one there are several records, of which one is active.
        old("old-1", Some(UserStatus::Deleted));
        old("old-1", None);
        old("old-1", Some(UserStatus::Retired));
        old("old-2", None);
        assign(&app, READER, "old-1").await;
        assign(&app, BOOK, "old-2").await;
        app.add_token("Leeds", false).await.unwrap();
        add(&app, "anna@example.org").await;
        app.wait(minutes(13 * 60)).await;
        assert_eq!(users::list(&app.context).await.unwrap().len(), 1, "not taken for persons");
        let found = foreign::list(&app.context, "Leeds".into()).await.unwrap();
        let told: Vec<_> = found.users.iter().map(|u| (u.client_user_id.as_str(), u.comes_back, u.stays)).collect();
        assert_eq!((told, found.why_not.as_str()), (vec![("old-1", 1, 0), ("old-2", 0, 1)], ""));
        assert_eq!(calls(&app, "users/retire"), 0);
        let retire =
            async |count| foreign::retire(&app.context, "Leeds".into(), ForeignRetireRequest { count }, "test").await;
        assert_eq!(retire(3).await.unwrap_err().code, "count-changed");
        // One that somebody else retires meanwhile spoils nothing.
        app.sandbox.apple.retire_user(&app.uid, "old-2").unwrap();
        assert!(retire(2).await.unwrap().users.iter().all(|user| user.retiring));
        app.wait(minutes(2)).await;
        assert_eq!(foreign::list(&app.context, "Leeds".into()).await.unwrap().users, []);
        assert!(!statuses(&app, "old-1").contains(&UserStatus::Associated));
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered, "ours stays");
        app.assert_clean();
    });
}

#[test]
fn nothing_is_written_while_paused_or_while_another_mdm_holds_the_location() {
    story(|clock| async move {
        let app = leeds(clock).await;
        pause::pause(&app.context, PauseRequest::default(), "test").await.unwrap();
        add(&app, "anna@example.org").await;
        app.wait(minutes(60)).await;
        assert_eq!(calls(&app, "users/create"), 0);
        pause::resume(&app.context, "test").await.unwrap();
        app.wait(minutes(1)).await;
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered);
        app.sandbox.apple.add_user(&app.uid, "theirs").unwrap();
        read_all(&app).await;
        let other = sandbox::apple::MdmInfo { id: "other".into(), name: "Old MDM".into(), metadata: "x".into() };
        app.sandbox.apple.take_over(&app.uid, other).unwrap();
        app.wait(minutes(5)).await;
        add(&app, "ben@example.org").await;
        retire(&app, "anna@example.org").await;
        app.wait(minutes(60)).await;
        assert_eq!((calls(&app, "users/create"), calls(&app, "users/retire")), (1, 0));
        let asked = ForeignRetireRequest { count: 1 };
        let refused: OperationError = foreign::retire(&app.context, "Leeds".into(), asked, "test").await.unwrap_err();
        assert_eq!(refused.code, "cannot-retire");
        tokens::manage::take_over(&app.context, "Leeds".into(), "test").await.unwrap();
        app.wait(minutes(2)).await;
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Retired);
        assert_eq!(state(&app, "ben@example.org").await, RegistrationState::Registered);
        app.assert_clean();
    });
}

#[test]
fn the_command_line_registers_shows_and_retires() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let text = |output: std::process::Output| {
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let added = text(
            cli(&app, &["user", "add", "--location", "Leeds", "--email", "p.osei@example.org", "--name", "Priya"])
                .await,
        );
        assert!(added.contains("state:         new\n"), "{added}");
        app.wait(minutes(1)).await;
        let listed = text(
            cli(&app, &["user", "list", "--location", "leeds", "--status", "registered", "--search", "PRIYA"]).await,
        );
        assert!(listed.contains("p.osei@example.org  Priya  Leeds     registered"), "{listed}");
        let shown = text(cli(&app, &["user", "show", "p.osei@example.org"]).await);
        assert!(!shown.contains("inviteCode"), "{shown}");
        let shown = text(cli(&app, &["user", "show", "1", "--invitation", "--json"]).await);
        let json: Value = serde_json::from_str(&shown).unwrap();
        assert!(json["registrations"][0]["invitation"].as_str().unwrap().contains("inviteCode="), "{shown}");
        text(cli(&app, &["user", "edit", "1", "--email", "priya@example.org"]).await);
        let asked = cli(&app, &["user", "retire", "1"]).await;
        let told = String::from_utf8(asked.stderr).unwrap();
        assert!(!asked.status.success() && told.contains("comes back: 0 licences") && told.contains("--yes"), "{told}");
        text(cli(&app, &["user", "retire", "1", "--yes"]).await);
        app.sandbox.apple.add_user(&app.uid, "theirs").unwrap();
        read_all(&app).await;
        let found = text(cli(&app, &["token", "foreign-users", "Leeds"]).await);
        assert!(found.contains("theirs"), "{found}");
        let asked = cli(&app, &["token", "foreign-users", "Leeds", "--retire"]).await;
        assert!(String::from_utf8(asked.stderr).unwrap().contains("This retires 1 user of Leeds"));
        text(cli(&app, &["token", "foreign-users", "Leeds", "--retire", "--yes"]).await);
        app.wait(minutes(1)).await;
        assert_eq!(statuses(&app, "theirs"), [UserStatus::Retired]);
        assert_eq!(state(&app, "priya@example.org").await, RegistrationState::Retired);
        app.assert_clean();
    });
}
