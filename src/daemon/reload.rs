//! Reading settings and certificates anew while the daemon runs (`systemctl reload`, SIGHUP): all of the file holds, or
//! none of it. Connections stay open; they keep the certificate that they began with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sd_notify::NotifyState;

use super::systemd::{tell, tell_reloading};
use super::{Daemon, check_device_url, logging};
use crate::config::Config;
use crate::operations::{Shared, doctor, push_certificate};
use crate::store::appliance;
use crate::web::tls;

/// A certificate that vppd makes itself is good for a year; one of the administrator's may have been renewed.
const RENEW_EVERY: Duration = Duration::from_secs(30 * 24 * 3600);

impl Daemon {
    /// Takes the settings in the file over, or tells why not and goes on with the old ones.
    pub async fn reload(&self, path: &Path) {
        tell_reloading();
        let status = match self.take_over(path).await {
            Ok(waiting) if waiting.is_empty() => {
                log::info!("settings and certificates were read anew");
                "ready".to_owned()
            }
            Ok(waiting) => {
                let keys = waiting.join(", ");
                log::warn!("settings and certificates were read anew; these wait for a restart: {keys}");
                format!("ready; a restart is needed for {keys}")
            }
            Err(error) => {
                log::error!("the settings are refused, vppd goes on with the old ones: {error:#}");
                let error = format!("{error:#}");
                format!("ready; the last reload was refused: {}", error.lines().next().unwrap_or_default())
            }
        };
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// The keys whose new values wait for a restart.
    async fn take_over(&self, path: &Path) -> anyhow::Result<Vec<&'static str>> {
        let context = &self.context;
        let read = Config::load(path)?;
        let kept = context.store.read(appliance::load).await?;
        check_device_url(&read, kept.device_url.as_deref())?;
        let (config, waiting) = context.config().reloaded(read);
        let served = tls::load_or_make(&config.devices, &context.keys, &context.clock)?;
        doctor::secret_files(&config).iter().for_each(|found| log::warn!("{}; run: {}", found.message, found.command));
        let kept = push_certificate::load(&context.store, &context.sealer).await?;
        let push = (context.make_push)(&config, kept.as_ref())?;
        if let Some(topic) = push.as_ref().map(|push| push.topic().to_owned()) {
            let checked = context.store.read(move |c| push_certificate::check_topic(c, &topic)).await;
            checked.map_err(|error| anyhow::anyhow!("{error}. {}", error.advice))?;
        }
        let notifications = tls::notifications(&config.notifications, &context.clock)?;
        self.tls.store(Arc::new(served.configs));
        if let (Some(kept), Some(configs)) = (&self.notifications_tls, notifications) {
            kept.store(Arc::new(configs));
        }
        logging::set_level(config.log.level);
        context.reconfigure(config, push, served.anchors);
        Ok(waiting)
    }
}

/// Loads or makes the device listener's certificate anew, long before the one that vppd made expires.
pub(super) async fn renew_certificate(context: Shared, tls: Arc<ArcSwap<tls::TlsConfigs>>) {
    loop {
        tokio::select! {
            () = context.clock.sleep(RENEW_EVERY) => {}
            () = context.keys.changed.notified() => {}
        }
        match tls::load_or_make(&context.config().devices, &context.keys, &context.clock) {
            Ok(served) => tls.store(Arc::new(served.configs)),
            Err(error) => log::error!("{error}; devices are served with the old certificate"),
        }
    }
}
