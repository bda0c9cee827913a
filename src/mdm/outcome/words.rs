//! Error chains in words for a person: what the device said, and what can be done about it.

use super::is_vague;
use crate::mdm::report::ErrorLink;
use crate::model::Cause;

/// Longest piece of a device's own text that is shown.
const MAX_QUOTED: usize = 200;

/// The families of error numbers which vppd knows. Newer systems say `MDMErrorDomain` where older ones said
/// `MCMDMErrorDomain`, with the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Mdm,
    StoreServer,
    Store,
    StoreAccount,
    Management,
    Network,
    Http,
    Scep,
    Profile,
    Unknown,
}

fn family(domain: &str) -> Family {
    match domain {
        "MCMDMErrorDomain" | "MDMErrorDomain" => Family::Mdm,
        "ASDServerErrorDomain" => Family::StoreServer,
        "ASDErrorDomain" => Family::Store,
        "MCStoreErrorDomain" => Family::StoreAccount,
        "DMFErrorDomain" => Family::Management,
        "NSURLErrorDomain" => Family::Network,
        "MCHTTPTransactionErrorDomain" => Family::Http,
        "MCSCEPErrorDomain" => Family::Scep,
        "MCProfileErrorDomain" | "MCInstallationErrorDomain" | "MCOTAProfilesErrorDomain" => Family::Profile,
        _ => Family::Unknown,
    }
}

/// Says in one or two sentences what the chain means: the first link that says more than that something went wrong, else the
/// first that vppd knows; else the chain as it came. Ends with domain and number, for searching.
pub fn explain(chain: &[ErrorLink]) -> String {
    let known: Vec<_> = chain.iter().filter_map(|link| Some((link, meaning(link)?))).collect();
    let telling = known.iter().find(|(_, (cause, _))| !is_vague(*cause)).or(known.first());
    match telling {
        Some((link, (_, words))) => format!("{words} ({})", name(link)),
        None if chain.is_empty() => "Unknown to vppd: the device gives no reason".to_owned(),
        None => format!("Unknown to vppd; the device says: {}", raw(chain)),
    }
}

/// The chain as it came, the outermost first, in one line.
pub fn raw(chain: &[ErrorLink]) -> String {
    let link = |link: &ErrorLink| match own_words(link) {
        Some(words) => format!("{} “{words}”", name(link)),
        None => name(link),
    };
    chain.iter().map(link).collect::<Vec<_>>().join("; ")
}

/// The cause that a link names.
pub(super) fn cause(link: &ErrorLink) -> Option<Cause> {
    meaning(link).map(|(cause, _)| cause)
}

fn name(link: &ErrorLink) -> String {
    format!("{} {}", plain(&link.domain), link.code)
}

fn own_words(link: &ErrorLink) -> Option<String> {
    let texts = [link.us_english.as_deref(), link.localized.as_deref()];
    texts.into_iter().flatten().map(plain).find(|words| !words.is_empty())
}

/// A device's text, made safe for logs and pages of one line.
fn plain(text: &str) -> String {
    let spaced = text.chars().take(MAX_QUOTED).map(|c| if c.is_control() { ' ' } else { c });
    spaced.collect::<String>().trim().to_owned()
}

fn meaning(link: &ErrorLink) -> Option<(Cause, &'static str)> {
    match family(&link.domain) {
        Family::Mdm => of_mdm(link.code),
        Family::StoreServer if link.code == 9610 => Some((Cause::LicenceNotSeen, NO_LICENCE)),
        Family::Store if link.code == 506 => Some((Cause::InProgress, "The device is installing this app already.")),
        Family::Management if link.code == 2605 => Some((Cause::LicenceNotSeen, NO_LICENCE)),
        Family::StoreAccount => Some(match link.code {
            30001 => {
                (Cause::Unreachable, "The App Store did not answer the sign-in in time. The device should try again.")
            }
            _ => (
                Cause::SignIn,
                "The sign-in to the App Store failed. The person should sign in again in the settings of the device.",
            ),
        }),
        Family::Network => Some((
            Cause::Unreachable,
            "The device could not reach a server. Check its network, and that the network lets it reach Apple and \
             this appliance.",
        )),
        Family::Http => Some((
            Cause::Unreachable,
            "A server answered the device badly. Check the proxies before this appliance, and the journal.",
        )),
        Family::Scep => Some((
            Cause::IdentityRefused,
            "The device could not get its certificate. The journal says what vppd did not like.",
        )),
        Family::Profile => Some((Cause::ProfileRefused, "The device does not take the profile. It keeps what it had.")),
        Family::Store | Family::StoreServer | Family::Management | Family::Unknown => None,
    }
}

const NO_LICENCE: &str = "Apple's store does not find a licence for this app and device. Fresh licences can take some \
                          minutes to arrive; if it stays, check the assignment.";
const WRONG_COMMAND: &str = "The device did not accept the command as it was sent. This is a fault of vppd: please \
                             report it.";
const NOT_MANAGED: &str = "The app on the device is not managed by this appliance, so it cannot be changed or removed \
                           from here.";
const ENROLMENT: &str = "The device finds its own enrolment damaged. Enrol it again.";

/// The family of device management itself.
fn of_mdm(code: i64) -> Option<(Cause, &'static str)> {
    use Cause::*;
    Some(match code {
        12000 => (EnrolmentDamaged, "The device finds the access rights of the enrolment invalid. Enrol it again."),
        12001 => {
            (EnrolmentDamaged, "The device has an enrolment with a management server already. Remove that one first.")
        }
        12002 => (
            Unreachable,
            "The device could not reach the check-in address of this appliance. Check name, network and certificate.",
        ),
        12004 => (PushTrouble, "The device finds the push certificate or its topic wrong. Check the push certificate."),
        12005 | 12011 | 12016 | 12079 => (EnrolmentDamaged, ENROLMENT),
        12006 => (
            Unreachable,
            "The device was sent on to another address and refused. Check the proxies before this appliance.",
        ),
        12007 => (RightMissing, "The enrolment lacks the access right for this. Enrol the device again."),
        12009 | 12012 => {
            (ProfileRefused, "The new profile does not match the one it should replace. The device keeps the old one.")
        }
        12010 => (DeviceTrouble, "The device reports an internal error. Restarting it often helps."),
        12013 => (ProfileRefused, "The profile on the device was not installed by this appliance."),
        12015 => (PushTrouble, "The device has no push token yet. Check that it reaches Apple's push service."),
        12020 => (EnrolmentDamaged, "This appliance refused the device, which then removed its enrolment."),
        12022 => (
            PushTrouble,
            "The push topic of the enrolment is not the one of the push certificate. Enrol the device again.",
        ),
        12023 => (NotInStore, "The App Store of the device's country does not know this app, or could not be reached."),
        12025 => {
            (OwnCopy, "The person has installed this app before. They can allow the take-over, or delete their copy.")
        }
        12026 | 12064 => (LicenceNotSeen, NO_LICENCE),
        12047 => (
            LicenceNotSeen,
            "Apple's store does not find the licence for this book. It can take some minutes to arrive.",
        ),
        12027 => (WrongKind, "This number in the store is not an app."),
        12028 | 12037 => (CodeWanted, "The device wanted a redemption code, which licences do not need."),
        12029 | 12038 => (NotManaged, NOT_MANAGED),
        12031 => (InstallingForbidden, "A restriction on the device forbids installing apps."),
        12035 => (NotForSale, "This app cannot be bought in the store of the device's country."),
        12036 => {
            (Busy, "The app cannot be removed in its present state. Wait until an installation or update has ended.")
        }
        12040 => (SignIn, "The App Store wants a sign-in. The person should sign in in the settings of the device."),
        12043 => (DownloadFailed, "The download of the book failed."),
        12044 => (WrongKind, "The number in the store does not belong to a book."),
        12046 => (NotInStore, "The store does not know this book."),
        12048 => (NoUpdate, "There is no update for this app on the device."),
        12063 => (Declined, "The person declined. They can install the app themselves when they want it."),
        12065 => (SystemApp, "This app is part of the system and cannot be installed or removed."),
        12076 => (NotPerPerson, "This is not possible for single users of the device."),
        12003 | 12008 | 12021 | 12024 | 12030 | 12032 | 12033 | 12034 | 12081 => (VppdFault, WRONG_COMMAND),
        _ => return None,
    })
}
