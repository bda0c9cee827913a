//! Asks Apple's stores, in the background, what the apps and books are that the locations own, and fetches their icons.
//!
//! A task of its own with paces of its own: licences and syncs never wait for it and draw on other budgets. What a store
//! does not tell now is asked for again later; what is known stays. Nobody is alerted: names are a comfort.

use std::collections::HashMap;
use std::time::Duration;

use imagesize::ImageType;
use jiff::Timestamp;

use super::catalogue::shelf;
use super::{OperationError, Shared};
use crate::apple::ContentToken;
use crate::apple::client::stores::{self, BATCH, Entity, NoAnswer};
use crate::apple::developer_key::DeveloperKey;
use crate::apple::metadata::Told;
use crate::clock::after;
use crate::config::Sources;
use crate::store::StoreError;
use crate::store::locations::{self, Location, TokenState};
use crate::store::metadata::{self, Fresh, Icon, Kept, Shelf, Wanted};

/// Between looks whether anything has become old.
const LOOK: Duration = Duration::from_secs(3600);
/// The first pause after a store gave no answer; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// So many icons in a row that cannot be had are no accident.
const BAD_ICONS: u32 = 3;
/// Sides of pictures that can be icons.
const SIDES: std::ops::RangeInclusive<usize> = 16..=2048;

/// Whoever can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Store {
    Organisations,
    Lookup,
    Public,
    Icons,
}

impl Store {
    fn words(self) -> &'static str {
        match self {
            Store::Organisations => "Apple's metadata service for organisations",
            Store::Lookup => "Apple's lookup of apps",
            Store::Public => "Apple's public lookup of apps",
            Store::Icons => "Apple's server of icons",
        }
    }
}

/// Stores that gave no answer lately. Losing it costs a call or two.
#[derive(Default)]
struct Troubles(HashMap<Store, Trouble>);

struct Trouble {
    failures: u32,
    /// By the steady clock.
    until: Timestamp,
}

impl Troubles {
    fn may_ask(&self, store: Store, steady: Timestamp) -> bool {
        self.0.get(&store).is_none_or(|trouble| trouble.until <= steady)
    }

    fn fine(&mut self, store: Store) {
        if self.0.remove(&store).is_some() {
            log::info!("{} answers again", store.words());
        }
    }

    fn failed(&mut self, store: Store, error: &NoAnswer, steady: Timestamp) {
        let trouble = self.0.entry(store).or_insert(Trouble { failures: 0, until: steady });
        let pause = FIRST_PAUSE.saturating_mul(1 << trouble.failures.min(16)).min(LONGEST_PAUSE);
        let pause = pause.max(error.after.unwrap_or_default());
        trouble.until = after(steady, pause);
        trouble.failures = trouble.failures.saturating_add(1);
        // Said once; then it is known.
        let level = if trouble.failures == 1 { log::Level::Warn } else { log::Level::Debug };
        let words = store.words();
        log::log!(
            level,
            "{words} gives no answer: {error}. Names stay as they are; licences do not depend on it. Asked again in {pause:?}."
        );
    }

    /// How long until another store may be asked again. One that may be asked and was not has nothing to be asked for.
    fn soonest(&self, steady: Timestamp) -> Option<Duration> {
        let left = |trouble: &Trouble| Duration::try_from(trouble.until.duration_since(steady)).ok();
        self.0.values().filter_map(left).filter(|left| !left.is_zero()).min()
    }
}

/// Asks for ever.
pub async fn run(context: Shared, key: Option<DeveloperKey>) {
    let mut troubles = Troubles::default();
    loop {
        let refresh = context.config().metadata.refresh;
        let pause = match round(&context, key.as_ref(), &mut troubles).await {
            Ok(()) => troubles.soonest(context.clock.steady()).unwrap_or(LOOK).min(LOOK).min(refresh),
            Err(error) => {
                log::error!("what apps are called cannot be read or kept: {error}; tried again in {FIRST_PAUSE:?}");
                FIRST_PAUSE
            }
        };
        let pause = pause.max(Duration::from_secs(1));
        tokio::select! {
            () = context.metadata_now.notified() => {}
            () = context.clock.sleep(pause) => {}
        }
    }
}

async fn round(context: &Shared, key: Option<&DeveloperKey>, troubles: &mut Troubles) -> Result<(), OperationError> {
    let config = context.config();
    if config.metadata.sources == Sources::None {
        return Ok(());
    }
    for location in context.store.read(locations::all).await? {
        if !may_be_asked(&location, context.clock.now()) {
            continue;
        }
        // A token that cannot be read is told of by the location's own task.
        if let Ok(token) = context.content_token(&location) {
            Asking { context, key, location: &location, token, shelf: shelf(&location) }.all(troubles).await?;
        }
    }
    if config.metadata.icons { icons(context, troubles).await } else { Ok(()) }
}

/// Whether a location can be asked about: a token that Apple turns down would make everything look missing.
fn may_be_asked(location: &Location, now: Timestamp) -> bool {
    let accepted = matches!(location.token_state, TokenState::Valid | TokenState::Unreachable | TokenState::ReadOnly);
    let country = location.country.len() == 2 && location.country.bytes().all(|byte| byte.is_ascii_alphabetic());
    accepted && country && location.expires_at > now
}

/// What is not older than the settings allow.
fn fresh(context: &Shared) -> Fresh {
    let now = context.clock.now();
    let after = now.checked_sub(context.config().metadata.refresh).unwrap_or(Timestamp::MIN);
    Fresh { after, now }
}

/// A location whose apps are asked about.
struct Asking<'a> {
    context: &'a Shared,
    key: Option<&'a DeveloperKey>,
    location: &'a Location,
    token: ContentToken,
    shelf: Shelf,
}

impl Asking<'_> {
    async fn all(&self, troubles: &mut Troubles) -> Result<(), OperationError> {
        let (id, shelf, fresh) = (self.location.id, self.shelf.clone(), fresh(self.context));
        let wanted = self.context.store.read(move |c| metadata::wanted(c, id, &shelf, fresh)).await?;
        for batch in wanted.chunks(BATCH) {
            let mut told = Told::new();
            // What nobody has told is missing only if whoever should know it has answered; else it stays to be asked.
            let complete = self.ask(batch, &mut told, troubles).await;
            self.keep(batch, told, complete).await?;
        }
        Ok(())
    }

    /// Asks one store after the other for what is not told yet. False when the one that knows everything the location owns
    /// gave no answer; then the public one is asked for what has no name yet.
    async fn ask(&self, batch: &[Wanted], told: &mut Told, troubles: &mut Troubles) -> bool {
        let sources = self.context.config().metadata.sources;
        if sources == Sources::Public {
            return self.public(batch, told, troubles).await;
        }
        if let Some(key) = self.key {
            self.organisations(key, batch, told, troubles).await;
        }
        let complete = self.lookup(batch, told, troubles).await;
        if sources == Sources::All {
            let asked = |one: &&Wanted| complete || !one.known;
            let left: Vec<Wanted> = batch.iter().filter(asked).cloned().collect();
            self.public(&left, told, troubles).await;
        }
        complete
    }

    /// Errors are left to the next one who is asked.
    async fn organisations(&self, key: &DeveloperKey, batch: &[Wanted], told: &mut Told, troubles: &mut Troubles) {
        let config = self.context.config();
        let shelf = self.shelf(&config.metadata.language);
        for books in [false, true] {
            let kind = |one: &&Wanted| (one.product_type == "Book") == books;
            let ids: Vec<&str> = batch.iter().filter(kind).map(|one| one.adam_id.as_str()).collect();
            if !ids.is_empty() && troubles.may_ask(Store::Organisations, self.context.clock.steady()) {
                let answer = self.context.apple.organisation_catalog(key, &self.token, shelf, books, &ids).await;
                self.note(Store::Organisations, answer, told, troubles);
            }
        }
    }

    async fn lookup(&self, batch: &[Wanted], told: &mut Told, troubles: &mut Troubles) -> bool {
        let left = missing(batch, told);
        if left.is_empty() {
            return true;
        }
        if !self.lookup_of(&left, told, troubles).await {
            return false;
        }
        if left.len() == 1 {
            return true;
        }
        // Apple shows the call with one id. An id that a batch has left out is asked for alone before it counts as missing.
        for id in missing(batch, told) {
            if !self.lookup_of(&[id], told, troubles).await {
                return false;
            }
        }
        true
    }

    async fn lookup_of(&self, ids: &[&str], told: &mut Told, troubles: &mut Troubles) -> bool {
        if !troubles.may_ask(Store::Lookup, self.context.clock.steady()) {
            return false;
        }
        let config = self.context.config();
        let answer = self.context.apple.content_lookup(&self.token, self.shelf(&config.metadata.language), ids).await;
        self.note(Store::Lookup, answer, told, troubles)
    }

    async fn public(&self, batch: &[Wanted], told: &mut Told, troubles: &mut Troubles) -> bool {
        let config = self.context.config();
        let shelf = self.shelf(&config.metadata.language);
        for entity in [Entity::App, Entity::MacApp, Entity::Book] {
            let fits = |one: &&Wanted| entities(one).contains(&entity) && !told.contains_key(&one.adam_id);
            let ids: Vec<&str> = batch.iter().filter(fits).map(|one| one.adam_id.as_str()).collect();
            if ids.is_empty() {
                continue;
            }
            if !troubles.may_ask(Store::Public, self.context.clock.steady()) {
                return false;
            }
            let answer = self.context.apple.public_lookup(shelf, entity, &ids).await;
            if !self.note(Store::Public, answer, told, troubles) {
                return false;
            }
        }
        true
    }

    fn shelf<'s>(&'s self, language: &'s str) -> stores::Shelf<'s> {
        stores::Shelf { storefront: &self.shelf.storefront, platform: &self.shelf.platform, language }
    }

    /// Takes over what a store told; false when it told nothing.
    fn note(&self, store: Store, answer: Result<Told, NoAnswer>, told: &mut Told, troubles: &mut Troubles) -> bool {
        match answer {
            Ok(more) => {
                troubles.fine(store);
                told.extend(more.into_iter().filter(|(_, info)| !info.name.is_empty()));
                true
            }
            Err(error) => {
                troubles.failed(store, &error, self.context.clock.steady());
                false
            }
        }
    }

    async fn keep(&self, batch: &[Wanted], mut told: Told, complete: bool) -> Result<(), OperationError> {
        let answers: Vec<(String, Option<crate::model::AppInfo>)> = batch
            .iter()
            .map(|one| (one.adam_id.clone(), told.remove(&one.adam_id)))
            .filter(|(_, info)| complete || info.is_some())
            .collect();
        if answers.is_empty() {
            return Ok(());
        }
        let news = batch.iter().any(|one| !one.known);
        let (shelf, now) = (self.shelf.clone(), self.context.clock.now());
        let kept = self
            .context
            .store
            .write_bulk(move |w| -> Result<Vec<(String, Kept)>, StoreError> {
                answers
                    .into_iter()
                    .map(|(id, info)| metadata::keep(w, &id, &shelf, info.as_ref(), now).map(|kept| (id, kept)))
                    .collect()
            })
            .await?;
        for (adam_id, kept) in kept {
            self.tell(&adam_id, kept);
        }
        if news {
            // A removal may have waited for the bundle id.
            self.context.plan_now.notify_one();
        }
        Ok(())
    }

    fn tell(&self, adam_id: &str, kept: Kept) {
        let (name, country) = (self.location.name.as_str(), self.location.country.as_str());
        match kept {
            Kept::FirstMiss => log::info!(
                vppd_location = name;
                "the app or book {adam_id} of location \"{name}\" is not to be found in the store of {country} (not sold \
                 there, or not to be seen with this token). What is known of it stays; the store is asked again later"
            ),
            Kept::Back => {
                log::info!(vppd_location = name; "the app or book {adam_id} is to be found in the store of {country} again");
            }
            Kept::Usual | Kept::Missing => {}
        }
    }
}

fn missing<'b>(batch: &'b [Wanted], told: &Told) -> Vec<&'b str> {
    batch.iter().map(|one| one.adam_id.as_str()).filter(|id| !told.contains_key(*id)).collect()
}

/// As what the public lookup may know it.
fn entities(one: &Wanted) -> &'static [Entity] {
    let mac = one.platforms.iter().any(|word| word == "macOS");
    let other = one.platforms.iter().any(|word| word != "macOS");
    match (one.product_type.as_str(), mac, other) {
        ("Book", _, _) => &[Entity::Book],
        (_, true, false) => &[Entity::MacApp],
        (_, true, true) => &[Entity::App, Entity::MacApp],
        _ => &[Entity::App],
    }
}

async fn icons(context: &Shared, troubles: &mut Troubles) -> Result<(), OperationError> {
    let fresh = fresh(context);
    let mut bad = 0;
    for (adam_id, url) in context.store.read(move |c| metadata::icons_wanted(c, fresh)).await? {
        if !troubles.may_ask(Store::Icons, context.clock.steady()) {
            return Ok(());
        }
        let icon = match context.apple.icon(&url).await.and_then(|bytes| checked(&bytes)) {
            Ok(icon) => {
                bad = 0;
                troubles.fine(Store::Icons);
                Some(icon)
            }
            Err(error) => {
                bad += 1;
                log::debug!("the icon of {adam_id} cannot be had: {error}");
                if bad >= BAD_ICONS {
                    troubles.failed(Store::Icons, &error, context.clock.steady());
                }
                None
            }
        };
        let now = context.clock.now();
        context.store.write_bulk(move |w| metadata::keep_icon(w, &adam_id, &url, icon.as_ref(), now)).await?;
    }
    Ok(())
}

/// The bytes as an icon, if they are a picture of a known kind and a fitting size.
fn checked(bytes: &[u8]) -> Result<Icon, NoAnswer> {
    let no = |why: &str| NoAnswer { why: why.to_owned(), after: None };
    let media_type = match imagesize::image_type(bytes) {
        Ok(ImageType::Png) => "image/png",
        Ok(ImageType::Jpeg) => "image/jpeg",
        Ok(ImageType::Webp) => "image/webp",
        _ => return Err(no("it is no PNG, JPEG or WebP")),
    };
    let size = imagesize::blob_size(bytes).map_err(|_| no("its size cannot be read"))?;
    if !SIDES.contains(&size.width) || !SIDES.contains(&size.height) {
        return Err(no("it is too small or too large for an icon"));
    }
    Ok(Icon { media_type: media_type.to_owned(), picture: bytes.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture's beginning: signature and size are all that is looked at.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes().iter().chain(&height.to_be_bytes()));
        bytes.extend([8, 2, 0, 0, 0]);
        bytes
    }

    #[test]
    fn only_pictures_of_a_fitting_size_are_icons() {
        assert_eq!(checked(&png(128, 128)).unwrap().media_type, "image/png");
        for bytes in [
            png(1, 1),
            png(5000, 128),
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            b"GIF89a\x10\0\x10\0".to_vec(),
        ] {
            assert!(checked(&bytes).is_err());
        }
        assert!(checked(&png(128, 128)[..18]).is_err(), "cut off");
        assert!(checked(b"").is_err());
    }

    #[test]
    fn pauses_double_and_keep_what_the_store_asks_for() {
        let (mut troubles, at) = (Troubles::default(), "2026-11-02T06:00:00Z".parse().unwrap());
        let mut fail = |wait: Option<u64>| {
            troubles.failed(Store::Public, &NoAnswer { why: "x".into(), after: wait.map(Duration::from_secs) }, at);
            troubles.soonest(at).unwrap().as_secs()
        };
        assert_eq!((fail(None), fail(None), fail(Some(900)), fail(None)), (60, 120, 900, 480));
        assert_eq!((0..20).map(|_| fail(None)).last(), Some(6 * 3600));
        assert!(!troubles.may_ask(Store::Public, at) && troubles.may_ask(Store::Lookup, at));
        troubles.fine(Store::Public);
        assert_eq!(troubles.soonest(at), None);
    }

    #[test]
    fn the_public_lookup_is_asked_for_what_a_product_is() {
        let one = |kind: &str, platforms: &[&str]| Wanted {
            adam_id: "1".into(),
            product_type: kind.into(),
            platforms: platforms.iter().map(|word| (*word).to_owned()).collect(),
            known: false,
        };
        assert_eq!(entities(&one("Book", &[])), [Entity::Book]);
        assert_eq!(entities(&one("App", &["macOS"])), [Entity::MacApp]);
        assert_eq!(entities(&one("App", &["iOS", "macOS"])), [Entity::App, Entity::MacApp]);
        assert_eq!(entities(&one("", &[])), [Entity::App]);
    }
}
