//! The times in the database when the machine's clock was moved: what was to happen in ten minutes still happens in ten
//! minutes, whatever the clock says meanwhile.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row};

/// Columns whose times are compared with now. Of those that bound a right (a profile's or a certificate's end) none.
const COMPARED: [(&str, &[&str]); 14] = [
    ("licence_event", &["intended_at", "sent_at", "next_look_at", "final_at"]),
    ("returning_licence", &["usable_at", "returned_at"]),
    ("own_licence", &["given_at"]),
    ("pair", &["due"]),
    ("device", &["pushed_at", "push_after", "push_dead_since", "token_updated_at", "last_seen"]),
    ("command", &["queued_at", "sent_at"]),
    ("location", &["last_synced", "last_full_sync"]),
    ("task", &["created_at"]),
    ("asset", &["read_at"]),
    ("count_change", &["seen_at"]),
    ("taken_back", &["seen_at"]),
    ("seat_refusal", &["due"]),
    ("reclaim", &["due"]),
    ("unused_licence", &["since"]),
];

/// The clock was put back by `by`, to `now`: what lies in the future moves with it.
pub fn put_back(connection: &Connection, by: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    for (table, columns) in COMPARED {
        for column in columns {
            let sql = format!("UPDATE {table} SET {column} = {column} - ?1 WHERE {column} > ?2");
            execute(connection, &sql, params![by, micros(now)])?;
        }
    }
    // A token that seemed to have expired may be good: the next reply of Apple's tells.
    let tokens = "UPDATE location SET token_state = 'unreachable' WHERE token_state = 'expired' AND expires_at > ?1";
    execute(connection, tokens, [micros(now)])?;
    Ok(())
}

/// So far back what was given matters: no listing is older.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

/// The clock was put forward by `by`, to `now`: Apple has not had that much more time for what it was asked.
pub fn put_forward(connection: &Connection, by: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
    let lately = now.saturating_sub(by).and_then(|before| before.saturating_sub(LATELY)).unwrap_or(Timestamp::MIN);
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    let events = "UPDATE licence_event SET intended_at = intended_at + ?1, sent_at = sent_at + ?1,
        final_at = final_at + ?1 WHERE state <> 'settled'";
    execute(connection, events, [by])?;
    let returned = "UPDATE returning_licence SET usable_at = usable_at + ?1, returned_at = returned_at + ?1";
    execute(connection, returned, [by])?;
    let given = "UPDATE own_licence SET given_at = given_at + ?1 WHERE given_at > ?2";
    execute(connection, given, params![by, micros(lately)])?;
    Ok(())
}

/// vppd runs at this time.
pub fn alive(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    execute(connection, "UPDATE appliance SET alive_at = ?1", [micros(now)])?;
    Ok(())
}

/// The last time that [`alive`] noted.
pub fn last_alive(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    maybe_time(row(connection, "SELECT alive_at FROM appliance", [], |row| Ok(row.get(0)?))?.flatten())
}
