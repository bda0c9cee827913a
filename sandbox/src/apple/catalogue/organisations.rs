//! The metadata service for organisations. Apple: Apps and Books Metadata for Organizations.
//!
//! Asked with a developer's token (JWT, ES256), and for what a location owns with its content token as a cookie. Only the
//! calls about owned apps and books are played.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Listing, failure, ids, is_book};
use crate::apple::Apple;
use crate::apple::endpoint::{Call, Reply};
use crate::apple::errors::Refusal;
use crate::apple::query::Query;
use crate::apple::state::State;
use crate::world::Product;

/// What the path begins with; the country and the list follow.
pub(super) const PATH: &str = "/v1/catalog/";
const PARAMETERS: [&str; 7] = ["ids", "platform", "additionalPlatforms", "l", "include", "relate", "extend[apps]"];
const PLATFORMS: [&str; 6] = ["appletv", "ipad", "iphone", "mac", "realityDevice", "web"];
/// No token may be valid for longer, in seconds.
const LONGEST_LIFE: i64 = 15_777_000;

/// A developer whom this service knows.
#[derive(Debug, Clone)]
pub(in crate::apple) struct Developer {
    pub team_id: String,
    /// The point on P-256, uncompressed.
    pub public_key: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    iat: i64,
    exp: i64,
}

impl Apple {
    /// From now on this key of this team may ask; `public_key` is the point on P-256, uncompressed.
    pub fn allow_developer(&self, key_id: &str, team_id: &str, public_key: Vec<u8>) {
        let developer = Developer { team_id: team_id.to_owned(), public_key };
        self.lock().developers.insert(key_id.to_owned(), developer);
    }
}

impl State {
    pub(super) fn organisations(&self, call: &Call, now: Timestamp) -> Result<Reply, Refusal> {
        if self.developer(call, now).is_none() {
            return Ok(failure(401, "The developer token is not accepted."));
        }
        let rest = call.path.strip_prefix(PATH).unwrap_or_default();
        let Some((country, list)) = rest.split_once('/') else { return Ok(failure(404, "There is nothing here.")) };
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Refusal::unreadable(format!("\"{country}\" is no storefront.")));
        }
        let books = match list {
            "stoken-authenticated-apps" => false,
            "stoken-authenticated-books" => true,
            _ => return Ok(failure(404, "There is nothing here.")),
        };
        let query = Query::parse(&call.query, &PARAMETERS)?;
        let platforms = query.get("platform").into_iter().chain(query.get("additionalPlatforms"));
        if let Some(wrong) = platforms.flat_map(|list| list.split(',')).find(|word| !PLATFORMS.contains(word)) {
            return Err(Refusal::unreadable(format!("\"{wrong}\" is no platform.")));
        }
        if query.get("platform").is_none() {
            return Err(Refusal::unreadable("The parameter \"platform\" is missing."));
        }
        // An unknown content token and an empty list are told in the same way.
        let (Some(u_id), Some(wanted)) =
            (self.cookie_location(call, now), query.get("ids").filter(|ids| !ids.is_empty()))
        else {
            return Ok(failure(403, "The request is not allowed."));
        };
        let versions =
            query.get("extend[apps]").is_some_and(|list| list.split(',').any(|one| one == "latestVersionInfo"));
        let data: Vec<Value> = ids(wanted)?
            .into_iter()
            .filter_map(|id| self.presented(id, country, Some(u_id)))
            .filter(|(product, _)| is_book(product) == books && self.owns(u_id, &product.adam_id))
            .map(|(product, listing)| self.resource(product, &listing, country, versions))
            .collect();
        Ok(Reply::json(200, &json!({ "data": data })))
    }

    fn owns(&self, u_id: &str, adam_id: &str) -> bool {
        self.locations.get(u_id).is_some_and(|location| location.assets_of(adam_id).next().is_some())
    }

    /// The developer whose token came along, if everything about it is right.
    fn developer(&self, call: &Call, now: Timestamp) -> Option<&Developer> {
        let token = call.authorization.as_deref()?.strip_prefix("Bearer ")?;
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let read = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&read(header)?).ok()?;
        let claims: Claims = serde_json::from_slice(&read(claims)?).ok()?;
        let developer = self.developers.get(&header.kid).filter(|developer| developer.team_id == claims.iss)?;
        let now = now.as_second();
        let timely = claims.iat <= now && now < claims.exp && claims.exp - now <= LONGEST_LIFE;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &developer.public_key);
        let sound = header.alg == "ES256" && key.verify(signed.as_bytes(), &read(signature)?).is_ok();
        (timely && sound).then_some(developer)
    }

    fn resource(&self, product: &Product, listing: &Listing, country: &str, versions: bool) -> Value {
        let kind = if is_book(product) { "books" } else { "apps" };
        let artwork = json!({"width": 1024, "height": 1024, "url": self.artwork(&product.adam_id, "{w}x{h}bb.{f}")});
        let mut attributes = json!({
            "name": product.name, "artistName": listing.seller, "genreNames": [listing.genre],
            "url": format!("https://apps.apple.com/{country}/app/id{}", product.adam_id),
            "offers": [{"type": "get", "price": 0, "currencyCode": "EUR",
                        "assets": [{"flavor": "iosSoftware", "size": product.size_bytes}]}],
        });
        let more = if is_book(product) {
            json!({ "artwork": artwork })
        } else {
            let platform = if listing.device_families == ["mac"] { "osx" } else { "ios" };
            let mut facts = json!({
                "bundleId": product.bundle_id, "externalVersionId": product.external_version_id,
                "minimumOSVersion": listing.minimum_os_version, "artwork": artwork,
            });
            if versions {
                facts["latestVersionInfo"] = json!({"versionDisplay": listing.version});
            }
            json!({"deviceFamilies": listing.device_families, "isB2BCustomApp": listing.custom,
                   "isVppDeviceBasedLicensingEnabled": true, "platformAttributes": {platform: facts}})
        };
        if let (Value::Object(attributes), Value::Object(more)) = (&mut attributes, more) {
            attributes.extend(more);
        }
        json!({"id": product.adam_id, "type": kind, "href": format!("{PATH}{country}/{kind}/{}", product.adam_id),
               "attributes": attributes})
    }
}
