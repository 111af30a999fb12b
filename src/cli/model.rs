//! `consentry model`: reads the weights that decide, so that every one of them can be questioned.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{exit, fail, show};
use crate::detect::model::{Model, Weight};

/// Read the model
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show weights: positive ones speak for promotion
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The strongest N on either side
    #[arg(long, value_name = "N", default_value_t = 30)]
    top: usize,
    /// Only features that hold these words, each of them
    #[arg(long, value_name = "WORDS")]
    ngram: Option<String>,
    /// Another model than the built-in
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// Shows the model.
pub fn run(command: &Command) -> ExitCode {
    let Command::Show(args) = command;
    let text = match &args.model {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return fail(exit::NO_INPUT, format!("{}: {error}", path.display())),
        },
        None => Model::built_in_text().to_owned(),
    };
    match Model::weights(&text) {
        Ok((head, weights)) => show(&page(&head, weights, args)),
        Err(error) => fail(exit::DATA, error),
    }
}

fn page(head: &str, mut weights: Vec<Weight>, args: &ShowArgs) -> String {
    let all = weights.len();
    let wanted = args.ngram.as_deref().unwrap_or_default().to_lowercase();
    weights.retain(|weight| wanted.split_whitespace().all(|word| has_word(&weight.name, word)));
    weights.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
    let mut page = format!("{head}\n{} of {all} weights\n\n", weights.len());
    let top = args.top;
    let left_out = weights.len().saturating_sub(2 * top);
    for (index, weight) in weights.iter().enumerate() {
        if left_out > 0 && index == top {
            let _ = writeln!(page, "   ...  ({left_out} between)");
        }
        if index < top || index >= top + left_out {
            let _ = writeln!(page, "{:+6.2}  {}", weight.weight, weight.name);
        }
    }
    page
}

fn has_word(name: &str, word: &str) -> bool {
    name.split([' ', '+', '~']).any(|part| part == word || part.strip_prefix(['@', '=']) == Some(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_found_by_their_words() {
        let weight = |name: &str, weight| Weight { name: name.to_owned(), weight };
        let weights = vec![weight("our offer", 1.5), weight("@offer+@we", 0.5), weight("offering", 0.25)];
        let args = ShowArgs { top: 1, ngram: Some("Offer".to_owned()), model: None };
        let page = page("head", weights, &args);
        assert!(page.contains("2 of 3") && page.contains("+1.50  our offer"), "{page}");
        assert!(page.contains("+0.50  @offer+@we") && !page.contains("offering"), "{page}");
    }
}
