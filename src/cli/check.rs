//! `consentry check`: judges message files without a relay. On a terminal it shows the message with
//! the deciding words marked, and the rule and law beside; otherwise one JSON line per file.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::terminal::{self, Terminal};
use super::{exit, fail};
use crate::detect::{Class, Detector, Evidence, Judgement, Mark, SegmentJudgement};

/// The largest message read, in octets; larger than any mail system transports.
const MAX_MESSAGE: u64 = 256 << 20;

/// Judge messages without a relay
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON line per file (the default when the output is no terminal)
    #[arg(long)]
    json: bool,
    /// Show every segment of the message, not only those with words that weigh
    #[arg(long, conflicts_with = "json")]
    all: bool,
    /// Message files (RFC 5322); `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Judges the files; exits 0 when all are service, 10 when one is mixed or marketing, 65 when one
/// could not be read.
pub fn run(args: Args) -> ExitCode {
    let detector = match Detector::new() {
        Ok(detector) => detector,
        Err(error) => return fail(exit::SOFTWARE, error),
    };
    let stdout = io::stdout();
    let terminal = Terminal::stdout();
    let style = Style::of(&terminal);
    let json = args.json || (!terminal.is_terminal && !args.all);
    let mut out = stdout.lock();
    let mut worst = exit::SUCCESS;
    for (index, file) in args.files.iter().enumerate() {
        match judge(&detector, file) {
            Ok(judgement) => {
                let text = match (json, index) {
                    (true, _) => line(file, &judgement),
                    (false, 0) => page(file, &judgement, &style, args.all),
                    (false, _) => format!("\n{}", page(file, &judgement, &style, args.all)),
                };
                if let Err(error) = out.write_all(text.as_bytes()) {
                    return stopped(&error);
                }
                if judgement.verdict.class.is_promotional() {
                    worst = worst.max(exit::PROMOTIONAL);
                }
            }
            Err(reason) => {
                eprintln!("consentry: {}: {reason}", file.display());
                worst = exit::DATA;
            }
        }
    }
    match out.flush() {
        Ok(()) => ExitCode::from(worst),
        Err(error) => stopped(&error),
    }
}

/// A reader that has seen enough (`head`) is no fault worth a message.
fn stopped(error: &io::Error) -> ExitCode {
    if error.kind() != io::ErrorKind::BrokenPipe {
        eprintln!("consentry: standard output: {error}");
    }
    ExitCode::from(exit::IO)
}

fn judge(detector: &Detector, file: &Path) -> Result<Judgement, String> {
    let message = read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("cannot be read: {error}"),
    })?;
    detector.judge(&message).map_err(|error| error.to_string())
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    let source: &mut dyn io::Read =
        if file == Path::new("-") { &mut io::stdin() } else { &mut std::fs::File::open(file)? };
    source.take(MAX_MESSAGE + 1).read_to_end(&mut message)?;
    if message.len() as u64 > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 256 MiB"));
    }
    Ok(message)
}

#[derive(Serialize)]
struct Line<'a> {
    file: String,
    verdict: Class,
    score: f32,
    language: &'a str,
    language_supported: bool,
    evidence: &'a [Evidence],
}

fn line(file: &Path, judgement: &Judgement) -> String {
    let verdict = &judgement.verdict;
    let line = Line {
        file: file.display().to_string(),
        verdict: verdict.class,
        score: verdict.score,
        language: &verdict.language,
        language_supported: verdict.language_supported,
        evidence: &verdict.evidence,
    };
    // A struct of strings and numbers always serialises.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// How words are set off.
struct Style {
    colour: bool,
    width: usize,
}

impl Style {
    fn of(terminal: &Terminal) -> Self {
        Self { colour: terminal.colour, width: terminal.width_or(96).clamp(50, 110) }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn class(&self, class: Class) -> String {
        let code = match class {
            Class::Service => "1;32",
            Class::Mixed => "1;33",
            Class::Marketing => "1;31",
        };
        self.paint(code, &class.as_str().to_uppercase())
    }
}

/// The page for a reader: the verdict, the segments that weigh, the rules with their law.
fn page(file: &Path, judgement: &Judgement, style: &Style, all: bool) -> String {
    let mut page = String::new();
    let verdict = &judgement.verdict;
    let language = if verdict.language == "und" { "unknown" } else { &verdict.language };
    let supported = if verdict.language_supported { "" } else { " (not supported)" };
    let _ = writeln!(
        page,
        "{}  {}  {}",
        style.class(verdict.class),
        style.paint("1", &visible(&file.display().to_string())),
        style.dim(&format!("score {:.2}, language {language}{supported}", verdict.score)),
    );
    let mut notes = Notes::default();
    let mut left_out = 0;
    for segment in &judgement.segments {
        let marks = shown_marks(segment, verdict.class);
        if marks.is_empty() && !all {
            left_out += 1;
            continue;
        }
        show_segment(&mut page, segment, &marks, &mut notes, style);
    }
    if left_out > 0 {
        let what = if left_out == judgement.segments.len() {
            let found = if verdict.language_supported { "" } else { " was recognised" };
            format!("Nothing promotional{found} in {left_out} segments.")
        } else {
            format!("{left_out} neutral segments not shown (--all shows them).")
        };
        let _ = writeln!(page, "\n  {}", style.dim(&what));
    }
    notes.show(&mut page, style);
    page
}

/// The marks worth showing: those for promotion; of a service message only what is not negligible.
fn shown_marks(segment: &SegmentJudgement, class: Class) -> Vec<&Mark> {
    let least = if class.is_promotional() { 0.0 } else { 2.0 };
    segment.marks.iter().filter(|mark| mark.weight > least).collect()
}

fn show_segment(
    page: &mut String,
    segment: &SegmentJudgement,
    marks: &[&Mark],
    notes: &mut Notes,
    style: &Style,
) {
    let _ = writeln!(page, "\n  {}", style.dim(&segment.segment.place.to_string()));
    let numbers: Vec<_> = marks.iter().map(|mark| notes.number(mark)).collect();
    let words = mark_words(&segment.segment.text, marks, &numbers);
    for row in wrap(&words, style.width.saturating_sub(4)) {
        let _ = writeln!(page, "    {}", render_row(&row, style));
    }
}

/// The rules that fired, numbered as they come.
#[derive(Default)]
struct Notes {
    rules: Vec<(String, String, String)>,
}

impl Notes {
    fn number(&mut self, mark: &Mark) -> usize {
        let known = self.rules.iter().position(|(rule, ..)| *rule == mark.rule);
        known.unwrap_or_else(|| {
            self.rules.push((mark.rule.clone(), mark.title.clone(), mark.law.clone()));
            self.rules.len() - 1
        }) + 1
    }

    /// The rules, those that rest on the same law together.
    fn show(&self, page: &mut String, style: &Style) {
        if self.rules.is_empty() {
            return;
        }
        let _ = writeln!(page, "\n  {}", style.paint("1", "Why"));
        let widest = self.rules.iter().map(|(_, title, _)| title.chars().count()).max().unwrap_or(0);
        let mut laws: Vec<&str> = Vec::new();
        for (_, _, law) in &self.rules {
            if !laws.contains(&law.as_str()) {
                laws.push(law);
            }
        }
        for law in laws {
            for (index, (rule, title, _)) in self.rules.iter().enumerate().filter(|(_, (.., its))| its == law)
            {
                let number = format!("[{}]", index + 1);
                let _ = writeln!(page, "  {number:>4} {title:<widest$}  {}", style.dim(rule));
            }
            for row in terminal::wrap(law, style.width.saturating_sub(7)) {
                let _ = writeln!(page, "       {}", style.dim(&row));
            }
        }
    }
}

/// A word of a segment, and whether it decides.
#[derive(Clone, Debug, PartialEq)]
struct Word {
    text: String,
    marked: bool,
    /// A mark begins, or ends, with this word.
    begins: bool,
    ends: bool,
    notes: Vec<usize>,
}

/// Cuts a segment's text into words; a mark covers whole words.
fn mark_words(text: &str, marks: &[&Mark], numbers: &[usize]) -> Vec<Word> {
    let mut words = Vec::new();
    let mut at = 0;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let (start, end) = (at, at + word.len());
        at += piece.len();
        if word.is_empty() {
            continue;
        }
        let covers = |mark: &&Mark| mark.span.start < end && start < mark.span.end;
        let notes = marks
            .iter()
            .zip(numbers)
            .filter(|(mark, _)| covers(mark) && mark.span.end <= end)
            .map(|(_, number)| *number)
            .collect();
        let marked = marks.iter().any(covers);
        words.push(Word { text: visible(word), marked, begins: false, ends: false, notes });
    }
    for index in 0..words.len() {
        let before = index > 0 && words[index - 1].marked;
        let after = words.get(index + 1).is_some_and(|next| next.marked);
        words[index].begins = words[index].marked && !before;
        words[index].ends = words[index].marked && !after;
    }
    words
}

fn wrap(words: &[Word], width: usize) -> Vec<Vec<Word>> {
    let mut rows: Vec<Vec<Word>> = Vec::new();
    let mut used = 0;
    for word in words {
        let length = word.text.chars().count()
            + 2 * (usize::from(word.begins) + usize::from(word.ends))
            + 4 * word.notes.len();
        match rows.last_mut() {
            Some(row) if used + 1 + length <= width => {
                row.push(word.clone());
                used += 1 + length;
            }
            _ => {
                rows.push(vec![word.clone()]);
                used = length;
            }
        }
    }
    rows
}

fn render_row(row: &[Word], style: &Style) -> String {
    const DECIDING: &str = "\x1b[1;4;33m";
    const PLAIN: &str = "\x1b[0m";
    let mut line = String::new();
    let mut open = false;
    for (index, word) in row.iter().enumerate() {
        let goes_on = open && word.marked && !word.begins;
        if style.colour && open && !goes_on {
            line.push_str(PLAIN);
            open = false;
        }
        if index > 0 {
            line.push(' ');
        }
        if style.colour && word.marked && !open {
            line.push_str(DECIDING);
        }
        if !style.colour && word.begins {
            line.push_str(">>");
        }
        line.push_str(&word.text);
        if !style.colour && word.ends {
            line.push_str("<<");
        }
        open = word.marked;
        for note in &word.notes {
            if style.colour && open {
                line.push_str(PLAIN);
                open = false;
            }
            line.push_str(&style.dim(&format!(" [{note}]")));
        }
    }
    if style.colour && open {
        line.push_str(PLAIN);
    }
    line
}

/// A message must not steer the terminal it is shown on.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &str, all: bool) -> String {
        let judgement = Detector::new().expect("rules").judge(message.as_bytes()).expect("verdict");
        page(Path::new("a.eml"), &judgement, &Style { colour: false, width: 72 }, all)
    }

    #[test]
    fn deciding_words_are_marked_and_explained() {
        let page =
            shown("Subject: Your order 1042\r\n\r\nTotal £24.00\r\n\r\nRefer a friend, get £10!\r\n", false);
        assert!(page.starts_with("MIXED  a.eml"), "{page}");
        assert!(page.contains(">>Refer a friend"), "{page}");
        assert!(page.contains("relation.referral") && page.contains("American Express"), "{page}");
        assert!(!page.contains("Total"), "{page}");
    }

    #[test]
    fn a_neutral_message_says_so() {
        let page = shown("Subject: Your order 1042\r\n\r\nTotal £24.00\r\n", true);
        assert!(
            page.starts_with("SERVICE") && page.contains("Total £24.00") && !page.contains(">>"),
            "{page}"
        );
    }

    #[test]
    fn a_language_that_the_rules_do_not_know_is_named() {
        let page = shown(
            "Subject: Conferma dell'ordine\r\n\r\nIl suo ordine è stato spedito oggi e arriverà domani mattina.\r\n",
            false,
        );
        assert!(page.contains("language it (not supported)"), "{page}");
        assert!(page.contains("Nothing promotional was recognised"), "{page}");
        let page = shown("Subject: Your order 1042\r\n\r\nYour order is on its way to you.\r\n", false);
        assert!(page.contains("language en") && !page.contains("supported"), "{page}");
    }

    #[test]
    fn a_message_cannot_steer_the_terminal() {
        let page = shown("Subject: a\x1b[31mb\r\n\r\nRefer a friend, get £10 \x1b]0;x\x07\r\n", true);
        assert!(!page.contains('\x1b') && !page.contains('\x07'), "{page}");
    }
}
