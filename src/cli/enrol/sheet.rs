//! Codes on paper: a PDF with ten cards to a page, each with a QR code, to be cut apart. Whoever has a card can enrol a device.
//!
//! The fonts are those that every reader has, so letters beyond Western European ones become `?`.

use clap::ValueEnum;
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};
use qrcode::{Color, EcLevel, QrCode};

use crate::cli::output::Page;
use crate::operations::view::{EnrolCodeView, EnrolCodesView};

/// The languages of the cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    En,
    De,
    Fr,
    Nl,
    Es,
}

struct Words {
    enrol: &'static str,
    scan: &'static str,
    once: &'static str,
    fingerprint: &'static str,
}

impl Language {
    fn words(self) -> Words {
        match self {
            Language::En => Words {
                enrol: "Enrol this device",
                scan: "Scan with the camera of the device, or open this page and type the code:",
                once: "For one device, until",
                fingerprint: "Fingerprint of the server's certificate (SHA-256):",
            },
            Language::De => Words {
                enrol: "Dieses Gerät anmelden",
                scan: "Mit der Kamera des Geräts scannen, oder diese Seite öffnen und den Code eingeben:",
                once: "Für ein Gerät, bis",
                fingerprint: "Fingerabdruck des Server-Zertifikats (SHA-256):",
            },
            Language::Fr => Words {
                enrol: "Inscrire cet appareil",
                scan: "Scannez avec l’appareil photo de l’appareil, ou ouvrez cette page et saisissez le code :",
                once: "Pour un appareil, jusqu’au",
                fingerprint: "Empreinte du certificat du serveur (SHA-256) :",
            },
            Language::Nl => Words {
                enrol: "Dit apparaat aanmelden",
                scan: "Scan met de camera van het apparaat, of open deze pagina en typ de code:",
                once: "Voor één apparaat, tot",
                fingerprint: "Vingerafdruk van het servercertificaat (SHA-256):",
            },
            Language::Es => Words {
                enrol: "Inscribir este dispositivo",
                scan: "Escanee con la cámara del dispositivo, o abra esta página y escriba el código:",
                once: "Para un dispositivo, hasta",
                fingerprint: "Huella del certificado del servidor (SHA-256):",
            },
        }
    }
}

/// A4, in points; what is printed stays within what US Letter has, too.
const PAPER: (f32, f32) = (595.0, 842.0);
const COLUMNS: usize = 2;
const ROWS: usize = 5;
const CARD: (f32, f32) = (262.0, 140.0);
const LEFT: f32 = (PAPER.0 - CARD.0 * COLUMNS as f32) / 2.0;
const TOP: f32 = PAPER.1 - 45.0;
const INNER: f32 = 10.0;
const QR: f32 = 105.0;

const PLAIN: Name<'static> = Name(b"P");
const BOLD: Name<'static> = Name(b"B");
const TYPED: Name<'static> = Name(b"T");
const FONTS: [(Name<'static>, &[u8]); 3] = [(PLAIN, b"Helvetica"), (BOLD, b"Helvetica-Bold"), (TYPED, b"Courier-Bold")];

/// The sheets for these codes.
pub(super) fn pdf(codes: &EnrolCodesView, language: Language, page: &Page) -> anyhow::Result<Vec<u8>> {
    let sheets: Vec<&[EnrolCodeView]> = codes.codes.chunks(COLUMNS * ROWS).collect();
    let mut next = 0;
    let mut take = || {
        next += 1;
        Ref::new(next)
    };
    let (catalog, tree, fonts) = (take(), take(), FONTS.map(|font| (font, take())));
    let pages: Vec<(Ref, Ref)> = sheets.iter().map(|_| (take(), take())).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    pdf.pages(tree).kids(pages.iter().map(|(page, _)| *page)).count(i32::try_from(pages.len())?);
    for ((_, base), id) in &fonts {
        pdf.type1_font(*id).base_font(Name(base)).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    for (sheet, (page_id, content_id)) in sheets.into_iter().zip(pages) {
        let mut written = pdf.page(page_id);
        written.media_box(Rect::new(0.0, 0.0, PAPER.0, PAPER.1)).parent(tree).contents(content_id);
        let mut resources = written.resources();
        let mut named = resources.fonts();
        for ((name, _), id) in &fonts {
            named.pair(*name, *id);
        }
        named.finish();
        resources.finish();
        written.finish();
        pdf.stream(content_id, &draw(codes, sheet, language, page)?);
    }
    Ok(pdf.finish())
}

fn draw(codes: &EnrolCodesView, sheet: &[EnrolCodeView], language: Language, page: &Page) -> anyhow::Result<Vec<u8>> {
    let words = language.words();
    let mut content = Content::new();
    for (place, code) in sheet.iter().enumerate() {
        let x = LEFT + CARD.0 * (place % COLUMNS) as f32;
        let y = TOP - CARD.1 * (place / COLUMNS + 1) as f32;
        content.save_state().set_line_width(0.4).set_stroke_gray(0.6).set_dash_pattern([2.0, 2.0], 0.0);
        content.rect(x, y, CARD.0, CARD.1).stroke().restore_state();
        qr(&mut content, &code.url, x + INNER, y + CARD.1 - INNER - QR)?;
        line(&mut content, TYPED, 10.0, x + INNER, y + INNER, &code.code);
        let (left, mut at) = (x + 2.0 * INNER + QR, y + CARD.1 - INNER - 9.0);
        let mut write = |font, size: f32, text: &str, most: usize| {
            for part in wrapped(text, most).iter().take(4) {
                line(&mut content, font, size, left, at, part);
                at -= size * 1.25;
            }
            at -= 2.0;
        };
        write(BOLD, 10.0, &codes.organisation, 24);
        write(BOLD, 8.5, words.enrol, 30);
        write(PLAIN, 7.5, words.scan, 34);
        write(PLAIN, 7.0, &codes.page, 36);
        write(PLAIN, 7.0, &format!("{} {}", words.once, page.day(codes.expires_at)), 36);
        write(PLAIN, 7.0, &codes.label, 36);
        let right = x + CARD.0 - INNER - 4.0 * code.reference.len() as f32;
        line(&mut content, PLAIN, 6.5, right, y + INNER, &code.reference);
    }
    if let Some(first) = codes.fingerprints.first() {
        line(&mut content, PLAIN, 7.0, LEFT, 32.0, words.fingerprint);
        line(&mut content, PLAIN, 6.5, LEFT, 22.0, first);
    }
    Ok(content.finish().to_vec())
}

/// A QR code, its lower left corner at `x`, `y`; dark squares side by side are one rectangle, so that no reader shows gaps.
fn qr(content: &mut Content, text: &str, x: f32, y: f32) -> anyhow::Result<()> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let (width, colours) = (code.width(), code.to_colors());
    let unit = QR / width as f32;
    for (row, squares) in colours.chunks(width).enumerate() {
        let mut column = 0;
        while column < width {
            let run = squares[column..].iter().take_while(|square| **square == Color::Dark).count();
            if run > 0 {
                let top = y + QR - unit * (row + 1) as f32;
                content.rect(x + unit * column as f32, top, unit * run as f32, unit);
            }
            column += run.max(1);
        }
    }
    content.fill_nonzero();
    Ok(())
}

fn line(content: &mut Content, font: Name<'_>, size: f32, x: f32, y: f32, text: &str) {
    content.begin_text().set_font(font, size).next_line(x, y).show(Str(&western(text))).end_text();
}

/// Lines of at most so many characters, broken between words where there are any.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(most) {
            let part: String = part.iter().collect();
            match lines.last_mut().filter(|line| line.chars().count() + 1 + part.chars().count() <= most) {
                Some(line) => *line = format!("{line} {part}"),
                None => lines.push(part),
            }
        }
    }
    lines
}

/// Windows-1252, which PDF calls `WinAnsiEncoding`.
fn western(text: &str) -> Vec<u8> {
    let byte = |c: char| match c {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(c)).unwrap_or(b'?'),
        '€' => 0x80,
        '„' => 0x84,
        '…' => 0x85,
        '‘' => 0x91,
        '’' => 0x92,
        '“' => 0x93,
        '”' => 0x94,
        '–' => 0x96,
        _ => b'?',
    };
    text.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};

    #[test]
    fn each_code_has_its_card_and_ten_cards_fill_a_page() {
        let code = |number: usize| EnrolCodeView {
            reference: format!("c-0a1b2c3d-{number:02}"),
            code: format!("ABCD-EFGH-{number:04}"),
            url: format!("https://mdm.example.org/enrol?code=ABCD-EFGH-{number:04}"),
        };
        let codes = EnrolCodesView {
            batch: "c-0a1b2c3d".into(),
            label: "Class 3b".into(),
            organisation: "Grundschule Nördliche Straße".into(),
            page: "https://mdm.example.org/enrol".into(),
            fingerprints: vec!["AA BB".into()],
            expires_at: time("12:00"),
            codes: (1..=21).map(code).collect(),
        };
        for language in Language::value_variants() {
            let bytes = pdf(&codes, *language, &page(None)).unwrap();
            assert!(bytes.starts_with(b"%PDF-"));
            let has = |text: &[u8]| bytes.windows(text.len()).filter(|window| *window == text).count();
            assert_eq!(has(b"/Count 3"), 1, "three pages");
            assert_eq!(has(b"(AA BB)"), 3);
            for number in 1..=21 {
                assert_eq!(has(code(number).code.as_bytes()), 1);
            }
        }
    }

    #[test]
    fn lines_are_broken_between_words_and_letters_that_are_not_there_show_that() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("", 4), [""; 0]);
        assert_eq!(western("Straße – 学"), b"Stra\xdfe \x96 ?");
    }
}
