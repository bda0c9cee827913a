//! `[devices]`: the door that devices come to.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::duration::{days, seconds};
use super::reader::Section;
use super::url;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    pub listen: SocketAddr,
    /// What devices are told to call: `https://` and a DNS name, perhaps a port, without a path or a final slash.
    pub url: String,
    /// PEM chain for the listener. `None`: vppd makes a certificate of its own.
    pub certificate: Option<PathBuf>,
    /// PEM key to `certificate`; both are set or neither.
    pub key: Option<PathBuf>,
    /// PEM anchors that enrolment profiles bring along when `certificate` comes from a private authority; only with
    /// `certificate`.
    pub ca: Option<PathBuf>,
    /// A second DNS name under which devices prove who they are by their TLS client certificate; in lower case, never the
    /// name in `url`. `None`: client certificates are not asked for.
    pub client_certificate_name: Option<String>,
    /// Proxies at which the TLS of devices ends, and whose word on client certificates counts.
    pub trusted_proxies: Vec<IpAddr>,
    /// The header in which they pass a client certificate on.
    pub client_certificate_header: String,
    pub max_connections: u32,
    /// From one address (of IPv6: from one /64).
    pub max_connections_per_address: u32,
    /// From the first byte of its body to the last of its answer.
    pub request_timeout: Duration,
    /// A connection on which nothing is asked for so long is closed.
    pub idle_timeout: Duration,
    /// How often a device is asked what it is and has.
    pub inventory_interval: Duration,
    /// A device that was not heard of for so long is shown as missing.
    pub missing_after: Duration,
}

impl Default for Devices {
    /// The defaults of all keys but `url`, which has none and is empty here.
    fn default() -> Devices {
        Devices {
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 443)),
            url: String::new(),
            certificate: None,
            key: None,
            ca: None,
            client_certificate_name: None,
            trusted_proxies: Vec::new(),
            client_certificate_header: "Client-Cert".to_owned(),
            max_connections: 20_000,
            max_connections_per_address: 10_000,
            request_timeout: seconds(30),
            idle_timeout: seconds(60),
            inventory_interval: days(1),
            missing_after: days(30),
        }
    }
}

const URL_EXAMPLE: &str = "https://mdm.example.org";

impl Devices {
    /// The DNS name in `url`.
    pub fn host(&self) -> &str {
        url::split(&self.url).map(|parts| parts.host).unwrap_or_default()
    }

    /// What devices are told to call when they prove themselves by client certificate: as `url`, with the second name.
    pub fn client_certificate_url(&self) -> Option<String> {
        let name = self.client_certificate_name.as_deref()?;
        Some(self.url.replacen(self.host(), name, 1))
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Devices {
        let default = Devices::default();
        let url = own_url(section);
        let max_connections = section.number("max-connections", default.max_connections, 1..=1_000_000);
        let half = max_connections.div_ceil(2);
        let devices = Devices {
            listen: section.address("listen", default.listen),
            client_certificate_name: second_name(section, &url),
            trusted_proxies: proxies(section),
            client_certificate_header: header_name(section, &default.client_certificate_header),
            url,
            certificate: section.pem("certificate"),
            key: section.pem("key"),
            ca: section.pem("ca"),
            max_connections,
            max_connections_per_address: section.number("max-connections-per-address", half, 1..=1_000_000),
            request_timeout: section.interval("request-timeout", default.request_timeout),
            idle_timeout: section.interval("idle-timeout", default.idle_timeout),
            inventory_interval: section.interval("inventory-interval", default.inventory_interval),
            missing_after: section.interval("missing-after", default.missing_after),
        };
        section.both_or_neither("certificate", "key", "without them vppd makes its own certificate");
        if section.has("ca") && !section.has("certificate") {
            let advice = "remove `ca`: vppd puts the authority of the certificate that it makes into profiles itself";
            section.fault("ca", "`ca` is of use only with `certificate` and `key`", advice);
        }
        devices
    }
}

fn second_name(section: &mut Section<'_, '_>, url: &str) -> Option<String> {
    const EXAMPLE: &str = "devices.example.org";
    let name = section.text("client-certificate-name", "", EXAMPLE).to_ascii_lowercase();
    if !section.has("client-certificate-name") {
        return None;
    }
    let own = url::split(url).map(|parts| parts.host).unwrap_or_default();
    let problem = if !name.contains('.') || !url::is_name(&name) {
        "must be a full DNS name and nothing else"
    } else if name == own {
        "must be another name than that in `url`: browsers that come there would be asked for a certificate"
    } else {
        return Some(name);
    };
    let advice = format!("for example: client-certificate-name = \"{EXAMPLE}\"");
    section.fault("client-certificate-name", format!("`client-certificate-name` {problem}"), advice);
    None
}

fn proxies(section: &mut Section<'_, '_>) -> Vec<IpAddr> {
    const EXAMPLE: &str = "for example: trusted-proxies = [\"192.0.2.10\"]";
    let read: Result<Vec<IpAddr>, _> =
        section.texts("trusted-proxies", EXAMPLE).iter().map(|text| text.parse()).collect();
    read.unwrap_or_else(|_| {
        section.fault("trusted-proxies", "`trusted-proxies` must be a list of IP addresses", EXAMPLE);
        Vec::new()
    })
}

fn header_name(section: &mut Section<'_, '_>, default: &str) -> String {
    let name = section.text("client-certificate-header", default, default);
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return name;
    }
    let advice = format!("for example: client-certificate-header = \"{default}\"");
    section.fault("client-certificate-header", "`client-certificate-header` must be the name of a header", advice);
    default.to_owned()
}

fn own_url(section: &mut Section<'_, '_>) -> String {
    let text = section.text("url", URL_EXAMPLE, URL_EXAMPLE);
    let example = format!("for example: url = \"{URL_EXAMPLE}\"");
    if !section.has("url") {
        section.missing("url", "vppd must know the address under which devices reach it", &example);
        return String::new();
    }
    let problem = match url::split(&text) {
        Err(problem) => problem,
        Ok(parts) if !parts.secure => "must begin with https://: devices enrol over TLS only",
        Ok(parts) if url::is_address(parts.host) => {
            "must name a host, not an IP address: it is written into every enrolment and can never change"
        }
        Ok(parts) if !parts.host.contains('.') && parts.host != "localhost" => {
            "must be a full DNS name with a domain, which devices can resolve from anywhere"
        }
        Ok(parts) if !matches!(parts.path, "" | "/") => "must end after the host name and the port",
        Ok(_) => return text.trim_end_matches('/').to_ascii_lowercase(),
    };
    section.fault("url", format!("`url` {problem}"), example);
    String::new()
}
