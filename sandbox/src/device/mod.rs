//! A fleet of simulated iPhones and iPads: enrolment, the MDM channel, apps and their owners.

pub mod answer;
pub mod apps;
pub mod attestation;
pub mod ber;
pub mod certificate;
pub mod cms;
pub mod command;
pub mod declarations;
pub mod fleet;
pub mod handset;
pub mod http;
pub mod keys;
pub mod options;
pub mod profile;
pub mod scep;
pub mod strict;

#[cfg(test)]
mod testing;

pub use fleet::{Failures, Fleet, FleetOptions, Progress, make_keys, run_fleet, specs};
pub use handset::{Counters, DeviceView, EnrolError, Handset, World};
pub use keys::KeyPool;
pub use options::{Behaviour, ContentType, Declares, DeviceSpec, Person, Renewal, Timing};
