//! What was done lately, and requests that are settled in parts.

use super::*;
use crate::store::recent;

fn stdq() -> [(String, String); 1] {
    [("100".to_string(), "STDQ".to_string())]
}

fn serials(names: &[&str]) -> Holders {
    Holders::Serials(names.iter().map(|name| name.to_string()).collect())
}

fn reserved(serial: &str) -> events::Reserved {
    let held = held("100", serial);
    events::Reserved { adam_id: held.adam_id, pricing_param: held.pricing_param, holder: held.holder }
}

fn settlement(seconds: u64) -> events::Settlement {
    events::Settlement {
        failed: Default::default(),
        open: Default::default(),
        now: late(seconds),
        reuse_delay: Duration::from_secs(30),
        listing_lag: Duration::from_secs(60),
        cool_down: Duration::from_secs(900),
    }
}

fn late(seconds: u64) -> Timestamp {
    crate::clock::after(now(), Duration::from_secs(seconds))
}

/// Leeds, with a request for A, B and C that is under way.
async fn leeds(store: &Store) -> LocationId {
    let begin = |w: &Write<'_>| -> Result<LocationId, StoreError> {
        let id = locations::add(w, &location("Leeds"))?;
        assets::replace(w, id, &[asset("100", 10, 0)], true, now())?;
        events::intend(w, "e1", id, Verb::Associate, &stdq(), &serials(&["A", "B", "C"]), now())?;
        Ok(id)
    };
    store.write(begin).await.unwrap()
}

#[tokio::test]
async fn a_request_is_settled_in_parts_and_ends_with_the_last() {
    let (_folder, store) = open();
    let id = leeds(&store).await;
    store
        .write(move |w| -> Result<(), StoreError> {
            let event = events::open(w, id)?.remove(0);
            let refused = events::PairFailure::refused(9603, crate::model::Cause::AppleBusy, "no".into());
            let first = events::Settlement {
                failed: [(reserved("B"), refused)].into(),
                open: [reserved("C")].into(),
                ..settlement(0)
            };
            let settled = events::settle(w, &event, &first)?;
            assert_eq!(settled, events::Settled { done: 1, reason: Some("no".into()) });
            events::ended(w, &event.id, late(5))?;
            assert_eq!(events::reserved(w, &event.id)?, [reserved("C")]);
            let known = |name: &str| assignments::holds(w, id, "100", "STDQ", &reserved(name).holder);
            assert_eq!((known("A")?, known("B")?, known("C")?), (true, false, false));
            let [event] = events::open(w, id)?.try_into().unwrap();
            assert_eq!(event.final_at, Some(late(5)));
            let settled = events::settle(w, &event, &settlement(9))?;
            assert_eq!(settled, events::Settled { done: 2, reason: Some("no".into()) });
            assert!(events::open(w, id)?.is_empty() && known("C")?);
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_given_or_came_back_lately_is_told_until_it_is_long_ago() {
    let (_folder, store) = open();
    let id = leeds(&store).await;
    store
        .write(move |w| -> Result<(), StoreError> {
            let given = |seconds| Ok::<_, StoreError>(recent::given(w, id, None, late(seconds))?.len());
            let returned = |seconds| Ok::<_, StoreError>(recent::returned(w, id, late(seconds))?.len());
            assert_eq!(given(0)?, 0, "asked for is not given");
            let event = events::open(w, id)?.remove(0);
            events::settle(w, &event, &settlement(10))?;
            assert_eq!((given(9)?, given(10)?), (3, 0));
            assert_eq!(recent::given(w, id, Some(("100", "STDQ")), late(9))?.len(), 3);
            assert_eq!(recent::given(w, id, Some(("200", "STDQ")), late(9))?, []);
            events::intend(w, "e2", id, Verb::Disassociate, &stdq(), &serials(&["A"]), now())?;
            let event = events::open(w, id)?.remove(0);
            events::settle(w, &event, &settlement(20))?;
            assert_eq!((given(9)?, returned(19)?, returned(20)?), (2, 1, 0));
            assert_eq!(events::release_returned(w, late(79))?, Some(late(80)), "never before the lag is over");
            assignments::add(w, id, &[held("100", "A")])?;
            assert_eq!(returned(19)?, 0, "A has it again");
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_clock_that_is_moved_takes_what_was_done_lately_along() {
    let (_folder, store) = open();
    let id = leeds(&store).await;
    store
        .write(move |w| -> Result<(), StoreError> {
            let event = events::open(w, id)?.remove(0);
            events::settle(w, &event, &settlement(10))?;
            let given = |seconds| Ok::<_, StoreError>(recent::given(w, id, None, late(seconds))?.len());
            let hour = jiff::SignedDuration::from_hours(1);
            times::put_forward(w, hour, late(3620))?;
            assert_eq!((given(3609)?, given(3610)?), (3, 0));
            times::put_back(w, hour, late(20))?;
            assert_eq!((given(9)?, given(10)?), (3, 0));
            Ok(())
        })
        .await
        .unwrap();
}
