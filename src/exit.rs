//! How the process ends, in numbers that scripts and systemd can act on. 0: done, or the daemon was told to end.

/// Something failed; trying again may help, and systemd does.
pub const FAILED: u8 = 1;
/// The arguments are wrong (clap's number).
pub const WRONG_ARGUMENTS: u8 = 2;
/// The state directory holds what this vppd cannot work with (EX_DATAERR): trying again does not help.
pub const WRONG_STATE: u8 = 65;
/// The settings are wrong (EX_CONFIG): trying again does not help.
pub const WRONG_SETTINGS: u8 = 78;

/// The daemon cannot start before a person has changed something.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    #[error("{0:#}")]
    Settings(anyhow::Error),
    #[error("{0:#}")]
    State(anyhow::Error),
}

impl CannotStart {
    pub fn settings(error: impl Into<anyhow::Error>) -> CannotStart {
        CannotStart::Settings(error.into())
    }

    pub fn state(error: impl Into<anyhow::Error>) -> CannotStart {
        CannotStart::State(error.into())
    }

    pub fn code(&self) -> u8 {
        match self {
            CannotStart::Settings(_) => WRONG_SETTINGS,
            CannotStart::State(_) => WRONG_STATE,
        }
    }
}
