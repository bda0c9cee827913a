//! ASN.1 on the wire, written and read by hand: definite and indefinite lengths, as Apple's encoder uses both.
//!
//! The server under test reads and writes ASN.1 with a well-known library. This is deliberately another implementation,
//! so that a misunderstanding cannot agree with itself. Knows tags and lengths only; what they mean is said in `cms`,
//! `scep` and `certificate`.

/// Universal tags used here, as the whole identifier octet.
pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const NULL: u8 = 0x05;
pub const OID: u8 = 0x06;
pub const UTF8_STRING: u8 = 0x0c;
pub const PRINTABLE_STRING: u8 = 0x13;
pub const IA5_STRING: u8 = 0x16;
pub const UTC_TIME: u8 = 0x17;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// The constructed context tag `[number]`.
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Identifier, definite length in its shortest form, content.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let significant: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | significant.len() as u8);
            out.extend(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A constructed value of `parts` in this order, with a definite length.
pub fn constructed(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// SEQUENCE of `parts`.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    constructed(SEQUENCE, parts)
}

/// A constructed value of indefinite length: closed by two zero octets instead of counted.
pub fn indefinite(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![tag, 0x80];
    out.extend(parts.concat());
    out.extend([0, 0]);
    out
}

/// A non-negative INTEGER from big-endian bytes.
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if content.first().is_none_or(|byte| *byte >= 0x80) {
        content.insert(0, 0);
    }
    tlv(INTEGER, &content)
}

/// AlgorithmIdentifier with NULL parameters; `oid` is the content of an OBJECT IDENTIFIER.
pub fn algorithm(oid: &[u8]) -> Vec<u8> {
    sequence(&[&tlv(OID, oid), &tlv(NULL, &[])])
}

/// BIT STRING of whole octets.
pub fn bit_string(octets: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], octets].concat())
}

/// PrintableString if its alphabet allows it, else UTF8String.
pub fn text(value: &str) -> Vec<u8> {
    let printable = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    tlv(if value.chars().all(printable) { PRINTABLE_STRING } else { UTF8_STRING }, value.as_bytes())
}

/// The content of an OBJECT IDENTIFIER from its dotted form, or `None` if that is not one.
pub fn oid(dotted: &str) -> Option<Vec<u8>> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().ok()).collect::<Option<_>>()?;
    let (&first, rest) = arcs.split_first()?;
    let (&second, rest) = rest.split_first()?;
    if first > 2 || (first < 2 && second > 39) {
        return None;
    }
    let mut out = Vec::new();
    for arc in std::iter::once(first.checked_mul(40)?.checked_add(second)?).chain(rest.iter().copied()) {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut left = arc >> 7;
        while left > 0 {
            groups.push(0x80 | (left & 0x7f) as u8);
            left >>= 7;
        }
        out.extend(groups.iter().rev());
    }
    Some(out)
}

/// Why bytes are not what the reader expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BerError {
    #[error("ends in the middle of a value")]
    Truncated,
    #[error("a tag or length form that is not used in certificates and messages")]
    Unsupported,
    #[error("nested more than {DEPTH} levels deep")]
    TooDeep,
    #[error("has tag {found:#04x} where {expected:#04x} belongs")]
    Tag { expected: u8, found: u8 },
    #[error("has bytes after its end")]
    Trailing,
}

const DEPTH: usize = 32;

/// One value: identifier octet, all its bytes, and its content without length and end marks.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    pub tag: u8,
    pub raw: &'a [u8],
    pub content: &'a [u8],
    depth: usize,
}

impl<'a> Node<'a> {
    /// A reader over the values inside.
    pub fn inside(&self) -> Reader<'a> {
        Reader { rest: self.content, depth: self.depth + 1 }
    }

    /// The octets of a string that may be primitive or a constructed chain of segments.
    pub fn octets(&self) -> Result<Vec<u8>, BerError> {
        if self.tag & 0x20 == 0 {
            return Ok(self.content.to_vec());
        }
        let mut out = Vec::new();
        let mut segments = self.inside();
        while let Some(segment) = segments.next()? {
            out.extend(segment.octets()?);
        }
        Ok(out)
    }
}

/// Reads values one after the other.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, depth: 0 }
    }

    /// The only value in `bytes`, which must have this tag.
    pub fn only(bytes: &'a [u8], tag: u8) -> Result<Node<'a>, BerError> {
        let mut reader = Reader::new(bytes);
        let node = reader.expect(tag)?;
        if reader.rest.is_empty() { Ok(node) } else { Err(BerError::Trailing) }
    }

    /// The next value, or `None` at the end.
    #[expect(clippy::should_implement_trait, reason = "can fail")]
    pub fn next(&mut self) -> Result<Option<Node<'a>>, BerError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let node = read(self.rest, self.depth)?;
        self.rest = self.rest.get(node.raw.len()..).ok_or(BerError::Truncated)?;
        Ok(Some(node))
    }

    /// The next value, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Node<'a>, BerError> {
        let node = self.next()?.ok_or(BerError::Truncated)?;
        if node.tag == tag { Ok(node) } else { Err(BerError::Tag { expected: tag, found: node.tag }) }
    }

    /// The next value if it has this tag.
    pub fn take(&mut self, tag: u8) -> Result<Option<Node<'a>>, BerError> {
        if self.rest.first() == Some(&tag) { self.next() } else { Ok(None) }
    }
}

fn read(bytes: &[u8], depth: usize) -> Result<Node<'_>, BerError> {
    if depth > DEPTH {
        return Err(BerError::TooDeep);
    }
    let &[tag, length, ref rest @ ..] = bytes else { return Err(BerError::Truncated) };
    if tag & 0x1f == 0x1f {
        return Err(BerError::Unsupported);
    }
    if length == 0x80 {
        return read_indefinite(bytes, tag, rest, depth);
    }
    let (content_at, length) = match length {
        0..=0x7f => (2, usize::from(length)),
        0x81..=0x84 => {
            let count = usize::from(length & 0x7f);
            let octets = rest.get(..count).ok_or(BerError::Truncated)?;
            (2 + count, octets.iter().fold(0usize, |sum, octet| sum << 8 | usize::from(*octet)))
        }
        _ => return Err(BerError::Unsupported),
    };
    let end = content_at.checked_add(length).ok_or(BerError::Truncated)?;
    let raw = bytes.get(..end).ok_or(BerError::Truncated)?;
    Ok(Node { tag, raw, content: raw.get(content_at..).ok_or(BerError::Truncated)?, depth })
}

fn read_indefinite<'a>(bytes: &'a [u8], tag: u8, inside: &'a [u8], depth: usize) -> Result<Node<'a>, BerError> {
    if tag & 0x20 == 0 {
        return Err(BerError::Unsupported);
    }
    let mut at = 0;
    loop {
        let rest = inside.get(at..).ok_or(BerError::Truncated)?;
        if rest.starts_with(&[0, 0]) {
            let content = inside.get(..at).ok_or(BerError::Truncated)?;
            let raw = bytes.get(..at + 4).ok_or(BerError::Truncated)?;
            return Ok(Node { tag, raw, content, depth });
        }
        at += read(rest, depth + 1)?.raw.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(tlv(OCTET_STRING, &[1]), [4, 1, 1]);
        assert_eq!(tlv(OCTET_STRING, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(tlv(OCTET_STRING, &[0; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(unsigned(&[0, 0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[]), [2, 1, 0]);
    }

    #[test]
    fn object_identifiers_follow_the_base_128_rule() {
        assert_eq!(oid("1.2.840.113549.1.7.2").unwrap(), [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2]);
        assert_eq!(oid("2.999"), Some(vec![0x88, 0x37]));
        for wrong in ["", "1", "3.1", "1.40", "1..2", "1.x"] {
            assert_eq!(oid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn segments_of_indefinite_length_join_to_one_string() {
        let inner = indefinite(0x24, &[&tlv(OCTET_STRING, b"ab"), &tlv(OCTET_STRING, b"c")]);
        let outer = indefinite(SEQUENCE, &[&inner, &unsigned(&[7])]);
        let mut reader = Reader::only(&outer, SEQUENCE).unwrap().inside();
        assert_eq!(reader.next().unwrap().unwrap().octets().unwrap(), b"abc");
        assert_eq!(reader.expect(INTEGER).unwrap().content, [7]);
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn broken_bytes_are_refused_and_never_panic() {
        let good = indefinite(SEQUENCE, &[&tlv(SEQUENCE, &tlv(OCTET_STRING, &[9; 300]))]);
        for end in 0..good.len() {
            assert!(Reader::only(&good[..end], SEQUENCE).is_err(), "cut at {end}");
        }
        let deep = [SEQUENCE, 0x80].repeat(5_000);
        assert_eq!(Reader::only(&deep, SEQUENCE).unwrap_err(), BerError::TooDeep);
        assert_eq!(Reader::only(&[4, 0x80, 0, 0], 4).unwrap_err(), BerError::Unsupported);
        assert_eq!(Reader::only(&[4, 0x84, 255, 255, 255, 255], 4).unwrap_err(), BerError::Truncated);
        assert_eq!(Reader::only(&[5, 0, 1], NULL).unwrap_err(), BerError::Trailing);
    }
}
