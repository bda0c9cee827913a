//! A user that is registered at Apple: where it stands there, and the code of its invitation.

use std::fmt;

/// Where a user stands at Apple.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserStatus {
    /// Registered, and linked to no Apple Account yet.
    Registered,
    /// Linked to an Apple Account.
    Associated,
    Retired,
    /// Of the service's first version: the person came back as a newer record.
    Deleted,
    /// A word of Apple's that nobody knows yet, or none.
    Other(String),
}

impl UserStatus {
    /// Apple's word.
    pub fn word(&self) -> &str {
        match self {
            UserStatus::Registered => "Registered",
            UserStatus::Associated => "Associated",
            UserStatus::Retired => "Retired",
            UserStatus::Deleted => "Deleted",
            UserStatus::Other(word) => word,
        }
    }

    /// Whether licences can be assigned to the user. An unknown word is taken for a newer kind of that: whoever registers
    /// the user again is told so by Apple.
    pub fn is_active(&self) -> bool {
        match self {
            UserStatus::Registered | UserStatus::Associated => true,
            UserStatus::Retired | UserStatus::Deleted => false,
            UserStatus::Other(word) => !word.is_empty(),
        }
    }
}

impl From<&str> for UserStatus {
    fn from(word: &str) -> UserStatus {
        match word {
            "Registered" => UserStatus::Registered,
            "Associated" => UserStatus::Associated,
            "Retired" => UserStatus::Retired,
            "Deleted" => UserStatus::Deleted,
            other => UserStatus::Other(other.to_owned()),
        }
    }
}

/// What can be asked of Apple for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserVerb {
    Create,
    Update,
    Retire,
}

impl UserVerb {
    /// The word for the disk and for people.
    pub fn word(self) -> &'static str {
        match self {
            UserVerb::Create => "create",
            UserVerb::Update => "update",
            UserVerb::Retire => "retire",
        }
    }

    /// The verb of a word.
    pub fn from_word(word: &str) -> Option<UserVerb> {
        [UserVerb::Create, UserVerb::Update, UserVerb::Retire].into_iter().find(|verb| verb.word() == word)
    }
}

/// What makes an invitation's link: whoever has it can link the user to an Apple Account, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteCode(String);

impl InviteCode {
    /// The code as Apple gave it; `None` for an empty one.
    pub fn read(text: &str) -> Option<InviteCode> {
        (!text.is_empty()).then(|| InviteCode(text.to_owned()))
    }

    /// The code itself: for the link and for the disk.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for InviteCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InviteCode(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_and_sorted_into_active_and_not() {
        for (word, active) in [
            ("Registered", true),
            ("Associated", true),
            ("Retired", false),
            ("Deleted", false),
            ("Resting", true),
            ("", false),
        ] {
            let status = UserStatus::from(word);
            assert_eq!((status.word(), status.is_active()), (word, active));
        }
    }

    #[test]
    fn an_invitation_is_not_printed() {
        let code = InviteCode::read("0d4f6c1a9be24c6d").unwrap();
        assert!(!format!("{code:?}").contains("0d4f"));
        assert_eq!(InviteCode::read(""), None);
    }
}
