//! Tables and lists of facts without frames, fitted to the terminal. What devices and Apple call things is cleaned of
//! characters that would steer a terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table};
use serde::Serialize;

use super::output::Page;

/// A table under construction. The first letters of a header say what stands below it: `>` numbers; `~` sentences, which
/// wrap when the terminal is narrow; `?` what is left out, from the right, when it is too narrow for everything.
pub(super) struct Grid {
    columns: Vec<Column>,
    header: bool,
    rows: Vec<Vec<String>>,
}

struct Column {
    name: String,
    numbers: bool,
    sentences: bool,
    optional: bool,
}

/// What a column of sentences needs to be readable.
const SENTENCE: u16 = 24;

/// Between columns.
const GAP: u16 = 2;

impl Grid {
    pub fn new(headers: &[&str]) -> Grid {
        let column = |header: &&str| {
            let name = header.trim_start_matches(['>', '~', '?']);
            let marks = &header[..header.len() - name.len()];
            let marked = |mark| marks.contains(mark);
            let (numbers, sentences, optional) = (marked('>'), marked('~'), marked('?'));
            Column { name: name.to_owned(), numbers, sentences, optional }
        };
        Grid { columns: headers.iter().map(column).collect(), header: true, rows: Vec::new() }
    }

    /// Adds a row; the texts are cleaned here.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }

    pub fn show(mut self, page: &Page) -> String {
        let Some(width) = page.width else { return self.table(None).trim_fmt() };
        let mut left_out = Vec::new();
        while self.least_width() > width {
            let Some(last) = self.columns.iter().rposition(|column| column.optional) else { break };
            left_out.push(self.columns.remove(last).name);
            self.rows.iter_mut().for_each(|row| {
                row.remove(last);
            });
        }
        // What does not fit even so is broken by the terminal, at its edge, rather than in the middle of every word.
        let text = self.table(Some(width.max(self.least_width()))).trim_fmt();
        if left_out.is_empty() {
            return text;
        }
        left_out.reverse();
        format!("{text}\n(No room for {}: use a wider terminal or --json)", left_out.join(", "))
    }

    /// The width at which only sentences wrap.
    fn least_width(&self) -> u16 {
        let widths = self.table(None).column_max_content_widths();
        let needs = widths.iter().zip(&self.columns).map(|(width, column)| {
            let content = if column.sentences { (*width).min(SENTENCE) } else { *width };
            content.saturating_add(GAP)
        });
        needs.fold(0, u16::saturating_add)
    }

    /// `width`: in how many characters; `None` wraps nothing.
    fn table(&self, width: Option<u16>) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).force_no_tty();
        if self.header {
            table.set_header(self.columns.iter().map(|column| column.name.as_str()));
        }
        self.rows.iter().for_each(|row| {
            table.add_row(row);
        });
        if let Some(width) = width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        for (shown, column) in table.column_iter_mut().zip(&self.columns) {
            shown.set_padding((0, GAP));
            if column.numbers {
                shown.set_cell_alignment(CellAlignment::Right);
            }
            if width.is_some() && !column.sentences {
                shown.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table
    }
}

/// Facts about one thing, one per line; those that are empty are left out.
pub(super) fn facts<const N: usize>(facts: [(&str, String); N], page: &Page) -> String {
    let mut grid = Grid { header: false, ..Grid::new(&["", "~"]) };
    for (name, value) in facts {
        if !value.is_empty() {
            grid.row([format!("{name}:"), value]);
        }
    }
    grid.show(page)
}

/// `text` on one line, without control characters and without marks that turn or hide text.
pub(super) fn clean(text: &str) -> String {
    let shown = |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let line = |c: char| if matches!(c, '\n' | '\t') { ' ' } else { c };
    text.chars().map(line).filter(shown).filter(|c| !c.is_control()).collect()
}

/// The word that the JSON uses for `value`.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// `-` for an empty text.
pub(super) fn dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// `1 device`, `2 devices`.
pub(super) fn count(number: u64, one: &str, more: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::page;

    fn grid() -> Grid {
        let mut grid = Grid::new(&["SERIAL", "?MODEL", ">APPS", "?SEEN", "~WHY"]);
        let why = "no licence is free, and this device is the first to get one";
        grid.row(["DMPX0001".into(), "iPad13,18".into(), "3".into(), "2026-11-02 06:00".into(), why.into()]);
        grid
    }

    #[test]
    fn a_narrow_terminal_loses_columns_from_the_right_and_is_told_so() {
        assert!(grid().show(&page(None)).lines().next().unwrap().ends_with("APPS  SEEN              WHY"));
        let expected = "\
SERIAL    MODEL      APPS  WHY
DMPX0001  iPad13,18     3  no licence is free, and
                           this device is the first
                           to get one
(No room for SEEN: use a wider terminal or --json)";
        assert_eq!(grid().show(&page(Some(55))), expected);
        assert!(grid().show(&page(Some(50))).ends_with("(No room for MODEL, SEEN: use a wider terminal or --json)"));
    }

    #[test]
    fn no_terminal_is_so_narrow_that_names_and_numbers_are_broken() {
        let shown = grid().show(&page(Some(20)));
        assert!(shown.contains("DMPX0001     3  no licence"), "{shown}");
    }

    #[test]
    fn text_that_would_steer_or_disguise_is_cleaned() {
        let hostile = "a\u{1b}]0;title\u{7}b\nc\u{202e}d\u{200b}\u{9b}31me\u{feff}";
        assert_eq!(clean(hostile), "a]0;titleb cd31me");
        assert_eq!(clean("Zoë's iPad – 日本 🙂"), "Zoë's iPad – 日本 🙂");
    }
}
