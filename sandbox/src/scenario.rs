//! A scenario: the locations, assets and settings that the sandbox starts with. Read from TOML or JSON, or the built-in one.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::Deserialize;

use crate::apple::{AdminError, Apple, Limits, NewAsset, NewLocation, StoreNumbers, Switches};

/// What is there at the start.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Scenario {
    pub organisation: String,
    pub locations: Vec<ScenarioLocation>,
    pub switches: Switches,
    /// With Apple's own keys (`maxAssets` and so on).
    pub limits: Limits,
}

/// A location with its assets.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScenarioLocation {
    pub location: NewLocation,
    /// How long its token is valid.
    #[serde(default = "year")]
    pub token_valid_days: u32,
    #[serde(default)]
    pub assets: Vec<NewAsset>,
}

/// A location that was made.
#[derive(Debug, Clone)]
pub struct MadeLocation {
    pub u_id: String,
    pub name: String,
    /// Text of the `.vpptoken` file.
    pub token: String,
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("could not read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is no scenario: {text}")]
    Parse { path: PathBuf, text: String },
    #[error(transparent)]
    Admin(#[from] AdminError),
}

fn year() -> u32 {
    365
}

impl Default for Scenario {
    fn default() -> Scenario {
        let location =
            ScenarioLocation { location: NewLocation::default(), token_valid_days: year(), assets: default_assets() };
        Scenario {
            organisation: "Example Organisation".to_owned(),
            locations: vec![location],
            switches: Switches::default(),
            limits: Limits::default(),
        }
    }
}

impl Scenario {
    /// Reads a file: TOML when its name ends in `.toml`, else JSON.
    pub fn read(path: &Path) -> Result<Scenario, ScenarioError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        let parsed = if path.extension().is_some_and(|extension| extension == "toml") {
            toml::from_str(&text).map_err(|error| error.to_string())
        } else {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        };
        parsed.map_err(|text| ScenarioError::Parse { path: path.to_owned(), text })
    }

    /// Sets the scene.
    pub fn play(&self, apple: &Apple) -> Result<Vec<MadeLocation>, ScenarioError> {
        apple.set_organisation(&self.organisation);
        apple.set_switches(self.switches.clone())?;
        apple.set_limits(self.limits.clone());
        let mut made = Vec::with_capacity(self.locations.len());
        for wanted in &self.locations {
            let u_id = apple.add_location(wanted.location.clone());
            for asset in &wanted.assets {
                apple.add_asset(&u_id, asset.clone())?;
            }
            let valid = SignedDuration::from_hours(i64::from(wanted.token_valid_days) * 24);
            let token = apple.add_token(&u_id, valid)?;
            made.push(MadeLocation { u_id, name: wanted.location.name.clone(), token });
        }
        Ok(made)
    }
}

/// A dozen products of an invented publisher: ten apps, one of them free, and two books.
fn default_assets() -> Vec<NewAsset> {
    let apps = [
        ("1600000011", "Atlas Maps", "atlas", 250),
        ("1600000022", "Bluebird Notes", "notes", 100),
        ("1600000033", "Cedar Forms", "forms", 50),
        ("1600000044", "Delta Scanner", "scanner", 25),
        ("1600000055", "Ember Tickets", "tickets", 40),
        ("1600000066", "Fjord Weather", "weather", 10),
        ("1600000077", "Granite Inspections", "inspections", 60),
        ("1600000088", "Harbour Shifts", "shifts", 120),
        ("1600000099", "Iris Signage", "signage", 5),
    ];
    let named = |new: NewAsset, name: &str, bundle: &str| NewAsset {
        name: Some(name.to_owned()),
        bundle_id: Some(format!("com.example.{bundle}")),
        store: StoreNumbers::default(),
        ..new
    };
    let mut assets: Vec<NewAsset> =
        apps.into_iter().map(|(id, name, bundle, total)| named(NewAsset::app(id, total), name, bundle)).collect();
    let free = NewAsset { unlimited: true, ..NewAsset::app("1600000110", 0) };
    assets.push(named(free, "Juniper Reader", "reader"));
    assets.push(named(NewAsset::book("1700000011", 20), "Rail Safety Handbook", "railsafety"));
    assets.push(named(NewAsset::book("1700000022", 5), "First Aid on Board", "firstaid"));
    assets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stepped::Stepped;

    fn apple() -> Apple {
        Apple::new(Stepped::at("2027-03-01T08:00:00Z").clock(), 1)
    }

    #[test]
    fn built_in_scenario_has_a_dozen_assets() {
        let apple = apple();
        let made = Scenario::default().play(&apple).unwrap();
        assert_eq!(made.len(), 1);
        assert_eq!(apple.location(&made[0].u_id).unwrap().assets.len(), 12);
    }

    #[test]
    fn scenario_is_read_from_toml_and_mistakes_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scenario.toml");
        let text = "organisation = \"Northwind\"\n\
            [switches]\npage-size = 7\n\
            [limits]\nmaxAssets = 3\n\
            [[locations]]\nlocation = { name = \"Depot\", country = \"BE\" }\n\
            assets = [{ adam-id = \"1\", total = 4 }]\n";
        std::fs::write(&path, text).unwrap();
        let apple = apple();
        let made = Scenario::read(&path).unwrap().play(&apple).unwrap();
        let location = apple.location(&made[0].u_id).unwrap();
        assert_eq!((location.country.as_str(), location.assets[0].total), ("BE", 4));
        assert_eq!((apple.switches().page_size, apple.limits().max_assets), (7, 3));
        std::fs::write(&path, "organization = \"Northwind\"").unwrap();
        assert!(Scenario::read(&path).unwrap_err().to_string().contains("organization"));
    }
}
