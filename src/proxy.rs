//! The way out: straight to a service, or through an HTTP proxy that opens a tunnel to it (CONNECT). What goes through the
//! tunnel is TLS, of which the proxy sees nothing; the service's certificate is checked as without a proxy.
//!
//! Knows the settings and nothing of what is sent. Names and passwords appear in no error.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use tower::Service;
use zeroize::Zeroizing;

use crate::config;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the proxy in the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the address of the proxy, {0}, cannot be used")]
    Address(String),
    #[error("the password of the proxy cannot be read from {0}: {1}")]
    Password(String, std::io::Error),
    #[error("{0} holds no password: its first line is empty, or has characters that no password can have")]
    NoPassword(String),
}

/// Why there is no tunnel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("the proxy {proxy} cannot be reached: {why}")]
    Unreachable { proxy: String, why: String },
    #[error("the proxy {proxy} wants a user name and a password: set proxy-user and proxy-password-file")]
    NameWanted { proxy: String },
    #[error("the proxy {proxy} does not accept the user name and password that the settings give (HTTP 407)")]
    NameRefused { proxy: String },
    #[error(
        "the proxy {proxy} opens no way to {target}: its rules forbid it, it does not reach it either, or it is no HTTP proxy"
    )]
    NoWay { proxy: String, target: String },
    #[error("the proxy {proxy} broke off before it had opened a way to {target}")]
    BrokeOff { proxy: String, target: String },
}

/// A proxy with what it asks for.
#[derive(Clone)]
pub struct Proxy {
    address: Uri,
    /// Host and port, for people.
    name: String,
    authorization: Option<HeaderValue>,
    exceptions: Vec<String>,
}

impl Proxy {
    /// Reads the password.
    pub fn load(settings: &config::Proxy) -> Result<Proxy, SetupError> {
        let unusable = || SetupError::Address(settings.url.clone());
        let address: Uri = settings.url.parse().map_err(|_| unusable())?;
        let name = address.authority().ok_or_else(unusable)?.to_string();
        let authorization = match &settings.password_file {
            None => None,
            Some(path) => {
                let shown = path.display().to_string();
                let read = std::fs::read_to_string(path).map_err(|error| SetupError::Password(shown.clone(), error));
                Some(basic(&settings.user, &Zeroizing::new(read?)).ok_or(SetupError::NoPassword(shown))?)
            }
        };
        Ok(Proxy { address, name, authorization, exceptions: settings.exceptions.clone() })
    }

    /// Whether this host is called through the proxy.
    fn leads_to(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        !self.exceptions.iter().any(|exception| match exception.starts_with('.') {
            true => host.ends_with(exception.as_str()),
            false => host == *exception,
        })
    }

    /// What a failed tunnel to `target` means. The library's error has no name outside of it, but says which it is.
    fn explain(&self, error: &dyn std::error::Error, target: &Uri) -> ProxyError {
        let proxy = self.name.clone();
        let target = target.authority().map(ToString::to_string).unwrap_or_default();
        match (error.to_string().as_str(), error.source()) {
            ("tunnel error: proxy authorization required", _) if self.authorization.is_some() => {
                ProxyError::NameRefused { proxy }
            }
            ("tunnel error: proxy authorization required", _) => ProxyError::NameWanted { proxy },
            ("tunnel error: failed to create underlying connection", Some(source)) => {
                ProxyError::Unreachable { proxy, why: innermost(source) }
            }
            ("tunnel error: unexpected end of file", _) | (_, Some(_)) => ProxyError::BrokeOff { proxy, target },
            _ => ProxyError::NoWay { proxy, target },
        }
    }
}

/// The cause at the bottom, from the system or from TLS: the layers above could quote addresses.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// `Proxy-Authorization` (RFC 7617); the password is the first line of `text`.
fn basic(user: &str, text: &str) -> Option<HeaderValue> {
    let password = text.lines().next().filter(|line| !line.is_empty() && !line.chars().any(char::is_control))?;
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes()))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Connects with `C`, to where a proxy leads through its tunnel.
#[derive(Clone)]
pub struct WayOut<C> {
    direct: C,
    tunnel: Option<(Proxy, Tunnel<C>)>,
}

impl<C: Clone> WayOut<C> {
    /// Without a proxy everything is called directly.
    pub fn new(connector: C, proxy: Option<Proxy>) -> WayOut<C> {
        let tunnel = proxy.map(|proxy| {
            let tunnel = Tunnel::new(proxy.address.clone(), connector.clone());
            let tunnel = match &proxy.authorization {
                Some(value) => tunnel.with_auth(value.clone()),
                None => tunnel,
            };
            (proxy, tunnel)
        });
        WayOut { direct: connector, tunnel }
    }
}

impl<C> Service<Uri> for WayOut<C>
where
    C: Service<Uri> + Send,
    C::Future: Send + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if let Some((proxy, tunnel)) = &mut self.tunnel
            && let Err(error) = std::task::ready!(tunnel.poll_ready(context))
        {
            let error = proxy.explain(&error, &Uri::default());
            return Poll::Ready(Err(error.into()));
        }
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let through = self.tunnel.as_mut().filter(|(proxy, _)| proxy.leads_to(target.host().unwrap_or_default()));
        let Some((proxy, tunnel)) = through else {
            let connecting = self.direct.call(target);
            return Box::pin(async move { connecting.await.map_err(Into::into) });
        };
        let (proxy, connecting) = (proxy.clone(), tunnel.call(target.clone()));
        Box::pin(async move { connecting.await.map_err(|error| proxy.explain(&error, &target).into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_names_addresses_and_what_lies_below_a_name() {
        let settings = config::Proxy {
            url: "http://proxy.example.org:3128".into(),
            user: String::new(),
            password_file: None,
            exceptions: vec!["mdm.example.org".into(), ".example.com".into(), "192.0.2.7".into(), "::1".into()],
        };
        let proxy = Proxy::load(&settings).unwrap();
        for host in ["mdm.example.org", "MDM.example.org", "a.example.com", "a.b.example.com", "192.0.2.7", "[::1]"] {
            assert!(!proxy.leads_to(host), "{host}");
        }
        for host in ["example.org", "x.mdm.example.org", "example.com", "badexample.com", "192.0.2.70"] {
            assert!(proxy.leads_to(host), "{host}");
        }
    }

    #[test]
    fn the_password_is_the_first_line_of_its_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let settings = config::Proxy {
            url: "http://proxy.example.org:3128".into(),
            user: "vppd".into(),
            password_file: Some(path.clone()),
            exceptions: vec![],
        };
        assert!(matches!(Proxy::load(&settings), Err(SetupError::Password(..))));
        std::fs::write(&path, "open sesame\r\nnot this\n").unwrap();
        let value = Proxy::load(&settings).unwrap().authorization.unwrap();
        assert_eq!(value.to_str().unwrap(), "Basic dnBwZDpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{value:?}").contains("dnBw"));
        for odd in ["", "\nsecond", "a\u{7}b"] {
            std::fs::write(&path, odd).unwrap();
            assert!(matches!(Proxy::load(&settings), Err(SetupError::NoPassword(_))), "{odd:?}");
        }
    }
}
