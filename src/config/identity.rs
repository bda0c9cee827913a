//! `[identity]`, `[identity.scep]` and `[identity.acme]`: whose certificates devices may have, and how they get them.

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
    pub acme: Acme,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { extra_ca: None, renew_expired_within: days(180), scep: Scep::default(), acme: Acme::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scep {
    /// DES, Triple DES and SHA-1 are accepted from clients that know nothing better.
    pub allow_legacy_ciphers: bool,
}

impl Identity {
    pub(super) fn read(section: &mut Section<'_, '_>, scep: Scep, acme: Acme) -> Identity {
        let default = Identity::default();
        Identity {
            extra_ca: section.pem("extra-ca"),
            renew_expired_within: section.duration("renew-expired-within", default.renew_expired_within),
            scep,
            acme,
        }
    }
}

/// Identities whose key the device's hardware has made and attests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    pub usage: AcmeUse,
    /// PEM certificates at which an attestation must end; set unless `usage` is `Never`.
    pub attestation_root: Option<PathBuf>,
    /// Families of devices that can, each with its first generation: `iPad8`.
    pub models: Vec<String>,
}

/// Who gets an identity by ACME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeUse {
    Never,
    /// Devices of which vppd knows that they can: they change over once they have told their model.
    Able,
    /// Every profile asks for it: devices that cannot do not get in.
    Always,
}

const MODELS: [&str; 9] = [
    "iPhone10",
    "iPad8",
    "AppleTV11",
    "RealityDevice14",
    "Mac13",
    "MacBookPro17",
    "MacBookAir10",
    "Macmini9",
    "iMac21",
];

impl Default for Acme {
    fn default() -> Acme {
        let models = MODELS.map(str::to_owned).to_vec();
        Acme { usage: AcmeUse::Never, attestation_root: None, models }
    }
}

impl Acme {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Acme {
        let default = Acme::default();
        let choices = [("never", AcmeUse::Never), ("able", AcmeUse::Able), ("always", AcmeUse::Always)];
        let usage = section.choice("use", default.usage, &choices);
        let attestation_root = section.file("attestation-root", "/etc/vppd/attestation-root.pem");
        if usage != AcmeUse::Never && !section.has("attestation-root") {
            let advice = "set attestation-root to a file with Apple's Enterprise Attestation Root CA (apple.com/certificateauthority)";
            section.fault("use", "`use` needs the authority at which attestations end", advice);
        }
        let example = "for example: models = [\"iPhone10\", \"iPad8\"]";
        let models = match section.texts("models", example) {
            none if none.is_empty() => default.models,
            models => models,
        };
        let is_model = |text: &String| {
            let family = text.trim_end_matches(|c: char| c.is_ascii_digit());
            !family.is_empty() && family.len() < text.len() && family.chars().all(|c| c.is_ascii_alphabetic())
        };
        if let Some(wrong) = models.iter().find(|model| !is_model(model)) {
            let message = format!("\"{}\" is no family with its first generation", wrong.escape_debug());
            section.fault("models", message, example);
        }
        Acme { usage, attestation_root, models }
    }
}

impl Scep {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Scep {
        Scep { allow_legacy_ciphers: section.flag("allow-legacy-ciphers", false) }
    }
}
