//! What apps and books are called: finding one by its number, its bundle id or its name, and the list of all of them with
//! filters. Names come from Apple's stores (see [`super::metadata`]); one that no store has told is its number.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::view::{AppDetailView, AppQuery, AppView};
use super::{Kind, OperationError, Shared, look};
use crate::model::{AppInfo, LocationId};
use crate::store::locations::{self, Location};
use crate::store::metadata::{self, Icon, Shelf};
use crate::store::{StoreError, assets};

/// The longest list of candidates in an error.
const CANDIDATES: usize = 5;

/// What is known of all apps and books.
#[derive(Default)]
pub(super) struct Catalogue {
    known: HashMap<String, Vec<(Shelf, AppInfo)>>,
    /// Of each location, in the order of the locations.
    shelves: Vec<(LocationId, Shelf)>,
}

/// In which store a location's apps are looked up.
pub(super) fn shelf(location: &Location) -> Shelf {
    Shelf { storefront: location.country.to_ascii_lowercase(), platform: location.platform.clone() }
}

impl Catalogue {
    pub fn load(connection: &Connection) -> Result<Catalogue, StoreError> {
        Catalogue::of(connection, None)
    }

    /// The same with one app or book only.
    pub fn of(connection: &Connection, only: Option<&str>) -> Result<Catalogue, StoreError> {
        let shelves = locations::all(connection)?.iter().map(|location| (location.id, shelf(location))).collect();
        let mut known: HashMap<String, Vec<(Shelf, AppInfo)>> = HashMap::new();
        for (adam_id, shelf, info) in metadata::known(connection, only)? {
            known.entry(adam_id).or_default().push((shelf, info));
        }
        Ok(Catalogue { known, shelves })
    }

    /// What the location's own store tells of an app, else what any other has told.
    pub fn under(&self, location: LocationId, adam_id: &str) -> Option<&AppInfo> {
        let own = self.shelves.iter().find(|(id, _)| *id == location);
        own.and_then(|(_, shelf)| self.on(shelf, adam_id)).or_else(|| self.any(adam_id))
    }

    /// What the store of the first location that knows it tells of an app, else what any other has told.
    pub fn any(&self, adam_id: &str) -> Option<&AppInfo> {
        let first = self.shelves.iter().find_map(|(_, shelf)| self.on(shelf, adam_id));
        first.or_else(|| self.known.get(adam_id)?.first().map(|(_, info)| info))
    }

    /// Its name; empty when no store has told it.
    pub fn name(&self, adam_id: &str) -> String {
        self.any(adam_id).map(|info| info.name.clone()).unwrap_or_default()
    }

    fn on(&self, shelf: &Shelf, adam_id: &str) -> Option<&AppInfo> {
        let all = self.known.get(adam_id)?;
        all.iter().find(|(other, _)| other == shelf).map(|(_, info)| info)
    }
}

/// A number of the store as people write it, `361309726` or `id361309726`.
fn as_adam_id(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("id").unwrap_or(text);
    ((1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// The adamId of the app that is meant by a number, a bundle id or a name. A name has to be whole, in any case of letters,
/// and of one app only.
pub(super) fn resolve(connection: &Connection, text: &str) -> Result<String, OperationError> {
    let text = text.trim();
    if let Some(adam_id) = as_adam_id(text) {
        return Ok(adam_id.to_owned());
    }
    let sought = text.to_lowercase();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (adam_id, _, info) in metadata::known(connection, None)? {
        let bundle = info.bundle_ids.iter().any(|id| id.to_lowercase() == sought);
        if !sought.is_empty() && (bundle || info.name.to_lowercase() == sought) {
            found.insert(adam_id.clone(), info.name.clone());
        }
        names.insert(adam_id, info.name);
    }
    for (adam_id, bundle_id) in assets::bundle_ids(connection)? {
        if bundle_id.to_lowercase() == sought {
            found.entry(adam_id).or_default();
        }
    }
    let mut ids = found.keys();
    match (ids.next(), ids.next()) {
        (Some(one), None) => Ok(one.clone()),
        (None, _) => Err(not_found(text, &sought, &names)),
        _ => Err(OperationError::new(
            Kind::Conflict,
            "ambiguous-app",
            format!("\"{}\" is the name of more than one app", short(text)),
            format!("Name the one that is meant by its number: {}", listed(&found)),
        )),
    }
}

fn not_found(text: &str, sought: &str, names: &BTreeMap<String, String>) -> OperationError {
    let close = |name: &str| {
        let name = name.to_lowercase();
        !name.is_empty() && (name.contains(sought) || strsim::normalized_damerau_levenshtein(&name, sought) >= 0.6)
    };
    let near: BTreeMap<String, String> =
        names.iter().filter(|(_, name)| close(name)).map(|(id, name)| (id.clone(), name.clone())).collect();
    let advice = if near.is_empty() || sought.is_empty() {
        "`vppd app list` shows what is owned; the number in the app's App Store address always works.".to_owned()
    } else {
        format!("Did you mean {}?", listed(&near))
    };
    let message = format!("no app that is known here has the name or the bundle id \"{}\"", short(text));
    OperationError::not_found(message, advice)
}

fn listed(apps: &BTreeMap<String, String>) -> String {
    let mut words: Vec<String> =
        apps.iter().take(CANDIDATES).map(|(adam_id, name)| format!("{adam_id} ({})", short(name))).collect();
    if apps.len() > CANDIDATES {
        words.push(format!("{} more", apps.len() - CANDIDATES));
    }
    words.join(", ")
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The apps and books that fit a query; the same one under several locations summed, unless the query wants them apart.
pub async fn list(context: &Shared, query: AppQuery) -> Result<Vec<AppView>, OperationError> {
    if let Some(name) = &query.location {
        let (looked_for, shown) = (name.clone(), name.clone());
        let found = context.store.read(move |c| locations::by_name_or_uid(c, &looked_for)).await?;
        let location = found.ok_or_else(|| look::no_such_location(&shown))?;
        let query = AppQuery { location: Some(location.name), ..query };
        return Ok(chosen(look::apps(context).await?, &query));
    }
    Ok(chosen(look::apps(context).await?, &query))
}

fn chosen(apps: Vec<AppView>, query: &AppQuery) -> Vec<AppView> {
    let fitting: Vec<AppView> = apps.into_iter().filter(|app| fits(app, query)).collect();
    if query.by_token { fitting } else { summed(fitting) }
}

fn fits(app: &AppView, query: &AppQuery) -> bool {
    let sought = query.search.as_deref().unwrap_or_default().trim().to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&sought);
    let info = app.info.iter();
    let mut words = info.flat_map(|info| [&info.name, &info.developer].into_iter().chain(&info.bundle_ids));
    let searched = has(&app.adam_id) || app.bundle_id.as_deref().is_some_and(has) || words.any(|word| has(word));
    // Apple counts iPadOS as iOS.
    let platform = query.platform.as_deref().map(|word| if word.eq_ignore_ascii_case("iPadOS") { "iOS" } else { word });
    searched
        && query.location.as_ref().is_none_or(|name| *name == app.location)
        && query.kind.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case(&app.product_type))
        && platform.is_none_or(|wanted| app.platforms.iter().any(|word| word.eq_ignore_ascii_case(wanted)))
}

/// One row for each app and quality. Devices are counted for an app as a whole already.
fn summed(apps: Vec<AppView>) -> Vec<AppView> {
    let mut sums: Vec<AppView> = Vec::new();
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for app in apps {
        let key = (app.adam_id.clone(), app.pricing_param.clone());
        let Some(&place) = places.get(&key) else {
            places.insert(key, sums.len());
            sums.push(app);
            continue;
        };
        let sum = &mut sums[place];
        sum.location = format!("{}, {}", sum.location, app.location);
        sum.locations.extend(app.locations);
        sum.platforms
            .extend(app.platforms.into_iter().filter(|word| !sum.platforms.contains(word)).collect::<Vec<_>>());
        sum.device_assignable |= app.device_assignable;
        sum.revocable &= app.revocable;
        sum.unlimited |= app.unlimited;
        sum.owned += app.owned;
        sum.assigned += app.assigned;
        sum.reserved += app.reserved;
        sum.free += app.free;
        sum.bundle_id = sum.bundle_id.take().or(app.bundle_id);
        sum.info = sum.info.take().or(app.info);
    }
    sums
}

/// One app, by number, bundle id or name.
pub async fn show(context: &Shared, text: String) -> Result<AppDetailView, OperationError> {
    let adam_id = context.store.read(move |c| resolve(c, &text)).await?;
    look::app(context, adam_id).await
}

/// The icon of an app, by number, bundle id or name.
pub async fn icon(context: &Shared, text: String) -> Result<Icon, OperationError> {
    context
        .store
        .read(move |c| {
            let adam_id = resolve(c, &text)?;
            metadata::icon(c, &adam_id)?.ok_or_else(|| {
                OperationError::not_found(
                    format!("there is no icon of the app {adam_id} here"),
                    "Icons are fetched some time after a location was read, if `[metadata] icons` says so.",
                )
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(adam_id: &str, location: &str, owned: u64) -> AppView {
        AppView {
            adam_id: adam_id.into(),
            pricing_param: "STDQ".into(),
            location: location.into(),
            locations: vec![location.into()],
            product_type: "App".into(),
            bundle_id: None,
            platforms: vec!["iOS".into()],
            device_assignable: true,
            revocable: true,
            unlimited: false,
            owned,
            assigned: 1,
            reserved: 0,
            free: owned - 1,
            wanted: 7,
            installed: 5,
            waiting: 1,
            failed: 1,
            info: Some(AppInfo { name: format!("App {adam_id}"), developer: "Northwind".into(), ..AppInfo::default() }),
        }
    }

    fn ids(apps: &[AppView]) -> Vec<(&str, &str)> {
        apps.iter().map(|app| (app.adam_id.as_str(), app.location.as_str())).collect()
    }

    #[test]
    fn the_same_app_under_several_tokens_is_summed_and_its_devices_are_counted_once() {
        let all = vec![app("1", "Leeds", 10), app("1", "York", 5), app("2", "York", 3)];
        let by_token = chosen(all.clone(), &AppQuery { by_token: true, ..AppQuery::default() });
        assert_eq!(ids(&by_token), [("1", "Leeds"), ("1", "York"), ("2", "York")]);
        let summed = chosen(all, &AppQuery::default());
        assert_eq!(ids(&summed), [("1", "Leeds, York"), ("2", "York")]);
        let one = &summed[0];
        assert_eq!((one.owned, one.assigned, one.free, one.wanted, one.installed), (15, 2, 13, 7, 5));
        assert_eq!(one.locations, ["Leeds", "York"]);
    }

    #[test]
    fn filters_narrow_the_list() {
        let book = AppView { product_type: "Book".into(), platforms: vec![], info: None, ..app("9", "York", 1) };
        let all =
            vec![app("1", "Leeds", 10), AppView { platforms: vec!["macOS".into()], ..app("22", "York", 5) }, book];
        let pick =
            |query: AppQuery| chosen(all.clone(), &query).iter().map(|app| app.adam_id.clone()).collect::<Vec<_>>();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(pick(AppQuery { search: text("aPP 2"), ..AppQuery::default() }), ["22"]);
        assert_eq!(pick(AppQuery { search: text("northw"), ..AppQuery::default() }), ["1", "22"]);
        assert_eq!(pick(AppQuery { search: text("9"), ..AppQuery::default() }), ["9"]);
        assert_eq!(pick(AppQuery { location: text("York"), ..AppQuery::default() }), ["22", "9"]);
        assert_eq!(pick(AppQuery { kind: text("book"), ..AppQuery::default() }), ["9"]);
        assert_eq!(pick(AppQuery { platform: text("iPadOS"), ..AppQuery::default() }), ["1"]);
        assert_eq!(pick(AppQuery { platform: text("macos"), ..AppQuery::default() }), ["22"]);
    }

    #[test]
    fn a_number_is_a_number_with_and_without_its_two_letters() {
        assert_eq!((as_adam_id("361309726"), as_adam_id("id361309726")), (Some("361309726"), Some("361309726")));
        assert_eq!(
            (as_adam_id(""), as_adam_id("id"), as_adam_id("Pages"), as_adam_id("1.2")),
            (None, None, None, None)
        );
    }
}
