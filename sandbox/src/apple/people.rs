//! Users at Apple without this API: people accept invitations, and records of earlier times are there.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Apple;
use super::admin::AdminError;
use super::location::{Held, Holder, Location, Table};
use super::roster::{User, Wish};
use super::wire::{NotificationType, UserStatus};

/// A record to add, as it may be there from earlier times.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewUser {
    pub client_user_id: String,
    #[serde(default)]
    pub email: Option<String>,
    /// The Apple Account it is or was linked to.
    #[serde(default)]
    pub account: Option<String>,
    /// `None`: registered, or associated when there is an account.
    #[serde(default)]
    pub status: Option<UserStatus>,
}

impl NewUser {
    /// A registered user who has not accepted yet.
    pub fn registered(client_user_id: &str) -> NewUser {
        NewUser { client_user_id: client_user_id.to_owned(), email: None, account: None, status: None }
    }

    /// A user who is linked to an Apple Account.
    pub fn associated(client_user_id: &str, account: &str) -> NewUser {
        NewUser { account: Some(account.to_owned()), ..NewUser::registered(client_user_id) }
    }
}

impl Apple {
    /// Apple Accounts of this domain belong to the organisation.
    pub fn set_managed_domain(&self, domain: &str) {
        self.lock().managed_domain = domain.to_owned();
    }

    /// Registers a user, so that licences can be assigned to the clientUserId.
    pub fn add_user(&self, u_id: &str, client_user_id: &str) -> Result<(), AdminError> {
        self.add_user_record(u_id, NewUser::registered(client_user_id))
    }

    /// Adds a user in any state; of one clientUserId at most one is active.
    pub fn add_user_record(&self, u_id: &str, new: NewUser) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let code = state.chance.uuid().simple().to_string();
        let location = state.known_location(u_id)?;
        let change = location.user_versions.upcoming();
        let NewUser { client_user_id, email, account, status } = new;
        let usual = if account.is_some() { UserStatus::Associated } else { UserStatus::Registered };
        let status = status.unwrap_or(usual);
        if status.is_active() && status != usual {
            let text =
                format!("{client_user_id} cannot be {status:?}: an account makes a user Associated, and only that");
            return Err(AdminError::Invalid(text));
        }
        if status.is_active() {
            let wish = Wish { client_user_id, email, account };
            let made = location.users.create(&wish, code, |_| true, change);
            made.map_err(|error| AdminError::Invalid(format!("{}: {}", wish.client_user_id, error.message())))?;
        } else {
            location.users.add_past(User { client_user_id, email, account, invite_code: None, status, change });
        }
        location.wrote(&[Table::Users], now);
        Ok(())
    }

    /// The person behind an invitation accepts with an Apple Account: `USER_ASSOCIATED`.
    pub fn accept_invitation(&self, u_id: &str, invite_code: &str, account: &str) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let location = state.known_location(u_id)?;
        if location.users.is_linked(account) {
            return Err(AdminError::Invalid(format!("{account} is linked to another user of location {u_id}")));
        }
        let change = location.user_versions.upcoming();
        let accepted = location.users.accept(invite_code, account, change);
        let (new, earlier) = accepted.ok_or_else(|| AdminError::NoInvitation(u_id.to_owned()))?;
        location.wrote(&[Table::Users], now);
        if let Some(earlier) = earlier
            && location.hand_over(new, earlier)
        {
            location.wrote(&[Table::Assets, Table::Assignments], now);
        }
        let user = location.users.get(earlier.unwrap_or(new)).map(User::to_record);
        state.notify(u_id, NotificationType::UserAssociated, json!({"associatedUsers": Vec::from_iter(user)}), now);
        drop(state);
        self.flush();
        Ok(())
    }

    /// The owner of a device signs in to the store: what the account's user holds serves the device, too.
    pub fn sign_in(&self, serial: &str, account: &str) {
        self.lock().signed_in.insert(serial.to_owned(), account.to_owned());
    }

    /// A user is retired by other hands, at once.
    pub fn retire_user(&self, u_id: &str, client_user_id: &str) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let location = state.known_location(u_id)?;
        let missing = || AdminError::NoUser { location: u_id.to_owned(), client_user_id: client_user_id.to_owned() };
        let changed = location.retire(client_user_id).ok_or_else(missing)?;
        location.wrote(&changed, now);
        Ok(())
    }
}

impl Location {
    /// The licences of one record go to another of the same person. True when there were any.
    fn hand_over(&mut self, from: usize, to: usize) -> bool {
        let Some(id) = self.users.get(from).map(|user| user.client_user_id.clone()) else { return false };
        let (giver, taker) = (Holder::User { id: id.clone(), record: from }, Holder::User { id, record: to });
        let held = self.assets.iter().filter_map(|(key, asset)| Some((key.clone(), *asset.holders.get(&giver)?)));
        let held: Vec<_> = held.collect();
        let change = self.assignment_versions.upcoming();
        for (key, licence) in &held {
            self.take(key, &giver, change);
            self.give(key, &taker, Held { change, ..*licence });
        }
        !held.is_empty()
    }
}
