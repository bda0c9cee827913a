//! Apple's Apps and Books service as vppd sees it: the content token, the wire, errors by what a caller may do about
//! them, limits, the request budget, the client and whole listings; and what Apple's stores tell of apps ([`metadata`]).
//!
//! Knows plain types of its own, the clock and chance that it is given. Must not know the store, the web, operations or
//! MDM: what a reply means for a location is decided by the caller, who gets `mdmInfo` and `uId` with every reply.

pub mod budget;
pub mod client;
pub mod content_token;
pub mod contract;
pub mod developer_key;
pub mod error;
pub mod limits;
pub mod metadata;
pub mod notification;
pub mod numbers;
mod room;
#[cfg(test)]
mod scripted;
mod transport;
pub mod walk;
pub mod wire;

pub use budget::Lane;
pub use client::{
    AppleClient, ClientOptions, EventAccepted, Location, NotificationTarget, Probe, Reply, Timeouts, WhichUsers,
};
pub use content_token::{ContentToken, ContentTokenError};
pub use error::AppleError;
pub use limits::{Limits, ServiceConfig};
