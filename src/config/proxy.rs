//! The way out through an HTTP proxy, the same keys in `[apple]` and `[apns]`.

use std::path::PathBuf;

use super::reader::Section;
use super::url;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://host:port`, without a final slash.
    pub url: String,
    /// Empty: the proxy asks for no name.
    pub user: String,
    /// Holds the password of `user`; both are set or neither.
    pub password_file: Option<PathBuf>,
    /// Host names and addresses that are called directly, in lower case; `.example.org` stands for every name below it.
    pub exceptions: Vec<String>,
}

const EXAMPLE: &str = "http://proxy.example.org:3128";

impl Proxy {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Proxy> {
        let proxy = Proxy {
            url: section.text("proxy", "", EXAMPLE).trim_end_matches('/').to_owned(),
            user: section.text("proxy-user", "", "vppd"),
            password_file: section.file("proxy-password-file", "/etc/vppd/proxy-password"),
            exceptions: exceptions(section),
        };
        section.both_or_neither("proxy-user", "proxy-password-file", "without them the proxy is asked without a name");
        if !section.has("proxy") {
            let rest = ["proxy-user", "proxy-password-file", "no-proxy"];
            if let Some(key) = rest.into_iter().find(|key| section.has(key)) {
                let advice = format!("name the proxy, for example: proxy = \"{EXAMPLE}\"");
                section.fault(key, format!("`{key}` is of use only with `proxy`"), advice);
            }
            return None;
        }
        let problem = match url::split(&proxy.url) {
            Err(problem) => Some(problem),
            Ok(parts) if parts.secure => Some("must begin with http://: what goes through the proxy is TLS already"),
            Ok(parts) if !parts.path.is_empty() => Some("must be a host and a port, without a path"),
            Ok(_) => None,
        };
        if let Some(problem) = problem {
            section.fault("proxy", format!("`proxy` {problem}"), format!("for example: proxy = \"{EXAMPLE}\""));
        }
        if proxy.user.contains(':') || proxy.user.chars().any(char::is_control) {
            let advice = "Basic authentication has no room for such a name: ask for another one";
            section.fault("proxy-user", "`proxy-user` may hold neither a colon nor control characters", advice);
        }
        Some(proxy)
    }
}

fn exceptions(section: &mut Section<'_, '_>) -> Vec<String> {
    const ADVICE: &str = "for example: no-proxy = [\"mdm.example.org\", \".example.org\", \"192.0.2.7\"]";
    let all = section.texts("no-proxy", ADVICE);
    let sound = |text: &str| {
        let name = text.strip_prefix('.').unwrap_or(text);
        url::is_name(name) || text.parse::<std::net::IpAddr>().is_ok()
    };
    if let Some(odd) = all.iter().find(|text| !sound(text)) {
        let message =
            format!("`no-proxy` holds \"{}\", which is neither a host name nor an address", odd.escape_debug());
        section.fault("no-proxy", message, ADVICE);
    }
    all.iter().map(|text| text.to_ascii_lowercase()).collect()
}
