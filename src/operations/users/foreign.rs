//! Users that other MDMs have made: never touched by themselves and never taken for persons. They can be shown, and retired on
//! purpose.

use super::shown::Places;
use crate::licensing::registration::Wanted;
use crate::operations::tokens::manage::find;
use crate::operations::tokens::removal::why_not_revoke;
use crate::operations::view::{ForeignRetireRequest, ForeignUserView, ForeignUsersView};
use crate::operations::{Kind, OperationError, Shared};
use crate::store::{StoreError, audit, users};

/// The active users of a location that are not ours.
pub async fn list(context: &Shared, name: String) -> Result<ForeignUsersView, OperationError> {
    let location = find(context, &name).await?;
    let why_not = why_not_revoke(context, &location).unwrap_or_default();
    let id = location.id;
    let users = context
        .store
        .read(move |c| -> Result<Vec<ForeignUserView>, StoreError> {
            let places = Places::load(c)?;
            let shown = |user: users::User| {
                let holds = places.holdings(c, &user)?;
                let comes_back = holds.iter().filter(|holding| holding.revocable).count() as u64;
                Ok(ForeignUserView {
                    client_user_id: user.client_user_id,
                    email: user.record.email,
                    status: user.record.status.word().to_owned(),
                    retiring: user.wanted == Wanted::Retired,
                    problem: user.trouble.words,
                    comes_back,
                    stays: holds.len() as u64 - comes_back,
                })
            };
            users::foreign(c, id)?.into_iter().map(shown).collect()
        })
        .await?;
    Ok(ForeignUsersView { location: location.name, users, why_not })
}

/// Retires them, if they are as many as whoever asks has seen.
pub async fn retire(
    context: &Shared,
    name: String,
    request: ForeignRetireRequest,
    who: &str,
) -> Result<ForeignUsersView, OperationError> {
    let location = find(context, &name).await?;
    if let Some(why) = why_not_revoke(context, &location) {
        return Err(OperationError::new(
            Kind::Conflict,
            "cannot-retire",
            format!("users of \"{}\" cannot be retired: {why}", location.name),
            "Nothing was changed. Mend that first.",
        ));
    }
    let (now, by, workers) = (context.clock.now(), who.to_owned(), context.workers.clone());
    context
        .store
        .write(move |w| -> Result<(), OperationError> {
            let open = users::foreign(w, location.id)?.into_iter().filter(|user| user.wanted != Wanted::Retired);
            let open: Vec<users::User> = open.collect();
            if open.len() as u64 != request.count {
                return Err(OperationError::new(
                    Kind::Conflict,
                    "count-changed",
                    format!("there are {} such users now, not {}", open.len(), request.count),
                    "Nothing was changed. Look again, and say it again.",
                ));
            }
            for mut user in open {
                user.want(Wanted::Retired, now);
                users::put(w, &user)?;
            }
            let subject = format!("{} of {}", request.count, location.name);
            audit::write(w, now, &by, "users of other MDMs retired", &subject)?;
            w.after_commit(move || workers.nudge(location.id));
            Ok(())
        })
        .await?;
    list(context, name).await
}
