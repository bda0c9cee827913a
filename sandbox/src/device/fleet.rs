//! Many devices: enrolled some at a time, each then living on its own, and looked at all together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::handset::{DeviceView, EnrolError, Handset, World};
use super::http::Internet;
use super::keys::{KeyError, KeyPool};
use super::options::DeviceSpec;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::world::{PushInboxes, StoreFront};

/// The devices of one sandbox. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    world: World,
    seed: u64,
    devices: Arc<Mutex<Vec<Arc<Handset>>>>,
}

/// How far an enrolment of many devices has come.
#[derive(Debug)]
pub struct Progress<'a> {
    pub done: usize,
    pub total: usize,
    pub serial: &'a str,
    /// `None` when this device is enrolled.
    pub error: Option<&'a EnrolError>,
}

/// Devices that could not be enrolled, with the reason, by serial number.
pub type Failures = Vec<(String, EnrolError)>;

impl Fleet {
    /// No devices yet. The same seed gives the same tokens and magic strings.
    pub fn new(world: World, seed: u64) -> Fleet {
        Fleet { world, seed, devices: Arc::default() }
    }

    /// Enrols these devices with one profile each that `profile_for` gives, `concurrency` at a time; each enrolled one
    /// begins to listen for pushes at once. A device that is of the fleet already (failed before, or unenrolled) enrols
    /// again as it is. Must run on a tokio runtime.
    pub async fn enrol_each(
        &self,
        profile_for: impl Fn(&DeviceSpec) -> Arc<[u8]>,
        specs: Vec<DeviceSpec>,
        concurrency: usize,
        progress: impl Fn(Progress<'_>),
    ) -> Failures {
        let total = specs.len();
        let mut waiting = specs.into_iter();
        let mut running = FuturesUnordered::new();
        let (mut done, mut failures) = (0, Vec::new());
        loop {
            while running.len() < concurrency.max(1) {
                let Some(spec) = waiting.next() else { break };
                running.push(self.enrol_one(profile_for(&spec), spec));
            }
            let Some((serial, result)) = running.next().await else { return failures };
            done += 1;
            progress(Progress { done, total, serial: &serial, error: result.as_ref().err() });
            if let Err(error) = result {
                failures.push((serial, error));
            }
        }
    }

    /// Enrols these devices with the same profile.
    pub async fn enrol(
        &self,
        profile: &[u8],
        specs: Vec<DeviceSpec>,
        concurrency: usize,
        progress: impl Fn(Progress<'_>),
    ) -> Failures {
        let profile: Arc<[u8]> = profile.into();
        self.enrol_each(|_| profile.clone(), specs, concurrency, progress).await
    }

    async fn enrol_one(&self, profile: Arc<[u8]>, spec: DeviceSpec) -> (String, Result<(), EnrolError>) {
        let serial = spec.serial.clone();
        let device = self.take_in(spec);
        let result = device.enrol(&profile).await;
        if result.is_ok() {
            tokio::spawn(device.run());
        }
        (serial, result)
    }

    /// The device itself if it is of the fleet already (same serial number and UDID), or a new one.
    fn take_in(&self, spec: DeviceSpec) -> Arc<Handset> {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |device: &&Arc<Handset>| device.spec().serial == spec.serial && device.spec().udid == spec.udid;
        if let Some(known) = devices.iter().find(is_it) {
            return known.clone();
        }
        let own = spec.udid.bytes().fold(devices.len() as u64, |sum, byte| sum.rotate_left(5) ^ u64::from(byte));
        let device = Handset::new(spec, self.world.clone(), Chance::seeded(self.seed ^ own));
        devices.push(device.clone());
        device
    }

    /// All devices, in the order in which they began to enrol.
    pub fn devices(&self) -> Vec<Arc<Handset>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The device with this serial number; the latest, if several had it.
    pub fn device(&self, serial: &str) -> Option<Arc<Handset>> {
        self.devices().into_iter().rev().find(|device| device.spec().serial == serial)
    }

    /// Every device as it truly is.
    pub fn view(&self) -> Vec<DeviceView> {
        self.devices().iter().map(|device| device.view()).collect()
    }
}

/// What a fleet on the real clock needs, as a person gives it.
pub struct FleetOptions {
    /// The enrolment profile's bytes.
    pub profile: Vec<u8>,
    pub specs: Vec<DeviceSpec>,
    /// How many devices enrol at a time.
    pub concurrency: usize,
    /// How many different keys are made; fewer than devices share.
    pub keys: usize,
    /// Where keys are kept between runs.
    pub key_file: Option<PathBuf>,
    /// Host names that are not asked of the DNS.
    pub hosts: HashMap<String, IpAddr>,
    /// Certificates (DER) trusted beside those of the profile.
    pub extra_anchors: Vec<Vec<u8>>,
    pub seed: u64,
}

/// Makes the keys and enrols the devices; they live on until the runtime ends. The fleet, and the devices that failed.
pub async fn run_fleet(
    clock: Clock,
    store: Arc<dyn StoreFront>,
    inboxes: PushInboxes,
    options: FleetOptions,
    progress: impl Fn(Progress<'_>),
) -> Result<(Fleet, Failures), KeyError> {
    let keys = make_keys(&clock, options.keys, options.key_file).await?;
    let network = Arc::new(Internet::new(clock.clone(), options.hosts, options.extra_anchors));
    let world = World { clock, store, inboxes, network, keys: Arc::new(keys) };
    let fleet = Fleet::new(world, options.seed);
    let failures = fleet.enrol(&options.profile, options.specs, options.concurrency, progress).await;
    Ok((fleet, failures))
}

/// A pool of keys made on threads of their own; simulated time waits for it.
pub async fn make_keys(clock: &Clock, count: usize, file: Option<PathBuf>) -> Result<KeyPool, KeyError> {
    let _busy = clock.busy();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = tokio::task::spawn_blocking(move || match file {
        Some(path) => KeyPool::cached(&path, count, threads),
        None => KeyPool::generate(count, threads),
    });
    work.await.unwrap_or(Err(KeyError::Crypto))
}

/// `count` supervised devices with these traits changed on each.
pub fn specs(seed: u64, count: u64, change: impl Fn(u64, &mut DeviceSpec)) -> Vec<DeviceSpec> {
    let one = |number| {
        let mut spec = DeviceSpec::nth(seed, number);
        change(number, &mut spec);
        spec
    };
    (1..=count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn devices_of_a_fleet_differ_and_are_the_same_every_time() {
        let all = specs(7, 2_000, |number, spec| spec.supervised = number % 2 == 0);
        let serials: HashSet<_> = all.iter().map(|spec| spec.serial.clone()).collect();
        let udids: HashSet<_> = all.iter().map(|spec| spec.udid.clone()).collect();
        assert_eq!((serials.len(), udids.len()), (2_000, 2_000));
        assert_eq!(all.iter().filter(|spec| spec.supervised).count(), 1_000);
        assert_eq!(all, specs(7, 2_000, |number, spec| spec.supervised = number % 2 == 0));
    }
}
