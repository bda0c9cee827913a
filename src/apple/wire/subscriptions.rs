//! The JSON of subscriptions. Apple: Managing Subscriptions. Here an Adam ID is a number; both forms are read.

use serde::Deserialize;

use super::{AdamId, count, null_is_default, optional_text_or_number};

/// One subscription of a location (Apple: ResponseSubscription).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    pub adam_id: AdamId,
    /// The app it belongs to.
    #[serde(default)]
    pub parent_adam_id: Option<AdamId>,
    /// `ACTIVE`, `INACTIVE`, `PAUSED`, or a newer word.
    #[serde(default, deserialize_with = "null_is_default")]
    pub status: String,
    /// A day: `2027-02-01`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub period_end_date: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub counts: Counts,
}

/// Seats in three groups: assigned (by the state of the assignment), available, and owned in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Counts {
    #[serde(default, deserialize_with = "null_is_default")]
    pub assigned: Seats,
    #[serde(default, deserialize_with = "null_is_default")]
    pub available: Seats,
    #[serde(default, deserialize_with = "null_is_default")]
    pub total: Seats,
}

/// Seats by what happens to them at the end of the period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Seats {
    #[serde(default, deserialize_with = "count")]
    pub renewing: i64,
    #[serde(default, deserialize_with = "count")]
    pub expiring: i64,
}

/// A page of GET `subscriptions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionsPage {
    #[serde(default, deserialize_with = "null_is_default")]
    pub subscriptions: Vec<Subscription>,
    /// Where the next page begins. Absent on the last page, which may be an empty one.
    #[serde(default, deserialize_with = "null_is_default")]
    pub next_cursor: String,
    /// May change from page to page.
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub version_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_read_with_numbers_with_texts_and_with_gaps() {
        let read = |json: &str| serde_json::from_str::<SubscriptionsPage>(json).unwrap();
        let page = read(
            r#"{"subscriptions":[
                {"parentAdamId":1600000011,"adamId":6400000901,"status":"ACTIVE","periodEndDate":"2027-02-01","new":1,
                 "counts":{"assigned":{"renewing":30,"expiring":5},"available":{"renewing":"10"},"total":null}},
                {"parentAdamId":null,"adamId":"7","counts":null,"status":null}],
               "nextCursor":"abc","versionId":"v","uId":"73001"}"#,
        );
        let [first, second] = page.subscriptions.try_into().unwrap();
        assert_eq!((first.adam_id, first.parent_adam_id), ("6400000901".into(), Some("1600000011".into())));
        assert_eq!(first.counts.assigned, Seats { renewing: 30, expiring: 5 });
        assert_eq!((first.counts.available.renewing, first.counts.total), (10, Seats::default()));
        assert_eq!((second.adam_id, second.parent_adam_id, second.status.as_str()), ("7".into(), None, ""));
        assert_eq!((page.next_cursor.as_str(), page.version_id.as_deref()), ("abc", Some("v")));
        let last = read(r#"{"subscriptions":[],"nextCursor":null}"#);
        assert_eq!((last.next_cursor.as_str(), last.version_id), ("", None));
    }
}
