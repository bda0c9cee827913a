//! CSV for spreadsheets.

use super::table::clean;

/// A line of names and a line for each row.
pub(super) fn csv<const N: usize>(
    names: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(names)?;
    for row in rows {
        writer.write_record(row.map(|cell| harmless(clean(&cell))))?;
    }
    writer.into_inner().map_err(|error| anyhow::anyhow!("the CSV cannot be written: {error}"))
}

/// A spreadsheet takes what begins with such a sign for a formula.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}
