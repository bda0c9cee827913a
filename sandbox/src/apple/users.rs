//! The registered users over the wire: `GET users`, `users/create`, `users/update` and `users/retire`.

use jiff::Timestamp;

use super::admission::Session;
use super::body::{distinct, repeated};
use super::calls::Performed;
use super::endpoint::{Call, Endpoint, Reply};
use super::engine::Task;
use super::errors::{AppleError, Refusal};
use super::listing::paging;
use super::query::{Filter, Query};
use super::roster::{User, UserStatus, Wish};
use super::state::State;
use super::switches::VersionChurn;
use super::wire::{ErrorInfo, EventType, ManageUsers, RequestUser, UsersPage};

const PARAMETERS: [&str; 5] = ["activeOnly", "retiredOnly", "clientUserId", "pageIndex", "sinceVersionId"];

/// The filters of `GET users`. Apple: Get Users.
struct UserFilter {
    active_only: Filter<bool>,
    retired_only: Filter<bool>,
    id: Filter<String>,
    /// Only what changed after this change.
    since: Option<u64>,
}

impl UserFilter {
    fn admits(&self, user: &User) -> bool {
        self.since.is_none_or(|since| user.change > since)
            && self.active_only.admits(|only| !only || user.status.is_active())
            && self.retired_only.admits(|only| !only || user.status == UserStatus::Retired)
            && self.id.admits(|wanted| *wanted == user.client_user_id)
    }
}

impl State {
    pub(super) fn users(&mut self, call: &Call, session: &Session, now: Timestamp) -> Result<Reply, Refusal> {
        let query = Query::parse(&call.query, &PARAMETERS)?;
        let bad = self.switches.filter_bad;
        let mut filter = UserFilter {
            active_only: query.boolean("activeOnly", bad)?,
            retired_only: query.boolean("retiredOnly", bad)?,
            id: query.text("clientUserId", bad)?,
            since: None,
        };
        if filter.active_only == Filter::Only(true) && filter.retired_only == Filter::Only(true) {
            return Err(Refusal::unreadable("activeOnly and retiredOnly do not go together."));
        }
        let index = query.page_index()?;
        let common = self.common(session, now);
        let switches = self.switches.clone();
        let location = self.location(session)?;
        if index > 0 && switches.version_churn != VersionChurn::Off {
            location.user_versions.bump(now);
        }
        let seen = location.seen(now);
        let location = seen.as_deref().unwrap_or(location);
        if let Some(id) = query.get("sinceVersionId") {
            filter.since = Some(location.user_versions.change_of(id).ok_or(AppleError::BadVersion)?);
        }
        let matching: Vec<&User> = location.users.records().iter().filter(|user| filter.admits(user)).collect();
        let paging = paging(matching.len(), index, &switches, location.user_versions.id())?;
        let page = matching.into_iter().skip(index * switches.page_size).take(paging.size);
        let users = page.map(User::to_record).collect();
        Ok(Reply::json(200, &UsersPage { users, paging, common }))
    }

    /// Checks 7 to 12 of create, update and retire.
    pub(super) fn manage_users(
        &mut self,
        endpoint: Endpoint,
        call: &Call,
        session: &Session,
        now: Timestamp,
    ) -> Performed {
        Query::parse(&call.query, &[])?;
        let kind = match endpoint {
            Endpoint::CreateUsers => EventType::Create,
            Endpoint::UpdateUsers => EventType::Update,
            _ => EventType::Retire,
        };
        let body: ManageUsers = call.read()?;
        let users = body.users.unwrap_or_default();
        if users.is_empty() {
            return Err(AppleError::UsersMissing.into());
        }
        if users.iter().any(|user| user.client_user_id.is_empty()) {
            return Err(Refusal::unreadable("A clientUserId is empty."));
        }
        let ids: Vec<String> = users.iter().map(|user| user.client_user_id.clone()).collect();
        if distinct(&ids) > self.limits.max_users {
            return Err(AppleError::TooManyRegistrations.into());
        }
        let twice = repeated(&ids);
        if !twice.is_empty() {
            return Err(refused(AppleError::DuplicateRegistrations, twice));
        }
        let ill_written = |user: &&RequestUser| user.email.as_ref().is_some_and(|email| !is_email(email));
        let ill_written: Vec<String> =
            users.iter().filter(ill_written).map(|user| user.client_user_id.clone()).collect();
        if !ill_written.is_empty() {
            return Err(refused(AppleError::BadEmail, ill_written));
        }
        if kind != EventType::Create {
            let Some(location) = self.locations.get(&session.u_id) else { return Err(AppleError::InvalidToken.into()) };
            self.check_users(&ids, location)?;
        }
        let wish = |user: RequestUser| Wish {
            client_user_id: user.client_user_id,
            email: user.email,
            account: user.managed_apple_id,
        };
        Ok(self.accept(kind, users.into_iter().map(|user| Task::User(wish(user))).collect(), session, now))
    }
}

fn refused(error: AppleError, client_user_ids: Vec<String>) -> Refusal {
    Refusal::about(error, ErrorInfo { client_user_ids, ..ErrorInfo::default() })
}

/// One at sign, something before it, a name with a dot behind it, nothing blank.
fn is_email(text: &str) -> bool {
    let blank = text.chars().any(|letter| letter.is_whitespace() || letter.is_control());
    let parts = text.split_once('@');
    !blank
        && parts.is_some_and(|(name, host)| {
            let labels: Vec<&str> = host.split('.').collect();
            !name.is_empty() && !host.contains('@') && labels.len() > 1 && labels.iter().all(|label| !label.is_empty())
        })
}
