//! A fleet of simulated iPhones and iPads: enrolment, the MDM channel, apps and their owners.

pub mod ber;
pub mod certificate;
pub mod cms;
pub mod keys;
