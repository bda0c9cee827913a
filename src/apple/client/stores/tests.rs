use super::*;
use crate::apple::scripted::{Received, Server, Step, against, client, reply, retry_after, start};
use crate::clock::simulated;

const NL: Shelf<'static> = Shelf { storefront: "nl", platform: "enterprisestore", language: "en" };

/// What is answered to `service/config`: the lookup lies at this address.
fn named(lookup: &str) -> String {
    format!(r#"{{"urls":{{"contentMetadataLookup":"{lookup}"}}}}"#)
}

/// A server that names its own lookup and answers everything else with `body`.
async fn with_lookup(clock: &Clock, body: &'static str) -> Server {
    let own = std::sync::Arc::new(Mutex::new(String::new()));
    let told = own.clone();
    let answer = move |request: &Received| {
        let config = request.path.ends_with("service/config");
        Some(reply(200, if config { named(&told.lock().unwrap()) } else { body.to_owned() }))
    };
    let server = Server::start(clock.clone(), answer).await;
    *own.lock().unwrap() = server.base_url.replace("/mdm/v2/", "/lookup-a");
    server
}

fn token() -> ContentToken {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(crate::apple::scripted::TOKEN_JSON);
    ContentToken::from_file(text.as_bytes()).unwrap()
}

#[test]
fn the_lookup_is_asked_as_apple_wants_it_with_the_token_as_a_cookie() {
    simulated(start(), async |clock: Clock| {
        let server = with_lookup(&clock, r#"{"results":{"1":{"name":"One"}}}"#).await;
        let client = client(&clock, &server.base_url).unwrap();
        let told = client.content_lookup(&token(), NL, &["1", "2"]).await.unwrap();
        assert_eq!((told.len(), told["1"].name.as_str()), (1, "One"));
        let sent = server.received().remove(0);
        assert_eq!(sent.path, "/lookup-a");
        let query = "version=2&id=1%2C2&p=mdm-lockup&caller=MDM&platform=enterprisestore&cc=nl&l=en";
        assert_eq!((sent.query.as_str(), sent.authorization.as_str()), (query, ""));
        use secrecy::ExposeSecret;
        assert_eq!(sent.cookie, format!("itvt={}", token().text().expose_secret()));
    })
    .unwrap();
}

#[test]
fn the_token_goes_to_no_foreign_host_whatever_the_service_names() {
    simulated(start(), async |clock: Clock| {
        // Another port is another host.
        let foreign = Server::start(clock.clone(), |_: &Received| Some(reply(200, r#"{"results":{}}"#))).await;
        for address in [
            foreign.base_url.replace("/mdm/v2/", "/lookup"),
            "https://evil.example/lookup".to_owned(),
            LOOKUP.to_owned(),
            "not an address".to_owned(),
        ] {
            let answer =
                move |request: &Received| request.path.ends_with("service/config").then(|| reply(200, named(&address)));
            let server = Server::start(clock.clone(), answer).await;
            let client = client(&clock, &server.base_url).unwrap();
            assert!(client.content_lookup(&token(), NL, &["1"]).await.is_err());
            assert_eq!((server.received().len(), foreign.received().len()), (0, 0));
        }
    })
    .unwrap();
}

#[test]
fn at_apple_the_lookup_is_followed_only_on_apples_host() {
    simulated(start(), async |clock: Clock| {
        let client = client(&clock, crate::apple::client::APPLE).unwrap();
        let lookup_told = async |told: Option<&str>| {
            let mut config = crate::apple::ServiceConfig::default();
            config.metadata_lookup = told.map(|url| url.parse().unwrap());
            let mut kept = client.config.lock().await;
            kept.config = std::sync::Arc::new(config);
            kept.fetched_at = Some(clock.steady());
            drop(kept);
            client.lookup_address().await.unwrap()
        };
        let other = "https://uclient-api.itunes.apple.com/elsewhere";
        assert_eq!(lookup_told(Some(other)).await, other);
        assert_eq!(
            lookup_told(Some("https://vpp.itunes.apple.com/lookup")).await,
            "https://vpp.itunes.apple.com/lookup"
        );
        for wrong in [
            None,
            Some("https://uclient-api.itunes.apple.com.evil.example/x"),
            Some("http://uclient-api.itunes.apple.com/x"),
            Some("https://uclient-api.itunes.apple.com:8443/x"),
            Some("https://uclient-api.itunes.apple.com/x?id=1"),
            Some("https://a@uclient-api.itunes.apple.com/x"),
        ] {
            assert_eq!(lookup_told(wrong).await, LOOKUP, "{wrong:?}");
        }
        let artwork = |url: &str| client.is_artwork(&url.parse().unwrap());
        assert!(artwork("https://is1-ssl.mzstatic.com/image/128x128bb.png"));
        for wrong in [
            "http://is1-ssl.mzstatic.com/a",
            "https://mzstatic.com.evil.example/a",
            "https://evilmzstatic.com/a",
            "https://is1-ssl.mzstatic.com:8443/a",
            "https://127.0.0.1/a",
        ] {
            assert!(!artwork(wrong), "{wrong}");
        }
    })
    .unwrap();
}

#[test]
fn the_public_lookup_is_called_at_most_twenty_times_in_a_minute() {
    let answer = |_: &Received| Some(reply(200, r#"{"resultCount":0,"results":[]}"#));
    against(answer, async |client, _, server, clock| {
        let calls = (0..50).map(|_| client.public_lookup(NL, Entity::App, &["1"]));
        let done = futures_util::future::join_all(calls).await;
        assert!(done.iter().all(Result::is_ok));
        let times: Vec<Timestamp> = server.received().iter().map(|request| request.at).collect();
        let within = |from: &Timestamp| {
            times.iter().filter(|at| *at >= from && **at < after(*from, Duration::from_secs(60))).count()
        };
        assert!(times.iter().all(|from| within(from) <= 20), "{times:?}");
        assert_eq!(clock.now().duration_since(start()).as_secs(), 49 * 32 / 10);
        let sent = &server.received()[0];
        assert_eq!((sent.query.as_str(), sent.cookie.as_str()), ("id=1&country=nl&entity=software", ""));
    });
}

#[test]
fn answers_that_are_none_are_told_in_words_with_the_wait_that_was_asked_for() {
    type Case = (fn() -> Step, &'static str, Option<u64>);
    let steps: [Case; 5] = [
        (|| reply(403, r#"{"errors":[{"code":"40300"}]}"#), "it does not answer for now (HTTP 403)", None),
        (|| retry_after(429, "90"), "it has had too many requests", Some(90)),
        (|| reply(302, ""), "it answers with HTTP 302", None),
        (|| reply(200, "<html>"), "its answer cannot be understood", None),
        (|| Step::Drop, "the connection broke before its answer was complete", None),
    ];
    for (step, why, wait) in steps {
        against(
            move |_: &Received| Some(step()),
            async |client, _, server, _| {
                let error = client.public_lookup(NL, Entity::Book, &["1"]).await.unwrap_err();
                assert_eq!((error.why.as_str(), error.after.map(|after| after.as_secs())), (why, wait));
                assert_eq!(server.received().len(), 1, "made once");
            },
        );
    }
}

#[test]
fn a_developer_token_that_is_turned_down_is_renewed_once() {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    for (refusals, good) in [(1, true), (2, false)] {
        let count = std::sync::atomic::AtomicU32::new(0);
        let answer = move |_: &Received| {
            let refused = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < refusals;
            Some(if refused { reply(401, "") } else { reply(200, r#"{"data":[]}"#) })
        };
        against(answer, async |client, location, server, _| {
            let key = DeveloperKey::from_pem(pem.as_bytes(), "2X9R4HXF34", "57246542CJ").unwrap();
            let told = client.organisation_catalog(&key, location.token(), NL, false, &["1"]).await;
            assert_eq!(told.is_ok(), good, "{told:?}");
            let sent = server.received();
            assert_eq!(sent.len(), 2);
            assert_ne!(sent[0].authorization, sent[1].authorization);
            assert!(
                sent.iter().all(
                    |one| one.cookie.starts_with("itvt=") && one.path == "/v1/catalog/nl/stoken-authenticated-apps"
                )
            );
        });
    }
}

#[test]
fn an_icon_comes_from_the_service_itself_only_when_that_is_on_this_machine_and_is_not_large() {
    let answer = |request: &Received| Some(reply(200, "x".repeat(if request.path == "/large" { 300_000 } else { 10 })));
    against(answer, async |client, _, server, _| {
        let at = |path: &str| server.base_url.replace("/mdm/v2/", path);
        assert_eq!(client.icon(&at("/small")).await.unwrap().len(), 10);
        assert!(client.icon(&at("/large")).await.unwrap_err().why.contains("256 KiB"));
        for foreign in ["http://127.0.0.1:9/a", "https://evil.example/a", "file:///etc/passwd", ""] {
            assert!(client.icon(foreign).await.unwrap_err().why.contains("address"), "{foreign}");
        }
    });
}
