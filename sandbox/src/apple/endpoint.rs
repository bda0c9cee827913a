//! The served endpoints, and the form a call has before and after: no sockets, so that a test can call directly.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde::Serialize;

/// Where the calls live below the host.
pub const BASE_PATH: &str = "/mdm/v2/";

/// What is served. A path that is not here is unknown (404).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    ServiceConfig,
    ClientConfig,
    Assets,
    Assignments,
    Users,
    CreateUsers,
    UpdateUsers,
    RetireUsers,
    Associate,
    Disassociate,
    Revoke,
    Status,
    Subscriptions,
    EnableSubscriptions,
    DisableSubscriptions,
    SubscriptionAssignments,
    AssociateSubscriptions,
    DisassociateSubscriptions,
    SubscriptionAdmins,
    AddSubscriptionAdmins,
    RemoveSubscriptionAdmins,
}

impl Endpoint {
    const ALL: [Endpoint; 21] = [
        Endpoint::ServiceConfig,
        Endpoint::ClientConfig,
        Endpoint::Assets,
        Endpoint::Assignments,
        Endpoint::Users,
        Endpoint::CreateUsers,
        Endpoint::UpdateUsers,
        Endpoint::RetireUsers,
        Endpoint::Associate,
        Endpoint::Disassociate,
        Endpoint::Revoke,
        Endpoint::Status,
        Endpoint::Subscriptions,
        Endpoint::EnableSubscriptions,
        Endpoint::DisableSubscriptions,
        Endpoint::SubscriptionAssignments,
        Endpoint::AssociateSubscriptions,
        Endpoint::DisassociateSubscriptions,
        Endpoint::SubscriptionAdmins,
        Endpoint::AddSubscriptionAdmins,
        Endpoint::RemoveSubscriptionAdmins,
    ];

    /// The path after `/mdm/v2/`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Endpoint::ServiceConfig => "service/config",
            Endpoint::ClientConfig => "client/config",
            Endpoint::Assets => "assets",
            Endpoint::Assignments => "assignments",
            Endpoint::Users => "users",
            Endpoint::CreateUsers => "users/create",
            Endpoint::UpdateUsers => "users/update",
            Endpoint::RetireUsers => "users/retire",
            Endpoint::Associate => "assets/associate",
            Endpoint::Disassociate => "assets/disassociate",
            Endpoint::Revoke => "assets/revoke",
            Endpoint::Status => "status",
            Endpoint::Subscriptions => "subscriptions",
            Endpoint::EnableSubscriptions => "subscriptions/enable",
            Endpoint::DisableSubscriptions => "subscriptions/disable",
            Endpoint::SubscriptionAssignments => "subscriptions/assignments",
            Endpoint::AssociateSubscriptions => "subscriptions/associate",
            Endpoint::DisassociateSubscriptions => "subscriptions/disassociate",
            Endpoint::SubscriptionAdmins => "subscriptions/admins",
            Endpoint::AddSubscriptionAdmins => "subscriptions/admins/add",
            Endpoint::RemoveSubscriptionAdmins => "subscriptions/admins/remove",
        }
    }

    /// The key in `urls` of service/config.
    pub(super) fn url_key(self) -> Option<&'static str> {
        match self {
            // Apple's published list has none for subscriptions.
            Endpoint::ServiceConfig
            | Endpoint::Subscriptions
            | Endpoint::EnableSubscriptions
            | Endpoint::DisableSubscriptions
            | Endpoint::SubscriptionAssignments
            | Endpoint::AssociateSubscriptions
            | Endpoint::DisassociateSubscriptions
            | Endpoint::SubscriptionAdmins
            | Endpoint::AddSubscriptionAdmins
            | Endpoint::RemoveSubscriptionAdmins => None,
            Endpoint::ClientConfig => Some("clientConfig"),
            Endpoint::Assets => Some("getAssets"),
            Endpoint::Assignments => Some("getAssignments"),
            Endpoint::Users => Some("getUsers"),
            Endpoint::CreateUsers => Some("createUsers"),
            Endpoint::UpdateUsers => Some("updateUsers"),
            Endpoint::RetireUsers => Some("retireUsers"),
            Endpoint::Associate => Some("associateAssets"),
            Endpoint::Disassociate => Some("disassociateAssets"),
            Endpoint::Revoke => Some("revokeAssets"),
            Endpoint::Status => Some("eventStatus"),
        }
    }

    /// Whether the first version of the service had nothing like it. `status` is new too, but nothing works without.
    pub(super) fn is_newer(self) -> bool {
        self == Endpoint::Revoke || self.is_of_2026()
    }

    /// Whether it came with June 2026.
    pub(super) fn is_of_2026(self) -> bool {
        self.name().starts_with("subscriptions")
    }

    pub(super) fn all() -> impl Iterator<Item = Endpoint> {
        Endpoint::ALL.into_iter()
    }

    pub(super) fn of(path: &str) -> Option<Endpoint> {
        let name = path.strip_prefix(BASE_PATH)?;
        Endpoint::all().find(|endpoint| endpoint.name() == name)
    }

    pub(super) fn allows(self, method: &Method) -> bool {
        match self {
            Endpoint::ClientConfig => method == Method::GET || method == Method::POST,
            Endpoint::ServiceConfig
            | Endpoint::Assets
            | Endpoint::Assignments
            | Endpoint::Users
            | Endpoint::Status
            | Endpoint::Subscriptions
            | Endpoint::SubscriptionAssignments
            | Endpoint::SubscriptionAdmins => method == Method::GET,
            _ => method == Method::POST,
        }
    }
}

/// A call as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    /// Without the question mark; empty when there is none.
    pub query: String,
    pub authorization: Option<String>,
    /// Only calls about products look at it.
    pub cookie: Option<String>,
    pub content_type: Option<String>,
    pub body: Bytes,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Reply(Reply),
    /// The connection is closed without a reply.
    Closed,
    /// The connection stays open and nothing comes.
    Silent,
    /// The connection is reset without a reply.
    Reset,
}

/// How the body of a reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    AtOnce,
    /// It never ends: spaces follow.
    Endless,
    /// Byte by byte, with this pause before each.
    Drip(Duration),
}

/// A reply to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub content_type: Cow<'static, str>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub flow: Flow,
}

impl Reply {
    pub(super) fn json(status: u16, body: &impl Serialize) -> Reply {
        match serde_json::to_vec(body) {
            Ok(body) => Reply::new(status, "application/json", body.into()),
            Err(error) => Reply::text(500, format!("the sandbox could not write its reply: {error}")),
        }
    }

    pub(super) fn text(status: u16, body: impl Into<Bytes>) -> Reply {
        Reply::new(status, "text/plain", body.into())
    }

    pub(super) fn html(status: u16, body: &'static str) -> Reply {
        Reply::new(status, "text/html", Bytes::from_static(body.as_bytes()))
    }

    pub(super) fn new(status: u16, content_type: &'static str, body: Bytes) -> Reply {
        Reply { status, content_type: content_type.into(), headers: Vec::new(), body, flow: Flow::AtOnce }
    }

    /// The same with a `Retry-After`, if there is something to wait for.
    pub(super) fn retry_after(mut self, wait: Option<String>) -> Reply {
        self.headers.extend(wait.map(|wait| ("retry-after".to_owned(), wait)));
        self
    }
}
