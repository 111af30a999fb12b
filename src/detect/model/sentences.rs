//! A segment's score is that of its strongest sentence, if that is more than the whole's: a paragraph may
//! say something neutral first and then promote. Owns which sentence a feature stands in, and the sum, which
//! is divided by the root of the number of features: many words must not weigh more than clear ones.

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

/// What is added to the number of features: a few words are no proof.
const FEW: f32 = 40.0;

/// What the weights of `features` features are multiplied by.
pub(super) fn scale(features: u32) -> f32 {
    (features as f32 + FEW).sqrt().recip()
}

/// How many features a segment has, known or not: in all, in none of its sentences, in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    whole: u32,
    every: u32,
    sentences: [u32; MOST],
}

impl Sizes {
    /// Counts a feature.
    pub(super) fn count(&mut self, part: Part) {
        self.whole += 1;
        match part {
            Part::Sentence(index) => self.sentences[usize::from(index).min(MOST - 1)] += 1,
            Part::Every => self.every += 1,
            Part::Across => {}
        }
    }

    /// What a weight is multiplied by in the whole segment.
    pub(super) fn scale(&self) -> f32 {
        scale(self.whole)
    }
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
pub(super) fn score(features: impl Iterator<Item = (u64, f32, Part)>, sizes: &Sizes, bias: f32) -> f32 {
    let mut whole = 0.0;
    let mut every = 0.0;
    let mut sentences = [0.0_f32; MOST];
    let mut last = None;
    for (key, weight, part) in features {
        if last != Some(key) {
            whole += weight;
            last = Some(key);
        }
        match part {
            Part::Sentence(index) => sentences[usize::from(index).min(MOST - 1)] += weight,
            Part::Every => every += weight,
            Part::Across => {}
        }
    }
    let scaled = |(sum, size): (&f32, &u32)| (every + sum) * scale(sizes.every + size);
    let strongest = sentences.iter().zip(&sizes.sentences).filter(|(_, size)| **size > 0).map(scaled);
    let strongest = strongest.fold(f32::NEG_INFINITY, f32::max);
    bias + (whole * sizes.scale()).max(strongest - MARGIN)
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

    fn sizes(parts: &[(Part, u32)]) -> Sizes {
        let mut sizes = Sizes::default();
        for (part, count) in parts {
            (0..*count).for_each(|_| sizes.count(*part));
        }
        sizes
    }

    #[test]
    fn a_neutral_sentence_does_not_outweigh_a_promotional_one() {
        let features = [(1, -30.0, Part::Sentence(0)), (2, 42.0, Part::Sentence(1)), (3, -7.0, Part::Every)];
        let sizes = sizes(&[(Part::Sentence(0), 30), (Part::Sentence(1), 8), (Part::Every, 1)]);
        assert_eq!(score(features.into_iter(), &sizes, 0.25), 0.25 + 35.0 / 7.0 - MARGIN);
    }

    #[test]
    fn a_feature_in_two_sentences_counts_once_for_the_whole() {
        let features = [(1, 7.0, Part::Sentence(0)), (1, 7.0, Part::Sentence(1))];
        let sizes = sizes(&[(Part::Sentence(0), 4), (Part::Sentence(1), 4), (Part::Across, 1)]);
        assert_eq!(score(features.into_iter(), &sizes, 0.0), 1.0);
    }
}
