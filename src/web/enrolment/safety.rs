//! What keeps the pages from being used by somebody else's: headers on every answer, and the rule from where a form may come.

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::LazyLock;

use super::page::STYLE;

/// Only the page's own style, named by its hash; forms to this server only; in nobody's frame.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// No `Strict-Transport-Security`: with a private certificate it would take away the way past the browser's warning. The
/// referrer stays within the server, because browsers that send none say of a form that it comes from nowhere.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::VARY, "accept-language"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// Puts the headers on.
pub async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a form comes from a page of this server, as browsers tell. What tells nothing is no browser with a person before it.
pub fn same_origin(parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    match (text("origin"), text("sec-fetch-site")) {
        (_, Some(site)) => site == "same-origin",
        (Some(origin), None) => {
            let host = parts.uri.authority().map(|authority| authority.as_str()).or_else(|| text("host"));
            let from = origin.strip_prefix("https://");
            from.is_some() && host.zip(from).is_some_and(|(host, from)| host.eq_ignore_ascii_case(from))
        }
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_counts_only_from_a_page_of_this_server() {
        for (uri, headers, counts) in [
            ("/enrol", &[("host", "mdm.example.org"), ("origin", "https://mdm.example.org")][..], true),
            ("/enrol", &[("host", "mdm.example.org:8443"), ("origin", "https://mdm.example.org:8443")], true),
            ("https://mdm.example.org/enrol", &[("origin", "https://mdm.example.org")], true),
            ("/enrol", &[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            ("/enrol", &[("host", "mdm.example.org"), ("origin", "https://evil.example")], false),
            ("/enrol", &[("host", "mdm.example.org"), ("origin", "http://mdm.example.org")], false),
            ("/enrol", &[("host", "mdm.example.org"), ("origin", "null")], false),
            ("/enrol", &[("host", "mdm.example.org"), ("sec-fetch-site", "cross-site")], false),
            (
                "/enrol",
                &[("host", "a.example.org"), ("sec-fetch-site", "same-site"), ("origin", "https://a.example.org")],
                false,
            ),
            ("/enrol", &[("host", "mdm.example.org")], false),
        ] {
            let mut request = axum::http::Request::post(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(same_origin(&parts), counts, "{uri} {headers:?}");
        }
    }
}
