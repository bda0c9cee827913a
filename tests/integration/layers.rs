//! Who may know whom: the `use crate::` lines and paths of every module, held against the table of the architecture.

use std::path::{Path, PathBuf};

/// A module and the modules of vppd it may name.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("entropy", &[]),
    ("exit", &[]),
    ("fault", &[]),
    ("secret", &["entropy"]),
    ("model", &[]),
    ("licensing", &["model", "clock"]),
    ("proxy", &["config"]),
    ("apple", &["model", "clock", "entropy", "secret", "config", "proxy"]),
    ("mdm", &["model", "clock", "entropy", "secret", "config", "proxy"]),
    ("store", &["model", "licensing", "clock", "fault"]),
    ("schedule", &["operations", "clock", "config"]),
    (
        "operations",
        &["apple", "mdm", "store", "licensing", "model", "config", "clock", "entropy", "secret", "fault", "schedule"],
    ),
    ("web", &["operations", "store", "model", "mdm", "apple", "config", "clock"]),
    ("cli", &["operations", "model", "config", "clock", "exit"]),
    ("config", &[]),
    (
        "daemon",
        &[
            "apple",
            "clock",
            "config",
            "entropy",
            "exit",
            "mdm",
            "operations",
            "proxy",
            "secret",
            "store",
            "web",
            "model",
            "schedule",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli", "daemon"]),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a text names after `crate::`.
fn named(text: &str) -> impl Iterator<Item = String> {
    text.split("crate::").skip(1).flat_map(|rest| {
        let list = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(list, _)| list.to_owned());
        let names = list.unwrap_or_else(|| rest.to_owned());
        let first =
            |part: &str| part.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
        match rest.starts_with('{') {
            true => names.split(',').map(first).collect::<Vec<_>>(),
            false => vec![first(&names)],
        }
    })
}

#[test]
fn nobody_knows_whom_the_table_forbids() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all);
    let mut wrong = Vec::new();
    for file in &all {
        let inside = file.strip_prefix(&root).unwrap();
        let module = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{} is in no row of the table", inside.display()));
            continue;
        };
        let text = std::fs::read_to_string(file).unwrap();
        for name in named(&text) {
            let known = MAY_KNOW.iter().any(|(module, _)| *module == name);
            if known && name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} names {name}", inside.display()));
            }
        }
    }
    assert!(all.len() > 50, "the source was not found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_parts_reach_for_nothing_outside() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for part in ["licensing", "model"] {
        let mut all = Vec::new();
        files(&root.join(part), &mut all);
        for file in all {
            let text = std::fs::read_to_string(&file).unwrap();
            for word in
                ["async ", "tokio", "rusqlite", "hyper", "axum", "std::fs", "std::net", "Timestamp::now", "SystemTime"]
            {
                assert!(!text.contains(word), "{} names {word}", file.display());
            }
        }
    }
}

#[test]
fn sql_is_spoken_in_the_store_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all);
    for file in all.iter().filter(|file| !file.starts_with(root.join("store"))) {
        let text = std::fs::read_to_string(file).unwrap();
        for word in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE "] {
            assert!(!text.contains(word), "{} speaks SQL", file.display());
        }
    }
}
