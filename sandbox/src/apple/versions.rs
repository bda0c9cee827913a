//! Version ids of an endpoint: opaque to clients, shaped like time-based UUIDs, and ordered only in here.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use uuid::Uuid;

use crate::chance::Chance;

/// How many versions can be asked for; an older one is a bad version id.
const REMEMBERED: usize = 10_000;

/// 100 ns units from the start of the Gregorian calendar to 1970.
const GREGORIAN: i128 = 0x01B2_1DD2_1381_4000;

#[derive(Clone)]
pub(super) struct Versions {
    /// Number of the newest change.
    change: u64,
    current: String,
    by_id: HashMap<String, u64>,
    order: VecDeque<String>,
    node: u64,
}

impl Versions {
    pub(super) fn new(chance: &mut Chance, now: Timestamp) -> Versions {
        let mut versions = Versions {
            change: 0,
            current: String::new(),
            by_id: HashMap::new(),
            order: VecDeque::new(),
            node: chance.next(),
        };
        versions.remember(now);
        versions
    }

    /// The current version id.
    pub(super) fn id(&self) -> &str {
        &self.current
    }

    /// The number that the next change will carry.
    pub(super) fn upcoming(&self) -> u64 {
        self.change + 1
    }

    /// Something was written: a new version id.
    pub(super) fn bump(&mut self, now: Timestamp) {
        self.change += 1;
        self.remember(now);
    }

    /// The number of the change behind a version id; `None` when unknown or forgotten.
    pub(super) fn change_of(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    fn remember(&mut self, now: Timestamp) {
        let ticks = (now.as_nanosecond() / 100 + GREGORIAN) as u64 + self.change;
        let time_high = ((ticks >> 48) as u16 & 0x0fff) | 0x1000;
        let mut node = self.node.to_be_bytes();
        node[0] = (node[0] & 0x3f) | 0x80;
        self.current = Uuid::from_fields(ticks as u32, (ticks >> 32) as u16, time_high, &node).to_string();
        self.by_id.insert(self.current.clone(), self.change);
        self.order.push_back(self.current.clone());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}
