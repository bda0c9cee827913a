//! What a device sees of Apple: the catalogue, and whether a licence is its own. It asks when it is told to install.

use jiff::SignedDuration;

use super::Apple;
use super::location::Holder;
use crate::world::{Product, StoreFront};

impl StoreFront for Apple {
    fn product(&self, adam_id: &str) -> Option<Product> {
        self.lock().products.get(adam_id).cloned()
    }

    fn product_by_bundle(&self, bundle_id: &str) -> Option<Product> {
        self.lock().products.values().find(|product| product.bundle_id == bundle_id).cloned()
    }

    fn holds_licence(&self, serial: &str, adam_id: &str) -> bool {
        let now = self.0.clock.now();
        let mut state = self.lock();
        state.pass_time(now);
        let lag = SignedDuration::from_secs(i64::try_from(state.switches.device_lag_seconds).unwrap_or(i64::MAX));
        let visible = |settled| match settled {
            _ if lag.is_zero() => true,
            Some(settled) => now.duration_since(settled) >= lag,
            None => false,
        };
        let account = state.signed_in.get(serial);
        let seen: Vec<_> = state
            .locations
            .values()
            .flat_map(|location| {
                let is_theirs = |holder: &Holder| match holder {
                    Holder::Serial(held) => held == serial,
                    Holder::User { record, .. } => {
                        account.is_some()
                            && location.users.get(*record).and_then(|user| user.account.as_ref()) == account
                    }
                };
                let held = location.assets_of(adam_id).flat_map(|asset| &asset.holders);
                held.filter(move |(holder, _)| is_theirs(holder)).map(|(_, held)| held.settled)
            })
            .collect();
        let holds = seen.iter().any(|settled| visible(*settled));
        let early = holds && seen.iter().all(Option::is_none);
        state.counters.installs_before_complete += u64::from(early);
        holds
    }

    fn wants_sign_in(&self, serial: &str, adam_id: &str) -> bool {
        let state = self.lock();
        let mut held =
            state.locations.values().flat_map(|location| location.assets_of(adam_id).flat_map(|asset| &asset.holders));
        let is_own = |holder: &Holder| matches!(holder, Holder::Serial(held) if held == serial);
        let (mut own, mut of_people) = (false, false);
        held.by_ref().for_each(|(holder, _)| {
            own |= is_own(holder);
            of_people |= matches!(holder, Holder::User { .. });
        });
        of_people && !own && !state.signed_in.contains_key(serial)
    }

    fn report_install_without_licence(&self, _serial: &str, _adam_id: &str) {
        self.lock().counters.installs_before_licence += 1;
    }
}
