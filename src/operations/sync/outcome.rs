//! What a sync changed, for people and for programs.

use crate::operations::view::SyncOutcomeView;
use crate::store::assets::Replaced;
use crate::store::users;

/// Gathered while a sync runs.
#[derive(Default)]
pub(super) struct Outcome {
    /// Everything was listed.
    pub full: bool,
    pub listed_assets: u64,
    pub assets: Replaced,
    pub added: u64,
    pub removed: u64,
    pub users: users::Changed,
    /// Assets of which the assignments were listed by themselves, because Apple's count was another than ours.
    pub listed_singly: u64,
    /// Apple's data changed while it was read, every time.
    pub unstable: bool,
    /// What Apple says of the location itself and did not say before, in words.
    pub location: Vec<String>,
}

impl Outcome {
    /// In one line.
    pub fn words(&self) -> String {
        let Outcome { assets, added, removed, users, listed_singly, .. } = self;
        let mut parts = self.location.clone();
        parts.push(match self.full {
            true => format!("everything was read, {} assets", self.listed_assets),
            false => "what has changed was read".to_owned(),
        });
        match self.changes_nothing() {
            true => parts.push("nothing has changed".to_owned()),
            false => {
                parts.push(format!("assets: {} new, {} changed, {} gone", assets.added, assets.changed, assets.gone));
                parts.push(format!("assignments: {added} new, {removed} gone"));
                if (users.added, users.gone) != (0, 0) {
                    parts.push(format!("users: {} new, {} gone", users.added, users.gone));
                }
            }
        }
        if *listed_singly > 0 {
            parts.push(format!("assets whose assignments were counted again one by one: {listed_singly}"));
        }
        if self.unstable {
            parts.push("Apple's data kept changing meanwhile, so what is gone is told by the next sync".to_owned());
        }
        parts.join("; ")
    }

    fn changes_nothing(&self) -> bool {
        let people = (self.users.added, self.users.gone);
        self.assets == Replaced::default() && (self.added, self.removed) == (0, 0) && people == (0, 0)
    }

    /// For programs.
    pub fn view(&self) -> SyncOutcomeView {
        SyncOutcomeView {
            full: self.full,
            assets_new: self.assets.added,
            assets_changed: self.assets.changed,
            assets_gone: self.assets.gone,
            assignments_new: self.added,
            assignments_gone: self.removed,
            users_new: self.users.added,
            users_gone: self.users.gone,
            assets_listed_singly: self.listed_singly,
            unstable: self.unstable,
            location: self.location.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_says_what_it_read_and_what_changed() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.words(), "what has changed was read; nothing has changed");
        outcome.assets.changed = 2;
        (outcome.added, outcome.listed_singly) = (3, 1);
        outcome.location = vec!["the location is called \"Leeds North\" now".to_owned()];
        assert_eq!(
            outcome.words(),
            "the location is called \"Leeds North\" now; what has changed was read; assets: 0 new, 2 changed, 0 gone; \
             assignments: 3 new, 0 gone; assets whose assignments were counted again one by one: 1"
        );
        let full = Outcome { full: true, listed_assets: 12, removed: 1, unstable: true, ..Outcome::default() };
        assert!(full.words().starts_with("everything was read, 12 assets; assets: 0 new"), "{}", full.words());
        assert!(full.words().contains("kept changing"), "{}", full.words());
    }
}
