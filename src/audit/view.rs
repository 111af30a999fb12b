//! Joins the lines of the audit log into what people look at: one entry per message with its
//! decision and its outcome, and one per other event. Pure: lines in, entries out.

use std::collections::VecDeque;

use super::event::{Decision, Event, ModeChange, Outcome, Reference, Started, Stopped};
use crate::ledger::Record;

/// A line of the ledger with what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its record number.
    pub number: u64,
    /// The line as it stands in the file.
    pub text: Vec<u8>,
    /// The event in it; none for a line of another program's version.
    pub event: Option<Event>,
}

/// What is shown as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The number of its first line.
    pub number: u64,
    /// Its lines as they stand in the file, in their order.
    pub lines: Vec<Vec<u8>>,
    /// What they say.
    pub fact: Fact,
}

/// What one or two lines say.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A message.
    Message(Box<Message>),
    /// A turn of the mode.
    ModeChange(ModeChange),
    /// A relay began.
    Started(Started),
    /// A relay ended.
    Stopped(Stopped),
    /// A line that this version of the program cannot read.
    Unreadable,
}

/// A message on its road; at least one of the two is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What was decided.
    pub decision: Option<Decision>,
    /// What became of it; none while it is under way, or when the relay was killed meanwhile.
    pub outcome: Option<Outcome>,
    /// A relay started or ended after the decision without an outcome before: none will come, and the
    /// message's fate is unknown.
    pub is_lost: bool,
}

/// Keeps decisions until their outcomes come.
#[derive(Debug, Default)]
pub struct Pairing {
    /// In the order of the decisions. As many as the relay has sessions, so a scan finds one.
    open: VecDeque<(Reference, Entry)>,
}

impl Line {
    /// Reads a record of the audit ledger.
    pub fn of(record: Record) -> Self {
        let event = serde_json::from_slice(&record.line).ok();
        Self { number: record.number, text: record.line, event }
    }
}

impl Entry {
    /// The message, when this is one.
    pub fn message(&self) -> Option<&Message> {
        match &self.fact {
            Fact::Message(message) => Some(message),
            _ => None,
        }
    }
}

impl Pairing {
    /// Takes the next line; gives what is complete by it.
    pub fn feed(&mut self, line: Line) -> Vec<Entry> {
        let entry = |fact| Entry { number: line.number, lines: vec![line.text.clone()], fact };
        match line.event {
            Some(Event::Decision(decision)) => {
                let reference = decision.reference.clone();
                let message = Message { decision: Some(decision), outcome: None, is_lost: false };
                self.open.push_back((reference, entry(Fact::Message(Box::new(message)))));
                Vec::new()
            }
            Some(Event::Outcome(outcome)) => vec![self.close(outcome, line.number, line.text)],
            Some(Event::Started(started)) => self.lose_open(entry(Fact::Started(started))),
            Some(Event::Stopped(stopped)) => self.lose_open(entry(Fact::Stopped(stopped))),
            Some(Event::ModeChange(change)) => vec![entry(Fact::ModeChange(change))],
            None => vec![entry(Fact::Unreadable)],
        }
    }

    /// The messages without an outcome so far, in the order of their decisions.
    pub fn open(&self) -> impl Iterator<Item = &Entry> {
        self.open.iter().map(|(_, entry)| entry)
    }

    /// What is open when a relay starts or has ended gets no outcome any more.
    fn lose_open(&mut self, then: Entry) -> Vec<Entry> {
        let mut entries: Vec<_> = self.open.drain(..).map(|(_, entry)| entry).collect();
        for entry in &mut entries {
            if let Fact::Message(message) = &mut entry.fact {
                message.is_lost = true;
            }
        }
        entries.push(then);
        entries
    }

    fn close(&mut self, outcome: Outcome, number: u64, text: Vec<u8>) -> Entry {
        let place = self.open.iter().position(|(reference, _)| *reference == outcome.reference);
        let Some((_, mut entry)) = place.and_then(|place| self.open.remove(place)) else {
            let message = Message { decision: None, outcome: Some(outcome), is_lost: false };
            return Entry { number, lines: vec![text], fact: Fact::Message(Box::new(message)) };
        };
        entry.lines.push(text);
        if let Fact::Message(message) = &mut entry.fact {
            message.outcome = Some(outcome);
        }
        entry
    }
}
