//! Serial numbers as people give them: one by one, or as a CSV file of an asset register.

use std::collections::HashSet;

use super::OperationError;
use crate::model::SerialNumber;

/// The most errors that are told of one file.
const TOLD: usize = 10;

/// What a column of serial numbers is called.
const HEADERS: [&str; 5] = ["serial", "serial number", "serialnumber", "serial-number", "serial_number"];

/// All of them, each once.
pub(super) fn read_all(texts: &[String]) -> Result<Vec<SerialNumber>, OperationError> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for text in texts {
        let serial = SerialNumber::read(text).ok_or_else(|| no_serial(text))?;
        if seen.insert(serial.clone()) {
            all.push(serial);
        }
    }
    Ok(all)
}

/// One serial number.
pub(super) fn read(text: &str) -> Result<SerialNumber, OperationError> {
    SerialNumber::read(text).ok_or_else(|| no_serial(text))
}

fn no_serial(text: &str) -> OperationError {
    let shown: String = text.chars().take(80).collect();
    OperationError::invalid(
        "serial",
        format!("\"{shown}\" is no serial number: it has 1 to 64 letters and digits"),
        "Nothing was changed.",
    )
}

/// The serial numbers of a CSV file, each once: those of the column that is called so, else of the first one. Commas and
/// semicolons may separate the columns.
pub fn from_csv(text: &str) -> Result<Vec<SerialNumber>, OperationError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = reader(text);
    let (mut column, mut all, mut seen, mut problems) = (0, Vec::new(), HashSet::new(), Vec::new());
    for (number, record) in lines.records().enumerate() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                problems.push(error.to_string());
                break;
            }
        };
        let title = |field: &str| HEADERS.contains(&field.trim().to_lowercase().as_str());
        if number == 0
            && let Some(place) = record.iter().position(title)
        {
            column = place;
            continue;
        }
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        match record.get(column).map(|field| (field, SerialNumber::read(field))) {
            Some((_, Some(serial))) => {
                if seen.insert(serial.clone()) {
                    all.push(serial);
                }
            }
            Some((field, None)) => {
                let shown: String = field.chars().take(40).collect();
                problems.push(format!("line {line}, column {}: \"{shown}\" is no serial number", column + 1));
            }
            None => problems.push(format!("line {line}: there is no column {}", column + 1)),
        }
    }
    if problems.is_empty() && all.is_empty() {
        problems.push("it has no serial numbers".to_owned());
    }
    if problems.is_empty() {
        return Ok(all);
    }
    let more = problems.len().saturating_sub(TOLD);
    problems.truncate(TOLD);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Err(OperationError::invalid(
        "csv",
        format!("the file cannot be taken over: {}", problems.join("; ")),
        "Nothing was changed. A file has a serial number in each line, or a first line with the names of the columns, one \
         of which is `serial`.",
    ))
}

/// A reader of lines with commas between columns, or semicolons if the first line has those and no comma.
pub(super) fn reader(text: &str) -> csv::Reader<&[u8]> {
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serials(text: &str) -> Vec<String> {
        from_csv(text).unwrap().iter().map(|serial| serial.as_str().to_owned()).collect()
    }

    #[test]
    fn a_file_may_be_a_plain_list_or_have_columns() {
        assert_eq!(serials("dmpx0001\r\nDMPX0002\r\n\r\nDMPX0001\r\n"), ["DMPX0001", "DMPX0002"]);
        assert_eq!(serials("\u{feff}Room;Serial Number\n12;DMPX0001\n13; dmpx0002 \n"), ["DMPX0001", "DMPX0002"]);
        assert_eq!(serials("serial,room\nDMPX0001,\"Lab, ground floor\"\n"), ["DMPX0001"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, words) in [
            ("", "no serial numbers"),
            ("serial\n", "no serial numbers"),
            (
                "room,serial\n12,DMPX0001\n13,not a serial\n14\n",
                "line 3, column 2: \"not a serial\" is no serial number; line 4",
            ),
            ("serial\n\"DMPX0001\nDMPX0002\n", "line 2"),
        ] {
            let error = from_csv(text).unwrap_err();
            assert!(error.message.contains(words), "{text:?}: {error}");
        }
        let many = "?\n".repeat(50);
        assert!(from_csv(&many).unwrap_err().message.ends_with("and 40 more"));
    }
}
