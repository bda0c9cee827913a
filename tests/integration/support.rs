//! An appliance with its Apple and its devices, all in one process on one simulated clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use sandbox::apple::{NewAsset, NewLocation};
use sandbox::device::keys::KeyPool;
use sandbox::device::{DeviceSpec, Fleet, World, make_keys};
use sandbox::{Sandbox, SandboxOptions};
use vppd::clock::{Clock, simulated};
use vppd::config::Config;
use vppd::daemon::Daemon;
use vppd::entropy::Entropy;
use vppd::operations::view::*;
use vppd::operations::{OperationError, Shared, deployments, enrol, look, tokens};

/// A Monday morning.
pub const START: &str = "2026-11-02T06:00:00Z";

/// Different keys in all; devices beyond that share them, which their one-time profiles allow.
const KEYS: usize = 12;

pub struct App {
    pub clock: Clock,
    pub sandbox: Sandbox,
    pub fleet: Fleet,
    pub context: Shared,
    pub uid: String,
    /// The text of the location's content token.
    pub token: String,
    /// Where the device listener listens.
    pub address: std::net::SocketAddr,
    daemon: Option<Daemon>,
    pub settings: PathBuf,
    pub folder: tempfile::TempDir,
}

/// Runs a story on a simulated clock.
pub fn story<F: Future<Output = ()>>(story: impl FnOnce(Clock) -> F) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    simulated(START.parse().unwrap(), story).unwrap();
}

/// The sandbox's clock: the same as vppd's.
pub fn shared(clock: &Clock) -> sandbox::clock::Clock {
    let (now, sleep, busy) = (clock.clone(), clock.clone(), clock.clone());
    sandbox::clock::Clock::given(
        move || now.now(),
        move |duration| {
            let clock = sleep.clone();
            Box::pin(async move { clock.sleep(duration).await })
        },
        move || Box::new(busy.busy()),
    )
}

/// A port that nobody listens on, from below those that the system gives to connections, which could take it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mine = std::process::id().wrapping_mul(97);
    let candidates = std::iter::repeat_with(|| mine.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000);
    let mut ports = candidates.map(|place| 20_000 + place as u16);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

impl App {
    /// An appliance with a location that owns `assets` (adamId, licences), its token not added yet.
    pub async fn start(clock: Clock, assets: &[(&str, i64)]) -> App {
        App::start_with(clock, assets, |text| text).await
    }

    /// The same with other settings: `edit` gets the text of the settings file.
    pub async fn start_with(clock: Clock, assets: &[(&str, i64)], edit: impl FnOnce(String) -> String) -> App {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(SandboxOptions::local(shared(&clock), folder.path())).await.unwrap();
        let uid = sandbox.apple.add_location(NewLocation { name: "Leeds".into(), ..NewLocation::default() });
        for (adam_id, licences) in assets {
            sandbox.apple.add_asset(&uid, NewAsset::app(adam_id, *licences)).unwrap();
        }
        let token = sandbox.apple.add_token(&uid, SignedDuration::from_hours(24 * 300)).unwrap();
        let port = free_port();
        let settings = folder.path().join("vppd.toml");
        std::fs::write(&settings, edit(settings_text(&sandbox, folder.path(), port))).unwrap();
        let world = World {
            clock: shared(&clock),
            store: Arc::new(sandbox.apple.clone()),
            inboxes: sandbox.inboxes.clone(),
            network: Arc::new(sandbox::device::http::Internet::new(shared(&clock), names(), Vec::new())),
            keys: Arc::new(device_keys(&clock).await),
        };
        let daemon = start_daemon(&settings, &clock, 1).await;
        let context = daemon.context.clone();
        App {
            fleet: Fleet::new(world, 7),
            clock,
            sandbox,
            context,
            uid,
            token,
            address: daemon.address,
            daemon: Some(daemon),
            settings,
            folder,
        }
    }

    /// A place in the appliance's folder, which holds `vppd.toml`, `control.sock` and `state`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends the daemon in an orderly way and starts it again.
    pub async fn restart(&mut self) {
        self.end().await;
        self.begin().await;
    }

    /// Ends the daemon in an orderly way.
    pub async fn end(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop(Duration::from_secs(5)).await;
        }
    }

    /// Starts the daemon again.
    pub async fn begin(&mut self) {
        let daemon = start_daemon(&self.settings, &self.clock, 2).await;
        self.context = daemon.context.clone();
        self.daemon = Some(daemon);
    }

    pub async fn add_token(&self, name: &str, take_over: bool) -> Result<TokenAddedView, OperationError> {
        let request = TokenAddRequest { name: name.into(), content: self.token.clone(), take_over };
        tokens::add(&self.context, request, "test").await
    }

    /// Enrols devices one after another, each with a profile of its own.
    pub async fn enrol(&self, specs: Vec<DeviceSpec>) {
        for spec in specs {
            let request = EnrolRequest { serial: Some(spec.serial.clone()), ..EnrolRequest::default() };
            let made = enrol::make_profile(&self.context, request, "test").await.unwrap();
            let profile = STANDARD.decode(made.profile).unwrap();
            let failures = self.fleet.enrol(&profile, vec![spec], 1, |_| ()).await;
            assert!(failures.is_empty(), "{failures:?}");
        }
    }

    pub async fn deploy(&self, adam_id: &str, to: &str, purpose: PurposeView) -> DeploymentView {
        let request = DeployRequest::new(adam_id, to, purpose);
        deployments::add(&self.context, request, "test").await.unwrap().deployment
    }

    /// Lets simulated time pass.
    pub async fn wait(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Where every pair of an app stands, by serial number.
    pub async fn pairs(&self, adam_id: &str) -> BTreeMap<String, PairView> {
        let detail = look::app(&self.context, adam_id.into()).await.unwrap();
        detail.pairs.into_iter().map(|pair| (pair.serial.clone(), pair)).collect()
    }

    /// How many pairs of an app are in each stage.
    pub async fn stages(&self, adam_id: &str) -> BTreeMap<Stage, usize> {
        let mut stages = BTreeMap::new();
        for pair in self.pairs(adam_id).await.into_values() {
            *stages.entry(pair.stage).or_default() += 1;
        }
        stages
    }

    /// Who holds an app at the sandbox's Apple.
    pub fn holders(&self, adam_id: &str) -> BTreeSet<String> {
        let location = self.sandbox.apple.location(&self.uid).unwrap();
        let of_app = location.assignments.into_iter().filter(|assignment| assignment.adam_id == adam_id);
        of_app.filter_map(|assignment| assignment.serial_number).collect()
    }

    /// Devices that truly have an app, installed and managed.
    pub fn installed(&self, adam_id: &str) -> BTreeSet<String> {
        let has = |device: &sandbox::device::DeviceView| {
            device.apps.iter().any(|app| {
                app.product.adam_id == adam_id && app.state == Some(sandbox::device::apps::AppState::Managed)
            })
        };
        self.fleet.view().into_iter().filter(has).map(|device| device.serial).collect()
    }

    /// What must hold in every story: no install before its licence, nothing malformed either way, no 401, and no answer of
    /// Apple's that vppd should have avoided.
    pub fn assert_clean(&self) {
        let counters = self.sandbox.apple.counters();
        assert_eq!(counters.installs_before_licence, 0, "installs before their licence");
        assert_eq!(counters.refused, 0, "messages that Apple refused");
        for number in [9709, 9646] {
            assert_eq!(counters.errors.get(&number).copied().unwrap_or(0), 0, "error {number} was caused by vppd");
        }
        for device in self.fleet.view() {
            assert_eq!(device.counters.refused, 0, "{}: {:?}", device.serial, device.counters.last_refusal);
            assert_eq!(device.counters.got_401, 0, "{}", device.serial);
            assert_eq!(device.counters.wrong_magic, 0, "{}", device.serial);
        }
    }
}

/// Keys for devices, made once and kept between runs.
pub async fn device_keys(clock: &Clock) -> KeyPool {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("device-keys");
    make_keys(&shared(clock), KEYS, Some(file)).await.unwrap()
}

/// A second name of the appliance, for client certificates.
pub const SECOND_NAME: &str = "devices.localhost";

fn names() -> HashMap<String, std::net::IpAddr> {
    HashMap::from([(SECOND_NAME.to_owned(), [127, 0, 0, 1].into())])
}

/// Puts lines into the section `[devices]`.
pub fn in_devices(text: String, lines: &str) -> String {
    text.replace("[devices]\n", &format!("[devices]\n{lines}\n"))
}

fn settings_text(sandbox: &Sandbox, folder: &std::path::Path, port: u16) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let ca = sandbox.ca_path().display().to_string();
    format!(
        "[server]\nstate-directory = {:?}\ncontrol-socket = {:?}\ncontrol-group = \"root\"\n\
         [devices]\nlisten = \"127.0.0.1:{port}\"\nurl = \"https://localhost:{port}\"\n\
         [apple]\nbase-url = {:?}\nextra-ca = {ca:?}\n\
         [apns]\nbase-url = {:?}\nextra-ca = {ca:?}\ncertificate = {:?}\nkey = {:?}\n\
         [enrolment]\norganisation = \"Northwind School\"\n",
        path("state"),
        path("control.sock"),
        sandbox.apple_url(),
        sandbox.apns_url(),
        sandbox.push_certificate_path().display().to_string(),
        sandbox.push_key_path().display().to_string(),
    )
}

async fn start_daemon(settings: &std::path::Path, clock: &Clock, seed: u64) -> Daemon {
    let config = Config::load(settings).unwrap_or_else(|errors| panic!("{errors}"));
    let mut daemon = Daemon::start(config, clock.clone(), Entropy::seeded(seed)).await.unwrap();
    daemon.begin();
    daemon
}

/// Runs the real program against this appliance's socket. Simulated time stands still meanwhile, so whatever went on
/// comes to rest before, and the budget for Apple's calls is whole.
pub async fn cli(app: &App, arguments: &[&str]) -> std::process::Output {
    app.wait(minutes(1)).await;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vppd"));
    command.arg("--config").arg(app.path("vppd.toml")).args(arguments).stdin(std::process::Stdio::null());
    let busy = app.clock.busy();
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    drop(busy);
    output.unwrap().unwrap()
}

/// Devices number `from` to `to`, supervised, accepting.
pub fn devices(from: u64, to: u64) -> Vec<DeviceSpec> {
    (from..to).map(|number| DeviceSpec::nth(3, number)).collect()
}

pub fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// A stage with its count, for comparing.
pub fn counts<const N: usize>(expected: [(Stage, usize); N]) -> BTreeMap<Stage, usize> {
    expected.into_iter().collect()
}
