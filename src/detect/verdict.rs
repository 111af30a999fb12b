//! What judging a message yields: the verdict with its evidence, and the judged segments. Every
//! rendering (reply text, header, audit record, `check`) is made from these.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::segment::{Place, Segment};

/// What a message is, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Neutral and factual: informs about an existing relation.
    Service,
    /// A service message with a promotional element.
    Mixed,
    /// Promotion of goods, services, aims or ideals.
    Marketing,
}

impl Class {
    /// True for mixed and marketing, which need consent alike under an opt-in regime.
    pub fn is_promotional(self) -> bool {
        self != Self::Service
    }

    /// The lower-case word used in records and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Mixed => "mixed",
            Self::Marketing => "marketing",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The words of a message that weigh in its verdict, and why they do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The words, as they stand in the segment with white space folded; at most
    /// [`MAX_QUOTE`] characters.
    pub quote: String,
    /// Where they stand.
    pub place: Place,
    /// The id of the rule that they fire.
    pub rule: String,
    /// The rule's name in plain words.
    pub title: String,
    /// The statute, ruling or guidance behind the rule.
    pub law: String,
    /// What they add to the message's log-odds of being promotional.
    pub weight: f32,
}

/// The longest quote in characters.
pub const MAX_QUOTE: usize = 160;

/// What a message is, how sure that is, and on which words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the message is.
    pub class: Class,
    /// Probability-like: 0 is surely neutral, 1 is surely promotional; promotional from 0.5.
    pub score: f32,
    /// ISO 639-1 code of the message's language, `und` when unknown.
    pub language: String,
    /// The rules and the model know that language. Where they do not, a class of `service` says only that
    /// nothing promotional was recognised.
    pub language_supported: bool,
    /// Strongest first.
    pub evidence: Vec<Evidence>,
    /// The message itself carries a simple means to refuse further ones: List-Unsubscribe
    /// (RFC 2369, RFC 8058) or an unsubscribe link.
    pub opt_out_offered: bool,
}

/// Words in a segment that fired a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Bytes of the segment's text.
    pub span: Range<usize>,
    /// The rule's id.
    pub rule: String,
    /// The rule's name in plain words.
    pub title: String,
    /// The statute, ruling or guidance behind the rule.
    pub law: String,
    /// The rule's own log-odds; negative for words that speak for a neutral message.
    pub weight: f32,
}

/// A segment with what was found in it.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentJudgement {
    /// The segment.
    pub segment: Segment,
    /// How promotional it is on its own, 0 to 1.
    pub score: f32,
    /// The words that weigh, in reading order.
    pub marks: Vec<Mark>,
}

/// The verdict and the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Every segment, in reading order.
    pub segments: Vec<SegmentJudgement>,
    /// The decoded Subject; empty when there is none.
    pub subject: String,
    /// The Message-ID without angle brackets; empty when there is none.
    pub message_id: String,
}
