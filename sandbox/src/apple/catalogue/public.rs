//! The public lookup: what anybody may know, without custom and withdrawn products.

use serde_json::{Value, json};

use super::{ids, is_book};
use crate::apple::endpoint::{Call, Reply};
use crate::apple::errors::Refusal;
use crate::apple::query::Query;
use crate::apple::state::State;

impl State {
    pub(super) fn public_lookup(&self, call: &Call) -> Result<Reply, Refusal> {
        let query = Query::parse(&call.query, &["id", "country", "entity"])?;
        let entity = query.get("entity").unwrap_or("software");
        if !["software", "desktopSoftware", "ebook"].contains(&entity) {
            return Err(Refusal::unreadable(format!("\"{entity}\" is no value for \"entity\".")));
        }
        let asked = ids(query.get("id").ok_or_else(|| Refusal::unreadable("The parameter \"id\" is missing."))?)?;
        let country = query.get("country").unwrap_or("us");
        let results: Vec<Value> = asked.into_iter().filter_map(|id| self.public_entry(id, country, entity)).collect();
        let body = json!({"resultCount": results.len(), "results": results});
        // As the real one says, though it is JSON.
        Ok(Reply { content_type: "text/javascript; charset=utf-8".into(), ..Reply::json(200, &body) })
    }

    fn public_entry(&self, id: &str, country: &str, entity: &str) -> Option<Value> {
        let (product, listing) = self.presented(id, country, None)?;
        let mac = listing.device_families.iter().any(|family| family == "mac");
        let sought = match entity {
            "ebook" => is_book(product),
            "desktopSoftware" => mac && !is_book(product),
            _ => !is_book(product) && listing.device_families.iter().any(|family| family != "mac"),
        };
        let icon = |size: u32| self.artwork(id, &format!("{size}x{size}bb.png"));
        sought.then(|| {
            json!({
                "kind": if entity == "desktopSoftware" { "mac-software" } else { entity },
                "trackId": id.parse::<u64>().unwrap_or_default(), "trackName": product.name,
                "bundleId": product.bundle_id, "version": listing.version, "sellerName": listing.seller,
                "artworkUrl60": icon(60), "artworkUrl100": icon(100), "artworkUrl512": icon(512),
                "minimumOsVersion": listing.minimum_os_version, "price": 0.0, "currency": "EUR",
                "formattedPrice": "Free", "supportedDevices": ["iPhone", "iPad"],
                "fileSizeBytes": product.size_bytes.to_string(), "primaryGenreName": listing.genre,
            })
        })
    }
}
