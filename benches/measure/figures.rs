//! What was measured: values, their median, the limit they are held against; as a table for people and as JSON.

use std::fmt;

use comfy_table::{CellAlignment, Table};
use serde_json::json;

/// What a figure is measured against.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    AtLeast(f64),
    Below(f64),
    AtMost(f64),
}

impl Limit {
    fn is_met(self, value: f64) -> bool {
        match self {
            Limit::AtLeast(limit) => value >= limit,
            Limit::Below(limit) => value < limit,
            Limit::AtMost(limit) => value <= limit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::AtLeast(limit) => write!(f, "≥ {}", number(*limit)),
            Limit::Below(limit) => write!(f, "< {}", number(*limit)),
            Limit::AtMost(limit) => write!(f, "≤ {}", number(*limit)),
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Figure {
    name: &'static str,
    unit: &'static str,
    values: Vec<f64>,
    limit: Option<Limit>,
    missing: &'static str,
}

impl Figure {
    pub fn new(name: &'static str, unit: &'static str) -> Figure {
        Figure { name, unit, values: Vec::new(), limit: None, missing: "" }
    }

    pub fn limit(self, limit: Limit) -> Figure {
        Figure { limit: Some(limit), ..self }
    }

    pub fn values(self, values: impl IntoIterator<Item = f64>) -> Figure {
        Figure { values: values.into_iter().collect(), ..self }
    }

    /// Why there is no value.
    pub fn missing(self, why: &'static str) -> Figure {
        Figure { missing: why, ..self }
    }

    fn median(&self) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }

    fn is_met(&self) -> Option<bool> {
        self.limit.zip(self.median()).map(|(limit, value)| limit.is_met(value))
    }
}

/// All figures of one run.
pub struct Report(Vec<Figure>);

impl Report {
    pub fn new() -> Report {
        Report(Vec::new())
    }

    pub fn add(&mut self, figure: Figure) {
        self.0.push(figure);
    }

    /// For programs: every value, the median, the limit and whether it is met.
    pub fn json(&self) -> String {
        let figure = |figure: &Figure| {
            json!({
                "name": figure.name,
                "unit": figure.unit,
                "values": figure.values,
                "median": figure.median(),
                "limit": figure.limit.map(|limit| limit.to_string()),
                "met": figure.is_met(),
            })
        };
        let figures: Vec<_> = self.0.iter().map(figure).collect();
        format!("{:#}\n", json!({"machine": machine(), "figures": figures}))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).force_no_tty();
        table.set_header(["MEASURED", "MEDIAN", "UNIT", "LIMIT", "", "ROUNDS"]);
        for figure in &self.0 {
            let rounds: Vec<String> = figure.values.iter().map(|value| number(*value)).collect();
            table.add_row([
                figure.name.to_owned(),
                figure.median().map_or(figure.missing.to_owned(), number),
                figure.unit.to_owned(),
                figure.limit.map(|limit| limit.to_string()).unwrap_or_default(),
                figure.is_met().map_or("", |met| if met { "met" } else { "MISSED" }).to_owned(),
                if rounds.len() > 1 { rounds.join(" · ") } else { String::new() },
            ]);
        }
        for column in [1, 3] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{}\n\n{}", machine(), table.trim_fmt())
    }
}

/// What all this was measured on.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cores} cores, {}", model.map_or(std::env::consts::ARCH, |(_, model)| model))
}

/// Three figures of a number, thousands set apart.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let rest = if rest.contains('.') { rest.trim_end_matches('0').trim_end_matches('.') } else { rest };
    grouped + rest
}
