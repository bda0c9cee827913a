//! What the device listener keeps in memory, so that a device that only asks "anything for me?" touches no disk: whose
//! certificate is whose, whether commands wait, what was offered in this cycle, and when each device was last heard of.
//!
//! Changes of the database reach it on the writer's thread after the commit and in the order of the commits, before
//! anybody is answered.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::mdm::queue::Cycle;
use crate::model::DeviceId;
use crate::store::devices::Pin;

/// Cheap to clone; clones share the content.
#[derive(Clone, Default)]
pub struct DeviceIndex(Arc<Mutex<Index>>);

#[derive(Default)]
struct Index {
    by_udid: HashMap<String, Entry>,
    udid_of: HashMap<DeviceId, String>,
    /// Heard of since the last flush.
    seen: HashMap<DeviceId, Timestamp>,
    /// Identities that count no more, though they have not ended.
    revoked: HashSet<[u8; 32]>,
}

struct Entry {
    pin: Pin,
    cycle: Cycle,
    last_seen: Option<Timestamp>,
}

impl DeviceIndex {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a device in, or its new pin.
    pub fn put(&self, pin: Pin) {
        let mut index = self.lock();
        if let Some(old) = index.udid_of.insert(pin.id, pin.udid.clone())
            && old != pin.udid
        {
            index.by_udid.remove(&old);
        }
        let last_seen = index.by_udid.get(&pin.udid).and_then(|entry| entry.last_seen);
        index.by_udid.insert(pin.udid.clone(), Entry { pin, cycle: Cycle::default(), last_seen });
    }

    /// The clock was put back to `now`: nobody was heard of later than that.
    pub fn put_back(&self, now: Timestamp) {
        let mut index = self.lock();
        index.seen.values_mut().for_each(|seen| *seen = now.min(*seen));
        index.by_udid.values_mut().for_each(|entry| entry.last_seen = entry.last_seen.map(|seen| now.min(seen)));
    }

    /// Takes a device out: it has left.
    pub fn remove(&self, id: DeviceId) {
        let mut index = self.lock();
        if let Some(udid) = index.udid_of.remove(&id) {
            index.by_udid.remove(&udid);
        }
    }

    /// The device with this UDID, if its messages must be signed with the certificate of this fingerprint.
    pub fn pinned(&self, udid: &str, fingerprint: &[u8; 32]) -> Pinned {
        match self.lock().by_udid.get(udid) {
            None => Pinned::Unknown,
            Some(entry) if entry.pin.fingerprint == *fingerprint || entry.pin.former == Some(*fingerprint) => {
                Pinned::Yes { id: entry.pin.id, waits: entry.pin.waits }
            }
            Some(_) => Pinned::OtherCertificate,
        }
    }

    /// The device with this UDID as it is kept, if there is one.
    pub fn pin(&self, udid: &str) -> Option<Pin> {
        self.lock().by_udid.get(udid).map(|entry| entry.pin.clone())
    }

    /// Another identity for a device that is in the midst of a cycle; from the writer, after the commit.
    pub fn change_pin(&self, pin: Pin) {
        let mut index = self.lock();
        if let Some(entry) = index.by_udid.get_mut(&pin.udid).filter(|entry| entry.pin.id == pin.id) {
            entry.pin = pin;
        }
    }

    /// These identities count no more; from the writer, after the commit.
    pub fn revoke(&self, fingerprints: Vec<[u8; 32]>) {
        self.lock().revoked.extend(fingerprints);
    }

    /// Whether the identity with this fingerprint was revoked.
    pub fn is_revoked(&self, fingerprint: &[u8; 32]) -> bool {
        self.lock().revoked.contains(fingerprint)
    }

    /// Whether commands wait for the device; from the writer, after the commit.
    pub fn set_waits(&self, id: DeviceId, waits: bool) {
        let mut index = self.lock();
        if let Some(udid) = index.udid_of.get(&id).cloned()
            && let Some(entry) = index.by_udid.get_mut(&udid)
        {
            entry.pin.waits = waits;
        }
    }

    /// Works on the memory of the device's current cycle.
    pub fn with_cycle<T>(&self, id: DeviceId, work: impl FnOnce(&mut Cycle) -> T) -> T {
        let mut index = self.lock();
        let udid = index.udid_of.get(&id).cloned();
        match udid.and_then(|udid| index.by_udid.get_mut(&udid)) {
            Some(entry) => work(&mut entry.cycle),
            None => work(&mut Cycle::default()),
        }
    }

    /// The device was heard of.
    pub fn saw(&self, id: DeviceId, now: Timestamp) {
        let mut index = self.lock();
        index.seen.insert(id, now);
        if let Some(udid) = index.udid_of.get(&id).cloned()
            && let Some(entry) = index.by_udid.get_mut(&udid)
        {
            entry.last_seen = Some(now);
        }
    }

    /// When the device was last heard of by this process.
    pub fn last_seen(&self, id: DeviceId) -> Option<Timestamp> {
        let index = self.lock();
        index.udid_of.get(&id).and_then(|udid| index.by_udid.get(udid)).and_then(|entry| entry.last_seen)
    }

    /// When each device was last heard of by this process.
    pub fn heard(&self) -> Vec<(DeviceId, Timestamp)> {
        let index = self.lock();
        index.by_udid.values().filter_map(|entry| Some((entry.pin.id, entry.last_seen?))).collect()
    }

    /// Takes what is to be written to the database about who was heard of.
    pub fn take_seen(&self) -> Vec<(DeviceId, Timestamp)> {
        self.lock().seen.drain().collect()
    }
}

/// Whether a message comes from the device it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    Yes {
        id: DeviceId,
        waits: bool,
    },
    /// The device is known with another certificate.
    OtherCertificate,
    Unknown,
}
