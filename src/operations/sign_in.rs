//! Signing in: a name and a password become a person of the directory, or are refused. Today the directory is a file with
//! hashes; whatever comes later answers the same question here, and the page that asks it stays as it is.
//!
//! Whether the name or the password was wrong shows in nothing: not in the answer, and not in the work that it takes.

use secrecy::SecretString;

use super::keys::off_thread;
use super::{OperationError, Shared, password};
use crate::store::persons::{self, Person};
use crate::store::{StoreError, passwords};

/// Whether there is anybody who could sign in.
pub async fn is_possible(context: &Shared) -> Result<bool, OperationError> {
    Ok(context.store.read(passwords::any).await?)
}

/// The person with this address, Managed Apple Account or GUID, if the password is theirs and they are still there.
pub async fn sign_in(context: &Shared, name: &str, password: SecretString) -> Result<Option<Person>, OperationError> {
    let name = name.trim().to_owned();
    let found = context.store.read(move |c| -> Result<Option<(Person, Option<String>)>, StoreError> {
        // Numbers are for administrators, and easily tried one after the other.
        let by_name = if name.parse::<i64>().is_ok() { None } else { persons::by_name(c, &name)? };
        let person = match by_name {
            Some(person) => Some(person),
            None => persons::by_account(c, &name)?,
        };
        let here = person.filter(|person| person.gone_at.is_none() && person.retired_at.is_none());
        here.map(|person| Ok((passwords::get(c, person.id)?, person)))
            .transpose()
            .map(|found| found.map(|(hash, person)| (person, hash)))
    });
    let (person, hash) = found.await?.unzip();
    let fits = off_thread(&context.clock, move || password::fits(&password, hash.flatten().as_deref())).await?;
    Ok(person.filter(|_| fits))
}
