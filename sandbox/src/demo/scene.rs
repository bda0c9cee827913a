//! Who plays in the demo: one location of twelve assets, three of which are required, and a school's devices with their
//! owners. The same for the same number of devices and the same seed.

use std::time::Duration;

use crate::appliance::Silent;
use crate::device::{DeviceSpec, Person, Timing, fleet};
use crate::scenario::Scenario;

/// A required app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    pub adam_id: String,
    pub name: String,
}

/// What is there at the start.
pub struct Scene {
    pub scenario: Scenario,
    pub required: Vec<Required>,
    pub specs: Vec<DeviceSpec>,
    pub silent: Silent,
}

/// adamIds of the built-in assets that are required; of the last one there are licences for three of four devices.
const REQUIRED: [&str; 3] = ["1600000011", "1600000088", "1600000022"];

impl Scene {
    /// A scene with this many devices.
    pub fn of(devices: u64, seed: u64) -> Scene {
        let mut scenario = Scenario { organisation: "Northwind School".to_owned(), ..Scenario::default() };
        let mut required = Vec::new();
        let enough = i64::try_from(devices).unwrap_or(i64::MAX);
        let totals = [enough.saturating_add(50), enough, enough.saturating_mul(3) / 4];
        for asset in scenario.locations.iter_mut().flat_map(|location| &mut location.assets) {
            let wanted = REQUIRED.iter().zip(totals).find(|(adam_id, _)| **adam_id == asset.adam_id);
            if let Some((_, total)) = wanted {
                asset.total = total;
                let name = asset.name.clone().unwrap_or_else(|| asset.adam_id.clone());
                required.push(Required { adam_id: asset.adam_id.clone(), name });
            }
        }
        required.sort_by_key(|app: &Required| REQUIRED.iter().position(|adam_id| *adam_id == app.adam_id));
        let specs = fleet::specs(seed, devices, cast);
        let serials = |is: fn(&DeviceSpec) -> bool| {
            specs.iter().filter(|spec| is(spec)).map(|spec| spec.serial.clone()).collect()
        };
        let away = serials(|spec| spec.behaviour.stay_away);
        let ignoring = serials(|spec| !spec.supervised && spec.person == Person::Ignore);
        Scene { scenario, required, specs, silent: Silent { away, ignoring } }
    }
}

/// Half of the devices are supervised; of the others a few have owners who decline or do not answer; some of all stay away.
fn cast(number: u64, spec: &mut DeviceSpec) {
    spec.supervised = number.is_multiple_of(2);
    spec.person = match number {
        _ if number % 40 == 1 => Person::Decline { after: Duration::from_secs(1) },
        _ if number % 66 == 3 => Person::Ignore,
        _ => Person::Accept { after: Duration::from_millis(500 + number * 37 % 1500) },
    };
    spec.behaviour.stay_away = number % 50 == 8;
    spec.timing = Timing {
        queued: Duration::from_millis(200),
        validating: Duration::from_millis(200),
        installing: Duration::from_millis(600 + number * 53 % 1200),
        bytes_per_second: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_devices_are_short_of_fifty_licences_of_one_of_three_apps() {
        let scene = Scene::of(200, 1);
        let assets = &scene.scenario.locations[0].assets;
        assert_eq!((assets.len(), scene.required.len()), (12, 3));
        let mut totals: Vec<i64> = assets
            .iter()
            .filter(|asset| scene.required.iter().any(|required| required.adam_id == asset.adam_id))
            .map(|asset| asset.total)
            .collect();
        totals.sort();
        assert_eq!(totals, [150, 200, 250]);
    }

    #[test]
    fn half_are_supervised_and_a_few_decline_or_stay_away() {
        let scene = Scene::of(200, 1);
        let count = |is: fn(&&DeviceSpec) -> bool| scene.specs.iter().filter(is).count();
        assert_eq!(count(|spec| spec.supervised), 100);
        assert_eq!(count(|spec| !spec.supervised && matches!(spec.person, Person::Decline { .. })), 5);
        assert_eq!((scene.silent.away.len(), scene.silent.ignoring.len()), (4, 3));
    }
}
