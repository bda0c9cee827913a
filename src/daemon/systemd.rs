//! What systemd and the daemon say to each other: states, the watchdog, the sockets that were opened for it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::net::TcpListener;

use crate::operations::Shared;
use crate::store::StoreError;

/// Tells systemd, if it asked to be told.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd cannot be told: {error}");
    }
}

/// Tells systemd that reading the settings anew begins; `Ready` ends it.
pub(super) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the settings anew")]),
        Err(error) => log::warn!("systemd cannot be told of the reload: {error}"),
    }
}

/// Tells systemd that the daemon ends, which may take this long.
pub(super) fn tell_stopping(longest: Duration) {
    let longest = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
    let states = [
        NotifyState::Stopping,
        NotifyState::Status("finishing open requests"),
        NotifyState::ExtendTimeoutUsec(longest),
    ];
    tell(&states);
}

/// Tells systemd that the daemon lives, for as long as its database answers.
pub(super) async fn watchdog(context: Shared, limit: Duration) {
    loop {
        context.clock.sleep(limit / 2).await;
        let lives: Result<(), StoreError> =
            context.store.read(|c| Ok(c.query_row("PRAGMA user_version", [], |_| Ok(()))?)).await;
        match lives {
            Ok(()) => tell(&[NotifyState::Watchdog]),
            Err(error) => log::error!("the database does not answer: {error}; systemd is not told that all is well"),
        }
    }
}

/// The socket for devices: the one that systemd passed, which outlives restarts of vppd, or one of our own.
pub(super) async fn device_socket(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let mut passed = listenfd::ListenFd::from_env();
    if passed.len() > 1 {
        log::warn!("systemd passed {} sockets, of which vppd serves devices on the first only", passed.len());
    }
    if let Some(socket) = passed.take_tcp_listener(0).context("the socket that systemd passed is not for TCP")? {
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(socket)?;
        log::info!("devices are served on {}, which systemd listens on for vppd", socket.local_addr()?);
        return Ok(socket);
    }
    TcpListener::bind(listen).await.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "another program does so: ss -ltnp tells which",
            ErrorKind::PermissionDenied => {
                "a port below 1024 is for root; systemctl start vppd.socket opens it for vppd"
            }
            _ => "see [devices] listen",
        };
        anyhow::anyhow!("the device listener cannot listen on {listen}: {error}; {advice}")
    })
}
