//! Which words of a segment the model weighs most: the phrase that is quoted where no rule fired.

use std::ops::Range;

use super::{Known, Model, View};

/// Octets of context that a quoted phrase has at least, where the segment has them.
const SHORTEST: usize = 24;

impl Model {
    /// The bytes of the folded text that speak most for promotion: the run of words whose weights have
    /// the greatest sum, widened to a few whole words.
    pub(crate) fn phrase(&self, view: View<'_>, known: &[Known]) -> Range<usize> {
        let mut tokens = Vec::new();
        super::tokens::cut(view.folded, &mut tokens);
        let mut gains = vec![0.0_f32; tokens.len()];
        for feature in known {
            let first = tokens.partition_point(|token| token.span.end <= feature.span.start);
            let last = tokens.partition_point(|token| token.span.start < feature.span.end);
            let share = feature.weight / last.saturating_sub(first).max(1) as f32;
            for gain in gains.iter_mut().take(last).skip(first) {
                *gain += share;
            }
        }
        match greatest_run(&gains) {
            Some((first, last)) => widen(view.folded, tokens[first].span.start..tokens[last].span.end),
            None => 0..view.folded.len(),
        }
    }
}

/// The run with the greatest sum, first and last index; `None` when no value is positive.
fn greatest_run(gains: &[f32]) -> Option<(usize, usize)> {
    let mut best: Option<(f32, usize, usize)> = None;
    let (mut sum, mut from) = (0.0, 0);
    for (index, gain) in gains.iter().enumerate() {
        if sum <= 0.0 {
            (sum, from) = (0.0, index);
        }
        sum += gain;
        if sum > 0.0 && best.is_none_or(|(most, ..)| sum > most) {
            best = Some((sum, from, index));
        }
    }
    best.map(|(_, first, last)| (first, last))
}

/// Widens a span by whole words until it can be read.
fn widen(text: &str, mut span: Range<usize>) -> Range<usize> {
    while span.len() < SHORTEST.min(text.len()) {
        let before = text[..span.start].trim_end();
        let behind = &text[span.end..];
        let next = behind.len() - behind.trim_start().len();
        if next < behind.len() {
            let word = behind[next..].find(char::is_whitespace).map_or(behind.len(), |end| next + end);
            span.end += word;
        } else if !before.is_empty() {
            span.start = before
                .rfind(char::is_whitespace)
                .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        } else {
            break;
        }
    }
    let end =
        text[span.end..].find(|c: char| !matches!(c, '!' | '?' | '.' | '%')).unwrap_or(text.len() - span.end);
    span.start..span.end + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_run_is_found() {
        assert_eq!(greatest_run(&[-1.0, 2.0, -0.5, 1.0, -3.0, 1.0]), Some((1, 3)));
        assert_eq!(greatest_run(&[-1.0, 0.0]), None);
        assert_eq!(greatest_run(&[]), None);
    }

    #[test]
    fn a_phrase_is_widened_to_whole_words() {
        let text = "the balance is low. why not top up today?";
        let at = text.find("not").expect("not");
        assert_eq!(&text[widen(text, at..at + 3)], "low. why not top up today?");
        assert_eq!(widen("ab", 0..1), 0..2);
    }
}
