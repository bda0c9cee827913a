//! Apple's device management protocol: the words which devices and this server exchange, and nothing about why.
//!
//! Reading and writing of property lists, the rules of the command queue, what a failure means, the enrolment profile
//! and the push that wakes a device. Must not know the store, the web, operations or Apps and Books: callers bring
//! bytes and state, and get values and decisions.

pub mod checkin;
pub mod command;
pub mod declarative;
pub mod identity;
pub mod outcome;
pub mod plist_guard;
pub mod plist_json;
pub mod profile;
pub mod push;
pub mod queue;
pub mod report;
mod wire;
