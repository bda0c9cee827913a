//! The content metadata lookup of the volume store. Apple: Getting app and book information (legacy).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Listing, ids, is_book};
use crate::apple::endpoint::{Call, Reply};
use crate::apple::errors::Refusal;
use crate::apple::query::Query;
use crate::apple::state::State;
use crate::apple::switches::LookupShape;
use crate::world::Product;

const PARAMETERS: [&str; 7] = ["version", "id", "p", "caller", "platform", "cc", "l"];
const PLATFORMS: [&str; 3] = ["enterprisestore", "volumestore", "macappstore"];
/// Ready sizes of the artwork, in the shape that has them.
const SIZES: [u32; 3] = [60, 100, 512];

impl State {
    pub(super) fn lookup(&self, call: &Call, now: Timestamp) -> Result<Reply, Refusal> {
        let query = Query::parse(&call.query, &PARAMETERS)?;
        let given = |name: &str| {
            query.get(name).ok_or_else(|| Refusal::unreadable(format!("The parameter \"{name}\" is missing.")))
        };
        for (name, allowed) in
            [("version", &["2"][..]), ("p", &["mdm-lockup"]), ("caller", &["MDM"]), ("platform", &PLATFORMS)]
        {
            let value = given(name)?;
            if !allowed.contains(&value) {
                return Err(Refusal::unreadable(format!("\"{value}\" is no value for \"{name}\".")));
            }
        }
        let country = given("cc")?;
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Refusal::unreadable(format!("\"{country}\" is no country.")));
        }
        let u_id = self.cookie_location(call, now);
        let only_mac = given("platform")? == "macappstore";
        let mut results = Map::new();
        for id in ids(given("id")?)? {
            if let Some((product, listing)) = self.presented(id, country, u_id)
                && (!only_mac || listing.device_families.iter().any(|family| family == "mac"))
            {
                results.insert(id.to_owned(), self.entry(product, &listing, country));
            }
        }
        let version = if self.switches.lookup_shape == LookupShape::Template { 2 } else { 1 };
        let body = json!({
            "results": results,
            "meta": {"storefront": {"id": "143452", "cc": country.to_uppercase()}, "language": {"tag": "en-gb"}},
            // Says nothing, whoever asks.
            "isAuthenticated": false,
            "version": version,
        });
        Ok(Reply::json(200, &body))
    }

    /// The location whose token came as a cookie. A bad one is as good as none.
    pub(super) fn cookie_location(&self, call: &Call, now: Timestamp) -> Option<&str> {
        let text = call.cookie.as_deref()?.split(';').find_map(|cookie| cookie.trim().strip_prefix("itvt="))?;
        let token = self.tokens.get(text)?;
        (token.expires > now && !token.revoked).then_some(token.u_id.as_str())
    }

    fn entry(&self, product: &Product, listing: &Listing, country: &str) -> Value {
        let adam_id = &product.adam_id;
        let (id, artwork) = match self.switches.lookup_shape {
            LookupShape::Template => {
                let url = self.artwork(adam_id, "{w}x{h}bb.{f}");
                (json!(adam_id), json!({"width": 1024, "height": 1024, "url": url}))
            }
            LookupShape::Sizes => {
                let ready = |size: &u32| {
                    let url = self.artwork(adam_id, &format!("{size}x{size}bb.png"));
                    json!({"width": size, "height": size, "url": url})
                };
                (json!(adam_id.parse::<u64>().unwrap_or_default()), SIZES.iter().map(ready).collect())
            }
        };
        let book = is_book(product);
        let kind = match listing.device_families.as_slice() {
            _ if book => "iBook",
            [family] if family == "mac" => "desktopApp",
            _ => "iosSoftware",
        };
        let mut entry = json!({
            "id": id, "kind": kind, "name": product.name, "nameRaw": product.name, "artistName": listing.seller,
            "url": format!("https://apps.apple.com/{country}/app/id{adam_id}"), "artwork": artwork,
            "genreNames": [listing.genre],
            "offers": [{
                "type": "get", "price": 0, "priceFormatted": "0.00",
                "version": {"display": listing.version, "externalId": product.external_version_id},
                "assets": [{"flavor": kind, "size": product.size_bytes}],
            }],
        });
        if let (false, Value::Object(members)) = (book, &mut entry) {
            members.extend([
                ("bundleId".to_owned(), json!(product.bundle_id)),
                ("deviceFamilies".to_owned(), json!(listing.device_families)),
                ("minimumOSVersion".to_owned(), json!(listing.minimum_os_version)),
                ("isB2BCustomApp".to_owned(), json!(listing.custom)),
                ("isVppDeviceBasedLicensingEnabled".to_owned(), json!(true)),
                ("softwareInfo".to_owned(), json!({"seller": listing.seller})),
            ]);
        }
        entry
    }
}
