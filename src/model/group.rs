//! Groups of devices and of people, and where they and people come from.

use serde::{Deserialize, Serialize};

/// An enumeration that the store, JSON and the command line know by a word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The word used in the store, in JSON and on the command line.
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word),+
                }
            }

            /// The value for a word.
            pub fn from_word(word: &str) -> Option<$name> {
                [$($name::$variant),+].into_iter().find(|value| value.word() == word)
            }
        }
    };
}

words!(
    /// What makes somebody a member of a group.
    GroupKind {
        /// Devices by their serial numbers.
        Devices = "devices",
        /// Devices that a rule fits.
        Rule = "rule",
        /// People, as the directory says.
        People = "people",
    }
);

words!(
    /// Who says that a person or a group is there.
    Source {
        /// An administrator.
        Hand = "hand",
        /// The directory that is a file.
        File = "file",
        Ldap = "ldap",
    }
);

words!(
    /// Whose a device is, as administrators say.
    Ownership {
        Organisation = "organisation",
        Personal = "personal",
        /// Nobody's: it stands somewhere for everybody.
        Kiosk = "kiosk",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for kind in [GroupKind::Devices, GroupKind::Rule, GroupKind::People] {
            assert_eq!(GroupKind::from_word(kind.word()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert_eq!(Ownership::from_word("school"), None);
        assert_eq!(Source::from_word("ldap"), Some(Source::Ldap));
    }
}
