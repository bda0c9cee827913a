//! `service/config`: the limits, addresses, error numbers and notification types that Apple publishes.

use serde_json::{Map, Value, json};

use super::catalogue::LOOKUP_PATH;
use super::endpoint::{BASE_PATH, Call, Endpoint, Reply};
use super::errors::{AppleError, Refusal};
use super::query::Query;
use super::state::State;
use super::switches::Profile2026;
use super::wire::{ErrorBody, NotificationType};

/// Limits that were not there before June 2026.
const LIMITS_OF_2026: [&str; 3] = ["maxRequestPerSecond", "maxSubscriptions", "maxSubscriptionClientUserIds"];

impl State {
    pub(super) fn service_config(&self, call: &Call) -> Result<Reply, Refusal> {
        Query::parse(&call.query, &[])?;
        let mut urls: Map<String, Value> = Endpoint::all()
            .filter_map(|endpoint| Some((endpoint.url_key()?.to_owned(), endpoint)))
            .map(|(key, endpoint)| (key, format!("{}{}", self.base_url, endpoint.name()).into()))
            .collect();
        let origin = self.origin();
        urls.insert("contentMetadataLookup".to_owned(), format!("{origin}{LOOKUP_PATH}").into());
        let invitation = "/WebObjects/MZFinance.woa/wa/associateVPPUserWithITSAccount?inviteCode=%25inviteCode%25&mt=8";
        urls.insert("invitationEmail".to_owned(), format!("{origin}{invitation}").into());
        let errors: Vec<ErrorBody> =
            AppleError::ALL.into_iter().filter(|error| error.is_published()).map(ErrorBody::from).collect();
        let types = [
            NotificationType::AssetManagement,
            NotificationType::UserManagement,
            NotificationType::UserAssociated,
            NotificationType::AssetCount,
        ];
        let mut limits = json!(self.limits);
        if let (Profile2026::Off, Value::Object(limits)) = (self.switches.profile_2026, &mut limits) {
            limits.retain(|key, _| !LIMITS_OF_2026.contains(&key.as_str()));
        }
        let body = json!({"errorCodes": errors, "limits": limits, "notificationTypes": types, "urls": urls});
        Ok(Reply::json(200, &body))
    }

    /// Scheme, host and port of this service.
    pub(super) fn origin(&self) -> &str {
        self.base_url.strip_suffix(BASE_PATH).unwrap_or(&self.base_url)
    }
}
