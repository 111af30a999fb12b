//! `consentry train`: makes a model from labelled messages, and says how well it judges sectors that it
//! has not seen.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::labelled::{self, LabelledError};
use super::{exit, fail, show};
use crate::detect;
use crate::detect::model::{Judged, LabelledMail, LabelledMessage, Trained};

/// Train a model on labelled messages
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Labelled segments: files of the training format, or a directory of them
    #[arg(long, value_name = "DIR", default_value = "config/training")]
    data: PathBuf,
    /// Labelled mail to learn from besides: a directory with labels.tsv and messages/
    #[arg(long, value_name = "DIR")]
    add: Vec<PathBuf>,
    /// Where the model is written; without it only the measures are shown
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Learn from this many messages only, spread evenly: for a learning curve
    #[arg(long, value_name = "N")]
    first: Option<usize>,
}

/// Trains, prints the measures, and writes the model.
pub fn run(args: &Args) -> ExitCode {
    let (messages, mails) = match read(args) {
        Ok(labelled) => labelled,
        Err(error) => return fail(exit::NO_INPUT, error),
    };
    let made_from =
        format!("from {} messages of labelled segments and {} mails", messages.len(), mails.len());
    let trained = match detect::train(&messages, &mails, &made_from) {
        Ok(trained) => trained,
        Err(error) => return fail(exit::SOFTWARE, error),
    };
    if let Some(out) = &args.out
        && let Err(error) = std::fs::write(out, &trained.file)
    {
        return fail(exit::CANNOT_CREATE, format!("{}: {error}", out.display()));
    }
    show(&measures(&trained))
}

fn read(args: &Args) -> Result<(Vec<LabelledMessage>, Vec<LabelledMail>), LabelledError> {
    let mut messages = labelled::read_training(&args.data)?;
    if let Some(first) = args.first.filter(|first| *first < messages.len()) {
        let all = messages.len();
        let mut index = 0;
        messages.retain(|_| {
            index += 1;
            index * first / all != (index - 1) * first / all
        });
    }
    let mut mails = Vec::new();
    for directory in &args.add {
        mails.extend(labelled::read(directory)?.into_iter().map(|labelled| LabelledMail {
            message: labelled.message,
            label: labelled.label,
            source: labelled.source,
        }));
    }
    Ok((messages, mails))
}

fn measures(trained: &Trained) -> String {
    let features = trained.file.lines().filter(|line| line.contains('\t')).count();
    let mut page = format!(
        "{} segments, {features} weights, {} octets\n\n\
         Messages judged by models that had not seen their sector:\n\n  \
         language  label       messages  promotional  right class\n",
        trained.segments,
        trained.file.len()
    );
    let mut languages: Vec<&str> = trained.judged.iter().map(|judged| judged.language.as_str()).collect();
    languages.sort_unstable();
    languages.dedup();
    for language in languages.into_iter().filter(|language| !language.is_empty()) {
        for label in super::evaluate::LABELS {
            let of_kind = |j: &&Judged| j.language == language && j.label == label;
            let all = trained.judged.iter().filter(of_kind).count();
            if all == 0 {
                continue;
            }
            let promotional = trained.judged.iter().filter(of_kind).filter(|j| j.log_odds >= 0.0).count();
            let right = trained.judged.iter().filter(of_kind).filter(|j| j.class() == label).count();
            let share = |count: usize| 100.0 * count as f64 / all as f64;
            let _ = writeln!(
                page,
                "  {language:8}  {:10}  {all:8}  {:9.1} %  {:9.1} %",
                label.as_str(),
                share(promotional),
                share(right)
            );
        }
    }
    page
}
