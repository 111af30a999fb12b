//! `consentry evaluate`: judges labelled messages and says where the verdicts differ from the labels.
//! Owns the measures; their rendering is `evaluate/page`'s business.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::labelled::{self, Labelled};
use super::{exit, fail, show};
use crate::detect::model::LabelledMail;
use crate::detect::{self, Class, Detector, Evidence, Verdict};

/// The labels, in the order in which they are shown.
pub(super) const LABELS: [Class; 3] = [Class::Service, Class::Mixed, Class::Marketing];

/// Judge labelled messages and compare
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directories with labels.tsv and messages/, or files of the training format
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// One JSON object (the default when the output is no terminal)
    #[arg(long)]
    json: bool,
    /// Text, though the output is no terminal
    #[arg(long, conflicts_with = "json")]
    text: bool,
    /// Another model than the built-in
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// How many of the worst errors to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    worst: usize,
    /// Judge each source by a model trained on --data and all other sources
    #[arg(long)]
    leave_source_out: bool,
    /// Labelled segments for --leave-source-out
    #[arg(long, value_name = "DIR", default_value = "config/training")]
    data: PathBuf,
}

/// A message's label beside its verdict.
#[derive(Clone, Debug, Serialize)]
struct Compared {
    id: String,
    label: Class,
    language: String,
    source: String,
    borderline: bool,
    /// `None` when no verdict was possible.
    verdict: Option<Class>,
    score: f32,
    evidence: Vec<Evidence>,
}

/// Verdicts counted by label.
#[derive(Clone, Debug, Default, Serialize)]
struct Counts {
    messages: usize,
    service: usize,
    mixed: usize,
    marketing: usize,
    no_verdict: usize,
}

impl Counts {
    fn promotional(&self) -> f64 {
        100.0 * (self.mixed + self.marketing) as f64 / self.messages.max(1) as f64
    }
}

/// A row of a table: what is counted, the label, the counts.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    label: Class,
    #[serde(flatten)]
    counts: Counts,
}

/// What the threshold would find elsewhere than at one half.
#[derive(Clone, Debug, Serialize)]
struct Point {
    language: String,
    threshold: f32,
    /// Percent of service messages judged promotional.
    false_alarms: f64,
    /// Percent of mixed and of marketing messages found.
    mixed: f64,
    marketing: f64,
}

/// Messages by score, and how many of them promote.
#[derive(Clone, Debug, Serialize)]
struct Bin {
    from: f32,
    to: f32,
    messages: usize,
    mean_score: f64,
    promotional: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Report {
    languages: Vec<Row>,
    without_borderline: Vec<Row>,
    sources: Vec<Row>,
    threshold_curve: Vec<Point>,
    reliability: Vec<Bin>,
    worst: Vec<Compared>,
}

/// Evaluates.
pub fn run(args: &Args) -> ExitCode {
    let mut messages = Vec::new();
    for path in &args.paths {
        match labelled::read(path) {
            Ok(found) => messages.extend(found),
            Err(error) => return fail(exit::NO_INPUT, error),
        }
    }
    let results = match judge_all(&messages, args) {
        Ok(results) => results,
        Err(error) => return fail(exit::DATA, error),
    };
    let report = report(results, args.worst);
    if args.json || (!args.text && !super::terminal::Terminal::stdout().is_terminal) {
        // A struct of strings and numbers always serialises.
        show(&(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"))
    } else {
        show(&page::render(&report))
    }
}

fn judge_all(messages: &[Labelled], args: &Args) -> Result<Vec<Compared>, String> {
    let detector = match &args.model {
        None => Detector::new(),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Detector::with_model(&text)
        }
    };
    let detector = detector.map_err(|error| error.to_string())?;
    if !args.leave_source_out {
        return Ok(messages.iter().map(|message| judge(&detector, message)).collect());
    }
    let segments = labelled::read_training(&args.data).map_err(|error| error.to_string())?;
    let mut sources: Vec<&str> = messages.iter().map(|message| message.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut results = Vec::new();
    for source in sources {
        let others = messages.iter().filter(|message| message.source != source).map(|message| LabelledMail {
            message: message.message.clone(),
            label: message.label,
            source: message.source.clone(),
        });
        let trained = detect::train(&segments, &others.collect::<Vec<_>>(), "a source left out")
            .map_err(|error| error.to_string())?;
        let detector = Detector::with_model(&trained.file).map_err(|error| error.to_string())?;
        results.extend(messages.iter().filter(|m| m.source == source).map(|m| judge(&detector, m)));
    }
    Ok(results)
}

fn judge(detector: &Detector, labelled: &Labelled) -> Compared {
    let judgement = detector.judge(&labelled.message).ok();
    let verdict: Option<Verdict> = judgement.map(|judgement| judgement.verdict);
    Compared {
        id: labelled.id.clone(),
        label: labelled.label,
        language: labelled.language.clone(),
        source: labelled.source.clone(),
        borderline: labelled.borderline,
        score: verdict.as_ref().map_or(0.5, |verdict| verdict.score),
        verdict: verdict.as_ref().map(|verdict| verdict.class),
        evidence: verdict.map_or_else(Vec::new, |verdict| verdict.evidence),
    }
}

fn report(results: Vec<Compared>, worst: usize) -> Report {
    let clear: Vec<Compared> = results.iter().filter(|result| !result.borderline).cloned().collect();
    Report {
        languages: rows(&results, |result| &result.language),
        without_borderline: rows(&clear, |result| &result.language),
        sources: rows(&results, |result| &result.source),
        threshold_curve: threshold_curve(&results),
        reliability: reliability(&results),
        worst: worst_errors(results, worst),
    }
}

fn rows(results: &[Compared], name: impl Fn(&Compared) -> &str) -> Vec<Row> {
    let mut table: BTreeMap<(String, usize), Counts> = BTreeMap::new();
    for result in results {
        let label = LABELS.iter().position(|label| *label == result.label).unwrap_or_default();
        let counts = table.entry((name(result).to_owned(), label)).or_default();
        counts.messages += 1;
        match result.verdict {
            Some(Class::Service) => counts.service += 1,
            Some(Class::Mixed) => counts.mixed += 1,
            Some(Class::Marketing) => counts.marketing += 1,
            None => counts.no_verdict += 1,
        }
    }
    table.into_iter().map(|((name, label), counts)| Row { name, label: LABELS[label], counts }).collect()
}

fn threshold_curve(results: &[Compared]) -> Vec<Point> {
    let mut languages: Vec<&str> = results.iter().map(|result| result.language.as_str()).collect();
    languages.sort_unstable();
    languages.dedup();
    let mut curve = Vec::new();
    for language in languages {
        for threshold in [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99] {
            let share = |label| {
                let of_label = || results.iter().filter(move |r| r.label == label && r.language == language);
                let found = of_label().filter(|result| result.score >= threshold).count();
                100.0 * found as f64 / of_label().count().max(1) as f64
            };
            curve.push(Point {
                language: language.to_owned(),
                threshold,
                false_alarms: share(Class::Service),
                mixed: share(Class::Mixed),
                marketing: share(Class::Marketing),
            });
        }
    }
    curve
}

fn reliability(results: &[Compared]) -> Vec<Bin> {
    const BINS: usize = 10;
    let mut bins = Vec::new();
    for index in 0..BINS {
        let (from, to) = (index as f32 / BINS as f32, (index + 1) as f32 / BINS as f32);
        let last = index + 1 == BINS;
        let inside: Vec<&Compared> =
            results.iter().filter(|r| r.score >= from && (r.score < to || last)).collect();
        if inside.is_empty() {
            continue;
        }
        let count = inside.len() as f64;
        bins.push(Bin {
            from,
            to,
            messages: inside.len(),
            mean_score: inside.iter().map(|result| f64::from(result.score)).sum::<f64>() / count,
            promotional: inside.iter().filter(|result| result.label.is_promotional()).count() as f64 / count,
        });
    }
    bins
}

/// Errors between promotional and not, the surest first.
fn worst_errors(results: Vec<Compared>, count: usize) -> Vec<Compared> {
    let mut errors: Vec<Compared> = results
        .into_iter()
        .filter(|r| r.verdict.is_some_and(|verdict| verdict.is_promotional() != r.label.is_promotional()))
        .collect();
    errors.sort_by(|a, b| (b.score - 0.5).abs().total_cmp(&(a.score - 0.5).abs()).then(a.id.cmp(&b.id)));
    errors.truncate(count);
    errors
}
