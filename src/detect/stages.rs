//! The stages of judging one by one, for `benches/judge.rs`. No promise goes with these.

use super::judge::{self, Finding, RuleSums};
use super::message::{self, Content, Limits};
use super::segment::Segment;
use super::{Detector, segmenter};

/// A message taken apart.
pub struct Parsed(Content);

/// A message cut into segments.
pub struct Segments(Vec<Segment>);

/// Segments with what the rules found in them.
pub struct Found(Vec<Finding>);

/// What the rules amount to.
pub struct Sums(RuleSums);

/// Decodes.
pub fn parse(message: &[u8]) -> Parsed {
    Parsed(message::read(message, Limits::default()))
}

/// Cuts HTML and text into segments.
pub fn segment(parsed: &Parsed) -> Segments {
    Segments(segmenter::cut(&parsed.0.pieces).segments)
}

/// Folds every segment; gives the octets.
pub fn normalise(segments: &Segments) -> usize {
    segments.0.iter().map(|segment| super::normalise::Folded::new(&segment.text).text.len()).sum()
}

/// Folds every segment and finds what the rules find.
pub fn rules(detector: &Detector, segments: &Segments) -> Found {
    Found(segments.0.iter().map(|segment| judge::find(&detector.table, segment)).collect())
}

/// Adds up what the rules found.
pub fn sums(detector: &Detector, segments: &Segments, found: &Found) -> Sums {
    Sums(judge::add_rules(&detector.table, &segments.0, &found.0))
}

/// What the model makes of the segments.
pub fn model(detector: &Detector, segments: &Segments, found: &Found, sums: &Sums) -> f32 {
    let folded: Vec<&str> = found.0.iter().map(Finding::folded).collect();
    detector.model.opinion(&detector.table, &segments.0, &folded, &sums.0).log_odds
}
