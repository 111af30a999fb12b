//! The one thread that writes: into the ledger, then into the index; and that brings the index back
//! when it has failed.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::error::ConsentError;
use super::index::{ConsentIndex, IndexError, IndexKey};
use super::rebuild::BATCH;
use super::record::{NewRecord, Record};
use super::shared::{Shared, Slot};

/// What the writer is asked to do.
pub(super) enum Request {
    /// Record these facts, all or none.
    Record { records: Vec<NewRecord>, answer: Answer },
    /// Bring the index back.
    Repair,
}

type Answer = oneshot::Sender<Result<Range<u64>, ConsentError>>;

/// After a failed attempt to bring the index back, the next one waits this long: until then every
/// look-up fails at once, and the disk is left in peace.
const BETWEEN_REPAIRS: Duration = Duration::from_secs(1);
/// The ledger's resolution.
const TICK: SignedDuration = SignedDuration::from_micros(1);

struct Writer {
    shared: Arc<Shared>,
    /// The newest time that was given to a record.
    clock: Timestamp,
    last_attempt: Option<Instant>,
}

/// A caller whose lines stand at `lines` in the commit.
struct Waiting {
    lines: Range<usize>,
    answer: Answer,
}

/// Starts the thread. It ends, closing the index, when all senders are gone.
pub(super) fn spawn(shared: Arc<Shared>, mut queue: mpsc::Receiver<Request>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("consent-writer".to_owned()).spawn(move || {
        let mut writer = Writer { shared, clock: Timestamp::UNIX_EPOCH, last_attempt: None };
        while let Some(first) = queue.blocking_recv() {
            let mut gathered = Vec::new();
            let mut records = first.take_in(&mut gathered);
            while records < BATCH
                && let Ok(next) = queue.try_recv()
            {
                records += next.take_in(&mut gathered);
            }
            writer.repair_if_needed();
            writer.commit(gathered);
            writer.repair_if_needed();
        }
        writer.close();
    })
}

impl Request {
    fn take_in(self, gathered: &mut Vec<(Vec<NewRecord>, Answer)>) -> usize {
        match self {
            Self::Record { records, answer } => {
                let count = records.len();
                gathered.push((records, answer));
                count
            }
            Self::Repair => 0,
        }
    }
}

impl Writer {
    fn commit(&mut self, gathered: Vec<(Vec<NewRecord>, Answer)>) {
        let mut records = Vec::new();
        let mut lines = Vec::new();
        let mut waiting = Vec::new();
        for (facts, answer) in gathered {
            match self.dated(facts) {
                Ok((dated, texts)) => {
                    waiting.push(Waiting { lines: lines.len()..lines.len() + texts.len(), answer });
                    records.extend(dated);
                    lines.extend(texts);
                }
                // The caller may have given up waiting; here and below nobody is left to be told then.
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        if lines.is_empty() {
            return;
        }
        match self.shared.ledger.append_all_blocking(lines.clone()) {
            Ok(numbers) => {
                self.index(&records, &lines, numbers.start);
                for Waiting { lines, answer } in waiting {
                    let first = numbers.start + lines.start as u64;
                    let _ = answer.send(Ok(first..first + lines.len() as u64));
                }
            }
            Err(error) => {
                for Waiting { answer, .. } in waiting {
                    let _ = answer.send(Err(error.clone().into()));
                }
            }
        }
    }

    /// Gives facts their times and turns them into ledger lines.
    fn dated(&mut self, facts: Vec<NewRecord>) -> Result<(Vec<Record>, Vec<Vec<u8>>), ConsentError> {
        let mut records = Vec::with_capacity(facts.len());
        let mut lines = Vec::with_capacity(facts.len());
        for fact in facts {
            let now = self.tick();
            let at = if fact.at.is_none() { self.after_what_holds(&fact, now) } else { now };
            let record = fact.into_record(now, at)?;
            let line = serde_json::to_vec(&record).map_err(|error| ConsentError::BadRecord {
                record: self.shared.ledger.len(),
                reason: error.to_string(),
            })?;
            records.push(record);
            lines.push(line);
        }
        Ok((records, lines))
    }

    /// The time, never the same twice and never going back: facts without a time of their own hold in
    /// the order in which they were recorded.
    fn tick(&mut self) -> Timestamp {
        let earliest = self.clock.checked_add(TICK).unwrap_or(self.clock);
        let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or(earliest);
        self.clock = now.max(earliest);
        self.clock
    }

    /// "Now" for a fact: later than what holds, even if the clock has been set back since. Otherwise
    /// an acknowledged refusal could lose against a grant that was recorded before it.
    fn after_what_holds(&self, fact: &NewRecord, now: Timestamp) -> Timestamp {
        let key = IndexKey::new(&self.shared.place.key(&fact.address), &fact.purpose);
        let held = match &*self.shared.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Ready(index) => index.lookup(&key).ok().flatten(),
            Slot::Out(_) => None,
        };
        held.and_then(|held| Timestamp::from_microsecond(held.at).ok()?.checked_add(TICK).ok())
            .map_or(now, |after| after.max(now))
    }

    /// Brings what is durable into the index; a failure takes the index out of use, so that no look-up
    /// can give an answer that does not know of these records.
    fn index(&self, records: &[Record], lines: &[Vec<u8>], first: u64) {
        let mut next = first;
        for (records, lines) in records.chunks(BATCH).zip(lines.chunks(BATCH)) {
            let entries: Vec<_> = (next..)
                .zip(records)
                .map(|(number, record)| self.shared.place.entry(record, number))
                .collect();
            next += entries.len() as u64;
            let last_line = lines.last().map(Vec::as_slice).unwrap_or_default();
            let position = self.shared.place.position(next, last_line);
            let outcome = match &*self.shared.slot.read().unwrap_or_else(PoisonError::into_inner) {
                Slot::Ready(index) => index.apply(&entries, &position),
                Slot::Out(_) => return,
            };
            if let Err(error) = outcome {
                self.put_out(&error);
                return;
            }
        }
    }

    fn put_out(&self, error: &IndexError) {
        tracing::warn!(%error, "consent look-ups fail until the index is back");
        drop(self.take_index(error.to_string()));
        self.shared.repair_asked.store(true, Ordering::Release);
    }

    fn take_index(&self, reason: String) -> Option<Box<dyn ConsentIndex>> {
        let mut slot = self.shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Out(reason)) {
            Slot::Ready(index) => Some(index),
            Slot::Out(_) => None,
        }
    }

    /// Opens the index anew when a look-up or a write has failed. No record can come in between, since
    /// this thread is the one that writes them.
    fn repair_if_needed(&mut self) {
        if !self.shared.repair_asked.load(Ordering::Acquire) {
            return;
        }
        if self.last_attempt.is_some_and(|last| last.elapsed() < BETWEEN_REPAIRS) {
            // The next failing look-up asks again.
            self.shared.repair_asked.store(false, Ordering::Release);
            return;
        }
        drop(self.take_index("it is being opened anew".to_owned()));
        let opened = self.shared.place.open(self.shared.ledger.len());
        self.last_attempt = Some(Instant::now());
        let mut slot = self.shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        *slot = match opened {
            Ok(index) => {
                tracing::warn!("the consent index is back in use");
                Slot::Ready(index)
            }
            Err(error) => {
                tracing::error!(%error, "the consent index cannot be brought back yet");
                Slot::Out(error.to_string())
            }
        };
        self.shared.repair_asked.store(false, Ordering::Release);
    }

    fn close(&self) {
        if let Some(index) = self.take_index("it has been closed".to_owned())
            && let Err(error) = self.shared.place.close(index)
        {
            tracing::warn!(%error, "the consent index did not close cleanly and will be checked at the next start");
        }
    }
}
