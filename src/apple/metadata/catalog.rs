//! Answers of the metadata service for organisations. Apple: Apps and Books Metadata for Organizations.

use serde_json::Value;

use super::{Told, bundle_ids, icon, items, newest, number, price, text, texts};
use crate::model::AppInfo;

/// The apps and books in an answer; `None` when it is not such an answer at all. Those that are not there are left out.
pub fn read(body: &Value) -> Option<Told> {
    let data = body["data"].as_array()?;
    Some(data.iter().map(|entry| (text(&entry["id"]), info(entry))).filter(|(id, _)| !id.is_empty()).collect())
}

/// What is wanted stands below the platform, or, by Apple's older page, directly among the attributes: both are read.
fn info(entry: &Value) -> AppInfo {
    let attributes = &entry["attributes"];
    let platforms = platforms(attributes);
    let all = |name: &'static str| platforms.iter().map(move |place| &place[name]);
    let first = |name: &'static str| all(name).map(text).find(|text| !text.is_empty()).unwrap_or_default();
    let offers = items(&attributes["offers"]);
    // Education sells in packs of twenty, too: the price of one counts.
    let single = |offer: &&Value| number(&offer["quantity"]).unwrap_or(1) <= 1;
    let offer = offers.iter().find(single).or(offers.first()).unwrap_or(&Value::Null);
    let versions = platforms
        .iter()
        .map(|place| (text(&place["latestVersionInfo"]["versionDisplay"]), number(&place["externalVersionId"])));
    let (version, external_version_id) = newest(versions);
    let sizes = offers.iter().flat_map(|offer| items(&offer["assets"]));
    AppInfo {
        name: text(&attributes["name"]),
        kind: text(&entry["type"]),
        developer: [text(&attributes["artistName"]), first("seller")]
            .into_iter()
            .find(|n| !n.is_empty())
            .unwrap_or_default(),
        bundle_ids: bundle_ids(all("bundleId").map(text)),
        version,
        external_version_id,
        families: texts(&attributes["deviceFamilies"]),
        price: price(&offer["price"], &text(&offer["priceFormatted"]), &text(&offer["currencyCode"])),
        size: sizes.filter_map(|asset| number(&asset["size"])).max(),
        minimum_os: first("minimumOSVersion"),
        store_url: text(&attributes["url"]),
        custom: attributes["isB2BCustomApp"].as_bool().unwrap_or(false),
        for_devices: attributes["isVppDeviceBasedLicensingEnabled"].as_bool(),
        icon_url: all("artwork").map(icon).find(|url| !url.is_empty()).unwrap_or_default(),
        genres: texts(&attributes["genreNames"]),
    }
}

/// The places where members of a platform stand: iOS first, the others, then the attributes themselves.
fn platforms(attributes: &Value) -> Vec<&Value> {
    let below = attributes["platformAttributes"].as_object();
    let ios = below.and_then(|below| below.get("ios"));
    let others = below.into_iter().flatten().filter(|(name, _)| *name != "ios").map(|(_, place)| place);
    ios.into_iter().chain(others).chain([attributes]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(attributes: Value) -> AppInfo {
        read(&json!({"data": [{"id": 1, "type": "apps", "attributes": attributes}]})).unwrap().remove("1").unwrap()
    }

    #[test]
    fn an_app_is_read_below_its_platforms_and_without_them() {
        let facts = json!({"bundleId": "a.b", "externalVersionId": 7, "minimumOSVersion": "17.0",
            "latestVersionInfo": {"versionDisplay": " 4.2.1"}, "artwork": {"url": "https://x/{w}x{h}bb.{f}"}});
        let mut flat = facts.clone();
        flat["name"] = json!("Rosters");
        for attributes in [json!({"name": "Rosters", "platformAttributes": {"ios": facts}}), flat] {
            let info = of(attributes);
            assert_eq!(
                (info.name.as_str(), info.version.as_str(), info.external_version_id),
                ("Rosters", "4.2.1", Some(7))
            );
            assert_eq!((info.bundle_ids, info.minimum_os.as_str()), (vec!["a.b".to_owned()], "17.0"));
            assert_eq!(info.icon_url, "https://x/128x128bb.png");
        }
    }

    #[test]
    fn the_ios_app_comes_first_and_the_price_is_that_of_one() {
        let info = of(json!({
            "artistName": "Northwind", "isB2BCustomApp": true, "deviceFamilies": ["iphone", "mac"],
            "offers": [{"quantity": 20, "price": 0.99, "currencyCode": "EUR"}, {"price": 1.99, "currencyCode": "EUR",
                        "assets": [{"size": "12"}]}],
            "platformAttributes": {
                "osx": {"bundleId": "a.mac", "minimumOSVersion": "13.0"}, "ios": {"bundleId": "a.ios", "minimumOSVersion": "17.0"}},
        }));
        assert_eq!(info.bundle_ids, ["a.ios", "a.mac"]);
        assert_eq!((info.minimum_os.as_str(), info.price.as_str(), info.size), ("17.0", "1.99 EUR", Some(12)));
        assert!(info.custom);
    }

    #[test]
    fn odd_answers_leave_gaps_and_other_answers_are_none() {
        assert_eq!(read(&json!({"data": []})), Some(Told::new()));
        assert_eq!(read(&json!({"data": [{"attributes": {}}, {"id": "5"}]})).unwrap().len(), 1);
        assert_eq!(
            of(json!({"platformAttributes": 5, "offers": 3})),
            AppInfo { kind: "apps".into(), ..AppInfo::default() }
        );
        for other in [json!({"errors": [{"code": "40300"}]}), json!(null), json!({"data": {}})] {
            assert_eq!(read(&other), None, "{other}");
        }
    }
}
