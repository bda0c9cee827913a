//! Property lists that no device sends, well signed, at both doors.

use super::visitor::*;
use crate::captured;
use crate::support::*;

/// A binary list of these objects; references take two bytes each.
fn binary(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for object in objects {
        offsets.push(bytes.len() as u32);
        bytes.extend_from_slice(object);
    }
    let table = bytes.len() as u64;
    offsets.iter().for_each(|offset| bytes.extend_from_slice(&offset.to_be_bytes()));
    trailer(bytes, objects.len() as u64, table)
}

fn trailer(mut bytes: Vec<u8>, objects: u64, table: u64) -> Vec<u8> {
    bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 4, 2]);
    for number in [objects, 0, table] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes
}

fn array(references: &[u16]) -> Vec<u8> {
    let mut object = vec![0xa0 | references.len() as u8];
    references.iter().for_each(|reference| object.extend_from_slice(&reference.to_be_bytes()));
    object
}

fn bombs() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let xml = |inner: &str| format!("<?xml version=\"1.0\"?><plist version=\"1.0\">{inner}</plist>").into_bytes();
    let deep = |levels: usize| format!("{}{}", "<array>".repeat(levels), "</array>".repeat(levels));
    let chain: Vec<Vec<u8>> = (1..=20_000u16).map(|next| array(&[next])).chain([vec![0x09]]).collect();
    let wide: Vec<Vec<u8>> = (1..=30u16).map(|next| array(&[next; 14])).chain([vec![0x09]]).collect();
    let lol = "<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">";
    let entities = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE plist [{lol}]><plist version=\"1.0\"><dict><key>MessageType</key>\
         <string>&c;</string></dict></plist>"
    );
    let outside = "<?xml version=\"1.0\"?><!DOCTYPE plist [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><plist version=\"1.0\">\
                   <dict><key>MessageType</key><string>&x;</string></dict></plist>";
    let not_a_list = "not a property list";
    vec![
        ("empty body", Vec::new(), not_a_list),
        ("JSON", br#"{"MessageType": "Authenticate"}"#.to_vec(), not_a_list),
        ("text", b"hello".to_vec(), not_a_list),
        ("HTML", b"<!DOCTYPE html><html><body>Sign in</body></html>".to_vec(), not_a_list),
        ("old ASCII form", b"{ MessageType = Authenticate; }".to_vec(), not_a_list),
        ("XML cut off", xml("<dict><key>MessageType</key><string>Authen")[..70].to_vec(), not_a_list),
        ("XML with tags crossed", xml("<dict><key>a</string></dict>"), not_a_list),
        ("XML that is not UTF-8", [&xml("<dict>")[..30], b"\xff\xfe\xfd"].concat(), not_a_list),
        ("a number that is none", xml("<dict><key>a</key><integer>seven</integer></dict>"), not_a_list),
        ("data that is no base64", xml("<dict><key>a</key><data>%%%</data></dict>"), not_a_list),
        ("a date that is none", xml("<dict><key>a</key><date>today</date></dict>"), not_a_list),
        ("an array at the top", xml("<array/>"), "not a dictionary"),
        ("XML nested 65 deep", xml(&deep(65)), "deeper than 64 levels"),
        ("XML nested 10,000 deep", xml(&deep(10_000)), "deeper than 64 levels"),
        // An entity is nothing to the reader: neither text nor a file.
        ("entities that unfold", entities.into_bytes(), "was refused"),
        ("an entity from outside", outside.as_bytes().to_vec(), "was refused"),
        ("binary header and nothing else", b"bplist00".to_vec(), not_a_list),
        ("binary nested 20,000 deep", binary(&chain), "deeper than 64 levels"),
        ("binary array that holds itself", binary(&[array(&[0])]), "property list"),
        ("two binary arrays that hold each other", binary(&[array(&[1]), array(&[0])]), "property list"),
        ("binary that unfolds to 14^30 objects", binary(&wide), "unfolds into far more"),
        ("binary object beyond the end", binary(&[array(&[900])]), not_a_list),
        ("binary with 2^60 objects", trailer(b"bplist00\x09".to_vec(), 1 << 60, 8), not_a_list),
        ("binary table beyond the end", trailer(b"bplist00\x09".to_vec(), 1, u64::MAX - 4), not_a_list),
        ("binary text longer than the list", binary(&[vec![0x5f, 0x12, 0x7f, 0xff, 0xff, 0xff]]), not_a_list),
    ]
}

#[test]
fn every_malformed_list_is_refused_and_remembered_by_nobody() {
    captured::listen();
    story(|clock| async move {
        let app = App::start(clock.clone(), &[]).await;
        let keys = device_keys(&clock).await;
        let witness = Visitor::at_rest(&app, 1, keys.take().unwrap()).await;
        let mut door = Doorstep::new(&app, "plist", &witness);
        for (name, body, says) in bombs() {
            door.refused(name, &format!("{} bytes to /checkin", body.len()), "/checkin", body.clone(), says).await;
            let again = format!("{name}, as a result");
            door.refused(&again, &format!("{} bytes to /mdm", body.len()), "/mdm", body, says).await;
        }
        let huge = list(&text("MessageType", &"A".repeat(5 << 20)));
        for path in ["/checkin", "/mdm"] {
            let signature = Some(witness.signature(&witness.identity, &huge));
            let says = "larger than the";
            door.sent(&format!("5 MB to {path}"), "5242880 letters", path, huge.clone(), signature, 413, says).await;
        }
        door.table.end(50);
    });
}
