//! vppd's settings file for a run beside the sandbox: everything in one folder, and waits short enough to watch.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::Appliance;
use crate::Sandbox;

/// How long vppd waits for things, as its settings file writes it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub settle: &'static str,
    pub event_poll: &'static [&'static str],
    pub unknown_outcome_wait: &'static str,
    pub listing_lag: &'static str,
    pub licence_reuse_delay: &'static str,
    pub refused_licence_wait: &'static str,
    pub verify_after: &'static [&'static str],
    pub retry_after: &'static [&'static str],
    pub push_repeat_after: &'static [&'static str],
    pub log_level: &'static str,
}

impl Pace {
    /// Quick enough to watch, slow enough that one reading of Apple's answer serves many devices.
    pub const DEMO: Pace = Pace {
        settle: "500ms",
        event_poll: &["1s", "2s", "5s"],
        unknown_outcome_wait: "30s",
        listing_lag: "2s",
        licence_reuse_delay: "5s",
        refused_licence_wait: "15m",
        verify_after: &["2s", "3s", "5s", "10s"],
        retry_after: &["2s", "5s"],
        push_repeat_after: &["10s", "30s"],
        log_level: "info",
    };

    /// As quick as possible: after a crash nothing is to be waited for.
    pub const TORTURE: Pace = Pace {
        settle: "50ms",
        event_poll: &["200ms", "300ms", "500ms"],
        unknown_outcome_wait: "2s",
        listing_lag: "200ms",
        licence_reuse_delay: "1s",
        refused_licence_wait: "15m",
        verify_after: &["300ms", "500ms", "1s"],
        retry_after: &["500ms", "1s"],
        push_repeat_after: &["1s", "2s"],
        log_level: "info",
    };

    /// For many devices at once: a request to Apple has ended long before its outcome counts as unknown, as at Apple, and
    /// what Apple refuses is asked for again soon.
    pub const SCHOOL: Pace = Pace {
        settle: "300ms",
        event_poll: &["500ms", "1s", "2s"],
        unknown_outcome_wait: "20s",
        listing_lag: "2s",
        refused_licence_wait: "1s",
        verify_after: &["1s", "2s", "3s"],
        push_repeat_after: &["3s", "5s"],
        ..Pace::TORTURE
    };
}

/// The text of the settings file.
pub(super) fn text(
    appliance: &Appliance,
    sandbox: &Sandbox,
    pace: &Pace,
    port: u16,
    group: &str,
) -> anyhow::Result<String> {
    let ca = path(&sandbox.ca_path())?;
    let settings = json!({
        "server": {
            "state-directory": path(&appliance.state())?,
            "control-socket": path(&appliance.socket())?,
            "control-group": group,
            "drain-timeout": "5s",
        },
        "devices": {"listen": format!("127.0.0.1:{port}"), "url": format!("https://localhost:{port}")},
        "apple": {
            "base-url": sandbox.apple_url(),
            "extra-ca": ca,
            "event-poll": pace.event_poll,
            "unknown-outcome-wait": pace.unknown_outcome_wait,
            "listing-lag": pace.listing_lag,
            "licence-reuse-delay": pace.licence_reuse_delay,
            "refused-licence-wait": pace.refused_licence_wait,
        },
        "apns": {
            "base-url": sandbox.apns_url(),
            "certificate": path(&sandbox.push_certificate_path())?,
            "key": path(&sandbox.push_key_path())?,
            "extra-ca": ca,
            "pushes-per-second": 1000,
            "repeat-after": pace.push_repeat_after,
        },
        "enrolment": {"organisation": "Northwind School"},
        "sync": {"spread": "0s"},
        "planner": {
            "settle": pace.settle,
            "retry-after": pace.retry_after,
            "verify-after": pace.verify_after,
        },
        "log": {"level": pace.log_level, "target": "stderr"},
    });
    toml::to_string(&settings).context("could not write vppd's settings")
}

fn path(path: &Path) -> anyhow::Result<String> {
    let absolute = std::path::absolute(path).with_context(|| format!("{} has no absolute path", path.display()))?;
    absolute.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// A port that nobody listens on at the moment.
pub(super) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The name of the group of whoever runs this.
pub(super) async fn own_group() -> anyhow::Result<String> {
    let output = tokio::process::Command::new("id").arg("-gn").output().await;
    let output = output.context("could not ask `id -gn` for the group that may use the control socket")?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    anyhow::ensure!(output.status.success() && !name.is_empty(), "`id -gn` does not know the name of this group");
    Ok(name)
}
