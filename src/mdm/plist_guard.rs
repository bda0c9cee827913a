//! The only door through which a property list from outside comes in.
//!
//! The parser builds trees by recursion, so a list nested some thousand deep would abort the whole process; and a
//! binary list may name one object from many places, so that a few kilobytes unfold into gigabytes. This walks the
//! flat stream of events first, in constant memory, and refuses both before a tree is built.
//! Knows nothing of what the list says.

use std::io::Cursor;

use plist::stream::{Event, Reader};
use plist::{Dictionary, Value};

/// How deep arrays and dictionaries may nest. Apple's own messages stay below ten.
pub const MAX_DEPTH: usize = 64;

/// How much longer the text in a list may be than the list itself. Binary lists write a repeated key only once.
const MAX_UNFOLDING: usize = 8;

/// Why a property list was refused. The messages carry nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum PlistError {
    /// Longer than the caller allows.
    #[error("the property list has {length} bytes and only {limit} are allowed here")]
    TooLong { length: usize, limit: usize },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the property list nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A binary list which unfolds into far more than was sent.
    #[error("the property list unfolds into far more than was sent")]
    Unfolds,
    /// Neither XML nor binary, or broken.
    #[error("this is not a property list: {}", broken(.0))]
    Malformed(plist::Error),
    /// Neither of the two encodings which Apple's devices use.
    #[error("this is not a property list in XML or binary form")]
    UnknownEncoding,
    /// A property list, but of another kind at the top.
    #[error("the property list is not a dictionary")]
    NotADictionary,
}

fn broken(error: &plist::Error) -> String {
    if error.is_io() { "it points outside of itself".to_owned() } else { error.to_string() }
}

/// Reads an XML or binary property list of at most `max_len` bytes.
pub fn read(bytes: &[u8], max_len: usize) -> Result<Value, PlistError> {
    if bytes.len() > max_len {
        return Err(PlistError::TooLong { length: bytes.len(), limit: max_len });
    }
    if !has_known_encoding(bytes) {
        return Err(PlistError::UnknownEncoding);
    }
    walk(bytes)?;
    Value::from_reader(Cursor::new(bytes)).map_err(PlistError::Malformed)
}

/// Like [`read`], for a list whose top is a dictionary, as in every message of a device.
pub fn read_dictionary(bytes: &[u8], max_len: usize) -> Result<Dictionary, PlistError> {
    read(bytes, max_len)?.into_dictionary().ok_or(PlistError::NotADictionary)
}

/// The parser would also take the old ASCII form, which no device sends.
fn has_known_encoding(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.starts_with(b"bplist00") || text.trim_ascii_start().starts_with(b"<")
}

fn walk(bytes: &[u8]) -> Result<(), PlistError> {
    let (mut depth, mut events, mut content) = (0usize, 0usize, 0usize);
    for event in Reader::new(Cursor::new(bytes)) {
        match event.map_err(PlistError::Malformed)? {
            Event::StartArray(_) | Event::StartDictionary(_) => depth += 1,
            Event::EndCollection => depth = depth.saturating_sub(1),
            Event::String(text) => content += text.len(),
            Event::Data(data) => content += data.len(),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(PlistError::TooDeep);
        }
        // An honest list needs at least one byte for each event: a tag or a reference.
        events += 1;
        if events > bytes.len() || content > bytes.len().saturating_mul(MAX_UNFOLDING) {
            return Err(PlistError::Unfolds);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn nested_xml(levels: usize) -> Vec<u8> {
        let (open, close) = ("<array>".repeat(levels), "</array>".repeat(levels));
        format!("<?xml version=\"1.0\"?><plist version=\"1.0\">{open}{close}</plist>").into_bytes()
    }

    /// Objects are encoded already; `references` to others take two bytes each.
    fn binary(objects: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"bplist00".to_vec();
        let mut offsets = Vec::new();
        for object in objects {
            offsets.push(bytes.len() as u32);
            bytes.extend_from_slice(object);
        }
        let table = bytes.len() as u64;
        offsets.iter().for_each(|offset| bytes.extend_from_slice(&offset.to_be_bytes()));
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 4, 2]);
        bytes.extend_from_slice(&(objects.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&0u64.to_be_bytes());
        bytes.extend_from_slice(&table.to_be_bytes());
        bytes
    }

    fn array_of(references: &[u16]) -> Vec<u8> {
        let mut object = vec![0xa0 | references.len() as u8];
        references.iter().for_each(|reference| object.extend_from_slice(&reference.to_be_bytes()));
        object
    }

    #[test]
    fn a_bomb_of_nested_arrays_is_refused_in_xml() {
        assert!(matches!(read(&nested_xml(100_000), 4 * MIB), Err(PlistError::TooDeep)));
        assert!(read(&nested_xml(MAX_DEPTH), MIB).is_ok());
        assert!(matches!(read(&nested_xml(MAX_DEPTH + 1), MIB), Err(PlistError::TooDeep)));
    }

    #[test]
    fn a_bomb_of_nested_arrays_is_refused_in_binary() {
        let mut objects: Vec<_> = (1..=50_000u16).map(|next| array_of(&[next])).collect();
        objects.push(array_of(&[]));
        assert!(matches!(read(&binary(&objects), 4 * MIB), Err(PlistError::TooDeep)));
    }

    #[test]
    fn a_small_list_which_unfolds_into_a_huge_one_is_refused() {
        let mut objects: Vec<_> = (1..=40u16).map(|next| array_of(&[next; 10])).collect();
        objects.push(array_of(&[]));
        assert!(matches!(read(&binary(&objects), MIB), Err(PlistError::Unfolds)));
    }

    #[test]
    fn one_long_text_named_many_times_is_refused() {
        let mut text = vec![0x5f, 0x11];
        text.extend_from_slice(&5000u16.to_be_bytes());
        text.extend(std::iter::repeat_n(b'a', 5000));
        let objects = [array_of(&[1; 14]), array_of(&[2; 14]), text];
        assert!(matches!(read(&binary(&objects), MIB), Err(PlistError::Unfolds)));
    }

    #[test]
    fn a_list_that_holds_itself_is_refused() {
        assert!(read(&binary(&[array_of(&[0])]), MIB).is_err());
    }

    #[test]
    fn binary_and_xml_give_the_same_values() {
        let xml = b"<plist version=\"1.0\"><dict><key>Status</key><string>Idle</string></dict></plist>";
        let from_xml = read_dictionary(xml, MIB).unwrap();
        let mut bytes = Vec::new();
        Value::Dictionary(from_xml.clone()).to_writer_binary(&mut bytes).unwrap();
        assert_eq!(read_dictionary(&bytes, MIB).unwrap(), from_xml);
        assert_eq!(from_xml.get("Status").and_then(Value::as_string), Some("Idle"));
    }

    #[test]
    fn what_is_no_property_list_is_refused_and_never_panics() {
        let whole = b"<plist version=\"1.0\"><dict><key>Status</key><string>Idle</string></dict></plist>";
        for end in 0..whole.len() - "</plist>".len() {
            assert!(read_dictionary(&whole[..end], MIB).is_err(), "cut at {end}");
        }
        assert!(matches!(read(b"{ Status = Idle; }", MIB), Err(PlistError::UnknownEncoding)));
        assert!(matches!(read(b"", MIB), Err(PlistError::UnknownEncoding)));
        assert!(matches!(read(whole, 10), Err(PlistError::TooLong { length: 80, limit: 10 })));
        assert!(matches!(
            read_dictionary(b"<plist version=\"1.0\"><array/></plist>", MIB),
            Err(PlistError::NotADictionary)
        ));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = read(&[b"bplist00", tail.as_slice()].concat(), MIB);
            let _ = read(&[b"<plist>", tail.as_slice()].concat(), MIB);
        }
    }
}
