//! Pairs packed into requests. One request to Apple assigns every asset it names to every device it names, so a set of
//! pairs has to be cut into full rectangles, within Apple's limits (`maxAssets`, `maxSerialNumbers`; Apple: Service Config).
//! No pair is in two rectangles: whether giving a licence twice does harm is not relied upon.
//!
//! The fewest rectangles in general is a hard problem. Here in four steps, near linear in the number of pairs:
//!
//! 1. What is alike is taken together: devices that want the same assets, assets that the same devices want (`table`).
//! 2. The largest rectangle that can be found is cut out, again and again (`cut`).
//! 3. What remains is covered by single rows and columns, the fewest there can be (`stars`). This is tried with all of it
//!    (no step 2), and after more and more cuts; the best counts.
//! 4. Rectangles with the same devices, or the same assets, become one, and others are divided among their neighbours where
//!    that saves a request (`absorb`).
//!
//! It is never worse than a request for each row, or for each column.

mod absorb;
mod cut;
mod stars;
mod table;
#[cfg(test)]
mod tests;

use table::Table;

/// Apple's limits for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub max_assets: usize,
    pub max_serial_numbers: usize,
}

/// Every asset here for every device here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rectangle {
    /// Sorted.
    pub assets: Vec<u32>,
    /// Sorted.
    pub devices: Vec<u32>,
}

/// Cuts `pairs` (asset, device) into rectangles. Sorted, whatever the order of the pairs; duplicates count once.
pub fn rectangles(pairs: &[(u32, u32)], limits: Limits) -> Vec<Rectangle> {
    let table = Table::of(pairs, limits);
    let plain = [table.rows(), table.columns()].into_iter();
    let best = plain.chain([cut::cut(&table)]).min_by_key(|blocks| table.requests(blocks)).unwrap_or_default();
    let mut parts: Vec<Rectangle> = best.iter().flat_map(|block| within(table.rectangle(block), limits)).collect();
    parts.sort();
    parts
}

/// A rectangle in parts that are within the limits.
fn within(whole: Rectangle, limits: Limits) -> Vec<Rectangle> {
    let mut parts = Vec::new();
    for assets in whole.assets.chunks(limits.max_assets.max(1)) {
        for devices in whole.devices.chunks(limits.max_serial_numbers.max(1)) {
            parts.push(Rectangle { assets: assets.to_vec(), devices: devices.to_vec() });
        }
    }
    parts
}
