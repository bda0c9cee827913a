//! What a device will ask its person when an app comes: by who owns the device, whether it is supervised, and whose licence it
//! is (Apple: Distribute content, Managed apps). Told before a deployment is made.

use crate::model::Ownership;

/// One device, as far as its prompts depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Situation {
    pub ownership: Ownership,
    /// `iOS`, `macOS`, ...; empty when the model is not known.
    pub platform: &'static str,
    /// A device that has not told it is taken for one that is not.
    pub supervised: bool,
    /// Enrolled as the person's own (User Enrollment): it has no serial number.
    pub user_enrolment: bool,
    /// The licence is that of the device's person.
    pub by_user: bool,
    /// The person has not joined the registered user yet.
    pub invited: bool,
}

/// What is asked. Nothing of it: the app comes in silence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prompts {
    /// The person accepts an invitation first, once for all apps.
    pub invitation: bool,
    /// The person agrees that the app is installed and managed.
    pub install: bool,
    /// The person signs in to the App Store, unless the account with the licence is signed in.
    pub account: bool,
}

/// Why a licence of this kind is not offered for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotOffered {
    /// Nobody has an account on it.
    Kiosk,
    /// It has no serial number.
    UserEnrolment,
}

/// What the device will ask, or why there is nothing to ask.
pub fn prompts(device: &Situation) -> Result<Prompts, NotOffered> {
    let Situation { by_user, user_enrolment, supervised, .. } = *device;
    if by_user && device.ownership == Ownership::Kiosk {
        return Err(NotOffered::Kiosk);
    }
    if !by_user && user_enrolment {
        return Err(NotOffered::UserEnrolment);
    }
    let mac = device.platform == "macOS";
    Ok(Prompts {
        invitation: by_user && device.invited,
        install: !supervised && !mac,
        // In User Enrollment the account of the enrolment holds the licence.
        account: by_user && !user_enrolment,
    })
}

impl NotOffered {
    /// The reason, as the end of a sentence.
    pub fn words(self) -> &'static str {
        match self {
            NotOffered::Kiosk => "at a kiosk, which is nobody's: a licence by user is not offered there",
            NotOffered::UserEnrolment => {
                "enrolled as the person's own, without a serial number: only a licence by user fits"
            }
        }
    }
}

impl Prompts {
    /// What is asked, in words.
    pub fn words(self) -> String {
        let asked = [
            (self.invitation, "to accept the invitation"),
            (self.install, "to agree to the install"),
            (self.account, "to sign in to the App Store, unless the account with the licence is signed in"),
        ];
        let asked: Vec<&str> = asked.into_iter().filter(|(asked, _)| *asked).map(|(_, words)| words).collect();
        if asked.is_empty() {
            "nobody is asked anything".into()
        } else {
            format!("the person is asked {}", asked.join(", then "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation(by_user: bool, supervised: bool) -> Situation {
        Situation {
            ownership: Ownership::Organisation,
            platform: "iOS",
            supervised,
            user_enrolment: false,
            by_user,
            invited: false,
        }
    }

    #[test]
    fn every_combination_has_its_prompts() {
        let asked = |situation: Situation| prompts(&situation).map(|asked| (asked.install, asked.account));
        assert_eq!(asked(situation(false, true)), Ok((false, false)), "silent");
        assert_eq!(asked(situation(false, false)), Ok((true, false)));
        assert_eq!(asked(situation(true, true)), Ok((false, true)));
        assert_eq!(asked(situation(true, false)), Ok((true, true)));
        let mac = |by_user| Situation { platform: "macOS", ..situation(by_user, false) };
        assert_eq!((asked(mac(false)), asked(mac(true))), (Ok((false, false)), Ok((false, true))));
        let own = |by_user| Situation { user_enrolment: true, ..situation(by_user, false) };
        assert_eq!((asked(own(false)), asked(own(true))), (Err(NotOffered::UserEnrolment), Ok((true, false))));
        let kiosk = |by_user| Situation { ownership: Ownership::Kiosk, ..situation(by_user, true) };
        assert_eq!((asked(kiosk(false)), asked(kiosk(true))), (Ok((false, false)), Err(NotOffered::Kiosk)));
    }

    #[test]
    fn what_is_asked_is_said_in_order() {
        let all = prompts(&Situation { invited: true, ..situation(true, false) }).unwrap();
        let words = "the person is asked to accept the invitation, then to agree to the install, then to sign in to the App \
                     Store, unless the account with the licence is signed in";
        assert_eq!(all.words(), words);
        assert_eq!(Prompts::default().words(), "nobody is asked anything");
    }
}
