//! `[identity]` and `[identity.scep]`: whose certificates devices may have, and how they get them.

use std::path::PathBuf;

use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// PEM certificates of an authority of the site's own, whose certificates count as identities for a device that also
    /// names an enrolment. `None`: only vppd's own authority counts.
    pub extra_ca: Option<PathBuf>,
    pub scep: Scep,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scep {
    /// DES, Triple DES and SHA-1 are accepted from clients that know nothing better.
    pub allow_legacy_ciphers: bool,
}

impl Identity {
    pub(super) fn read(section: &mut Section<'_, '_>, scep: Scep) -> Identity {
        Identity { extra_ca: section.pem("extra-ca"), scep }
    }
}

impl Scep {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Scep {
        Scep { allow_legacy_ciphers: section.flag("allow-legacy-ciphers", false) }
    }
}
