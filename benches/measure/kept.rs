//! The plan as the daemon keeps it: read from the database as a whole, and brought up to date after a device has answered
//! and after a licence has come.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use vppd::clock::Clock;
use vppd::licensing::{Deadlines, Planner};
use vppd::store::snapshot::{self, Settings};
use vppd::store::{Store, StoreError};

use crate::figures::{Figure, Limit, Report};

const ROUNDS: u32 = 3;

/// Changed devices, one after the other.
const CHANGES: u32 = 50;

/// 10,000 devices, of which each lacks the licence of every tenth of 100 apps.
const WORLD: &str = "
    INSERT INTO location (uid, name, position, location_name, organisation, country, platform, website, sealed_token,
            token_fingerprint, expires_at, token_state, claim_wanted, owner_id, added_at, generation)
        VALUES ('u', 'Leeds', 0, 'Leeds', 'Northwind', 'GB', 'enterprisestore', '', X'', 'f', 4000000000000000, 'valid', 1,
            'us', 0, 0);
    CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) SELECT i FROM n;
    INSERT INTO device (id, udid, user_enrolment, serial, state, fingerprint, topic, authenticated_at, enrolled_at)
        SELECT i + 1, 'U' || i, 0, 'DM' || i, 'enrolled', CAST(i AS BLOB), 't', 0, i FROM n;
    INSERT INTO asset SELECT 1, 160000 + i, 'STDQ', 'App', 1, 1, 0, '[]', 9000, 9000, 0, 0, 0, 0 FROM n WHERE i < 100;
    INSERT INTO product (adam_id, bundle_id) SELECT 160000 + i, 'com.example.app' || i FROM n WHERE i < 100;
    INSERT INTO deployment (adam_id, target, purpose, created_at, created_by)
        SELECT 160000 + i, 'all-devices', 'required', 0, 'bench' FROM n WHERE i < 100;
    INSERT INTO assignment SELECT 1, 0, 160000 + a.i, 'STDQ', 'serial', 'DM' || d.i
        FROM n a CROSS JOIN n d WHERE a.i < 100 AND (a.i + d.i) % 10 <> 0 ORDER BY a.i, 'DM' || d.i;
    INSERT INTO own_licence (location_id, adam_id, pricing_param, holder, holder_kind)
        SELECT location_id, adam_id, pricing_param, holder, holder_kind FROM assignment;
    INSERT INTO pair (device_id, adam_id, app, ours, changed_at)
        SELECT d.i + 1, 160000 + a.i, 4, 1, 0 FROM n d CROSS JOIN n a WHERE a.i < 100 AND (a.i + d.i) % 10 <> 0;
";

/// Measures the kept plan and adds what it found.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&folder.path().join("vppd.db"), &Clock::real())?;
    store.write(|w| Ok::<_, StoreError>(w.execute_batch(WORLD)?)).await?;
    let day = Duration::from_secs(86_400);
    let deadlines = Deadlines { offline: 30 * day, silent: None, rejected: 7 * day };
    let settings = Settings { us: "us".into(), deadlines, grace: 7 * day };
    let now = Timestamp::from_second(1_800_000_000)?;
    let mut whole = Vec::new();
    let mut kept = None;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let settings = settings.clone();
        let loaded = store.read(move |c| snapshot::load(c, &settings, now)).await?;
        let mut planner = Planner::new(loaded.snapshot);
        let actions = planner.actions(now);
        whole.push(begin.elapsed().as_secs_f64());
        ensure!(actions.short.len() == 100, "the world is not as it was meant: {} apps are short", actions.short.len());
        kept = Some((planner, loaded.behind));
    }
    let marks = store.marks();
    marks.take();
    let (mut answered, mut came) = (Vec::new(), Vec::new());
    for round in 0..CHANGES {
        let device = round * 1_979 % 10_000;
        // What a device says of an app; and a licence that Apple has given.
        let says = format!("UPDATE pair SET app = 5, due = 1 WHERE device_id = {} AND adam_id = '160001'", device + 1);
        let gives = format!(
            "INSERT INTO assignment VALUES (1, 0, 160000 + (10 - {device} % 10) % 10, 'STDQ', 'serial', 'DM{device}')"
        );
        for (sql, times) in [(says, &mut answered), (gives, &mut came)] {
            store.write(move |w| Ok::<_, StoreError>(w.execute_batch(&sql)?)).await?;
            let (mut planner, mut behind) = kept.take().context("a plan is kept")?;
            let marks = marks.clone();
            let begin = Instant::now();
            kept = store
                .read(move |c| {
                    snapshot::renew(c, marks.take(), &mut planner, &mut behind)?;
                    planner.actions(now);
                    Ok::<_, StoreError>(Some((planner, behind)))
                })
                .await?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    let limit = Limit::Below(10.0);
    report.add(Figure::new("whole plan from the database, 10,000 x 100 pairs", "s").values(whole));
    report.add(Figure::new("the kept plan after a device has answered", "ms").limit(limit).values(answered));
    report.add(Figure::new("the kept plan after a licence has come", "ms").limit(limit).values(came));
    Ok(())
}
