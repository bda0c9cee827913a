//! `client/config`: who manages the location, and where its notifications go.
//!
//! A request that names an address is answered only after a test notification has arrived there.

use hyper::Uri;
use jiff::Timestamp;
use serde_json::json;

use super::admission::Session;
use super::endpoint::{Call, Reply};
use super::errors::{AppleError, Refusal};
use super::limits::Limits;
use super::notices::{NotificationTarget, Outgoing};
use super::query::Query;
use super::state::State;
use super::switches::{CfgMerge, Profile2026};
use super::wire::{ClientConfig, ClientConfigRequest, MdmInfo, NotificationType, PartialMdmInfo};

/// What a request wants stored.
#[derive(Debug)]
pub(super) struct NewConfig {
    mdm_info: Option<MdmInfo>,
    pub target: Option<NotificationTarget>,
    types: Option<Vec<NotificationType>>,
}

impl State {
    /// The reply to both methods: how things stand.
    pub(super) fn client_config(&mut self, call: &Call, session: &Session, now: Timestamp) -> Result<Reply, Refusal> {
        Query::parse(&call.query, &[])?;
        let common = self.common(session, now);
        let location = self.location(session)?;
        let target = location.notification_target.clone();
        let config = ClientConfig {
            country: location.country.clone(),
            default_platform: location.platform,
            location_name: location.name.clone(),
            notification_url: target.as_ref().map(|target| target.url.clone()),
            notification_auth_token: target.map(|target| target.secret),
            subscribed_notification_types: location.notification_types.clone(),
            website: location.website.clone(),
            common,
        };
        Ok(Reply::json(200, &config))
    }

    /// Reads and checks a request; nothing is stored yet.
    pub(super) fn read_client_config(&self, call: &Call) -> Result<NewConfig, Refusal> {
        Query::parse(&call.query, &[])?;
        let body: ClientConfigRequest = call.read()?;
        let unknown = |kind: &NotificationType| self.switches.profile_2026 == Profile2026::Off && kind.is_of_2026();
        if let Some(kind) = body.notification_types.iter().flatten().find(|kind| unknown(kind)) {
            return Err(Refusal::unreadable(format!("There is no notification type {kind}.")));
        }
        let mdm_info = body.mdm_info.map(complete).transpose()?;
        let target = match (body.notification_url, body.notification_auth_token) {
            (Some(url), Some(secret)) => Some(NotificationTarget { url, secret }),
            (None, None) => None,
            _ => return Err(AppleError::UrlAndTokenTogether.into()),
        };
        check_lengths(&self.limits, mdm_info.as_ref(), target.as_ref())?;
        if let Some(target) = &target {
            // Apple: ClientConfigRequest: host and path, no more.
            let is_plain =
                |uri: &Uri| uri.scheme_str() == Some("https") && uri.host().is_some() && uri.query().is_none();
            if !target.url.parse::<Uri>().is_ok_and(|uri| is_plain(&uri)) || target.url.contains('#') {
                return Err(AppleError::UrlInvalid.into());
            }
        }
        Ok(NewConfig { mdm_info, target, types: body.notification_types })
    }

    /// The test notification for a location.
    pub(super) fn test_letter(&mut self, session: &Session) -> Outgoing {
        self.letter(&session.u_id, &NotificationType::TestNotification.to_string(), json!({}))
    }

    pub(super) fn store_client_config(&mut self, new: NewConfig, session: &Session) -> Result<(), Refusal> {
        let clear = self.switches.cfg_merge == CfgMerge::Clear;
        let location = self.location(session)?;
        if clear || new.mdm_info.is_some() {
            location.mdm_info = new.mdm_info;
        }
        if clear || new.target.is_some() {
            location.notification_target = new.target;
        }
        if clear || new.types.is_some() {
            location.notification_types = new.types.unwrap_or_default();
        }
        Ok(())
    }
}

fn complete(info: PartialMdmInfo) -> Result<MdmInfo, Refusal> {
    match (info.id, info.name, info.metadata) {
        (Some(id), Some(name), Some(metadata)) => Ok(MdmInfo { id, name, metadata }),
        _ => Err(AppleError::MdmInfoIncomplete.into()),
    }
}

fn check_lengths(limits: &Limits, info: Option<&MdmInfo>, to: Option<&NotificationTarget>) -> Result<(), Refusal> {
    let too_long = |text: &str, limit: usize| text.chars().count() > limit;
    let most = limits.max_notification_length;
    if to.is_some_and(|to| too_long(&to.url, most) || too_long(&to.secret, most)) {
        return Err(AppleError::UrlOrTokenTooLong.into());
    }
    let Some(info) = info else { return Ok(()) };
    if too_long(&info.metadata, limits.max_mdm_metadata_length) {
        return Err(AppleError::MetadataTooLong.into());
    }
    if too_long(&info.id, limits.max_mdm_id_length) {
        return Err(AppleError::MdmIdTooLong.into());
    }
    if too_long(&info.name, limits.max_mdm_name_length) {
        return Err(AppleError::MdmNameTooLong.into());
    }
    Ok(())
}
