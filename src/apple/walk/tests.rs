use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::apple::scripted::{Received, Step, against, in_order, reply};

/// A page of one asset or assignment with the page's number as its Adam ID.
fn page(kind: &str, index: u32, total: u32, version: &str) -> Step {
    let next = if index + 1 < total { format!(r#","nextPageIndex":{}"#, index + 1) } else { String::new() };
    reply(
        200,
        format!(
            r#"{{"{kind}":[{{"adamId":"{index}","serialNumber":"S{index}"}}],"currentPageIndex":{index}{next},
                "size":1,"totalPages":{total},"versionId":"{version}","uId":"73001"}}"#
        ),
    )
}

fn quiet(_: u32, _: u32) {}

/// All assignments, held.
async fn walk_through(
    client: &AppleClient,
    location: &Location,
    progress: Progress<'_>,
) -> Result<(BTreeMap<AssignmentKey, Assignment>, Listed), AppleError> {
    let kept = Kept::default();
    let listed = assignments(client, location, progress, &kept).await?;
    Ok((kept.records().into_iter().filter_map(keyed).collect(), listed))
}

#[test]
fn all_pages_are_read_with_at_most_five_under_way() {
    let answer = |request: &Received| match request.path.ends_with("assignments") {
        true => match page("assignments", request.number("pageIndex"), 23, "v1") {
            Step::Reply { status, headers, body, .. } => {
                Some(Step::Reply { status, headers, body, after: Duration::from_secs(3) })
            }
            drop => Some(drop),
        },
        false => None,
    };
    against(answer, async |client, location, server, _| {
        let told = Mutex::new(Vec::new());
        let tell = |done, total| told.lock().unwrap().push((done, total));
        let (all, walk) = walk_through(&client, &location, &tell).await.unwrap();
        assert_eq!((all.len(), walk.stable, walk.version_id.as_str()), (23, true, "v1"));
        assert_eq!(walk.seen, Seen { uid: Some("73001".into()), owners: vec![None], token_expires_at: None });
        assert_eq!((server.received().len(), server.most_at_once()), (23, 5));
        let told = told.into_inner().unwrap();
        assert_eq!((told.first(), told.last()), (Some(&(1, 23)), Some(&(23, 23))));
    });
}

/// Answers pages of assignments, each after so many milliseconds.
fn delayed(total: u32, after: impl Fn(u32) -> u64 + Send + Sync + 'static) -> impl Fn(&Received) -> Option<Step> {
    move |request| {
        let index = request.number("pageIndex");
        request.path.ends_with("assignments").then(|| match page("assignments", index, total, "v1") {
            Step::Reply { status, headers, body, .. } => {
                Step::Reply { status, headers, body, after: Duration::from_millis(after(index)) }
            }
            drop => drop,
        })
    }
}

#[test]
fn the_order_in_which_pages_arrive_does_not_matter() {
    let straight = against(delayed(17, |_| 50), async |client, location, _, _| {
        walk_through(&client, &location, &quiet).await.unwrap()
    });
    let crooked = against(delayed(17, |index| 3000 - 150 * u64::from(index)), async |client, location, _, _| {
        walk_through(&client, &location, &quiet).await.unwrap()
    });
    assert_eq!(straight, crooked);
}

/// A sink that takes its time, and notes how many pages it holds at most.
struct Slow {
    clock: crate::clock::Clock,
    held: std::sync::atomic::AtomicUsize,
    most: std::sync::atomic::AtomicUsize,
}

impl Sink<Assignment> for Slow {
    type Error = Infallible;

    async fn begin(&self) -> Result<(), Infallible> {
        Ok(())
    }

    async fn take(&self, _: Vec<Assignment>) -> Result<(), Infallible> {
        use std::sync::atomic::Ordering::SeqCst;
        self.most.fetch_max(self.held.fetch_add(1, SeqCst) + 1, SeqCst);
        self.clock.sleep(Duration::from_secs(5)).await;
        self.held.fetch_sub(1, SeqCst);
        Ok(())
    }
}

#[test]
fn a_slow_sink_never_holds_more_than_the_pages_at_hand() {
    against(delayed(40, |_| 10), async |client, location, server, clock| {
        let slow = Slow { clock, held: Default::default(), most: Default::default() };
        assert!(assignments(&client, &location, &quiet, &slow).await.unwrap().stable);
        let most = slow.most.load(std::sync::atomic::Ordering::SeqCst);
        assert!((2..=AT_HAND).contains(&most), "{most}");
        assert_eq!(server.received().len(), 40);
    });
}

#[test]
fn one_asset_is_listed_by_itself_even_by_an_apple_that_does_not_know_the_filter() {
    let both = r#"{"assignments":[{"adamId":"7","serialNumber":"A"},{"adamId":"7","pricingParam":"PLUS","serialNumber":"B"}],
        "totalPages":1,"versionId":"v1"}"#;
    against(in_order(vec![reply(200, both)]), async |client, location, server, _| {
        let asset = AssetRef { adam_id: "7".into(), pricing_param: "STDQ".into() };
        let listed = assignments_of(&client, &location, &asset, &quiet).await.unwrap();
        assert_eq!((listed.assignments.len(), listed.stable), (1, true));
        assert_eq!(server.received()[0].query, "pageIndex=0&adamId=7&pricingParam=STDQ");
    });
}

#[test]
fn an_empty_listing_is_one_page_whichever_number_of_pages_it_tells() {
    for total in [0, 1] {
        let empty = format!(r#"{{"assets":[],"size":0,"totalPages":{total},"versionId":"v1"}}"#);
        against(in_order(vec![reply(200, empty)]), async |client, location, server, _| {
            assert!(assets(&client, &location, &quiet).await.unwrap().assets.is_empty());
            assert_eq!(server.received().len(), 1);
        });
    }
}

#[test]
fn assets_are_read_again_when_they_change_meanwhile() {
    let steps = vec![
        page("assets", 0, 2, "v1"),
        page("assets", 1, 2, "v2"),
        page("assets", 0, 3, "v2"),
        page("assets", 1, 3, "v2"),
        page("assets", 2, 3, "v2"),
    ];
    against(in_order(steps), async |client, location, _, _| {
        let walk = assets(&client, &location, &quiet).await.unwrap();
        assert_eq!((walk.assets.len(), walk.version_id.as_str()), (3, "v2"));
    });
}

#[test]
fn assets_that_never_stand_still_are_given_as_seen_last() {
    let count = Mutex::new(0);
    let answer = move |request: &Received| {
        let mut count = count.lock().unwrap();
        *count += 1;
        request.path.ends_with("assets").then(|| page("assets", request.number("pageIndex"), 2, &format!("v{count}")))
    };
    against(answer, async |client, location, server, _| {
        let walk = assets(&client, &location, &quiet).await.unwrap();
        assert!(!walk.stable && !walk.assets.is_empty());
        assert_eq!(server.received().len(), 8);
    });
}

#[test]
fn assignments_added_during_the_walk_are_merged_and_nothing_is_proven_gone() {
    let answer = |request: &Received| {
        if !request.path.ends_with("assignments") {
            return None;
        }
        if request.query.contains("sinceVersionId=v1") {
            return Some(reply(
                200,
                r#"{"assignments":[{"adamId":9,"serialNumber":"NEW"},{"adamId":"0","serialNumber":"S0"}],
                    "totalPages":1,"versionId":"v3","mdmInfo":{"id":"foreign"}}"#,
            ));
        }
        let index = request.number("pageIndex");
        Some(page("assignments", index, 4, if index < 2 { "v1" } else { "v2" }))
    };
    against(answer, async |client, location, server, _| {
        let (all, walk) = walk_through(&client, &location, &quiet).await.unwrap();
        assert_eq!((all.len(), walk.stable, walk.version_id.as_str()), (5, false, "v3"));
        let passes = server.received().iter().filter(|request| request.query == "pageIndex=0").count();
        assert_eq!(passes, 4, "begun again three times, then merged");
        let owners: Vec<_> =
            walk.seen.owners.iter().map(|owner| owner.as_ref().map(|owner| owner.id.as_str())).collect();
        assert_eq!(owners, [None, Some("foreign")]);
    });
}

#[test]
fn a_listing_that_became_shorter_is_begun_again_and_one_that_grew_is_followed() {
    let steps = vec![
        page("assignments", 0, 2, "v1"),
        reply(400, r#"{"errorNumber":9650}"#),
        page("assignments", 0, 2, "v2"),
        page("assignments", 1, 3, "v2"),
        page("assignments", 2, 3, "v2"),
    ];
    against(in_order(steps), async |client, location, server, _| {
        let (all, walk) = walk_through(&client, &location, &quiet).await.unwrap();
        assert_eq!((all.len(), walk.stable), (3, true));
        assert_eq!(server.received().len(), 5);
    });
}

#[test]
fn a_number_of_pages_that_is_always_wrong_does_not_stop_a_careful_walk() {
    let answer = |request: &Received| {
        let (index, end) = (request.number("pageIndex"), 3);
        request.path.ends_with("assets").then(|| match index {
            _ if index >= end => reply(400, r#"{"errorNumber":9650}"#),
            _ => match page("assets", index, end, "v1") {
                Step::Reply { status, headers, body, after } => {
                    let body = body.replace(r#""totalPages":3"#, r#""totalPages":9"#);
                    let after = if index == 0 { after } else { Duration::from_secs(2) };
                    Step::Reply { status, headers, body, after }
                }
                drop => drop,
            },
        })
    };
    against(answer, async |client, location, _, _| {
        assert_eq!(assets(&client, &location, &quiet).await.unwrap().assets.len(), 3);
    });
}

#[test]
fn a_page_that_leads_nowhere_new_is_refused() {
    let steps = (0..6).map(|_| reply(200, r#"{"assets":[],"nextPageIndex":0,"totalPages":2,"versionId":"v1"}"#));
    against(in_order(steps.collect()), async |client, location, _, _| {
        let error = assets(&client, &location, &quiet).await.unwrap_err();
        assert!(matches!(error, AppleError::Malformed { .. }), "{error}");
    });
}

#[test]
fn a_delta_may_be_empty_and_a_forgotten_version_asks_for_a_full_walk() {
    let steps = vec![
        reply(200, r#"{"assignments":[],"totalPages":0,"versionId":"v2"}"#),
        reply(400, r#"{"errorNumber":9721}"#),
    ];
    against(in_order(steps), async |client, location, server, _| {
        let delta = assignments_since(&client, &location, "v1").await.unwrap();
        assert_eq!((delta.changed.len(), delta.version_id.as_str()), (0, "v2"));
        assert_eq!(server.received()[0].query, "pageIndex=0&sinceVersionId=v1");
        let error = assignments_since(&client, &location, "v1").await.unwrap_err();
        assert!(needs_full_walk(&error), "{error}");
    });
}

#[test]
fn walks_can_be_spawned() {
    fn is_send<T: Send>(_: T) {}
    against(in_order(vec![]), async |client, location, _, _| {
        is_send(assets(&client, &location, &quiet));
        is_send(assignments(&client, &location, &quiet, &Kept::default()));
    });
}
