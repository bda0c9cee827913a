//! What is fuzzed: every decoder of bytes from outside, and the planner. Each function takes any bytes, and panics only
//! when vppd is at fault. `fuzz/run` calls them with invented bytes; an ordinary test of vppd with those under `seeds`.

pub mod apple;
pub mod devices;
pub mod people;
pub mod planner;

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders under `seeds`.
pub const TARGETS: [(&str, Target); 15] = [
    ("mdm", devices::mdm),
    ("declarations", devices::declarations),
    ("signature", devices::signature),
    ("scep", devices::scep),
    ("csr", devices::csr),
    ("acme", devices::acme),
    ("content-token", apple::content_token),
    ("apple", apple::wire),
    ("notification", apple::notification),
    ("enrolment", people::enrolment),
    ("control", people::control),
    ("config", people::config),
    ("rule", people::rule),
    ("people", people::people),
    ("planner", planner::planner),
];
