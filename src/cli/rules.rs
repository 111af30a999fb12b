//! `consentry rules`: reads the rule table, so that everybody who is told of a rule can look up what it
//! says, why, and by which law. `page` writes docs/rules.md.

mod page;
mod words;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::terminal::{Terminal, wrap};
use super::{exit, fail, show};
use crate::detect::{CountsAs, Detector, Rule, Scope};

/// Columns of a page when nobody says how wide the terminal is, and at most.
const WIDTH: usize = 80;
/// The widest page; longer lines are hard to read.
const WIDEST: usize = 100;

/// Read the rules
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// All rules, a line each
    List(ListArgs),
    /// One rule in full: why, law, words, examples
    Show(ShowArgs),
    /// The page about all rules, as Markdown
    Page,
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// One JSON line per rule (the default when the output is no terminal: a table)
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The rule's id, as evidence and refusals name it
    id: String,
    /// One JSON line
    #[arg(long)]
    json: bool,
}

/// Shows the rules.
pub fn run(command: &Command) -> ExitCode {
    let detector = match Detector::new() {
        Ok(detector) => detector,
        Err(error) => return fail(exit::SOFTWARE, error),
    };
    let rules = detector.rules();
    match command {
        Command::List(args) if args.json => show(&rules.iter().map(json).collect::<String>()),
        Command::List(_) => show(&list(rules)),
        Command::Show(args) => match rules.iter().find(|rule| rule.id == args.id) {
            Some(rule) if args.json => show(&json(rule)),
            Some(rule) => {
                let terminal = Terminal::stdout();
                show(&one(rule, terminal.width_or(WIDTH).clamp(40, WIDEST), terminal.colour))
            }
            None => fail(exit::NO_INPUT, unknown(&args.id, rules)),
        },
        Command::Page => match page::page(rules) {
            Ok(page) => show(&page),
            Err(error) => fail(exit::SOFTWARE, error),
        },
    }
}

/// What is said to somebody who asks for a rule that is not there.
fn unknown(id: &str, rules: &[Rule]) -> String {
    let nearest = rules
        .iter()
        .map(|rule| (if rule.id.starts_with(id) { 1.0 } else { strsim::jaro_winkler(id, &rule.id) }, rule))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, rule)) => format!("there is no rule `{id}`; did you mean `{}`?", rule.id),
        None => format!("there is no rule `{id}`; `consentry rules list` shows them all"),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    title: &'a str,
    why: &'a str,
    law: &'a str,
    counts_as: &'static str,
    weight: f64,
    places: Vec<&'static str>,
    fires: &'a [String],
    spares: &'a [String],
    patterns: Vec<Pattern<'a>>,
    unless: &'a [String],
}

#[derive(Serialize)]
struct Pattern<'a> {
    language: &'a str,
    words: String,
    expression: &'a str,
}

fn json(rule: &Rule) -> String {
    let patterns = words::in_order(&rule.patterns).into_iter().flat_map(|(language, written)| {
        written.iter().map(|expression| Pattern { language, words: words::of(expression), expression })
    });
    let line = Line {
        id: &rule.id,
        title: &rule.title,
        why: &rule.why,
        law: &rule.law,
        counts_as: sort(rule.counts_as),
        // Through text, so that 4.6 stays 4.6.
        weight: format!("{:.2}", rule.weight).parse().unwrap_or_else(|_| f64::from(rule.weight)),
        places: rule.scope.iter().copied().map(places).collect(),
        fires: &rule.fires,
        spares: &rule.spares,
        patterns: patterns.collect(),
        unless: &rule.unless,
    };
    // A struct of strings and numbers always serialises.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

fn list(rules: &[Rule]) -> String {
    let widest = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    let mut page = String::new();
    for rule in rules {
        let head = format!("{:<widest$}  {:+4.1}  ", rule.id, rule.weight);
        for (index, row) in wrap(&rule.title, WIDTH.saturating_sub(head.len())).iter().enumerate() {
            let before = if index == 0 { head.clone() } else { " ".repeat(head.len()) };
            let _ = writeln!(page, "{before}{row}");
        }
    }
    let _ = writeln!(
        page,
        "\n{} rules. Weights are log-odds: above 0 for promotion, below 0 neutral words\nthat lower it; those of `service.` tell mixed from marketing.\n`consentry rules show ID` has the reason, the law, the words and examples.",
        rules.len()
    );
    page
}

fn one(rule: &Rule, width: usize, colour: bool) -> String {
    let bold = |text: &str| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let mut page = String::new();
    let _ = writeln!(page, "{}  {}", bold(&rule.id), rule.title);
    let mut block = |name: &str, texts: &[String], mark: &str| {
        if texts.is_empty() {
            return;
        }
        let _ = writeln!(page, "\n{}", bold(name));
        for text in texts {
            for (index, row) in wrap(text, width.saturating_sub(2 + mark.len())).iter().enumerate() {
                let before = if index == 0 { mark.to_owned() } else { " ".repeat(mark.len()) };
                let _ = writeln!(page, "  {before}{row}");
            }
        }
    };
    block("Why", std::slice::from_ref(&rule.why), "");
    block("Rests on", std::slice::from_ref(&rule.law), "");
    block("Weight", &[weight(rule)], "");
    block("Looked for in", &[all_places(rule)], "");
    block("Fires on", &rule.fires, "- ");
    block("Does not fire on", &rule.spares, "- ");
    for (language, written) in words::in_order(&rule.patterns) {
        let written: Vec<String> = written.iter().map(|pattern| words::of(pattern)).collect();
        block(&format!("Words, {}", words::language(language)), &written, "- ");
    }
    let except: Vec<String> = rule.unless.iter().map(|pattern| words::of(pattern)).collect();
    block("Not where they overlap", &except, "- ");
    let legend: Vec<String> =
        words::LEGEND.iter().map(|(sign, meaning)| format!("{sign}  {meaning}")).collect();
    block("How to read the words", &legend, "");
    page
}

/// The weight as a number and in words.
fn weight(rule: &Rule) -> String {
    let strength = match rule.counts_as {
        CountsAs::Service => "speaks for a service message's content: tells mixed from marketing",
        CountsAs::Context => "taken from what promotional words in the same sentence weigh",
        CountsAs::Claim => "only beside promotional evidence; alone it is none",
        CountsAs::Promotional if rule.weight >= 4.0 => "strong: decides, unless the model holds against it",
        CountsAs::Promotional if rule.weight >= 2.5 => "middling: decides with more beside it",
        CountsAs::Promotional => "weak: weighs beside other evidence only",
    };
    format!("{:+.1} ({strength})", rule.weight)
}

fn all_places(rule: &Rule) -> String {
    rule.scope.iter().copied().map(places).collect::<Vec<_>>().join(", ")
}

fn places(scope: Scope) -> &'static str {
    match scope {
        Scope::Text => "all text",
        Scope::Subject => "subject, title and preheader",
        Scope::Call => "buttons, links and alternative texts",
        Scope::LinkTarget => "link targets",
        Scope::FileName => "names of images and attachments",
    }
}

fn sort(counts_as: CountsAs) -> &'static str {
    match counts_as {
        CountsAs::Promotional => "promotional",
        CountsAs::Claim => "claim",
        CountsAs::Context => "context",
        CountsAs::Service => "service",
    }
}
