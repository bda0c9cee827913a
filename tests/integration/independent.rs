//! Clients that are not Apple's: no Content-Type on any message, SCEP with DES and SHA-1, the request in the query string of
//! a POST too, an unsigned profile, a minimal Authenticate.

use sandbox::device::options::{Behaviour, ContentType};
use vppd::operations::view::*;
use vppd::operations::{enrol, look};

use crate::support::*;

fn old_fashioned() -> Behaviour {
    Behaviour {
        old_scep_client: true,
        content_type: ContentType::Missing,
        der: true,
        echo_request_type: true,
        ..Behaviour::default()
    }
}

#[test]
fn an_independent_client_enrols_and_works_its_queue() {
    story(|clock| async move {
        let edit = |text: String| {
            text.replace("[enrolment]\n", "[enrolment]\nsign-profiles = false\n")
                + "[identity.scep]\nallow-legacy-ciphers = true\n"
        };
        let app = App::start_with(clock, &[("1600000011", 5)], edit).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut clients = devices(1, 4);
        clients.iter_mut().for_each(|client| client.behaviour = old_fashioned());
        let (serials, named) = (clients.iter().map(|c| c.serial.clone()).collect(), clients.len());
        app.enrol(clients).await;
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed("1600000011"), serials);
        assert_eq!(app.stages("1600000011").await, counts([(Stage::Installed, named)]));
        app.assert_clean();
    });
}

#[test]
fn an_old_client_is_refused_unless_the_settings_allow_it() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let made = enrol::make_profile(&app.context, EnrolRequest::default(), "test").await.unwrap();
        let profile = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, made.profile).unwrap();
        let mut client = devices(1, 2);
        client[0].behaviour = old_fashioned();
        let failures = app.fleet.enrol(&profile, client, 1, |_| ()).await;
        assert!(format!("{failures:?}").contains("BadAlg"), "{failures:?}");
        assert!(look::devices(&app.context).await.unwrap().is_empty());
        // The profile was not used up.
        let failures = app.fleet.enrol(&profile, devices(2, 3), 1, |_| ()).await;
        assert!(failures.is_empty(), "{failures:?}");
    });
}
