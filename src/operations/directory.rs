//! The directory: people with their groups and devices, kept elsewhere and followed here. Today it is a file; whatever comes
//! later hands over a [`Listing`], too, and the rest is the same.
//!
//! - `file`: a TOML or CSV file, decoded;
//! - `listing`: what a directory says, checked;
//! - `take_over`: what differs is brought to what the listing says.
//!
//! A directory that cannot be read, contradicts itself, or has lost too many people changes nothing. People who are gone
//! keep everything for `[directory] grace`, and leave their groups and devices then.

pub mod file;
mod listing;
mod take_over;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, Notify};

use super::alerts::announce;
use super::keys::off_thread;
use super::view::{DirectoryChangesView, DirectoryState, DirectorySyncRequest, DirectoryView};
use super::{Kind, OperationError, Shared, notify_after};
use crate::model::Source;
use crate::store::alerts::{self, NewAlert};
use crate::store::directory::{self as kept, Look, State};
use crate::store::{StoreError, Write, audit, persons};
use file::Format;
pub use listing::{Listed, Listing};
use take_over::Outcome;

/// The directory cannot be read, or contradicts itself.
pub const DIRECTORY_REFUSED: &str = "directory-refused";
/// Too many people are missing in it.
pub const DIRECTORY_HELD: &str = "directory-held";
/// Some of it could not be taken over.
pub const DIRECTORY_CONFLICT: &str = "directory-conflict";

/// How often the file is looked at. It is read once it has not changed from one look to the next: then nobody writes it.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Fifty times what a large school district needs.
const LARGEST_FILE: u64 = 64 << 20;

/// What the directory's task keeps in memory.
#[derive(Default)]
pub struct Directory {
    /// The settings have changed: read it again.
    pub now: Notify,
    /// One reads at a time; here is what was read last.
    read: Mutex<Option<Stamp>>,
}

/// By what a change of the file is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// `None` while there is none that can be looked at.
    state: Option<(SystemTime, u64)>,
}

impl Stamp {
    fn of(path: &Path) -> Stamp {
        let state = std::fs::metadata(path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len())));
        Stamp { path: path.to_owned(), state }
    }
}

/// Follows the file for ever: at the start, when the settings were read anew, and when it changes.
pub async fn run(context: Shared) {
    let (mut at_once, mut seen) = (true, None);
    loop {
        if let Err(error) = look(&context, at_once, &mut seen).await {
            log::error!("the directory cannot be followed: {error}; it is tried again in a moment");
        }
        let asked = context.directory.now.notified();
        at_once = match context.config().directory.file {
            Some(_) => context.clock.timeout(LOOK_EVERY, asked).await.is_ok(),
            None => {
                asked.await;
                true
            }
        };
    }
}

async fn look(context: &Shared, at_once: bool, seen: &mut Option<Stamp>) -> Result<(), OperationError> {
    let Some(path) = context.config().directory.file.clone() else { return Ok(()) };
    let mut read = context.directory.read.lock().await;
    let stamp = off_thread(&context.clock, move || Stamp::of(&path)).await?;
    let changed = read.as_ref() != Some(&stamp);
    let settled = seen.as_ref() == Some(&stamp);
    *seen = Some(stamp.clone());
    if at_once || (changed && settled) {
        let path = stamp.path.clone();
        *read = Some(stamp);
        match read_and_take(context, &path, true, "directory").await {
            // Told as an alert.
            Err(error) if error.kind != Kind::Internal => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Reads the directory now. With `confirm`, however many are missing in it.
pub async fn sync(context: &Shared, request: DirectorySyncRequest, who: &str) -> Result<DirectoryView, OperationError> {
    let Some(path) = context.config().directory.file.clone() else {
        return Err(OperationError::invalid(
            "no-directory",
            "the settings name no directory",
            "Set `[directory] file` to a TOML or CSV file with people; docs/people.md shows one.",
        ));
    };
    let mut read = context.directory.read.lock().await;
    let place = path.clone();
    *read = Some(off_thread(&context.clock, move || Stamp::of(&place)).await?);
    let changes = read_and_take(context, &path, !request.confirm, who).await?;
    drop(read);
    Ok(DirectoryView { changes: Some(changes), ..show(context).await? })
}

async fn read_and_take(
    context: &Shared,
    path: &Path,
    careful: bool,
    who: &str,
) -> Result<DirectoryChangesView, OperationError> {
    let file = path.to_owned();
    match off_thread(&context.clock, move || read_file(&file)).await? {
        Ok(listing) => take_over(context, listing, &path.display().to_string(), careful, who).await,
        Err(problems) => Err(refuse(context, Source::File, &path.display().to_string(), problems).await?),
    }
}

fn read_file(path: &Path) -> Result<Listing, Vec<String>> {
    let cannot = |error: std::io::Error| vec![format!("it cannot be read: {error}")];
    let length = std::fs::metadata(path).map_err(cannot)?.len();
    if length > LARGEST_FILE {
        return Err(vec![format!("it has {length} bytes, and at most {LARGEST_FILE} are read")]);
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        vec![format!("line {line}: it is not UTF-8 text; save it as UTF-8")]
    })?;
    let format = if path.extension().is_some_and(|ending| ending == "csv") { Format::Csv } else { Format::Toml };
    file::decode(format, &text)
}

/// Notes that a directory was refused; the error that tells it.
async fn refuse(
    context: &Shared,
    source: Source,
    place: &str,
    problems: Vec<String>,
) -> Result<OperationError, OperationError> {
    let message = format!("The directory {place} is refused: {}", problems.join("; "));
    let alert = NewAlert {
        kind: DIRECTORY_REFUSED,
        location: None,
        subject: "directory".into(),
        occasion: problems.join("; "),
        grave: false,
        message: message.clone(),
        advice: "Nothing was changed. Correct it; it is read again by itself, or now: vppd directory sync".into(),
    };
    let (now, error) = (context.clock.now(), OperationError::invalid(DIRECTORY_REFUSED, message, alert.advice.clone()));
    let raised = context.store.write(move |w| -> Result<Vec<NewAlert>, StoreError> {
        kept::looked(w, source, State::Refused, None, &problems, now)?;
        only(w, Some(alert), DIRECTORY_REFUSED, now)
    });
    raised.await?.iter().for_each(announce);
    Ok(error)
}

/// Brings people, groups and devices to what a listing says. `careful`: a listing in which many are missing is held.
/// Whichever directory it comes from, this is its way in.
pub async fn take_over(
    context: &Shared,
    listing: Listing,
    place: &str,
    careful: bool,
    who: &str,
) -> Result<DirectoryChangesView, OperationError> {
    let (now, plan_now, workers) = (context.clock.now(), context.plan_now.clone(), context.workers.clone());
    let settings = context.config().directory.clone();
    let hold_above = careful.then_some(settings.hold_above);
    let guids: Vec<String> = listing.people.iter().map(|_| context.entropy.uuid().to_string()).collect();
    let (place, who) = (place.to_owned(), who.to_owned());
    let taken = context
        .store
        .write(move |w| -> Result<_, StoreError> {
            let source = listing.source;
            let outcome = take_over::take_over(w, &listing, hold_above, &mut guids.into_iter(), now)?;
            let mut raised = only(w, None, DIRECTORY_REFUSED, now)?;
            match outcome {
                Outcome::Held { missing, known } => {
                    let alert = held(&place, missing, known, settings.hold_above);
                    kept::looked(w, source, State::Held, None, std::slice::from_ref(&alert.message), now)?;
                    let error = OperationError::new(
                        Kind::Conflict,
                        DIRECTORY_HELD,
                        alert.message.clone(),
                        alert.advice.clone(),
                    );
                    raised.extend(only(w, Some(alert), DIRECTORY_HELD, now)?);
                    Ok((Err(error), raised))
                }
                Outcome::Taken { changes, conflicts, touched } => {
                    let people = Some(listing.people.len() as u64);
                    kept::looked(w, source, State::TakenOver, people, &conflicts, now)?;
                    raised.extend(only(w, None, DIRECTORY_HELD, now)?);
                    raised.extend(only(w, conflict(&place, &conflicts), DIRECTORY_CONFLICT, now)?);
                    if changes != DirectoryChangesView::default() {
                        audit::write(w, now, &who, "directory taken over", &summary(&changes))?;
                        notify_after(w, &plan_now);
                    }
                    w.after_commit(move || touched.into_iter().for_each(|location| workers.nudge(location)));
                    Ok((Ok(changes), raised))
                }
            }
        })
        .await;
    let (result, raised) = taken?;
    raised.iter().for_each(announce);
    if let Ok(changes) = &result
        && *changes != DirectoryChangesView::default()
    {
        log::info!("the directory was taken over: {}", summary(changes));
    }
    result
}

fn summary(changes: &DirectoryChangesView) -> String {
    let DirectoryChangesView { added, changed, gone, back, memberships, devices } = changes;
    format!(
        "people: {added} new, {changed} changed, {gone} gone, {back} back; {memberships} memberships and {devices} devices \
         changed"
    )
}

/// Makes `alert` the only open one of its kind; what was raised has to be told.
fn only(w: &Write<'_>, alert: Option<NewAlert>, kind: &str, now: Timestamp) -> Result<Vec<NewAlert>, StoreError> {
    alerts::end(w, kind, None, alert.as_ref().map(|alert| alert.occasion.as_str()), now)?;
    match alert {
        Some(alert) if alerts::raise(w, &alert, now)? => Ok(vec![alert]),
        _ => Ok(Vec::new()),
    }
}

fn held(place: &str, missing: usize, known: usize, percent: u32) -> NewAlert {
    NewAlert {
        kind: DIRECTORY_HELD,
        location: None,
        subject: "directory".into(),
        occasion: format!("{missing} of {known}"),
        grave: true,
        message: format!(
            "The directory {place} is held: {missing} of the {known} people whom it knew are missing in it, more than \
             {percent} % ([directory] hold-above) or all"
        ),
        advice: "Nothing was changed. If they are really gone: vppd directory sync --confirm".into(),
    }
}

fn conflict(place: &str, conflicts: &[String]) -> Option<NewAlert> {
    if conflicts.is_empty() {
        return None;
    }
    let told = listing::told(conflicts.to_vec()).join("; ");
    Some(NewAlert {
        kind: DIRECTORY_CONFLICT,
        location: None,
        subject: "directory".into(),
        occasion: told.clone(),
        grave: false,
        message: format!("Some of the directory {place} could not be taken over: {told}"),
        advice: "Everything else was. After a change: vppd directory sync".into(),
    })
}

/// Takes people who have been gone for longer than the grace out of their groups, and their devices from them.
pub async fn let_go(context: &Shared) -> Result<(), OperationError> {
    let (now, grace) = (context.clock.now(), context.config().directory.grace);
    let Some(before) = SignedDuration::try_from(grace).ok().and_then(|grace| now.checked_sub(grace).ok()) else {
        return Ok(());
    };
    if context.store.read(move |c| kept::gone_since_before(c, before)).await?.is_empty() {
        return Ok(());
    }
    let plan_now = context.plan_now.clone();
    let gone = context.store.write(move |w| -> Result<Vec<String>, StoreError> {
        let mut emails = Vec::new();
        for (person, email) in kept::gone_since_before(w, before)? {
            kept::let_go(w, person)?;
            audit::write(w, now, "directory", "person left all groups", &email)?;
            emails.push(email);
        }
        notify_after(w, &plan_now);
        Ok(emails)
    });
    let gone = gone.await?.len();
    log::info!("{gone} people who are gone from the directory for {grace:?} left their groups and devices");
    Ok(())
}

/// The directory, and how the last look at it went.
pub async fn show(context: &Shared) -> Result<DirectoryView, OperationError> {
    let file = context.config().directory.file.as_ref().map(|file| file.display().to_string());
    let read = context.store.read(move |c| -> Result<DirectoryView, OperationError> {
        let look = kept::all(c)?.into_iter().find(|look| look.source == Source::File);
        let leaving = persons::all(c)?.iter().filter(|person| person.gone_at.is_some()).count() as u64;
        Ok(view(file.unwrap_or_default(), look, leaving))
    });
    read.await
}

fn view(place: String, look: Option<Look>, leaving: u64) -> DirectoryView {
    let state = match look.as_ref().map(|look| look.state) {
        None => DirectoryState::New,
        Some(State::TakenOver) => DirectoryState::TakenOver,
        Some(State::Refused) => DirectoryState::Refused,
        Some(State::Held) => DirectoryState::Held,
    };
    DirectoryView {
        source: Source::File,
        place,
        state,
        looked_at: look.as_ref().map(|look| look.looked_at),
        taken_at: look.as_ref().and_then(|look| look.taken_at),
        people: look.as_ref().map(|look| look.people).unwrap_or_default(),
        leaving,
        problems: look.map(|look| look.problems).unwrap_or_default(),
        changes: None,
    }
}
