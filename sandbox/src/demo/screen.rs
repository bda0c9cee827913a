//! The demo's face: bars on a terminal, a line now and then elsewhere, and colours only where a person sees them.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::appliance::{Look, Stage};

/// Where progress is shown.
pub struct Screen {
    bars: MultiProgress,
    terminal: bool,
    last: String,
}

/// The stages that have a bar, in the order in which a pair goes through them.
const SHOWN: [(&str, &[Stage]); 7] = [
    ("waiting for a licence", &[Stage::WaitingForLicence]),
    ("licence requested", &[Stage::LicenceRequested]),
    ("command waits", &[Stage::InstallQueued]),
    ("installing", &[Stage::Installing]),
    ("waiting for a person", &[Stage::WaitingForPerson]),
    ("declined or failed", &[Stage::Rejected, Stage::Failed, Stage::Blocked]),
    ("installed", &[Stage::Installed]),
];

/// Bars for the stages of all pairs.
pub struct StageBars(Vec<ProgressBar>);

impl Screen {
    /// Standard error for bars, standard output for everything else.
    pub fn new() -> Screen {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Screen { bars: MultiProgress::with_draw_target(target), terminal, last: String::new() }
    }

    /// Whether a person looks on.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Colours for what is printed.
    pub fn paint(&self) -> Paint {
        Paint(self.terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        self.bars.suspend(|| println!("{line}"));
    }

    /// A bar for `length` things.
    pub fn bar(&self, name: &'static str, length: u64) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(length).with_prefix(name));
        if let Ok(style) = ProgressStyle::with_template("  {prefix:22} [{bar:40}] {pos:>5} / {len}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }

    /// A bar for each stage.
    pub fn stage_bars(&self, pairs: u64) -> StageBars {
        StageBars(SHOWN.iter().map(|(name, _)| self.bar(name, pairs)).collect())
    }

    /// Shows where all pairs are: on the bars, and as a line where there are none.
    pub fn show(&mut self, bars: &StageBars, look: &Look) {
        let stages = look.stages();
        let counts: Vec<(&str, u64)> = SHOWN.iter().map(|(name, parts)| (*name, sum(&stages, parts))).collect();
        for (bar, (_, count)) in bars.0.iter().zip(&counts) {
            bar.set_position(*count);
        }
        let parts = counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}"));
        let line = parts.collect::<Vec<_>>().join(", ");
        if !self.terminal && line != self.last {
            println!("  {line}");
        }
        self.last = line;
    }

    /// Takes the bars away.
    pub fn clear(&self) {
        // What cannot be cleared stays on the screen.
        let _ = self.bars.clear();
    }
}

impl Default for Screen {
    fn default() -> Screen {
        Screen::new()
    }
}

fn sum(stages: &BTreeMap<Stage, u64>, parts: &[Stage]) -> u64 {
    parts.iter().filter_map(|stage| stages.get(stage)).sum()
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.with("31;1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
