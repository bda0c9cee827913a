//! The sandbox: plays Apple (the Apps and Books service, APNs) and a fleet of devices for vppd.
//!
//! A library for tests and a program for people. It has its own wire types and depends on nothing of vppd: if it shared
//! them, a misreading of Apple would agree with itself. Whatever it receives is read strictly: an unknown or ill-typed key
//! is refused and counted.

pub mod agreement;
pub mod apns;
pub mod apple;
pub mod appliance;
pub mod chance;
pub mod clock;
pub mod control;
pub mod demo;
pub mod device;
mod interruption;
mod listener;
mod running;
pub mod scenario;
#[cfg(test)]
mod stepped;
pub mod supervisor;
pub mod tls;
pub mod torture;
pub mod world;

pub use interruption::interrupted;
pub use running::{Sandbox, SandboxError, SandboxOptions};
