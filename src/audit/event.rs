//! The events of the audit log, each one JSON object whose first keys are `event` and `time`. The
//! order of the fields here is the order of the keys in the file. Owns the format, not its storage.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A relay began to take messages.
    Started(Started),
    /// What was decided for a message.
    Decision(Decision),
    /// What became of it.
    Outcome(Outcome),
    /// The mode was turned.
    ModeChange(ModeChange),
    /// A relay ended in order.
    Stopped(Stopped),
}

/// Whether decisions are carried out or only recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decide and record, forward everything.
    Monitor,
    /// Withhold what may not be sent.
    Enforce,
}

/// What happens to a message for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It goes to the outbound server.
    Forward,
    /// It does not.
    Withhold,
}

/// The one reason of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A service message, declared as such, needs no consent.
    Service,
    /// Consent is held and valid.
    ConsentHeld,
    /// The recipient opted out.
    ConsentRefused,
    /// No consent is on record.
    ConsentUnknown,
    /// Consent was held once and has ended.
    ConsentExpired,
    /// Soft opt-in counts only for a message that offers a simple means to refuse
    /// (PECR 2003, regulation 22(3)(c)), and this one does not.
    NoMeansToRefuse,
    /// The message could not be judged.
    NoVerdict,
    /// Allowed by itself, but another recipient of the message was withheld, and SMTP has one
    /// answer for all of them.
    AllOrNothing,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// The outbound server took it, and the mailer heard 250.
    Forwarded,
    /// The mailer heard the refusal.
    Withheld,
    /// The mailer heard 4xx and will try again.
    Deferred,
    /// The outbound server refused it for good, and the mailer heard so.
    Rejected,
    /// The outbound server may have taken it: the connection ended before its answer came.
    InDoubt,
    /// The mailer left before it heard an answer, or the relay was stopped.
    Aborted,
}

/// The id of a message in the audit log and in replies: a ULID, so that ids sort by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(String);

/// A relay began to take messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// When.
    #[serde(with = "microseconds")]
    pub time: Timestamp,
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The mode it began in.
    pub mode: Mode,
    /// Bytes of an unfinished last line that were moved aside at this start; 0 after a clean stop.
    pub torn_bytes: u64,
}

/// What was decided for a message, durable before it is carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    #[serde(with = "microseconds")]
    pub time: Timestamp,
    /// The message's id.
    #[serde(rename = "ref")]
    pub reference: Reference,
    /// The mode that was in force.
    pub mode: Mode,
    /// The mailer's address or authenticated name.
    pub client: String,
    /// The reverse-path; empty for the null one.
    pub from: String,
    /// One entry per recipient that the outbound server had accepted, in the order of RCPT.
    pub recipients: Vec<RecipientDecision>,
    /// The stream that the message belongs to.
    pub stream: String,
    /// The class that the stream's owner declares.
    pub declared: String,
    /// What the content is; none when it could not be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictRecord>,
    /// Why there is no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The Message-ID without angle brackets; empty when there is none.
    pub message_id: String,
    /// The decoded subject.
    pub subject: String,
    /// The message's length in bytes as received.
    pub size: u64,
}

/// The decision for one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientDecision {
    /// The forward-path as the mailer gave it.
    pub to: String,
    /// What was done.
    pub action: Action,
    /// What enforce mode would have done.
    pub would: Action,
    /// Why.
    pub reason: Reason,
    /// The consent status on record (`opted_in`, `soft_opt_in`, `opted_out`, `unknown`); none when
    /// it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
}

/// A verdict as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// `service`, `mixed` or `marketing`.
    pub class: String,
    /// 0 is surely neutral, 1 surely promotional.
    #[serde(serialize_with = "four_places")]
    pub score: f32,
    /// ISO 639-1, `und` when unknown.
    pub language: String,
    /// The rules know that language; without this, `service` says little. None in records from before this
    /// was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_supported: Option<bool>,
    /// The message itself offers a simple means to refuse further ones.
    #[serde(default)]
    pub opt_out_offered: bool,
    /// Strongest first.
    pub evidence: Vec<EvidenceRecord>,
}

/// The words that weighed, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRecord {
    /// The words.
    pub quote: String,
    /// Where they stand in the message.
    pub place: String,
    /// The rule's id.
    pub rule: String,
    /// The rule's name in plain words.
    pub title: String,
    /// The statute, ruling or guidance behind it.
    pub law: String,
    /// Log-odds that the words add.
    #[serde(serialize_with = "four_places")]
    pub weight: f32,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// When.
    #[serde(with = "microseconds")]
    pub time: Timestamp,
    /// The id of its decision.
    #[serde(rename = "ref")]
    pub reference: Reference,
    /// How it ended.
    pub result: OutcomeKind,
    /// What the mailer heard, as one line.
    pub reply: String,
    /// The outbound server that was spoken to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<String>,
    /// What it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_reply: Option<String>,
    /// The step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The mailer's address, where no decision names it: the transaction failed before there was a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The reverse-path, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The recipients so far, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

/// A turn of the mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeChange {
    /// When.
    #[serde(with = "microseconds")]
    pub time: Timestamp,
    /// The mode before.
    pub from: Mode,
    /// The mode after.
    pub to: Mode,
    /// Why, in the words of whoever did it.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When the mode before comes back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_microseconds")]
    pub until: Option<Timestamp>,
}

/// A relay ended in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// When.
    #[serde(with = "microseconds")]
    pub time: Timestamp,
    /// Its process.
    pub pid: u32,
    /// Why it ended.
    pub reason: String,
}

impl Event {
    /// When it happened.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Started(started) => started.time,
            Self::Decision(decision) => decision.time,
            Self::Outcome(outcome) => outcome.time,
            Self::ModeChange(change) => change.time,
            Self::Stopped(stopped) => stopped.time,
        }
    }
}

impl Reference {
    /// A new id of this moment. Times before 1970 count as 1970.
    pub fn new(now: Timestamp) -> Self {
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(Ulid::from_parts(milliseconds, Ulid::generate().random()).to_string())
    }

    /// The id as text: 26 characters of Crockford's base 32.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Mode {
    /// The word used in records and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Outcome {
    /// An outcome of which nothing is known but what the mailer heard.
    pub fn new(time: Timestamp, reference: Reference, result: OutcomeKind, reply: String) -> Self {
        Self {
            time,
            reference,
            result,
            reply,
            outbound: None,
            outbound_reply: None,
            step: None,
            error: None,
            client: None,
            from: None,
            recipients: Vec::new(),
        }
    }
}

impl Decision {
    /// True when a recipient did not get the message, or in enforce mode would not have got it.
    pub fn withholds(&self) -> bool {
        self.recipients.iter().any(|one| one.action == Action::Withhold || one.would == Action::Withhold)
    }
}

/// Times as RFC 3339 in UTC with always six places, so that they sort as text.
mod microseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

mod optional_microseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::microseconds::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::<Timestamp>::deserialize(deserializer)
    }
}

/// Scores and weights as people read them; further digits are no evidence.
fn four_places<S: serde::Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((f64::from(*value) * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("time")
    }

    fn decision() -> Decision {
        Decision {
            time: time("2026-11-23T10:11:12.5Z"),
            reference: Reference("01JDA0000000000000000000XQ".to_owned()),
            mode: Mode::Monitor,
            client: "127.0.0.1".to_owned(),
            from: "billing@shop.example".to_owned(),
            recipients: vec![RecipientDecision {
                to: "ana@example.com".to_owned(),
                action: Action::Forward,
                would: Action::Withhold,
                reason: Reason::ConsentRefused,
                consent: Some("opted_out".to_owned()),
            }],
            stream: "default".to_owned(),
            declared: "service".to_owned(),
            verdict: Some(VerdictRecord {
                class: "mixed".to_owned(),
                score: 0.97,
                language: "en".to_owned(),
                language_supported: Some(true),
                opt_out_offered: false,
                evidence: vec![EvidenceRecord {
                    quote: "spend more".to_owned(),
                    place: "subject".to_owned(),
                    rule: "offer.spend".to_owned(),
                    title: "Incentive to spend".to_owned(),
                    law: "PECR 22".to_owned(),
                    weight: 3.5,
                }],
            }),
            error: None,
            message_id: "1@shop.example".to_owned(),
            subject: "Your statement".to_owned(),
            size: 2048,
        }
    }

    #[test]
    fn the_form_of_a_decision_is_fixed() {
        let expected = concat!(
            r#"{"event":"decision","time":"2026-11-23T10:11:12.500000Z","ref":"01JDA0000000000000000000XQ","#,
            r#""mode":"monitor","client":"127.0.0.1","from":"billing@shop.example","recipients":[{"to":"#,
            r#""ana@example.com","action":"forward","would":"withhold","reason":"consent_refused","consent":"#,
            r#""opted_out"}],"stream":"default","declared":"service","verdict":{"class":"mixed","score":0.97,"#,
            r#""language":"en","language_supported":true,"opt_out_offered":false,"evidence":[{"quote":"spend more","place":"subject","#,
            r#""rule":"offer.spend","title":"Incentive to spend","law":"PECR 22","weight":3.5}]},"#,
            r#""message_id":"1@shop.example","subject":"Your statement","size":2048}"#,
        );
        assert_eq!(serde_json::to_string(&Event::Decision(decision())).expect("JSON"), expected);
        let read: Event = serde_json::from_str(expected).expect("event");
        assert_eq!(read, Event::Decision(decision()));
    }

    #[test]
    fn a_verdict_from_before_languages_were_kept_as_known_is_read() {
        let old = r#"{"class":"service","score":0.1,"language":"en","evidence":[]}"#;
        let read: VerdictRecord = serde_json::from_str(old).expect("verdict");
        assert_eq!((read.language_supported, read.opt_out_offered), (None, false));
    }

    #[test]
    fn the_forms_of_the_other_events_are_fixed() {
        let at = time("2026-11-23T10:11:12Z");
        let reference = Reference("01JDA0000000000000000000XQ".to_owned());
        let outcome = Outcome {
            time: at,
            reference,
            result: OutcomeKind::InDoubt,
            reply: "451 4.4.2 no answer".to_owned(),
            outbound: Some("127.0.0.1:25".to_owned()),
            outbound_reply: None,
            step: Some("final dot".to_owned()),
            error: None,
            client: None,
            from: None,
            recipients: Vec::new(),
        };
        let change = ModeChange {
            time: at,
            from: Mode::Monitor,
            to: Mode::Enforce,
            reason: "go".to_owned(),
            by: "root".to_owned(),
            until: Some(time("2026-11-23T12:11:12Z")),
        };
        let started =
            Started { time: at, version: "0.1.0".to_owned(), pid: 7, mode: Mode::Monitor, torn_bytes: 0 };
        let stopped = Stopped { time: at, pid: 7, reason: "SIGTERM".to_owned() };
        for (event, expected) in [
            (
                Event::Outcome(outcome),
                r#"{"event":"outcome","time":"2026-11-23T10:11:12.000000Z","ref":"01JDA0000000000000000000XQ","result":"in_doubt","reply":"451 4.4.2 no answer","outbound":"127.0.0.1:25","step":"final dot"}"#,
            ),
            (
                Event::ModeChange(change),
                r#"{"event":"mode_change","time":"2026-11-23T10:11:12.000000Z","from":"monitor","to":"enforce","reason":"go","by":"root","until":"2026-11-23T12:11:12.000000Z"}"#,
            ),
            (
                Event::Started(started),
                r#"{"event":"started","time":"2026-11-23T10:11:12.000000Z","version":"0.1.0","pid":7,"mode":"monitor","torn_bytes":0}"#,
            ),
            (
                Event::Stopped(stopped),
                r#"{"event":"stopped","time":"2026-11-23T10:11:12.000000Z","pid":7,"reason":"SIGTERM"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&event).expect("JSON"), expected);
            assert_eq!(serde_json::from_str::<Event>(expected).expect("event"), event);
        }
    }

    #[test]
    fn references_are_unlike_each_other_and_sort_by_time() {
        let first = Reference::new(time("2026-11-23T10:11:12.001Z"));
        let same_moment = Reference::new(time("2026-11-23T10:11:12.001Z"));
        let later = Reference::new(time("2026-11-23T10:11:12.002Z"));
        assert_eq!(first.as_str().len(), 26);
        assert_ne!(first, same_moment);
        assert!(first < later && same_moment < later);
    }
}
