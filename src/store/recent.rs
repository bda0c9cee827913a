//! What vppd has given and taken back so lately that a listing of Apple's may be older: such a listing takes the one away
//! from nobody and gives the other back to nobody.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::assignments::{Assignment, read};
use super::{StoreError, micros, rows};
use crate::model::LocationId;

/// Licences that vppd gave after `since`, and that are held as far as known: of one asset (adamId, pricingParam), or of all.
pub fn given(
    connection: &Connection,
    location: LocationId,
    asset: Option<(&str, &str)>,
    since: Timestamp,
) -> Result<Vec<Assignment>, StoreError> {
    let sql = "SELECT o.adam_id, o.pricing_param, o.holder_kind, o.holder FROM own_licence o
            JOIN location l ON l.id = o.location_id
            JOIN assignment a ON a.location_id = l.id AND a.generation = l.generation AND a.adam_id = o.adam_id
                AND a.pricing_param = o.pricing_param AND a.holder_kind = o.holder_kind AND a.holder = o.holder
        WHERE o.location_id = ?1 AND o.given_at > ?2";
    let since = micros(since);
    match asset {
        None => rows(connection, sql, params![location.0, since], read),
        Some((adam_id, pricing_param)) => {
            let sql = format!("{sql} AND o.adam_id = ?3 AND o.pricing_param = ?4");
            rows(connection, &sql, params![location.0, since, adam_id, pricing_param], read)
        }
    }
}

/// Licences that came back to vppd after `since`, and that nobody has got anew since then.
pub fn returned(
    connection: &Connection,
    location: LocationId,
    since: Timestamp,
) -> Result<HashSet<Assignment>, StoreError> {
    let sql = "SELECT r.adam_id, r.pricing_param, r.holder_kind, r.holder FROM returning_licence r
            JOIN location l ON l.id = r.location_id
        WHERE r.location_id = ?1 AND r.returned_at > ?2 AND NOT EXISTS (SELECT 1 FROM assignment a
            WHERE a.location_id = l.id AND a.generation = l.generation AND a.adam_id = r.adam_id
                AND a.pricing_param = r.pricing_param AND a.holder_kind = r.holder_kind AND a.holder = r.holder)";
    Ok(rows(connection, sql, params![location.0, micros(since)], read)?.into_iter().collect())
}
