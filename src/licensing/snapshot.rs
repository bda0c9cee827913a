//! The facts a plan is made from, at one moment. Apps, devices, assets and locations are numbered by their place in the
//! vectors here, so that a pair costs 24 bytes.

use jiff::Timestamp;

use crate::model::{App, Purpose, Target};

/// Everything a plan is made from.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The time at which all this was true.
    pub now: Timestamp,
    /// In the order in which their licences are to be used.
    pub locations: Vec<Location>,
    /// Every app that an asset, a rule or a pair names.
    pub products: Vec<Product>,
    pub assets: Vec<Asset>,
    pub devices: Vec<Device>,
    pub rules: Vec<Rule>,
    /// Sorted by (product, device), one per pair, only those about which something is known.
    pub pairs: Vec<Pair>,
}

/// One location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub name: String,
    /// Whether vppd may assign and take back licences here now: the token is accepted, and the location is ours.
    pub writable: bool,
}

/// One app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub adam_id: String,
    /// Known once a device has told it; without it an app cannot be removed.
    pub bundle_id: Option<String>,
}

/// One asset of one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Place in `products`.
    pub product: u32,
    /// Place in `locations`.
    pub location: u32,
    pub pricing_param: String,
    pub device_assignable: bool,
    pub revocable: bool,
    /// No shortage is possible.
    pub unlimited: bool,
    /// Licences that may still be given: Apple's count less what is held, reserved, or was returned too recently to be
    /// used again. Never negative.
    pub free: u32,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Empty when the device has not told it: then it cannot hold a licence.
    pub serial: String,
    /// Enrolled now. A device that left keeps its pairs until its licences are back.
    pub enrolled: bool,
    /// When it enrolled: first come, first served.
    pub enrolled_at: Timestamp,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: i64,
    /// Place in `products`.
    pub product: u32,
    pub target: Target,
    pub purpose: Purpose,
    pub created_at: Timestamp,
}

/// What is known of one app on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Place in `products`.
    pub product: u32,
    /// Place in `devices`.
    pub device: u32,
    /// Seconds since 1970 before which nothing more is to be tried for this pair; 0 for at once.
    pub due: i64,
    /// Place in `assets` of the licence that is held, requested or returned; meaningless with [`Licence::None`].
    pub asset: u32,
    pub licence: Licence,
    pub app: App,
    /// vppd assigned the licence, or adopted it; without a licence, vppd told the device to install the app.
    pub ours: bool,
    /// The command that waits has been sent to the device, so that it can no longer be withdrawn.
    pub sent: bool,
}

impl Pair {
    /// A pair of which nothing is known.
    pub fn unknown(product: u32, device: u32) -> Pair {
        Pair { product, device, due: 0, asset: 0, licence: Licence::None, app: App::None, ours: false, sent: false }
    }
}

/// The licence of a pair, at Apple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Licence {
    None,
    /// Asked for; Apple has not finished, or its answer was lost.
    Requested,
    Assigned,
    /// Being taken back; Apple has not finished, or its answer was lost.
    Returning,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_costs_24_bytes() {
        assert!(size_of::<Pair>() <= 24);
    }
}
