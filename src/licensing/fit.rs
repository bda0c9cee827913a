//! Whether an app runs on a device at all, as far as Apple's service and the stores tell.

use super::membership::Version;

/// What an app needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// In the words of Apple's licence service: `iOS`, `macOS`, ...; none: not told.
    pub platforms: Vec<String>,
    /// Families of devices in the store's words: `iphone`, `mac`, ...
    pub families: Vec<String>,
    /// The oldest system; empty when it is not told.
    pub minimum: String,
}

/// Why a device of this platform with this system cannot run the app; `None` when it can, or when too little is known.
pub fn cannot_run(needs: &Needs, platform: &str, os: &str) -> Option<String> {
    let mut platforms: Vec<&str> = needs.platforms.iter().map(String::as_str).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let runs = |platform| platforms.contains(&platform);
    // visionOS runs what is made for the iPad.
    let fits = runs(platform) || (platform == "visionOS" && runs("iOS"));
    if !platform.is_empty() && !platforms.is_empty() && !fits {
        return Some(format!("it is for {}", platforms.join(", ")));
    }
    // A store tells one minimum for all families: it is believed where there is one platform.
    let mobile = needs.families.iter().any(|family| matches!(family.as_str(), "iphone" | "ipad" | "ipod"));
    let mac = needs.families.iter().any(|family| family == "mac");
    let told = match platform {
        "iOS" => mobile,
        "macOS" => mac && !mobile,
        _ => false,
    };
    let (minimum, has) = (Version::read(&needs.minimum)?, Version::read(os)?);
    (told && has.compare(&minimum).is_lt()).then(|| format!("it needs {platform} {}", needs.minimum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_runs_what_is_for_its_platform_and_not_too_new_for_its_system() {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let needs = |platforms: &[&str], families: &[&str], minimum: &str| Needs {
            platforms: words(platforms),
            families: words(families),
            minimum: minimum.into(),
        };
        let phone = needs(&["iOS"], &["iphone", "ipad"], "17.2");
        assert_eq!(cannot_run(&phone, "iOS", "17.2.1"), None);
        assert_eq!(cannot_run(&phone, "iOS", "16.7").unwrap(), "it needs iOS 17.2");
        assert_eq!(cannot_run(&phone, "macOS", "15.0").unwrap(), "it is for iOS");
        assert_eq!(cannot_run(&phone, "visionOS", "2.0"), None);
        assert_eq!(cannot_run(&phone, "", "16.7"), None, "the model is not known");
        assert_eq!(cannot_run(&phone, "iOS", ""), None, "the system is not known");
        assert_eq!(cannot_run(&Needs::default(), "iOS", "9.0"), None);
        let both = needs(&["iOS", "macOS"], &["iphone", "mac"], "17.2");
        assert_eq!(cannot_run(&both, "macOS", "14.0"), None, "whose minimum it is, nobody says");
    }
}
