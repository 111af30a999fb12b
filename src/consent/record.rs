//! Consent records: what was said, by whom, for what, when, and how we know.
//!
//! A [`NewRecord`] is what a caller states; a [`Record`] is what stands in the consent ledger, one
//! JSON object per line, its fields always in this order:
//!
//! | field | meaning |
//! |---|---|
//! | `address` | the mailbox as it was given |
//! | `purpose` | what the consent is for, a short lower-case word |
//! | `status` | `opted_in`, `soft_opt_in` or `opted_out` |
//! | `basis` | the legal ground or the words agreed to |
//! | `source` | where the fact came from: a form, a call, a list |
//! | `at` | when the person said it (RFC 3339, UTC, microseconds) |
//! | `until` | when it ends; left out when it does not end |
//! | `evidence` | the notice shown, or its hash; left out when there is none |
//! | `set_by` | who recorded it |
//! | `recorded_at` | when it was recorded |
//!
//! What follows from several records about one person is decided in [`super::standing`].

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::moment;
use crate::smtp::Address;

/// The longest `basis` or `source`, in bytes.
pub const MAX_TEXT: usize = 512;
/// The longest `evidence`, in bytes: a notice in full, or a hash with where to find it.
pub const MAX_EVIDENCE: usize = 8 * 1024;
/// The longest `set_by`, in bytes.
pub const MAX_SET_BY: usize = 128;
/// The longest purpose, in characters.
pub const MAX_PURPOSE: usize = 32;
/// How far `at` may lie ahead of our clock, in seconds, before it is an error: a date without a time
/// may name a day that has already begun elsewhere.
const MAX_AHEAD_SECONDS: i64 = 24 * 60 * 60;

/// Which consent a person has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The person agreed (PECR regulation 22(2), GDPR article 6(1)(a)).
    OptedIn,
    /// A customer who was offered a refusal when the address was collected (PECR regulation 22(3)).
    SoftOptIn,
    /// The person refused or withdrew.
    OptedOut,
    /// Nothing valid is known. It is the lack of a record and is never recorded itself.
    Unknown,
}

/// What a consent is for: a short lower-case word such as `marketing`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purpose(String);

/// A fact about consent, as a caller states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecord {
    /// Whose consent.
    pub address: Address,
    /// For what.
    #[serde(default)]
    pub purpose: Purpose,
    /// What was said.
    pub status: Status,
    /// The legal ground or the words agreed to.
    #[serde(default)]
    pub basis: String,
    /// Where the fact came from.
    #[serde(default)]
    pub source: String,
    /// When it was said; `None` means now.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// When it ends; `None` means that it does not.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The notice shown, or its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Who records it.
    pub set_by: String,
}

/// A fact as it stands in the consent ledger. The module documentation names the fields of the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose consent, as the address was given.
    pub address: Address,
    /// For what.
    pub purpose: Purpose,
    /// What was said; never [`Status::Unknown`].
    pub status: Status,
    /// The legal ground or the words agreed to.
    pub basis: String,
    /// Where the fact came from.
    pub source: String,
    /// When it was said.
    #[serde(with = "moment")]
    pub at: Timestamp,
    /// When it ends; `None` means that it does not.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The notice shown, or its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Who recorded it.
    pub set_by: String,
    /// When it was recorded.
    #[serde(with = "moment")]
    pub recorded_at: Timestamp,
}

/// Why a fact cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    /// `unknown` was given as a status.
    #[error("the status \"unknown\" cannot be recorded: it is what holds when there is no record")]
    Unknown,
    /// A text that must be there is missing.
    #[error("the {0} is missing: say it, it is what shows later how the consent came about")]
    Missing(&'static str),
    /// A text is too long.
    #[error("the {field} has {length} bytes, more than the {limit} that it may have")]
    TooLong {
        /// Which text.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A one-line text holds a control character.
    #[error("the {0} holds a line break or another control character")]
    ControlCharacter(&'static str),
    /// `at` lies in the future: it would overrule every later refusal until that day.
    #[error("the time {0} lies in the future: a consent is recorded when it was given, not before")]
    Future(Timestamp),
    /// `until` is not after `at`.
    #[error("the end {until} does not lie after the time {at} at which it was given")]
    EndsBeforeItBegins {
        /// When the fact was stated.
        at: Timestamp,
        /// When it was to end.
        until: Timestamp,
    },
}

/// Why a text is no purpose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the purpose {0:?} is not a short lower-case word: use up to {MAX_PURPOSE} of a-z, 0-9, \"-\", \"_\" \
     and \".\", beginning with a letter or digit, such as \"marketing\""
)]
pub struct PurposeError(String);

/// Why a text is no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the status {0:?} is not one of opted_in, soft_opt_in, opted_out")]
pub struct StatusError(String);

impl Status {
    /// The word that stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptedIn => "opted_in",
            Self::SoftOptIn => "soft_opt_in",
            Self::OptedOut => "opted_out",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OptedIn => "opted in",
            Self::SoftOptIn => "soft opt-in",
            Self::OptedOut => "opted out",
            Self::Unknown => "unknown",
        })
    }
}

impl FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_lowercase().replace(['-', ' '], "_").as_str() {
            "opted_in" => Ok(Self::OptedIn),
            "soft_opt_in" => Ok(Self::SoftOptIn),
            "opted_out" => Ok(Self::OptedOut),
            "unknown" => Ok(Self::Unknown),
            _ => Err(StatusError(shortened(text))),
        }
    }
}

impl Purpose {
    /// Takes a purpose word.
    ///
    /// # Errors
    /// [`PurposeError`] when it is anything but a short lower-case word.
    pub fn parse(text: &str) -> Result<Self, PurposeError> {
        let begins_well =
            text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
        let fits = text.len() <= MAX_PURPOSE
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
        if begins_well && fits { Ok(Self(text.to_owned())) } else { Err(PurposeError(shortened(text))) }
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Purpose {
    fn default() -> Self {
        Self("marketing".to_owned())
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Purpose {
    type Err = PurposeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for Purpose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Purpose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl NewRecord {
    /// Whether the fact can be recorded at the time `now`.
    ///
    /// # Errors
    /// [`InvalidRecord`] names what is wrong with it.
    pub fn check(&self, now: Timestamp) -> Result<(), InvalidRecord> {
        if self.status == Status::Unknown {
            return Err(InvalidRecord::Unknown);
        }
        check_line("basis", &self.basis, MAX_TEXT)?;
        check_line("source", &self.source, MAX_TEXT)?;
        check_line("set_by", &self.set_by, MAX_SET_BY)?;
        if let Some(evidence) = &self.evidence {
            check_length("evidence", evidence, MAX_EVIDENCE)?;
        }
        if let Some(at) = self.at
            && at.as_second() - now.as_second() > MAX_AHEAD_SECONDS
        {
            return Err(InvalidRecord::Future(at));
        }
        let at = self.at.unwrap_or(now);
        match self.until {
            Some(until) if until <= at => Err(InvalidRecord::EndsBeforeItBegins { at, until }),
            _ => Ok(()),
        }
    }

    /// The record for the ledger. `now` is when it is recorded; `at_default` is when a fact was stated
    /// that does not say so itself. A stated time that lies a little ahead of `now` becomes `now`:
    /// left as it is, it would overrule a refusal that arrives in the meantime.
    ///
    /// # Errors
    /// [`InvalidRecord`], see [`NewRecord::check`].
    pub fn into_record(self, now: Timestamp, at_default: Timestamp) -> Result<Record, InvalidRecord> {
        self.check(now)?;
        let now = moment::to_microseconds(now);
        let at = self.at.map_or(at_default, |at| at.min(now));
        Ok(Record {
            address: self.address,
            purpose: self.purpose,
            status: self.status,
            basis: self.basis.trim().to_owned(),
            source: self.source.trim().to_owned(),
            at: moment::to_microseconds(at),
            until: self.until.map(moment::to_microseconds),
            evidence: self.evidence.filter(|evidence| !evidence.trim().is_empty()),
            set_by: self.set_by.trim().to_owned(),
            recorded_at: now,
        })
    }
}

fn check_line(field: &'static str, text: &str, limit: usize) -> Result<(), InvalidRecord> {
    if text.trim().is_empty() {
        return Err(InvalidRecord::Missing(field));
    }
    if text.trim().chars().any(char::is_control) {
        return Err(InvalidRecord::ControlCharacter(field));
    }
    check_length(field, text, limit)
}

fn check_length(field: &'static str, text: &str, limit: usize) -> Result<(), InvalidRecord> {
    if text.len() > limit {
        return Err(InvalidRecord::TooLong { field, length: text.len(), limit });
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn fact() -> NewRecord {
        NewRecord {
            address: Address::parse("Ana@Example.com").expect("address"),
            purpose: Purpose::default(),
            status: Status::OptedIn,
            basis: "consent box ticked".to_owned(),
            source: "web form".to_owned(),
            at: Some(time("2026-01-02T03:04:05Z")),
            until: None,
            evidence: None,
            set_by: "ops".to_owned(),
        }
    }

    #[test]
    fn the_line_has_its_fields_in_the_documented_order() {
        let now = time("2026-03-04T05:06:07.123456789Z");
        let full = NewRecord {
            until: Some(time("2027-01-01T00:00:00Z")),
            evidence: Some("notice v3".to_owned()),
            ..fact()
        };
        assert_eq!(
            serde_json::to_string(&full.into_record(now, now).expect("record")).expect("line"),
            r#"{"address":"Ana@Example.com","purpose":"marketing","status":"opted_in","basis":"consent box ticked","source":"web form","at":"2026-01-02T03:04:05.000000Z","until":"2027-01-01T00:00:00.000000Z","evidence":"notice v3","set_by":"ops","recorded_at":"2026-03-04T05:06:07.123456Z"}"#
        );
        let bare = serde_json::to_string(&fact().into_record(now, now).expect("record")).expect("line");
        assert!(!bare.contains("until") && !bare.contains("evidence"), "{bare}");
    }

    #[test]
    fn a_line_read_back_is_the_same_record() {
        let now = time("2026-03-04T05:06:07.1Z");
        let record = fact().into_record(now, now).expect("record");
        let line = serde_json::to_string(&record).expect("line");
        assert_eq!(serde_json::from_str::<Record>(&line).expect("record"), record);
    }

    #[test]
    fn a_purpose_is_a_short_lower_case_word() {
        for good in ["marketing", "3d", "partner-offers", "news.weekly", "a_b"] {
            assert!(Purpose::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Marketing", "a b", "-a", "ü", "a\n", &"a".repeat(33)] {
            assert!(Purpose::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn facts_that_cannot_be_recorded_are_named() {
        let now = time("2026-03-04T05:06:07Z");
        let refused = |change: &dyn Fn(&mut NewRecord)| {
            let mut record = fact();
            change(&mut record);
            record.check(now).expect_err("refused").to_string()
        };
        assert!(refused(&|r| r.status = Status::Unknown).contains("unknown"));
        assert!(refused(&|r| r.basis = " ".to_owned()).contains("basis"));
        assert!(refused(&|r| r.source = "a\nb".to_owned()).contains("source"));
        assert!(refused(&|r| r.set_by = String::new()).contains("set_by"));
        assert!(refused(&|r| r.evidence = Some("x".repeat(9000))).contains("evidence"));
        assert!(refused(&|r| r.at = Some(time("2026-03-06T00:00:00Z"))).contains("future"));
        assert!(refused(&|r| r.until = Some(time("2026-01-01T00:00:00Z"))).contains("end"));
    }

    #[test]
    fn a_time_slightly_ahead_becomes_now() {
        let now = time("2026-03-04T20:00:00Z");
        let ahead = NewRecord { at: Some(time("2026-03-05T00:00:00Z")), ..fact() };
        assert_eq!(ahead.into_record(now, now).expect("record").at, now);
    }
}
