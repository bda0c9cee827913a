//! The doors: each takes a request apart, proves who is there, calls an operation and answers. No rule, no SQL and no outward
//! call lives here.
//!
//! - [`devices`]: the device listener (TLS): check-in, commands, SCEP. A message proves itself by its signature.
//! - [`control`]: the control socket, for the CLI on the same machine: file permission, and the peer's user for the audit.
//! - [`listener`]: accepting connections with limits, and letting go of them at the end.
//! - [`tls`]: the device listener's certificate.

pub mod control;
pub mod devices;
pub mod listener;
pub mod tls;
