//! From segments to the verdict: each segment is judged on its own, the strongest promotional ones
//! decide, what the rest of the message is tells mixed from marketing. Owns the arithmetic; which
//! words weigh how much is the rule table's business.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::model::{self, Model, Opinion};
use super::normalise::{Folded, on_one_line};
use super::rules::{CountsAs, Hit, RuleTable, sentence_around};
use super::segment::{PlaceKind, Segment};
use super::verdict::{Class, Evidence, MAX_QUOTE, Mark, SegmentJudgement};

/// Log-odds of a link target or file name about which nothing promotional was found.
const BIAS: f32 = -3.2;
/// What the second, third, .. rule of a segment, or segment of a message, still adds.
const FADING: [f32; 6] = [1.0, 0.6, 0.4, 0.3, 0.2, 0.1];
/// Quoted text is somebody else's, most often: the customer's reply holds our last message.
const QUOTED: f32 = 0.3;
/// Promotional evidence from which the sender's claims count.
const ENOUGH_FOR_CLAIMS: f32 = 1.5;
/// Pieces of evidence in a verdict.
const MAX_EVIDENCE: usize = 20;

/// A segment's hits, and their place in the sum.
pub(super) struct Finding {
    hits: Vec<Hit>,
    folded: Folded,
}

/// What the hits of one segment amount to, less the rules that a stronger segment already counted.
struct Sum {
    segment: usize,
    promotional: f32,
}

/// What a message amounts to.
pub(super) struct Outcome {
    pub class: Class,
    pub score: f32,
    pub evidence: Vec<Evidence>,
    pub segments: Vec<SegmentJudgement>,
}

/// Finds the hits of a segment.
pub(super) fn find(table: &RuleTable, segment: &Segment) -> Finding {
    let folded = Folded::new(&segment.text);
    Finding { hits: table.hits(&folded.text, segment.place.kind), folded }
}

impl Finding {
    /// What a promotional hit weighs, less what the neutral words of its own sentence say. Words
    /// further off say nothing: else a footer could buy an offer free.
    fn weight(&self, table: &RuleTable, hit: &Hit) -> f32 {
        let Some(rule) = table.rules().get(hit.rule) else { return 0.0 };
        if rule.counts_as != CountsAs::Promotional {
            return 0.0;
        }
        let sentence = sentence_around(&self.folded.text, &hit.span);
        let context: f32 = self
            .hits
            .iter()
            .filter(|other| other.span.start < sentence.end && sentence.start < other.span.end)
            .filter_map(|other| table.rules().get(other.rule))
            .filter(|other| other.counts_as == CountsAs::Context)
            .map(|other| other.weight)
            .sum();
        (rule.weight + context).max(0.0)
    }

    /// The promotional rules whose hits weigh.
    fn promotional_rules(&self, table: &RuleTable) -> Vec<usize> {
        let weighs = |hit: &&Hit| self.weight(table, hit) > 0.0;
        self.hits.iter().filter(weighs).map(|hit| hit.rule).collect()
    }

    /// The folded text, for telling the language.
    pub(super) fn folded(&self) -> &str {
        &self.folded.text
    }
}

/// What the rules alone make of a message.
#[derive(Clone, Debug)]
pub(super) struct RuleSums {
    /// The promotional log-odds of each segment.
    pub segments: Vec<f32>,
    /// The promotional rules that fired in each, by number.
    pub fired: Vec<Vec<usize>>,
    /// Of the message, the sender's claims included.
    pub surplus: f32,
    /// Log-odds that the message promotes, by the rules alone.
    pub log_odds: f32,
    /// The same, by what does not stand in words alone: link targets, file names, claims.
    pub log_odds_unspoken: f32,
    /// Of service content.
    pub service: f32,
    /// How much each segment's hits count in the message's.
    shares: Vec<f32>,
    claims_count: bool,
}

/// Adds up what the rules found.
pub(super) fn add_rules(table: &RuleTable, segments: &[Segment], findings: &[Finding]) -> RuleSums {
    let none = HashSet::new();
    let each: Vec<f32> =
        segments.iter().zip(findings).map(|(segment, f)| promotional(table, segment, f, &none)).collect();
    let mut sums: Vec<Sum> = each
        .iter()
        .enumerate()
        .map(|(segment, &promotional)| Sum { segment, promotional })
        .filter(|sum| sum.promotional > 0.0)
        .collect();
    sums.sort_by(|a, b| b.promotional.total_cmp(&a.promotional).then(a.segment.cmp(&b.segment)));
    let (mut surplus, shares) = add_up(table, segments, findings, &sums);
    let has_words = |sum: &Sum| model::has_words(segments[sum.segment].place.kind);
    sums.retain(has_words);
    let (spoken, _) = add_up(table, segments, findings, &sums);
    let claims_count = surplus >= ENOUGH_FOR_CLAIMS;
    if claims_count {
        surplus += claims(table, findings);
    }
    let service = strongest(table, findings, CountsAs::Service);
    let fired = findings.iter().map(|finding| finding.promotional_rules(table)).collect();
    let unspoken = (surplus - spoken).max(0.0);
    let (log_odds, log_odds_unspoken) = (BIAS + surplus, BIAS + unspoken);
    RuleSums { segments: each, fired, surplus, log_odds, log_odds_unspoken, service, shares, claims_count }
}

/// Judges a message by its segments' findings and the model.
pub(super) fn judge(
    table: &RuleTable,
    model: &Model,
    segments: Vec<Segment>,
    findings: &[Finding],
) -> Outcome {
    let rules = add_rules(table, &segments, findings);
    let folded: Vec<&str> = findings.iter().map(Finding::folded).collect();
    let opinion = model.opinion(table, &segments, &folded, &rules);
    let class = match opinion.log_odds {
        odds if odds < 0.0 => Class::Service,
        _ if opinion.mixed => Class::Mixed,
        _ => Class::Marketing,
    };
    let evidence = evidence(table, &segments, findings, &rules, &opinion);
    let segments = segments
        .into_iter()
        .zip(findings)
        .zip(&opinion.segments)
        .map(|((segment, finding), log_odds)| segment_judgement(table, segment, finding, *log_odds))
        .collect();
    Outcome { class, score: logistic(opinion.log_odds), evidence, segments }
}

/// The message's surplus over the bias, and how much each segment's hits share in it.
fn add_up(table: &RuleTable, segments: &[Segment], findings: &[Finding], sums: &[Sum]) -> (f32, Vec<f32>) {
    let mut shares = vec![0.0; segments.len()];
    let mut counted = HashSet::new();
    let mut surplus = 0.0;
    let mut rank = 0;
    for sum in sums {
        let Some(fade) = FADING.get(rank) else { break };
        let Some(finding) = findings.get(sum.segment) else { continue };
        let fresh = promotional(table, &segments[sum.segment], finding, &counted);
        if fresh <= 0.0 {
            continue;
        }
        surplus += fade * fresh;
        shares[sum.segment] = *fade;
        counted.extend(finding.hits.iter().map(|hit| hit.rule));
        rank += 1;
    }
    (surplus, shares)
}

/// The promotional log-odds of a segment: the strongest rule in full, each further one less. Rules in
/// `counted` are left out.
fn promotional(table: &RuleTable, segment: &Segment, finding: &Finding, counted: &HashSet<usize>) -> f32 {
    let mut by_rule: HashMap<usize, f32> = HashMap::new();
    for hit in finding.hits.iter().filter(|hit| !counted.contains(&hit.rule)) {
        let strongest = by_rule.entry(hit.rule).or_default();
        *strongest = strongest.max(finding.weight(table, hit));
    }
    let mut weights: Vec<f32> = by_rule.into_values().filter(|weight| *weight > 0.0).collect();
    weights.sort_by(|a, b| b.total_cmp(a));
    let sum: f32 = weights.iter().zip(FADING).map(|(weight, fade)| weight * fade).sum();
    if segment.place.kind == PlaceKind::Quoted { sum * QUOTED } else { sum }
}

fn claims(table: &RuleTable, findings: &[Finding]) -> f32 {
    strongest(table, findings, CountsAs::Claim)
}

/// The sum of each rule of one sort, counted once, fading.
fn strongest(table: &RuleTable, findings: &[Finding], sort: CountsAs) -> f32 {
    let fired: HashSet<usize> = findings.iter().flat_map(|f| f.hits.iter().map(|hit| hit.rule)).collect();
    let mut weights: Vec<f32> = fired
        .into_iter()
        .filter_map(|rule| table.rules().get(rule))
        .filter(|rule| rule.counts_as == sort)
        .map(|rule| rule.weight)
        .collect();
    weights.sort_by(|a, b| b.total_cmp(a));
    weights.iter().zip(FADING).map(|(weight, fade)| weight * fade).sum()
}

fn evidence(
    table: &RuleTable,
    segments: &[Segment],
    findings: &[Finding],
    rules: &RuleSums,
    opinion: &Opinion,
) -> Vec<Evidence> {
    let mut all = phrases(segments, findings, rules, opinion);
    for ((segment, finding), share) in segments.iter().zip(findings).zip(&rules.shares) {
        for hit in &finding.hits {
            let Some(rule) = table.rules().get(hit.rule) else { continue };
            let weight = match rule.counts_as {
                CountsAs::Promotional => finding.weight(table, hit) * share,
                CountsAs::Claim if rules.claims_count => rule.weight,
                _ => continue,
            };
            if weight <= 0.0 {
                continue;
            }
            let quoted = if segment.place.kind == PlaceKind::Quoted { QUOTED } else { 1.0 };
            all.push(Evidence {
                quote: quote(segment, finding, &hit.span),
                place: segment.place,
                rule: rule.id.clone(),
                title: rule.title.clone(),
                law: rule.law.clone(),
                weight: weight * quoted,
            });
        }
    }
    all.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut seen = HashSet::new();
    all.retain(|evidence| seen.insert((evidence.rule.clone(), evidence.quote.to_lowercase())));
    all.truncate(MAX_EVIDENCE);
    all
}

/// Words that the model quotes from segments where no rule fired.
fn phrases(segments: &[Segment], findings: &[Finding], rules: &RuleSums, opinion: &Opinion) -> Vec<Evidence> {
    let without_rule = opinion.phrases.iter().filter(|phrase| {
        let promotes = phrase.weight > 0.0 || opinion.log_odds >= 0.0 && rules.surplus <= 0.0;
        promotes && rules.segments[phrase.segment] <= 0.0
    });
    without_rule
        .map(|phrase| Evidence {
            quote: quote(&segments[phrase.segment], &findings[phrase.segment], &phrase.span),
            place: segments[phrase.segment].place,
            rule: model::PHRASE.to_owned(),
            title: model::PHRASE_TITLE.to_owned(),
            law: model::PHRASE_LAW.to_owned(),
            weight: phrase.weight.max(0.1),
        })
        .filter(|evidence| !evidence.quote.is_empty())
        .collect()
}

fn quote(segment: &Segment, finding: &Finding, span: &Range<usize>) -> String {
    let span = finding.folded.readable_span(&segment.text, span.clone());
    let line = on_one_line(segment.text.get(span).unwrap_or_default());
    match line.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => line[..end].trim_end().to_owned(),
        None => line,
    }
}

fn segment_judgement(
    table: &RuleTable,
    segment: Segment,
    finding: &Finding,
    log_odds: Option<f32>,
) -> SegmentJudgement {
    let by_rules = || BIAS + promotional(table, &segment, finding, &HashSet::new());
    let score = logistic(log_odds.unwrap_or_else(by_rules));
    let marks = finding
        .hits
        .iter()
        .filter_map(|hit| {
            let rule = table.rules().get(hit.rule)?;
            Some(Mark {
                span: finding.folded.readable_span(&segment.text, hit.span.clone()),
                rule: rule.id.clone(),
                title: rule.title.clone(),
                law: rule.law.clone(),
                weight: if rule.counts_as == CountsAs::Service { -rule.weight } else { rule.weight },
            })
        })
        .collect();
    SegmentJudgement { segment, score, marks }
}

fn logistic(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}
