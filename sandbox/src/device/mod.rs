//! A fleet of simulated iPhones and iPads: enrolment, the MDM channel, apps and their owners.

pub mod apps;
pub mod ber;
pub mod certificate;
pub mod cms;
pub mod http;
pub mod keys;
pub mod options;
pub mod profile;
pub mod scep;
pub mod strict;

#[cfg(test)]
mod testing;
