//! What comes in wrong, and the answer it gets. Each file holds the cases of one kind; each case is a row of one table:
//! its name, what was sent, the answer in one line. `cargo test --test integration bad_input -- --nocapture` prints it.
//!
//! Of every case the same is asked: whoever is concerned is told what is wrong (a person in the answer, an administrator
//! in the journal), nothing is lost, nothing secret is told, and the next good request works.

mod apple;
mod checkin;
pub mod control;
mod identity;
mod plists;
mod push;
mod results;
mod scep;
mod settings;
mod table;
mod tokens;
pub mod visitor;
