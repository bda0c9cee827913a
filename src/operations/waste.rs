//! Licences that are held while the app is not there: looked for once an hour, so that it is known since when, and told with
//! the reason and what can be done.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::by_hand::holder_words;
use super::catalogue::Catalogue;
use super::view::{WasteHolderView, WasteView, WhoseView};
use super::{OperationError, Shared};
use crate::model::{App, Holder};
use crate::store::devices::DeviceState;
use crate::store::unused::{self, Unused, Whose};
use crate::store::{StoreError, Write, devices, locations, pairs};

/// Rows kept in one transaction.
const CHUNK: usize = 1000;

/// Brings what is known of unused licences up to now.
pub async fn look(context: &Shared) -> Result<(), OperationError> {
    let now = context.clock.now();
    let assets = context.store.read(|c| -> Result<Vec<_>, StoreError> {
        let mut all = Vec::new();
        for location in locations::all(c)? {
            all.extend(unused::assets(c, location.id)?.into_iter().map(|asset| (location.id, asset)));
        }
        Ok(all)
    });
    for (location, (adam_id, pricing_param)) in assets.await? {
        let asset = (adam_id.clone(), pricing_param.clone());
        let changes = context.store.read(move |c| unused::changes(c, location, (&asset.0, &asset.1))).await?;
        // Few at a time: whoever waits for the disk is not kept.
        for holders in changes.begun.chunks(CHUNK) {
            let (holders, asset) = (holders.to_vec(), (adam_id.clone(), pricing_param.clone()));
            let begun = move |w: &Write<'_>| unused::begun(w, location, (&asset.0, &asset.1), &holders, now);
            context.store.write_bulk(begun).await?;
        }
        for holders in changes.ended.chunks(CHUNK) {
            let (holders, asset) = (holders.to_vec(), (adam_id.clone(), pricing_param.clone()));
            let ended = move |w: &Write<'_>| unused::ended(w, location, (&asset.0, &asset.1), &holders);
            context.store.write_bulk(ended).await?;
        }
    }
    Ok(())
}

/// What has been unused for so many days or longer, by app; as long as the settings say when none are given.
pub async fn list(context: &Shared, days: Option<u32>) -> Result<Vec<WasteView>, OperationError> {
    look(context).await?;
    let after = match days {
        Some(days) => Duration::from_secs(u64::from(days) * 86_400),
        None => context.config().licences.wasted_after,
    };
    let now = context.clock.now();
    let before = now.checked_sub(after).unwrap_or(Timestamp::MIN);
    context
        .store
        .read(move |c| -> Result<Vec<WasteView>, OperationError> {
            let catalogue = Catalogue::load(c)?;
            let mut apps: Vec<WasteView> = Vec::new();
            for unused in unused::since_before(c, before)? {
                if apps.last().is_none_or(|app| app.adam_id != unused.adam_id) {
                    apps.push(WasteView {
                        adam_id: unused.adam_id.clone(),
                        name: catalogue.name(&unused.adam_id),
                        licences: 0,
                        ours: 0,
                        adopted: 0,
                        foreign: 0,
                        since: unused.since,
                        holders: Vec::new(),
                    });
                }
                if let Some(app) = apps.last_mut() {
                    app.licences += 1;
                    *match unused.whose {
                        Whose::Ours => &mut app.ours,
                        Whose::Adopted => &mut app.adopted,
                        Whose::Foreign => &mut app.foreign,
                    } += 1;
                    app.holders.push(view(c, &unused)?);
                }
            }
            Ok(apps)
        })
        .await
}

fn view(c: &Connection, unused: &Unused) -> Result<WasteHolderView, StoreError> {
    let holder = holder_words(c, &unused.holder)?;
    let (why, advice) = match &unused.holder {
        Holder::Serial(_) => of_device(c, unused, &holder)?,
        Holder::User(_) => of_user(unused, &holder),
    };
    Ok(WasteHolderView {
        location: locations::by_id(c, unused.location)?.map(|location| location.name).unwrap_or_default(),
        whose: match unused.whose {
            Whose::Ours => WhoseView::Ours,
            Whose::Adopted => WhoseView::Adopted,
            Whose::Foreign => WhoseView::Foreign,
        },
        since: unused.since,
        holder,
        why: why.to_owned(),
        advice,
    })
}

fn of_device(c: &Connection, unused: &Unused, holder: &str) -> Result<(&'static str, String), StoreError> {
    let adam_id = &unused.adam_id;
    let revoke = || format!("vppd revoke {adam_id} --from {holder}");
    let reclaim = || format!("vppd reclaim --foreign {adam_id}");
    let device = match unused.device {
        Some(id) => devices::by_id(c, id)?,
        None => None,
    };
    let Some(device) = device else {
        let advice = if unused.whose == Whose::Foreign { reclaim() } else { revoke() };
        return Ok(("vppd does not manage a device with this serial number", advice));
    };
    if device.state != DeviceState::Enrolled {
        return Ok(match unused.whose {
            Whose::Foreign => ("the device has left", reclaim()),
            Whose::Ours | Whose::Adopted => ("the device has left", "comes back by itself: see vppd plan".to_owned()),
        });
    }
    let app = pairs::get(c, device.id, adam_id)?.map_or(App::None, |pair| pair.progress.app);
    Ok(match (app, unused.whose) {
        (App::Rejected, _) => ("the person declined the app", format!("ask the person, or: {}", revoke())),
        (App::InstallRetry | App::Failed, _) => {
            ("the app cannot be installed", format!("vppd app show {adam_id} tells why; or: {}", revoke()))
        }
        (App::InstallQueued, _) => {
            ("the device has not come for the app", format!("look for the device; or: {}", revoke()))
        }
        (App::Working | App::WaitingForPerson, _) => {
            ("the device has not finished the install", format!("look at the device; or: {}", revoke()))
        }
        (_, Whose::Foreign) => ("no deployment brings the app to the device", reclaim()),
        _ => ("the app is not on the device", revoke()),
    })
}

fn of_user(unused: &Unused, holder: &str) -> (&'static str, String) {
    let adam_id = &unused.adam_id;
    match (holder.starts_with("person:"), unused.whose) {
        (true, Whose::Foreign) => {
            ("on no device of the person that vppd knows", format!("vppd reclaim --foreign {adam_id}"))
        }
        (true, _) => ("on no device of the person that vppd knows", format!("vppd revoke {adam_id} --from {holder}")),
        (false, _) => ("vppd does not manage this user's devices", format!("vppd reclaim --foreign {adam_id}")),
    }
}
