//! The pairs as a table in which everything alike is one: devices that want the same assets are one row, assets that the
//! same devices want one column. Which cells are full is all that the other steps look at; numbers of rows and columns
//! follow from the devices and assets in them, so nothing depends on the order in which pairs came.

use std::collections::BTreeMap;

use super::{Limits, Rectangle};

/// Devices or assets that are alike.
#[derive(Debug)]
pub struct Line {
    /// Sorted.
    members: Vec<u32>,
    /// The lines of the other side with which this one has a full cell; sorted.
    pub cells: Vec<u32>,
}

/// The two sides of a table.
pub const ROWS: usize = 0;
pub const COLUMNS: usize = 1;

/// Rows (of devices) and columns (of assets), and which cells are full.
#[derive(Debug)]
pub struct Table {
    pub sides: [Vec<Line>; 2],
    /// Of one request, in devices and in assets.
    limits: [usize; 2],
}

/// Rows and columns of which all cells are full.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block(pub [Vec<u32>; 2]);

impl Table {
    /// The table of these pairs (asset, device).
    pub fn of(pairs: &[(u32, u32)], limits: Limits) -> Table {
        let mut links: Vec<(u32, u32)> = pairs.iter().map(|&(asset, device)| (device, asset)).collect();
        let by_device = grouped(&mut links);
        let mut links = Vec::new();
        for (row, (_, assets)) in (0..).zip(&by_device) {
            links.extend(assets.iter().map(|&asset| (asset, row)));
        }
        let by_asset = grouped(&mut links);
        let mut rows: Vec<Line> =
            by_device.into_iter().map(|(members, _)| Line { members, cells: Vec::new() }).collect();
        for (column, (_, of_rows)) in (0..).zip(&by_asset) {
            of_rows.iter().for_each(|&row| rows[row as usize].cells.push(column));
        }
        let columns = by_asset.into_iter().map(|(members, cells)| Line { members, cells }).collect();
        Table { sides: [rows, columns], limits: [limits.max_serial_numbers.max(1), limits.max_assets.max(1)] }
    }

    /// How many devices or assets a line has.
    pub fn size(&self, side: usize, line: u32) -> usize {
        self.sides[side][line as usize].members.len()
    }

    /// How many requests it takes for so many devices and assets.
    pub fn requests_for(&self, [devices, assets]: [usize; 2]) -> usize {
        devices.div_ceil(self.limits[ROWS]) * assets.div_ceil(self.limits[COLUMNS])
    }

    /// How many requests these blocks take.
    pub fn requests(&self, blocks: &[Block]) -> usize {
        blocks.iter().map(|block| self.requests_for([ROWS, COLUMNS].map(|side| self.sizes(side, &block.0[side])))).sum()
    }

    /// How many devices or assets these lines have.
    pub fn sizes(&self, side: usize, lines: &[u32]) -> usize {
        lines.iter().map(|&line| self.size(side, line)).sum()
    }

    /// A block for each row.
    pub fn rows(&self) -> Vec<Block> {
        let rows = (0..).zip(&self.sides[ROWS]);
        rows.map(|(row, line)| Block([vec![row], line.cells.clone()])).collect()
    }

    /// A block for each column.
    pub fn columns(&self) -> Vec<Block> {
        let columns = (0..).zip(&self.sides[COLUMNS]);
        columns.map(|(column, line)| Block([line.cells.clone(), vec![column]])).collect()
    }

    /// The devices and assets of a block.
    pub fn rectangle(&self, block: &Block) -> Rectangle {
        let [devices, assets] = [ROWS, COLUMNS].map(|side| {
            let lines = block.0[side].iter().map(|&line| &self.sides[side][line as usize]);
            let mut members: Vec<u32> = lines.flat_map(|line| line.members.iter().copied()).collect();
            members.sort_unstable();
            members
        });
        Rectangle { assets, devices }
    }
}

/// Blocks with the same rows, and then those with the same columns, become one.
pub fn merged(blocks: Vec<Block>) -> Vec<Block> {
    [ROWS, COLUMNS].into_iter().fold(blocks, |blocks, side| {
        let mut alike: BTreeMap<Vec<u32>, Vec<u32>> = BTreeMap::new();
        for Block(mut lines) in blocks {
            let others = std::mem::take(&mut lines[1 - side]);
            alike.entry(std::mem::take(&mut lines[side])).or_default().extend(others);
        }
        let one = |(lines, mut others): (Vec<u32>, Vec<u32>)| {
            others.sort_unstable();
            Block(if side == ROWS { [lines, others] } else { [others, lines] })
        };
        alike.into_iter().map(one).collect()
    })
}

/// Keys that are linked to the same values, together: (keys, values), all sorted.
fn grouped(links: &mut Vec<(u32, u32)>) -> Vec<(Vec<u32>, Vec<u32>)> {
    links.sort_unstable();
    links.dedup();
    let mut values = Vec::with_capacity(links.len());
    let mut keys: Vec<(u32, std::ops::Range<usize>)> = Vec::new();
    for run in links.chunk_by(|one, next| one.0 == next.0) {
        let begin = values.len();
        values.extend(run.iter().map(|&(_, value)| value));
        keys.push((run[0].0, begin..values.len()));
    }
    keys.sort_by(|(one, some), (other, others)| values[some.clone()].cmp(&values[others.clone()]).then(one.cmp(other)));
    let alike = keys.chunk_by(|(_, some), (_, others)| values[some.clone()] == values[others.clone()]);
    alike.map(|group| (group.iter().map(|(key, _)| *key).collect(), values[group[0].1.clone()].to_vec())).collect()
}
