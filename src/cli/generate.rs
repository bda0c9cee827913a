//! `vppd generate FOLDER`: the manual pages, from the command line's own description and from the shipped settings file,
//! and the completions of shells. For those who make packages.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use jiff::Timestamp;

use super::Arguments;
use crate::clock::Clock;
use crate::exit;

const SETTINGS: &str = include_str!("../../etc/vppd.toml");

const SOURCE: &str = concat!("vppd ", env!("CARGO_PKG_VERSION"));

/// Writes all files into `folder`, which is made. The pages bear the date of the source (`SOURCE_DATE_EPOCH`), or today's.
pub(super) fn run(folder: &Path) -> anyhow::Result<()> {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let time = epoch.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_else(|| Clock::real().now());
    let date = time.strftime("%F").to_string();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "vppd", folder)?;
    }
    pages(&command, &date, folder)?;
    write(folder, "vppd.toml.5", &settings_page(&date))
}

fn write(folder: &Path, name: &str, page: &Roff) -> anyhow::Result<()> {
    let path = folder.join(name);
    let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(page.to_writer(&mut file)?)
}

/// A page for the command and for each of those below it.
fn pages(command: &Command, date: &str, folder: &Path) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut page = Vec::new();
    let man = Man::new(command.clone().version(None))
        .title(name.to_uppercase())
        .section("8")
        .date(date)
        .source(SOURCE)
        .manual("vppd");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if name == "vppd" {
        commands(command).to_writer(&mut page)?;
        about_the_daemon().to_writer(&mut page)?;
    } else {
        see_also(&["vppd(8)", "vppd.toml(5)"]).to_writer(&mut page)?;
    }
    // An empty line breaks the line by itself; mandoc complains of more.
    let page = String::from_utf8(page)?.replace("\n.br\n\n.br\n", "\n\n");
    std::fs::write(folder.join(format!("{name}.8")), page)?;
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| pages(sub, date, folder))
}

/// Every command with its page.
fn commands(command: &Command) -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["COMMANDS"]);
    list(&mut page, command);
    page
}

fn list(page: &mut Roff, command: &Command) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = sub.get_display_name().unwrap_or(sub.get_name());
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        item(page, &format!("{name}(8)"), &about);
        list(page, sub);
    }
}

fn item(page: &mut Roff, term: &str, text: &str) {
    page.control("TP", []).text([bold(term)]).text([roman(text)]);
}

fn see_also(pages: &[&str]) -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["SEE ALSO"]).text([roman(pages.join(", "))]);
    page
}

fn about_the_daemon() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["SIGNALS"]);
    item(
        &mut page,
        "SIGHUP",
        "Reads settings and certificates anew. A file with problems is refused as a whole: the journal \
         and `systemctl status vppd` tell why, and the old settings go on to hold. No connection is dropped.",
    );
    item(
        &mut page,
        "SIGTERM, SIGINT",
        "Ends: no new connections, requests under way may finish within [server] drain-timeout.",
    );
    page.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in [
        (0, "Done; of the daemon: it was told to end."),
        (exit::FAILED, "Failed. Trying again may help; systemd starts the daemon again after five seconds."),
        (exit::WRONG_ARGUMENTS, "The arguments are wrong."),
        (
            exit::WRONG_STATE,
            "The state directory holds what this vppd cannot work with: a database of a newer vppd, or \
             secrets that another master key sealed. systemd does not try again.",
        ),
        (
            exit::WRONG_SETTINGS,
            "The settings, or a file that they name, are wrong; standard error tells where. systemd \
             does not try again.",
        ),
    ] {
        item(&mut page, &code.to_string(), meaning);
    }
    page.control("SH", ["FILES"]);
    for (path, what) in [
        ("/etc/vppd/vppd.toml", "The settings, see vppd.toml(5)."),
        ("/var/lib/vppd", "The database, and the master key if no credential holds it."),
        ("/run/vppd/control.sock", "What the commands talk to; for root and the group vppd-admin."),
        ("/etc/credstore.encrypted/vppd.master-key", "The master key as a systemd credential, if you made one."),
    ] {
        item(&mut page, path, what);
    }
    page.control("SH", ["SEE ALSO"]).text([roman("vppd.toml(5), systemctl(1), journalctl(1)")]);
    page
}

/// vppd.toml(5): the shipped file, whose comments explain every key.
fn settings_page(date: &str) -> Roff {
    let mut page = Roff::new();
    page.control("TH", ["VPPD.TOML", "5", date, SOURCE, "vppd"]);
    page.control("SH", ["NAME"]).text([roman("vppd.toml - the settings of vppd")]);
    page.control("SH", ["DESCRIPTION"]);
    let mut words: Vec<&str> = Vec::new();
    for line in SETTINGS.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            match comment.strip_prefix("    ") {
                Some(command) => {
                    flush(&mut page, &mut words);
                    page.control("IP", []).text([bold(command)]).control("PP", []);
                }
                None => words.push(comment),
            }
        } else if line.trim_start_matches('#').is_empty() {
            flush(&mut page, &mut words);
        } else if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            page.control("SH", [format!("[{section}]").as_str()]);
        } else if let Some((key, value)) = line.trim_start_matches('#').split_once(" = ") {
            page.control("TP", []).text([bold(key), roman(format!(" = {value}"))]);
            flush(&mut page, &mut words);
        }
    }
    page.control("SH", ["SEE ALSO"]).text([roman("vppd(8)")]);
    page
}

fn flush(page: &mut Roff, words: &mut Vec<&str>) {
    if !words.is_empty() {
        page.text([roman(words.join(" "))]);
        words.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_every_key_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        for name in ["vppd.8", "vppd-run.8", "vppd-token-add.8", "vppd.bash", "_vppd", "vppd.fish"] {
            assert!(read(name).contains("vppd"), "{name}");
        }
        assert!(!folder.path().join("vppd-generate.8").exists(), "a hidden command");
        let page = read("vppd.toml.5");
        let keys = SETTINGS.lines().filter_map(|line| line.trim_start_matches('#').split_once(" = "));
        let keys: Vec<&str> = keys.map(|(key, _)| key).filter(|key| !key.contains(' ')).collect();
        assert!(keys.len() > 30);
        for key in keys {
            assert!(page.contains(&key.replace('-', "\\-")), "{key} is not explained");
        }
    }
}
