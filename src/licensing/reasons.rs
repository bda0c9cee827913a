//! Why a pair is decided as it is: every deployment and decision that speaks of it, which one decides, and by which of the
//! written rules (see [`super::desired`]) it beats the others.

use super::desired::{By, Decision, Rules};
use super::snapshot::{Licence, Rule, Snapshot, Whom};
use crate::model::{LicenceKind, Purpose};

/// Everything that decides one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Reasons {
    pub decision: Option<Decision>,
    /// Every deployment of the app that means this device, the strongest first.
    pub deployments: Vec<(u32, Verdict)>,
    /// Whose licence it is, and why; `None` while none is wanted.
    pub kind: Option<Kind>,
    /// What decides says something of a person who gets nothing any more.
    pub person_left: bool,
}

/// What became of a deployment that speaks of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Decides,
    /// The device, or its person, is in one of the excluded groups.
    Excluded,
    /// A decision by hand holds.
    ByHand,
    /// The one that decides has the higher priority.
    Priority,
    /// The one that decides means fewer.
    Narrower,
    /// Uninstall beats required, required beats available.
    Purpose,
    /// The one that decides is older.
    Older,
}

/// Why the licence is the device's or the person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As was said.
    Device,
    /// As was said.
    Person,
    /// The device holds one already, or one is asked for: it keeps it, though its person's was wanted.
    DeviceHolds,
    /// Device if possible, and it is.
    DeviceIsPossible,
    /// Device if possible, and it is not.
    DeviceIsNotPossible,
}

/// Why this pair is decided as it is.
pub fn reasons(snapshot: &Snapshot, rules: &Rules, product: u32, device: u32) -> Reasons {
    let pair = snapshot.pair(product, device);
    let decision = rules.for_device(snapshot, product, device, pair);
    let facts = &snapshot.devices[device as usize];
    let winner = rules.deciding_rule(snapshot, product, device).map(|place| &snapshot.rules[place as usize]);
    let by_hand = matches!(decision, Some(Decision { by: By::Hand(_), .. }));
    let deployments = rules
        .meaning(snapshot, product, device)
        .into_iter()
        .map(|(place, excluded)| {
            let rule = &snapshot.rules[place as usize];
            let verdict = match winner {
                _ if excluded => Verdict::Excluded,
                _ if by_hand => Verdict::ByHand,
                Some(winner) if winner.id != rule.id => beaten_by(rule, winner),
                _ => Verdict::Decides,
            };
            (place, verdict)
        })
        .collect();
    let wanted = decision.filter(|decision| decision.purpose == Purpose::Required);
    let by_user = wanted.map(|it| rules.is_by_user(snapshot, product, device, it.kind, pair));
    let holds = pair.is_some_and(|pair| matches!(pair.licence, Licence::Assigned | Licence::Requested));
    let kind = wanted.zip(by_user).map(|(decision, by_user)| match (decision.kind, by_user) {
        (LicenceKind::Device, _) => Kind::Device,
        (LicenceKind::User, true) => Kind::Person,
        (_, false) if holds => Kind::DeviceHolds,
        (_, false) => Kind::DeviceIsPossible,
        (LicenceKind::DeviceIfPossible, true) => Kind::DeviceIsNotPossible,
    });
    let left = facts.person.is_some_and(|person| snapshot.persons[person as usize].has_left(snapshot.now));
    Reasons { decision, deployments, kind, person_left: left && by_user == Some(true) }
}

/// The first of the written rules by which one deployment beats the other.
fn beaten_by(rule: &Rule, winner: &Rule) -> Verdict {
    let width = |rule: &Rule| match rule.whom {
        Whom::Device(_) | Whom::Person(_) => 0,
        Whom::Group(_) => 1,
        Whom::AllDevices => 2,
    };
    match () {
        () if winner.priority != rule.priority => Verdict::Priority,
        () if width(winner) != width(rule) => Verdict::Narrower,
        () if winner.purpose != rule.purpose => Verdict::Purpose,
        () => Verdict::Older,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::licensing::worlds::{at, device, rule, small, worlds};
    use crate::licensing::{Holder, plan};
    use proptest::prelude::*;

    #[test]
    fn each_deployment_is_told_with_the_rule_that_beat_it() {
        let mut snapshot = small(1, vec![device("A", 1)]);
        snapshot.devices[0].groups = Box::from([1, 2]);
        let group = |id, purpose| rule(id, 0, Whom::Group(1), purpose);
        snapshot.rules.push(group(5, Purpose::Uninstall));
        snapshot.rules.push(group(6, Purpose::Required));
        snapshot.rules.push(group(7, Purpose::Uninstall));
        snapshot.rules.push(Rule { priority: -1, ..rule(8, 0, Whom::Device(0), Purpose::Required) });
        snapshot.rules.push(Rule {
            priority: 9,
            excluded: Box::from([2]),
            ..rule(9, 0, Whom::AllDevices, Purpose::Required)
        });
        snapshot.rules.push(rule(10, 0, Whom::Group(3), Purpose::Required));
        let told = |snapshot: &Snapshot| -> Vec<(i64, Verdict)> {
            let reasons = reasons(snapshot, &Rules::new(snapshot), 0, 0);
            reasons.deployments.iter().map(|(place, verdict)| (snapshot.rules[*place as usize].id, *verdict)).collect()
        };
        let expected = [
            (9, Verdict::Excluded),
            (5, Verdict::Decides),
            (7, Verdict::Older),
            (6, Verdict::Purpose),
            (1, Verdict::Narrower),
            (8, Verdict::Priority),
        ];
        assert_eq!(told(&snapshot), expected);
        snapshot.by_hand.push(crate::licensing::ByHand {
            product: 0,
            holder: Holder::Device(0),
            assigned: true,
            location: None,
            install: true,
            decided_at: at(900),
        });
        assert!(told(&snapshot)[1..].iter().all(|(_, verdict)| *verdict == Verdict::ByHand));
    }

    proptest! {
        #[test]
        fn every_pair_has_its_reasons(world in worlds()) {
            let rules = Rules::new(&world);
            for step in &plan(&world).steps {
                let told = reasons(&world, &rules, step.product, step.device);
                let deciding: Vec<u32> = told.deployments.iter()
                    .filter(|(_, verdict)| *verdict == Verdict::Decides).map(|(place, _)| *place).collect();
                match told.decision {
                    Some(Decision { by: By::Rule(place), .. }) => prop_assert_eq!(deciding, [place]),
                    _ => prop_assert_eq!(deciding, [0u32; 0]),
                }
                let speaks = told.deployments.iter().any(|(_, verdict)| *verdict != Verdict::Excluded);
                prop_assert!(told.decision.is_some() || !speaks, "a deployment speaks and nothing decides");
                let words = crate::licensing::explain::explain(step.step, &Default::default());
                prop_assert!(!words.is_empty());
            }
        }
    }
}
