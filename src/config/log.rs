//! `[log]`: what is told, and where.

use super::reader::Section;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Log {
    pub level: Level,
    pub target: Target,
}

/// The least important messages that are still told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// The journal when started by systemd, standard error otherwise.
    #[default]
    Auto,
    Journal,
    Stderr,
}

const LEVELS: [(&str, Level); 5] = [
    ("info", Level::Info),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

const TARGETS: [(&str, Target); 3] = [("auto", Target::Auto), ("journal", Target::Journal), ("stderr", Target::Stderr)];

impl Level {
    /// The word in the settings, which logging crates understand too.
    pub fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Log {
        Log {
            level: section.choice("level", Level::default(), &LEVELS),
            target: section.choice("target", Target::default(), &TARGETS),
        }
    }
}
