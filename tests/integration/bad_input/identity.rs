//! Good messages of the wrong sender.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox::device::certificate;
use sandbox::device::cms;
use sandbox::device::http::Identity;

use super::visitor::*;
use crate::captured;
use crate::support::*;

#[test]
fn nobody_speaks_for_a_device_but_its_own_identity() {
    captured::listen();
    story(|clock| async move {
        let app = App::start_with(clock.clone(), &[], |text| text + "identity-lifetime = \"2h\"\n").await;
        let keys = device_keys(&clock).await;
        let key = || keys.take().unwrap();
        let witness = Visitor::at_rest(&app, 1, key()).await;
        let other = Visitor::at_rest(&app, 2, key()).await;
        let slow = Visitor::with_identity(&app, 3, key()).await;
        let stranger_key = key();
        let own = certificate::temporary(&stranger_key, "me", &[1, 2, 3], clock.now()).unwrap();
        let stranger = Identity { key: stranger_key.clone(), certificate: own };
        let mixed = Identity { key: stranger_key, certificate: witness.identity.certificate.clone() };
        let mut door = Doorstep::new(&app, "identity", &witness);
        let idle = list(&witness.idle());
        let good = witness.signature(&witness.identity, &idle);
        let raw = STANDARD.decode(&good).unwrap();
        let mut damaged = raw.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let elsewhere = witness.signature(&witness.identity, b"<plist>another body</plist>");
        let certificates = cms::certificates_only(std::slice::from_ref(&witness.identity.certificate));
        for (name, signature, says) in [
            ("no Mdm-Signature", None, "carries no Mdm-Signature"),
            ("Mdm-Signature is empty", Some(String::new()), "cannot be read"),
            ("Mdm-Signature is no base64", Some("%%%".into()), "base64 text of the message cannot be read"),
            ("Mdm-Signature is not CMS", Some(STANDARD.encode("hello")), "cannot be read"),
            ("Mdm-Signature cut off", Some(STANDARD.encode(&raw[..raw.len() / 2])), "cannot be read"),
            ("Mdm-Signature of 60 kB", Some("A".repeat(60_000)), "more than the 32768 allowed"),
            ("Mdm-Signature without a signer", Some(STANDARD.encode(certificates)), "0 signers"),
            ("signature over another body", Some(elsewhere), "not the one that was signed"),
            ("signature with a flipped bit", Some(STANDARD.encode(damaged)), "not made with the key"),
            ("signature of another key", Some(witness.signature(&mixed, &idle)), "not made with the key"),
            (
                "certificate made by the sender",
                Some(witness.signature(&stranger, &idle)),
                "known with another certificate",
            ),
            (
                "certificate of another device",
                Some(witness.signature(&other.identity, &idle)),
                "known with another certificate",
            ),
        ] {
            for path in ["/mdm", "/checkin"] {
                let (body, signature) = match path {
                    "/mdm" => (idle.clone(), signature.clone()),
                    // The same trick with a message of the other door.
                    _ if name.starts_with("certificate") => {
                        let body = list(&witness.token_update());
                        let identity = if name.ends_with("sender") { &stranger } else { &other.identity };
                        (body.clone(), Some(witness.signature(identity, &body)))
                    }
                    _ => continue,
                };
                door.sent(&format!("{name} ({path})"), "a good message", path, body, signature, 400, says).await;
            }
        }
        let body = list(&slow.authenticate());
        let signature = Some(slow.signature(&stranger, &body));
        door.sent(
            "enrolling with a certificate of another CA",
            "Authenticate",
            "/checkin",
            body,
            signature,
            400,
            "not issued by this appliance",
        )
        .await;
        let body = list(&slow.idle());
        let signature = Some(slow.signature(&slow.identity, &body));
        door.sent("our certificate, but not enrolled", "Idle", "/mdm", body, signature, 503, "not enrolled here").await;
        app.wait(minutes(121)).await;
        let body = list(&slow.authenticate());
        let signature = Some(slow.signature(&slow.identity, &body));
        door.sent(
            "enrolling with an expired identity",
            "Authenticate",
            "/checkin",
            body,
            signature,
            400,
            "not valid at this time",
        )
        .await;
        door.table.end(17);
    });
}
