//! Answers of the content metadata lookup. Apple: Getting app and book information (legacy).

use serde_json::Value;

use super::{Told, bundle_ids, first_text, icon, items, newest, number, price, text, texts};
use crate::model::AppInfo;

/// The apps and books in an answer; `None` when it is not such an answer at all. An empty one is normal: whatever is not
/// sold in the country, or not to be seen with this token, is left out without a word.
pub fn read(body: &Value) -> Option<Told> {
    match &body["results"] {
        Value::Object(results) => Some(results.iter().filter(|(_, entry)| entry.is_object()).map(one).collect()),
        // A list would name them inside.
        Value::Array(results) => Some(results.iter().map(|entry| (text(&entry["id"]), info(entry))).collect()),
        _ => None,
    }
}

fn one((key, entry): (&String, &Value)) -> (String, AppInfo) {
    (key.clone(), info(entry))
}

fn info(entry: &Value) -> AppInfo {
    let offers = items(&entry["offers"]);
    let (version, external_version_id) = newest(offers.iter().map(version));
    let offer = offers.first().unwrap_or(&Value::Null);
    let size = offers.iter().flat_map(|offer| items(&offer["assets"])).filter_map(|asset| number(&asset["size"])).max();
    AppInfo {
        name: first_text(entry, &["name", "nameRaw"]),
        kind: text(&entry["kind"]),
        developer: [text(&entry["artistName"]), text(&entry["softwareInfo"]["seller"])]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default(),
        bundle_ids: bundle_ids(["bundleId", "watchBundleId", "watchBundleID"].map(|name| text(&entry[name]))),
        version,
        external_version_id,
        families: texts(&entry["deviceFamilies"]),
        price: price(&offer["price"], &text(&offer["priceFormatted"]), &text(&offer["currencyCode"])),
        size,
        minimum_os: text(&entry["minimumOSVersion"]),
        store_url: text(&entry["url"]),
        custom: entry["isB2BCustomApp"].as_bool().unwrap_or(false),
        for_devices: entry["isVppDeviceBasedLicensingEnabled"].as_bool(),
        icon_url: icon(&entry["artwork"]),
        genres: texts(&entry["genreNames"]),
    }
}

fn version(offer: &Value) -> (String, Option<u64>) {
    let id = number(&offer["version"]["externalId"]).or_else(|| {
        let buy = text(&offer["buyParams"]);
        let mut pairs = form_urlencoded::parse(buy.as_bytes());
        pairs.find(|(name, _)| name == "appExtVrsId").and_then(|(_, id)| id.parse().ok())
    });
    (text(&offer["version"]["display"]), id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(entry: Value) -> AppInfo {
        read(&json!({"results": {"1": entry}, "version": 1})).unwrap().remove("1").unwrap()
    }

    #[test]
    fn an_app_is_read_in_full() {
        let info = of(json!({
            "id": 1, "kind": "iosSoftware", "name": "Tram Rosters", "bundleId": "example.rosters",
            "watchBundleID": "example.rosters.watch", "artistName": "Northwind Transit BV", "url": "https://apps.apple.com/x",
            "artwork": {"width": 1024, "url": "https://is1-ssl.mzstatic.com/a/{w}x{h}bb.{f}"},
            "deviceFamilies": ["iphone", "ipad"], "minimumOSVersion": "17.0", "isB2BCustomApp": true,
            "isVppDeviceBasedLicensingEnabled": true, "genreNames": ["Business"],
            "offers": [{"type": "get", "price": 0, "priceFormatted": "0,00 EUR",
                        "version": {"display": " 4.2.1", "externalId": 871_234_567},
                        "assets": [{"flavor": "iosSoftware", "size": 48_234_496}]}],
        }));
        assert_eq!(
            info,
            AppInfo {
                name: "Tram Rosters".into(),
                kind: "iosSoftware".into(),
                developer: "Northwind Transit BV".into(),
                bundle_ids: vec!["example.rosters".into(), "example.rosters.watch".into()],
                version: "4.2.1".into(),
                external_version_id: Some(871_234_567),
                families: vec!["iphone".into(), "ipad".into()],
                price: "Free".into(),
                size: Some(48_234_496),
                minimum_os: "17.0".into(),
                store_url: "https://apps.apple.com/x".into(),
                custom: true,
                for_devices: Some(true),
                icon_url: "https://is1-ssl.mzstatic.com/a/128x128bb.png".into(),
                genres: vec!["Business".into()],
            }
        );
    }

    #[test]
    fn odd_shapes_leave_gaps_and_never_fail() {
        let offers = |offers: Value| of(json!({"name": "A", "offers": offers}));
        assert_eq!(offers(json!(null)).version, "");
        assert_eq!(offers(json!([{"version": {"display": "junk"}}, {"version": {"display": "2.0"}}])).version, "2.0");
        let two = offers(
            json!([{"version": {"display": "1.9", "externalId": 5}}, {"version": {"display": "1.10", "externalId": "6"}}]),
        );
        assert_eq!((two.version.as_str(), two.external_version_id), ("1.10", Some(6)));
        let bought =
            offers(json!({"buyParams": "productType=C&appExtVrsId=77", "version": {"display": "3"}, "price": 4.99}));
        assert_eq!((bought.external_version_id, bought.price.as_str()), (Some(77), "4.99"));
        assert_eq!(of(json!({"nameRaw": " Raw "})).name, "Raw");
        assert_eq!(of(json!({"softwareInfo": {"seller": "S"}, "artistName": ""})).developer, "S");
        assert_eq!(of(json!({"watchBundleId": "a.b", "bundleId": "no id!"})).bundle_ids, ["a.b"]);
        assert_eq!(of(json!({"name": 7, "deviceFamilies": "mac", "isB2BCustomApp": "yes"})).name, "7");
    }

    #[test]
    fn what_is_not_told_is_absent_and_what_is_no_answer_is_none() {
        assert_eq!(read(&json!({"results": {}, "isAuthenticated": false})), Some(Told::new()));
        assert_eq!(read(&json!({"results": {"5": null}})), Some(Told::new()));
        assert_eq!(read(&json!({"results": [{"id": 9, "name": "B"}]})).unwrap()["9"].name, "B");
        for other in [json!({}), json!([]), json!({"results": "none"}), json!({"errors": []})] {
            assert_eq!(read(&other), None, "{other}");
        }
    }
}
