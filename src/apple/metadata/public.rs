//! Answers of the public lookup, which knows neither custom apps nor what is not sold any more.

use serde_json::Value;

use super::{Told, bundle_ids, first_text, icon, number, price, text, texts};
use crate::model::AppInfo;

/// The apps and books in an answer; `None` when it is not such an answer at all.
pub fn read(body: &Value) -> Option<Told> {
    let results = body["results"].as_array()?;
    Some(results.iter().map(|entry| (text(&entry["trackId"]), info(entry))).filter(|(id, _)| !id.is_empty()).collect())
}

fn info(entry: &Value) -> AppInfo {
    let genres = texts(&entry["genres"]);
    let pictures = ["artworkUrl100", "artworkUrl512", "artworkUrl60"];
    AppInfo {
        name: text(&entry["trackName"]),
        kind: text(&entry["kind"]),
        developer: first_text(entry, &["artistName", "sellerName"]),
        bundle_ids: bundle_ids([text(&entry["bundleId"])]),
        version: text(&entry["version"]),
        external_version_id: None,
        families: families(entry),
        price: price(&entry["price"], &text(&entry["formattedPrice"]), &text(&entry["currency"])),
        size: number(&entry["fileSizeBytes"]),
        minimum_os: text(&entry["minimumOsVersion"]),
        store_url: text(&entry["trackViewUrl"]),
        custom: false,
        for_devices: entry["isVppDeviceBasedLicensingEnabled"].as_bool(),
        icon_url: pictures.map(|name| icon(&entry[name])).into_iter().find(|url| !url.is_empty()).unwrap_or_default(),
        genres: if genres.is_empty() {
            [text(&entry["primaryGenreName"])].into_iter().filter(|genre| !genre.is_empty()).collect()
        } else {
            genres
        },
    }
}

/// The lookup names models of devices (`iPadPro-iPadPro`); families are what they begin with.
fn families(entry: &Value) -> Vec<String> {
    let known = [("iPhone", "iphone"), ("iPad", "ipad"), ("iPod", "ipod"), ("AppleTV", "tvos"), ("Watch", "watch")];
    let models = texts(&entry["supportedDevices"]);
    let has = |beginning: &str| models.iter().any(|model| model.starts_with(beginning));
    let mut families: Vec<String> =
        known.iter().filter(|(beginning, _)| has(beginning)).map(|(_, family)| (*family).to_owned()).collect();
    if text(&entry["kind"]) == "mac-software" {
        families.push("mac".to_owned());
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_is_read_with_numbers_and_with_texts() {
        let entry = |id: Value, size: Value| {
            let body = json!({"resultCount": 1, "results": [{
                "kind": "software", "trackId": id, "trackName": "Pages", "bundleId": "com.apple.Pages", "version": "14.2",
                "sellerName": "Apple", "artworkUrl60": "https://x/60", "artworkUrl512": "https://x/512",
                "minimumOsVersion": "17.0", "price": 0.0, "formattedPrice": "Free", "fileSizeBytes": size,
                "supportedDevices": ["iPhone5s-iPhone5s", "iPadAir-iPadAir"], "primaryGenreName": "Productivity"}]});
            read(&body).unwrap().remove("361309726").unwrap()
        };
        let info = entry(json!(361_309_726), json!("42"));
        assert_eq!(info, entry(json!("361309726"), json!(42)));
        assert_eq!((info.name.as_str(), info.price.as_str(), info.size), ("Pages", "Free", Some(42)));
        assert_eq!(
            (info.families, info.icon_url.as_str()),
            (vec!["iphone".to_owned(), "ipad".to_owned()], "https://x/512")
        );
        assert_eq!(info.genres, ["Productivity"]);
    }

    #[test]
    fn an_empty_answer_is_an_answer_and_others_are_none() {
        assert_eq!(read(&json!({"resultCount": 0, "results": []})), Some(Told::new()));
        assert_eq!(read(&json!({"results": [{"kind": "mac-software", "trackId": 2}]})).unwrap()["2"].families, ["mac"]);
        assert_eq!((read(&json!({"errorMessage": "x"})), read(&json!("x"))), (None, None));
    }
}
