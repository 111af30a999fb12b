//! A segment's score is that of its strongest sentence, if that is more than the whole's: a paragraph may
//! say something neutral first and then promote. Owns which sentence a feature stands in, and the sum.

use std::ops::Range;

/// What a sentence must be stronger by than its segment to count instead.
const MARGIN: f32 = 1.0;
/// Sentences of a segment that are told apart.
const MOST: usize = 16;

/// Where a feature stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// In one sentence.
    Sentence(u8),
    /// Across two: it counts for the whole only.
    Across,
    /// In no words: it counts for each.
    Every,
}

/// Where the sentences of a text end.
pub(super) struct Sentences {
    ends: Vec<usize>,
}

impl Sentences {
    pub(super) fn of(folded: &str) -> Self {
        let bytes = folded.as_bytes();
        let ends = (1..bytes.len())
            .filter(|&at| {
                matches!(bytes[at], b' ' | b'\n') && (bytes[at] == b'\n' || ends_sentence(&bytes[..at]))
            })
            .take(MOST - 1);
        Self { ends: ends.collect() }
    }

    pub(super) fn part(&self, span: &Range<usize>) -> Part {
        if span.is_empty() {
            return Part::Every;
        }
        let index = self.ends.partition_point(|end| *end <= span.start);
        match self.ends.get(index) {
            Some(end) if *end < span.end => Part::Across,
            _ => Part::Sentence(u8::try_from(index).unwrap_or(u8::MAX)),
        }
    }
}

/// A full stop behind a short word is an abbreviation, or a person's initial.
fn ends_sentence(before: &[u8]) -> bool {
    match before {
        [.., b'!' | b'?'] => true,
        [.., a, b, c, b'.'] => {
            [a, b, c].iter().all(|byte| byte.is_ascii_alphanumeric() || **byte >= 0x80 || **byte == b'%')
        }
        _ => false,
    }
}

/// The score of a segment, from its features' weights and places. A feature that stands in several places
/// is given once for each, one behind the other; `features` are told apart by their key.
pub(super) fn score(features: impl Iterator<Item = (u64, f32, Part)>, given: f32) -> f32 {
    let mut whole = 0.0;
    let mut every = 0.0;
    let mut sentences = [0.0_f32; MOST];
    let mut last = None;
    let mut count = 0;
    for (key, weight, part) in features {
        if last != Some(key) {
            whole += weight;
            last = Some(key);
        }
        match part {
            Part::Sentence(index) => {
                let index = usize::from(index).min(MOST - 1);
                sentences[index] += weight;
                count = count.max(index + 1);
            }
            Part::Every => every += weight,
            Part::Across => {}
        }
    }
    let strongest = sentences[..count].iter().copied().fold(f32::NEG_INFINITY, f32::max);
    given + whole.max(every + strongest - MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_assigned_to_sentences() {
        let text = "your plan is no. 5 of mr. smith. upgrade now! thanks";
        let sentences = Sentences::of(text);
        let part = |words: &str| {
            let start = text.find(words).expect(words);
            sentences.part(&(start..start + words.len()))
        };
        assert_eq!(part("no. 5"), Part::Sentence(0));
        assert_eq!(part("mr. smith"), Part::Sentence(0));
        assert_eq!(part("upgrade now"), Part::Sentence(1));
        assert_eq!(part("smith. upgrade"), Part::Across);
        assert_eq!(part("thanks"), Part::Sentence(2));
        assert_eq!(sentences.part(&(0..0)), Part::Every);
    }

    #[test]
    fn a_neutral_sentence_does_not_outweigh_a_promotional_one() {
        let features = [(1, -3.0, Part::Sentence(0)), (2, 2.0, Part::Sentence(1)), (3, -1.0, Part::Every)];
        assert_eq!(score(features.into_iter(), 0.25), 0.25 + 2.0 - 1.0 - MARGIN);
        assert_eq!(score([(1, 1.0, Part::Sentence(0)), (1, 1.0, Part::Sentence(1))].into_iter(), 0.0), 1.0);
    }
}
