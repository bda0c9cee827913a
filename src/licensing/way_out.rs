//! By which way out a licence goes back, in words for the audit.

use super::snapshot::{Holder, Snapshot, Standing, reached};
use crate::model::App;

/// Why the plan takes this licence back.
pub fn way_out(snapshot: &Snapshot, product: u32, holder: Holder) -> &'static str {
    let place = match holder {
        Holder::Person(person) if snapshot.persons[person as usize].has_left(snapshot.now) => {
            return "the person is retired or gone";
        }
        Holder::Person(_) => return "no device of the person wants or has the app",
        Holder::Device(place) => place,
    };
    let device = &snapshot.devices[place as usize];
    match device.standing {
        Standing::Left { .. } => return "the device has left",
        Standing::Named | Standing::Enrolling { .. } => return "the device is not enrolled",
        Standing::Enrolled => {}
    }
    if device.silent_at(&snapshot.deadlines).is_some_and(|at| reached(at, snapshot.now)) {
        return "the device was silent for too long";
    }
    match snapshot.pair(product, place).map_or(App::None, |pair| pair.app) {
        App::Rejected => "the install was declined",
        App::Failed => "the install failed for good",
        App::Removed => "the app was removed",
        App::None | App::InstallRetry => "nothing wants it, and the app is not there",
        _ => "nobody confirmed in time that the app is gone",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::licensing::worlds::{at, device, person, small, with_person};
    use crate::licensing::{Licence, Pair};

    #[test]
    fn each_way_out_has_its_words() {
        let mut snapshot = small(0, vec![device("A", 1), device("B", 900)]);
        snapshot.deadlines.silent = Some(Duration::from_secs(500));
        let gone = with_person(&mut snapshot, person("u", &[0]), &[]);
        let of_a = |snapshot: &Snapshot| way_out(snapshot, 0, Holder::Device(0));
        let of_b = |snapshot: &Snapshot| way_out(snapshot, 0, Holder::Device(1));
        assert_eq!(of_a(&snapshot), "the device was silent for too long");
        snapshot.devices[0].standing = Standing::Left { at: at(900) };
        assert_eq!(of_a(&snapshot), "the device has left");
        for (app, words) in [
            (App::Rejected, "the install was declined"),
            (App::Failed, "the install failed for good"),
            (App::Removed, "the app was removed"),
            (App::None, "nothing wants it, and the app is not there"),
            (App::RemoveUnconfirmed, "nobody confirmed in time that the app is gone"),
        ] {
            snapshot.rows[1] = Box::from([Pair { app, licence: Licence::Assigned, ..Pair::unknown(0) }]);
            assert_eq!(of_b(&snapshot), words);
        }
        assert_eq!(way_out(&snapshot, 0, Holder::Person(gone)), "no device of the person wants or has the app");
        snapshot.persons[gone as usize].leaves_at = Some(at(1000));
        assert_eq!(way_out(&snapshot, 0, Holder::Person(gone)), "the person is retired or gone");
    }
}
