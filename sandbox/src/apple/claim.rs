//! `client/config`: who manages the location.
//!
//! This sandbox sends no notifications, so a notification URL can never answer the test that Apple sends during the call:
//! a request with a valid URL is refused with 9728, as Apple refuses one it cannot reach.

use hyper::{Method, Uri};
use jiff::Timestamp;

use super::admission::Session;
use super::endpoint::{Call, Reply};
use super::errors::{AppleError, Refusal};
use super::limits::Limits;
use super::query::Query;
use super::state::State;
use super::switches::CfgMerge;
use super::wire::{ClientConfig, ClientConfigRequest, MdmInfo, PartialMdmInfo};

impl State {
    pub(super) fn client_config(&mut self, call: &Call, session: &Session, now: Timestamp) -> Result<Reply, Refusal> {
        Query::parse(&call.query, &[])?;
        if call.method == Method::POST {
            self.store_client_config(call, session)?;
        }
        let common = self.common(session, now);
        let location = self.location(session)?;
        let config = ClientConfig {
            country: location.country.clone(),
            default_platform: location.platform,
            location_name: location.name.clone(),
            subscribed_notification_types: location.notification_types.clone(),
            website: location.website.clone(),
            common,
        };
        Ok(Reply::json(200, &config))
    }

    fn store_client_config(&mut self, call: &Call, session: &Session) -> Result<(), Refusal> {
        let body: ClientConfigRequest = call.read()?;
        let mdm_info = body.mdm_info.map(complete).transpose()?;
        if body.notification_url.is_some() != body.notification_auth_token.is_some() {
            return Err(AppleError::UrlAndTokenTogether.into());
        }
        check_lengths(&self.limits, mdm_info.as_ref(), [&body.notification_url, &body.notification_auth_token])?;
        if let Some(url) = &body.notification_url {
            let reachable_in_principle =
                url.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
            let error = if reachable_in_principle { AppleError::UrlUnreachable } else { AppleError::UrlInvalid };
            return Err(error.into());
        }
        let clear = self.switches.cfg_merge == CfgMerge::Clear;
        let location = self.location(session)?;
        if clear || mdm_info.is_some() {
            location.mdm_info = mdm_info;
        }
        if clear || body.notification_types.is_some() {
            location.notification_types = body.notification_types.unwrap_or_default();
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

fn check_lengths(limits: &Limits, info: Option<&MdmInfo>, urls: [&Option<String>; 2]) -> Result<(), Refusal> {
    let too_long = |text: &str, limit: usize| text.chars().count() > limit;
    if urls.into_iter().flatten().any(|text| too_long(text, limits.max_notification_length)) {
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
