//! What Apple's pages say that a reply looks like, and where a reply differs: contract drift. A difference spoils nothing
//! (the types of [`super::wire`] are tolerant); it is noticed here, in one quick pass that keeps no values, so that a
//! person learns of a change at Apple's before it matters.
//!
//! A difference is a place and a kind. Values are never part of it, except an unknown word in a place where Apple has
//! published a list of words.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::limits::Endpoint;
use Shape::{Any, Flag, Id, List, Maybe, Number, Object, Text, Word};

/// Differences that are kept of one reply, and between two takings.
const MOST: usize = 100;
/// Characters of a name or word that are kept.
const LONGEST: usize = 60;

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    Any,
    Text,
    Number,
    Flag,
    /// Text or a number: Apple writes ids in both ways.
    Id,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Or null.
    Maybe(&'static Shape),
    List(&'static Shape),
    /// With no other members than these.
    Object(&'static [(&'static str, Shape)]),
}

/// The members of every reply, and more.
macro_rules! reply {
    ($($member:expr),* $(,)?) => {
        Object(&[$($member,)* ("uId", Id), ("mdmInfo", Maybe(&MDM_INFO)), ("tokenExpirationDate", Text)])
    };
}

/// The members of every page, and more.
macro_rules! page {
    ($($member:expr),* $(,)?) => {
        reply!(
            $($member,)*
            ("currentPageIndex", Number),
            ("nextPageIndex", Number),
            ("size", Number),
            ("totalPages", Number),
            ("versionId", Text),
        )
    };
}

const MDM_INFO: Shape = Object(&[("id", Text), ("name", Text), ("metadata", Text)]);
const PRICING: Shape = Word(&["STDQ", "PLUS"]);
const TEXTS: Shape = List(&Text);
const TYPES: Shape = List(&Word(&[
    "TEST_NOTIFICATION",
    "ASSET_COUNT",
    "ASSET_MANAGEMENT",
    "USER_MANAGEMENT",
    "USER_ASSOCIATED",
    "SUBSCRIPTION_COUNT",
    "SUBSCRIPTION_MANAGEMENT",
    "UNLIMITED_ASSET",
]));
const ERROR: &[(&str, Shape)] = &[
    ("errorNumber", Number),
    ("errorMessage", Text),
    (
        "errorInfo",
        Object(&[
            ("assets", List(&Object(&[("adamId", Text), ("pricingParam", PRICING)]))),
            ("clientUserIds", TEXTS),
            ("serialNumbers", TEXTS),
        ]),
    ),
];
const SERVICE_CONFIG: Shape = reply!(
    ("limits", Any),
    ("urls", Any),
    ("errorCodes", List(&Object(&[("errorNumber", Number), ("errorMessage", Text)]))),
    ("notificationTypes", TYPES),
);
const CLIENT_CONFIG: Shape = reply!(
    ("locationName", Text),
    ("countryISO2ACode", Text),
    ("defaultPlatform", Word(&["volumestore", "enterprisestore"])),
    ("websiteURL", Text),
    ("notificationUrl", Text),
    ("notificationAuthToken", Text),
    ("subscribedNotificationTypes", TYPES),
);
const ASSET: Shape = Object(&[
    ("adamId", Text),
    ("pricingParam", PRICING),
    ("productType", Word(&["App", "Book"])),
    ("deviceAssignable", Flag),
    ("revocable", Flag),
    ("assignedCount", Number),
    ("availableCount", Number),
    ("retiredCount", Number),
    ("totalCount", Number),
    ("supportedPlatforms", List(&Word(&["iOS", "macOS", "tvOS", "watchOS", "visionOS"]))),
]);
const ASSETS: Shape = page!(("assets", List(&ASSET)), ("unlimitedAssets", List(&ASSET)));
const USER_STATUS: Shape = Word(&["Registered", "Associated", "Retired", "Deleted"]);
const ASSIGNMENT: Shape = Object(&[
    ("adamId", Text),
    ("pricingParam", PRICING),
    ("serialNumber", Text),
    ("clientUserId", Text),
    ("userStatus", USER_STATUS),
    ("idHash", Text),
]);
const ASSIGNMENTS: Shape = page!(("assignments", List(&ASSIGNMENT)));
const USER: Shape =
    Object(&[("clientUserId", Text), ("email", Text), ("idHash", Text), ("inviteCode", Text), ("status", USER_STATUS)]);
const USERS: Shape = page!(("users", List(&USER)));
const SEATS: Shape = Object(&[("renewing", Number), ("expiring", Number)]);
const SUBSCRIPTION: Shape = Object(&[
    ("parentAdamId", Maybe(&Id)),
    ("adamId", Id),
    ("status", Word(&["ACTIVE", "INACTIVE", "PAUSED"])),
    ("periodEndDate", Text),
    ("counts", Object(&[("assigned", SEATS), ("available", SEATS), ("total", SEATS)])),
]);
const SUBSCRIPTIONS: Shape = reply!(("subscriptions", List(&SUBSCRIPTION)), ("nextCursor", Text), ("versionId", Text));
const ACCEPTED: Shape = reply!(("eventId", Text));
const STATUS: Shape = reply!(
    ("eventStatus", Word(&["PENDING", "COMPLETE", "FAILED"])),
    ("eventType", Word(&["ASSOCIATE", "DISASSOCIATE", "REVOKE", "CREATE", "UPDATE", "RETIRE"])),
    ("numRequested", Number),
    ("numCompleted", Number),
    ("failures", List(&Object(ERROR))),
);

/// What a reply of this endpoint looks like.
fn of(endpoint: Endpoint) -> &'static Shape {
    match endpoint {
        Endpoint::ServiceConfig => &SERVICE_CONFIG,
        Endpoint::ClientConfig => &CLIENT_CONFIG,
        Endpoint::Assets => &ASSETS,
        Endpoint::Assignments => &ASSIGNMENTS,
        Endpoint::Users => &USERS,
        Endpoint::Subscriptions => &SUBSCRIPTIONS,
        Endpoint::Associate
        | Endpoint::Disassociate
        | Endpoint::Revoke
        | Endpoint::CreateUsers
        | Endpoint::UpdateUsers
        | Endpoint::RetireUsers => &ACCEPTED,
        Endpoint::Status => &STATUS,
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// The path of the call.
    pub endpoint: String,
    /// Where in the reply: `assets[].pricingParam`.
    pub place: String,
    pub kind: String,
}

/// In how many replies a difference was seen, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sightings {
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// The differences that nobody has taken yet.
#[derive(Default)]
pub struct Noticed(Mutex<BTreeMap<Drift, Sightings>>);

impl Noticed {
    /// Looks at a reply.
    pub(super) fn look(&self, endpoint: Endpoint, body: &[u8], now: Timestamp) {
        let found = differences(of(endpoint), body);
        if found.is_empty() {
            return;
        }
        let mut noticed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, kind) in found {
            let drift = Drift { endpoint: endpoint.path().to_owned(), place, kind };
            if noticed.len() < MOST || noticed.contains_key(&drift) {
                let seen = noticed.entry(drift).or_insert(Sightings { count: 0, first: now, last: now });
                (seen.count, seen.last) = (seen.count + 1, now);
            }
        }
    }

    /// Hands over what was noticed since the last time.
    pub fn take(&self) -> BTreeMap<Drift, Sightings> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Found = RefCell<BTreeSet<(String, String)>>;

/// Where `body` differs from `shape`. Of what is not JSON, the part before the fault counts.
fn differences(shape: &'static Shape, body: &[u8]) -> BTreeSet<(String, String)> {
    let found = Found::default();
    let walk = Walk { shape, place: &Place::Top, found: &found };
    let _ = walk.deserialize(&mut serde_json::Deserializer::from_slice(body));
    found.into_inner()
}

/// A place in a reply, from the inside out.
enum Place<'a> {
    Top,
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Top => Ok(()),
            Place::Member(Place::Top, name) => f.write_str(name),
            Place::Member(above, name) => write!(f, "{above}.{name}"),
            Place::Item(above) => write!(f, "{above}[]"),
        }
    }
}

/// Walks through a value of this shape.
struct Walk<'a> {
    shape: &'static Shape,
    place: &'a Place<'a>,
    found: &'a Found,
}

impl Walk<'_> {
    fn note(&self, kind: impl Into<String>) {
        let mut found = self.found.borrow_mut();
        if found.len() < MOST {
            found.insert((self.place.to_string(), kind.into()));
        }
    }

    /// The shape without its permission to be null.
    fn inner(&self) -> &'static Shape {
        if let Maybe(inner) = self.shape { inner } else { self.shape }
    }

    fn expect(&self, found: &str, fits: bool) {
        let expected = match self.inner() {
            _ if fits => return,
            Any | Maybe(_) => return,
            Text | Id | Word(_) => "text",
            Number => "a number",
            Flag => "true or false",
            List(_) => "a list",
            Object(_) => "an object",
        };
        self.note(format!("{found} instead of {expected}"));
    }
}

/// A name or word of Apple's as it may be shown and kept.
fn plain(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.shape {
            Any => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        match self.inner() {
            Word(known) if !known.contains(&text) => self.note(format!("unknown word \"{}\"", plain(text))),
            shape => self.expect("text", matches!(shape, Text | Id | Word(_))),
        }
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.expect("a number", matches!(self.inner(), Number | Id));
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.visit_u64(number.unsigned_abs())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.expect("a number with a fraction", false);
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.expect("true or false", matches!(self.inner(), Flag));
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        if !matches!(self.shape, Maybe(_)) {
            self.note("null");
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let List(shape) = self.inner() else {
            self.expect("a list", false);
            return IgnoredAny.visit_seq(items).map(|_| ());
        };
        let place = Place::Item(self.place);
        while items.next_element_seed(Walk { shape, place: &place, found: self.found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Object(known) = self.inner() else {
            self.expect("an object", false);
            return IgnoredAny.visit_map(members).map(|_| ());
        };
        while let Some(name) = members.next_key_seed(Name(known))? {
            match name {
                Ok((name, shape)) => {
                    let place = Place::Member(self.place, name);
                    members.next_value_seed(Walk { shape, place: &place, found: self.found })?;
                }
                Err(name) => {
                    let place = Place::Member(self.place, &name);
                    Walk { shape: self.shape, place: &place, found: self.found }.note("unknown member");
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

type Member = (&'static str, Shape);

/// The member with this name, or the name.
struct Name(&'static [Member]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Result<(&'static str, &'static Shape), String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Result<(&'static str, &'static Shape), String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        Ok(found.map(|(known, shape)| (*known, shape)).ok_or_else(|| plain(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(endpoint: Endpoint, body: &str) -> Vec<(String, String)> {
        differences(of(endpoint), body.as_bytes()).into_iter().collect()
    }

    fn told(endpoint: Endpoint, body: &str) -> Vec<String> {
        found(endpoint, body).into_iter().map(|(place, kind)| format!("{place}: {kind}")).collect()
    }

    #[test]
    fn what_apple_describes_is_no_drift() {
        let asset = r#"{"adamId":"1","pricingParam":"STDQ","productType":"App","deviceAssignable":true,"revocable":true,
            "assignedCount":1,"availableCount":2,"retiredCount":0,"totalCount":3,"supportedPlatforms":["iOS","macOS"]}"#;
        let page = r#""currentPageIndex":0,"size":1,"totalPages":1,"versionId":"a","uId":"7","mdmInfo":null,
            "tokenExpirationDate":"2027-06-30T09:15:00+0000""#;
        assert_eq!(told(Endpoint::Assets, &format!(r#"{{"assets":[{asset}],{page}}}"#)), [""; 0]);
        let assignment = r#"{"adamId":"1","pricingParam":"STDQ","serialNumber":"QX7T2M9K1P"}"#;
        assert_eq!(told(Endpoint::Assignments, &format!(r#"{{"assignments":[{assignment}],{page}}}"#)), [""; 0]);
        assert_eq!(told(Endpoint::Associate, r#"{"eventId":"e","uId":7,"mdmInfo":{"id":"a","name":"b"}}"#), [""; 0]);
        assert_eq!(told(Endpoint::ServiceConfig, r#"{"limits":{"maxThings":1},"urls":{}}"#), [""; 0]);
    }

    #[test]
    fn each_difference_is_told_once_by_place_and_kind_and_without_values() {
        let body = r#"{"assets":[
            {"adamId":1,"pricingParam":"GOLD","priority":"Ms Osei"},
            {"adamId":2,"pricingParam":"GOLD","totalCount":"12","revocable":null,"supportedPlatforms":"iOS"},
            ["odd"]],"mdmInfo":{"id":"a","city":"Leeds"},"nextPageIndex":1.5}"#;
        let expected = [
            "assets[]: a list instead of an object",
            "assets[].adamId: a number instead of text",
            "assets[].pricingParam: unknown word \"GOLD\"",
            "assets[].priority: unknown member",
            "assets[].revocable: null",
            "assets[].supportedPlatforms: text instead of a list",
            "assets[].totalCount: text instead of a number",
            "mdmInfo.city: unknown member",
            "nextPageIndex: a number with a fraction instead of a number",
        ];
        assert_eq!(told(Endpoint::Assets, body), expected);
    }

    #[test]
    fn a_flood_of_differences_is_bounded_and_unprintable_names_are_made_plain() {
        let members: Vec<String> = (0..500).map(|number| format!(r#""new\u0007{number}":1"#)).collect();
        let found = found(Endpoint::Status, &format!("{{{}}}", members.join(",")));
        assert_eq!((found.len(), found[0].0.as_str()), (MOST, "new?0"));
        let noticed = Noticed::default();
        let now = "2026-11-02T06:00:00Z".parse().unwrap();
        noticed.look(Endpoint::Status, br#"{"new":1,"newer":[],"new":2}"#, now);
        noticed.look(Endpoint::Status, br#"{"new":1} and more"#, now);
        let counts: Vec<u64> = noticed.take().values().map(|seen| seen.count).collect();
        assert_eq!(counts, [2, 1]);
        assert!(noticed.take().is_empty());
    }
}
