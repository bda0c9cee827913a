mod facts;
mod marks;
mod recent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::licensing::Verb;
use crate::model::{Holders, LocationId};

fn now() -> Timestamp {
    "2026-11-02T06:00:00Z".parse().unwrap()
}

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("vppd.db"), &Clock::real()).unwrap();
    (folder, store)
}

fn location(name: &str) -> locations::Location {
    locations::Location {
        id: LocationId(0),
        uid: format!("uid-{name}"),
        name: name.into(),
        location_name: name.into(),
        organisation: "Northwind".into(),
        country: "NL".into(),
        platform: "enterprisestore".into(),
        website: "https://business.apple.com".into(),
        sealed_token: vec![1],
        token_fingerprint: name.into(),
        expires_at: now(),
        token_state: locations::TokenState::Valid,
        claim_wanted: true,
        owner: None,
        added_at: now(),
        generation: 0,
        assignments_version: None,
        last_synced: None,
        last_full_sync: None,
        pace: locations::Pace::default(),
        notes: locations::Notes::default(),
        leaving: false,
        full_sync_first: false,
    }
}

fn asset(adam_id: &str, total: i64, assigned: i64) -> assets::Asset {
    assets::Asset {
        adam_id: adam_id.into(),
        pricing_param: "STDQ".into(),
        product_type: "App".into(),
        device_assignable: true,
        revocable: true,
        unlimited: false,
        platforms: vec!["iOS".into()],
        total,
        assigned,
        available: total - assigned,
        retired: 0,
    }
}

fn held(adam_id: &str, serial: &str) -> assignments::Assignment {
    let holder = assignments::Holder::Serial(serial.into());
    assignments::Assignment { adam_id: adam_id.into(), pricing_param: "STDQ".into(), holder }
}

#[tokio::test]
async fn what_waits_together_is_saved_together_and_a_refusal_undoes_only_itself() {
    let (_folder, store) = open();
    let committed = Arc::new(AtomicU32::new(0));
    let mut calls = Vec::new();
    for number in 0..50u32 {
        let (store, committed) = (store.clone(), committed.clone());
        calls.push(tokio::spawn(async move {
            store
                .write(move |write| -> Result<u32, StoreError> {
                    audit::write(write, now(), "test", "adds", &number.to_string())?;
                    write.after_commit(move || {
                        committed.fetch_add(1, Ordering::SeqCst);
                    });
                    if number % 5 == 0 { Err(StoreError::Damaged("refused".into())) } else { Ok(number) }
                })
                .await
        }));
    }
    let mut done = 0;
    for call in calls {
        done += u32::from(call.await.unwrap().is_ok());
    }
    let lines: i64 = store
        .read(|c| -> Result<i64, StoreError> { Ok(c.query_row("SELECT count(*) FROM audit", [], |r| r.get(0))?) })
        .await
        .unwrap();
    assert_eq!((done, lines, committed.load(Ordering::SeqCst)), (40, 40, 40));
}

#[tokio::test]
async fn a_panic_fails_its_batch_and_the_store_lives_on() {
    let (_folder, store) = open();
    let lost: Result<(), StoreError> = store.write(|_| panic!("a fault")).await;
    assert!(matches!(lost, Err(StoreError::RolledBack(_))), "{lost:?}");
    let next: Result<(), StoreError> = store.write(|w| audit::write(w, now(), "test", "goes on", "")).await;
    assert!(next.is_ok());
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_half_saved() {
    let (_folder, store) = open();
    let fill = store
        .write(|write| -> Result<(), StoreError> {
            // SQLite's own limit stands for the disk's: the error is the same.
            write.execute_batch("PRAGMA max_page_count = 1")?;
            audit::write(write, now(), "test", &"x".repeat(100_000), "")
        })
        .await;
    assert!(fill.is_err());
    let lines: i64 = store
        .read(|c| -> Result<i64, StoreError> { Ok(c.query_row("SELECT count(*) FROM audit", [], |r| r.get(0))?) })
        .await
        .unwrap();
    assert_eq!(lines, 0);
}

#[test]
fn a_database_of_a_newer_vppd_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vppd.db");
    drop(Store::open(&path, &Clock::real()).unwrap());
    writer::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let Err(error) = Store::open(&path, &Clock::real()) else { panic!("opened") };
    assert!(error.to_string().contains("newer vppd"), "{error}");
}

fn settings() -> snapshot::Settings {
    let day = Duration::from_secs(24 * 3600);
    let deadlines = crate::licensing::Deadlines { offline: 30 * day, silent: None, rejected: 7 * day };
    snapshot::Settings { us: "us".into(), deadlines, grace: 7 * day }
}

#[tokio::test]
async fn free_licences_are_what_nobody_holds_awaits_or_has_just_given_back() {
    let (_folder, store) = open();
    let free = |store: &Store| {
        let store = store.clone();
        async move {
            let loaded = store.read(|c| snapshot::load(c, &settings(), now())).await.unwrap();
            loaded.snapshot.assets[0].free
        }
    };
    let id = store
        .write(|w| -> Result<LocationId, StoreError> {
            let id = locations::add(w, &location("Leeds"))?;
            assets::replace(w, id, &[asset("100", 10, 3)], true, now())?;
            assignments::add(w, id, &[held("100", "A"), held("100", "B")])?;
            // Apple counts three, we know two: one is assigned elsewhere.
            assets::recount_elsewhere(w, id)?;
            Ok(id)
        })
        .await
        .unwrap();
    assert_eq!(free(&store).await, 7);
    let stdq = [("100".to_string(), "STDQ".to_string())];
    let assets_of_event = stdq.clone();
    store
        .write(move |w| {
            events::intend(
                w,
                "e1",
                id,
                Verb::Associate,
                &assets_of_event,
                &Holders::Serials(vec!["C".into(), "D".into()]),
                now(),
            )
        })
        .await
        .unwrap();
    assert_eq!(free(&store).await, 5, "reserved");
    let twice = stdq.clone();
    let again = store
        .write(move |w| {
            events::intend(w, "e2", id, Verb::Disassociate, &twice, &Holders::Serials(vec!["C".into()]), now())
        })
        .await;
    assert!(again.is_err(), "two events for one pair");
    let settlement = events::Settlement {
        failed: Default::default(),
        open: Default::default(),
        now: now(),
        reuse_delay: Duration::from_secs(120),
        listing_lag: Duration::from_secs(60),
        cool_down: Duration::from_secs(900),
    };
    let late = crate::clock::after(now(), Duration::from_secs(121));
    store
        .write(move |w| -> Result<(), StoreError> {
            let event = events::open(w, id)?.remove(0);
            assert_eq!(events::settle(w, &event, &settlement)?, events::Settled { done: 2, reason: None });
            events::intend(w, "e3", id, Verb::Disassociate, &stdq, &Holders::Serials(vec!["C".into()]), now())?;
            let event = events::open(w, id)?.remove(0);
            events::settle(w, &event, &settlement)?;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(free(&store).await, 5, "given back, but not usable yet");
    store.write(move |w| events::release_returned(w, late)).await.unwrap();
    assert_eq!(free(&store).await, 6);
}

#[tokio::test]
async fn a_full_listing_becomes_visible_as_a_whole() {
    let (_folder, store) = open();
    let count = |store: &Store| {
        let store = store.clone();
        async move { store.read(|c| snapshot::load(c, &settings(), now())).await.unwrap().counts[0].held }
    };
    let id = store
        .write(|w| -> Result<LocationId, StoreError> {
            let id = locations::add(w, &location("Leeds"))?;
            assets::replace(w, id, &[asset("100", 10, 2)], true, now())?;
            assignments::add(w, id, &[held("100", "A"), held("100", "B")])?;
            let generation = assignments::next_generation(w, id)?;
            assignments::stage(w, id, generation, &[held("100", "B"), held("100", "C"), held("100", "D")])?;
            Ok(id)
        })
        .await
        .unwrap();
    assert_eq!(count(&store).await, 2);
    let changed = store.read(move |c| assignments::compare(c, id, 1)).await.unwrap();
    let expected = assignments::Changed { added: 2, removed: 1, taken_back: vec![held("100", "A")] };
    assert_eq!(changed, expected);
    store.write(move |w| assignments::show(w, id, 1)).await.unwrap();
    assert_eq!(count(&store).await, 3);
    assert!(store.write(move |w| assignments::forget_others(w, id, 1)).await.unwrap());
    assert!(store.write(move |w| assignments::forget_others(w, id, 100)).await.unwrap());
    assert!(!store.write(move |w| assignments::forget_others(w, id, 100)).await.unwrap());
}

#[tokio::test]
async fn an_unstable_listing_keeps_what_is_known_and_one_asset_is_replaced_as_a_whole() {
    let (_folder, store) = open();
    let id = store
        .write(|w| -> Result<LocationId, StoreError> {
            let id = locations::add(w, &location("Leeds"))?;
            assets::replace(w, id, &[asset("100", 10, 2), asset("200", 10, 1)], true, now())?;
            assignments::add(w, id, &[held("100", "A"), held("100", "B"), held("200", "A")])?;
            let generation = assignments::next_generation(w, id)?;
            assignments::stage(w, id, generation, &[held("100", "C")])?;
            while assignments::keep_known(w, id, generation, 1)? {}
            assert_eq!(
                assignments::compare(w, id, generation)?,
                assignments::Changed { added: 1, ..Default::default() }
            );
            while assignments::forget_others(w, id, 2)? {}
            assert_eq!(assets::differing(w, id)?, []);
            let stdq = [("100".to_string(), "STDQ".to_string())];
            events::intend(w, "e1", id, Verb::Disassociate, &stdq, &Holders::Serials(vec!["B".into()]), now())?;
            Ok(id)
        })
        .await
        .unwrap();
    let (changed, differing) = store
        .write(move |w| -> Result<_, StoreError> {
            let changed = assignments::replace_of_asset(w, id, ("100", "STDQ"), &[held("100", "D")])?;
            Ok((changed, assets::differing(w, id)?))
        })
        .await
        .unwrap();
    assert_eq!((changed.added, changed.removed), (1, 2));
    assert_eq!(changed.taken_back, [held("100", "A")], "not the one that we ask back");
    let [differing] = &differing[..] else { panic!("{differing:?}") };
    assert_eq!((differing.asset.assigned, differing.held, differing.under_way), (2, 1, true));
}

#[tokio::test]
async fn changed_counts_and_licences_taken_back_are_remembered_for_a_while() {
    let (_folder, store) = open();
    let seen = store
        .write(|w| -> Result<_, StoreError> {
            let id = locations::add(w, &location("Leeds"))?;
            assets::replace(w, id, &[asset("100", 10, 2), asset("200", 5, 0)], true, now())?;
            locations::synced(w, id, true, now())?;
            let later = crate::clock::after(now(), Duration::from_secs(60));
            let unlimited = assets::Asset { unlimited: true, ..asset("300", 2_147_483_647, 0) };
            assets::replace(w, id, &[asset("100", 14, 2), unlimited, asset("400", 3, 0)], true, later)?;
            history::taken_back(w, id, &[held("100", "A"), held("100", "B")], later)?;
            assignments::add(w, id, &[held("100", "B")])?;
            let seen = (history::count_changes(w)?, history::still_taken_back(w)?);
            history::forget_before(w, crate::clock::after(later, Duration::from_secs(1)))?;
            assert!(history::count_changes(w)?.is_empty() && history::still_taken_back(w)?.is_empty());
            Ok(seen)
        })
        .await
        .unwrap();
    let deltas: Vec<_> = seen.0.iter().map(|change| (change.adam_id.as_str(), change.delta)).collect();
    assert_eq!(deltas, [("100", 4), ("400", 3), ("200", -5)], "not at the first listing, and never of unlimited ones");
    let taken: Vec<_> = seen.1.into_iter().map(|taken| taken.assignment).collect();
    assert_eq!(taken, [held("100", "A")], "B has it again");
}

#[tokio::test]
async fn what_a_store_told_is_asked_again_by_its_age_and_stays_when_the_store_falls_silent() {
    use crate::model::AppInfo;
    use metadata::{Fresh, Kept, Shelf, Wanted};
    let (_folder, store) = open();
    let at = |hours: u64| crate::clock::after(now(), Duration::from_secs(3600 * hours));
    let told: Result<(), StoreError> = store
        .write(move |w| {
            let leeds = locations::add(w, &location("Leeds"))?;
            let mac = assets::Asset { platforms: vec!["macOS".into()], ..asset("2", 5, 0) };
            assets::replace(w, leeds, &[asset("1", 5, 0), mac], true, now())?;
            let seats = subscriptions::Subscription {
                adam_id: "900".into(),
                parent_adam_id: Some("3".into()),
                status: "ACTIVE".into(),
                period_end: "2027-02-01".into(),
                assigned: subscriptions::Seats { renewing: 1, expiring: 2 },
                available: subscriptions::Seats::default(),
                total: subscriptions::Seats { renewing: 1, expiring: 2 },
            };
            let others = subscriptions::Subscription {
                parent_adam_id: Some("1".into()),
                adam_id: "901".into(),
                ..seats.clone()
            };
            subscriptions::replace(w, leeds, &[seats.clone(), others.clone()], true)?;
            assert_eq!(subscriptions::all(w)?, [(leeds, others.clone()), (leeds, seats.clone())]);

            let (nl, be) = (shelf("nl"), shelf("be"));
            let wanted = |shelf: &Shelf, now| {
                let after = jiff::Timestamp::checked_sub(now, jiff::SignedDuration::from_hours(24)).unwrap();
                let wanted = metadata::wanted(w, leeds, shelf, Fresh { after, now })?;
                Ok::<_, StoreError>(wanted.into_iter().map(|one| (one.adam_id, one.known)).collect::<Vec<_>>())
            };
            let named =
                |pairs: &[(&str, bool)]| pairs.iter().map(|(id, known)| ((*id).to_owned(), *known)).collect::<Vec<_>>();
            assert_eq!(wanted(&nl, at(0))?, named(&[("1", false), ("2", false), ("3", false)]));
            let all = metadata::wanted(w, leeds, &nl, Fresh { after: at(0), now: at(0) })?;
            let (kind, platforms) = ("App".into(), vec!["macOS".into()]);
            assert_eq!(all[1], Wanted { adam_id: "2".into(), product_type: kind, platforms, known: false });

            let info = AppInfo { name: "One".into(), bundle_ids: vec!["a.one".into()], ..AppInfo::default() };
            assets::learn_bundle_id(w, "1", "a.liar")?;
            assert_eq!(metadata::keep(w, "1", &nl, Some(&info), at(0))?, Kept::Usual);
            assert_eq!(assets::bundle_id(w, "1")?.as_deref(), Some("a.one"));
            assert_eq!(metadata::keep(w, "2", &nl, None, at(0))?, Kept::FirstMiss);
            assert_eq!(metadata::keep(w, "2", &nl, None, at(1))?, Kept::Missing);
            assert_eq!(wanted(&nl, at(2))?, named(&[("3", false)]));
            assert_eq!(wanted(&be, at(2))?.len(), 3, "another country's store");
            assert_eq!(wanted(&nl, at(24))?, named(&[("1", true), ("3", false)]));
            assert_eq!(wanted(&nl, "2026-11-01T06:00:00Z".parse().unwrap())?.len(), 3, "the clock was put back");
            assert_eq!(metadata::keep(w, "1", &nl, None, at(24))?, Kept::FirstMiss);
            assert_eq!(metadata::known(w, None)?, [("1".to_owned(), nl.clone(), info.clone())], "the old words stay");
            assert_eq!(metadata::keep(w, "1", &nl, Some(&info), at(25))?, Kept::Back);

            subscriptions::replace(w, leeds, std::slice::from_ref(&seats), false)?;
            assert_eq!(subscriptions::all(w)?.len(), 2, "nothing is gone by a listing that did not hold still");
            subscriptions::replace(w, leeds, &[], true)?;
            metadata::keep(w, "77", &nl, Some(&info), at(0))?;
            metadata::forget_before(w, at(100))?;
            assert_eq!(metadata::known(w, None)?.len(), 1, "what is owned stays, what nobody owns goes");
            Ok(())
        })
        .await;
    told.unwrap();
}

fn shelf(storefront: &str) -> metadata::Shelf {
    metadata::Shelf { storefront: storefront.into(), platform: "enterprisestore".into() }
}

#[tokio::test]
async fn an_icon_is_wanted_once_and_again_when_it_lies_elsewhere() {
    use metadata::{Fresh, Icon};
    let (_folder, store) = open();
    let done: Result<(), StoreError> = store
        .write(|w| {
            let at = |hours: u64| crate::clock::after(now(), Duration::from_secs(3600 * hours));
            let fresh = |hours: u64| Fresh { after: at(hours.saturating_sub(24)), now: at(hours) };
            let lies_at = |url: &str, country: &str| {
                let info = crate::model::AppInfo { icon_url: url.into(), ..Default::default() };
                metadata::keep(w, "1", &shelf(country), Some(&info), now())
            };
            lies_at("https://b", "nl")?;
            lies_at("https://a", "be")?;
            lies_at("", "de")?;
            let one = |url: &str| vec![("1".to_owned(), url.to_owned())];
            assert_eq!(metadata::icons_wanted(w, fresh(0))?, one("https://a"), "one of several");
            metadata::keep_icon(w, "1", "https://a", None, at(24))?;
            assert_eq!(metadata::icons_wanted(w, fresh(25))?, []);
            assert_eq!((metadata::icons_wanted(w, fresh(48))?, metadata::icon(w, "1")?), (one("https://a"), None));
            let icon = Icon { media_type: "image/png".into(), picture: vec![1, 2] };
            metadata::keep_icon(w, "1", "https://a", Some(&icon), at(48))?;
            assert_eq!(metadata::icons_wanted(w, fresh(500))?, []);
            lies_at("https://0", "be")?;
            assert_eq!(metadata::icons_wanted(w, fresh(500))?, one("https://0"));
            metadata::keep_icon(w, "1", "https://0", None, at(500))?;
            assert_eq!(metadata::icon(w, "1")?, Some(icon), "the old one stays until there is a new one");
            assert_eq!(metadata::icons_wanted(w, fresh(524))?, one("https://0"));
            Ok(())
        })
        .await;
    done.unwrap();
}
