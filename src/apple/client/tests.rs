use super::*;
use crate::apple::error::TokenProblemKind;
use crate::apple::scripted;
use crate::apple::scripted::{Step, TOKEN_JSON, against, client, in_order, reply, retry_after, start};
use crate::apple::wire::EventState;
use base64::Engine;

const ACCEPTED: &str = r#"{"eventId":"e-1","uId":"73001","mdmInfo":{"id":"ours","name":"n","metadata":"m"}}"#;
const CONFIG: &str = r#"{"uId":"73001","locationName":"Depot South","countryISO2ACode":"NL",
    "notificationAuthToken":"vn_4S0c8p2QmZ7yKX1rT9bJdA","tokenExpirationDate":"2027-06-30T09:15:00+0000"}"#;

fn asset() -> Vec<AssetRef> {
    vec![serde_json::from_str(r#"{"adamId":"1600000011"}"#).unwrap()]
}

fn serials() -> Holders {
    Holders::Serials(vec!["QX7T2M9K1P".into(), "QX7T2M9K2P".into()])
}

fn seconds_since_start(clock: &Clock) -> f64 {
    clock.now().duration_since(start()).as_secs_f64()
}

#[test]
fn users_are_named_by_their_ids_and_without_serial_numbers() {
    against(in_order(vec![reply(200, ACCEPTED), reply(200, ACCEPTED)]), async |client, location, server, _| {
        let users = Holders::Users(vec!["b7c0e2d4-77aa".into()]);
        client.associate(&location, &asset(), &users).await.unwrap();
        client.disassociate(&location, &asset(), &users).await.unwrap();
        for (sent, path) in server.received().iter().zip(["assets/associate", "assets/disassociate"]) {
            assert_eq!(sent.path, format!("/mdm/v2/{path}"));
            let body =
                r#"{"assets":[{"adamId":"1600000011","pricingParam":"STDQ"}],"clientUserIds":["b7c0e2d4-77aa"]}"#;
            assert_eq!(sent.body, body);
        }
    });
}

#[test]
fn an_association_goes_out_as_apple_wants_it() {
    against(in_order(vec![reply(200, ACCEPTED)]), async |client, location, server, _| {
        let accepted = client.associate(&location, &asset(), &serials()).await.unwrap();
        assert_eq!((accepted.event_id.as_str(), accepted.uid.as_deref()), ("e-1", Some("73001")));
        assert_eq!(accepted.mdm_info.unwrap().id, "ours");
        let sent = server.received().remove(0);
        let token = base64::engine::general_purpose::STANDARD.encode(TOKEN_JSON);
        assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/mdm/v2/assets/associate"));
        assert_eq!(sent.authorization, format!("Bearer {token}"));
        assert_eq!(sent.content_type, "application/json");
        assert_eq!(
            sent.body,
            r#"{"assets":[{"adamId":"1600000011","pricingParam":"STDQ"}],"serialNumbers":["QX7T2M9K1P","QX7T2M9K2P"]}"#
        );
        assert_eq!((client.calls()["assets/associate"], client.calls()["service/config"]), (1, 1));
    });
}

#[test]
fn an_error_in_a_200_is_an_error_as_in_a_401() {
    let revoked = AppleError::TokenProblem { kind: TokenProblemKind::Revoked, number: Some(9625) };
    for status in [200, 401] {
        let body = r#"{"errorNumber":9625,"errorMessage":"x","eventId":"e-1"}"#;
        against(in_order(vec![reply(status, body)]), async |client, location, server, _| {
            assert_eq!(client.associate(&location, &asset(), &serials()).await, Err(revoked.clone()));
            assert_eq!(server.received().len(), 1);
        });
    }
}

#[test]
fn a_location_without_owner_reads_the_same_with_null_and_without() {
    let null = CONFIG.replace(r#"{"uId""#, r#"{"mdmInfo":null,"uId""#);
    against(in_order(vec![reply(200, CONFIG), reply(200, null)]), async |client, location, _, _| {
        let absent = client.client_config(&location).await.unwrap();
        assert_eq!(absent, client.client_config(&location).await.unwrap());
        assert_eq!((absent.mdm_info, absent.body.country.as_deref()), (None, Some("NL")));
        assert_eq!(absent.token_expires_at, Some("2027-06-30T09:15:00Z".parse().unwrap()));
        assert!(!format!("{:?}", absent.body).contains("vn_4S0c"));
    });
}

#[test]
fn a_claim_sends_our_name_alone() {
    against(in_order(vec![reply(200, CONFIG)]), async |client, location, server, _| {
        let ours = MdmInfo { id: "a".into(), name: "b".into(), metadata: "c".into() };
        client.claim(&location, &ours).await.unwrap();
        assert_eq!(server.received()[0].body, r#"{"mdmInfo":{"id":"a","name":"b","metadata":"c"}}"#);
    });
}

#[test]
fn too_many_requests_wait_as_long_as_apple_asks_in_either_form() {
    for asked in ["90", "Mon, 02 Nov 2026 06:01:30 GMT"] {
        let steps = vec![retry_after(429, asked), reply(200, ACCEPTED)];
        against(in_order(steps), async |client, location, server, clock| {
            client.associate(&location, &asset(), &serials()).await.unwrap();
            assert!((90.0..92.0).contains(&seconds_since_start(&clock)), "{}", seconds_since_start(&clock));
            assert_eq!(server.received().len(), 2);
        });
    }
}

#[test]
fn a_long_wait_is_left_to_the_caller_and_silences_the_location() {
    let steps = vec![retry_after(503, "3600"), reply(200, CONFIG)];
    against(in_order(steps), async |client, location, server, clock| {
        for _ in 0..2 {
            let error = client.client_config(&location).await.unwrap_err();
            let AppleError::RetryLater { after: Some(after), .. } = error else { panic!("{error}") };
            assert!((3590..=3600).contains(&after.as_secs()));
        }
        assert_eq!(server.received().len(), 1);
        let elsewhere = Location::new("another", location.token.clone());
        client.client_config(&elsewhere).await.unwrap();
        assert!(seconds_since_start(&clock) < 5.0);
    });
}

#[test]
fn a_change_is_repeated_after_unavailable_and_not_after_a_gateway_failed() {
    let steps = vec![reply(503, r#"{"errorNumber":9729}"#), reply(200, ACCEPTED), reply(502, "<html>Bad Gateway")];
    against(in_order(steps), async |client, location, server, _| {
        client.disassociate(&location, &asset(), &serials()).await.unwrap();
        let sent = server.received();
        assert_eq!((sent.len(), &sent[0].body), (2, &sent[1].body));
        let error = client.disassociate(&location, &asset(), &serials()).await.unwrap_err();
        assert_eq!(error, AppleError::UnknownOutcome { why: RetryCause::Internal });
        assert_eq!(server.received().len(), 3);
    });
}

#[test]
fn a_change_whose_answer_is_lost_or_garbled_has_an_unknown_outcome() {
    let slow = Step::Reply { status: 200, headers: vec![], body: ACCEPTED.into(), after: Duration::from_secs(45) };
    let cases = [
        (Step::Drop, RetryCause::ConnectionLost),
        (reply(200, r#"{"eventId":"e-"#), RetryCause::Garbled),
        (reply(200, r#"{"uId":"73001"}"#), RetryCause::Garbled),
        (slow, RetryCause::TimedOut(Duration::from_secs(30))),
    ];
    for (step, why) in cases {
        against(in_order(vec![step]), async |client, location, server, _| {
            let error = client.associate(&location, &asset(), &serials()).await.unwrap_err();
            assert_eq!(error, AppleError::UnknownOutcome { why });
            assert_eq!(server.received().len(), 1);
        });
    }
}

#[test]
fn a_read_survives_html_dropped_connections_and_truncated_json() {
    let steps = vec![
        reply(502, "<html>"),
        Step::Drop,
        reply(200, r#"{"eventStatus":"COMPL"#),
        reply(200, "<html>sign in"),
        reply(500, r#"{"errorNumber":9603}"#),
        reply(200, r#"{"eventStatus":"COMPLETE","numCompleted":2,"numRequested":2}"#),
    ];
    against(in_order(steps), async |client, location, server, _| {
        let status = client.status(&location, "a b&c").await.unwrap();
        assert_eq!(status.body.event_status, EventState::Complete);
        assert_eq!(server.received()[0].query, "eventId=a+b%26c");
    });
}

#[test]
fn a_read_gives_up_after_six_tries_and_tells_without_quoting() {
    let answer = |request: &crate::apple::scripted::Received| {
        request.path.ends_with("status").then(|| reply(200, r#"{"eventStatus":["secret"]}"#))
    };
    against(answer, async |client, location, server, clock| {
        let error = client.status(&location, "e").await.unwrap_err();
        assert!(matches!(error, AppleError::Malformed { .. }) && !error.to_string().contains("secret"), "{error}");
        assert_eq!(server.received().len(), 6);
        assert!((2.5..142.0).contains(&seconds_since_start(&clock)));
    });
}

#[test]
fn a_change_that_cannot_connect_was_surely_not_done() {
    against(in_order(vec![]), async |_, location, _, clock| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let client = client(&clock, &base_url).unwrap();
        let error = client.associate(&location, &asset(), &serials()).await.unwrap_err();
        let AppleError::RetryLater { why: RetryCause::CannotConnect(why), .. } = &error else { panic!("{error}") };
        assert!(why.contains("refused") && error.was_surely_not_done(), "{why}");
        assert_eq!(client.calls()["assets/associate"], 6);
    });
}

#[test]
fn limits_are_kept_for_five_minutes_and_read_again_at_once_when_exceeded() {
    let answer = |request: &crate::apple::scripted::Received| {
        let limits = if request.at == start() { 25 } else { 5 };
        Some(match request.path.as_str() {
            "/mdm/v2/service/config" => reply(200, format!(r#"{{"limits":{{"maxAssets":{limits}}}}}"#)),
            _ => reply(400, r#"{"errorNumber":9700}"#),
        })
    };
    against(answer, async |client, location, _, clock| {
        assert_eq!(client.service_config().await.limits.max_assets, 25);
        clock.sleep(Duration::from_secs(200)).await;
        assert_eq!(client.service_config().await.limits.max_assets, 25);
        let error = client.associate(&location, &asset(), &serials()).await.unwrap_err();
        assert_eq!(error, AppleError::Limit { number: 9700 });
        assert_eq!(client.service_config().await.limits.max_assets, 5);
        assert_eq!(client.calls()["service/config"], 2);
        clock.sleep(SOFT_AGE).await;
        client.service_config().await;
        assert_eq!(client.calls()["service/config"], 3);
    });
}

#[test]
fn last_good_limits_serve_a_day_and_the_built_in_ones_after_that() {
    let answer = |request: &crate::apple::scripted::Received| match request.at == start() {
        true => Some(reply(200, r#"{"limits":{"maxAssets":7}}"#)),
        false => Some(reply(500, "")),
    };
    against(answer, async |client, _, _, clock| {
        assert_eq!(client.service_config().await.limits.max_assets, 7);
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(client.service_config().await.limits.max_assets, 7);
        clock.sleep(HARD_AGE).await;
        assert_eq!(client.service_config().await.limits.max_assets, 25);
    });
}

#[test]
fn requests_never_exceed_apples_rate_however_many_want_to_go() {
    let answer = |request: &crate::apple::scripted::Received| {
        let limits = r#"{"limits":{"maxRequestPerSecond":4}}"#;
        Some(if request.path.ends_with("service/config") { reply(200, limits) } else { reply(200, CONFIG) })
    };
    against(answer, async |client, location, server, _| {
        let calls = (0..40).map(|_| client.client_config(&location));
        assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
        let times: Vec<_> = server.received().iter().map(|request| request.at).collect();
        for (index, first) in times.iter().enumerate() {
            let end = after(*first, Duration::from_secs(1));
            assert!(times[index..].iter().take_while(|time| **time <= end).count() <= 4);
        }
    });
}

#[test]
fn only_https_or_a_loopback_address_is_accepted() {
    let clock = Clock::real();
    for good in [APPLE, "https://apple.internal:8443", "http://127.0.0.1:9/x", "http://[::1]:9/", "http://localhost/"] {
        assert!(client(&clock, good).is_ok(), "{good}");
    }
    for bad in ["http://apple.example/", "ftp://x/", "/mdm", "", "https://a@b/", "https://a/?q=1", "http://10.0.0.1/"] {
        assert!(matches!(client(&clock, bad), Err(SetupError::BaseUrl(_))), "{bad}");
    }
}

#[test]
fn pauses_before_another_try_differ_from_client_to_client_and_stay_within_bounds() {
    let clock = Clock::real();
    let pauses = |seed| -> Vec<Duration> {
        let mut client = client(&clock, "http://127.0.0.1:1/").unwrap();
        client.entropy = crate::entropy::Entropy::seeded(seed);
        (1..=6).map(|attempt| client.full_jitter(attempt)).collect()
    };
    let (one, other) = (pauses(1), pauses(2));
    assert_ne!(one, other);
    for (pause, most) in one.iter().chain(&other).zip([1, 4, 16, 60, 60, 60].into_iter().cycle()) {
        assert!((SHORTEST_WAIT..=Duration::from_secs(most)).contains(pause), "{pause:?} of {most} s");
    }
}

#[test]
fn a_token_goes_to_no_other_host_whatever_addresses_apple_names() {
    let answer = |received: &scripted::Received| match received.path.as_str() {
        "/mdm/v2/service/config" => {
            let urls = r#"{"urls":{"clientConfig":"https://elsewhere.example/mdm/v2/client/config"}}"#;
            Some(reply(200, urls))
        }
        "/mdm/v2/client/config" => Some(reply(200, CONFIG)),
        _ => None,
    };
    against(answer, async |client, location, server, _| {
        client.client_config(&location).await.unwrap();
        assert_eq!(server.received().len(), 1);
    });
}

#[test]
fn what_differs_in_a_reply_is_noticed_and_spoils_nothing() {
    let odd = CONFIG.replace(r#"{"uId""#, r#"{"mood":"good","defaultPlatform":"zoo","uId""#);
    against(in_order(vec![reply(200, odd.clone()), reply(200, odd)]), async |client, location, _, _| {
        for _ in 0..2 {
            client.client_config(&location).await.unwrap();
        }
        let noticed = client.noticed().take();
        let told: Vec<_> = noticed.iter().map(|(drift, seen)| (drift.place.as_str(), seen.count)).collect();
        assert_eq!(told, [("defaultPlatform", 2), ("mood", 2)]);
        assert!(client.noticed().take().is_empty());
    });
}
