//! What runs out: how many licences of each app are bought, used, free and waited for, how long they will last, and the
//! alerts of it.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::catalogue::Catalogue;
use super::reconcile::{Planned, make_plan};
use super::view::LicenceReportView;
use super::{OperationError, Shared, alerts};
use crate::config::Licences;
use crate::licensing::Step;
use crate::licensing::forecast::{Forecast, Standing, Used, WINDOW, forecast};
use crate::store::alerts::NewAlert;
use crate::store::{self, StoreError, usage};

/// Licences are short, or will be.
pub const SHORT: &str = "licences-short";

/// An app's licences under all locations together.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sum {
    bought: u64,
    used: u64,
    under_way: u64,
    standing: Standing,
    forecast: Forecast,
}

/// The report of all apps and books, by Adam ID.
pub async fn report(context: &Shared) -> Result<Vec<LicenceReportView>, OperationError> {
    let planned = make_plan(context).await?;
    let catalogue = context.store.read(Catalogue::load).await?;
    let sums = sums(context, &planned).await?;
    Ok(sums.into_iter().map(|(adam_id, sum)| view(catalogue.name(&adam_id), adam_id, &sum)).collect())
}

fn view(name: String, adam_id: String, sum: &Sum) -> LicenceReportView {
    LicenceReportView {
        adam_id,
        name,
        unlimited: sum.standing.unlimited,
        bought: sum.bought,
        used: sum.used,
        reserved: sum.under_way,
        free: sum.standing.free,
        waiting: sum.standing.waiting,
        needed: sum.forecast.needed,
        per_day: sum.forecast.per_day,
        used_up_on: sum.forecast.used_up.map(|day| day.to_string()),
        forecast: sum.forecast.words(),
    }
}

/// Notes what is used today, raises the alerts of what is short or will be, and takes back those that have passed.
pub(super) async fn watch(context: &Shared) -> Result<(), OperationError> {
    let planned = make_plan(context).await?;
    let (catalogue, sums) = (context.store.read(Catalogue::load).await?, sums(context, &planned).await?);
    let (now, today) = (context.clock.now(), today(context));
    let settings = context.config().licences.clone();
    let due: Vec<NewAlert> = sums
        .iter()
        .filter_map(|(adam_id, sum)| alert(&settings, &catalogue.name(adam_id), adam_id, sum, today))
        .collect();
    let raised = context
        .store
        .write_bulk(move |w| -> Result<Vec<NewAlert>, StoreError> {
            for (adam_id, sum) in sums.iter().filter(|(_, sum)| !sum.standing.unlimited) {
                usage::note(w, adam_id, Used { day: today, used: sum.used })?;
            }
            let still: Vec<String> = due.iter().map(|alert| alert.occasion.clone()).collect();
            store::alerts::keep_only(w, SHORT, &still, now)?;
            let mut raised = Vec::new();
            for alert in due {
                if store::alerts::raise(w, &alert, now)? {
                    raised.push(alert);
                }
            }
            Ok(raised)
        })
        .await?;
    raised.iter().for_each(alerts::announce);
    Ok(())
}

fn today(context: &Shared) -> Date {
    context.clock.now().to_zoned(TimeZone::UTC).date()
}

async fn sums(context: &Shared, planned: &Planned) -> Result<BTreeMap<String, Sum>, OperationError> {
    let snapshot = &planned.loaded.snapshot;
    let mut by_product = vec![Sum::default(); snapshot.products.len()];
    for (asset, counts) in snapshot.assets.iter().zip(&planned.loaded.counts) {
        let sum = &mut by_product[asset.product as usize];
        sum.standing.unlimited |= asset.unlimited;
        sum.used += counts.held;
        sum.under_way += counts.under_way;
        if !asset.unlimited {
            sum.bought += counts.owned;
            sum.standing.free += u64::from(asset.free);
        }
    }
    let pairs = planned.plan.steps.iter().map(|one| (one.product, one.step));
    for (product, step) in pairs.chain(planned.plan.seats.iter().map(|one| (one.product, one.step))) {
        if matches!(step, Step::WaitForLicence { .. }) {
            by_product[product as usize].standing.waiting += 1;
        }
    }
    let today = today(context);
    let Ok(first) = today.checked_sub(WINDOW.days()) else { return Ok(BTreeMap::new()) };
    let mut history: BTreeMap<String, Vec<Used>> = BTreeMap::new();
    for (adam_id, used) in context.store.read(move |c| usage::since(c, first)).await? {
        history.entry(adam_id).or_default().push(used);
    }
    let mut sums = BTreeMap::new();
    for (product, mut sum) in snapshot.products.iter().zip(by_product) {
        let mut history = history.remove(&product.adam_id).unwrap_or_default();
        history.retain(|used| used.day != today);
        history.push(Used { day: today, used: sum.used });
        sum.forecast = forecast(sum.standing, &history, today);
        sums.insert(product.adam_id.clone(), sum);
    }
    Ok(sums)
}

fn alert(settings: &Licences, name: &str, adam_id: &str, sum: &Sum, today: Date) -> Option<NewAlert> {
    let app = if name.is_empty() { adam_id.to_owned() } else { format!("\"{name}\" ({adam_id})") };
    let Sum { bought, standing, forecast, .. } = sum;
    let soon = |day: Date| (today.until(day).map_or(i32::MAX, |span| span.get_days())) <= days(settings);
    let (occasion, message) = if standing.waiting >= u64::from(settings.warn_waiting) {
        let waiting = standing.waiting;
        let message = format!("{waiting} wait for a licence of {app}: all {bought} are used, {}", forecast.words());
        (format!("{adam_id} waiting"), message)
    } else if forecast.used_up.is_some_and(soon) {
        let message =
            format!("The licences of {app} run out: {} of {bought} are free, {}", standing.free, forecast.words());
        (format!("{adam_id} used up"), message)
    } else {
        return None;
    };
    Some(NewAlert {
        kind: SHORT,
        location: None,
        subject: app,
        occasion,
        grave: false,
        message,
        advice:
            "Buy licences in Apple's portal, or see who holds them without need: vppd report licences. Whoever waits \
                 is served by itself, in the order that `vppd plan` shows"
                .into(),
    })
}

fn days(settings: &Licences) -> i32 {
    i32::try_from(settings.warn_used_up.as_secs() / 86_400).unwrap_or(i32::MAX)
}
