//! What the model thinks of a whole message: its segments' log-odds, the message's in the light of what the
//! rules say, and the phrases to quote. Owns which segments count, and which link belongs to which segment.

use std::collections::HashSet;
use std::ops::Range;

use super::features::View;
use super::{Features, Model};
use crate::detect::judge::RuleSums;
use crate::detect::rules::RuleTable;
use crate::detect::segment::{PlaceKind, Segment};

/// Segments whose words can be quoted.
const QUOTED_SEGMENTS: usize = 3;

/// How much the model's doubt counts against the rules, and how much doubt counts at most: what strong
/// rules say plainly must not drown in neutral words around it.
const DOUBT: f32 = 0.9;
const MOST_DOUBT: f32 = 4.0;

/// What the model thinks of a message.
#[derive(Clone, Debug)]
pub(crate) struct Opinion {
    /// Log-odds that the message promotes.
    pub log_odds: f32,
    /// It has service content beside, should it promote.
    pub mixed: bool,
    /// Log-odds that each segment promotes, by the model alone; `None` for what is not read as words.
    pub segments: Vec<Option<f32>>,
    /// The strongest segments' strongest words, strongest first.
    pub phrases: Vec<Phrase>,
}

/// Words that the model weighs most.
#[derive(Clone, Debug)]
pub(crate) struct Phrase {
    /// The segment they stand in.
    pub segment: usize,
    /// Bytes of its folded text.
    pub span: Range<usize>,
    /// Log-odds of the segment.
    pub weight: f32,
}

/// Whether the segment is read as words.
pub(crate) fn has_words(kind: PlaceKind) -> bool {
    !matches!(kind, PlaceKind::LinkTarget | PlaceKind::ImageFile | PlaceKind::AttachmentName)
}

/// The segments as the model sees them. A link's target stands before its words.
pub(crate) fn views<'a>(
    segments: &'a [Segment],
    folded: &[&'a str],
    fired: &'a [Vec<&'a str>],
) -> Vec<Option<View<'a>>> {
    let mut target = "";
    let view = |((segment, folded), rules): ((&'a Segment, &&'a str), &'a Vec<&'a str>)| {
        let kind = segment.place.kind;
        if kind == PlaceKind::LinkTarget {
            target = segment.text.as_str();
        }
        if !has_words(kind) {
            return None;
        }
        let takes_link = !matches!(kind, PlaceKind::AltText | PlaceKind::Tooltip | PlaceKind::Preheader);
        let target = if takes_link { std::mem::take(&mut target) } else { "" };
        Some(View { folded, kind, target, rules })
    };
    segments.iter().zip(folded).zip(fired).map(view).collect()
}

/// The ids of the rules that fired in each segment.
pub(in crate::detect) fn fired<'a>(table: &'a RuleTable, rules: &RuleSums) -> Vec<Vec<&'a str>> {
    let id = |rule: &usize| table.rules().get(*rule).map(|rule| rule.id.as_str());
    rules.fired.iter().map(|fired| fired.iter().filter_map(id).collect()).collect()
}

impl Model {
    /// Judges a message by its segments and by what the rules found in them.
    pub(in crate::detect) fn opinion(
        &self,
        table: &RuleTable,
        segments: &[Segment],
        folded: &[&str],
        rules: &RuleSums,
    ) -> Opinion {
        let fired = fired(table, rules);
        let views = views(segments, folded, &fired);
        let found: Vec<Features> =
            views.iter().map(|view| view.map(|view| self.features(view)).unwrap_or_default()).collect();
        let scores: Vec<Option<f32>> = views
            .iter()
            .zip(&found)
            .map(|(view, found)| view.map(|view| self.segment_log_odds(found, view.kind)))
            .collect();
        let distinct = distinct(folded, &scores);
        let values: Vec<f32> = distinct.iter().filter_map(|&index| scores[index]).collect();
        let subject = subject(segments, &scores);
        Opinion {
            log_odds: combined(self.message_log_odds(&values), rules),
            mixed: self.mixed_log_odds(&values, subject, rules.service) > 0.0,
            phrases: self.phrases(&views, &found, &scores, distinct),
            segments: scores,
        }
    }

    fn phrases(
        &self,
        views: &[Option<View<'_>>],
        found: &[Features],
        scores: &[Option<f32>],
        mut order: Vec<usize>,
    ) -> Vec<Phrase> {
        let score = |index: usize| scores[index].unwrap_or(f32::NEG_INFINITY);
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
        order
            .into_iter()
            .take(QUOTED_SEGMENTS)
            .filter_map(|segment| {
                let span = self.phrase(views[segment]?, &found[segment].known);
                Some(Phrase { segment, span, weight: score(segment) })
            })
            .collect()
    }
}

/// The model's log-odds and the rules' make the message's. The model has learned in the light of the rules,
/// so it decides; where the rules alone say more than it doubts, that counts. What is said outside words, in
/// file names and claims, the model cannot judge.
pub(super) fn combined(model: f32, rules: &RuleSums) -> f32 {
    let doubt = DOUBT * model.clamp(-MOST_DOUBT, 0.0);
    model.max(rules.log_odds + doubt).max(rules.log_odds_unspoken)
}

/// The scored segments, without those that repeat an earlier one's words: the text part says what the
/// HTML part says.
pub(crate) fn distinct(folded: &[&str], scores: &[Option<f32>]) -> Vec<usize> {
    let mut seen = HashSet::new();
    (0..scores.len()).filter(|&index| scores[index].is_some() && seen.insert(folded[index])).collect()
}

/// The subject's log-odds; neutral when there is none.
pub(crate) fn subject(segments: &[Segment], scores: &[Option<f32>]) -> f32 {
    let found = segments.iter().position(|segment| segment.place.kind == PlaceKind::Subject);
    found.and_then(|index| scores[index]).unwrap_or(0.0)
}
