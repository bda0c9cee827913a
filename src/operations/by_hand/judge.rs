//! Whether an app can be given to a holder by hand, or taken back, and why not. Pure: it is given what is known, and counts
//! down what is free as it goes.

use std::collections::BTreeMap;

use crate::model::{HolderKind, LocationId};

/// An app with what the locations own of it.
#[derive(Debug, Clone, Default)]
pub(super) struct App {
    pub adam_id: String,
    pub name: String,
    pub book: bool,
    /// In the order in which the locations' licences are used.
    pub offers: Vec<Offer>,
}

/// An asset of one location.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub location: LocationId,
    pub location_name: String,
    /// Why nothing can be changed there now; empty when it can.
    pub why_not: String,
    pub pricing_param: String,
    pub device_assignable: bool,
    pub revocable: bool,
    pub unlimited: bool,
    pub free: u32,
}

/// A device or a person, as far as known.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub kind: HolderKind,
    /// Why it can be given nothing: for programs, and in words.
    pub problem: Option<(&'static str, String)>,
    /// Where Apple has the person, or refuses it (in words).
    pub registered: BTreeMap<LocationId, Result<(), String>>,
}

/// What the holder has of the app already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// Place in the app's offers.
    pub offer: usize,
    /// It is on its way back.
    pub returning: bool,
}

/// Why an item cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Impossible {
    pub code: &'static str,
    pub why: String,
}

fn impossible<T>(code: &'static str, why: impl Into<String>) -> Result<T, Impossible> {
    Err(Impossible { code, why: why.into() })
}

/// How an item can be assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assign {
    /// This offer's licence is taken; the person is registered there first if need be.
    Take { offer: usize, registers: bool },
    /// This offer's licence is held already.
    Held { offer: usize },
}

/// Gives the app to the subject, from `only` or from the first location that has a licence.
pub(super) fn assign(
    app: &mut App,
    subject: &Subject,
    held: &[Held],
    only: Option<LocationId>,
) -> Result<Assign, Impossible> {
    if let Some((code, why)) = &subject.problem {
        return impossible(code, why.clone());
    }
    let meant: Vec<usize> =
        (0..app.offers.len()).filter(|&place| only.is_none_or(|only| app.offers[place].location == only)).collect();
    if meant.is_empty() {
        let who = if only.is_some() { "the location does not own it" } else { "no location owns it" };
        return impossible("not-owned", who);
    }
    if let Some(held) = held.iter().find(|held| !held.returning && meant.contains(&held.offer)) {
        return Ok(Assign::Held { offer: held.offer });
    }
    let of = |place: &usize| &app.offers[*place];
    let fits = |place: &usize| subject.kind == HolderKind::User || of(place).device_assignable;
    let fitting: Vec<usize> = meant.into_iter().filter(fits).collect();
    if fitting.is_empty() && app.book {
        return impossible("book", "it is a book: Apple gives books to people only");
    }
    if fitting.is_empty() {
        return impossible(
            "not-device-assignable",
            "Apple does not allow it for serial numbers: assign it to the person",
        );
    }
    let writable: Vec<usize> = fitting.iter().copied().filter(|place| of(place).why_not.is_empty()).collect();
    if let (true, Some(first)) = (writable.is_empty(), fitting.first()) {
        return impossible("cannot-write", format!("{}: {}", of(first).location_name, of(first).why_not));
    }
    let refusal = |place: &usize| subject.registered.get(&of(place).location).and_then(|known| known.as_ref().err());
    let open: Vec<usize> = writable.iter().copied().filter(|place| refusal(place).is_none()).collect();
    if let (true, Some(why)) = (open.is_empty(), writable.iter().find_map(refusal)) {
        return impossible("registration-refused", format!("the person cannot be registered there: {why}"));
    }
    let Some(&offer) = open.iter().find(|place| of(place).unlimited || of(place).free > 0) else {
        return impossible("no-free-licence", "no licence is free");
    };
    let registers = subject.kind == HolderKind::User && !subject.registered.contains_key(&of(&offer).location);
    let taken = &mut app.offers[offer];
    taken.free = taken.free.saturating_sub(u32::from(!taken.unlimited));
    Ok(Assign::Take { offer, registers })
}

/// Takes back what the subject has of the app, from `only` or from everywhere: the places of the offers.
pub(super) fn revoke(
    app: &App,
    subject: &Subject,
    held: &[Held],
    only: Option<LocationId>,
) -> Result<Vec<usize>, Impossible> {
    let meant = |held: &&Held| only.is_none_or(|only| app.offers[held.offer].location == only);
    let places: Vec<usize> = held.iter().filter(meant).map(|held| held.offer).collect();
    if places.is_empty() {
        return match &subject.problem {
            Some((code, why)) => impossible(code, why.clone()),
            None => Ok(places),
        };
    }
    let of = |place: &usize| &app.offers[*place];
    if app.book || places.iter().any(|place| !of(place).revocable) {
        return impossible("irrevocable", "it stays for good: Apple does not take such a licence back");
    }
    if let Some(place) = places.iter().find(|place| !of(place).why_not.is_empty()) {
        return impossible("cannot-write", format!("{}: {}", of(place).location_name, of(place).why_not));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEEDS: LocationId = LocationId(1);
    const YORK: LocationId = LocationId(2);

    fn offer(location: LocationId, free: u32) -> Offer {
        Offer {
            location,
            location_name: format!("location {}", location.0),
            why_not: String::new(),
            pricing_param: "STDQ".into(),
            device_assignable: true,
            revocable: true,
            unlimited: false,
            free,
        }
    }

    fn app(offers: Vec<Offer>) -> App {
        App { adam_id: "1".into(), offers, ..App::default() }
    }

    fn subject(kind: HolderKind) -> Subject {
        Subject { kind, problem: None, registered: BTreeMap::new() }
    }

    fn code<T>(result: Result<T, Impossible>) -> &'static str {
        result.err().map_or("", |impossible| impossible.code)
    }

    #[test]
    fn licences_are_counted_down_over_the_locations_in_their_order() {
        let mut app = app(vec![offer(LEEDS, 1), offer(YORK, 2)]);
        let device = subject(HolderKind::Serial);
        let take = |app: &mut App, only| {
            assign(app, &device, &[], only).map(|done| match done {
                Assign::Take { offer, .. } | Assign::Held { offer } => offer,
            })
        };
        assert_eq!(take(&mut app, Some(YORK)), Ok(1));
        assert_eq!((take(&mut app, None), take(&mut app, None)), (Ok(0), Ok(1)));
        assert_eq!(code(take(&mut app, None)), "no-free-licence");
        app.offers[1].unlimited = true;
        assert_eq!((take(&mut app, None), take(&mut app, None)), (Ok(1), Ok(1)));
    }

    #[test]
    fn what_is_held_takes_nothing_and_what_is_on_its_way_back_does() {
        let mut app = app(vec![offer(LEEDS, 0), offer(YORK, 1)]);
        let device = subject(HolderKind::Serial);
        let held = Held { offer: 0, returning: false };
        assert_eq!(assign(&mut app, &device, &[held], None), Ok(Assign::Held { offer: 0 }));
        let returning = Held { returning: true, ..held };
        assert_eq!(assign(&mut app, &device, &[returning], None), Ok(Assign::Take { offer: 1, registers: false }));
    }

    #[test]
    fn each_obstacle_is_named() {
        let (device, mut person) = (subject(HolderKind::Serial), subject(HolderKind::User));
        assert_eq!(code(assign(&mut app(vec![]), &device, &[], None)), "not-owned");
        assert_eq!(code(assign(&mut app(vec![offer(LEEDS, 1)]), &device, &[], Some(YORK))), "not-owned");
        let for_people = Offer { device_assignable: false, ..offer(LEEDS, 1) };
        assert_eq!(code(assign(&mut app(vec![for_people.clone()]), &device, &[], None)), "not-device-assignable");
        let mut book = App { book: true, ..app(vec![for_people.clone()]) };
        assert_eq!(code(assign(&mut book, &device, &[], None)), "book");
        assert_eq!(assign(&mut book, &person, &[], None), Ok(Assign::Take { offer: 0, registers: true }));
        let closed = Offer { why_not: "the content token has expired".into(), ..offer(LEEDS, 1) };
        assert_eq!(code(assign(&mut app(vec![closed.clone()]), &device, &[], None)), "cannot-write");
        person.registered.insert(LEEDS, Err("a bad address".into()));
        assert_eq!(code(assign(&mut app(vec![offer(LEEDS, 1)]), &person, &[], None)), "registration-refused");
        person.registered.insert(YORK, Ok(()));
        let mut both = app(vec![offer(LEEDS, 1), offer(YORK, 1)]);
        assert_eq!(assign(&mut both, &person, &[], None), Ok(Assign::Take { offer: 1, registers: false }));
        let unknown = Subject { problem: Some(("unknown-serial", "who?".into())), ..device.clone() };
        assert_eq!(code(assign(&mut both, &unknown, &[], None)), "unknown-serial");
        // Taking back.
        let held = [Held { offer: 0, returning: false }];
        assert_eq!(revoke(&both, &device, &held, None), Ok(vec![0]));
        assert_eq!(revoke(&both, &unknown, &held, None), Ok(vec![0]), "a serial number that only Apple knows");
        assert_eq!(revoke(&both, &device, &held, Some(YORK)), Ok(vec![]));
        assert_eq!(code(revoke(&both, &unknown, &[], None)), "unknown-serial");
        assert_eq!(code(revoke(&book, &person, &held, None)), "irrevocable");
        let kept = app(vec![Offer { revocable: false, ..offer(LEEDS, 1) }]);
        assert_eq!(code(revoke(&kept, &person, &held, None)), "irrevocable");
        assert_eq!(code(revoke(&app(vec![closed]), &device, &held, None)), "cannot-write");
    }
}
