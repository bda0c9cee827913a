//! `[enrolment]`: what enrolment profiles say and how long they hold.

use std::time::Duration;

use super::duration::{days, hours};
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The organisation's name as devices show it; empty shows none.
    pub organisation: String,
    pub sign_profiles: bool,
    /// How enrolled devices prove who they are.
    pub proof: Proof,
    /// How long a one-time profile may be used.
    pub profile_lifetime: Duration,
    /// How long a device's identity certificate is valid.
    pub identity_lifetime: Duration,
}

/// How a device proves that a message is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// `Mdm-Signature`: works through every proxy.
    Signature,
    /// TLS client certificate, at [`super::Devices::client_certificate_name`].
    ClientCertificate,
}

impl Default for Enrolment {
    fn default() -> Enrolment {
        Enrolment {
            organisation: String::new(),
            sign_profiles: true,
            proof: Proof::Signature,
            profile_lifetime: hours(1),
            identity_lifetime: days(730),
        }
    }
}

impl Enrolment {
    /// `second_name` says whether there is a name, or a proxy, at which client certificates are asked for.
    pub(super) fn read(section: &mut Section<'_, '_>, second_name: bool) -> Enrolment {
        let default = Enrolment::default();
        let choices = [("signature", Proof::Signature), ("client-certificate", Proof::ClientCertificate)];
        let proof = section.choice("proof", default.proof, &choices);
        if proof == Proof::ClientCertificate && !second_name {
            let advice =
                "set [devices] client-certificate-name to a second DNS name of this server, or trusted-proxies";
            section.fault("proof", "`proof` needs a name at which client certificates are asked for", advice);
        }
        Enrolment {
            organisation: section.text("organisation", &default.organisation, "Example School"),
            sign_profiles: section.flag("sign-profiles", default.sign_profiles),
            proof,
            profile_lifetime: section.interval("profile-lifetime", default.profile_lifetime),
            identity_lifetime: section.interval("identity-lifetime", default.identity_lifetime),
        }
    }
}
