//! vppd and the sandbox in one process on one simulated clock, over real sockets: whole stories, told in simulated hours and
//! run in seconds. And the rule who may know whom.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod acme;
mod apple_trouble;
mod bad_input;
mod browser;
mod by_hand;
mod captured;
mod causes;
mod clock_jumps;
mod corners;
mod days;
mod declarations;
mod declared;
mod deployments;
mod disk;
mod dismissal;
mod docs;
mod doors;
mod drift;
mod enrolment;
mod error_numbers;
mod exit_matrix;
mod exits;
mod foreign_tools;
mod fuzz_seeds;
mod independent;
mod inventory;
mod journey;
mod lag;
mod layers;
mod lessons;
mod licence_examples;
mod metadata;
mod notifications;
mod packing;
mod people;
mod proofs;
mod proxy;
mod push_certificate;
mod redaction;
mod renewal;
mod restored;
mod safety;
mod shortage;
mod shortage_order;
mod subscriptions;
mod support;
mod switches;
mod syncs;
mod tokens;
mod truth;
mod user_licences;
mod users;
