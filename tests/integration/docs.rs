//! What the documentation says holds: its commands, settings, links and paths exist, and `docs/config.md` is the shipped
//! settings file in another form (`make docs` writes it anew).

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use vppd::apple::numbers::NUMBERS;
use vppd::cli::Arguments;
use vppd::config::Config;
use vppd::licensing::membership::Rule;
use vppd::operations::directory::file::{Format, decode};
use vppd::operations::view::TokenState;

const SHIPPED: &str = include_str!("../../etc/vppd.toml");
const MAKEFILE: &str = include_str!("../../Makefile");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page, by its path below the root.
struct Page {
    path: PathBuf,
    text: String,
}

/// A piece of a page: a block of code with its language, or a line of prose.
enum Piece<'p> {
    Block(&'p str, Vec<&'p str>),
    Prose(&'p str),
}

fn pages() -> Vec<Page> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let top = ["README.md", "CHANGELOG.md"].map(|name| root().join(name));
    let page = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Page { path: path.strip_prefix(root()).unwrap().to_owned(), text }
    };
    top.into_iter().chain(docs).map(page).collect()
}

impl Page {
    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            match line.trim_start().strip_prefix("```") {
                Some(language) => {
                    let block = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
                    pieces.push(Piece::Block(language, block.collect()));
                }
                None => pieces.push(Piece::Prose(line)),
            }
        }
        pieces
    }

    /// What stands between backticks in prose.
    fn spans(&self) -> Vec<&str> {
        let prose = self.pieces().into_iter().filter_map(|piece| match piece {
            Piece::Prose(line) => Some(line),
            Piece::Block(..) => None,
        });
        prose.flat_map(spans).collect()
    }

    /// The commands of the blocks that show a shell, continued lines joined.
    fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        for piece in self.pieces() {
            let Piece::Block(language, lines) = piece else { continue };
            let text = lines.join("\n").replace("\\\n", " ");
            match language {
                "sh" => commands.extend(text.lines().map(str::to_owned)),
                "console" => {
                    commands.extend(text.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned))
                }
                _ => {}
            }
        }
        commands
    }
}

fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// What is wrong with a line of a shell, if anything. `mentioned`: it may lack arguments.
fn wrong(line: &str, mentioned: bool) -> Option<String> {
    let line = line.split(" #").next().unwrap_or_default();
    let complaints = commands(line).into_iter().filter_map(|command| {
        let mut words = command.iter().map(String::as_str).skip_while(|word| word.contains('=')).peekable();
        words.next_if_eq(&"sudo");
        match words.next()?.rsplit('/').next()? {
            "vppd" => wrong_arguments(words, mentioned),
            "vppd-sandbox" => words.filter_map(unknown_to_the_sandbox).next(),
            "make" => words
                .find(|word| !word.contains('=') && !MAKEFILE.contains(&format!("\n{word}:")))
                .map(|target| format!("make has no target {target}")),
            _ => None,
        }
    });
    complaints.reduce(|all, one| format!("{all}\n{one}"))
}

/// The commands of a line, each by its words, as a shell takes them apart.
fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut word, mut quote) = (vec![Vec::new()], None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ';' | '|' | '&' | '>') => {
                commands.last_mut().unwrap().extend(word.take());
                commands.push(Vec::new());
            }
            (None, _) if c.is_whitespace() => commands.last_mut().unwrap().extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut().unwrap().extend(word);
    commands
}

fn wrong_arguments<'w>(words: impl Iterator<Item = &'w str>, mentioned: bool) -> Option<String> {
    // FILE, ADAMID and the like stand for a value.
    let stands_for = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    let words = words.map(|word| if stands_for(word) || word.contains('{') { "1" } else { word });
    let words: Vec<&str> = ["vppd"].into_iter().chain(words).collect();
    let error = Arguments::try_parse_from(&words).err()?;
    let names_an_option = words.last().is_some_and(|last| last.starts_with("--"));
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        ErrorKind::InvalidValue if mentioned && names_an_option => None,
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if mentioned => None,
        _ => Some(error.to_string()),
    }
}

/// The sandbox is a program of its own, whose arguments only its sources tell.
fn unknown_to_the_sandbox(word: &str) -> Option<String> {
    const SOURCES: [&str; 3] = [
        include_str!("../../sandbox/src/main.rs"),
        include_str!("../../sandbox/src/demo/mod.rs"),
        include_str!("../../sandbox/src/torture/mod.rs"),
    ];
    let field = format!("{}: ", word.strip_prefix("--")?.replace('-', "_"));
    let known = matches!(word, "--" | "--help") || SOURCES.iter().any(|source| source.contains(&field));
    (!known).then(|| format!("vppd-sandbox has no {word}"))
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_command_that_a_page_shows_exists() {
    let mut complaints = Vec::new();
    let mut shown = 0;
    for page in pages() {
        let (commands, spans) = (page.commands(), page.spans());
        shown += commands.len();
        let strict = commands.iter().filter_map(|line| wrong(line, false));
        let mentioned = spans.iter().filter_map(|span| wrong(span, true));
        complaints.extend(strict.chain(mentioned).map(|problem| format!("{}: {problem}", page.path.display())));
    }
    assert!(shown > 10, "only {shown} commands were found");
    assert_none(complaints);
}

#[test]
fn every_command_that_vppd_advises_exists() {
    let mut folders = vec![root().join("src")];
    let mut complaints = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let advised = text.lines().flat_map(spans).filter(|span| span.starts_with("vppd "));
            complaints.extend(advised.filter_map(|line| wrong(line, true)).map(|p| format!("{}: {p}", path.display())));
        }
    }
    assert_none(complaints);
}

#[test]
fn commands_that_do_not_exist_are_found() {
    for line in ["vppd deploy add --app 1", "sudo vppd frobnicate", "x=1 make nothing", "vppd-sandbox run --no-such 1"]
    {
        assert!(wrong(line, false).is_some(), "{line}");
    }
    assert!(wrong("vppd token add FILE --name NAME && make demo", false).is_none());
    assert!(wrong("vppd deploy add --to", true).is_none() && wrong("vppd deploy ad", true).is_some());
}

/// Settings that a page shows, with the one that nothing works without.
fn with_address(lines: Vec<&str>) -> String {
    let text = lines.join("\n");
    if text.contains("[devices]") { text } else { format!("{text}\n[devices]\nurl = \"https://mdm.example.org\"\n") }
}

#[test]
fn settings_that_a_page_shows_are_settings() {
    let keys = settings();
    let mut complaints = Vec::new();
    for page in pages() {
        for piece in page.pieces() {
            if let Piece::Block("toml", lines) = piece
                && let Err(errors) = Config::from_text(&page.path.display().to_string(), &with_address(lines))
            {
                complaints.push(errors.to_string());
            }
        }
        for span in page.spans() {
            let Some((section, key)) = span.strip_prefix('[').and_then(|span| span.split_once("] ")) else { continue };
            let known = keys.iter().any(|(name, setting)| name == section && setting.name == key);
            if !known {
                complaints.push(format!("{}: there is no {span}", page.path.display()));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn people_and_rules_that_a_page_shows_are_taken() {
    let mut taken = [0; 3];
    for page in pages() {
        for piece in page.pieces() {
            let Piece::Block(language, lines) = piece else { continue };
            let text = lines.join("\n");
            let decoded =
                |format| decode(format, &text).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", page.path.display()));
            match language {
                "people-toml" => taken[0] += decoded(Format::Toml).people.len(),
                "people-csv" => taken[1] += decoded(Format::Csv).people.len(),
                "rules" => {
                    lines.iter().for_each(|line| {
                        Rule::parse(line).unwrap_or_else(|error| panic!("{}: {line}: {error}", page.path.display()));
                    });
                    taken[2] += lines.len();
                }
                _ => {}
            }
        }
    }
    assert_eq!(taken, [2, 2, 5]);
}

#[test]
fn links_and_paths_lead_somewhere() {
    let mut complaints = Vec::new();
    for page in pages() {
        let here = root().join(&page.path);
        let prose: Vec<&str> = page
            .pieces()
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Prose(line) => Some(line),
                Piece::Block(..) => None,
            })
            .collect();
        let links = prose.iter().flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
        for link in links.filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { here.clone() } else { here.parent().unwrap().join(path) };
            let found = target.exists()
                && (anchor.is_empty()
                    || headings(&std::fs::read_to_string(&target).unwrap()).contains(&anchor.to_owned()));
            if !found {
                complaints.push(format!("{}: {link} leads nowhere", page.path.display()));
            }
        }
        // Code that begins on one line and ends on the next would escape these tests.
        let cut = prose.iter().filter(|line| !line.matches('`').count().is_multiple_of(2));
        complaints.extend(cut.map(|line| format!("{}: a line break inside of code: {line}", page.path.display())));
        let tops = ["src/", "sandbox/", "tests/", "etc/", "docs/", ".ci/"];
        let paths = page.spans().into_iter().filter(|span| tops.iter().any(|top| span.starts_with(top)));
        let absent = paths.filter(|span| !span.contains(['*', '<', ' ']) && !root().join(span).exists());
        complaints.extend(absent.map(|span| format!("{}: there is no {span}", page.path.display())));
    }
    assert_none(complaints);
}

/// The anchors of a page's headings.
fn headings(text: &str) -> Vec<String> {
    let headings = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let anchor = |heading: &str| {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// One setting, as the shipped file shows it.
struct Setting {
    name: String,
    value: String,
    comment: String,
    /// Not in the form of a comment.
    required: bool,
}

/// Comments of the shipped file, joined, and what stands below them.
fn paragraphs() -> Vec<(String, &'static str)> {
    let mut comment = String::new();
    let mut paragraphs = Vec::new();
    for line in SHIPPED.lines() {
        match line.strip_prefix("# ") {
            Some(text) if comment.is_empty() => comment = text.to_owned(),
            Some(text) => comment = format!("{comment} {text}"),
            None if line.is_empty() || line == "#" => comment.clear(),
            None => paragraphs.push((std::mem::take(&mut comment), line)),
        }
    }
    paragraphs
}

fn settings() -> Vec<(String, Setting)> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for (comment, line) in paragraphs() {
        match (line.strip_prefix('['), line.trim_start_matches('#').split_once(" = ")) {
            (Some(name), _) => section = name.trim_end_matches(']').to_owned(),
            (None, Some((name, value))) => {
                let (name, value) = (name.to_owned(), value.to_owned());
                settings.push((section.clone(), Setting { name, value, comment, required: !line.starts_with('#') }));
            }
            (None, None) => panic!("{line} is neither a section nor a setting"),
        }
    }
    settings
}

fn config_page() -> String {
    let mut page = "\
<!-- Made from etc/vppd.toml by `make docs`: edit that file instead. -->

# Settings

vppd reads `/etc/vppd/vppd.toml`, or the file named with `--config`. The package brings that file with every key in it, as
a comment that shows the default. `vppd check` reads the file as the daemon does and tells everything that is wrong with
it, with line, column and a remedy; unknown keys are errors. Changes take effect when vppd is restarted.

Durations are written `\"500ms\"`, `\"90s\"`, `\"15m\"`, `\"12h\"`, `\"7d\"`; a day has 24 hours. Paths begin with `/`. Secrets never stand
in the file, only the paths of the files that hold them.
"
    .to_owned();
    let settings = settings();
    for (intro, header) in paragraphs().into_iter().filter(|(_, line)| line.starts_with('[')) {
        let section = header.trim_matches(['[', ']']);
        page.push_str(&format!("\n## [{section}]\n\n{intro}\n\n| Key | Default | Meaning |\n|---|---|---|\n"));
        for (_, setting) in settings.iter().filter(|(name, _)| name == section) {
            let Setting { name, value, comment, required } = setting;
            let (default, meaning) = match comment.strip_suffix(" Not set; for example:") {
                _ if *required => ("required".to_owned(), format!("{comment} For example `{value}`.")),
                Some(comment) => ("not set".to_owned(), format!("{comment} For example `{value}`.")),
                None => (format!("`{value}`"), comment.clone()),
            };
            page.push_str(&format!("| `{name}` | {default} | {meaning} |\n"));
        }
    }
    page
}

#[test]
fn the_page_of_settings_is_the_shipped_file() {
    let path = root().join("docs/config.md");
    if std::env::var_os("VPPD_WRITE_DOCS").is_some() {
        std::fs::write(&path, config_page()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == config_page(), "docs/config.md differs from etc/vppd.toml: write it anew with `make docs`");
}

#[test]
fn the_page_about_apple_tells_every_state_of_a_token_and_every_number() {
    let page = std::fs::read_to_string(root().join("docs/apple.md")).unwrap();
    let mut complaints = Vec::new();
    for (number, course, meaning) in NUMBERS {
        let row = format!("| {number} | {meaning} | {} |", course.words());
        if !page.lines().any(|line| line == row) {
            complaints.push(format!("docs/apple.md lacks: {row}"));
        }
    }
    use TokenState::*;
    let states = [Valid, Expiring, Expired, Revoked, Rejected, ReadOnly, WrongKind, Leaving, Contested, Unreachable];
    for state in states {
        let word = serde_json::to_value(state).unwrap();
        if !page.contains(&format!("\n| `{}` | ", word.as_str().unwrap())) {
            complaints.push(format!("docs/apple.md lacks the state {word}"));
        }
    }
    assert_none(complaints);
}
