//! Times in the consent ledger: RFC 3339 in UTC, always with six decimals, so that lines sort and
//! align; and times as people write them.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, civil};
use serde::{Deserialize, Deserializer, Serializer};

/// Which end of the day a date without a time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayEdge {
    /// Its first moment: something was said on that day.
    Begin,
    /// The first moment after it: something holds until that day, which is included.
    End,
}

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a time: write 2026-01-31, 2026-01-31T13:45:00 (both in UTC) or 2026-01-31T13:45:00+01:00"
)]
pub struct MomentError(String);

/// Reads a time as people and exports write it; without an offset it is in UTC.
///
/// # Errors
/// [`MomentError`] when it is neither a date nor a date with a time.
pub fn parse(text: &str, edge: DayEdge) -> Result<Timestamp, MomentError> {
    let text = text.trim();
    let parsed = || {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time);
        }
        let civil = if text.len() > "2026-01-31".len() {
            text.parse::<civil::DateTime>().ok()?
        } else {
            let day = text.parse::<civil::Date>().ok()?.to_datetime(civil::Time::midnight());
            if edge == DayEdge::End { day.checked_add(1.day()).ok()? } else { day }
        };
        TimeZone::UTC.to_timestamp(civil).ok()
    };
    parsed().map(to_microseconds).ok_or_else(|| MomentError(text.chars().take(40).collect()))
}

/// Cut to microseconds, the ledger's resolution.
pub fn to_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Writes a time.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// Reads a time.
///
/// # Errors
/// The deserializer's, or that the text is no time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::deserialize(deserializer).map(to_microseconds)
}

/// The same for a time that may be left out.
pub mod optional {
    use super::*;

    /// Writes a time, or null.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a time, or null.
    ///
    /// # Errors
    /// The deserializer's, or that the text is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<Timestamp>::deserialize(deserializer)?.map(to_microseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_begins_or_ends_its_day_in_utc() {
        let read = |text: &str, edge| parse(text, edge).map(|time| time.to_string());
        let cases = [
            ("2026-01-31", DayEdge::Begin, "2026-01-31T00:00:00Z"),
            ("2026-12-31", DayEdge::End, "2027-01-01T00:00:00Z"),
            ("2026-01-31T13:45:00", DayEdge::End, "2026-01-31T13:45:00Z"),
            ("2026-01-31 13:45:00", DayEdge::Begin, "2026-01-31T13:45:00Z"),
            ("2026-01-31T13:45:00+01:00", DayEdge::Begin, "2026-01-31T12:45:00Z"),
            (" 2026-01-31T13:45:00.1234567Z ", DayEdge::Begin, "2026-01-31T13:45:00.123456Z"),
        ];
        for (text, edge, expected) in cases {
            assert_eq!(read(text, edge).as_deref(), Ok(expected), "{text}");
        }
        for bad in ["", "soon", "31/01/2026", "2026-02-30", "20260131T", "2026-01-31Tx"] {
            assert!(read(bad, DayEdge::Begin).is_err(), "{bad}");
        }
    }
}
