//! The plain nouns of vppd, as everyone here means them: identifiers, deployments, groups, holders of licences,
//! registered users, where an app stands on a device and why it got no further, what devices are called, and what the stores
//! tell of an app.
//!
//! No I/O, no clock, nothing else of vppd. Apple's identifiers stay text in Apple's spelling.

mod app;
mod app_info;
mod cause;
mod deployment;
mod group;
mod hardware;
mod holder;
mod ids;
mod user;

pub use app::App;
pub use app_info::{AppInfo, ICON_SIDE};
pub use cause::Cause;
pub use deployment::{Delivery, LicenceKind, Purpose, Target, TargetError, UpdatePolicy};
pub use group::{GroupKind, Ownership, Source};
pub use hardware::model_name;
pub use holder::{Holder, HolderKind, Holders};
pub use ids::{CommandUuid, DeploymentId, DeviceId, EventRef, GroupId, LocationId, PersonId, Pricing, SerialNumber};
pub use user::{InviteCode, UserStatus, UserVerb};
