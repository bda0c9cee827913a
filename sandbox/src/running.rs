//! The sandbox as a whole: starts the listeners, writes the certificates, and holds the handles.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::apns::{self, Apns};
use crate::apple::{self, Apple, BASE_PATH};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::control::{self, Handles};
use crate::listener;
use crate::supervisor::Supervisor;
use crate::tls::{self, Authority, Identity, TlsError};
use crate::world::PushInboxes;

/// What a sandbox is started with.
#[derive(Clone)]
pub struct SandboxOptions {
    pub clock: Clock,
    /// Ids, delays, faults by rate.
    pub seed: u64,
    /// Where the certificates are written; has to exist.
    pub directory: PathBuf,
    /// Port 0 chooses a free one.
    pub apple: SocketAddr,
    pub apns: SocketAddr,
    pub control: SocketAddr,
}

impl SandboxOptions {
    /// Free ports on 127.0.0.1, seed 1.
    pub fn local(clock: Clock, directory: impl Into<PathBuf>) -> SandboxOptions {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        SandboxOptions { clock, seed: 1, directory: directory.into(), apple: any, apns: any, control: any }
    }
}

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("could not listen on {address}: {source}; choose another port, or 0 for a free one")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("could not write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A running sandbox. It stops when it is dropped.
pub struct Sandbox {
    pub apple: Apple,
    pub apns: Apns,
    pub inboxes: PushInboxes,
    pub supervisor: Supervisor,
    push_authority: Authority,
    topic: String,
    apple_address: SocketAddr,
    apns_address: SocketAddr,
    control_address: SocketAddr,
    directory: PathBuf,
    clock: Clock,
    _stop: DropGuard,
}

impl Sandbox {
    /// Writes `sandbox-ca.pem`, `push-certificate.pem` and `push-key.pem` into the folder and starts the listeners in the
    /// current tokio runtime. There are no locations yet.
    pub async fn start(options: SandboxOptions) -> Result<Sandbox, SandboxError> {
        // An error says that a provider is installed already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let SandboxOptions { clock, seed, directory, .. } = options;
        let mut chance = Chance::seeded(seed);
        let inboxes = PushInboxes::default();
        let handles = Handles {
            apple: Apple::new(clock.clone(), chance.next()),
            apns: Apns::new(clock.clone(), chance.next(), inboxes.clone()),
            supervisor: Supervisor::default(),
        };
        let topic = format!("com.apple.mgmt.External.{}", chance.uuid());
        let root = Authority::new("vppd sandbox root")?;
        let push_authority = Authority::new("vppd sandbox push root")?;
        let server = root.server()?;
        write(&directory, CA_FILE, &root.pem())?;
        let push = push_authority.push(&topic, clock.now())?;
        write(&directory, PUSH_CERTIFICATE_FILE, &push.certificate)?;
        write(&directory, PUSH_KEY_FILE, &push.key)?;

        let stop = CancellationToken::new();
        let (apple_listener, apple_address) = listen(options.apple).await?;
        let (apns_listener, apns_address) = listen(options.apns).await?;
        let (control_listener, control_address) = listen(options.control).await?;
        handles.apple.set_base_url(&base_url(apple_address, BASE_PATH));
        let apns_tls = tls::server_config_for_clients_of(&push_authority, &server, clock.clone(), &["h2"])?;
        serve_apple(&handles, apple_listener, &server, clock.clone(), stop.clone())?;
        let Handles { apple, apns, supervisor } = handles.clone();
        let handler = {
            let (apns, supervisor) = (apns.clone(), supervisor.clone());
            move |request, peer| apns::server::handle(apns.clone(), supervisor.clone(), request, peer)
        };
        tokio::spawn(listener::serve(apns_listener, apns_tls, handler, clock.clone(), stop.clone()));
        tokio::spawn(serve_control(control_listener, handles, stop.clone()));
        Ok(Sandbox {
            apple,
            apns,
            inboxes,
            supervisor,
            push_authority,
            topic,
            apple_address,
            apns_address,
            control_address,
            directory,
            clock,
            _stop: stop.drop_guard(),
        })
    }

    /// Base of the Apps and Books calls, ending in `/mdm/v2/`.
    pub fn apple_url(&self) -> String {
        base_url(self.apple_address, BASE_PATH)
    }

    /// Base of the push calls, ending in a slash.
    pub fn apns_url(&self) -> String {
        base_url(self.apns_address, "/")
    }

    /// Where the control side listens, plain HTTP.
    pub fn control_address(&self) -> SocketAddr {
        reachable(self.control_address)
    }

    /// The root of both servers' certificates, for `extra-ca`.
    pub fn ca_path(&self) -> PathBuf {
        self.directory.join(CA_FILE)
    }

    /// A push certificate, for [`Sandbox::topic`].
    pub fn push_certificate_path(&self) -> PathBuf {
        self.directory.join(PUSH_CERTIFICATE_FILE)
    }

    /// The key of the push certificate.
    pub fn push_key_path(&self) -> PathBuf {
        self.directory.join(PUSH_KEY_FILE)
    }

    /// The topic of the push certificate.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Another push certificate, for any topic, valid for a year from now.
    pub fn push_certificate(&self, topic: &str) -> Result<Identity, TlsError> {
        self.push_authority.push(topic, self.clock.now())
    }
}

const CA_FILE: &str = "sandbox-ca.pem";
const PUSH_CERTIFICATE_FILE: &str = "push-certificate.pem";
const PUSH_KEY_FILE: &str = "push-key.pem";

fn serve_apple(
    handles: &Handles,
    listener: TcpListener,
    server: &Identity,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), SandboxError> {
    let tls = tls::server_config(server, &["h2", "http/1.1"])?;
    let (apple, supervisor) = (handles.apple.clone(), handles.supervisor.clone());
    let handler = move |request, _| apple::server::handle(apple.clone(), supervisor.clone(), request);
    tokio::spawn(listener::serve(listener, tls, handler, clock, stop));
    Ok(())
}

async fn serve_control(listener: TcpListener, handles: Handles, stop: CancellationToken) {
    let serving = axum::serve(listener, control::router(handles));
    tokio::select! {
        () = stop.cancelled() => {}
        // axum goes on after failed accepts and does not return.
        _ = serving.into_future() => {}
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SandboxError> {
    let failed = |source| SandboxError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn write(directory: &Path, name: &str, text: &str) -> Result<(), SandboxError> {
    let path = directory.join(name);
    std::fs::write(&path, text).map_err(|source| SandboxError::Write { path, source })
}

/// An address that a client on this machine can use, also when the listener takes any.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn base_url(address: SocketAddr, path: &str) -> String {
    format!("https://{}{path}", reachable(address))
}
