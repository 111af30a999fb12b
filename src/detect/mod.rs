//! Detection: message bytes in, verdict with evidence out. Pure: no files, no sockets, no clock.
//!
//! The road: [`message`] takes the bytes apart, [`html`] cuts HTML into blocks, [`segment`] names the
//! places, [`normalise`] undoes disguises, [`rules`] finds words that weigh,
//! [`model`] weighs all words, [`judge`] adds them up.

mod decode;
mod html;
mod judge;
mod language;
mod message;
pub mod model;
mod normalise;
mod rules;
mod segment;
mod segmenter;
#[doc(hidden)]
pub mod stages;
mod verdict;

pub use rules::{CountsAs, Rule, RuleError, Scope};
pub use segment::{Place, PlaceError, PlaceKind, Segment};
pub use verdict::{Class, Evidence, Judgement, MAX_QUOTE, Mark, SegmentJudgement, Verdict};

use message::Limits;
use model::{LabelledMail, LabelledMessage, Model, ModelError, Trained};
use rules::RuleTable;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The built-in rule table is faulty.
    #[error("the built-in rule table is faulty, please report it: {0}")]
    Rules(#[from] RuleError),
    /// A model is faulty.
    #[error("the model cannot be read: {0}")]
    Model(#[from] ModelError),
    /// The message holds more text than is read, and what was read holds nothing promotional. A
    /// verdict of `service` would be a guess that padding could force.
    #[error(
        "the message holds more than {limit} octets of text or more parts than are read, and what was read is neutral: no verdict"
    )]
    TooMuchText {
        /// Octets of text that are read.
        limit: usize,
    },
}

/// Judges messages by the built-in rule table, compiled once. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Detector {
    table: RuleTable,
    model: Model,
}

impl Detector {
    /// Compiles the built-in rule table.
    ///
    /// # Errors
    /// [`DetectError::Rules`] when the table is faulty, which a test of this crate rules out.
    pub fn new() -> Result<Self, DetectError> {
        Ok(Self { table: RuleTable::built_in()?, model: Model::built_in()? })
    }

    /// The same rules with another model.
    ///
    /// # Errors
    /// [`DetectError`] when the model or the built-in table is faulty.
    pub fn with_model(text: &str) -> Result<Self, DetectError> {
        Ok(Self { table: RuleTable::built_in()?, model: Model::parse(text)? })
    }

    /// The rules, for documentation.
    pub fn rules(&self) -> &[Rule] {
        self.table.rules()
    }

    /// Judges a message (RFC 5322), whatever its bytes are.
    ///
    /// # Errors
    /// [`DetectError::TooMuchText`] when a limit kept part of the text from being read and the rest
    /// gives no reason to call the message promotional.
    pub fn judge(&self, message: &[u8]) -> Result<Judgement, DetectError> {
        let limits = Limits::default();
        let content = message::read(message, limits);
        let cut = segmenter::cut(&content.pieces);
        let findings: Vec<_> = cut.segments.iter().map(|segment| judge::find(&self.table, segment)).collect();
        let language = language_of(&cut.segments, &findings);
        let opt_out_offered = content.list_unsubscribe || findings.iter().any(|f| offers_opt_out(f.folded()));
        let outcome = judge::judge(&self.table, &self.model, cut.segments, &findings);
        if (content.cut || cut.cut) && !outcome.class.is_promotional() {
            return Err(DetectError::TooMuchText { limit: limits.text });
        }
        Ok(Judgement {
            verdict: Verdict {
                class: outcome.class,
                score: outcome.score,
                language_supported: language::is_supported(&language),
                language,
                evidence: outcome.evidence,
                opt_out_offered,
            },
            segments: outcome.segments,
            subject: content.subject,
            message_id: content.message_id,
        })
    }
}

/// Trains a model on labelled segments and whole mails, in the light of the built-in rules. `made_from` is
/// written into the model file.
///
/// # Errors
/// [`DetectError::Rules`] when the built-in rule table is faulty.
pub fn train(
    messages: &[LabelledMessage],
    mails: &[LabelledMail],
    made_from: &str,
) -> Result<Trained, DetectError> {
    Ok(model::train(&RuleTable::built_in()?, messages, mails, made_from))
}

/// The language of what is written in sentences.
fn language_of(segments: &[Segment], findings: &[judge::Finding]) -> String {
    const ENOUGH: usize = 8 << 10;
    let mut text = String::new();
    for (segment, finding) in segments.iter().zip(findings) {
        let is_prose = !matches!(
            segment.place.kind,
            PlaceKind::LinkTarget | PlaceKind::ImageFile | PlaceKind::AttachmentName | PlaceKind::Quoted
        );
        if is_prose {
            text.push_str(finding.folded());
            text.push('\n');
        }
        if text.len() > ENOUGH {
            break;
        }
    }
    language::detect(&text)
}

fn offers_opt_out(folded: &str) -> bool {
    const WAYS: [&str; 14] = [
        "unsubscribe",
        "opt out",
        "opt-out",
        "optout",
        "berhenti berlangganan",
        "berhenti menerima",
        "abmelden",
        "abbestellen",
        "desabonner",
        "desinscrire",
        "desinscription",
        "darse de baja",
        "darte de baja",
        "cancelar la suscripcion",
    ];
    WAYS.iter().any(|way| folded.contains(way))
}
