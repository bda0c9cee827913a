//! Listings of registered users. Apple may list several records of one `clientUserId`: any number that are retired, and at
//! most one that is active. Only the one that counts is kept.

use std::collections::BTreeMap;

use super::{Kept, Progress, Seen, changed_since, held_still};
use crate::apple::client::{AppleClient, Location, WhichUsers};
use crate::apple::error::AppleError;
use crate::apple::wire::User;
use crate::model::UserStatus;

/// Registered users: all of a location, or those that changed since a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    /// By `clientUserId`, the record that counts.
    pub users: BTreeMap<String, User>,
    /// Where [`users_since`] goes on from.
    pub version_id: String,
    /// False when something changed meanwhile, or when only changes were read: then nobody is proven gone.
    pub stable: bool,
    pub seen: Seen,
}

/// Reads all users. What changes meanwhile is read afterwards and merged in; see [`Users::stable`].
pub async fn users(client: &AppleClient, location: &Location, progress: Progress<'_>) -> Result<Users, AppleError> {
    let kept = Kept::default();
    let fetch = |index| client.users_page(location, index, WhichUsers::All, None);
    let listed = held_still(client, location, fetch, progress, &kept).await?;
    let users = that_count(kept.records());
    let mut whole = Users { users, version_id: listed.version_id, stable: listed.stable, seen: listed.seen };
    if whole.stable {
        return Ok(whole);
    }
    match users_since(client, location, &whole.version_id).await {
        Ok(delta) => {
            whole.users.extend(delta.users);
            whole.version_id = delta.version_id;
            whole.seen.merge(delta.seen);
        }
        // The next read of changes starts from the first page's version.
        Err(AppleError::Resync { .. } | AppleError::Unstable { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(whole)
}

/// Reads the users that changed since `version_id`, which must come from [`users`] of the same location or from here.
/// [`AppleError::Resync`] when Apple does not know the version any more.
pub async fn users_since(client: &AppleClient, location: &Location, version_id: &str) -> Result<Users, AppleError> {
    let fetch = |index| client.users_page(location, index, WhichUsers::All, Some(version_id));
    let (records, pass) = changed_since(client, location, fetch).await?;
    Ok(Users { users: that_count(records), version_id: pass.version_id, stable: false, seen: pass.seen })
}

/// Of several records of one `clientUserId` the active one; without one, one that is not of the first version, always the
/// same whatever the order.
fn that_count(records: Vec<User>) -> BTreeMap<String, User> {
    let rank = |user: &User| {
        let status = match &user.status {
            status if status.is_active() => 2,
            UserStatus::Retired => 1,
            _ => 0,
        };
        (status, user.id_hash.clone(), user.invite_code.is_some(), user.email.clone())
    };
    let mut users: BTreeMap<String, User> = BTreeMap::new();
    for record in records {
        match users.get_mut(&record.client_user_id) {
            Some(known) if rank(known) >= rank(&record) => {}
            Some(known) => *known = record,
            None => {
                users.insert(record.client_user_id.clone(), record);
            }
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apple::scripted::{Step, against, in_order, reply};

    fn page(users: &str, index: u32, total: u32, version: &str) -> Step {
        let next = if index + 1 < total { format!(r#","nextPageIndex":{}"#, index + 1) } else { String::new() };
        reply(
            200,
            format!(
                r#"{{"users":[{users}],"currentPageIndex":{index}{next},"size":1,"totalPages":{total},
                    "versionId":"{version}","uId":"73001"}}"#
            ),
        )
    }

    fn user(id: &str, status: &str) -> String {
        format!(r#"{{"clientUserId":"{id}","status":"{status}"}}"#)
    }

    fn states(users: &Users) -> Vec<(&str, &str)> {
        users.users.iter().map(|(id, user)| (id.as_str(), user.status.word())).collect()
    }

    #[test]
    fn of_several_records_the_active_one_counts_wherever_it_stands() {
        for order in [
            ["Associated", "Retired", "Deleted"],
            ["Deleted", "Retired", "Associated"],
            ["Retired", "Associated", "Retired"],
        ] {
            let [a, b, c] = order.map(|status| user("anna", status));
            let steps = vec![page(&[a, b].join(","), 0, 2, "v1"), page(&c, 1, 2, "v1")];
            against(in_order(steps), async |client, location, _, _| {
                let all = users(&client, &location, &|_, _| ()).await.unwrap();
                assert_eq!((states(&all), all.stable), (vec![("anna", "Associated")], true), "{order:?}");
            });
        }
    }

    #[test]
    fn what_changes_meanwhile_is_merged_in_and_proves_nobody_gone() {
        let mut steps = Vec::new();
        for round in 1..=4 {
            steps.push(page(&user("anna", "Registered"), 0, 2, &format!("v{round}")));
            steps.push(page(&user("ben", "Registered"), 1, 2, &format!("v{}", round + 1)));
        }
        steps.push(page(&[user("anna", "Retired"), user("cleo", "Registered")].join(","), 0, 1, "v6"));
        against(in_order(steps), async |client, location, server, _| {
            let all = users(&client, &location, &|_, _| ()).await.unwrap();
            assert_eq!(states(&all), [("anna", "Retired"), ("ben", "Registered"), ("cleo", "Registered")]);
            assert_eq!((all.stable, all.version_id.as_str()), (false, "v6"));
            assert_eq!(server.received()[8].query, "pageIndex=0&sinceVersionId=v4");
        });
    }

    #[test]
    fn the_two_filters_are_never_sent_together() {
        let steps = (0..3).map(|_| page("", 0, 1, "v1")).collect();
        against(in_order(steps), async |client, location, server, _| {
            for which in [WhichUsers::All, WhichUsers::Active, WhichUsers::Retired] {
                client.users_page(&location, 0, which, None).await.unwrap();
            }
            let queries: Vec<String> = server.received().into_iter().map(|request| request.query).collect();
            assert_eq!(queries, ["pageIndex=0", "pageIndex=0&activeOnly=true", "pageIndex=0&retiredOnly=true"]);
        });
    }
}
