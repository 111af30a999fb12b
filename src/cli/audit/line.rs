//! One readable line for one entry of the audit log, as wide as the terminal. What comes from mail
//! (addresses, subjects, quotes) is shown without the characters that move a terminal's cursor.

use std::fmt::Write;

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::audit::{Action, Decision, Entry, Fact, Message, Outcome, OutcomeKind, Reason};
use crate::cli::terminal::Terminal;

/// From this width on, a line holds a message's whole id.
const WIDE: usize = 130;

/// Below this width, columns are as narrow as they can be.
const NARROW: usize = 100;

/// How lines are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns that a line may take.
    pub width: usize,
    /// Whether to use colours.
    pub colour: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Plain,
    Dim,
    Bold,
    Green,
    Yellow,
    Red,
    Magenta,
    Cyan,
}

impl Style {
    /// As wide as standard output, and in its colours.
    pub fn of_stdout() -> Self {
        let terminal = Terminal::stdout();
        Self { width: terminal.width_or(100).max(40), colour: terminal.colour }
    }

    /// The text in the colour of what matters less.
    pub fn dim(self, text: &str) -> String {
        self.paint(text, Colour::Dim)
    }

    fn paint(self, text: &str, colour: Colour) -> String {
        let code = match colour {
            Colour::Plain => "",
            Colour::Dim => "2",
            Colour::Bold => "1",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Red => "1;31",
            Colour::Magenta => "35",
            Colour::Cyan => "36",
        };
        if self.colour && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// When the entry happened.
pub(super) fn time(entry: &Entry) -> Option<Timestamp> {
    match &entry.fact {
        Fact::Message(message) => match (&message.decision, &message.outcome) {
            (Some(decision), _) => Some(decision.time),
            (None, outcome) => outcome.as_ref().map(|outcome| outcome.time),
        },
        Fact::ModeChange(change) => Some(change.time),
        Fact::Started(started) => Some(started.time),
        Fact::Stopped(stopped) => Some(stopped.time),
        Fact::Unreadable => None,
    }
}

/// One line, without its newline, of at most [`Style::width`] columns; the time is the UTC time of day.
pub fn render_line(entry: &Entry, style: Style) -> String {
    let mut row = Row { text: String::new(), left: style.width, style };
    let clock = time(entry).map(|time| time.strftime("%H:%M:%S").to_string());
    row.column(clock.as_deref().unwrap_or_default(), 8, Colour::Dim);
    match &entry.fact {
        Fact::Message(message) => put_message(&mut row, message),
        Fact::ModeChange(change) => {
            row.put("-- mode ", Colour::Cyan);
            row.put(&format!("{} -> {}", change.from, change.to), Colour::Bold);
            let until = change.until.map(|until| until.strftime(" until %Y-%m-%d %H:%MZ").to_string());
            let tail = format!("{} by {}: {}", until.unwrap_or_default(), change.by, change.reason);
            row.put(&tail, Colour::Cyan);
        }
        Fact::Started(started) => {
            let torn = match started.torn_bytes {
                0 => String::new(),
                bytes => format!("; {bytes} bytes of an unfinished line were moved aside"),
            };
            let text = format!(
                "-- relay {} started in {} mode, process {}{torn}",
                started.version, started.mode, started.pid
            );
            row.put(&text, Colour::Cyan);
        }
        Fact::Stopped(stopped) => {
            row.put(&format!("-- relay stopped, process {}: {}", stopped.pid, stopped.reason), Colour::Cyan);
        }
        Fact::Unreadable => {
            let text = format!("-- record {} cannot be read by this version", entry.number);
            row.put(&text, Colour::Magenta);
        }
    }
    row.text
}

/// A line being filled from the left.
struct Row {
    text: String,
    left: usize,
    style: Style,
}

impl Row {
    /// As much of the text as there is room for.
    fn put(&mut self, text: &str, colour: Colour) {
        let text = shorten(&clean(text), self.left);
        self.left -= text.width();
        if !text.is_empty() {
            self.text.push_str(&self.style.paint(&text, colour));
        }
    }

    /// The text in a column of its own.
    fn column(&mut self, text: &str, width: usize, colour: Colour) {
        let text = shorten(&clean(text), width.min(self.left));
        self.put(&text, colour);
        self.put(&" ".repeat(width.saturating_sub(text.width()) + 1), Colour::Plain);
    }
}

fn put_message(row: &mut Row, message: &Message) {
    let Style { width, .. } = row.style;
    let decision = message.decision.as_ref();
    let reference = decision.map(|d| &d.reference).or(message.outcome.as_ref().map(|o| &o.reference));
    let reference = reference.map_or("", |reference| reference.as_str());
    if width >= WIDE {
        row.column(reference, 26, Colour::Dim);
    } else {
        // The last characters of a ULID are random, the first ones are the time.
        let end = reference.char_indices().rev().nth(5).map_or(0, |(at, _)| at);
        row.column(&reference[end..], 6, Colour::Dim);
    }
    let mode = decision.map_or("", |decision| decision.mode.as_str());
    row.column(mode.get(..3).filter(|_| width < NARROW).unwrap_or(mode), mode_width(width), Colour::Plain);
    let (label, colour) = label(message);
    row.column(label, 14, colour);
    let Some(decision) = decision else {
        let reply = message.outcome.as_ref().map_or("", |outcome| &outcome.reply);
        row.put(reply, Colour::Plain);
        return;
    };
    let ends = (row.left * 45 / 100).min(60);
    row.column(&route(decision, ends), ends, Colour::Plain);
    if let Some(trouble) = message.outcome.as_ref().and_then(trouble) {
        row.put(&format!("{trouble}; "), Colour::Magenta);
    }
    put_words(row, decision, colour);
}

fn mode_width(width: usize) -> usize {
    if width < NARROW { 3 } else { 7 }
}

/// Verdict, reason, and the words that decided, strongest first, as far as there is room.
fn put_words(row: &mut Row, decision: &Decision, colour: Colour) {
    let is_roomy = row.style.width >= NARROW;
    let Some(verdict) = &decision.verdict else {
        let error = decision.error.as_deref().unwrap_or("the message could not be judged");
        row.put(&format!("no verdict: {error}"), Colour::Magenta);
        return;
    };
    let mut head = verdict.class.clone();
    if is_roomy {
        // Writing to a string cannot fail.
        let _ = write!(head, " {:.2}", verdict.score);
    }
    if verdict.language_supported == Some(false) && is_roomy {
        let _ = match verdict.language.as_str() {
            "und" => write!(head, ", language unknown"),
            language => write!(head, ", {language} not supported"),
        };
    }
    if verdict.class == "service" && decision.declared != "service" {
        let _ = write!(head, ", declared {}", decision.declared);
    }
    if let Some(reason) = reason(decision).filter(|_| is_roomy) {
        let _ = write!(head, ", {reason}");
    }
    row.put(&head, Colour::Bold);
    if verdict.class == "service" {
        row.put(&format!(" {}", decision.subject), Colour::Dim);
        return;
    }
    for evidence in &verdict.evidence {
        row.put(&format!(" \"{}\"", evidence.quote.trim()), colour);
        if is_roomy {
            row.put(&format!(" {}", evidence.rule), Colour::Dim);
        }
    }
}

/// Decision and outcome in a word or two.
fn label(message: &Message) -> (&'static str, Colour) {
    let recipients = || message.decision.iter().flat_map(|decision| &decision.recipients);
    let Some(outcome) = &message.outcome else {
        return if message.is_lost { ("in doubt", Colour::Magenta) } else { ("pending", Colour::Yellow) };
    };
    match outcome.result {
        OutcomeKind::Withheld => ("WITHHOLD", Colour::Red),
        OutcomeKind::Forwarded if recipients().any(|one| one.action == Action::Withhold) => {
            ("WITHHOLD some", Colour::Red)
        }
        OutcomeKind::Forwarded if recipients().any(|one| one.would == Action::Withhold) => {
            ("would withhold", Colour::Yellow)
        }
        OutcomeKind::Forwarded => ("forward", Colour::Green),
        OutcomeKind::Deferred => ("deferred", Colour::Magenta),
        OutcomeKind::Rejected => ("rejected", Colour::Magenta),
        OutcomeKind::InDoubt => ("in doubt", Colour::Magenta),
        OutcomeKind::Aborted => ("aborted", Colour::Magenta),
    }
}

/// The reason that matters: of a recipient that is withheld for its own sake, if there is one.
fn reason(decision: &Decision) -> Option<&'static str> {
    let own = |one: &&crate::audit::RecipientDecision| {
        one.would == Action::Withhold && one.reason != Reason::AllOrNothing
    };
    let deciding = decision.recipients.iter().find(own).or(decision.recipients.first())?;
    match deciding.reason {
        Reason::Service => None,
        Reason::ConsentHeld => Some("consent held"),
        Reason::ConsentRefused => Some("opted out"),
        Reason::ConsentUnknown => Some("no consent known"),
        Reason::ConsentExpired => Some("consent expired"),
        Reason::NoMeansToRefuse => Some("no means to refuse"),
        Reason::NoVerdict => Some("no verdict"),
        Reason::AllOrNothing => Some("all or nothing"),
    }
}

/// What kept a message from being forwarded or refused as decided.
fn trouble(outcome: &Outcome) -> Option<String> {
    if matches!(outcome.result, OutcomeKind::Forwarded | OutcomeKind::Withheld) {
        return None;
    }
    let said = outcome.outbound_reply.as_deref().unwrap_or(&outcome.reply);
    Some(outcome.step.as_ref().map_or_else(|| said.to_owned(), |step| format!("{step}: {said}")))
}

/// Sender and first recipient, as much of them as there is room for.
fn route(decision: &Decision, width: usize) -> String {
    let from = if decision.from.is_empty() { "<>" } else { &decision.from };
    let from = clean(from);
    let to = clean(decision.recipients.first().map_or("", |one| &one.to));
    let more = match decision.recipients.len() {
        0 | 1 => String::new(),
        several => format!(" +{}", several - 1),
    };
    let room = width.saturating_sub(" > ".len() + more.len());
    // A company's senders are few and alike; its recipients are not.
    let least = room * 2 / 5;
    let for_from = least.max(room.saturating_sub(to.width()));
    let from = shorten(&from, for_from);
    let to = shorten(&to, room - from.width());
    format!("{from} > {to}{more}")
}

/// Cut to the width in columns, with an ellipsis when something is missing.
fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut left = width.saturating_sub(1);
    for character in text.chars() {
        let columns = character.width().unwrap_or(0);
        if columns > left {
            break;
        }
        left -= columns;
        short.push(character);
    }
    if width > 0 {
        short.push('…');
    }
    short
}

/// Mail must not steer the terminal: neither by control characters (escape sequences) nor by marks
/// that reorder or hide text.
fn clean(text: &str) -> String {
    let is_hidden = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(|c| !is_hidden(*c)).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{EvidenceRecord, Mode, ModeChange, RecipientDecision, Reference, VerdictRecord};

    const PLAIN: Style = Style { width: 130, colour: false };

    fn recipient(to: &str, action: Action, would: Action, reason: Reason) -> RecipientDecision {
        RecipientDecision { to: to.to_owned(), action, would, reason, consent: None }
    }

    fn decision(quote: &str) -> Decision {
        let evidence = EvidenceRecord {
            quote: quote.to_owned(),
            place: "subject".to_owned(),
            rule: "offer.spend".to_owned(),
            title: String::new(),
            law: String::new(),
            weight: 3.0,
        };
        Decision {
            time: "2026-11-23T10:11:12Z".parse().expect("time"),
            reference: Reference::new(Timestamp::UNIX_EPOCH),
            mode: Mode::Monitor,
            client: "127.0.0.1".to_owned(),
            from: "billing@shop.example".to_owned(),
            recipients: vec![recipient(
                "ana@example.com",
                Action::Forward,
                Action::Withhold,
                Reason::ConsentRefused,
            )],
            stream: "default".to_owned(),
            declared: "service".to_owned(),
            verdict: Some(VerdictRecord {
                class: "mixed".to_owned(),
                score: 0.97,
                language: "en".to_owned(),
                language_supported: Some(true),
                opt_out_offered: false,
                evidence: vec![evidence],
            }),
            error: None,
            message_id: String::new(),
            subject: "Your statement".to_owned(),
            size: 1,
        }
    }

    fn ended(decision: &Decision, result: OutcomeKind) -> Outcome {
        let reply = "451 4.4.2 later".to_owned();
        let outcome = Outcome::new(decision.time, decision.reference.clone(), result, reply);
        Outcome { step: Some("connect".to_owned()), ..outcome }
    }

    fn entry(decision: Decision, result: Option<OutcomeKind>) -> Entry {
        let outcome = result.map(|result| ended(&decision, result));
        let message = Message { decision: Some(decision), outcome, is_lost: false };
        Entry { number: 0, lines: Vec::new(), fact: Fact::Message(Box::new(message)) }
    }

    fn shown(decision: Decision, result: Option<OutcomeKind>) -> String {
        let line = render_line(&entry(decision, result), PLAIN);
        line.split_whitespace().filter(|word| word.len() != 26).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_line_tells_what_was_decided_and_on_which_words() {
        assert_eq!(
            shown(decision("spend £500"), Some(OutcomeKind::Forwarded)),
            "10:11:12 monitor would withhold billing@shop… > ana@example.com mixed 0.97, opted out \"spend £500\" off…"
        );
    }

    #[test]
    fn every_ending_has_its_word() {
        let mut withheld = decision("x");
        withheld.mode = Mode::Enforce;
        withheld.recipients = vec![
            recipient("a@x.example", Action::Withhold, Action::Withhold, Reason::AllOrNothing),
            recipient("b@x.example", Action::Withhold, Action::Withhold, Reason::ConsentExpired),
        ];
        let line = shown(withheld.clone(), Some(OutcomeKind::Withheld));
        assert!(line.starts_with("10:11:12 enforce WITHHOLD "), "{line}");
        assert!(line.contains("> a@x.example +1 mixed 0.97, consent expired"), "{line}");
        let mut service = decision("x");
        service.recipients =
            vec![recipient("a@x.example", Action::Forward, Action::Forward, Reason::Service)];
        service.verdict.as_mut().expect("verdict").class = "service".to_owned();
        let line = shown(service.clone(), Some(OutcomeKind::Forwarded));
        assert!(line.contains(" forward ") && line.ends_with("service 0.97 Your statement"), "{line}");
        service.from = String::new();
        assert!(shown(service.clone(), None).contains(" pending <> > a@x.example"));
        let line = shown(service.clone(), Some(OutcomeKind::Deferred));
        assert!(line.contains(" deferred ") && line.contains("connect: 451 4.4.2 later; service"), "{line}");
        service.verdict = None;
        service.error = Some("too deep".to_owned());
        assert!(shown(service, Some(OutcomeKind::Forwarded)).ends_with("no verdict: too deep"));
    }

    #[test]
    fn a_language_that_the_rules_do_not_know_is_named() {
        for (language, supported, words) in [
            ("it", Some(false), "service 0.97, it not supported Your"),
            ("und", Some(false), "service 0.97, language unknown Your"),
            ("en", Some(true), "service 0.97 Your"),
            ("it", None, "service 0.97 Your"),
        ] {
            let mut foreign = decision("x");
            foreign.recipients =
                vec![recipient("a@x.example", Action::Forward, Action::Forward, Reason::Service)];
            let verdict = foreign.verdict.as_mut().expect("verdict");
            verdict.class = "service".to_owned();
            verdict.language = language.to_owned();
            verdict.language_supported = supported;
            let line = shown(foreign, Some(OutcomeKind::Forwarded));
            assert!(line.contains(words), "{line}");
        }
    }

    #[test]
    fn a_turn_of_the_mode_tells_who_and_why() {
        let change = ModeChange {
            time: "2026-11-23T10:11:12Z".parse().expect("time"),
            from: Mode::Monitor,
            to: Mode::Enforce,
            reason: "reviewed".to_owned(),
            by: "root".to_owned(),
            until: Some("2026-11-23T12:00:00Z".parse().expect("time")),
        };
        let entry = Entry { number: 0, lines: Vec::new(), fact: Fact::ModeChange(change) };
        assert_eq!(
            render_line(&entry, PLAIN),
            "10:11:12 -- mode monitor -> enforce until 2026-11-23 12:00Z by root: reviewed"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let quotes = [
            "spend £500 by Friday and get £50 back, and much more of the same",
            "限时优惠全场五折限时优惠全场五折限时优惠全场五折限时优惠",
        ];
        for quote in quotes {
            for width in 1..220 {
                let mut decision = decision(quote);
                decision.from = "用户@例子.example".to_owned();
                for result in [None, Some(OutcomeKind::Forwarded), Some(OutcomeKind::Rejected)] {
                    let line = render_line(&entry(decision.clone(), result), Style { width, colour: false });
                    assert!(line.width() <= width, "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn mail_cannot_steer_the_terminal() {
        let line = render_line(
            &entry(decision("\u{1b}[2J\r\n\u{202e}off\u{9b}"), Some(OutcomeKind::Forwarded)),
            Style { width: 200, colour: false },
        );
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        assert!(line.contains("[2J") && line.contains("off"), "{line:?}");
    }

    #[test]
    fn colours_add_no_width_and_end() {
        let entry = entry(decision("spend £500"), Some(OutcomeKind::Forwarded));
        let plain = render_line(&entry, PLAIN);
        let coloured = render_line(&entry, Style { colour: true, ..PLAIN });
        let mut stripped = String::new();
        for part in coloured.split('\u{1b}') {
            stripped
                .push_str(part.strip_prefix('[').and_then(|p| p.split_once('m')).map_or(part, |(_, t)| t));
        }
        assert_eq!(stripped, plain);
        assert!(coloured.ends_with("\u{1b}[0m"));
    }
}
