//! Error chains in words for a person: what the device said, and what can be done about it.

use std::fmt::{Display, Formatter, Result};

use super::{Final, Need, Stop};
use crate::mdm::report::ErrorLink;

/// Longest piece of a device's own text that is shown.
const MAX_QUOTED: usize = 200;

/// The families of error numbers which vppd knows. Newer systems say `MDMErrorDomain` where older ones said
/// `MCMDMErrorDomain`, with the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Mdm,
    StoreServer,
    Store,
    StoreAccount,
    Management,
    Network,
    Unknown,
}

/// Finds the family of a domain.
pub fn family(domain: &str) -> Family {
    match domain {
        "MCMDMErrorDomain" | "MDMErrorDomain" => Family::Mdm,
        "ASDServerErrorDomain" => Family::StoreServer,
        "ASDErrorDomain" => Family::Store,
        "MCStoreErrorDomain" => Family::StoreAccount,
        "DMFErrorDomain" => Family::Management,
        "NSURLErrorDomain" => Family::Network,
        _ => Family::Unknown,
    }
}

impl Display for Need {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Need::Accept => "The device asks the person to agree. Nothing happens until somebody answers there.",
            Need::SignIn => "The App Store on the device wants a sign-in. The person should sign in there.",
            Need::AllowTakeOver => {
                "The device asks whether the organisation may manage the person's own copy of the app."
            }
            Need::DeleteOwnCopy => "The person has an own copy of the app. It must be deleted before ours can come.",
            Need::LicenceNotSeen => {
                "Apple's store still does not see the licence for this device, after several tries. Check the \
                 assignment, then send the app again."
            }
            Need::Unexplained => {
                "The device failed several times and was left alone. See what it says, then send again."
            }
        })
    }
}

impl Display for Stop {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Stop::InstallDeclined => "The person declined to install the app. It is not sent again by itself.",
            Stop::UpdateDeclined => "The person declined the update. The old version stays.",
            Stop::TakeOverDeclined => "The person declined to have their own copy of the app managed.",
            Stop::Deleted => "The person deleted the app. Its licence is still assigned.",
        })
    }
}

impl Display for Final {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Final::NotSupported => "The app does not run on this model or this version of its system.",
            Final::InstallingDisabled => "A restriction on the device forbids installing apps.",
            Final::SystemApp => "The app is part of the device's system.",
            Final::NotAnApp => "The number in the store belongs to something that is not an app.",
        })
    }
}

/// Says in one or two sentences what the chain means. The first link that vppd knows counts, from the outermost on;
/// else the device's own words are quoted, from the innermost link. Ends with domain and number, for searching.
pub fn explain(chain: &[ErrorLink]) -> String {
    if let Some((link, meaning)) = chain.iter().find_map(|link| Some((link, meaning(link)?))) {
        return format!("{meaning} ({})", name(link));
    }
    let quoted = chain.iter().rev().find_map(|link| Some((link, own_words(link)?)));
    match (quoted, chain.last()) {
        (Some((link, words)), _) => format!("The device says: “{words}” ({})", name(link)),
        (None, Some(link)) => format!("The device gives only an error number ({})", name(link)),
        (None, None) => "The device gives no reason".to_owned(),
    }
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

fn meaning(link: &ErrorLink) -> Option<&'static str> {
    match family(&link.domain) {
        Family::Mdm => of_mdm(link.code),
        Family::StoreServer if link.code == 9610 => Some(NO_LICENCE),
        Family::Store if link.code == 506 => Some("The device is installing this app already."),
        Family::Management if link.code == 2605 => Some(NO_LICENCE),
        Family::StoreAccount => Some(match link.code {
            30001 => "The App Store did not answer the sign-in in time. The device should try again.",
            _ => "The sign-in to the App Store failed. The person should sign in again in the settings of the device.",
        }),
        Family::Network => Some(
            "The device could not reach a server. Check its network, and that the network lets it reach Apple and \
             this appliance.",
        ),
        _ => None,
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
fn of_mdm(code: i64) -> Option<&'static str> {
    Some(match code {
        12000 => "The device finds the access rights of the enrolment invalid. Enrol it again.",
        12001 => "The device has an enrolment with a management server already. Remove that one first.",
        12002 => {
            "The device could not reach the check-in address of this appliance. Check name, network and certificate."
        }
        12004 => "The device finds the push certificate or its topic wrong. Check the push certificate.",
        12005 | 12011 | 12016 | 12079 => ENROLMENT,
        12006 => "The device was sent on to another address and refused. Check the proxies before this appliance.",
        12007 => "The enrolment lacks the access right for this. Enrol the device again.",
        12008 | 12021 => WRONG_COMMAND,
        12009 | 12012 => "The new profile does not match the one it should replace. The device keeps the old one.",
        12010 => "The device reports an internal error. Restarting it often helps.",
        12013 => "The profile on the device was not installed by this appliance.",
        12015 => "The device has no push token yet. Check that it reaches Apple's push service.",
        12020 => "This appliance refused the device, which then removed its enrolment.",
        12022 => "The push topic of the enrolment is not the one of the push certificate. Enrol the device again.",
        12023 => "The App Store of the device's country does not know this app, or could not be reached.",
        12025 => "The person has installed this app before. They can allow the take-over, or delete their copy.",
        12026 | 12064 => NO_LICENCE,
        12047 => "Apple's store does not find the licence for this book. It can take some minutes to arrive.",
        12027 => "This number in the store is not an app.",
        12028 | 12037 => "The device wanted a redemption code, which licences do not need.",
        12029 | 12038 => NOT_MANAGED,
        12031 => "A restriction on the device forbids installing apps.",
        12035 => "This app cannot be bought in the store of the device's country.",
        12036 => "The app cannot be removed in its present state. Wait until an installation or update has ended.",
        12040 => "The App Store wants a sign-in. The person should sign in in the settings of the device.",
        12043 => "The download of the book failed.",
        12044 | 12046 => "The store does not know this book.",
        12048 => "There is no update for this app on the device.",
        12063 => "The person declined. They can install the app themselves when they want it.",
        12065 => "This app is part of the system and cannot be installed or removed.",
        12076 => "This is not possible for single users of the device.",
        12003 | 12024 | 12030 | 12032 | 12033 | 12034 | 12081 => WRONG_COMMAND,
        _ => return None,
    })
}
