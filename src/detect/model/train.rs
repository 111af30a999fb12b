//! Training: labelled messages in, a model file and its measures out. Deterministic. The measures come
//! from models that have not seen the sector they judge.

use std::collections::HashMap;
use std::ops::Range;

use super::concepts::Concepts;
use super::features::{self, Sink};
use super::file::{self, Weight};
use super::learn::{Example, logistic_regression};
use super::opinion;
use super::sentences::{self, Part, Sentences, Sizes};
use super::training::LabelledMessage;
use super::{MESSAGE, MIXED, Numbers, in_place, message_features, mixed_features};
use crate::detect::judge::{self, RuleSums};
use crate::detect::normalise::readable;
use crate::detect::rules::{CountsAs, Rule, RuleTable, Scope};
use crate::detect::segment::{Place, PlaceKind, Segment};
use crate::detect::verdict::Class;
use crate::detect::{message, segmenter};

/// Strength of the examples against the penalty; found by leaving sectors out.
const STRENGTH: f32 = 0.004;
/// A feature is learned when this many messages have it.
const FEWEST_MESSAGES: usize = 2;
/// Groups of sectors that are left out in turn.
const FOLDS: u64 = 5;
/// How much more a service message counts than a promotional one when the threshold is set: a stream
/// that is declared as service is mostly service, more than the training set is.
const SERVICE_COUNTS: f32 = 3.0;
/// Weights below are not worth a line.
const SMALLEST: f32 = 0.1;

/// Labelled mail as it was sent, without labels on segments.
#[derive(Clone, Debug)]
pub struct LabelledMail {
    /// The message (RFC 5322).
    pub message: Vec<u8>,
    /// What it is.
    pub label: Class,
    /// Where it comes from: left out together when measured.
    pub source: String,
}

/// What was trained.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model file.
    pub file: String,
    /// Segments learned from.
    pub segments: usize,
    /// Messages judged by models that had not seen their sector.
    pub judged: Vec<Judged>,
}

/// A training message as judged by a model that had not seen its sector.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its id.
    pub id: String,
    /// Its language.
    pub language: String,
    /// What it is.
    pub label: Class,
    /// A second reader could decide otherwise.
    pub borderline: bool,
    /// Log-odds that it promotes.
    pub log_odds: f32,
    /// Judged mixed, should it promote.
    pub mixed: bool,
}

impl Judged {
    /// The class that follows.
    pub fn class(&self) -> Class {
        match self.log_odds {
            odds if odds < 0.0 => Class::Service,
            _ if self.mixed => Class::Mixed,
            _ => Class::Marketing,
        }
    }
}

/// A message made ready to learn from.
struct Prepared {
    id: String,
    label: Class,
    borderline: bool,
    fold: u64,
    segments: Vec<Segment>,
    folded: Vec<String>,
    rules: RuleSums,
    /// Feature numbers of each segment that has words.
    features: Vec<Option<Found>>,
    /// The label of each segment; `None` where it is not known.
    labels: Vec<Option<bool>>,
}

/// The features of a segment by number, in order.
struct Found {
    numbers: Vec<(u32, Part)>,
    sizes: Sizes,
}

/// Learns from labelled segments and, should there be any, from whole mails.
pub(in crate::detect) fn train(
    table: &RuleTable,
    messages: &[LabelledMessage],
    mails: &[LabelledMail],
    made_from: &str,
) -> Trained {
    let mut names = Names::default();
    let concepts = Concepts::built_in();
    let mut prepared: Vec<Prepared> = messages.iter().map(|m| prepare_message(table, m)).collect();
    prepared.extend(table.rules().iter().flat_map(|rule| prepare_examples(table, rule)));
    prepared.extend(mails.iter().map(|mail| prepare_mail(table, mail)));
    for message in &mut prepared {
        number_features(table, message, &concepts, &mut names);
    }
    names.keep_common(&mut prepared);
    label_mails(&mut prepared, &names);
    let out_of_fold: Vec<Vec<Option<f32>>> = scores_out_of_fold(&prepared, &names);
    let mut numbers = message_numbers(&prepared, &out_of_fold);
    let weights = learn_segments(&prepared, &names, |_| true);
    numbers.bias = weights[names.bias()];
    let judged = prepared
        .iter()
        .zip(&out_of_fold)
        .map(|(message, scores)| judged(message, scores, &numbers))
        .collect();
    let weighed =
        names.names.iter().zip(&weights).zip(&names.telling).map(|((n, w), telling)| (n, w * telling));
    let kept = weighed.filter(|(_, weight)| weight.abs() >= SMALLEST);
    let kept = kept.map(|(name, weight)| Weight { name: name.clone(), weight }).collect();
    let segments = prepared.iter().flat_map(|message| &message.labels).flatten().count();
    Trained { file: file::write(&numbers, kept, made_from), segments, judged }
}

/// Numbers for features' names. Behind the last name there is one more: the bias.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    /// In how many messages each is, and the last message that counted.
    messages: Vec<(usize, usize)>,
    current: usize,
    /// How telling each is.
    telling: Vec<f32>,
}

impl Found {
    fn distinct(&self) -> impl Iterator<Item = u32> {
        self.numbers.chunk_by(|a, b| a.0 == b.0).filter_map(|same| Some(same.first()?.0))
    }
}

impl Names {
    fn bias(&self) -> usize {
        self.names.len()
    }

    fn number(&mut self, parts: &[&str]) -> u32 {
        let name = parts.concat();
        let number = match self.numbers.get(&name) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                self.numbers.insert(name.clone(), number);
                self.names.push(name);
                self.messages.push((0, usize::MAX));
                number
            }
        };
        let (count, last) = &mut self.messages[number as usize];
        if *last != self.current {
            (*count, *last) = (*count + 1, self.current);
        }
        number
    }

    /// Leaves out what too few messages have, and renumbers the rest.
    fn keep_common(&mut self, prepared: &mut [Prepared]) {
        let mut renumbered = vec![None; self.names.len()];
        let mut kept = Vec::new();
        for (old, name) in std::mem::take(&mut self.names).into_iter().enumerate() {
            if self.messages[old].0 >= FEWEST_MESSAGES {
                renumbered[old] = u32::try_from(kept.len()).ok();
                kept.push(name);
            }
        }
        self.names = kept;
        self.numbers.clear();
        for found in prepared.iter_mut().flat_map(|message| message.features.iter_mut().flatten()) {
            let renumber = |(old, part): &(u32, Part)| Some((renumbered[*old as usize]?, *part));
            found.numbers = found.numbers.iter().filter_map(renumber).collect();
        }
        self.count_segments(prepared);
    }

    /// How telling each feature is: the square of its inverse frequency among segments.
    fn count_segments(&mut self, prepared: &[Prepared]) {
        let mut counts = vec![0_u32; self.names.len()];
        let mut segments = 0.0;
        for found in prepared.iter().flat_map(|message| message.features.iter().flatten()) {
            segments += 1.0;
            found.distinct().for_each(|number| counts[number as usize] += 1);
        }
        let telling = |count| ((1.0 + segments) / (1.0 + count as f32)).ln() + 1.0;
        self.telling = counts.into_iter().map(|count| telling(count).powi(2)).collect();
    }
}

struct Numbering<'n> {
    names: &'n mut Names,
    sentences: Sentences,
    found: Found,
}

impl Sink for Numbering<'_> {
    fn feature(&mut self, parts: &[&str], span: Range<usize>) {
        let part = self.sentences.part(&span);
        self.found.sizes.count(part);
        self.found.numbers.push((self.names.number(parts), part));
    }
}

fn number_features(table: &RuleTable, message: &mut Prepared, concepts: &Concepts, names: &mut Names) {
    let folded: Vec<&str> = message.folded.iter().map(String::as_str).collect();
    let mut all = Vec::with_capacity(folded.len());
    let fired = opinion::fired(table, &message.rules);
    for view in opinion::views(&message.segments, &folded, &fired) {
        all.push(view.map(|view| {
            let found = Found { numbers: Vec::new(), sizes: Sizes::default() };
            let mut sink = Numbering { names, sentences: Sentences::of(view.folded), found };
            features::extract(view, concepts, &mut Vec::new(), &mut sink);
            let mut found = sink.found;
            found.numbers.sort_unstable();
            found.numbers.dedup();
            found
        }));
    }
    message.features = all;
    names.current += 1;
}

fn prepare_message(table: &RuleTable, message: &LabelledMessage) -> Prepared {
    let mut segments = Vec::new();
    let mut labels = Vec::new();
    let mut add = |kind, text: String, label| {
        segments.push(Segment { place: Place { kind, number: 1, attached_message: false }, text });
        labels.push(label);
    };
    for segment in &message.segments {
        if !segment.target.is_empty() {
            add(PlaceKind::LinkTarget, segment.target.clone(), None);
        }
        add(segment.place.kind(), readable(&segment.text), Some(segment.promotional));
    }
    let group = fold(&message.sector);
    prepare(table, message.id.clone(), message.label, message.borderline, group, segments, labels)
}

/// A rule's examples, as messages of one sentence: what fires promotes, what is spared does not.
fn prepare_examples(table: &RuleTable, rule: &Rule) -> Vec<Prepared> {
    if rule.counts_as != CountsAs::Promotional
        || rule.scope.contains(&Scope::LinkTarget)
        || rule.scope.contains(&Scope::FileName)
    {
        return Vec::new();
    }
    let fires = rule.fires.iter().map(|text| (text, Class::Marketing));
    let spares = rule.spares.iter().map(|text| (text, Class::Service));
    let prepare_one = |(text, label): (&String, Class)| {
        let place = Place { kind: PlaceKind::Html, number: 1, attached_message: false };
        let segments = vec![Segment { place, text: readable(text) }];
        let labels = vec![Some(label.is_promotional())];
        prepare(table, String::new(), label, false, fold(&rule.id), segments, labels)
    };
    fires.chain(spares).map(prepare_one).collect()
}

fn prepare_mail(table: &RuleTable, mail: &LabelledMail) -> Prepared {
    let content = message::read(&mail.message, message::Limits::default());
    let segments = segmenter::cut(&content.pieces).segments;
    let label = if mail.label == Class::Service { Some(false) } else { None };
    let labels = segments.iter().map(|s| label.filter(|_| opinion::has_words(s.place.kind))).collect();
    prepare(table, String::new(), mail.label, false, fold(&mail.source), segments, labels)
}

fn prepare(
    table: &RuleTable,
    id: String,
    label: Class,
    borderline: bool,
    fold: u64,
    segments: Vec<Segment>,
    labels: Vec<Option<bool>>,
) -> Prepared {
    let findings: Vec<_> = segments.iter().map(|segment| judge::find(table, segment)).collect();
    let rules = judge::add_rules(table, &segments, &findings);
    let folded = findings.iter().map(|finding| finding.folded().to_owned()).collect();
    Prepared { id, label, borderline, fold, segments, folded, rules, features: Vec::new(), labels }
}

fn fold(group: &str) -> u64 {
    features::hash(&[group]) % FOLDS
}

/// Segments of a promotional mail have no labels of their own: those that a model of the labelled ones
/// finds promotional are taken to be it, at least the strongest.
fn label_mails(prepared: &mut [Prepared], names: &Names) {
    if prepared.iter().all(|message| message.label == Class::Service || message.labels.contains(&Some(true)))
    {
        return;
    }
    let weights = learn_segments(prepared, names, |_| true);
    for message in prepared.iter_mut() {
        if message.label == Class::Service || message.labels.contains(&Some(true)) {
            continue;
        }
        let scores = segment_scores(message, names, &weights);
        let best = scores.iter().flatten().copied().fold(f32::NEG_INFINITY, f32::max);
        for (label, score) in message.labels.iter_mut().zip(scores) {
            *label = score.filter(|score| *score > 0.0 || *score >= best).map(|_| true);
        }
    }
}

fn learn_segments(prepared: &[Prepared], names: &Names, included: impl Fn(&Prepared) -> bool) -> Vec<f32> {
    let mut examples = Vec::new();
    for message in prepared.iter().filter(|message| included(message)) {
        for (index, features) in message.features.iter().enumerate() {
            let (Some(features), Some(positive)) = (features, message.labels[index]) else { continue };
            examples.push(Example { features: with_bias(features, names), positive, weight: STRENGTH });
        }
    }
    logistic_regression(&examples, names.names.len() + 1)
}

fn with_bias(found: &Found, names: &Names) -> Vec<(u32, f32)> {
    let scale = found.sizes.scale();
    let mut features: Vec<(u32, f32)> =
        found.distinct().map(|number| (number, scale * names.telling[number as usize])).collect();
    features.push((u32::try_from(names.bias()).unwrap_or(u32::MAX), 1.0));
    features
}

fn segment_scores(message: &Prepared, names: &Names, weights: &[f32]) -> Vec<Option<f32>> {
    let score = |(index, found): (usize, &Option<Found>)| {
        let bias = weights[names.bias()];
        let found = found.as_ref()?;
        let weighed = found.numbers.iter().map(|(number, part)| {
            let weight = weights[*number as usize] * names.telling[*number as usize];
            (u64::from(*number), weight, *part)
        });
        Some(in_place(message.segments[index].place.kind, sentences::score(weighed, &found.sizes, bias)))
    };
    message.features.iter().enumerate().map(score).collect()
}

fn scores_out_of_fold(prepared: &[Prepared], names: &Names) -> Vec<Vec<Option<f32>>> {
    let mut all = vec![Vec::new(); prepared.len()];
    for left_out in 0..FOLDS {
        let weights = learn_segments(prepared, names, |message| message.fold != left_out);
        for (scores, message) in all.iter_mut().zip(prepared).filter(|(_, m)| m.fold == left_out) {
            *scores = segment_scores(message, names, &weights);
        }
    }
    all
}

/// The segments' scores that count, and the subject's.
fn values(message: &Prepared, scores: &[Option<f32>]) -> (Vec<f32>, f32) {
    let folded: Vec<&str> = message.folded.iter().map(String::as_str).collect();
    let distinct = opinion::distinct(&folded, scores);
    let values = distinct.into_iter().filter_map(|index| scores[index]).collect();
    (values, opinion::subject(&message.segments, scores))
}

/// Learns how segments make a message, from scores by models that have not seen it.
fn message_numbers(prepared: &[Prepared], scores: &[Vec<Option<f32>>]) -> Numbers {
    let mut promotional = Vec::new();
    let mut mixed = Vec::new();
    for (message, scores) in prepared.iter().zip(scores) {
        let (values, subject) = values(message, scores);
        let is_promotional = message.label.is_promotional();
        let weight = if is_promotional { 1.0 } else { SERVICE_COUNTS };
        let features = numbered(&message_features(&values));
        promotional.push(Example { features, positive: is_promotional, weight });
        if is_promotional {
            let features = numbered(&mixed_features(&values, subject, message.rules.service));
            mixed.push(Example { features, positive: message.label == Class::Mixed, weight: 1.0 });
        }
    }
    let mut numbers = Numbers::default();
    numbers.message.copy_from_slice(&logistic_regression(&promotional, MESSAGE));
    numbers.mixed.copy_from_slice(&logistic_regression(&mixed, MIXED));
    numbers
}

fn numbered(values: &[f32]) -> Vec<(u32, f32)> {
    (0..).zip(values.iter().copied()).collect()
}

fn judged(message: &Prepared, scores: &[Option<f32>], numbers: &Numbers) -> Judged {
    let (values, subject) = values(message, scores);
    let mixed = mixed_features(&values, subject, message.rules.service);
    let model = super::dot(&numbers.message, &message_features(&values));
    Judged {
        id: message.id.clone(),
        language: message.id.split('-').next().unwrap_or_default().to_owned(),
        label: message.label,
        borderline: message.borderline,
        log_odds: opinion::combined(model, &message.rules),
        mixed: super::dot(&numbers.mixed, &mixed) > 0.0,
    }
}
