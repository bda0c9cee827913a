//! The heart: who ought to hold which licence, who does hold it, so what must change?
//!
//! Pure: a [`Snapshot`] goes in, a [`Plan`] comes out, and the same snapshot gives the same plan whatever the order of its
//! parts. No async, no SQL, no HTTP, no clock (the snapshot carries `now`).
//!
//! - [`snapshot`]: the facts, with interned ids: 24 bytes for a pair (one app on one device).
//! - [`desired`]: what the deployments want of a device, by written rules.
//! - [`step`]: what one pair needs next: a table that can be read.
//! - [`mod@plan`]: all pairs together: who gets the licences there are, who waits.
//! - [`progress`]: how the state of one app moves when its device says something.
//! - [`mod@rectangles`]: pairs packed into as few requests as Apple's limits allow.
//! - [`registration`]: what a registered user needs next.
//! - [`mod@differences`]: what Apple, vppd and the devices do not agree about, and why.
//! - [`membership`]: rules of device groups, and which devices they mean.
//! - [`explain`]: the same in words for people.
//! - [`mod@forecast`]: how long the licences of an app will last.
//! - [`safety`]: how much may be taken back without anybody having said so.

pub mod desired;
pub mod differences;
pub mod explain;
pub mod forecast;
pub mod membership;
pub mod plan;
pub mod progress;
pub mod rectangles;
pub mod registration;
pub mod safety;
pub mod snapshot;
pub mod step;

pub use plan::{Plan, plan};
pub use rectangles::{Limits, Rectangle, rectangles};
pub use snapshot::{Asset, Device, Licence, Location, Pair, Product, Rule, Snapshot};
pub use step::{Step, Verb};
