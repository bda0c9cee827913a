//! Content tokens: what is accepted, what is refused, and who holds a location.

use sandbox::apple::MdmInfo;
use vppd::operations::tokens;
use vppd::operations::view::*;

use crate::support::*;

fn other_mdm() -> MdmInfo {
    MdmInfo { id: "another".into(), name: "Old MDM".into(), metadata: "x".into() }
}

#[test]
fn a_location_of_another_mdm_is_taken_over_only_on_purpose() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 3)]).await;
        app.sandbox.apple.take_over(&app.uid, other_mdm()).unwrap();
        let refused = app.add_token("Leeds", false).await.unwrap_err();
        assert_eq!(refused.code, "held-by-another");
        assert!(refused.message.contains("Old MDM"), "{}", refused.message);
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 0, "nothing is saved");
        let added = app.add_token("Leeds", true).await.unwrap();
        assert_eq!(added.token.owner, OwnerView::Us);
        app.assert_clean();
    });
}

#[test]
fn bad_tokens_are_refused_with_their_cause_and_nothing_is_saved() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 3)]).await;
        let add = |content: String| {
            let request = TokenAddRequest { name: "Leeds".into(), content, take_over: false };
            let context = app.context.clone();
            async move { tokens::add(&context, request, "test").await.map(|_| ()).unwrap_err() }
        };
        assert_eq!(add("hello".into()).await.code, "content-token");
        assert_eq!(add(app.token[..app.token.len() / 2].to_owned()).await.code, "content-token");
        app.sandbox.apple.revoke_token(&app.token).unwrap();
        let revoked = add(app.token.clone()).await;
        assert_eq!(revoked.code, "token-revoked", "{}", revoked.message);
        assert!(!revoked.message.contains(&app.token) && !revoked.advice.contains(&app.token));
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 0);
    });
}

#[test]
fn the_same_token_twice_is_refused_and_a_new_one_of_the_location_renews_it() {
    story(|clock| async move {
        let mut app = App::start(clock, &[("1600000011", 3)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(1)).await;
        assert_eq!(app.add_token("York", false).await.unwrap_err().code, "token-known");
        app.token = app.sandbox.apple.add_token(&app.uid, jiff::SignedDuration::from_hours(24 * 365)).unwrap();
        let renewed = app.add_token("Leeds", false).await.unwrap();
        assert_eq!(renewed.token.name, "Leeds");
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 1);
        app.assert_clean();
    });
}

#[test]
fn when_another_mdm_takes_over_nothing_more_is_written_until_told() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.wait(minutes(5)).await;
        app.sandbox.apple.take_over(&app.uid, other_mdm()).unwrap();
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        assert_eq!(app.holders("1600000011").len(), 0);
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!(token.state, TokenState::Contested);
        assert_eq!(app.stages("1600000011").await, counts([(Stage::Blocked, 2)]));
        app.add_token("Leeds", true).await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(app.installed("1600000011").len(), 2);
        app.assert_clean();
    });
}

#[test]
fn a_location_that_was_released_at_apple_is_not_taken_again_by_itself() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        app.sandbox.apple.release(&app.uid).unwrap();
        app.wait(minutes(24 * 60)).await;
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((token.state, token.owner), (TokenState::Contested, OwnerView::Nobody));
        let taken = app.add_token("Leeds", true).await.unwrap();
        assert_eq!(taken.token.owner, OwnerView::Us);
    });
}

#[test]
fn an_expired_token_stops_everything_and_says_so() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 1)).await;
        app.wait(minutes(5)).await;
        app.sandbox.apple.expire_token(&app.token).unwrap();
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!(token.state, TokenState::Expired);
        assert!(token.advice.contains("new content token"), "{}", token.advice);
        assert_eq!(app.holders("1600000011").len(), 0);
    });
}
