//! What Apple's stores tell of an app or book, for people to read. Nothing of it decides about a licence.

use serde::{Deserialize, Serialize};

/// One app or book in one country's store. What a store has not told is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppInfo {
    pub name: String,
    /// The store's word: `iosSoftware`, `desktopApp`, `iBook`, ...
    pub kind: String,
    pub developer: String,
    /// The app's own first, then that of its watch app, and of other platforms.
    pub bundle_ids: Vec<String>,
    /// The newest version, as people read it.
    pub version: String,
    /// The newest version, as devices report it.
    pub external_version_id: Option<u64>,
    /// Families of devices in the store's words: `iphone`, `ipad`, `mac`, ...
    pub families: Vec<String>,
    /// `Free`, or the price with its currency.
    pub price: String,
    /// Bytes.
    pub size: Option<u64>,
    pub minimum_os: String,
    /// Its page in the store.
    pub store_url: String,
    /// A custom app: only organisations that were given it see it.
    pub custom: bool,
    /// Whether licences may go to devices, as the store says; `None` when it does not.
    pub for_devices: Option<bool>,
    /// A picture of about [`ICON_SIDE`] pixels.
    pub icon_url: String,
    pub genres: Vec<String>,
}

/// How wide and high icons are asked for.
pub const ICON_SIDE: u32 = 128;
