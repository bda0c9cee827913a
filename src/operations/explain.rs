//! Why: for each pair of a device the deployments that speak of it, which one decides, by which rule, and what follows.

use super::look::{Seen, see};
use super::view::{ConsideredView, ExplainedView, ExplanationView};
use super::{OperationError, Shared, catalogue};
use crate::licensing::desired::{By, Rules};
use crate::licensing::plan::PairStep;
use crate::licensing::reasons::{Kind, Reasons, Verdict, reasons};
use crate::licensing::{Rule, Snapshot, Standing, Step, Whom};
use crate::model::Purpose;

/// Explains every pair of the device with this serial number, or the one of this app.
pub async fn explain(context: &Shared, serial: String, app: Option<String>) -> Result<ExplanationView, OperationError> {
    let adam_id = match app {
        None => None,
        Some(text) => Some(context.store.read(move |c| catalogue::resolve(c, &text)).await?),
    };
    let seen = see(context).await?;
    let snapshot = &seen.planned.loaded.snapshot;
    let upper = serial.trim().to_ascii_uppercase();
    let known = (0u32..).zip(&snapshot.devices).find(|(_, device)| !upper.is_empty() && device.serial == upper);
    let Some((place, device)) = known else {
        let shown: String = serial.chars().take(80).collect();
        return Err(OperationError::not_found(
            format!("no device with the serial number {shown} has enrolled, and no deployment or decision names it"),
            "`vppd device list` shows the devices.",
        ));
    };
    let product = |adam_id: &String| {
        let found = (0u32..).zip(&snapshot.products).find(|(_, product)| product.adam_id == *adam_id);
        found.map(|(place, _)| place).ok_or_else(|| {
            let shown: String = adam_id.chars().take(40).collect();
            OperationError::not_found(
                format!("no location owns an app with the Adam ID {shown}, and no deployment names it"),
                "`vppd app list` shows what is owned.",
            )
        })
    };
    let only = adam_id.as_ref().map(product).transpose()?;
    let steps = seen.planned.plan.steps.iter().filter(|step| step.device == place);
    let mut steps: Vec<PairStep> = steps.filter(|step| only.is_none_or(|only| step.product == only)).copied().collect();
    if let (Some(product), true) = (only, steps.is_empty()) {
        steps.push(PairStep { product, device: place, step: Step::Nothing });
    }
    let rules = Rules::new(snapshot);
    let pairs = steps.iter().map(|step| explained(&seen, &rules, step)).collect();
    let standing = match device.standing {
        Standing::Enrolled if device.silent_at(&snapshot.deadlines).is_some_and(|at| at <= snapshot.now) => {
            "enrolled, silent for too long: treated as gone"
        }
        Standing::Enrolled => "enrolled",
        Standing::Enrolling { .. } => "enrolling",
        Standing::Left { .. } => "not enrolled any more",
        Standing::Named => "never enrolled",
    };
    let person = device.person.map(|person| &snapshot.persons[person as usize]);
    let person = match person {
        None => "no person is noted".to_owned(),
        Some(person) if person.has_left(snapshot.now) => {
            format!("its person, {}, has left", person.client_user_id)
        }
        Some(person) => format!("its person is {}", person.client_user_id),
    };
    Ok(ExplanationView { serial: device.serial.clone(), device: format!("{standing}; {person}"), pairs })
}

fn explained(seen: &Seen, rules: &Rules, step: &PairStep) -> ExplainedView {
    let snapshot = &seen.planned.loaded.snapshot;
    let reasons = reasons(snapshot, rules, step.product, step.device);
    let deployments = reasons
        .deployments
        .iter()
        .map(|&(place, verdict)| {
            let rule = &snapshot.rules[place as usize];
            ConsideredView {
                id: rule.id,
                what: what(seen, rule),
                decides: verdict == Verdict::Decides,
                why: why(verdict).into(),
            }
        })
        .collect();
    ExplainedView {
        pair: seen.view(step),
        decides: decides(seen, &reasons),
        licence_of: licence_of(&reasons).into(),
        deployments,
        goes_back_at: seen.deadline(step),
    }
}

/// What a deployment wants, of whom.
fn what(seen: &Seen, rule: &Rule) -> String {
    let (snapshot, behind) = (&seen.planned.loaded.snapshot, &seen.planned.loaded.behind);
    let group = |group: u32| behind.groups.get(group as usize).map_or("?", String::as_str).to_owned();
    let whom = match rule.whom {
        Whom::AllDevices => "all devices".to_owned(),
        Whom::Group(number) => format!("the group \"{}\"", group(number)),
        Whom::Device(device) => snapshot.devices[device as usize].serial.clone(),
        Whom::Person(person) => format!("the person {}", snapshot.persons[person as usize].client_user_id),
    };
    let mut text = format!("{} for {whom}", rule.purpose.word());
    if rule.purpose == Purpose::Required {
        text += &format!(", licence {}", rule.kind.word());
    }
    if rule.priority != 0 {
        text += &format!(", priority {}", rule.priority);
    }
    if let Some(quota) = rule.quota {
        text += &format!(", quota {quota}");
    }
    if let Some(wave) = rule.wave {
        text += &format!(", waves of {wave}");
    }
    if rule.licence_only {
        text += ", licence only";
    }
    if !rule.excluded.is_empty() {
        let names: Vec<String> = rule.excluded.iter().map(|&number| group(number)).collect();
        text += &format!(", without {}", names.join(", "));
    }
    if !rule.locations.is_empty() {
        let names = rule.locations.iter().map(|&place| snapshot.locations[place as usize].name.as_str());
        text += &format!(", from {} alone", names.collect::<Vec<_>>().join(", "));
    }
    text
}

fn why(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Decides => "decides",
        Verdict::Excluded => "does not count: the device, or its person, is in an excluded group",
        Verdict::ByHand => "does not count: a decision by hand holds until it is released",
        Verdict::Priority => "does not count: the deciding one has the higher priority",
        Verdict::Narrower => {
            "does not count: the deciding one means fewer (one device or person, then a group, then all)"
        }
        Verdict::Purpose => "does not count: uninstall beats required, required beats available",
        Verdict::Older => "does not count: the deciding one is older",
    }
}

fn decides(seen: &Seen, reasons: &Reasons) -> String {
    let snapshot: &Snapshot = &seen.planned.loaded.snapshot;
    let Some(decision) = &reasons.decision else { return "nothing speaks of this app for this device".into() };
    let mut text = match decision.by {
        By::Rule(place) => format!("deployment {}", snapshot.rules[place as usize].id),
        By::Hand(place) => {
            let hand = &snapshot.by_hand[place as usize];
            let word = if hand.assigned { "assigned" } else { "revoked" };
            format!("{word} by hand on {}", hand.decided_at.strftime("%Y-%m-%d"))
        }
    };
    text += match (decision.purpose, reasons.person_left) {
        (_, true) => ": but its person has left, so nothing is wanted through a user licence",
        (Purpose::Required, _) if decision.install => ": the app shall be there",
        (Purpose::Required, _) => ": the licence shall be held, without an install",
        (Purpose::Available, _) => ": nothing is done until it is asked for; what is there stays",
        (Purpose::Uninstall, _) => ": the app shall go",
    };
    text
}

fn licence_of(reasons: &Reasons) -> &'static str {
    match reasons.kind {
        None => "",
        Some(Kind::Device) => "the device's own",
        Some(Kind::Person) => "its person's",
        Some(Kind::DeviceHolds) => "the device's own: it holds one already, and that is preferred to its person's",
        Some(Kind::DeviceIsPossible) => "the device's own, which is possible here",
        Some(Kind::DeviceIsNotPossible) => {
            "its person's: no location has the app for serial numbers, or the device cannot hold a licence"
        }
    }
}
