//! Another master key: what an earlier one sealed is sealed with the present one, all in one transaction. So a key is
//! changed by laying the old one aside as `master.key.previous`, and a restored backup takes on the key of its new machine.

use std::path::Path;

use super::notifications::channel;
use super::{OperationError, sealed_place};
use crate::secret::{PREVIOUS_KEY_FILE, Sealer, SecretError};
use crate::store::Store;
use crate::store::sealed::{self, Row, Secret};

/// What a secret in the database is bound to.
pub(super) fn place(row: &Row) -> String {
    match row {
        Row::Key(name) => name.clone(),
        Row::ContentToken(uid) => sealed_place(uid),
        Row::NotificationSecret(uid) | Row::NextNotificationSecret(uid) => channel::sealed_place(uid),
    }
}

/// Seals everything with `sealer` that the previous master key in `state` opens, then removes that key. An end in the
/// middle changes nothing, or leaves only the file.
pub async fn take_over(store: &Store, sealer: &Sealer, state: &Path) -> Result<(), OperationError> {
    let Some(previous) = Sealer::load_previous(state)? else { return Ok(()) };
    let mut changed = Vec::new();
    for secret in store.read(sealed::all).await? {
        changed.extend(sealed_anew(&secret, sealer, &previous)?);
    }
    let count = changed.len();
    store.write(move |w| changed.iter().try_for_each(|secret| sealed::replace(w, secret))).await?;
    let file = state.join(PREVIOUS_KEY_FILE);
    std::fs::remove_file(&file).map_err(|error| SecretError::File(file, error))?;
    log::info!("{count} secrets were sealed with the present master key; the previous one is removed");
    Ok(())
}

/// The secret under the present key; `None` when it is already.
fn sealed_anew(secret: &Secret, present: &Sealer, previous: &Sealer) -> Result<Option<Secret>, SecretError> {
    let place = place(&secret.row);
    if present.open(&place, &secret.sealed).is_ok() {
        return Ok(None);
    }
    let plain = previous.open(&place, &secret.sealed)?;
    Ok(Some(Secret { row: secret.row.clone(), sealed: present.seal(&place, &plain) }))
}
