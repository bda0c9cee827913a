//! Which devices can have a key attested (Apple: Managed Device Attestation): iPhone and iPad from A11 Bionic on with version
//! 16, Apple TV alike, Apple silicon with macOS 14, Vision Pro.

/// Whether a device can, by its `ProductName` (`iPad13,1`) and `OSVersion`. `models` are the families that can, each with its
/// first generation: `iPad8`.
pub fn is_able(models: &[String], product_name: &str, os_version: &str) -> bool {
    let Some((family, generation)) = split(product_name) else { return false };
    let version: u32 = os_version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    let first = match family {
        "RealityDevice" => 1,
        family if family.contains("Mac") => 14,
        _ => 16,
    };
    version >= first
        && models.iter().filter_map(|model| split(model)).any(|(name, from)| name == family && from <= generation)
}

/// `iPad13,1` is an iPad of generation 13.
fn split(product: &str) -> Option<(&str, u32)> {
    let product = product.split(',').next()?;
    let digits = product.find(|c: char| c.is_ascii_digit())?;
    let (family, generation) = product.split_at(digits);
    (!family.is_empty()).then_some((family, generation.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_4_5_only_known_models_with_a_system_that_can_are_able() {
        let models = crate::config::Identity::default().acme.models;
        let able = |product: &str, version: &str| is_able(&models, product, version);
        for (product, version) in [
            ("iPhone10,3", "16.0"),
            ("iPad13,1", "18.5"),
            ("AppleTV14,1", "17"),
            ("Mac14,2", "14.0"),
            ("MacBookPro18,3", "15.1"),
            ("RealityDevice14,1", "1.1"),
        ] {
            assert!(able(product, version), "{product} {version}");
        }
        for (product, version) in [
            ("iPhone10,3", "15.8"),
            ("iPhone9,3", "16.0"),
            ("iPad7,11", "17.0"),
            ("Mac14,2", "13.6"),
            ("MacBookPro16,1", "15.1"),
            ("Watch6,1", "26.0"),
            ("", "26.0"),
            ("iPad13,1", ""),
        ] {
            assert!(!able(product, version), "{product} {version}");
        }
    }
}
