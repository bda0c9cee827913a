//! `[apple]`: how vppd talks to Apple's Apps and Books service.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::{minutes, seconds};
use super::proxy::Proxy;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apple {
    /// Ends with `/`.
    pub base_url: String,
    /// PEM authorities trusted besides the system's, for the sandbox or an inspecting proxy.
    pub extra_ca: Option<PathBuf>,
    /// `None`: called directly.
    pub proxy: Option<Proxy>,
    /// For each content token; Apple's own limit holds too.
    pub requests_per_second: u32,
    /// How long to wait before each look at an event that Apple works on; the last is repeated. Never empty, ascending.
    pub event_poll: Vec<Duration>,
    /// After this long without an answer about an event, the assignments are read instead.
    pub unknown_outcome_wait: Duration,
    /// So much older than what was done may be what Apple lists. Only after that does a list without a licence mean that it
    /// is not there.
    pub listing_lag: Duration,
    /// How long a licence that was given back rests before it is given to another device; never less than `listing_lag`.
    pub licence_reuse_delay: Duration,
    /// How long a pair of which Apple refused the licence is left alone; doubled with each refusal. Apple's older service
    /// punished repeated identical failing calls.
    pub refused_licence_wait: Duration,
    /// The name under which locations are claimed, for the eyes of other MDM servers' administrators. Never empty.
    pub mdm_name: String,
}

impl Default for Apple {
    /// `mdm_name`, which otherwise is the host name in `[devices] url`, is `vppd` here.
    fn default() -> Apple {
        Apple {
            base_url: "https://vpp.itunes.apple.com/mdm/v2/".to_owned(),
            extra_ca: None,
            proxy: None,
            requests_per_second: 10,
            event_poll: vec![seconds(10), seconds(20), seconds(30)],
            unknown_outcome_wait: minutes(10),
            listing_lag: minutes(2),
            licence_reuse_delay: minutes(2),
            refused_licence_wait: minutes(15),
            mdm_name: "vppd".to_owned(),
        }
    }
}

impl Apple {
    /// `host` is the host name in `[devices] url`; may be empty when that is wrong.
    pub(super) fn read(section: &mut Section<'_, '_>, host: &str) -> Apple {
        let default = Apple::default();
        let name = if host.is_empty() { default.mdm_name.as_str() } else { host };
        let apple = Apple {
            base_url: section.base_url("base-url", &default.base_url),
            extra_ca: section.pem("extra-ca"),
            proxy: Proxy::read(section),
            requests_per_second: section.number("requests-per-second", default.requests_per_second, 1..=1000),
            event_poll: section.intervals("event-poll", &default.event_poll),
            unknown_outcome_wait: section.interval("unknown-outcome-wait", default.unknown_outcome_wait),
            listing_lag: section.duration("listing-lag", default.listing_lag),
            licence_reuse_delay: section.duration("licence-reuse-delay", default.licence_reuse_delay),
            refused_licence_wait: section.interval("refused-licence-wait", default.refused_licence_wait),
            mdm_name: section.text("mdm-name", name, "mdm.example.org"),
        };
        if apple.mdm_name.trim().is_empty() {
            let advice = "name this server, or remove the key: then the host name in [devices] url is used";
            section.fault("mdm-name", "`mdm-name` is empty", advice);
        }
        apple
    }
}
