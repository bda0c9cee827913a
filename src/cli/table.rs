//! Tables and lists of facts without frames, fitted to the terminal. What devices and Apple call things is cleaned of
//! characters that would steer a terminal.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table};
use serde::Serialize;

use super::output::Page;

/// A table under construction. A header that begins with `>` stands over numbers, one with `~` over sentences, which
/// wrap first when the terminal is narrow.
pub(super) struct Grid {
    table: Table,
    free: Vec<bool>,
}

/// What a column of sentences needs to be readable.
const SENTENCE: u16 = 24;

/// Between columns.
const GAP: u16 = 2;

impl Grid {
    pub fn new(headers: &[&str]) -> Grid {
        let mut grid = Grid::bare(headers.iter().map(|header| header.starts_with('~')).collect());
        grid.table.set_header(headers.iter().map(|header| header.trim_start_matches(['>', '~'])));
        for (column, header) in grid.table.column_iter_mut().zip(headers) {
            if header.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        grid
    }

    /// Without a header; `free` says which columns hold sentences.
    fn bare(free: Vec<bool>) -> Grid {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).force_no_tty();
        Grid { table, free }
    }

    /// Adds a row; the texts are cleaned here.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.table.add_row(cells.iter().map(|cell| Cell::new(clean(cell))));
    }

    pub fn show(mut self, page: &Page) -> String {
        self.table.column_iter_mut().for_each(|column| {
            column.set_padding((0, GAP));
        });
        if let Some(width) = page.width {
            self.table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
            self.keep_narrow_columns(width);
        }
        self.table.trim_fmt()
    }

    /// Lets only sentences wrap, if that leaves them room.
    fn keep_narrow_columns(&mut self, width: u16) {
        let widths = self.table.column_max_content_widths();
        let needs = widths.iter().zip(&self.free).map(|(width, free)| {
            let content = if *free { (*width).min(SENTENCE) } else { *width };
            content.saturating_add(GAP)
        });
        if needs.fold(0, u16::saturating_add) > width {
            return;
        }
        for (column, free) in self.table.column_iter_mut().zip(&self.free) {
            if !free {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
}

/// Facts about one thing, one per line; those that are empty are left out.
pub(super) fn facts<const N: usize>(facts: [(&str, String); N], page: &Page) -> String {
    let mut grid = Grid::bare(vec![false, true]);
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

    #[test]
    fn text_that_would_steer_or_disguise_is_cleaned() {
        let hostile = "a\u{1b}]0;title\u{7}b\nc\u{202e}d\u{200b}\u{9b}31me\u{feff}";
        assert_eq!(clean(hostile), "a]0;titleb cd31me");
        assert_eq!(clean("Zoë's iPad – 日本 🙂"), "Zoë's iPad – 日本 🙂");
    }
}
