//! `[identity]` and `[identity.scep]`: whose certificates devices may have, and how they get them.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::days;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// PEM certificates of an authority of the site's own, whose certificates count as identities for a device that also
    /// names an enrolment. `None`: only vppd's own authority counts.
    pub extra_ca: Option<PathBuf>,
    /// How long after its end an identity is still good for being renewed.
    pub renew_expired_within: Duration,
    pub scep: Scep,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { extra_ca: None, renew_expired_within: days(180), scep: Scep::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scep {
    /// DES, Triple DES and SHA-1 are accepted from clients that know nothing better.
    pub allow_legacy_ciphers: bool,
}

impl Identity {
    pub(super) fn read(section: &mut Section<'_, '_>, scep: Scep) -> Identity {
        let default = Identity::default();
        Identity {
            extra_ca: section.pem("extra-ca"),
            renew_expired_within: section.duration("renew-expired-within", default.renew_expired_within),
            scep,
        }
    }
}

impl Scep {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Scep {
        Scep { allow_legacy_ciphers: section.flag("allow-legacy-ciphers", false) }
    }
}
