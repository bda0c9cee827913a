//! Where messages go: the journal with fields (`docs/install.md` names them), or lines on standard error.

use anyhow::Context;

use crate::config::{Level, Log, Target};

pub(super) fn start(log: &Log) -> anyhow::Result<()> {
    let journal = match log.target {
        Target::Journal => true,
        Target::Stderr => false,
        Target::Auto => systemd_journal_logger::connected_to_journal(),
    };
    if journal {
        let journal = systemd_journal_logger::JournalLog::new()
            .context("the journal cannot be reached ([log] target = \"stderr\" does without)")?;
        journal.with_syslog_identifier("vppd".into()).install()?;
    } else {
        // Of libraries only what is wrong; of vppd as much as `set_level` lets through.
        env_logger::Builder::new()
            .filter_level(log::LevelFilter::Warn)
            .filter_module("vppd", log::LevelFilter::Trace)
            .target(env_logger::Target::Stderr)
            .init();
    }
    set_level(log.level);
    Ok(())
}

pub(super) fn set_level(level: Level) {
    // The words of the settings are those of the crate.
    log::set_max_level(level.word().parse().unwrap_or(log::LevelFilter::Info));
}
