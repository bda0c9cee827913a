//! An answer that makes a device drop its enrolment can only come from one file of vppd, and that one turns it into another.

use std::path::{Path, PathBuf};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// The lines that are neither comments nor tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn no_other_file_names_a_status_that_throws_a_device_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for part in ["web", "operations", "mdm"] {
        files(&root.join(part), &mut found);
    }
    let names = ["UNAUTHORIZED", "FORBIDDEN", "401", "403", "from_u16", "unrecognized.device"];
    let mut guilty = Vec::new();
    // What Apple's push service answers is read there.
    found.retain(|file| {
        !file.ends_with("tests.rs") && !file.starts_with(root.join("mdm/push")) && !file.ends_with("push.rs")
    });
    for file in &found {
        let text = std::fs::read_to_string(file).unwrap();
        let named = code(&text).any(|line| names.iter().any(|name| line.contains(name)));
        if named {
            guilty.push(file.strip_prefix(&root).unwrap().to_owned());
        }
    }
    assert!(found.len() > 50, "the source was not found");
    assert_eq!(guilty, [Path::new("web/dismissal.rs")]);
}
