//! What people write: the settings file, and requests that come through the control socket.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{from_slice, to_value};
use vppd::config::Config;
use vppd::model::Target;
use vppd::operations::view::{DeployRequest, EnrolRequest, PauseRequest, SyncRequest, TokenAddRequest};

/// The body of every request of the control socket.
pub fn control(bytes: &[u8]) {
    same_again::<PauseRequest>(bytes);
    same_again::<SyncRequest>(bytes);
    same_again::<EnrolRequest>(bytes);
    same_again::<TokenAddRequest>(bytes);
    if let Some(request) = same_again::<DeployRequest>(bytes)
        && let Ok(target) = request.to.parse::<Target>()
    {
        assert_eq!(target.to_string().parse::<Target>().ok(), Some(target), "a target does not read what it writes");
    }
}

/// What was read is written and read again: it has to be the same.
fn same_again<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Option<T> {
    let request: T = from_slice(bytes).ok()?;
    let written = to_value(&request).ok();
    let again = written.clone().and_then(|value| serde_json::from_value::<T>(value).ok());
    assert_eq!(again.and_then(|again| to_value(again).ok()), written, "a request is not what it was");
    Some(request)
}

/// The settings file: either settings, or problems that can be shown.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::from_text("vppd.toml", text) {
        Ok(config) => assert!(!config.devices.url.is_empty()),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}
