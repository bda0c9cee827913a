//! Blocks that others can take in: the devices of a block are those of several others together, so each of these takes the
//! assets in, if there is room in its requests; the same with devices and assets exchanged.
//!
//! Mends what cutting the largest first does wrong: what two groups have in common is larger than either, and then it takes
//! three requests instead of two.

use super::table::{Block, COLUMNS, ROWS, Table};

/// The blocks that are left, which are as full as before, with no more requests.
pub fn absorbed(table: &Table, mut blocks: Vec<Block>) -> Vec<Block> {
    for side in [ROWS, COLUMNS] {
        let mut search = Search::new(table, side, &blocks);
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|&place| blocks[place].0[ROWS].len() * blocks[place].0[COLUMNS].len());
        for place in order {
            let Some(hosts) = search.hosts(&blocks, place) else { continue };
            let one = |block: &Block| table.requests(std::slice::from_ref(block));
            let before = one(&blocks[place]) + hosts.iter().map(|&host| one(&blocks[host])).sum::<usize>();
            let grown: Vec<Block> = hosts.iter().map(|&host| taken_in(side, &blocks[host], &blocks[place])).collect();
            if table.requests(&grown) < before {
                hosts.into_iter().zip(grown).for_each(|(host, grown)| blocks[host] = grown);
                blocks[place].0.iter_mut().for_each(Vec::clear);
            }
        }
        blocks.retain(|block| !block.0[side].is_empty());
    }
    blocks
}

/// The host, and what the guest has across.
fn taken_in(side: usize, host: &Block, guest: &Block) -> Block {
    let mut grown = host.clone();
    grown.0[1 - side].extend(&guest.0[1 - side]);
    grown.0[1 - side].sort_unstable();
    grown
}

struct Search {
    side: usize,
    /// The blocks of each line.
    of: Vec<Vec<usize>>,
    /// The lines for which there is no host yet; all false between uses.
    open: Vec<bool>,
}

impl Search {
    fn new(table: &Table, side: usize, blocks: &[Block]) -> Search {
        let lines = table.sides[side].len();
        let mut of = vec![Vec::new(); lines];
        for (place, block) in blocks.iter().enumerate() {
            block.0[side].iter().for_each(|&line| of[line as usize].push(place));
        }
        Search { side, of, open: vec![false; lines] }
    }

    /// Blocks whose lines are together those of the block at `place`, each line once.
    fn hosts(&mut self, blocks: &[Block], place: usize) -> Option<Vec<usize>> {
        let lines = &blocks[place].0[self.side];
        lines.iter().for_each(|&line| self.open[line as usize] = true);
        let mut hosts = Some(Vec::new());
        for &line in lines {
            if !self.open[line as usize] {
                continue;
            }
            let fits = |&&host: &&usize| {
                let own = &blocks[host].0[self.side];
                host != place && !own.is_empty() && own.iter().all(|&line| self.open[line as usize])
            };
            let largest =
                self.of[line as usize].iter().filter(fits).max_by_key(|&&host| blocks[host].0[self.side].len());
            let Some(&host) = largest else {
                hosts = None;
                break;
            };
            blocks[host].0[self.side].iter().for_each(|&line| self.open[line as usize] = false);
            hosts.iter_mut().for_each(|hosts| hosts.push(host));
        }
        lines.iter().for_each(|&line| self.open[line as usize] = false);
        hosts
    }
}
