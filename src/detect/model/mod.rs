//! The linear model over segments: each word, word pair and word class of a segment adds its weight to
//! the log-odds that the segment promotes. Owns the shipped weights and what they say of a segment; how
//! segments make a verdict is `judge`'s business.
//!
//! `config/model/weights.txt` is written by `consentry train` and read at compile time: one line per
//! feature, so that every weight can be read, searched and compared.

mod concepts;
mod evidence;
mod features;
mod file;
mod learn;
mod opinion;
mod sentences;
mod tokens;
mod train;
mod training;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

pub(crate) use features::View;
pub use file::{ModelError, Weight};
pub(crate) use opinion::{Opinion, has_words};
pub(in crate::detect) use train::train;
pub use train::{Judged, LabelledMail, Trained};
pub use training::{LabelledMessage, LabelledSegment, TrainingError, TrainingPlace, read};

use super::segment::PlaceKind;
use concepts::Concepts;
use features::Sink;
use sentences::{Part, Sentences, Sizes};

/// The rule id of evidence that the model found.
pub(crate) const PHRASE: &str = "model.phrase";
/// The title of evidence that the model found.
pub(crate) const PHRASE_TITLE: &str = "Words that promote, as learned from labelled messages";
/// The law behind evidence that the model found.
pub(crate) const PHRASE_LAW: &str = "PECR 2003 reg. 22 with DPA 2018 s. 122(5): advertising or marketing \
    material sent by e-mail to particular individuals needs consent";

/// The shipped weights.
const BUILT_IN: &str = include_str!("../../../config/model/weights.txt");

/// A trained model, ready to score.
#[derive(Clone, Debug)]
pub struct Model {
    concepts: std::sync::Arc<Concepts>,
    numbers: Numbers,
    weights: HashMap<u64, f32, BuildHasherDefault<Ready>>,
}

/// The numbers of a model that stand on no word.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Numbers {
    /// Log-odds of a segment without known words.
    pub bias: f32,
    /// Promotional or not, from the segments' scores.
    pub message: [f32; MESSAGE],
    /// Mixed or marketing, from the same.
    pub mixed: [f32; MIXED],
}

/// Numbers that decide whether a message promotes: constant, strongest segment, second,
/// third, how many.
pub(crate) const MESSAGE: usize = 5;
/// Numbers that decide mixed or marketing: constant, service rules, share of neutral segments, most
/// neutral segment, subject.
pub(crate) const MIXED: usize = 5;

/// The keys are hashes already.
#[derive(Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// A feature of a segment that has a weight, and the bytes of the folded text it stands on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    key: u64,
    part: Part,
    pub weight: f32,
    pub span: Range<usize>,
}

/// What the model knows of a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Features {
    /// The features that have a weight, each once for each sentence.
    pub known: Vec<Known>,
    sizes: Sizes,
}

impl Model {
    /// The model that is shipped.
    ///
    /// # Errors
    /// [`ModelError`] when the file is faulty, which a test of this crate rules out.
    pub fn built_in() -> Result<Self, ModelError> {
        Self::parse(BUILT_IN)
    }

    /// The text of the shipped model.
    pub fn built_in_text() -> &'static str {
        BUILT_IN
    }

    /// The head of a model file and its weights, for reading.
    ///
    /// # Errors
    /// [`ModelError`] names the line that is wrong.
    pub fn weights(text: &str) -> Result<(String, Vec<Weight>), ModelError> {
        let head = text.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        Ok((head, file::features(text)?))
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`ModelError`] names the line that is wrong.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let mut weights = HashMap::default();
        let numbers = file::read(text, |weight, name| {
            weights.insert(features::hash(&[name]), weight);
        })?;
        Ok(Self { concepts: std::sync::Arc::new(Concepts::built_in()), numbers, weights })
    }

    /// The features of a segment.
    pub(crate) fn features(&self, view: View<'_>) -> Features {
        let mut collector =
            Collector { model: self, sentences: Sentences::of(view.folded), found: Features::default() };
        features::extract(view, &self.concepts, &mut Vec::with_capacity(64), &mut collector);
        let mut found = collector.found;
        found.known.sort_unstable_by_key(|feature| (feature.key, feature.part));
        found.known.dedup_by_key(|feature| (feature.key, feature.part));
        found
    }

    /// The log-odds that a segment promotes.
    pub(crate) fn segment_log_odds(&self, found: &Features, kind: PlaceKind) -> f32 {
        let features = found.known.iter().map(|feature| (feature.key, feature.weight, feature.part));
        in_place(kind, sentences::score(features, &found.sizes, self.numbers.bias))
    }

    /// The log-odds that a message promotes, from its segments'.
    pub(crate) fn message_log_odds(&self, segments: &[f32]) -> f32 {
        dot(&self.numbers.message, &message_features(segments))
    }

    /// The log-odds that a promotional message has service content.
    pub(crate) fn mixed_log_odds(&self, segments: &[f32], subject: f32, service_rules: f32) -> f32 {
        dot(&self.numbers.mixed, &mixed_features(segments, subject, service_rules))
    }
}

/// What quoted words count: they are somebody else's, most often.
const QUOTED: f32 = 0.3;

/// A segment's log-odds in the light of where it stands.
pub(crate) fn in_place(kind: PlaceKind, log_odds: f32) -> f32 {
    if kind == PlaceKind::Quoted && log_odds > 0.0 { log_odds * QUOTED } else { log_odds }
}

struct Collector<'m> {
    model: &'m Model,
    sentences: Sentences,
    found: Features,
}

impl Sink for Collector<'_> {
    fn feature(&mut self, parts: &[&str], span: Range<usize>) {
        let part = self.sentences.part(&span);
        self.found.sizes.count(part);
        let key = features::hash(parts);
        if let Some(&weight) = self.model.weights.get(&key) {
            self.found.known.push(Known { key, part, weight, span });
        }
    }
}

fn dot<const N: usize>(weights: &[f32; N], values: &[f32; N]) -> f32 {
    weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
}

/// Scores of segments that a message does not have.
const NONE: f32 = -2.0;

/// What decides whether a message promotes. The second and third segment only count where they promote
/// themselves, and there is no mean: neutral text, however much, must not outweigh an offer.
pub(crate) fn message_features(segments: &[f32]) -> [f32; MESSAGE] {
    let mut top = [f32::NEG_INFINITY; 3];
    for &score in segments {
        let mut score = score;
        for place in &mut top {
            if score > *place {
                std::mem::swap(place, &mut score);
            }
        }
    }
    let [first, second, third] = top;
    // The strongest of many is stronger by chance than that of few. Bounded: padding must not help.
    let many = (segments.len() as f32).clamp(2.0, 10.0).ln();
    [1.0, first.clamp(NONE, 8.0), second.clamp(0.0, 8.0), third.clamp(0.0, 8.0), many]
}

/// What decides between mixed and marketing.
pub(crate) fn mixed_features(segments: &[f32], subject: f32, service_rules: f32) -> [f32; MIXED] {
    let count = segments.len().max(1) as f32;
    let neutral = segments.iter().filter(|score| **score < 0.0).count() as f32 / count;
    let least = segments.iter().copied().fold(0.0_f32, f32::min).max(-6.0);
    [1.0, service_rules.min(6.0), neutral, least, subject.clamp(-4.0, 4.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_model_reads_and_tells_an_offer_from_a_receipt() {
        let model = Model::built_in().expect("weights.txt");
        let score = |folded| {
            let view = View { folded, kind: PlaceKind::Html, target: "", rules: &[] };
            model.segment_log_odds(&model.features(view), view.kind)
        };
        assert!(score("why not treat yourself to our new collection?") > 0.5);
        assert!(score("your payment of £20.00 was received on 3 may.") < -0.5);
    }

    #[test]
    fn the_three_strongest_segments_count() {
        assert_eq!(message_features(&[-3.0, 2.0, 1.0, 4.0]), [1.0, 4.0, 2.0, 1.0, 4.0_f32.ln()]);
        assert_eq!(message_features(&[-1.0]), [1.0, -1.0, 0.0, 0.0, 2.0_f32.ln()]);
        assert_eq!(message_features(&[]), [1.0, NONE, 0.0, 0.0, 2.0_f32.ln()]);
    }
}
