//! The safety net: how much may go without anybody having said so.
//!
//! A plan that takes back a large share of the licences at once is far more often a mistake (a group emptied by accident, a
//! directory that answered with nothing) than a wish. Such a plan is held until a person confirms it; what is given goes on.
//!
//! What a person takes away knowingly (a deployment removed after its numbers were shown, licences revoked by hand) is
//! confirmed by that act, and counts as such until everything that was leaving has left.
//!
//! Example: of 400 licences that vppd has given, 100 may go with a share of 25 %. Somebody empties a group, and 150 devices
//! are in no deployment any more: held. Had a deployment to these 150 been removed on purpose, they would go.

/// How many licences may leave unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    /// Of the licences that vppd has given, in percent.
    pub share: u32,
    /// So many may always go, whatever their share.
    pub least: u64,
}

impl Net {
    /// How many of `all` may go unasked.
    pub fn passes(&self, all: u64) -> u64 {
        let share = u128::from(all) * u128::from(self.share) / 100;
        u64::try_from(share).unwrap_or(u64::MAX).max(self.least)
    }

    /// Whether `leaving` of `ours` licences may go, when `confirmed` were taken away knowingly.
    pub fn holds(&self, leaving: u64, ours: u64, confirmed: u64) -> bool {
        leaving > self.passes(ours).max(confirmed)
    }

    /// Whether a source that told of `before` things, and now tells of `after`, has shrunk more than can be believed.
    pub fn doubts(&self, before: u64, after: u64) -> bool {
        before.saturating_sub(after) > self.passes(before) || (after == 0 && before > self.least)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NET: Net = Net { share: 25, least: 20 };

    #[test]
    fn the_worked_example() {
        assert!(NET.holds(150, 400, 0));
        assert!(!NET.holds(150, 400, 150));
        assert!(!NET.holds(100, 400, 0));
        assert!(NET.holds(101, 400, 100));
    }

    #[test]
    fn a_few_may_always_go_and_an_empty_source_is_never_believed_at_once() {
        assert!(!NET.holds(20, 20, 0));
        assert!(NET.holds(21, 21, 0));
        assert!(NET.doubts(21, 0) && !NET.doubts(20, 0) && NET.doubts(1000, 700) && !NET.doubts(1000, 800));
        assert!(!NET.doubts(100, 500), "growing is no reason to doubt");
        let open = Net { share: 100, least: 0 };
        assert!(!open.holds(5, 5, 0) && open.doubts(5, 0));
    }

    proptest! {
        #[test]
        fn more_leaving_is_never_easier_and_confirming_all_of_it_always_lets_it_go(
            share in 0..=100u32, least in 0..100u64, leaving in 0..u64::MAX / 2, ours: u64, confirmed: u64,
        ) {
            let net = Net { share, least };
            prop_assert!(!net.holds(leaving, ours, leaving));
            prop_assert!(!net.holds(leaving, ours, confirmed) || net.holds(leaving + 1, ours, confirmed));
        }
    }
}
