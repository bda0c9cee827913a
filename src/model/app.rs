//! Where one app stands on one device, as far as vppd knows.

/// The app's state on the device. Kept per pair; absent means [`App::None`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum App {
    /// Nothing was done, and the device has not told of it.
    None = 0,
    /// An install command waits in the queue, or was sent and not answered.
    InstallQueued = 1,
    /// The device accepted the install and works on it.
    Working = 2,
    /// The device asks its user.
    WaitingForPerson = 3,
    /// There and managed.
    Installed = 4,
    /// The person declined. Not repeated by itself.
    Rejected = 5,
    /// The install failed and will be tried again.
    InstallRetry = 6,
    /// The install failed for good.
    Failed = 7,
    /// A remove command waits in the queue, or was sent and not answered.
    RemoveQueued = 8,
    /// The device accepted the removal; its list has not confirmed it yet.
    RemoveUnconfirmed = 9,
    /// The removal failed and will be tried again.
    RemoveRetry = 10,
    /// Removed by us, confirmed by the device.
    Removed = 11,
}

const ALL: [App; 12] = [
    App::None,
    App::InstallQueued,
    App::Working,
    App::WaitingForPerson,
    App::Installed,
    App::Rejected,
    App::InstallRetry,
    App::Failed,
    App::RemoveQueued,
    App::RemoveUnconfirmed,
    App::RemoveRetry,
    App::Removed,
];

impl App {
    /// The number the store keeps.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The state for a number of the store.
    pub fn from_code(code: u8) -> Option<App> {
        ALL.get(usize::from(code)).copied()
    }

    /// Whether the device may have the app, or part of it, so that leaving it alone would leave it there.
    pub fn may_be_on_the_device(self) -> bool {
        matches!(self, App::Working | App::WaitingForPerson | App::Installed | App::RemoveRetry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back_from_its_number() {
        for state in ALL {
            assert_eq!(App::from_code(state.code()), Some(state));
        }
        assert_eq!(App::from_code(12), None);
    }
}
