//! vppd, the appliance daemon for Apple volume licences: *who ought to hold which licence, who does hold it, so what must
//! change?* That question is pure and lives in [`licensing`]; everything else brings facts in or carries actions out.
//!
//! # The parts
//!
//! | Part | Its room |
//! |---|---|
//! | [`model`] | plain nouns: identifiers, deployments, where an app stands on a device |
//! | [`licensing`] | PURE: desired, actual, plan, rectangles within Apple's limits, how an app's state moves |
//! | [`apple`] | the Apps and Books service: content token, wire, limits, budget, client, whole listings |
//! | [`mdm`] | Apple's MDM protocol: messages, commands, queue (pure), identity (CA, SCEP, signatures), profile, push |
//! | [`store`] | SQLite: the only place with SQL, one file per noun |
//! | [`operations`] | what vppd does, one file per verb; every door and the schedule call these |
//! | [`schedule`] | when: pure rules for what happens by the clock |
//! | [`web`] | the doors: device listener, control socket |
//! | [`cli`] | the command line: one file per subcommand, over the control socket |
//! | [`config`] | `/etc/vppd/vppd.toml`: one file per section; reads, checks, explains |
//! | [`daemon`] | wiring only |
//! | [`proxy`] | the way out to Apple, straight or through an HTTP proxy |
//! | [`clock`], [`entropy`], [`secret`], [`fault`] | time and chance, given; secrets at rest; where crash tests may kill |
//! | [`exit`] | the numbers with which the process ends |
//!
//! # The way of the data
//!
//! ```text
//!  device  ──check-in, SCEP──► web ─► operations ─► store ─┐
//!  person  ──control socket──► web ─► operations ─► store ─┤
//!  Apple   ◄──apple── operations::locations ─────► store ─┤
//!  Apple   ──notification──► web ─► operations ──► store ─┤
//!                                                          ▼
//!                           store::snapshot ─► licensing::plan ─► operations::reconcile
//!                                                                   │            │
//!                                                     intentions ◄──┘            └──► commands
//!                                                         │                              │
//!                                  operations::licences ──┘              operations::wake┘──► APNs ──► device
//! ```
//!
//! Level-triggered: a plan is made from what is, never from what was last done, so losing any message costs time and nothing
//! else. Each outward act is recorded as an intention before, and with its result after; `kill -9` between any two
//! instructions loses nothing and doubles nothing.
//!
//! # Who may know whom
//!
//! | Module | May know | Never knows |
//! |---|---|---|
//! | `model` | the standard library | anything else here |
//! | `licensing` | model, `clock::after` (plain arithmetic) | async, SQL, HTTP, what time it is (it is given `now`) |
//! | `apple`, `mdm` | model, clock, entropy, `proxy` | each other, store, web, operations |
//! | `store` | model, values of licensing that it keeps | apple, mdm, web |
//! | `operations` | all of the above, `schedule`'s rules | web, cli |
//! | `schedule` | clock, config | which door asked |
//! | `web`, `cli` | operations, store (reads), model; `mdm` and `apple` only to decode what came in | SQL, outward calls |
//! | `daemon` | everything, to wire it | any rule |
//!
//! A test (`tests/integration/layers.rs`) reads the sources and fails when a row is broken.
//!
//! # Where to find a rule
//!
//! What a pair (one app on one device) needs next: [`licensing::step`]. Who gets a scarce licence: [`mod@licensing::plan`].
//! Which deployment counts: [`licensing::desired`]; and why, for one pair: [`licensing::reasons`]. What a device's word leads to: [`licensing::progress`]. Which command goes
//! next: [`mdm::queue`]. What has to be read anew for the next plan: [`store::Marks`]. What an error of a device means: [`mdm::outcome`]. When a device is pushed again:
//! [`mdm::push::schedule`]. What an error of Apple's means: [`apple::error`]. Why Apple, vppd and a device do not agree:
//! [`mod@licensing::differences`].

pub mod apple;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod entropy;
pub mod exit;
pub mod fault;
pub mod licensing;
pub mod mdm;
pub mod model;
pub mod operations;
pub mod proxy;
pub mod schedule;
pub mod secret;
pub mod store;
pub mod web;
