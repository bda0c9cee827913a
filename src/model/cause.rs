//! Why something did not happen: the plain causes that a person is told, whoever said it, a device or Apple's service. Numbers
//! and words of Apple's are sorted into these in `mdm::outcome` and `apple::numbers`; what follows from them is decided in
//! `licensing::progress`.

use Cause::*;

/// A cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    // What a device says.
    LicenceNotSeen,
    SignIn,
    Declined,
    TakeOverDeclined,
    OwnCopy,
    Deleted,
    InProgress,
    NotSupported,
    InstallingForbidden,
    SystemApp,
    WrongKind,
    NotInStore,
    NotForSale,
    NotManaged,
    Busy,
    DownloadFailed,
    NoUpdate,
    NotPerPerson,
    CodeWanted,
    Unreachable,
    DeviceTrouble,
    RightMissing,
    EnrolmentDamaged,
    IdentityRefused,
    ProfileRefused,
    PushTrouble,
    // What Apple's service says.
    NoLicenceFree,
    NoSuchUser,
    AccountTrouble,
    Irrevocable,
    NotForDevices,
    TokenTrouble,
    AppleBusy,
    TooLarge,
    OutOfDate,
    BadAddress,
    AlreadySo,
    NotReached,
    // What follows from silence.
    NoAnswer,
    NobodyAnswered,
    Stuck,
    Vanished,
    // Of both.
    VppdFault,
    Unknown,
}

/// Each with its word, what it means, and what can be done.
const ALL: [(Cause, &str, &str, &str); 44] = [
    (
        LicenceNotSeen,
        "licence-not-seen",
        "Apple's store does not find a licence for this app and device",
        "Fresh licences take some minutes to arrive, and vppd tries three times. If it stays, look whether Apple lists the \
         licence (vppd sync), then: vppd device retry",
    ),
    (
        SignIn,
        "sign-in",
        "the App Store on the device wants a sign-in",
        "The person signs in to the App Store in the settings of the device; or give the device a licence of its own.",
    ),
    (
        Declined,
        "declined",
        "the person with the device declined",
        "It is not asked again by itself. When the person wants it: vppd device retry",
    ),
    (
        TakeOverDeclined,
        "take-over-declined",
        "the person declined to have their own copy of the app managed",
        "When the person agrees: vppd device retry",
    ),
    (
        OwnCopy,
        "own-copy",
        "the person has an own copy of the app, which vppd may not take over",
        "The person deletes that copy; then: vppd device retry",
    ),
    (Deleted, "deleted", "the app was deleted on the device", "Nothing: vppd installs it again."),
    (
        InProgress,
        "in-progress",
        "the device is installing the app already",
        "Nothing: vppd asks the device how far it is.",
    ),
    (
        NotSupported,
        "not-supported",
        "the app does not run on this model, or on this version of its system",
        "Update the system of the device (vppd then tries again by itself), or take the device out of the deployment.",
    ),
    (
        InstallingForbidden,
        "installing-forbidden",
        "a restriction on the device forbids installing apps",
        "Lift the restriction, then: vppd device retry",
    ),
    (
        SystemApp,
        "system-app",
        "the app is part of the device's system",
        "Take the device out of the deployment: there is nothing to install.",
    ),
    (
        WrongKind,
        "wrong-kind",
        "the number in the store belongs to something else: not an app where an app was meant, or not a book",
        "Look at the Adam ID of the deployment: vppd app list",
    ),
    (
        NotInStore,
        "not-in-store",
        "the App Store of the device's country does not know the app, or could not be asked",
        "Check that the app is offered in the country of the device's account; vppd tries again meanwhile.",
    ),
    (
        NotForSale,
        "not-for-sale",
        "the app cannot be bought in the store of the device's country",
        "Use a location of that country, or another app.",
    ),
    (
        NotManaged,
        "not-managed",
        "the app on the device is not managed by vppd",
        "Nothing: vppd leaves alone what it has not installed.",
    ),
    (
        Busy,
        "busy",
        "the app cannot be removed in its present state",
        "Nothing: vppd tries again when the device has finished.",
    ),
    (DownloadFailed, "download-failed", "the download failed", "Check the network of the device; vppd tries again."),
    (NoUpdate, "no-update", "there is no update of the app for this device", "Nothing."),
    (
        NotPerPerson,
        "not-per-person",
        "the device does not do this for single users",
        "Give the device a licence of its own: --licence device",
    ),
    (
        CodeWanted,
        "code-wanted",
        "the device wants a redemption code, which licences do not need",
        "Another MDM may have asked for the app with a code. Remove the app on the device, then: vppd device retry",
    ),
    (
        Unreachable,
        "unreachable",
        "the device could not reach a server that it needs",
        "Check its network: it must reach Apple's servers and this appliance. vppd tries again.",
    ),
    (
        DeviceTrouble,
        "device-trouble",
        "the device reports an internal error",
        "Restarting the device often helps; vppd tries again.",
    ),
    (
        RightMissing,
        "right-missing",
        "the enrolment lacks the right for this",
        "Enrol the device again: its profile is older than what is asked of it.",
    ),
    (EnrolmentDamaged, "enrolment-damaged", "the device finds its enrolment damaged", "Enrol the device again."),
    (
        IdentityRefused,
        "identity-refused",
        "the device could not get its certificate",
        "Look at the journal for why vppd refused it (journalctl -u vppd), then enrol the device again.",
    ),
    (
        ProfileRefused,
        "profile-refused",
        "the device does not take the profile",
        "The device keeps what it had. Make a new profile (vppd enrol profile) and enrol it again.",
    ),
    (
        PushTrouble,
        "push-trouble",
        "the device and the push certificate do not go together",
        "Check the push certificate: vppd status. A device enrolled with another topic must enrol again.",
    ),
    (
        NoLicenceFree,
        "no-licence-free",
        "Apple has no licence left",
        "Buy licences, or free some: vppd app waste. The device waits in line.",
    ),
    (
        NoSuchUser,
        "no-such-user",
        "Apple does not know the person as a registered user",
        "Nothing: vppd registers the person again and then asks for the licence.",
    ),
    (
        AccountTrouble,
        "account-trouble",
        "the person's Apple Account is not linked to the registered user, or cannot be",
        "Look at the person: vppd user show. An Apple Account goes with one user only.",
    ),
    (Irrevocable, "irrevocable", "Apple does not take this licence back", "Nothing can be done: it stays given."),
    (
        NotForDevices,
        "not-for-devices",
        "Apple does not give licences of this app to devices",
        "Deploy it with --licence user, or --licence device-if-possible.",
    ),
    (
        TokenTrouble,
        "token-trouble",
        "Apple does not accept the content token of the location",
        "Look at it: vppd token list. Download a new one in Apple's portal, then: vppd token renew",
    ),
    (AppleBusy, "apple-busy", "Apple's service did not take the request now", "Nothing: vppd tries again."),
    (TooLarge, "too-large", "Apple's service takes only smaller requests", "Nothing: vppd sends it in parts."),
    (OutOfDate, "out-of-date", "what vppd knew of the location was out of date", "Nothing: vppd has read it anew."),
    (BadAddress, "bad-address", "Apple does not accept the person's e-mail address", "Correct it: vppd user edit"),
    (AlreadySo, "already-so", "Apple says that it is so already", "Nothing."),
    (
        NotReached,
        "not-reached",
        "Apple could not reach the address for its notifications",
        "Check [notifications] and the way in from the Internet; vppd asks Apple by the clock meanwhile.",
    ),
    (
        NoAnswer,
        "no-answer",
        "the device comes and puts the command off, again and again",
        "See that the device is unlocked and its set-up finished, then: vppd device retry",
    ),
    (
        NobodyAnswered,
        "nobody-answered",
        "the device has asked its person, and nobody has answered for long",
        "Ask the person to agree when the device asks again, then: vppd device retry",
    ),
    (
        Stuck,
        "stuck",
        "the device has been working on it for too long",
        "Check its network and its free space; vppd tries again.",
    ),
    (
        Vanished,
        "vanished",
        "the device accepted the install and then no longer showed the app",
        "Nothing: vppd tries again. If it stays, look at the device's own list of apps.",
    ),
    (
        VppdFault,
        "vppd-fault",
        "a command or a request was not as it should be, which is a fault of vppd",
        "Please report it, with what is shown here. It is not repeated by itself.",
    ),
    (
        Unknown,
        "unknown",
        "unknown to vppd",
        "What is shown here is all that was said; searching for the numbers may help. vppd tries again some times.",
    ),
];

impl Cause {
    /// The word that the store, JSON and people use.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// The cause for a word.
    pub fn from_word(word: &str) -> Option<Cause> {
        ALL.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    /// What it means, as half a sentence.
    pub fn means(self) -> &'static str {
        self.row().2
    }

    /// What can be done about it, and by whom.
    pub fn advice(self) -> &'static str {
        self.row().3
    }

    /// Every cause.
    pub fn all() -> impl Iterator<Item = Cause> {
        ALL.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Cause, &'static str, &'static str, &'static str) {
        ALL.iter().find(|row| row.0 == self).unwrap_or(&ALL[ALL.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_row_of_its_own_and_reads_back_from_its_word() {
        let mut last = None;
        for cause in Cause::all() {
            assert!(last < Some(cause), "{cause:?} is not in order");
            assert_eq!(Cause::from_word(cause.word()), Some(cause));
            assert!(!cause.means().ends_with('.') && !cause.advice().is_empty(), "{cause:?}");
            last = Some(cause);
        }
        assert_eq!(last, Some(Cause::Unknown));
        assert_eq!(Cause::from_word("?"), None);
    }
}
