//! Requests for an identity that get none, and why.

use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use sandbox::chance::Chance;
use sandbox::device::ber;
use sandbox::device::certificate;
use sandbox::device::cms::{self, Attribute, Signed, Signer};
use sandbox::device::http::{Request, Session};
use sandbox::device::keys::Key;
use sandbox::device::profile::Scep;
use sandbox::device::scep::{RequestStyle, certificate_request};

use super::table::{Table, fingerprint};
use super::visitor::{self, STYLE, Visitor, list};
use crate::captured;
use crate::support::*;

/// SCEP's own attributes, 2.16.840.1.113733.1.9.N.
fn attribute(number: u8, tag: u8, value: &[u8]) -> Attribute {
    Attribute { kind: vec![0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x45, 1, 9, number], value: ber::tlv(tag, value) }
}

/// A client that can make every mistake.
struct Applicant {
    key: Arc<Key>,
    temporary: Vec<u8>,
    scep: Scep,
    authority: Vec<u8>,
    session: Box<dyn Session>,
    now: jiff::Timestamp,
}

impl Applicant {
    async fn new(app: &App, key: Arc<Key>) -> Applicant {
        let profile = visitor::profile(app).await;
        let temporary = certificate::temporary(&key, "applicant", &[9, 9], app.clock.now()).unwrap();
        Applicant {
            key,
            temporary,
            session: visitor::session(app, &profile.anchors),
            scep: profile.enrolment.unwrap().scep,
            authority: app.context.keys.devices.certificate_der().to_vec(),
            now: app.clock.now(),
        }
    }

    fn request(&self, challenge: Option<&str>, key: &Key) -> Vec<u8> {
        let style = RequestStyle {
            cms: STYLE,
            cipher: cms::ContentCipher::Aes128,
            challenge_as_utf8: false,
            sorted_attributes: false,
        };
        certificate_request(&Scep { challenge: challenge.map(str::to_owned), ..self.scep.clone() }, key, style).unwrap()
    }

    /// The whole message of this type around an inner request.
    fn message(&self, kind: &str, inner: &[u8]) -> Vec<u8> {
        let sealed =
            cms::seal(inner, &self.authority, &mut Chance::seeded(4), cms::ContentCipher::Aes128, false).unwrap();
        self.signed(kind, Some("ABCDEF"), &sealed)
    }

    fn signed(&self, kind: &str, transaction: Option<&str>, sealed: &[u8]) -> Vec<u8> {
        let mut attributes = vec![attribute(2, ber::PRINTABLE_STRING, kind.as_bytes())];
        attributes.push(attribute(5, ber::OCTET_STRING, &[7; 16]));
        attributes.extend(transaction.map(|id| attribute(7, ber::PRINTABLE_STRING, id.as_bytes())));
        let signer = Signer { key: &self.key, certificate: &self.temporary, chain: &[] };
        cms::sign(&signer, sealed, true, attributes, self.now, STYLE).unwrap()
    }

    async fn ask(&self, method: Method, query: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let url = format!("{}?{query}", self.scep.url);
        let reply = self.session.send(Request { method, url, headers: Vec::new(), body }).await.unwrap();
        (reply.status.as_u16(), reply.body.to_vec())
    }
}

/// What a CertRep says in a word.
fn verdict(reply: &[u8]) -> &'static str {
    let Ok(signed) = Signed::read(reply) else { return "no message" };
    let value = |number| {
        let kind = attribute(number, ber::PRINTABLE_STRING, b"").kind;
        signed.signers[0].attribute(&kind).unwrap().and_then(|value| value.last().copied())
    };
    match (value(3), value(4)) {
        (Some(b'0'), _) => "success",
        (_, Some(b'0')) => "badAlg",
        (_, Some(b'1')) => "badMessageCheck",
        (_, Some(b'2')) => "badRequest",
        (_, Some(b'3')) => "badTime",
        (_, Some(b'4')) => "badCertId",
        _ => "no failInfo",
    }
}

/// A request with a key of 1024 bits, which only openssl still makes.
fn small_request() -> Vec<u8> {
    let mut openssl = Command::new("openssl");
    let arguments = "req -new -newkey rsa:1024 -nodes -keyout /dev/null -outform DER -subj /CN=small";
    let output = openssl.args(arguments.split(' ')).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn no_identity_is_given_without_a_good_request_and_a_good_challenge() {
    captured::listen();
    story(|clock| async move {
        let app = App::start(clock.clone(), &[]).await;
        let keys = device_keys(&clock).await;
        let key = || keys.take().unwrap();
        let late = Applicant::new(&app, key()).await;
        app.wait(minutes(61)).await;
        let witness = Visitor::at_rest(&app, 1, key()).await;
        let applicant = Applicant::new(&app, key()).await;
        let mut table = Table::new("scep");
        let challenge = applicant.scep.challenge.clone().unwrap();
        let (used, expired) = (witness.enrolment.scep.challenge.clone().unwrap(), late.scep.challenge.clone().unwrap());
        for secret in [&challenge, &used, &expired] {
            table.secret(secret);
        }
        let second = key();
        let mine = |challenge: Option<&str>| applicant.message("19", &applicant.request(challenge, &applicant.key));
        let good = mine(Some(&challenge));
        let mut tampered = good.clone();
        let middle = tampered.len() / 2;
        tampered[middle] ^= 1;
        let elsewhere = {
            let sealed = cms::seal(
                &applicant.request(Some(&challenge), &applicant.key),
                &applicant.temporary,
                &mut Chance::seeded(4),
                cms::ContentCipher::Aes128,
                false,
            );
            applicant.signed("19", Some("ABCDEF"), &sealed.unwrap())
        };
        let mut broken = applicant.request(Some(&challenge), &applicant.key);
        let last = broken.len() - 1;
        broken[last] ^= 1;
        let no_transaction = {
            let sealed =
                cms::seal(&broken, &applicant.authority, &mut Chance::seeded(4), cms::ContentCipher::Aes128, false)
                    .unwrap();
            applicant.signed("19", None, &sealed)
        };
        let (no, bad) = ("no message", "badMessageCheck");
        let post = "operation=PKIOperation";
        for (name, query, body, status, fails, says) in [
            ("unknown operation", "operation=GetEverything", vec![1], 400, no, "unknown operation"),
            ("no operation", "", vec![1], 400, no, "unknown operation"),
            (
                "operation named twice",
                "operation=PKIOperation&operation=GetCACert",
                vec![1],
                400,
                no,
                "address cannot be read",
            ),
            ("empty request", post, Vec::new(), 400, no, "cannot be read"),
            ("request that is no CMS", post, b"hello".to_vec(), 400, no, "cannot be read"),
            ("request cut off", post, good[..good.len() / 2].to_vec(), 400, no, "cannot be read"),
            ("request of 200 kB", post, vec![0x30; 200_000], 413, no, "larger than the 65536 bytes"),
            ("ASN.1 nested 10,000 deep", post, [0x30, 0x80].repeat(10_000), 400, no, "cannot be read"),
            ("no transaction id", post, no_transaction, 400, no, "names no transaction"),
            ("one bit changed on the way", post, tampered, 200, bad, ""),
            ("encrypted to somebody else", post, elsewhere, 200, bad, "cannot be decrypted"),
            (
                "content that is no envelope",
                post,
                applicant.signed("19", Some("ABCDEF"), b"no envelope"),
                200,
                bad,
                "cannot be read",
            ),
            (
                "inner request that is none",
                post,
                applicant.message("19", b"no request"),
                200,
                bad,
                "certificate request",
            ),
            (
                "inner request with a broken signature",
                post,
                applicant.message("19", &broken),
                200,
                bad,
                "not made with the key",
            ),
            (
                "inner request for another key",
                post,
                applicant.message("19", &applicant.request(Some(&challenge), &second)),
                200,
                bad,
                "another key",
            ),
            (
                "key of 1024 bits",
                post,
                applicant.message("19", &small_request()),
                200,
                bad,
                "between 2048 and 8192 bits",
            ),
            (
                "a poll for a certificate",
                post,
                applicant.message("20", b"x"),
                200,
                "badRequest",
                "nothing is ever pending",
            ),
            (
                "unknown message type",
                post,
                applicant.message("99", b"x"),
                200,
                "badRequest",
                "neither a first request nor a renewal",
            ),
            (
                "renewal by a stranger",
                post,
                applicant.message("17", &applicant.request(None, &applicant.key)),
                200,
                "badCertId",
                "not issued by this appliance",
            ),
            ("no challenge", post, mine(None), 200, "badRequest", "carries no challenge"),
            ("challenge that nobody gave out", post, mine(Some("guess")), 200, "badRequest", "never given out"),
            ("challenge of 30 kB", post, mine(Some(&"A".repeat(30_000))), 200, "badRequest", "never given out"),
            ("challenge used already", post, mine(Some(&used)), 200, "badRequest", "used as often as it may"),
            ("challenge that has expired", post, mine(Some(&expired)), 200, "badRequest", "profile has expired"),
        ] {
            let before = fingerprint(&app, &[]).await;
            let mark = captured::mark();
            let size = body.len();
            let (got, reply) = applicant.ask(Method::POST, query, body).await;
            let answer = format!("{got} {}; journal: {}", verdict(&reply), captured::complaints(mark, says));
            assert_ne!(got, 401);
            assert_eq!((got, verdict(&reply)), (status, fails), "{name}: {answer}");
            table.row(name, &format!("POST {query}, {size} bytes"), &answer, says);
            assert_eq!(fingerprint(&app, &[]).await, before, "{name} changed something");
            assert_eq!(witness.put("/mdm", list(&witness.idle())).await.status.as_u16(), 200, "after {name}");
        }
        for (name, query, says) in [
            ("GET with no message", "operation=PKIOperation".to_owned(), "no base64"),
            ("GET with a message that is no base64", "operation=PKIOperation&message=%25%25".to_owned(), "no base64"),
            ("GET with percent signs gone wrong", "operation=%zz".to_owned(), "unknown operation"),
            (
                "GET with a message cut off",
                format!("operation=PKIOperation&message={}", STANDARD.encode(&good[..99]).replace('+', "%2B")),
                "cannot be read",
            ),
        ] {
            let mark = captured::mark();
            let (got, _) = applicant.ask(Method::GET, &query, Vec::new()).await;
            table.row(
                name,
                &query.chars().take(40).collect::<String>(),
                &format!("{got}; journal: {}", captured::complaints(mark, says)),
                says,
            );
            assert_eq!(got, 400);
        }
        // After all that the good request gets its certificate, and only then the challenge is spent.
        let (status, reply) = applicant.ask(Method::POST, post, good).await;
        assert_eq!((status, verdict(&reply)), (200, "success"));
        table.end(28);
    });
}
