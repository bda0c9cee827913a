//! What has changed since the last plan: marks that are left in memory by triggers of the writer's connection, whoever wrote,
//! so that only what changed has to be read and judged anew (`snapshot::renew`).
//!
//! A mark is published before the commit and once more after it. Whoever first opens a transaction for reading and then takes
//! the marks has a mark of everything that this transaction sees and no earlier one saw; of what it does not see yet, the mark
//! comes again. A mark too many costs a look; rolled-back changes leave some.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::StoreError;

/// Something a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// What a device is: `device.id`.
    Device(i64),
    /// Whose the device with a serial number is, and the words on it.
    Note(String),
    /// What is known of the apps on a device: `device.id`.
    Row(i64),
    /// Where a person is registered: `person.id`.
    Person(i64),
    /// What was refused to a user.
    Refusals(String),
    /// A licence: of a user, or a serial number; of which app.
    Licence { user: bool, holder: String, adam_id: String },
    /// How many licences of an app are free.
    Free(String),
    /// An app's bundle id.
    BundleId(String),
}

/// Marks beyond which everything is read anew: that is faster then.
const MOST: usize = 20_000;

/// What has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Something that speaks of many devices or people: groups, deployments, locations.
    pub everything: bool,
    pub marks: BTreeSet<Mark>,
}

impl Changes {
    fn add(&mut self, mark: Option<Mark>) {
        match mark {
            Some(mark) if !self.everything && self.marks.len() < MOST => {
                self.marks.insert(mark);
            }
            _ => {
                self.everything = true;
                self.marks.clear();
            }
        }
    }

    fn add_all(&mut self, other: &Changes) {
        if other.everything {
            self.add(None);
        }
        other.marks.iter().for_each(|mark| self.add(Some(mark.clone())));
    }
}

/// The marks that nobody has taken yet. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Marks(Arc<Mutex<Changes>>);

impl Marks {
    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes them. To be called inside the transaction that reads what they name.
    pub fn take(&self) -> Changes {
        std::mem::take(&mut *self.lock())
    }

    /// Nothing is known of what changed.
    pub(super) fn everything(&self) {
        self.lock().add(None);
    }

    pub(super) fn publish(&self, changes: &Changes) {
        if changes.everything || !changes.marks.is_empty() {
            self.lock().add_all(changes);
        }
    }
}

/// What the triggers of one connection have marked in its open transaction.
#[derive(Default)]
pub(super) struct Open(Arc<Mutex<Changes>>);

impl Open {
    pub fn publish(&self, marks: &Marks) {
        marks.publish(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The transaction is over.
    pub fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Changes::default();
    }
}

/// Tables whose rows speak of many, with the columns of which a plan knows; none: all of them.
const OF_MANY: [(&str, &[&str]); 12] = [
    ("member_group", &["name", "kind", "rule"]),
    ("group_serial", &[]),
    ("group_person", &[]),
    ("location_group", &[]),
    ("deployment", &[]),
    ("deployment_excluded", &[]),
    ("deployment_location", &[]),
    ("by_hand", &[]),
    ("doubted_listing", &["location_id"]),
    (
        "location",
        &["name", "position", "token_state", "owner_id", "expires_at", "full_sync_first", "leaving", "generation"],
    ),
    ("person", &["client_user_id", "created_at", "gone_at", "retired_at", "email"]),
    ("asset", &["product_type", "device_assignable", "revocable", "unlimited"]),
];

const EVERYTHING: &str = "SELECT vppd_mark('everything', '', '')";
const LICENCE: &str = "SELECT vppd_mark(@.holder_kind, @.holder, @.adam_id), vppd_mark('free', @.adam_id, '')";

/// Tables whose rows speak of one, with the columns of which a plan knows, and what marks the row `@`.
const OF_ONE: [(&str, &[&str], &str); 13] = [
    (
        "device",
        &[
            "serial",
            "state",
            "enrolled_at",
            "authenticated_at",
            "checked_out_at",
            "product_name",
            "model",
            "os_version",
            "supervised",
            "removed_at",
        ],
        "SELECT vppd_mark('device', @.id, '')",
    ),
    ("device_note", &["person_id", "ownership", "tags"], "SELECT vppd_mark('note', @.serial, '')"),
    ("pair", &["app", "ours", "command", "due", "since"], "SELECT vppd_mark('row', @.device_id, '')"),
    ("command", &["state"], "SELECT vppd_mark('row', @.device_id, '') WHERE @.adam_id IS NOT NULL"),
    (
        "user",
        &["person_id", "status", "wanted"],
        "SELECT vppd_mark('person', @.person_id, '') WHERE @.person_id IS NOT NULL",
    ),
    // No plan knows of declarations; but with each plan they are made to agree with it.
    ("declared_app", &["terms", "withdrawn_at"], "SELECT vppd_mark('row', @.device_id, '')"),
    ("declaring_device", &["state", "token", "fetched"], "SELECT vppd_mark('row', @.device_id, '')"),
    ("seat_refusal", &["due"], "SELECT vppd_mark('refusals', @.client_user_id, '')"),
    ("product", &["bundle_id"], "SELECT vppd_mark('bundle-id', @.adam_id, '')"),
    ("reservation", &["event"], LICENCE),
    ("own_licence", &["adopted"], LICENCE),
    ("returning_licence", &["usable_at"], "SELECT vppd_mark('free', @.adam_id, '')"),
    // Rows of a generation that is being staged do not count yet; when it does, its location changes.
    (
        "assignment",
        &["generation"],
        "SELECT vppd_mark(@.holder_kind, @.holder, @.adam_id), vppd_mark('free', @.adam_id, '')
        FROM location WHERE id = @.location_id AND generation = @.generation",
    ),
];

/// Makes a connection tell what is changed through it.
pub(super) fn watch(connection: &Connection) -> Result<Open, StoreError> {
    let open = Open::default();
    let changes = open.0.clone();
    connection.create_scalar_function("vppd_mark", 3, FunctionFlags::SQLITE_UTF8, move |call| {
        let text = |at| -> rusqlite::Result<String> {
            Ok(match call.get_raw(at) {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => other.as_str()?.to_owned(),
            })
        };
        let mark = match call.get_raw(0).as_str()? {
            "device" => Some(Mark::Device(call.get(1)?)),
            "row" => Some(Mark::Row(call.get(1)?)),
            "person" => Some(Mark::Person(call.get(1)?)),
            "note" => Some(Mark::Note(text(1)?)),
            "refusals" => Some(Mark::Refusals(text(1)?)),
            "free" => Some(Mark::Free(text(1)?)),
            "bundle-id" => Some(Mark::BundleId(text(1)?)),
            kind @ ("serial" | "user") => {
                Some(Mark::Licence { user: kind == "user", holder: text(1)?, adam_id: text(2)? })
            }
            _ => None,
        };
        changes.lock().unwrap_or_else(PoisonError::into_inner).add(mark);
        Ok(0)
    })?;
    connection.execute_batch(&triggers())?;
    Ok(open)
}

fn triggers() -> String {
    let mut sql = String::new();
    let mut add = |table: &str, columns: &[&str], mark: &str| {
        let (new, old) = (mark.replace('@', "NEW"), mark.replace('@', "OLD"));
        let of = if columns.is_empty() { String::new() } else { format!(" OF {}", columns.join(", ")) };
        let differs: Vec<String> = columns.iter().map(|column| format!("OLD.{column} IS NOT NEW.{column}")).collect();
        let differs = if differs.is_empty() { "1".to_owned() } else { differs.join(" OR ") };
        sql += &format!(
            "CREATE TEMP TRIGGER {table}_comes AFTER INSERT ON main.{table} BEGIN {new}; END;
             CREATE TEMP TRIGGER {table}_goes AFTER DELETE ON main.{table} BEGIN {old}; END;
             CREATE TEMP TRIGGER {table}_changes AFTER UPDATE{of} ON main.{table} WHEN {differs} BEGIN {old}; {new}; END;"
        );
    };
    OF_MANY.iter().for_each(|(table, columns)| add(table, columns, EVERYTHING));
    OF_ONE.iter().for_each(|(table, columns, mark)| add(table, columns, mark));
    // Counts change with every read of the assets, and with them only how many are free. A device that was deleted takes its
    // place in the plan with it.
    sql + "CREATE TEMP TRIGGER asset_counts AFTER UPDATE OF total_count, elsewhere_count ON main.asset
               WHEN OLD.total_count IS NOT NEW.total_count OR OLD.elsewhere_count IS NOT NEW.elsewhere_count
               BEGIN SELECT vppd_mark('free', NEW.adam_id, ''); END;
           CREATE TEMP TRIGGER device_is_deleted AFTER DELETE ON main.device
               BEGIN SELECT vppd_mark('everything', '', ''); END;"
}
