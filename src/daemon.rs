//! Wiring only: builds the parts, binds the doors, starts the tasks, tells systemd, and lets go in the end. No rule lives here.
//!
//! Start: store (with its migration), what was under way is noted, control socket, device listener, READY, then the tasks
//! that act. End: no new connections, open requests finish within `drain-timeout`, last-seen times go to disk, the store
//! closes. In between, SIGHUP: see `daemon/reload.rs`.

mod logging;
mod reload;
mod systemd;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use sd_notify::NotifyState;
use secrecy::ExposeSecret;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apple::developer_key::DeveloperKey;
use crate::apple::{AppleClient, ClientOptions, Timeouts};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::entropy::Entropy;
use crate::exit::CannotStart;
use crate::mdm::identity::site::SiteAuthority;
use crate::mdm::push::PushClient;
use crate::operations::archive::DATABASE;
use crate::operations::clock_watch::ClockWatch;
use crate::operations::keys::Keys;
use crate::operations::push_certificate::PushMaker;
use crate::operations::{
    Context, DeviceIndex, Shared, backup, clock_watch, directory, doctor, housekeeping, locations, master_key,
    metadata, push_certificate, reconcile, restore, wake,
};
use crate::proxy::Proxy;
use crate::secret::Sealer;
use crate::store::{Store, appliance, devices, identities};
use crate::web::{control, listener, notifications, tls};
use systemd::tell;

/// Connections of the control socket at once.
const CONTROL_CONNECTIONS: usize = 64;

/// A connection of the control socket on which nothing is asked for so long is closed.
const CONTROL_IDLE: Duration = Duration::from_secs(60);

/// How long the end waits for work beside the runtime once everything else has ended.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Runs the daemon with the settings in this file until it is told to end (SIGTERM or SIGINT). SIGHUP: reads them anew.
pub fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    logging::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(path, config));
    runtime.shutdown_timeout(LAST_WAIT);
    ended
}

async fn serve(path: &Path, config: Config) -> anyhow::Result<()> {
    let mut daemon = Daemon::start(config, Clock::real(), Entropy::system()).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tell(&[NotifyState::Ready, NotifyState::Status("ready")]);
    log::info!("vppd {} is ready: devices come to {}", env!("CARGO_PKG_VERSION"), daemon.context.config().devices.url);
    daemon.begin();
    let ended = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            why = daemon.a_task_ended() => break Err(why),
            _ = hangup.recv() => daemon.reload(path).await,
        }
    };
    let drain = daemon.context.config().server.drain_timeout;
    systemd::tell_stopping(drain + 2 * LAST_WAIT);
    daemon.stop(drain).await;
    log::info!("vppd has ended");
    ended
}

/// A daemon whose doors are bound.
pub struct Daemon {
    pub context: Shared,
    /// Where the device listener really listens.
    pub address: SocketAddr,
    control: Option<UnixListener>,
    devices: Option<TcpListener>,
    developer_key: Option<DeveloperKey>,
    tls: Arc<ArcSwap<tls::TlsConfigs>>,
    /// The door for notifications, if it is wanted; and its TLS, if it speaks that itself.
    notifications: Option<TcpListener>,
    notifications_tls: Option<Arc<ArcSwap<tls::TlsConfigs>>>,
    stop: CancellationToken,
    doors: JoinSet<()>,
    tasks: JoinSet<&'static str>,
}

impl Daemon {
    /// Builds everything and binds the doors. Nothing acts before [`Daemon::begin`].
    pub async fn start(config: Config, clock: Clock, entropy: Entropy) -> anyhow::Result<Daemon> {
        let state = &config.server.state_directory;
        std::fs::create_dir_all(state)
            .with_context(|| format!("the state directory {} cannot be made", state.display()))?;
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
        for finding in doctor::secret_files(&config) {
            log::warn!("{}; run: {}", finding.message, finding.command);
        }
        if restore::finish(state, clock.now())? {
            log::info!("the restored backup is in place");
        }
        let sealer = Sealer::load(credentials.as_ref().map(Path::new), state, &entropy)?;
        let store = Store::open(&state.join(DATABASE), &clock)?;
        master_key::take_over(&store, &sealer, state).await?;
        let (mdm_id, now) = (entropy.uuid().to_string(), clock.now());
        let appliance = store.write(move |w| appliance::load_or_make(w, &mdm_id, now)).await?;
        check_device_url(&config, appliance.device_url.as_deref()).map_err(CannotStart::settings)?;
        let organisation = match config.enrolment.organisation.as_str() {
            "" => config.devices.host().to_owned(),
            name => name.to_owned(),
        };
        let mut keys = Keys::load_or_make(&store, &sealer, &organisation, &clock, &entropy).await?;
        keys.site = site_authority(&config).map_err(CannotStart::settings)?;
        let served = tls::load_or_make(&config.devices, &keys, &clock).map_err(CannotStart::settings)?;
        keys.anchors.store(Arc::new(served.anchors));
        let apple = AppleClient::new(ClientOptions {
            base_url: config.apple.base_url.clone(),
            roots: tls::trusted_roots(config.apple.extra_ca.as_deref()).map_err(CannotStart::settings)?,
            proxy: proxy(config.apple.proxy.as_ref(), "[apple] proxy").map_err(CannotStart::settings)?,
            clock: clock.clone(),
            entropy: entropy.clone(),
            user_agent: format!("vppd/{}", env!("CARGO_PKG_VERSION")),
            timeouts: Timeouts::default(),
            requests_per_second: config.apple.requests_per_second,
        })?;
        let make_push = push_maker(clock.clone());
        let kept = push_certificate::load(&store, &sealer).await?;
        let push = make_push(&config, kept.as_ref()).map_err(CannotStart::settings)?;
        if let Some(topic) = push.as_ref().map(|push| push.topic().to_owned())
            && let Err(error) = store.read(move |c| push_certificate::check_topic(c, &topic)).await
        {
            log::error!("{error}. {}", error.advice);
        }
        let developer_key = developer_key(&config).map_err(CannotStart::settings)?;
        let index = DeviceIndex::default();
        for pin in store.read(devices::pins).await? {
            index.put(pin);
        }
        let now = clock.now();
        index.revoke(store.read(move |c| identities::revoked(c, now)).await?);
        let control = control::bind(&config.server.control_socket, &config.server.control_group)
            .with_context(|| format!("the control socket {}", config.server.control_socket.display()))?;
        let devices = systemd::device_socket(config.devices.listen).await?;
        let address = devices.local_addr()?;
        let notifications = match &config.notifications.url {
            None => None,
            Some(_) => {
                let listen = config.notifications.listen;
                Some(
                    TcpListener::bind(listen)
                        .await
                        .with_context(|| format!("[notifications] listen = \"{listen}\""))?,
                )
            }
        };
        let notifications_tls = tls::notifications(&config.notifications, &clock).map_err(CannotStart::settings)?;
        let clock_watch = ClockWatch::new(&clock);
        let context = Arc::new(Context {
            settings: ArcSwap::from_pointee(config),
            started_at: clock.now(),
            clock,
            entropy,
            store,
            sealer,
            apple,
            make_push,
            push_client: ArcSwapOption::from(push.map(Arc::new)),
            keys,
            mdm_id: appliance.mdm_id,
            index,
            plan_now: Arc::default(),
            wake_now: Arc::default(),
            metadata_now: Arc::default(),
            workers: Arc::default(),
            directory: Default::default(),
            clock_watch,
        });
        clock_watch::after_start(&context).await?;
        locations::after_restart(&context).await?;
        restore::after_start(&context).await?;
        Ok(Daemon {
            context,
            address,
            control: Some(control),
            devices: Some(devices),
            developer_key,
            tls: Arc::new(ArcSwap::from_pointee(served.configs)),
            notifications,
            notifications_tls: notifications_tls.map(|configs| Arc::new(ArcSwap::from_pointee(configs))),
            stop: CancellationToken::new(),
            doors: JoinSet::new(),
            tasks: JoinSet::new(),
        })
    }

    /// Opens the doors and starts the tasks.
    pub fn begin(&mut self) {
        let context = &self.context;
        let (clock, stop) = (context.clock.clone(), self.stop.clone());
        let limits = listener::Limits {
            clock,
            connections: CONTROL_CONNECTIONS,
            connections_per_address: CONTROL_CONNECTIONS,
            idle: CONTROL_IDLE,
            stop,
        };
        if let Some(socket) = self.control.take() {
            self.doors.spawn(listener::serve_control(socket, control::router(context.clone()), limits.clone()));
        }
        if let Some(socket) = self.devices.take() {
            let settings = &context.config().devices;
            let limits = listener::Limits {
                connections: settings.max_connections as usize,
                connections_per_address: settings.max_connections_per_address as usize,
                idle: settings.idle_timeout,
                ..limits.clone()
            };
            let router = crate::web::devices::router(context.clone());
            self.doors.spawn(listener::serve_tls(socket, self.tls.clone(), router, limits));
        }
        if let Some(socket) = self.notifications.take() {
            let limits = listener::Limits {
                connections: notifications::CONNECTIONS,
                connections_per_address: notifications::CONNECTIONS,
                idle: notifications::IDLE,
                ..limits
            };
            let router = notifications::router(context.clone());
            match &self.notifications_tls {
                Some(tls) => self.doors.spawn(listener::serve_tls(socket, tls.clone(), router, limits)),
                None => self.doors.spawn(listener::serve_plain(socket, router, limits)),
            };
        }
        let tasks = &mut self.tasks;
        let context = context.clone();
        spawn(tasks, "locations", locations::run(context.clone()));
        spawn(tasks, "planner", reconcile::run(context.clone()));
        spawn(tasks, "pushes", wake::run(context.clone()));
        spawn(tasks, "housekeeping", housekeeping::run(context.clone()));
        spawn(tasks, "metadata", metadata::run(context.clone(), self.developer_key.take()));
        spawn(tasks, "directory", directory::run(context.clone()));
        spawn(tasks, "backups", backup::run(context.clone()));
        spawn(tasks, "certificate", reload::renew_certificate(context.clone(), self.tls.clone()));
        if let Some(limit) = sd_notify::watchdog_enabled() {
            spawn(tasks, "watchdog", systemd::watchdog(context, limit));
        }
    }

    /// Waits until a task ends, which none should, and tells which.
    async fn a_task_ended(&mut self) -> anyhow::Error {
        let which = match self.tasks.join_next().await {
            Some(Ok(name)) => format!("the task \"{name}\" ended"),
            Some(Err(error)) => format!("a task failed: {error}"),
            None => std::future::pending().await,
        };
        anyhow::anyhow!("{which}, which it never should; vppd ends so that it is restarted")
    }

    /// Lets open requests finish for at most `drain`, then ends everything.
    pub async fn stop(mut self, drain: Duration) {
        self.stop.cancel();
        let (clock, doors) = (self.context.clock.clone(), &mut self.doors);
        let finished = clock.timeout(drain, async { while doors.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            log::warn!("requests that were still open after {drain:?} are cut off");
        }
        self.doors.shutdown().await;
        self.tasks.shutdown().await;
        if let Err(error) = housekeeping::flush_seen(&self.context).await {
            log::error!("when devices were last seen cannot be saved: {error}");
        }
        let _ = std::fs::remove_file(&self.context.config().server.control_socket);
    }
}

fn spawn(tasks: &mut JoinSet<&'static str>, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(async move {
        work.await;
        name
    });
}

/// The URL in the enrolments can never change.
fn check_device_url(config: &Config, kept: Option<&str>) -> anyhow::Result<()> {
    match kept {
        Some(kept) if kept != config.devices.url => anyhow::bail!(
            "[devices] url is {}, but enrolment profiles were made with {kept}, and a device can never be told another \
             address. Set it back; to really move, begin with an empty state directory and enrol every device again.",
            config.devices.url
        ),
        _ => Ok(()),
    }
}

/// The authority of the site's own whose certificates may be identities, if the settings name one.
fn site_authority(config: &Config) -> anyhow::Result<Option<Arc<SiteAuthority>>> {
    let Some(path) = &config.identity.extra_ca else { return Ok(None) };
    let what = || format!("[identity] extra-ca, {}", path.display());
    let pem = std::fs::read(path).with_context(what)?;
    let authority = SiteAuthority::from_pem(&pem).map_err(|_| anyhow::anyhow!("it holds no certificates in PEM"));
    Ok(Some(Arc::new(authority.with_context(what)?)))
}

fn proxy(settings: Option<&config::Proxy>, key: &'static str) -> anyhow::Result<Option<Proxy>> {
    settings.map(Proxy::load).transpose().context(key)
}

/// The key for Apple's metadata service for organisations, if the settings name one.
fn developer_key(config: &Config) -> anyhow::Result<Option<DeveloperKey>> {
    let Some(file) = &config.metadata.developer_key else { return Ok(None) };
    let what = || format!("[metadata] developer-key, {}", file.path.display());
    let pem = zeroize::Zeroizing::new(std::fs::read(&file.path).with_context(what)?);
    Ok(Some(DeveloperKey::from_pem(&pem, &file.key_id, &file.team_id).with_context(what)?))
}

fn push_maker(clock: Clock) -> PushMaker {
    Box::new(move |config, kept| {
        let (chain, key) = match (&config.apns.certificate, &config.apns.key, kept) {
            (Some(certificate), Some(key), _) => {
                let read = |path: &Path| {
                    std::fs::read(path).with_context(|| format!("the push certificate or key {}", path.display()))
                };
                (read(certificate)?, zeroize::Zeroizing::new(read(key)?))
            }
            (_, _, Some(kept)) => {
                let key = kept.key_pem.expose_secret().as_bytes().to_vec();
                (kept.chain_pem.clone().into_bytes(), zeroize::Zeroizing::new(key))
            }
            _ => {
                log::warn!("there is no push certificate: no device can enrol or be woken. To get one: vppd apns csr");
                return Ok(None);
            }
        };
        let roots = tls::trusted_roots(config.apns.extra_ca.as_deref())?;
        let proxy = proxy(config.apns.proxy.as_ref(), "[apns] proxy")?;
        let client = PushClient::new(&config.apns.base_url, &chain, &key, roots, proxy, clock.clone())
            .context("the push certificate cannot be used")?;
        log::info!("the push certificate is valid until {}", client.expires());
        Ok(Some(client))
    })
}
