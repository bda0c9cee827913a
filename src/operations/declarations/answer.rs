//! What a device asks by the check-in message of the same name (Apple: Declarative Management), and what it is answered.
//!
//! A declaration that is not there is answered 404, whereupon the device drops it: only what is truly not wanted is answered so.
//! Trouble of ours is another answer, after which the device comes again.

use jiff::Timestamp;
use serde_json::Value;

use super::{declarations, load, patient, status};
use crate::licensing::progress::{Fact, Meaning, Patience, Word, advance};
use crate::mdm::declarative::{Kind, Question, StatusReport, app_of};
use crate::model::{App, DeviceId};
use crate::operations::checkin::{Answer, shown};
use crate::operations::{OperationError, Shared, notify_after};
use crate::store::declarations::Declaring;
use crate::store::devices::{self, Device};
use crate::store::{Write, commands, pairs};

/// Answers one message of a device.
pub(in crate::operations) async fn answer(
    context: &Shared,
    id: DeviceId,
    endpoint: &str,
    data: Option<Vec<u8>>,
) -> Result<Answer, OperationError> {
    match Question::read(endpoint) {
        None => Ok(Answer::Refused(format!("it asks for declarations by an unknown endpoint: {}", shown(endpoint)))),
        Some(Question::Status) => match StatusReport::read(&data.unwrap_or_default()) {
            Ok(report) => take(context, id, report).await,
            Err(error) => Ok(Answer::Refused(error.to_string())),
        },
        Some(Question::Tokens) => {
            let now = context.clock.now();
            let found = context.store.read(move |c| ask(c, id)).await?;
            Ok(found.map_or_else(unknown, |(_, _, declared)| json(&declared.tokens(now))))
        }
        Some(Question::Items) => items(context, id).await,
        Some(Question::Declaration { kind, identifier }) => declaration(context, id, kind, identifier).await,
    }
}

type Found = Option<(Device, Declaring, crate::mdm::declarative::Declarations)>;

fn ask(connection: &rusqlite::Connection, id: DeviceId) -> Result<Found, OperationError> {
    let Some(device) = devices::by_id(connection, id)? else { return Ok(None) };
    Ok(load(connection, &device)?.map(|(declaring, declared)| (device, declaring, declared)))
}

fn json(value: &Value) -> Answer {
    Answer::Json(value.to_string())
}

/// An empty answer would make it remove its apps.
fn unknown() -> Answer {
    Answer::Unknown("it asks for declarations, of which this database knows nothing".into())
}

/// The list of what there is. From now on the device is in step with it.
async fn items(context: &Shared, id: DeviceId) -> Result<Answer, OperationError> {
    let Some((_, declaring, declared)) = context.store.read(move |c| ask(c, id)).await? else { return Ok(unknown()) };
    if declaring.fetched == declared.token() {
        return Ok(json(&declared.items()));
    }
    context
        .store
        .write(move |w| -> Result<Answer, OperationError> {
            let Some((_, declaring, declared)) = ask(w, id)? else { return Ok(unknown()) };
            let fetched = declared.token().to_owned();
            declarations::put(w, id, &Declaring { token: fetched.clone(), fetched, ..declaring })?;
            Ok(json(&declared.items()))
        })
        .await
}

/// One declaration. An app that the device has fetched is no longer only queued.
async fn declaration(context: &Shared, id: DeviceId, kind: Kind, identifier: String) -> Result<Answer, OperationError> {
    let (now, patience, plan_now) = (context.clock.now(), context.patience(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<Answer, OperationError> {
            let Some((_, _, declared)) = ask(w, id)? else { return Ok(unknown()) };
            let Some(found) = declared.get(kind, &identifier) else { return Ok(Answer::Gone) };
            if let Some(adam_id) = app_of(&identifier)
                && fetched(w, id, adam_id, &patience, now)?
            {
                notify_after(w, &plan_now);
            }
            Ok(json(&found))
        })
        .await
}

fn fetched(
    w: &Write<'_>,
    id: DeviceId,
    adam_id: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let Some(mut pair) = pairs::get(w, id, adam_id)?.filter(|pair| pair.progress.app == App::InstallQueued) else {
        return Ok(false);
    };
    let word = Word { status: "declared".into(), means: Meaning::Working, cause: None };
    pair.progress = advance(&pair.progress, &Fact::InstallAccepted(word), now, &patient(patience));
    pairs::put(w, &pair, now)?;
    Ok(true)
}

async fn take(context: &Shared, id: DeviceId, report: StatusReport) -> Result<Answer, OperationError> {
    let (now, patience, uuid) = (context.clock.now(), context.patience(), context.entropy.uuid().to_string());
    let (index, plan_now, wake_now) = (context.index.clone(), context.plan_now.clone(), context.wake_now.clone());
    context
        .store
        .write(move |w| -> Result<Answer, OperationError> {
            let Some(device) = devices::by_id(w, id)? else { return Ok(unknown()) };
            let Some(taken) = status::take(w, &device, &report, &patience, &uuid, now)? else { return Ok(unknown()) };
            let waits = commands::any_open(w, id)?;
            w.after_commit(move || index.set_waits(id, waits));
            if taken.called {
                notify_after(w, &wake_now);
            }
            if taken.news {
                notify_after(w, &plan_now);
            }
            Ok(Answer::Done)
        })
        .await
}
