//! How many requests to Apple the shapes of `make bench` take: a plain count, so it is held here as well.

use vppd::licensing::{Limits, rectangles};

#[path = "../../benches/measure/shapes.rs"]
mod shapes;

#[test]
fn requests_are_as_few_as_were_planted_or_nearly() {
    let limits = Limits { max_assets: shapes::MAX_ASSETS, max_serial_numbers: shapes::MAX_SERIAL_NUMBERS };
    for seed in 1..=3 {
        for shape in shapes::shapes(seed) {
            let requests = rectangles(&shape.pairs, limits).len();
            let (name, limit) = (shape.name, shape.limit());
            assert!(requests <= limit, "{name} (seed {seed}): {requests} requests, at most {limit} are allowed");
        }
    }
}
