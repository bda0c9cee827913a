//! Full cells covered by whole rows and whole columns, with the fewest requests: a least cover of the lines of a bipartite
//! graph, which is as large as the largest flow through it (König; found as Dinic does, in phases of shortest paths).
//!
//! A line that needs several requests weighs as many. Ended early, it is a cover all the same, though not the least.

use super::table::{Block, COLUMNS, ROWS, Table};

/// Phases at most; a handful is usual.
const PHASES: usize = 40;
const UNSEEN: u32 = u32::MAX;

/// The cells as edges, and how much flows through each line and edge.
struct Flow {
    /// (row, column) of each edge.
    edges: Vec<[u32; 2]>,
    /// The edges of each line.
    of: [Vec<Vec<u32>>; 2],
    /// What may still flow through each line.
    spare: [Vec<usize>; 2],
    through: Vec<usize>,
    /// How far each line is from a row with something to spare.
    level: [Vec<u32>; 2],
}

/// Covers the full cells of each row, `cells`, with rows and columns.
pub fn stars(table: &Table, cells: &[Vec<u32>]) -> Vec<Block> {
    let mut flow = Flow::new(table, cells);
    flow.start();
    for _ in 0..PHASES {
        if !flow.measure() {
            break;
        }
        flow.push();
    }
    flow.measure();
    // A cell may be covered twice; then the one or the other side takes it.
    let either = [ROWS, COLUMNS].map(|first| flow.cover(first));
    either.into_iter().min_by_key(|blocks| table.requests(blocks)).unwrap_or_default()
}

impl Flow {
    fn new(table: &Table, cells: &[Vec<u32>]) -> Flow {
        let mut edges = Vec::new();
        let mut of = [vec![Vec::new(); cells.len()], vec![Vec::new(); table.sides[COLUMNS].len()]];
        for (row, columns) in (0..).zip(cells) {
            for &column in columns {
                of[ROWS][row as usize].push(edges.len() as u32);
                of[COLUMNS][column as usize].push(edges.len() as u32);
                edges.push([row, column]);
            }
        }
        let spare = [ROWS, COLUMNS].map(|side| {
            let weight = |(line, own): (u32, &Vec<u32>)| {
                let others = own.iter().map(|&edge| table.size(1 - side, edges[edge as usize][1 - side])).sum();
                let own = table.size(side, line);
                table.requests_for(if side == ROWS { [own, others] } else { [others, own] })
            };
            (0..).zip(&of[side]).map(weight).collect()
        });
        let level = [ROWS, COLUMNS].map(|side| vec![UNSEEN; of[side].len()]);
        Flow { through: vec![0; edges.len()], edges, of, spare, level }
    }

    /// Lets flow what can flow straight.
    fn start(&mut self) {
        for (edge, &[row, column]) in self.edges.iter().enumerate() {
            let more = self.spare[ROWS][row as usize].min(self.spare[COLUMNS][column as usize]);
            self.spare[ROWS][row as usize] -= more;
            self.spare[COLUMNS][column as usize] -= more;
            self.through[edge] += more;
        }
    }

    /// Measures how far every line is. True when more can flow.
    fn measure(&mut self) -> bool {
        self.level.iter_mut().for_each(|levels| levels.fill(UNSEEN));
        let mut now: Vec<u32> = Vec::new();
        for (row, spare) in (0..).zip(&self.spare[ROWS]) {
            if *spare > 0 {
                self.level[ROWS][row as usize] = 0;
                now.push(row);
            }
        }
        let (mut more, mut far, mut side) = (false, 0, ROWS);
        while !now.is_empty() {
            far += 1;
            let mut next = Vec::new();
            for line in now {
                for &edge in &self.of[side][line as usize] {
                    let to = self.edges[edge as usize][1 - side];
                    let open = side == ROWS || self.through[edge as usize] > 0;
                    if open && self.level[1 - side][to as usize] == UNSEEN {
                        self.level[1 - side][to as usize] = far;
                        more |= side == ROWS && self.spare[COLUMNS][to as usize] > 0;
                        next.push(to);
                    }
                }
            }
            (now, side) = (next, 1 - side);
        }
        more
    }

    /// Pushes all that can flow along shortest paths.
    fn push(&mut self) {
        let mut tried = [ROWS, COLUMNS].map(|side| vec![0; self.of[side].len()]);
        for row in 0..self.of[ROWS].len() as u32 {
            while self.spare[ROWS][row as usize] > 0 && self.push_one(row, &mut tried) {}
        }
    }

    /// Pushes one unit from this row. `tried`: how many edges of each line have led nowhere in this phase.
    fn push_one(&mut self, from: u32, tried: &mut [Vec<usize>; 2]) -> bool {
        let mut path: Vec<u32> = Vec::new();
        let mut line = from;
        loop {
            let side = path.len() % 2;
            if side == COLUMNS && self.spare[COLUMNS][line as usize] > 0 {
                self.spare[ROWS][from as usize] -= 1;
                self.spare[COLUMNS][line as usize] -= 1;
                for (step, edge) in path.into_iter().enumerate() {
                    let through = &mut self.through[edge as usize];
                    *through = if step % 2 == 0 { *through + 1 } else { *through - 1 };
                }
                return true;
            }
            let far = self.level[side][line as usize] + 1;
            let leads_on = |&&edge: &&u32| {
                let to = self.edges[edge as usize][1 - side];
                self.level[1 - side][to as usize] == far && (side == ROWS || self.through[edge as usize] > 0)
            };
            let own = &self.of[side][line as usize];
            let place = &mut tried[side][line as usize];
            *place += own[*place..].iter().take_while(|edge| !leads_on(edge)).count();
            if let Some(&edge) = own.get(*place) {
                path.push(edge);
                line = self.edges[edge as usize][1 - side];
            } else {
                let Some(edge) = path.pop() else { return false };
                line = self.edges[edge as usize][1 - side];
                tried[1 - side][line as usize] += 1;
            }
        }
    }

    /// The cover that follows from the levels: rows that nothing reaches, and columns that something reaches. What both
    /// cover goes to the side `first`.
    fn cover(&self, first: usize) -> Vec<Block> {
        let covers = |side: usize, line: u32| (self.level[side][line as usize] == UNSEEN) == (side == ROWS);
        let mut blocks = Vec::new();
        for side in [ROWS, COLUMNS] {
            for (line, edges) in (0..).zip(&self.of[side]) {
                let others = edges.iter().map(|&edge| self.edges[edge as usize][1 - side]);
                let own = |other: &u32| side == first || !covers(1 - side, *other);
                let others: Vec<u32> = others.filter(own).collect();
                if covers(side, line) && !others.is_empty() {
                    let lines = vec![line];
                    blocks.push(Block(if side == ROWS { [lines, others] } else { [others, lines] }));
                }
            }
        }
        blocks
    }
}
