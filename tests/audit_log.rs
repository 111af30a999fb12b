//! The audit log: events durable in the ledger, and joined again into one entry per message.

use std::path::Path;

use consentry::audit::{
    Action, AuditLog, Decision, Entry, Event, Fact, Line, Mode, ModeChange, Outcome, OutcomeKind, Pairing,
    Reason, RecipientDecision, Reference, Started, Stopped,
};
use consentry::ledger::{self, Options};
use jiff::Timestamp;

fn now() -> Timestamp {
    "2026-11-23T10:11:12.345678Z".parse().expect("time")
}

fn decision(reference: &Reference) -> Decision {
    Decision {
        time: now(),
        reference: reference.clone(),
        mode: Mode::Enforce,
        client: "127.0.0.1".to_owned(),
        from: String::new(),
        recipients: vec![RecipientDecision {
            to: "ana@example.com".to_owned(),
            action: Action::Withhold,
            would: Action::Withhold,
            reason: Reason::NoVerdict,
            consent: None,
        }],
        stream: "default".to_owned(),
        declared: "service".to_owned(),
        verdict: None,
        error: Some("too many parts".to_owned()),
        message_id: String::new(),
        subject: "a\nb \u{1}".to_owned(),
        size: 7,
    }
}

fn outcome(reference: &Reference) -> Outcome {
    Outcome::new(now(), reference.clone(), OutcomeKind::Withheld, "550 5.7.1 no".to_owned())
}

fn started() -> Started {
    Started { time: now(), version: "0.1.0".to_owned(), pid: 1, mode: Mode::Enforce, torn_bytes: 0 }
}

fn events(dir: &Path) -> Vec<Event> {
    let records = ledger::read(dir).expect("read").map(|record| record.expect("record"));
    records.map(|record| Line::of(record).event.expect("event")).collect()
}

fn line(number: u64, event: &Event) -> Line {
    Line { number, text: number.to_string().into_bytes(), event: Some(event.clone()) }
}

fn summary(entries: &[Entry]) -> Vec<String> {
    let fact = |entry: &Entry| match &entry.fact {
        Fact::Message(message) => format!(
            "message{}{}{}",
            if message.decision.is_some() { " decided" } else { "" },
            if message.outcome.is_some() { " ended" } else { "" },
            if message.is_lost { " lost" } else { "" }
        ),
        Fact::ModeChange(_) => "mode".to_owned(),
        Fact::Started(_) => "started".to_owned(),
        Fact::Stopped(_) => "stopped".to_owned(),
        Fact::Unreadable => "unreadable".to_owned(),
    };
    entries.iter().map(|entry| format!("{} {}", entry.number, fact(entry))).collect()
}

#[tokio::test]
async fn every_business_fact_is_one_line_in_the_order_of_the_calls() {
    let dir = tempfile::tempdir().expect("directory");
    let (log, _) = AuditLog::open(dir.path(), Options::default()).expect("open");
    let reference = Reference::new(now());
    let change = ModeChange {
        time: now(),
        from: Mode::Monitor,
        to: Mode::Enforce,
        reason: "tried".to_owned(),
        by: "root".to_owned(),
        until: None,
    };
    let stopped = Stopped { time: now(), pid: 1, reason: "SIGTERM".to_owned() };
    assert_eq!(log.started(&started()).await.expect("append"), 0);
    assert_eq!(log.mode_changed(&change).await.expect("append"), 1);
    assert_eq!(log.decision(&decision(&reference)).await.expect("append"), 2);
    assert_eq!(log.outcome(&outcome(&reference)).await.expect("append"), 3);
    assert_eq!(log.stopped(&stopped).await.expect("append"), 4);
    assert_eq!(
        events(dir.path()),
        [
            Event::Started(started()),
            Event::ModeChange(change),
            Event::Decision(decision(&reference)),
            Event::Outcome(outcome(&reference)),
            Event::Stopped(stopped)
        ]
    );
}

#[test]
fn a_decision_and_its_outcome_are_one_entry_however_they_interleave() {
    let (one, other) = (Reference::new(now()), Reference::new(now()));
    let mut pairing = Pairing::default();
    assert!(pairing.feed(line(0, &Event::Decision(decision(&one)))).is_empty());
    assert!(pairing.feed(line(1, &Event::Decision(decision(&other)))).is_empty());
    let first = pairing.feed(line(2, &Event::Outcome(outcome(&other))));
    assert_eq!(summary(&first), ["1 message decided ended"]);
    assert_eq!(first[0].lines, [b"1", b"2"]);
    assert_eq!(summary(&pairing.open().cloned().collect::<Vec<_>>()), ["0 message decided"]);
    assert_eq!(summary(&pairing.feed(line(3, &Event::Outcome(outcome(&one))))), ["0 message decided ended"]);
    assert_eq!(summary(&pairing.feed(line(4, &Event::Outcome(outcome(&one))))), ["4 message ended"]);
    assert_eq!(pairing.open().count(), 0);
}

#[test]
fn a_message_that_was_under_way_when_the_relay_was_killed_is_lost() {
    let reference = Reference::new(now());
    let mut pairing = Pairing::default();
    pairing.feed(line(7, &Event::Decision(decision(&reference))));
    let entries = pairing.feed(line(8, &Event::Started(started())));
    assert_eq!(summary(&entries), ["7 message decided lost", "8 started"]);
}

#[test]
fn a_line_of_another_version_is_named_and_new_keys_are_passed_over() {
    let read = |text: &str| Line::of(ledger::Record { number: 3, line: text.as_bytes().to_vec() });
    let mut pairing = Pairing::default();
    let entries = pairing.feed(read(r#"{"event":"erased","time":"2026-11-23T10:11:12Z"}"#));
    assert_eq!(summary(&entries), ["3 unreadable"]);
    let stopped = r#"{"event":"stopped","time":"2026-11-23T10:11:12Z","pid":1,"reason":"","later":[1]}"#;
    assert_eq!(summary(&pairing.feed(read(stopped))), ["3 stopped"]);
}
