//! Which command a device gets next. Pure: the caller brings the commands of one channel and the memory of the
//! present cycle, stores what follows, and pushes.
//!
//! A cycle is what happens between `Idle` and the empty reply. Within it every command is offered at most once, so
//! a device that answers NotNow for ever cannot keep the server busy. A command which was sent and got no result is
//! offered again in the next cycle, because the device may have lost it. Commands that were put off go last: when they
//! are put off again, NotNow is the last word of the cycle, and only then does Apple have the device come back by itself.

use std::collections::HashSet;

use jiff::Timestamp;

use super::command::Priority;
use super::report::Status;

/// Commands of one cycle that may be left without a final result.
const MOST_UNFINISHED: usize = 1000;

/// How far a command got. Finished ones are not in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Never handed out.
    Queued,
    /// Handed out; no result yet.
    Sent,
    /// The device put it off in this or an earlier cycle.
    NotNow,
}

/// What the queue must know of one unfinished command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    pub uuid: String,
    pub priority: Priority,
    pub queued_at: Timestamp,
    pub state: State,
}

/// The memory of one cycle of one channel. May be lost (a restart): then commands are offered once more, no worse.
#[derive(Debug, Clone, Default)]
pub struct Cycle {
    offered: HashSet<String>,
    last_was_not_now: bool,
}

impl Cycle {
    /// Takes notice of what the device said; `Idle` begins a new cycle.
    pub fn on_report(&mut self, status: &Status, command_uuid: Option<&str>) {
        if *status == Status::Idle {
            self.offered.clear();
        }
        match command_uuid {
            // It is over and leaves the queue.
            Some(uuid) if status.is_final() => {
                self.offered.remove(uuid);
            }
            // It was offered, even if the memory of it is lost.
            Some(uuid) if self.offered.len() <= MOST_UNFINISHED => {
                self.offered.insert(uuid.to_owned());
            }
            _ => {}
        }
        self.last_was_not_now = *status == Status::NotNow;
    }

    /// Takes notice that the command is handed out.
    pub fn on_offer(&mut self, command_uuid: &str) {
        self.offered.insert(command_uuid.to_owned());
    }

    /// Whether the command was handed out in this cycle.
    pub fn has_offered(&self, command_uuid: &str) -> bool {
        self.offered.contains(command_uuid)
    }
}

/// The command to hand out now, as an index into `commands`; None ends the cycle with an empty reply.
///
/// A cycle in which too many commands are left unfinished ends: the memory of it must not grow without bounds.
/// Commands that were put off go last; then by priority, by age, and by uuid so that the choice is always the same.
pub fn next(commands: &[Queued], cycle: &Cycle) -> Option<usize> {
    if cycle.offered.len() > MOST_UNFINISHED {
        return None;
    }
    let candidates = commands.iter().enumerate().filter(|(_, command)| !cycle.has_offered(&command.uuid));
    candidates.min_by_key(|(_, command)| order(command)).map(|(index, _)| index)
}

fn order(command: &Queued) -> (bool, Priority, Timestamp, &str) {
    (command.state == State::NotNow, command.priority, command.queued_at, &command.uuid)
}

/// Whether a device to which the empty reply was given needs a push for the commands that are `left`.
///
/// After a last NotNow it comes back by itself. If another answer followed the NotNow, it does not; nor for a command
/// whose result never came. The push belongs on the schedule of repeated pushes, not at once: the device has just
/// said that it cannot.
pub fn should_push_after(cycle: &Cycle, left: &[Queued]) -> bool {
    !left.is_empty() && !cycle.last_was_not_now
}

#[cfg(test)]
mod tests;
