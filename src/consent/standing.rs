//! From facts to a standing: which of several records about one address and purpose decides.
//!
//! Pure: no files, no clock. The rules are a total order over facts, so the order in which facts
//! arrive can never change the outcome:
//!
//! 1. the newest `at` wins; an older fact that arrives late goes into history and overturns nothing;
//! 2. at the same time a refusal beats a grant, and of two grants the more careful one wins;
//! 3. a fact whose `until` has passed counts as if nothing were known, and says so (`expired`).
//!    A refusal ends only if the record says when.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::moment;
use super::record::{Record, Status};

/// What holds for an address and a purpose at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What holds, after the rules: an expired record counts as [`Status::Unknown`].
    pub status: Status,
    /// True when the deciding record has passed its `until`.
    pub expired: bool,
    /// The status in the deciding record, also when it has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Status>,
    /// The number of the deciding record in the consent ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// When the deciding fact was stated.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// When it ends or ended.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The part of a record that decides, with the record's number in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What was said.
    pub status: Status,
    /// When, in microseconds since 1970 (UTC).
    pub at: i64,
    /// Until when, in microseconds since 1970 (UTC).
    pub until: Option<i64>,
    /// The record's number in the ledger.
    pub record: u64,
}

impl Standing {
    /// What holds when there is no record.
    pub const NONE: Self =
        Self { status: Status::Unknown, expired: false, recorded: None, record: None, at: None, until: None };

    /// What holds at `now` when `fact` is the deciding one.
    pub fn of(fact: Option<&Fact>, now: Timestamp) -> Self {
        let Some(fact) = fact else { return Self::NONE };
        let expired = fact.until.is_some_and(|until| until <= now.as_microsecond());
        Self {
            status: if expired { Status::Unknown } else { fact.status },
            expired,
            recorded: Some(fact.status),
            record: Some(fact.record),
            at: Timestamp::from_microsecond(fact.at).ok(),
            until: fact.until.and_then(|until| Timestamp::from_microsecond(until).ok()),
        }
    }
}

impl Fact {
    /// The deciding part of the record with this number.
    pub fn new(record: &Record, number: u64) -> Self {
        Self {
            status: record.status,
            at: record.at.as_microsecond(),
            until: record.until.map(Timestamp::as_microsecond),
            record: number,
        }
    }

    /// The one of the two that decides.
    #[must_use]
    pub fn decisive(self, other: Self) -> Self {
        if self.weight(&other) == Ordering::Less { other } else { self }
    }

    /// `Greater` when `self` decides against `other`.
    fn weight(&self, other: &Self) -> Ordering {
        self.at
            .cmp(&other.at)
            .then_with(|| care(self.status).cmp(&care(other.status)))
            .then_with(|| strictness(self).cmp(&strictness(other)))
            // The same fact twice: the first record stays the one that is named.
            .then_with(|| other.record.cmp(&self.record))
    }
}

fn care(status: Status) -> u8 {
    match status {
        Status::Unknown => 0,
        Status::OptedIn => 1,
        Status::SoftOptIn => 2,
        Status::OptedOut => 3,
    }
}

/// Of two grants the one that ends sooner is stricter, of two refusals the one that ends later.
fn strictness(fact: &Fact) -> i128 {
    let end = i128::from(fact.until.unwrap_or(i64::MAX));
    if fact.status == Status::OptedOut { end } else { -end }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standing(facts: &[Fact], now: i64) -> Standing {
        let deciding = facts.iter().copied().reduce(Fact::decisive);
        Standing::of(deciding.as_ref(), Timestamp::from_microsecond(now).expect("now"))
    }

    fn fact(status: Status, at: i64, until: Option<i64>, record: u64) -> Fact {
        Fact { status, at, until, record }
    }

    /// What holds at the time 100, the record that decides, and whether it has expired.
    fn holds(facts: &[Fact]) -> (Status, Option<u64>, bool) {
        let standing = standing(facts, 100);
        (standing.status, standing.record, standing.expired)
    }

    #[test]
    fn the_newest_fact_holds_whatever_the_order_of_arrival() {
        use Status::{OptedIn, OptedOut, Unknown};
        assert_eq!(holds(&[]), (Unknown, None, false));
        assert_eq!(holds(&[fact(OptedIn, 10, None, 0)]), (OptedIn, Some(0), false));
        for (older, newer) in [(OptedIn, OptedOut), (OptedOut, OptedIn)] {
            assert_eq!(holds(&[fact(older, 10, None, 0), fact(newer, 20, None, 1)]), (newer, Some(1), false));
            assert_eq!(holds(&[fact(newer, 20, None, 0), fact(older, 10, None, 1)]), (newer, Some(0), false));
        }
    }

    #[test]
    fn at_the_same_time_the_more_careful_fact_holds() {
        use Status::{OptedIn, OptedOut, SoftOptIn};
        for (careful, careless) in [(OptedOut, OptedIn), (OptedOut, SoftOptIn), (SoftOptIn, OptedIn)] {
            let first = [fact(careful, 20, None, 0), fact(careless, 20, None, 1)];
            let second = [fact(careless, 20, None, 0), fact(careful, 20, None, 1)];
            assert_eq!(
                (holds(&first), holds(&second)),
                ((careful, Some(0), false), (careful, Some(1), false))
            );
        }
        let ends_sooner = [fact(OptedIn, 20, None, 0), fact(OptedIn, 20, Some(30), 1)];
        assert_eq!(holds(&ends_sooner), (Status::Unknown, Some(1), true));
        let ends_later = [fact(OptedOut, 20, Some(30), 0), fact(OptedOut, 20, None, 1)];
        assert_eq!(holds(&ends_later), (OptedOut, Some(1), false));
        let twice = [fact(OptedIn, 20, None, 0), fact(OptedIn, 20, None, 1)];
        assert_eq!(holds(&twice), (OptedIn, Some(0), false));
    }

    #[test]
    fn what_has_ended_is_unknown_and_revives_nothing_older() {
        use Status::{OptedIn, OptedOut, Unknown};
        assert_eq!(holds(&[fact(OptedIn, 10, Some(101), 0)]), (OptedIn, Some(0), false));
        assert_eq!(holds(&[fact(OptedIn, 10, Some(100), 0)]), (Unknown, Some(0), true));
        let older = fact(OptedIn, 10, None, 0);
        assert_eq!(holds(&[older, fact(OptedIn, 20, Some(30), 1)]), (Unknown, Some(1), true));
        assert_eq!(holds(&[older, fact(OptedOut, 20, Some(30), 1)]), (Unknown, Some(1), true));
        assert_eq!(holds(&[fact(OptedOut, i64::MIN, None, 0)]), (OptedOut, Some(0), false));
    }

    fn any_fact() -> impl Strategy<Value = Fact> {
        let status = prop_oneof![Just(Status::OptedIn), Just(Status::SoftOptIn), Just(Status::OptedOut)];
        // Few distinct times, so that ties are the rule and not the exception.
        (status, 0..6_i64, proptest::option::of(0..12_i64))
            .prop_map(|(status, at, until)| fact(status, at, until, 0))
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_never_matters(
            (sorted, shuffled) in proptest::collection::vec(any_fact(), 0..12).prop_flat_map(|facts| {
                let mut sorted = facts.clone();
                sorted.sort_by(Fact::weight);
                (Just(sorted), Just(facts).prop_shuffle())
            }),
            now in 0..12_i64,
        ) {
            prop_assert_eq!(standing(&sorted, now), standing(&shuffled, now));
        }

        #[test]
        fn a_refusal_as_new_as_any_grant_holds(
            grants in proptest::collection::vec(any_fact(), 0..12),
            now in 0..12_i64,
        ) {
            let newest = grants.iter().map(|fact| fact.at).max().unwrap_or(0);
            let mut facts = grants;
            facts.insert(facts.len() / 2, fact(Status::OptedOut, newest, None, 9));
            prop_assert_eq!(standing(&facts, now).status, Status::OptedOut);
        }
    }
}
