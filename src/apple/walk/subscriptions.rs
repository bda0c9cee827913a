//! All subscriptions of a location, by cursor: strictly one page after another.

use super::{ATTEMPTS, AppleClient, AppleError, Location};
use crate::apple::wire::subscriptions::Subscription;

/// More pages than any location has.
const MAX_PAGES: usize = 10_000;

/// All subscriptions of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriptions {
    pub subscriptions: Vec<Subscription>,
    /// False when something changed during every attempt. Then an absent one is not proven gone.
    pub stable: bool,
}

/// Reads all subscriptions. Begins again when anything changes meanwhile, or when Apple does not know the cursor any more;
/// the last attempt is given as it is.
pub async fn subscriptions(client: &AppleClient, location: &Location) -> Result<Subscriptions, AppleError> {
    let mut last = Err(AppleError::Unstable { attempts: ATTEMPTS });
    for _ in 0..ATTEMPTS {
        match once(client, location).await {
            Ok(read) if read.stable => return Ok(read),
            Ok(read) => last = Ok(read),
            Err(AppleError::Resync { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    last
}

async fn once(client: &AppleClient, location: &Location) -> Result<Subscriptions, AppleError> {
    let mut read = Subscriptions { subscriptions: Vec::new(), stable: true };
    let (mut cursor, mut version) = (String::new(), None);
    for page in 0..MAX_PAGES {
        let body = client.subscriptions_page(location, &cursor).await?.body;
        if page == 0 {
            version = body.version_id;
        } else {
            read.stable &= body.version_id == version;
        }
        read.subscriptions.extend(body.subscriptions);
        if body.next_cursor.is_empty() {
            return Ok(read);
        }
        if body.next_cursor == cursor {
            break;
        }
        cursor = body.next_cursor;
    }
    Err(AppleError::Malformed { why: "a listing goes on for ever".into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apple::scripted::{against, in_order, reply};

    fn page(ids: &[u64], cursor: Option<&str>, version: &str) -> crate::apple::scripted::Step {
        let all: Vec<_> = ids.iter().map(|id| serde_json::json!({"adamId": id})).collect();
        let mut body = serde_json::json!({"subscriptions": all, "versionId": version, "uId": "73001"});
        if let Some(cursor) = cursor {
            body["nextCursor"] = cursor.into();
        }
        reply(200, body.to_string())
    }

    fn ids(read: &Subscriptions) -> Vec<&str> {
        read.subscriptions.iter().map(|one| one.adam_id.0.as_str()).collect()
    }

    #[test]
    fn pages_follow_their_cursors_to_an_empty_last_one() {
        let steps = vec![page(&[1, 2], Some("a/+="), "v"), page(&[3], Some("b"), "v"), page(&[], None, "v")];
        against(in_order(steps), async |client, location, server, _| {
            let read = subscriptions(&client, &location).await.unwrap();
            assert_eq!((ids(&read), read.stable), (vec!["1", "2", "3"], true));
            let queries: Vec<String> = server.received().into_iter().map(|one| one.query).collect();
            assert_eq!(queries, ["", "cursor=a%2F%2B%3D", "cursor=b"]);
            assert_eq!(server.most_at_once(), 1);
        });
    }

    #[test]
    fn a_change_or_a_forgotten_cursor_begins_the_listing_again() {
        let steps = vec![
            page(&[1], Some("a"), "v"),
            page(&[2], None, "w"),
            page(&[1], Some("a"), "w"),
            reply(400, r#"{"errorNumber":9812,"errorMessage":"x"}"#),
            page(&[5], None, "x"),
        ];
        against(in_order(steps), async |client, location, _, _| {
            let read = subscriptions(&client, &location).await.unwrap();
            assert_eq!((ids(&read), read.stable), (vec!["5"], true));
        });
    }

    #[test]
    fn what_never_holds_still_is_given_as_it_is_and_a_circle_ends() {
        let changing = (0..4).flat_map(|n| [page(&[n], Some("a"), "v"), page(&[9], None, "w")]).collect();
        against(in_order(changing), async |client, location, _, _| {
            let read = subscriptions(&client, &location).await.unwrap();
            assert_eq!((ids(&read), read.stable), (vec!["3", "9"], false));
        });
        against(
            in_order(vec![page(&[1], Some("a"), "v"), page(&[1], Some("a"), "v")]),
            async |client, location, _, _| {
                assert!(matches!(subscriptions(&client, &location).await, Err(AppleError::Malformed { .. })));
            },
        );
    }
}
