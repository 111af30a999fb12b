//! How consent looks on a terminal.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::cli::terminal::Terminal;
use crate::consent::standing::Fact;
use crate::consent::{Numbered, Standing, Status};
use crate::control::consent::Answer;

/// Whether to write for a person, and in colour.
#[derive(Clone, Copy)]
pub struct Style {
    json: bool,
    colour: bool,
}

impl Style {
    /// JSON when asked for or when the output is no terminal.
    pub fn new(json: bool) -> Self {
        let terminal = Terminal::stdout();
        Self { json: json || !terminal.is_terminal, colour: terminal.colour }
    }

    /// Whether the output is JSON.
    pub fn is_json(self) -> bool {
        self.json
    }

    fn status(self, status: Status, text: &str) -> String {
        let colour = match status {
            Status::OptedIn | Status::SoftOptIn => "32",
            Status::OptedOut => "31",
            Status::Unknown => "33",
        };
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn faint(self, text: &str) -> String {
        if self.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What holds, with the record behind it.
pub fn answer(answer: &Answer, style: Style) -> String {
    let Answer { address, purpose, standing, deciding } = answer;
    let mut out = format!("{address}  {purpose}: {}\n", status_line(standing, style));
    if let Some(deciding) = deciding {
        let fact = &deciding.fact;
        if fact.address != *address {
            line(&mut out, style, "given as", fact.address.as_str());
        }
        line(&mut out, style, "basis", &fact.basis);
        line(&mut out, style, "source", &fact.source);
        if let Some(evidence) = &fact.evidence {
            line(&mut out, style, "evidence", evidence);
        }
        let by = format!("{}, {}, record {}", fact.set_by, time(fact.recorded_at), deciding.record);
        line(&mut out, style, "recorded", &by);
    }
    out
}

/// What was recorded, and whether it holds now.
pub fn recorded(record: u64, now: &Answer, style: Style) -> String {
    let Answer { address, purpose, standing, .. } = now;
    let status = status_line(standing, style);
    if standing.record == Some(record) {
        format!("{address}  {purpose}: {status}, record {record}\n")
    } else {
        let deciding = standing.record.map(|number| format!(" (record {number})")).unwrap_or_default();
        format!(
            "{address}  {purpose}: recorded as record {record}, which changes nothing: {status}{deciding} goes before it\n"
        )
    }
}

/// All records about an address; those that decide are marked.
pub fn history(records: &[Numbered], style: Style) -> String {
    let mut out = String::new();
    for record in records {
        let fact = &record.fact;
        let own = Fact::new(fact, record.record);
        let decides = records
            .iter()
            .filter(|other| other.fact.purpose == fact.purpose)
            .all(|other| own.decisive(Fact::new(&other.fact, other.record)) == own);
        let mark = if decides { "=>" } else { "  " };
        let status = style.status(fact.status, &format!("{:<11}", fact.status));
        let until = fact.until.map(|until| format!("  until {}", time(until))).unwrap_or_default();
        let _ =
            writeln!(out, "{mark} {}  {status}  {}{until}  {}", time(fact.at), fact.purpose, fact.address);
        let evidence = fact.evidence.as_ref().map(|text| format!("; evidence: {}", clean(text)));
        let detail = format!(
            "{}; from {}{}; by {} on {}; record {}",
            clean(&fact.basis),
            clean(&fact.source),
            evidence.unwrap_or_default(),
            clean(&fact.set_by),
            time(fact.recorded_at),
            record.record
        );
        let _ = writeln!(out, "   {}", style.faint(&detail));
    }
    out
}

fn status_line(standing: &Standing, style: Style) -> String {
    let since = standing.at.map(|at| format!(" since {}", time(at))).unwrap_or_default();
    match (standing.recorded, standing.until) {
        (None, _) => style.status(Status::Unknown, "unknown") + " (no record)",
        (Some(recorded), Some(until)) if standing.expired => {
            style.status(Status::Unknown, "unknown") + &format!(" ({recorded}{since}, ended {})", time(until))
        }
        (Some(recorded), Some(until)) => {
            style.status(recorded, &recorded.to_string()) + &since + &format!(" until {}", time(until))
        }
        (Some(recorded), None) => style.status(recorded, &recorded.to_string()) + &since,
    }
}

fn line(out: &mut String, style: Style, name: &str, text: &str) {
    let _ = writeln!(out, "  {} {}", style.faint(&format!("{name:<9}")), clean(text));
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Ledger texts may come from anywhere: no escape sequence of theirs reaches the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
