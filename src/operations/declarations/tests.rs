use super::*;

fn declaring(state: State, capabilities: Option<&str>) -> Declaring {
    Declaring {
        state,
        since: Timestamp::from_second(1_000).unwrap(),
        os_version: "18.5".into(),
        capabilities: capabilities.map(str::to_owned),
        token: String::new(),
        fetched: String::new(),
        called_at: Timestamp::from_second(1_000).unwrap(),
        told_at: None,
    }
}

/// What a device says that can have apps declared, and one that cannot.
const ABLE: &str = r#"{"configurations": ["com.apple.configuration.app.managed",
    "com.apple.configuration.management.status-subscriptions"], "status_items": ["app.managed.list"]}"#;
const UNABLE: &str = r#"{"configurations": [], "status_items": []}"#;

#[test]
fn a_deployment_and_a_device_decide_the_way_together() {
    let (soon, later) = (Timestamp::from_second(1_010).unwrap(), Timestamp::from_second(5_000).unwrap());
    let ios = System::new("iOS", "18.5", false);
    let mac = System::new("macOS", "26.0", false);
    let auto = Terms::default();
    let declarative = Terms { delivery: Delivery::Declarative, ..Terms::default() };
    let command = Terms { delivery: Delivery::Command, ..Terms::default() };
    let configured = Terms { configuration: Some("<plist/>".into()), ..Terms::default() };
    let on = |capabilities| Some(declaring(State::On, capabilities));
    let table = [
        (&auto, false, ios, on(Some(ABLE)), soon, Way::Declared),
        (&declarative, true, ios, on(Some(ABLE)), soon, Way::Declared),
        (&command, false, ios, on(Some(ABLE)), soon, Way::Command),
        (&configured, false, ios, on(Some(ABLE)), soon, Way::Command),
        (&auto, false, mac, on(Some(ABLE)), soon, Way::Declared),
        (&auto, true, mac, on(Some(ABLE)), soon, Way::Command),
        (&declarative, false, ios, on(Some(UNABLE)), soon, Way::Command),
        (&auto, false, ios, on(None), soon, Way::Wait),
        (&auto, false, ios, on(None), later, Way::Command),
        (&auto, false, ios, Some(declaring(State::Asked, None)), soon, Way::Wait),
        (&auto, false, ios, Some(declaring(State::Asked, None)), later, Way::Command),
        (&auto, false, ios, Some(declaring(State::Refused, None)), soon, Way::Command),
        (&auto, false, ios, None, soon, Way::Command),
    ];
    for (number, (terms, by_user, system, declaring, now, expected)) in table.into_iter().enumerate() {
        assert_eq!(
            way(terms, by_user, &system, declaring.as_ref(), Duration::from_secs(30), now).unwrap(),
            expected,
            "row {number}"
        );
    }
}

#[test]
fn the_terms_of_a_deployment_become_the_words_of_a_declaration() {
    let terms = Terms { offered: true, build: Some(7), updates: UpdatePolicy::Never, ..Terms::default() };
    let app = managed_app("1", &terms, true, 3);
    assert_eq!((app.install, app.licence, app.build), (Install::Optional, Assignment::User, Some(7)));
    assert_eq!((app.updates, app.attempt), (Some(false), 3));
    let app = managed_app("1", &Terms { updates: UpdatePolicy::Immediately, ..Terms::default() }, false, 0);
    assert_eq!((app.install, app.licence, app.updates), (Install::Required, Assignment::Device, Some(true)));
    assert_eq!(managed_app("1", &Terms::default(), false, 0).updates, None);
}
