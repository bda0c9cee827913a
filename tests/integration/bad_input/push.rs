//! APNs answering oddly: the device is woken in the end, and the journal says what stood in the way.

use sandbox::apns::{AnswerRule, PushAnswer};
use sandbox::apple::NewAsset;
use vppd::operations::view::*;

use super::table::{Table, settled};
use crate::captured;
use crate::support::*;

#[test]
fn whatever_apns_answers_the_device_is_woken_in_the_end() {
    captured::listen();
    story(|clock| async move {
        let canned = |status, body: &str| PushAnswer::Canned { status, body: body.to_owned() };
        let cases = [
            ("HTML with 502", canned(502, "<html>Bad Gateway</html>"), "APNs answered 502"),
            ("500 with an empty body", canned(500, ""), "APNs answered 500"),
            ("503 with JSON cut off", canned(503, "{\"reason\": \"Serv"), "APNs answered 503"),
            (
                "503 with a reason of 100 kB",
                canned(503, &format!("{{\"reason\":\"{}\"}}", "A".repeat(100_000))),
                "APNs",
            ),
            ("400 with an unknown reason", canned(400, "{\"reason\": \"MoonPhase\"}"), "APNs answered 400 MoonPhase"),
            (
                "400 with a reason full of line breaks",
                canned(400, "{\"reason\": \"A\\n\\u001b[31mB\"}"),
                "APNs answered 400 A31mB",
            ),
            ("413", canned(413, "{\"reason\": \"PayloadTooLarge\"}"), "APNs answered 413 PayloadTooLarge"),
            ("403 without a reason", canned(403, ""), "refuses the push certificate"),
            ("302", canned(302, ""), "APNs answered 302"),
            ("429", PushAnswer::TooManyRequests, ""),
            ("connection lost before", PushAnswer::LostBeforeDelivery, "the push is repeated"),
            ("connection lost after", PushAnswer::LostAfterDelivery, "the push is repeated"),
        ];
        let names: Vec<String> = (0..cases.len()).map(|number| format!("18000000{number:02}")).collect();
        let app = App::start(clock, &[]).await;
        for name in &names {
            app.sandbox.apple.add_asset(&app.uid, NewAsset::app(name, 1)).unwrap();
        }
        let mut table = Table::new("push");
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 1)).await;
        app.wait(minutes(5)).await;
        for ((name, answer, says), adam_id) in cases.into_iter().zip(&names) {
            let sent: String = format!("{answer:?}").chars().take(44).collect();
            app.sandbox.apns.add_answer(AnswerRule { answer, token_prefix: None, next: Some(1) });
            let mark = captured::mark();
            app.deploy(adam_id, "all-devices", PurposeView::Required).await;
            settled(&app, adam_id).await;
            table.row(name, &sent, &format!("journal: {}", captured::complaints(mark, says)), says);
            assert_eq!(app.stages(adam_id).await, counts([(Stage::Installed, 1)]), "{name}");
        }
        app.assert_clean();
        table.end(12);
    });
}
