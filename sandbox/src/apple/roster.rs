//! The registered users of a location, with their history: of one clientUserId there can be any number of retired records
//! and at most one active one.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::errors::AppleError;
use super::wire::UserRecord;

/// Where a user stands. Apple: ResponseUser, status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserStatus {
    /// Nobody has accepted the invitation yet.
    Registered,
    /// Linked to an Apple Account.
    Associated,
    Retired,
    /// Of the first version of the service: retired, and the person came back as a newer record.
    Deleted,
}

impl UserStatus {
    pub(super) fn is_active(self) -> bool {
        matches!(self, UserStatus::Registered | UserStatus::Associated)
    }
}

/// One record.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub client_user_id: String,
    pub email: Option<String>,
    /// The Apple Account it is linked to, or was when it was retired.
    pub account: Option<String>,
    /// While nobody has accepted.
    pub invite_code: Option<String>,
    pub status: UserStatus,
    /// The change that wrote it last.
    pub change: u64,
}

impl User {
    /// Apple's hash of the account's id.
    pub(super) fn id_hash(&self) -> Option<String> {
        let hash = |account: &String| digest(&SHA1_FOR_LEGACY_USE_ONLY, account.to_lowercase().as_bytes());
        self.account.as_ref().map(|account| BASE64_STANDARD.encode(hash(account)))
    }

    pub(super) fn to_record(&self) -> UserRecord {
        UserRecord {
            client_user_id: self.client_user_id.clone(),
            email: self.email.clone(),
            id_hash: self.id_hash(),
            invite_code: self.invite_code.clone(),
            status: Some(self.status),
        }
    }
}

/// What is asked of create and update.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub client_user_id: String,
    pub email: Option<String>,
    /// A Managed Apple Account to link at once.
    pub account: Option<String>,
}

/// The records in the order they were made; a record's index is its identity.
#[derive(Debug, Clone, Default)]
pub(super) struct Roster {
    records: Vec<User>,
    active: HashMap<String, usize>,
}

impl Roster {
    pub(super) fn records(&self) -> &[User] {
        &self.records
    }

    pub(super) fn get(&self, record: usize) -> Option<&User> {
        self.records.get(record)
    }

    /// The record of this clientUserId that is not retired.
    pub(super) fn active(&self, id: &str) -> Option<usize> {
        self.active.get(id).copied()
    }

    /// The active records.
    pub(super) fn all_active(&self) -> impl Iterator<Item = &User> {
        self.records.iter().filter(|user| user.status.is_active())
    }

    /// Registers a user. A retired record that was never associated comes back to life, else a new one is made.
    /// `managed` says whether an account belongs to the organisation.
    pub(super) fn create(
        &mut self,
        wish: &Wish,
        invite_code: String,
        managed: impl Fn(&str) -> bool,
        change: u64,
    ) -> Result<usize, AppleError> {
        if self.active(&wish.client_user_id).is_some() {
            return Err(AppleError::UserExists);
        }
        if let Some(account) = &wish.account {
            self.may_link(account, managed)?;
        }
        let user = User {
            client_user_id: wish.client_user_id.clone(),
            email: wish.email.clone(),
            account: wish.account.clone(),
            invite_code: wish.account.is_none().then_some(invite_code),
            status: if wish.account.is_some() { UserStatus::Associated } else { UserStatus::Registered },
            change,
        };
        let never_associated = |old: &User| {
            old.client_user_id == wish.client_user_id && old.status == UserStatus::Retired && old.account.is_none()
        };
        let record = self.records.iter().rposition(never_associated).unwrap_or(self.records.len());
        match self.records.get_mut(record) {
            Some(old) => *old = user,
            None => self.records.push(user),
        }
        self.active.insert(wish.client_user_id.clone(), record);
        Ok(record)
    }

    /// Changes the e-mail address, links an account, or both.
    pub(super) fn update(
        &mut self,
        wish: &Wish,
        managed: impl Fn(&str) -> bool,
        change: u64,
    ) -> Result<usize, AppleError> {
        let record = self.active(&wish.client_user_id).ok_or(AppleError::NoSuchUser)?;
        let linked = self.get(record).and_then(|user| user.account.clone());
        if let Some(account) = &wish.account {
            match linked {
                Some(linked) if linked.eq_ignore_ascii_case(account) => {}
                Some(_) => return Err(AppleError::AccountUnusable),
                None => self.may_link(account, managed)?,
            }
        }
        let user = self.records.get_mut(record).ok_or(AppleError::NoSuchUser)?;
        user.change = change;
        if wish.email.is_some() {
            user.email.clone_from(&wish.email);
        }
        if let Some(account) = &wish.account {
            user.link(account);
        }
        Ok(record)
    }

    /// Retires the active record; `None` when there is none.
    pub(super) fn retire(&mut self, id: &str, change: u64) -> Option<usize> {
        let record = self.active.remove(id)?;
        let user = self.records.get_mut(record)?;
        user.status = UserStatus::Retired;
        user.change = change;
        Some(record)
    }

    /// The person behind an invitation accepts with an Apple Account. Whoever had this clientUserId and account before
    /// becomes that old record again, and the new one is retired: then both indices are given, new and old.
    pub(super) fn accept(&mut self, code: &str, account: &str, change: u64) -> Option<(usize, Option<usize>)> {
        let invited = |user: &User| user.invite_code.as_deref() == Some(code) && user.status == UserStatus::Registered;
        let record = self.records.iter().position(invited)?;
        let id = self.records.get(record)?.client_user_id.clone();
        let same_person = |old: &User| {
            old.client_user_id == id
                && old.status == UserStatus::Retired
                && old.account.as_ref().is_some_and(|linked| linked.eq_ignore_ascii_case(account))
        };
        let Some(earlier) = self.records.iter().position(same_person) else {
            let user = self.records.get_mut(record)?;
            user.link(account);
            user.change = change;
            return Some((record, None));
        };
        let new = self.records.get_mut(record)?;
        (new.status, new.change) = (UserStatus::Retired, change);
        let old = self.records.get_mut(earlier)?;
        (old.status, old.change) = (UserStatus::Associated, change);
        self.active.insert(id, earlier);
        Some((record, Some(earlier)))
    }

    /// Whether an active record is linked to this account.
    pub(super) fn is_linked(&self, account: &str) -> bool {
        let linked = |user: &User| user.account.as_ref().is_some_and(|linked| linked.eq_ignore_ascii_case(account));
        self.all_active().any(linked)
    }

    /// Puts a record into the history, as it was left by the first version of the service.
    pub(super) fn add_past(&mut self, user: User) {
        self.records.push(user);
    }

    fn may_link(&self, account: &str, managed: impl Fn(&str) -> bool) -> Result<(), AppleError> {
        if !managed(account) {
            return Err(AppleError::AccountUnusable);
        }
        if self.is_linked(account) { Err(AppleError::AccountTaken) } else { Ok(()) }
    }
}

impl User {
    fn link(&mut self, account: &str) {
        self.account = Some(account.to_owned());
        self.invite_code = None;
        self.status = UserStatus::Associated;
    }
}
