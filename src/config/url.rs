//! Addresses in the settings: split far enough to check them. Not a URL library: what is not plain is refused.

use super::reader::Section;

/// `https://host:port/path`, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'u> {
    pub secure: bool,
    /// As written; an IPv6 address keeps its brackets.
    pub host: &'u str,
    pub path: &'u str,
}

/// Takes an address apart; the error says what is wrong with it.
pub(super) fn split(url: &str) -> Result<Parts<'_>, &'static str> {
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("must begin with https://"),
    };
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("may hold only plain ASCII characters without spaces");
    }
    if rest.contains(['?', '#', '@', '\\']) {
        return Err("may not hold a user name, a query or a fragment");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host_end = if authority.starts_with('[') { authority.find(']').map(|at| at + 1) } else { authority.find(':') };
    let (host, port) = authority.split_at(host_end.unwrap_or(authority.len()));
    let port_is_sound = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    if !port_is_sound {
        return Err("has a port that is not a number from 1 to 65535");
    }
    if !is_name(host) && !is_address(host) {
        return Err("has no valid host name");
    }
    Ok(Parts { secure, host, path })
}

/// Whether `host` is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

pub(super) fn is_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner
        .map_or_else(|| host.parse::<std::net::Ipv4Addr>().is_ok(), |inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Whether `host` is a DNS name; a name whose last label is a number would be taken for an address.
pub(super) fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253 && host.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl Section<'_, '_> {
    /// The base address of a service that vppd calls, ending with `/` or not as `default` does. Plain http is for this
    /// machine only (the sandbox).
    pub fn base_url(&mut self, key: &'static str, default: &str) -> String {
        let url = self.text(key, default, default);
        let problem = match split(&url) {
            Ok(parts) if parts.secure || is_loopback(parts.host) => None,
            Ok(_) => Some("may be http:// only for localhost, 127.0.0.1 or [::1]"),
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            self.fault(key, format!("`{key}` {problem}"), format!("for example: {key} = \"{default}\""));
            return default.to_owned();
        }
        let bare = url.trim_end_matches('/');
        if default.ends_with('/') { format!("{bare}/") } else { bare.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parts = |secure, host, path| Ok(Parts { secure, host, path });
        assert_eq!(split("https://mdm.example.org"), parts(true, "mdm.example.org", ""));
        assert_eq!(split("https://mdm.example.org:8443/a/"), parts(true, "mdm.example.org", "/a/"));
        assert_eq!(split("http://[::1]:8080/x"), parts(false, "[::1]", "/x"));
    }

    #[test]
    fn addresses_that_could_be_misread_are_refused() {
        for url in [
            "mdm.example.org",
            "ftp://a.b",
            "https://",
            "https://a b",
            "https://user@host.org",
            "https://host.org?x",
            "https://host.org:0",
            "https://host.org:99999",
            "https://[::1",
            "https://-a.org",
            "https://1.2.3",
            "https://é.org",
        ] {
            assert!(split(url).is_err(), "{url}");
        }
    }
}
