//! `[enrolment]`: what enrolment profiles say and how long they hold.

use std::time::Duration;

use super::duration::{days, hours};
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The organisation's name as devices show it; empty shows none.
    pub organisation: String,
    pub sign_profiles: bool,
    /// How long a one-time profile may be used.
    pub profile_lifetime: Duration,
    /// How long a device's identity certificate is valid.
    pub identity_lifetime: Duration,
}

impl Default for Enrolment {
    fn default() -> Enrolment {
        Enrolment {
            organisation: String::new(),
            sign_profiles: true,
            profile_lifetime: hours(1),
            identity_lifetime: days(730),
        }
    }
}

impl Enrolment {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Enrolment {
        let default = Enrolment::default();
        Enrolment {
            organisation: section.text("organisation", &default.organisation, "Example School"),
            sign_profiles: section.flag("sign-profiles", default.sign_profiles),
            profile_lifetime: section.interval("profile-lifetime", default.profile_lifetime),
            identity_lifetime: section.interval("identity-lifetime", default.identity_lifetime),
        }
    }
}
