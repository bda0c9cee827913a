//! Calls to Apple's stores, which tell what apps and books are: names, versions, icons. They have addresses, paces and
//! errors of their own, draw on no location's budget, and are made once each: whoever asks decides when to ask again.
//!
//! A content token goes along as a cookie, and only to the host of the Apps and Books service or to Apple's own lookup:
//! whoever has it can give all licences away.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::{Method, Uri};
use jiff::Timestamp;
use serde_json::Value;

use super::{AppleClient, Failure, Incoming, JSON, Outgoing};
use crate::apple::content_token::ContentToken;
use crate::apple::developer_key::DeveloperKey;
use crate::apple::limits::origin;
use crate::apple::metadata::{Told, catalog, lookup, public};
use crate::clock::{Clock, after};

/// Ids in one call.
pub const BATCH: usize = 25;

/// Apple's lookup, for when `service/config` does not name it, and its host.
const LOOKUP: &str = "https://uclient-api.itunes.apple.com/WebObjects/MZStorePlatform.woa/wa/lookup";
const PUBLIC: &str = "https://itunes.apple.com/lookup";
const BUSINESS: &str = "https://api.ent.apple.com";
const EDUCATION: &str = "https://api.edu.apple.com";
/// The location's `defaultPlatform` in education.
const SCHOOLS: &str = "volumestore";
/// Icons lie on hosts of this domain.
const ARTWORK: &str = ".mzstatic.com";
/// Larger pictures are no icons.
const LARGEST_ICON: usize = 256 * 1024;

/// Whose store, and in which language.
#[derive(Debug, Clone, Copy)]
pub struct Shelf<'a> {
    /// Two letters, lower case.
    pub storefront: &'a str,
    /// The location's `defaultPlatform`.
    pub platform: &'a str,
    /// As in `en` or `en-GB`.
    pub language: &'a str,
}

/// What the public lookup is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entity {
    App,
    MacApp,
    Book,
}

/// A store gave no usable answer. What is known stays, and nothing else depends on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NoAnswer {
    pub why: String,
    /// The least wait that the store asked for.
    pub after: Option<Duration>,
}

impl NoAnswer {
    fn new(why: impl Into<String>) -> NoAnswer {
        NoAnswer { why: why.into(), after: None }
    }
}

/// The least time between two calls, for each store.
#[derive(Default)]
pub(super) struct Paces {
    lookup: Pace<1000>,
    catalog: Pace<1000>,
    /// About 20 in a minute are allowed.
    public: Pace<3200>,
    icons: Pace<250>,
}

#[derive(Default)]
struct Pace<const MILLIS: u64>(Mutex<Option<Timestamp>>);

impl<const MILLIS: u64> Pace<MILLIS> {
    /// Waits for a turn.
    async fn turn(&self, clock: &Clock) {
        let now = clock.steady();
        let turn = {
            let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = free.map_or(now, |free| free.max(now));
            *free = Some(after(turn, Duration::from_millis(MILLIS)));
            turn
        };
        clock.sleep(Duration::try_from(turn.duration_since(now)).unwrap_or_default()).await;
    }
}

impl AppleClient {
    /// What the content metadata lookup tells of these ids, with the cookie of whoever owns them. What it leaves out is
    /// unknown to it, not to be seen with this token, or not sold in this country: it does not say which.
    pub async fn content_lookup(&self, token: &ContentToken, shelf: Shelf<'_>, ids: &[&str]) -> Result<Told, NoAnswer> {
        let address = self.lookup_address().await.ok_or_else(|| NoAnswer::new("the service does not name a lookup"))?;
        let url = with_query(
            &address,
            &[
                ("version", "2"),
                ("id", &ids.join(",")),
                ("p", "mdm-lockup"),
                ("caller", "MDM"),
                ("platform", shelf.platform),
                ("cc", shelf.storefront),
                ("l", shelf.language),
            ],
        )?;
        self.paces.lookup.turn(&self.clock).await;
        let outgoing = Outgoing { cookie: Some(("itvt", token.text())), ..plain(url, JSON) };
        read(&self.fetch(outgoing).await?, lookup::read)
    }

    /// What the metadata service for organisations tells of apps, or of books, with the customer's developer key.
    pub async fn organisation_catalog(
        &self,
        key: &DeveloperKey,
        token: &ContentToken,
        shelf: Shelf<'_>,
        books: bool,
        ids: &[&str],
    ) -> Result<Told, NoAnswer> {
        let host = match self.is_apples() {
            true if shelf.platform == SCHOOLS => EDUCATION.to_owned(),
            true => BUSINESS.to_owned(),
            false => self.own_origin(),
        };
        let kind = if books { "books" } else { "apps" };
        let address = format!("{host}/v1/catalog/{}/stoken-authenticated-{kind}", shelf.storefront);
        let ids = ids.join(",");
        let mut query = vec![("ids", ids.as_str()), ("platform", "iphone"), ("l", shelf.language)];
        if !books {
            query.push(("additionalPlatforms", "ipad,mac,appletv,realityDevice"));
            query.push(("extend[apps]", "latestVersionInfo"));
        }
        let url = with_query(&address, &query)?;
        let mut renewed = false;
        loop {
            let bearer = key.token(self.clock.now()).ok_or_else(|| NoAnswer::new("the developer key cannot sign"))?;
            self.paces.catalog.turn(&self.clock).await;
            let outgoing =
                Outgoing { token: Some(&bearer), cookie: Some(("itvt", token.text())), ..plain(url.clone(), JSON) };
            let incoming = self.exchange(outgoing).await?;
            match incoming.status {
                // The token of the key may be too old by the store's clock: once more with a new one.
                401 if !renewed => {
                    key.forget_token();
                    renewed = true;
                }
                401 => {
                    return Err(refused(
                        &incoming,
                        "Apple does not accept the developer key ([metadata] developer-key)",
                    ));
                }
                // Nothing of these ids is there.
                404 => return Ok(Told::new()),
                _ => return read(&good(incoming)?, catalog::read),
            }
        }
    }

    /// What anybody may know of these ids.
    pub async fn public_lookup(&self, shelf: Shelf<'_>, entity: Entity, ids: &[&str]) -> Result<Told, NoAnswer> {
        let address = if self.is_apples() { PUBLIC.to_owned() } else { format!("{}/lookup", self.own_origin()) };
        let entity = match entity {
            Entity::App => "software",
            Entity::MacApp => "desktopSoftware",
            Entity::Book => "ebook",
        };
        let url = with_query(&address, &[("id", &ids.join(",")), ("country", shelf.storefront), ("entity", entity)])?;
        self.paces.public.turn(&self.clock).await;
        read(&self.fetch(plain(url, JSON)).await?, public::read)
    }

    /// The picture at an address that a store gave, as it is.
    pub async fn icon(&self, url: &str) -> Result<bytes::Bytes, NoAnswer> {
        let unusable = || NoAnswer::new("its address is not one of Apple's for pictures");
        let url: Uri = url.parse().map_err(|_| unusable())?;
        if !self.is_artwork(&url) {
            return Err(unusable());
        }
        self.paces.icons.turn(&self.clock).await;
        let picture = self.fetch(plain(url, "image/png, image/jpeg, image/webp")).await?.body;
        if picture.len() > LARGEST_ICON {
            return Err(NoAnswer::new(format!("it is larger than {} KiB", LARGEST_ICON / 1024)));
        }
        Ok(picture)
    }

    /// Where the content token may go along: at the service's own origin, or at Apple's lookup host; when Apple names
    /// another, or none, at the known address. `None` for a stand-in that names none.
    async fn lookup_address(&self) -> Option<String> {
        let told = self.service_config().await.metadata_lookup.clone();
        let own = |url: &Uri| origin(url).is_some() && origin(url) == origin(&self.base);
        let apples = LOOKUP.parse().ok().as_ref().and_then(origin);
        let allowed = |url: &Uri| url.query().is_none() && (own(url) || (!self.is_stand_in() && origin(url) == apples));
        match told.filter(allowed) {
            Some(url) => Some(url.to_string()),
            None => self.is_apples().then(|| LOOKUP.to_owned()),
        }
    }

    fn is_artwork(&self, url: &Uri) -> bool {
        let Some((scheme, host, port)) = origin(url) else { return false };
        let apples = scheme == "https" && port == 443 && host.ends_with(ARTWORK);
        apples || (self.is_stand_in() && origin(url) == origin(&self.base))
    }

    /// Whether the service is Apple's own.
    fn is_apples(&self) -> bool {
        self.base.host().is_some_and(|host| host.to_ascii_lowercase().ends_with(".apple.com"))
    }

    /// Whether the service is on this machine, as the sandbox is.
    fn is_stand_in(&self) -> bool {
        let host = self.base.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }

    /// Scheme, host and port of the service.
    fn own_origin(&self) -> String {
        let authority = self.base.authority().map(ToString::to_string).unwrap_or_default();
        format!("{}://{authority}", self.base.scheme_str().unwrap_or("https"))
    }

    async fn fetch(&self, outgoing: Outgoing<'_>) -> Result<Incoming, NoAnswer> {
        good(self.exchange(outgoing).await?)
    }

    async fn exchange(&self, outgoing: Outgoing<'_>) -> Result<Incoming, NoAnswer> {
        self.transport.exchange(outgoing).await.map_err(|failure| match failure {
            Failure::NotSent(why) | Failure::Lost(why) => NoAnswer::new(why.to_string()),
            Failure::TooLarge => NoAnswer::new("its answer is larger than 32 MiB"),
        })
    }
}

fn plain(url: Uri, accept: &'static str) -> Outgoing<'static> {
    Outgoing { method: Method::GET, url, token: None, cookie: None, body: None, accept }
}

fn with_query(address: &str, pairs: &[(&str, &str)]) -> Result<Uri, NoAnswer> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{address}?{query}").parse().map_err(|_| NoAnswer::new("its address cannot be used"))
}

fn good(incoming: Incoming) -> Result<Incoming, NoAnswer> {
    match incoming.status {
        200..=299 => Ok(incoming),
        // Apple's 403 with the code 40300 comes in bursts, and says nothing about the token.
        403 => Err(refused(&incoming, "it does not answer for now (HTTP 403)")),
        429 => Err(refused(&incoming, "it has had too many requests")),
        status => Err(refused(&incoming, &format!("it answers with HTTP {status}"))),
    }
}

fn refused(incoming: &Incoming, why: &str) -> NoAnswer {
    NoAnswer { why: why.to_owned(), after: incoming.retry_after }
}

fn read(incoming: &Incoming, read: fn(&Value) -> Option<Told>) -> Result<Told, NoAnswer> {
    let body = serde_json::from_slice::<Value>(&incoming.body).ok();
    body.as_ref().and_then(read).ok_or_else(|| NoAnswer::new("its answer cannot be understood"))
}

#[cfg(test)]
mod tests;
