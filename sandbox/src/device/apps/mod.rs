//! The apps of one device: what the command asks, what the owner says, what Apple's store allows, and the states a server
//! can see meanwhile (Apple: Managed Application List). Each installation is a task on the given clock.
//!
//! Knows nothing of property lists or connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::device::options::{Person, Timing};
use crate::world::{Product, StoreFront};

/// Status of a managed app, named as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppState {
    /// Declared, and only offered.
    Optional,
    Queued,
    NeedsRedemption,
    Prompting,
    PromptingForLogin,
    ValidatingPurchase,
    Installing,
    Managed,
    ManagedButUninstalled,
    PromptingForManagement,
    PromptingForUpdate,
    ValidatingUpdate,
    Updating,
    UserRejected,
    UpdateRejected,
    ManagementRejected,
    Failed,
}

impl AppState {
    /// Reported once, then gone.
    pub fn is_transient(self) -> bool {
        use AppState::*;
        matches!(self, UserRejected | UpdateRejected | ManagementRejected | Failed)
    }

    /// An installation, an update or a question is under way.
    pub fn is_working(self) -> bool {
        !self.is_transient()
            && !matches!(self, AppState::Managed | AppState::ManagedButUninstalled | AppState::Optional)
    }
}

/// One app on the device, or on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub product: Product,
    /// `None`: the owner's own app, not managed.
    pub state: Option<AppState>,
    /// External version identifier of the copy on the device; `None` while there is none.
    pub installed: Option<u64>,
    pub flags: i64,
    /// The declaration (identifier, token) that manages it, instead of commands.
    pub declared: Option<(String, String)>,
    /// Why it is [`AppState::Failed`], if it is declared.
    pub reason: Option<&'static str>,
    /// As XML.
    pub configuration: Option<String>,
    pub attributes: Option<String>,
    /// Tells a running task whether it is still meant.
    run: u64,
}

/// InstallApplication, as far as the app store is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    pub app: AppName,
    /// `PurchaseMethod` 1.
    pub by_licence: bool,
    pub take_over: bool,
    pub flags: i64,
    /// As XML.
    pub configuration: Option<String>,
    pub attributes: Option<String>,
}

/// How a command names an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppName {
    Adam(i64),
    Bundle(String),
}

/// Why an installation is refused at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    CouldNotVerifyAppId,
    NotAnApp,
    AppAlreadyQueued,
    AppAlreadyInstalled,
    /// A declaration manages it.
    Declared,
}

/// A declaration of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    pub adam_id: String,
    pub identifier: String,
    pub token: String,
    /// Else it is offered.
    pub required: bool,
}

/// The apps of one device.
pub struct Apps {
    clock: Clock,
    store: Arc<dyn StoreFront>,
    serial: String,
    supervised: bool,
    person: Person,
    timing: Timing,
    inside: Mutex<Inside>,
    changed: Notify,
}

#[derive(Default)]
struct Inside {
    /// By bundle id.
    apps: BTreeMap<String, App>,
    last_run: u64,
    /// So many times the store does not see the licence of a declared app.
    blind: u32,
    /// What the owner was asked: adamId, and the state of the app then.
    prompts: Vec<(String, AppState)>,
}

/// What a task has to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Install,
    Update,
    TakeOver,
}

impl Apps {
    /// No apps yet.
    pub fn new(
        clock: Clock,
        store: Arc<dyn StoreFront>,
        serial: String,
        supervised: bool,
        person: Person,
        timing: Timing,
    ) -> Arc<Apps> {
        Arc::new(Apps {
            clock,
            store,
            serial,
            supervised,
            person,
            timing,
            inside: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Accepts (the bundle id and the state to answer) or rejects an installation, and starts it.
    pub fn install(self: &Arc<Apps>, install: &Install) -> Result<(String, AppState), Rejection> {
        let product = match &install.app {
            AppName::Adam(adam) => self.store.product(&adam.to_string()),
            AppName::Bundle(bundle) => self.store.product_by_bundle(bundle),
        };
        let product = product.ok_or(Rejection::CouldNotVerifyAppId)?;
        if product.product_type != "App" {
            return Err(Rejection::NotAnApp);
        }
        let bundle = product.bundle_id.clone();
        let present = self.lock().apps.get(&bundle).cloned();
        if present.as_ref().is_some_and(|app| app.declared.is_some()) {
            return Err(Rejection::Declared);
        }
        let way = match present {
            Some(App { state: None, .. }) if !install.take_over => return Err(Rejection::AppAlreadyInstalled),
            Some(App { state: None, .. }) => Way::TakeOver,
            Some(App { state: Some(state), .. }) if state.is_working() => return Err(Rejection::AppAlreadyQueued),
            Some(App { installed: None, .. }) | None => Way::Install,
            Some(App { installed: Some(version), .. }) if version < product.external_version_id => Way::Update,
            Some(_) => return Ok((bundle.clone(), self.set_managed(&bundle, install))),
        };
        self.check_licence(&product);
        Ok((bundle, self.begin(product, install, None, way)))
    }

    /// Counts whoever has a device ask for an app without a licence.
    fn check_licence(&self, product: &Product) {
        let theirs = self.store.wants_sign_in(&self.serial, &product.adam_id);
        if !theirs && !self.store.holds_licence(&self.serial, &product.adam_id) {
            self.store.report_install_without_licence(&self.serial, &product.adam_id);
        }
    }

    /// Takes a declaration over, a new one or another version. False when the store does not know the app.
    pub fn declare(self: &Arc<Apps>, declaration: &Declaration) -> bool {
        let Some(product) = self.store.product(&declaration.adam_id) else { return false };
        let bundle = product.bundle_id.clone();
        let by = (declaration.identifier.clone(), declaration.token.clone());
        let present = self.lock().apps.get(&bundle).cloned();
        let way = match &present {
            Some(App { state: None, .. }) => Way::TakeOver,
            Some(App { installed: Some(version), .. }) if *version < product.external_version_id => Way::Update,
            // What is there, or under way, only changes hands.
            Some(App { state: Some(state), installed, .. }) if installed.is_some() || state.is_working() => {
                if let Some(app) = self.lock().apps.get_mut(&bundle) {
                    app.declared = Some(by);
                }
                self.changed.notify_one();
                return true;
            }
            Some(_) | None => Way::Install,
        };
        self.check_licence(&product);
        if way == Way::Install && !declaration.required {
            let app = App {
                product,
                state: Some(AppState::Optional),
                installed: None,
                flags: 1,
                configuration: None,
                attributes: None,
                declared: Some(by),
                reason: None,
                run: 0,
            };
            self.lock().apps.insert(bundle, app);
            self.changed.notify_one();
            return true;
        }
        let install = Install {
            app: AppName::Bundle(bundle),
            by_licence: true,
            take_over: true,
            flags: 1,
            configuration: None,
            attributes: None,
        };
        self.begin(product, &install, Some(by), way);
        true
    }

    /// A declaration is there no more: its app goes.
    pub fn undeclare(&self, identifier: &str) {
        let is_it = |app: &App| app.declared.as_ref().is_some_and(|(known, _)| known == identifier);
        self.lock().apps.retain(|_, app| !is_it(app));
        self.changed.notify_one();
    }

    /// The owner asks for an app that is offered. False when it is not.
    pub fn person_asks(self: &Arc<Apps>, adam_id: &str) -> bool {
        let offered =
            self.all().into_iter().find(|app| app.product.adam_id == adam_id && app.state == Some(AppState::Optional));
        let Some(App { product, declared, .. }) = offered else { return false };
        let app = AppName::Bundle(product.bundle_id.clone());
        let install =
            Install { app, by_licence: true, take_over: true, flags: 1, configuration: None, attributes: None };
        self.begin(product, &install, declared, Way::Install);
        true
    }

    /// The store will not see the licence of a declared app so many times.
    pub fn licence_comes_late(&self, times: u32) {
        self.lock().blind = times;
    }

    /// Waits for the next change of anything here.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Managed already, in the newest version: only flags and configuration change.
    fn set_managed(&self, bundle: &str, install: &Install) -> AppState {
        if let Some(app) = self.lock().apps.get_mut(bundle) {
            app.state = Some(AppState::Managed);
            app.flags = install.flags;
            (app.configuration, app.attributes) = (install.configuration.clone(), install.attributes.clone());
        }
        AppState::Managed
    }

    fn begin(
        self: &Arc<Apps>,
        product: Product,
        install: &Install,
        declared: Option<(String, String)>,
        way: Way,
    ) -> AppState {
        let state = match (way, self.supervised) {
            (Way::Install | Way::Update, _) if !install.by_licence => AppState::NeedsRedemption,
            (Way::Install, true) => AppState::Queued,
            (Way::Install, false) => AppState::Prompting,
            (Way::Update, true) => AppState::ValidatingUpdate,
            (Way::Update, false) => AppState::PromptingForUpdate,
            (Way::TakeOver, true) => AppState::Managed,
            (Way::TakeOver, false) => AppState::PromptingForManagement,
        };
        let bundle = product.bundle_id.clone();
        let mut inside = self.lock();
        inside.last_run += 1;
        let run = inside.last_run;
        let installed = inside.apps.get(&bundle).and_then(|app| app.installed);
        let (configuration, attributes) = (install.configuration.clone(), install.attributes.clone());
        let flags = install.flags;
        let app = App {
            product,
            state: Some(state),
            installed,
            flags,
            configuration,
            attributes,
            declared,
            reason: None,
            run,
        };
        if matches!(state, AppState::Prompting | AppState::PromptingForUpdate | AppState::PromptingForManagement) {
            inside.prompts.push((app.product.adam_id.clone(), state));
        }
        inside.apps.insert(bundle.clone(), app);
        drop(inside);
        self.changed.notify_one();
        if state != AppState::Managed && state != AppState::NeedsRedemption {
            tokio::spawn(self.clone().go(bundle, run, way));
        }
        state
    }

    async fn go(self: Arc<Apps>, bundle: String, run: u64, way: Way) {
        match self.ask(way).await {
            None => return,
            Some(true) => {}
            Some(false) => {
                let refused = match way {
                    Way::Install => AppState::UserRejected,
                    Way::Update => AppState::UpdateRejected,
                    Way::TakeOver => AppState::ManagementRejected,
                };
                self.enter(&bundle, run, refused);
                return;
            }
        }
        if way == Way::TakeOver {
            self.enter(&bundle, run, AppState::Managed);
            return;
        }
        if way == Way::Install && !self.sign_in(&bundle, run).await {
            return;
        }
        let (validating, loading) = match way {
            Way::Install => (AppState::ValidatingPurchase, AppState::Installing),
            _ => (AppState::ValidatingUpdate, AppState::Updating),
        };
        let Some(product) = self.enter(&bundle, run, validating) else { return };
        self.clock.sleep(self.timing.validating).await;
        if !self.sees_licence(&bundle, &product) {
            self.enter(&bundle, run, AppState::Failed);
            return;
        }
        if self.enter(&bundle, run, loading).is_some() {
            self.clock.sleep(self.loading_time(&product)).await;
            let newest = self.store.product(&product.adam_id).map(|product| product.external_version_id);
            self.finish(&bundle, run, newest.unwrap_or(product.external_version_id));
        }
    }

    fn sees_licence(&self, bundle: &str, product: &Product) -> bool {
        let mut inside = self.lock();
        if inside.blind > 0 && inside.apps.get(bundle).is_some_and(|app| app.declared.is_some()) {
            inside.blind -= 1;
            return false;
        }
        self.store.holds_licence(&self.serial, &product.adam_id)
    }

    /// Waits until the owner has signed in to the store, if only an account could hold the licence. False when that is not
    /// meant any more.
    async fn sign_in(&self, bundle: &str, run: u64) -> bool {
        let adam_id = self.lock().apps.get(bundle).map(|app| app.product.adam_id.clone()).unwrap_or_default();
        if !self.store.wants_sign_in(&self.serial, &adam_id) {
            return true;
        }
        self.lock().prompts.push((adam_id.clone(), AppState::PromptingForLogin));
        while self.store.wants_sign_in(&self.serial, &adam_id) {
            if self.enter(bundle, run, AppState::PromptingForLogin).is_none() {
                return false;
            }
            self.clock.sleep(Duration::from_secs(60)).await;
        }
        true
    }

    /// What the owner was asked until now: adamId, and the state of the app then.
    pub fn prompts(&self) -> Vec<(String, AppState)> {
        self.lock().prompts.clone()
    }

    /// Waits for the owner's answer, or for the device's own queue when nobody is asked. `None`: no answer ever.
    async fn ask(&self, way: Way) -> Option<bool> {
        if self.supervised {
            if way == Way::Install {
                self.clock.sleep(self.timing.queued).await;
            }
            return Some(true);
        }
        let (after, answer) = match self.person {
            Person::Ignore => return None,
            Person::Accept { after } => (after, true),
            Person::Decline { after } => (after, false),
        };
        self.clock.sleep(after).await;
        Some(answer)
    }

    fn loading_time(&self, product: &Product) -> Duration {
        let download = product.size_bytes.checked_div(self.timing.bytes_per_second).unwrap_or(0);
        self.timing.installing.saturating_add(Duration::from_secs(download))
    }

    /// The next state, if this run is still meant.
    fn enter(&self, bundle: &str, run: u64, state: AppState) -> Option<Product> {
        let mut inside = self.lock();
        let app = inside.apps.get_mut(bundle).filter(|app| app.run == run)?;
        app.state = Some(state);
        app.reason = match state {
            AppState::Failed => Some("Error.LicenseNotFound"),
            AppState::UserRejected | AppState::ManagementRejected => Some("Error.UserRejected"),
            _ => None,
        };
        self.changed.notify_one();
        Some(app.product.clone())
    }

    fn finish(&self, bundle: &str, run: u64, version: u64) {
        if let Some(app) = self.lock().apps.get_mut(bundle).filter(|app| app.run == run) {
            app.state = Some(AppState::Managed);
            app.installed = Some(version);
            self.changed.notify_one();
        }
    }

    /// Removes a managed app; false if there is none of that name.
    pub fn remove(&self, bundle: &str) -> bool {
        let mut inside = self.lock();
        let managed = inside.apps.get(bundle).is_some_and(|app| app.state.is_some() && app.declared.is_none());
        if managed {
            inside.apps.remove(bundle);
            self.changed.notify_one();
        }
        managed
    }

    /// The managed apps (of these bundle ids, if given) as one reply reports them: transient states are gone afterwards.
    pub fn report_managed(&self, only: Option<&[String]>) -> Vec<App> {
        let mut inside = self.lock();
        let wanted = |bundle: &String| only.is_none_or(|only| only.contains(bundle));
        let reported: Vec<App> = inside
            .apps
            .iter()
            .filter(|(bundle, app)| app.state.is_some() && app.declared.is_none() && wanted(bundle))
            .map(|(_, app)| app.clone())
            .collect();
        for app in &reported {
            if app.state.is_some_and(AppState::is_transient) {
                forget_transient(&mut inside.apps, &app.product.bundle_id);
            }
        }
        reported
    }

    /// Everything on the device or on its way, as it truly is. Reports nothing.
    pub fn all(&self) -> Vec<App> {
        self.lock().apps.values().cloned().collect()
    }

    /// The newest version in the store is newer than the copy on the device.
    pub fn has_update(&self, app: &App) -> bool {
        let newest = self.store.product(&app.product.adam_id).map(|product| product.external_version_id);
        app.installed.is_some() && newest > app.installed
    }

    /// The owner deletes an app: a managed one stays known as deleted. False if it is not there.
    pub fn person_deletes(&self, adam_id: &str) -> bool {
        let mut inside = self.lock();
        let mut there =
            inside.apps.values_mut().filter(|app| app.product.adam_id == adam_id && app.installed.is_some());
        let Some(app) = there.next() else { return false };
        app.installed = None;
        let bundle = app.product.bundle_id.clone();
        match app.state {
            Some(_) => (app.state, app.run) = (Some(AppState::ManagedButUninstalled), 0),
            None => drop(inside.apps.remove(&bundle)),
        }
        self.changed.notify_one();
        true
    }

    /// The owner installs an app on their own account. False if the store does not know it or it is there already.
    pub fn person_installs(&self, adam_id: &str) -> bool {
        let Some(product) = self.store.product(adam_id) else { return false };
        let mut inside = self.lock();
        let bundle = product.bundle_id.clone();
        if inside.apps.contains_key(&bundle) {
            return false;
        }
        let installed = Some(product.external_version_id);
        let app = App {
            product,
            state: None,
            installed,
            flags: 0,
            configuration: None,
            attributes: None,
            declared: None,
            reason: None,
            run: 0,
        };
        inside.apps.insert(bundle, app);
        true
    }

    /// The MDM profile is gone: managed apps with flag 1 go, others stay as the owner's, nothing runs on.
    pub fn profile_removed(&self) {
        let mut inside = self.lock();
        inside.apps.retain(|_, app| app.declared.is_none());
        inside.apps.retain(|_, app| app.state.is_none() || (app.flags & 1 == 0 && app.installed.is_some()));
        for app in inside.apps.values_mut() {
            (app.state, app.run, app.flags) = (None, 0, 0);
            (app.configuration, app.attributes) = (None, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a transient state leaves behind: the managed old version, the owner's own copy, or nothing.
fn forget_transient(apps: &mut BTreeMap<String, App>, bundle: &str) {
    let Some(app) = apps.get_mut(bundle) else { return };
    match (app.installed, app.state) {
        (None, _) => drop(apps.remove(bundle)),
        (Some(_), Some(AppState::ManagementRejected)) => app.state = None,
        (Some(_), _) => app.state = Some(AppState::Managed),
    }
}

#[cfg(test)]
mod tests;
