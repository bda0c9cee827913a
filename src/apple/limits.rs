//! Apple's live limits and addresses (`service/config`), with a built-in default for each of them.
//!
//! Decides which of Apple's values to believe; fetching and keeping them is the client's work.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Uri;

use super::wire::ServiceConfigReply;
use crate::model::InviteCode;

/// Age after which a copy is fetched again before it is used.
pub const SOFT_AGE: Duration = Duration::from_secs(5 * 60);
/// Age after which a copy that cannot be renewed gives way to the built-in values.
pub const HARD_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The calls that vppd makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    ServiceConfig,
    ClientConfig,
    Assets,
    Assignments,
    Associate,
    Disassociate,
    Revoke,
    Users,
    CreateUsers,
    UpdateUsers,
    RetireUsers,
    Status,
    Subscriptions,
}

impl Endpoint {
    pub const ALL: [Endpoint; 13] = [
        Endpoint::ServiceConfig,
        Endpoint::ClientConfig,
        Endpoint::Assets,
        Endpoint::Assignments,
        Endpoint::Associate,
        Endpoint::Disassociate,
        Endpoint::Revoke,
        Endpoint::Users,
        Endpoint::CreateUsers,
        Endpoint::UpdateUsers,
        Endpoint::RetireUsers,
        Endpoint::Status,
        Endpoint::Subscriptions,
    ];

    /// Path below the base address.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::ServiceConfig => "service/config",
            Endpoint::ClientConfig => "client/config",
            Endpoint::Assets => "assets",
            Endpoint::Assignments => "assignments",
            Endpoint::Associate => "assets/associate",
            Endpoint::Disassociate => "assets/disassociate",
            Endpoint::Revoke => "assets/revoke",
            Endpoint::Users => "users",
            Endpoint::CreateUsers => "users/create",
            Endpoint::UpdateUsers => "users/update",
            Endpoint::RetireUsers => "users/retire",
            Endpoint::Status => "status",
            Endpoint::Subscriptions => "subscriptions",
        }
    }

    /// Key in the `urls` of `service/config`. None for `service/config` itself and for what Apple's list does not have.
    fn key(self) -> Option<&'static str> {
        match self {
            Endpoint::ServiceConfig | Endpoint::Subscriptions => None,
            Endpoint::ClientConfig => Some("clientConfig"),
            Endpoint::Assets => Some("getAssets"),
            Endpoint::Assignments => Some("getAssignments"),
            Endpoint::Associate => Some("associateAssets"),
            Endpoint::Disassociate => Some("disassociateAssets"),
            Endpoint::Revoke => Some("revokeAssets"),
            Endpoint::Users => Some("getUsers"),
            Endpoint::CreateUsers => Some("createUsers"),
            Endpoint::UpdateUsers => Some("updateUsers"),
            Endpoint::RetireUsers => Some("retireUsers"),
            Endpoint::Status => Some("eventStatus"),
        }
    }
}

/// How much Apple takes in one request (Apple: Service Configuration). All at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Distinct assets in one associate or disassociate.
    pub max_assets: u32,
    /// Distinct serial numbers in one associate or disassociate.
    pub max_serial_numbers: u32,
    pub max_client_user_ids: u32,
    pub max_revoke_serial_numbers: u32,
    pub max_revoke_client_user_ids: u32,
    pub max_users: u32,
    pub max_notification_length: u32,
    pub max_mdm_id_length: u32,
    pub max_mdm_name_length: u32,
    pub max_mdm_metadata_length: u32,
    pub max_request_per_second: u32,
    pub max_subscriptions: u32,
    pub max_subscription_client_user_ids: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::read(&BTreeMap::new())
    }
}

impl Limits {
    /// Believes whole numbers from 1 up; anything else leaves the published value of 2026.
    fn read(limits: &BTreeMap<String, serde_json::Value>) -> Limits {
        let value = |key: &str, default: u32| {
            let number = |value: &serde_json::Value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
            let told = limits.get(key).and_then(number).filter(|limit| *limit > 0);
            told.map_or(default, |limit| u32::try_from(limit).unwrap_or(u32::MAX))
        };
        Limits {
            max_assets: value("maxAssets", 25),
            max_serial_numbers: value("maxSerialNumbers", 1000),
            max_client_user_ids: value("maxClientUserIds", 1000),
            max_revoke_serial_numbers: value("maxRevokeSerialNumbers", 100),
            max_revoke_client_user_ids: value("maxRevokeClientUserIds", 100),
            max_users: value("maxUsers", 100),
            max_notification_length: value("maxNotificationLength", 512),
            max_mdm_id_length: value("maxMdmIdLength", 100),
            max_mdm_name_length: value("maxMdmNameLength", 100),
            max_mdm_metadata_length: value("maxMdmMetadataLength", 255),
            max_request_per_second: value("maxRequestPerSecond", 15),
            max_subscriptions: value("maxSubscriptions", 25),
            max_subscription_client_user_ids: value("maxSubscriptionClientUserIds", 1000),
        }
    }
}

/// Limits and addresses as last told by Apple, or built in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceConfig {
    pub limits: Limits,
    urls: BTreeMap<Endpoint, Uri>,
    /// Apple's template for links of invitations; the built-in one when absent.
    invitation: Option<String>,
    /// Where Apple says that the content metadata lookup is; to be checked before it is followed.
    pub(super) metadata_lookup: Option<Uri>,
}

/// What stands for the code in the template of invitations.
const CODE: &str = "%25inviteCode%25";
const INVITATION: &str = "https://buy.itunes.apple.com/WebObjects/MZFinance.woa/wa/associateVPPUserWithITSAccount?inviteCode=%25inviteCode%25&mt=8";

impl ServiceConfig {
    /// Keeps the addresses with the scheme, host and port of `base` and without a query; the rest is not followed.
    pub(super) fn read(reply: &ServiceConfigReply, base: &Uri) -> ServiceConfig {
        let urls = Endpoint::ALL.iter().filter_map(|endpoint| {
            let url: Uri = reply.urls.get(endpoint.key()?)?.as_str()?.parse().ok()?;
            (origin(&url)? == origin(base)? && url.query().is_none()).then_some((*endpoint, url))
        });
        // Not followed by vppd, but given to people: only Apple's own hosts, or the base's.
        let trusted = |url: &Uri| {
            let apple =
                url.scheme_str() == Some("https") && url.host().is_some_and(|host| host.ends_with(".apple.com"));
            origin(url).is_some_and(|found| apple || Some(found) == origin(base))
        };
        let template = reply.urls.get("invitationEmail").and_then(serde_json::Value::as_str);
        let template = template.filter(|text| text.contains(CODE) && text.parse().is_ok_and(|url| trusted(&url)));
        let invitation = template.map(str::to_owned);
        let metadata_lookup = reply.urls.get("contentMetadataLookup").and_then(|url| url.as_str()?.parse().ok());
        ServiceConfig { limits: Limits::read(&reply.limits), urls: urls.collect(), invitation, metadata_lookup }
    }

    /// The link of an invitation (Apple: Managing Users).
    pub fn invitation(&self, code: &InviteCode) -> String {
        let code: String = form_urlencoded::byte_serialize(code.reveal().as_bytes()).collect();
        self.invitation.as_deref().unwrap_or(INVITATION).replace(CODE, &code)
    }

    /// Where to call: Apple's own address for the endpoint, or the known path below `base`, without a query.
    pub(super) fn url(&self, endpoint: Endpoint, base: &Uri) -> String {
        match self.urls.get(&endpoint) {
            Some(url) => url.to_string(),
            None => format!("{}/{}", base.to_string().trim_end_matches('/'), endpoint.path()),
        }
    }
}

/// Scheme, host and port. None for an address without a host, or with a user name in it.
pub(super) fn origin(url: &Uri) -> Option<(String, String, u16)> {
    let scheme = url.scheme_str()?.to_ascii_lowercase();
    let authority = url.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, authority.host().to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ServiceConfig {
        let base = "https://vpp.example/mdm/v2/".parse().unwrap();
        ServiceConfig::read(&serde_json::from_str(json).unwrap(), &base)
    }

    #[test]
    fn a_limit_that_is_missing_or_odd_keeps_its_published_value() {
        let config =
            read(r#"{"limits":{"maxAssets":"3","maxUsers":0,"maxSerialNumbers":-1,"maxRequestPerSecond":"x"}}"#);
        let expected = Limits { max_assets: 3, ..Limits::default() };
        assert_eq!(config.limits, expected);
        assert_eq!((expected.max_users, expected.max_serial_numbers, expected.max_request_per_second), (100, 1000, 15));
        assert_eq!(read(r#"{"limits":null,"urls":null,"errorCodes":7}"#), ServiceConfig::default());
    }

    #[test]
    fn an_invitation_leads_to_apple_or_to_the_base_and_nowhere_else() {
        let code = InviteCode::read("0d4f&x").unwrap();
        let link =
            |template: &str| read(&format!(r#"{{"urls":{{"invitationEmail":"{template}"}}}}"#)).invitation(&code);
        let known = INVITATION.replace(CODE, "0d4f%26x");
        assert!(known.ends_with("?inviteCode=0d4f%26x&mt=8"), "{known}");
        assert_eq!(link("https://vpp.example/join?c=%25inviteCode%25"), "https://vpp.example/join?c=0d4f%26x");
        assert_eq!(link("https://new.apple.com/%25inviteCode%25"), "https://new.apple.com/0d4f%26x");
        for template in [
            "https://evil.example/join?c=%25inviteCode%25",
            "https://apple.com.evil.example/%25inviteCode%25",
            "http://buy.apple.com/%25inviteCode%25",
            "https://you@buy.apple.com/%25inviteCode%25",
            "https://buy.apple.com/no-place-for-the-code",
        ] {
            assert_eq!(link(template), known, "{template}");
        }
    }

    #[test]
    fn an_address_is_followed_only_on_the_base_host_and_without_a_query() {
        let base: Uri = "https://vpp.example/mdm/v2/".parse().unwrap();
        let url = |told: &str| read(&format!(r#"{{"urls":{{"getAssets":"{told}"}}}}"#)).url(Endpoint::Assets, &base);
        assert_eq!(url("https://vpp.example/other/assets"), "https://vpp.example/other/assets");
        assert_eq!(url("https://VPP.example:443/other"), "https://VPP.example:443/other");
        for told in [
            "http://vpp.example/other",
            "https://vpp.example:8443/other",
            "https://evil.example/other",
            "https://user@vpp.example/other",
            "https://vpp.example/other?a=b",
            "/other",
            "not an address",
        ] {
            assert_eq!(url(told), "https://vpp.example/mdm/v2/assets", "{told}");
        }
    }
}
