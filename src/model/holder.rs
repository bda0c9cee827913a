//! Who holds a licence: a device by its serial number, or a registered user.

/// The two kinds of holders. One request to Apple is about one kind: that both are taken together is not documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HolderKind {
    Serial,
    User,
}

impl HolderKind {
    /// The word for the disk.
    pub fn word(self) -> &'static str {
        match self {
            HolderKind::Serial => "serial",
            HolderKind::User => "user",
        }
    }

    /// The kind for a word.
    pub fn from_word(word: &str) -> Option<HolderKind> {
        [HolderKind::Serial, HolderKind::User].into_iter().find(|kind| kind.word() == word)
    }
}

/// Who holds a licence, or shall.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    Serial(String),
    /// `clientUserId` of a registered user.
    User(String),
}

impl Holder {
    /// The holder of this kind with this id.
    pub fn of(kind: HolderKind, id: String) -> Holder {
        match kind {
            HolderKind::Serial => Holder::Serial(id),
            HolderKind::User => Holder::User(id),
        }
    }

    pub fn kind(&self) -> HolderKind {
        match self {
            Holder::Serial(_) => HolderKind::Serial,
            Holder::User(_) => HolderKind::User,
        }
    }

    /// The serial number, or the `clientUserId`.
    pub fn id(&self) -> &str {
        match self {
            Holder::Serial(id) | Holder::User(id) => id,
        }
    }
}

/// The holders of one request: all of one kind, nobody twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holders {
    Serials(Vec<String>),
    Users(Vec<String>),
}

impl Holders {
    /// Those of this kind with these ids.
    pub fn of(kind: HolderKind, ids: Vec<String>) -> Holders {
        match kind {
            HolderKind::Serial => Holders::Serials(ids),
            HolderKind::User => Holders::Users(ids),
        }
    }

    pub fn kind(&self) -> HolderKind {
        match self {
            Holders::Serials(_) => HolderKind::Serial,
            Holders::Users(_) => HolderKind::User,
        }
    }

    /// The serial numbers, or the `clientUserId`s.
    pub fn ids(&self) -> &[String] {
        match self {
            Holders::Serials(ids) | Holders::Users(ids) => ids,
        }
    }

    /// Each by itself.
    pub fn each(&self) -> impl Iterator<Item = Holder> {
        let kind = self.kind();
        self.ids().iter().map(move |id| Holder::of(kind, id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_reads_as_it_is_written_and_a_holder_keeps_its_kind() {
        for kind in [HolderKind::Serial, HolderKind::User] {
            assert_eq!(HolderKind::from_word(kind.word()), Some(kind));
            let holders = Holders::of(kind, vec!["A".into(), "B".into()]);
            assert!(holders.each().all(|holder| holder.kind() == kind));
            assert_eq!(holders.each().map(|holder| holder.id().to_owned()).collect::<Vec<_>>(), holders.ids());
        }
        assert_eq!(HolderKind::from_word("person"), None);
    }
}
