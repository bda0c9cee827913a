//! Cuts large blocks out of a table, the largest first, until only single rows and columns are worth a request.
//!
//! A block is grown from a line: of the lines across, those are kept that have more and more in common with it. What a
//! line can give is remembered and looked at again only when it may be the most, as cutting only ever takes away. The work
//! is limited in proportion to the table, so a table in which nothing is alike does not take long.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::absorb::absorbed;
use super::stars::stars;
use super::table::{Block, COLUMNS, ROWS, Table, merged};

/// Steps for each full cell, and steps that are always allowed.
const STEPS_PER_CELL: usize = 16;
const STEPS: usize = 2_000_000;
/// How often a block is narrowed while it is grown.
const NARROWED: usize = 8;

/// What is left of the table.
struct Rest<'a> {
    table: &'a Table,
    /// The full cells of each line that are not cut out yet; sorted.
    cells: [Vec<Vec<u32>>; 2],
    full: usize,
    /// For counting, all zero between uses: what each line shares with some lines across.
    shared: [Vec<usize>; 2],
    steps: usize,
}

/// A block and what it is worth: full pairs for each request.
struct Grown {
    worth: usize,
    block: Block,
}

/// Blocks that are the table together; the fewest requests that were found.
pub fn cut(table: &Table) -> Vec<Block> {
    let mut rest = Rest::new(table);
    let limit = rest.full * STEPS_PER_CELL + STEPS;
    let (mut taken, mut requests) = (Vec::new(), 0);
    let mut best = stars(table, &rest.cells[ROWS]);
    let (mut best_taken, mut fewest) = (0, table.requests(&best));
    let mut heap = rest.seeds(limit / 2);
    let mut looked_at = rest.steps;
    while let Some((worth, Reverse((side, line)))) = heap.pop() {
        if rest.steps > limit {
            break;
        }
        let Some(grown) = rest.grow(side, line) else { continue };
        if grown.worth < worth {
            heap.push((grown.worth, Reverse((side, line))));
            continue;
        }
        rest.take(&grown.block);
        requests += table.requests(std::slice::from_ref(&grown.block));
        taken.push(grown.block);
        heap.push((worth, Reverse((side, line))));
        // A look at the remainder costs in proportion to it.
        if rest.steps - looked_at > 16 * rest.full {
            looked_at = rest.steps;
            let remaining = stars(table, &rest.cells[ROWS]);
            if requests + table.requests(&remaining) < fewest {
                (fewest, best_taken, best) = (requests + table.requests(&remaining), taken.len(), remaining);
            }
        }
    }
    let remaining = stars(table, &rest.cells[ROWS]);
    if requests + table.requests(&remaining) < fewest {
        (best_taken, best) = (taken.len(), remaining);
    }
    taken.truncate(best_taken);
    taken.extend(best);
    merged(absorbed(table, merged(taken)))
}

impl Rest<'_> {
    fn new(table: &Table) -> Rest<'_> {
        let cells = [ROWS, COLUMNS].map(|side| table.sides[side].iter().map(|line| line.cells.clone()).collect());
        let full = table.sides[ROWS].iter().map(|line| line.cells.len()).sum();
        let shared = [ROWS, COLUMNS].map(|side| vec![0; table.sides[side].len()]);
        Rest { table, cells, full, shared, steps: 0 }
    }

    /// What each line can give, beginning with the side that costs less to look at, while there are steps left.
    fn seeds(&mut self, limit: usize) -> BinaryHeap<(usize, Reverse<(usize, u32)>)> {
        let cost = |side: usize| self.cells[1 - side].iter().map(|cells| cells.len() * cells.len()).sum::<usize>();
        let first = if cost(COLUMNS) <= cost(ROWS) { COLUMNS } else { ROWS };
        let mut heap = BinaryHeap::new();
        for side in [first, 1 - first] {
            for line in 0..self.cells[side].len() as u32 {
                if self.steps > limit {
                    return heap;
                }
                heap.extend(self.grow(side, line).map(|grown| (grown.worth, Reverse((side, line)))));
            }
        }
        heap
    }

    /// The best block found with this line in it; none when it would be one line only.
    fn grow(&mut self, side: usize, line: u32) -> Option<Grown> {
        let mut across = self.cells[side][line as usize].clone();
        let mut best: Option<Grown> = None;
        for _ in 0..NARROWED {
            let breadth = self.table.sizes(1 - side, &across);
            let mut known = self.count(side, &across);
            // What all of them have in common comes first.
            known.sort_unstable_by_key(|&(shared, line)| (Reverse(shared), line));
            let common: Vec<u32> = known.iter().take_while(|one| one.0 == breadth).map(|one| one.1).collect();
            let size = self.table.sizes(side, &common);
            let worth = self.worth(side, size, breadth);
            if common.len() > 1 && across.len() > 1 && best.as_ref().is_none_or(|best| best.worth < worth) {
                let (mut lines, across) = (common.clone(), across.clone());
                lines.sort_unstable();
                best =
                    Some(Grown { worth, block: Block(if side == ROWS { [lines, across] } else { [across, lines] }) });
            }
            // Then whichever promises most, if what is shared were shared by the same ones.
            let (mut promise, mut chosen, mut sizes) = (0, None, size);
            for &(shared, line) in known.iter().skip(common.len()) {
                sizes += self.table.size(side, line);
                let promised = self.worth(side, sizes, shared);
                if promised > promise {
                    (promise, chosen) = (promised, Some(line));
                }
            }
            let Some(chosen) = chosen else { break };
            if best.as_ref().is_some_and(|best| promise <= best.worth) {
                break;
            }
            across = intersection(&across, &self.cells[side][chosen as usize]);
        }
        best
    }

    /// How much each line of this side shares with the lines across.
    fn count(&mut self, side: usize, across: &[u32]) -> Vec<(usize, u32)> {
        let mut known = Vec::new();
        for &other in across {
            let size = self.table.size(1 - side, other);
            for &line in &self.cells[1 - side][other as usize] {
                let shared = &mut self.shared[side][line as usize];
                if *shared == 0 {
                    known.push(line);
                }
                *shared += size;
            }
            self.steps += self.cells[1 - side][other as usize].len();
        }
        self.steps += 2 * known.len();
        known.into_iter().map(|line| (std::mem::take(&mut self.shared[side][line as usize]), line)).collect()
    }

    /// Pairs for each request.
    fn worth(&self, side: usize, size: usize, across: usize) -> usize {
        let sizes = if side == ROWS { [size, across] } else { [across, size] };
        size * across / self.table.requests_for(sizes).max(1)
    }

    fn take(&mut self, block: &Block) {
        for side in [ROWS, COLUMNS] {
            for &line in &block.0[side] {
                let cells = &mut self.cells[side][line as usize];
                self.steps += cells.len();
                cells.retain(|cell| block.0[1 - side].binary_search(cell).is_err());
            }
        }
        self.full -= block.0[ROWS].len() * block.0[COLUMNS].len();
    }
}

/// What two sorted lists have in common.
fn intersection(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut rest = other.iter().peekable();
    let mut common = Vec::new();
    for &value in one {
        while rest.next_if(|&&next| next < value).is_some() {}
        if rest.next_if_eq(&&value).is_some() {
            common.push(value);
        }
    }
    common
}
