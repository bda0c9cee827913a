//! The doors: each takes a request apart, proves who is there, calls an operation and answers. No rule, no SQL and no outward
//! call lives here.
//!
//! - [`devices`]: the device listener (TLS): check-in, commands, SCEP. A message proves itself by its signature, or by
//!   the client certificate of its connection ([`client_certificates`]).
//! - [`enrolment`]: on the same listener, the pages on which people enrol their devices.
//! - [`control`]: the control socket, for the CLI on the same machine: file permission, and the peer's user for the audit.
//! - [`notifications`]: where Apple sends notifications, if that is set up.
//! - [`listener`]: accepting connections with limits, and letting go of them at the end; [`caller`] counts who holds how many.
//! - [`request`], [`refusals`]: the limits of one request, and of those that are refused a certificate.
//! - [`dismissal`]: what no answer to a device may do.
//! - [`tls`]: the device listener's certificate.

mod acme;
pub mod caller;
pub mod client_certificates;
pub mod control;
pub mod devices;
pub mod dismissal;
pub mod enrolment;
pub mod listener;
pub mod notifications;
mod proxied;
pub mod refusals;
pub mod request;
pub mod tls;
