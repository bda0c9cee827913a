//! The plain nouns of vppd, as everyone here means them: identifiers, deployments, registered users, and where an
//! app stands on a device.
//!
//! No I/O, no clock, nothing else of vppd. Apple's identifiers stay text in Apple's spelling.

mod app;
mod deployment;
mod ids;
mod user;

pub use app::App;
pub use deployment::{Purpose, Target, TargetError};
pub use ids::{CommandUuid, DeploymentId, DeviceId, EventRef, LocationId, PersonId, Pricing, SerialNumber};
pub use user::{InviteCode, UserStatus, UserVerb};
