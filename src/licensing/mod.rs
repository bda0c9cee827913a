//! The heart: who ought to hold which licence, who does hold it, so what must change?
//!
//! Pure: a [`Snapshot`] goes in, a [`Plan`] comes out, and the same snapshot gives the same plan whatever the order of its
//! parts. No async, no SQL, no HTTP, no clock (the snapshot carries `now`).
//!
//! - [`snapshot`]: the facts, with interned ids: 20 bytes for a pair (one app on one device).
//! - [`desired`]: what the deployments and the decisions by hand want of a device or a person, by written rules.
//! - [`step`]: what one pair, or one person's licence, needs next: tables that can be read.
//! - `judge`: both for one pair, with what follows for all others; `queue`: who gets the licences there are, who waits.
//! - [`mod@plan`]: all pairs together; [`planner`]: the same, kept up to date by what has changed.
//! - [`progress`]: how the state of one app moves when its device says something.
//! - [`mod@prompts`]: what a device will ask its person when an app comes.
//! - [`mod@rectangles`]: pairs packed into as few requests as Apple's limits allow.
//! - [`registration`]: what a registered user needs next.
//! - [`mod@differences`]: what Apple, vppd and the devices do not agree about, and why.
//! - [`membership`]: rules of device groups, and which devices they mean.
//! - [`reasons`]: which deployments speak of a pair, which one decides, and by which rule.
//! - [`explain`]: the same in words for people.
//! - [`way_out()`]: by which way out a licence goes back, for the audit.
//! - [`fit`]: whether an app runs on a device at all.
//! - [`mod@forecast`]: how long the licences of an app will last.
//! - [`safety`]: how much may be taken back without anybody having said so.

pub mod desired;
pub mod differences;
pub mod explain;
pub mod fit;
pub mod forecast;
mod judge;
pub mod membership;
pub mod plan;
pub mod planner;
pub mod progress;
pub mod prompts;
mod queue;
pub mod reasons;
pub mod rectangles;
pub mod registration;
pub mod safety;
pub mod snapshot;
pub mod step;
mod way_out;
#[cfg(test)]
mod worlds;

pub use plan::{Plan, plan};
pub use planner::Planner;
pub use rectangles::{Limits, Rectangle, rectangles};
pub use snapshot::{
    Asset, ByHand, Deadlines, Device, Holder, Licence, Location, Pair, Person, Product, Row, Rule, Seat, Snapshot,
    Standing, Whom,
};
pub use step::{Step, Verb};
pub use way_out::way_out;
