//! The consent store: records facts in the ledger first and the index second, and answers what holds.
//!
//! One thread writes. It takes what callers hand in, in that order, commits what has gathered with
//! one fsync, brings it into the index and only then answers; so a recorded fact is durable and
//! visible when its caller hears of it. When the index fails, look-ups fail (never "unknown") while
//! the same thread brings it back from the ledger.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::error::ConsentError;
use super::index::{ConsentIndex, IndexError, IndexKey, SledIndex};
use super::rebuild::{OpenIndex, Place, parse};
use super::record::{NewRecord, Purpose, Record};
use super::shared::{Shared, Slot};
use super::standing::Standing;
use super::writer::{self, Request};
use crate::ledger::{self, Ledger};
use crate::smtp::Address;

/// How the store is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Whether `ana+news@example.com` and `ana@example.com` are the same person.
    pub fold_tags: bool,
    /// Memory for the index's cache, in bytes.
    pub cache_bytes: u64,
    /// How the ledger is kept.
    pub ledger: ledger::Options,
}

/// A record with its number in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The number.
    pub record: u64,
    /// The record.
    #[serde(flatten)]
    pub fact: Record,
}

/// A part of the ledger, see [`ConsentStore::page`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The records, oldest first.
    pub records: Vec<Numbered>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<u64>,
}

/// The consent of everyone who has given or refused it. One process at a time can have it open.
pub struct ConsentStore {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// Where the last page ended, so that the next one need not search for its beginning.
    reading: Mutex<Option<(u64, ledger::Reader)>>,
}

/// Requests that may wait for the writer before callers have to.
const QUEUE: usize = 1_024;
/// A page looks at no more records than this, so that no request takes long.
const PAGE_SCAN: u64 = 50_000;

impl Default for StoreOptions {
    fn default() -> Self {
        Self { fold_tags: false, cache_bytes: 64 * 1024 * 1024, ledger: ledger::Options::default() }
    }
}

impl ConsentStore {
    /// Opens the store in the state directory, which is created when missing, and brings the index in
    /// line with the ledger.
    ///
    /// # Errors
    /// [`ConsentError`], with [`ledger::LedgerError::Locked`] inside when another process has it open.
    pub fn open(state_dir: &Path, options: StoreOptions) -> Result<Self, ConsentError> {
        let cache_bytes = options.cache_bytes;
        let open_index = move |dir: &Path| {
            SledIndex::open(dir, cache_bytes).map(|index| Box::new(index) as Box<dyn ConsentIndex>)
        };
        Self::open_on(state_dir, options, Box::new(open_index))
    }

    /// [`ConsentStore::open`] on a given index, by which tests make look-ups fail.
    ///
    /// # Errors
    /// As [`ConsentStore::open`].
    pub fn open_on(
        state_dir: &Path,
        options: StoreOptions,
        open_index: Box<OpenIndex>,
    ) -> Result<Self, ConsentError> {
        let place = Place::new(state_dir, options.fold_tags, open_index);
        let (ledger, recovery) = Ledger::open(&place.ledger_dir(), options.ledger)?;
        if recovery.torn_bytes > 0 {
            tracing::warn!(
                bytes = recovery.torn_bytes,
                moved_to = recovery.torn_file.as_ref().map(|file| tracing::field::display(file.display())),
                "an unfinished, never acknowledged record was moved out of the consent ledger"
            );
        }
        let index = place.open(ledger.len())?;
        let shared = Arc::new(Shared {
            place,
            ledger,
            slot: RwLock::new(Slot::Ready(index)),
            repair_asked: AtomicBool::new(false),
        });
        let (requests, queue) = mpsc::channel(QUEUE);
        let writer = writer::spawn(Arc::clone(&shared), queue)
            .map_err(|source| ConsentError::file("start the writer thread of", state_dir, source))?;
        Ok(Self { shared, requests: Some(requests), writer: Some(writer), reading: Mutex::new(None) })
    }

    /// What holds for the address and purpose at `now`. Takes microseconds and waits for no disk sync.
    ///
    /// # Errors
    /// [`ConsentError::Unavailable`] when the index gives no answer: that is not "no consent", and not
    /// consent either.
    pub fn standing(
        &self,
        address: &Address,
        purpose: &Purpose,
        now: Timestamp,
    ) -> Result<Standing, ConsentError> {
        let key = IndexKey::new(&self.shared.place.key(address), purpose);
        self.ask(|index| index.lookup(&key)).map(|fact| Standing::of(fact.as_ref(), now))
    }

    /// Records one fact. It is durable, and visible to [`ConsentStore::standing`], when this returns
    /// `Ok` with its number. A caller that gives up waiting does not take the fact back.
    ///
    /// # Errors
    /// [`ConsentError::Invalid`] for a fact that cannot be recorded; [`ConsentError::Ledger`] when it
    /// could not be made durable, and then it does not hold either.
    pub async fn record(&self, record: NewRecord) -> Result<u64, ConsentError> {
        record.check(Timestamp::now())?;
        self.submit(vec![record]).await.map(|numbers| numbers.start)
    }

    /// Records many facts with one commit, in this order: all of them or none.
    ///
    /// # Errors
    /// As [`ConsentStore::record`], with [`ConsentError::InvalidInBatch`] for the fact at fault.
    pub async fn record_all(&self, records: Vec<NewRecord>) -> Result<Range<u64>, ConsentError> {
        let now = Timestamp::now();
        for (place, record) in records.iter().enumerate() {
            record.check(now).map_err(|reason| ConsentError::InvalidInBatch { place, reason })?;
        }
        self.submit(records).await
    }

    /// All records about the address, for one purpose or for all, oldest first. Reads the ledger when
    /// the index knows of any; this may take seconds for millions of records.
    ///
    /// # Errors
    /// [`ConsentError`] when the ledger cannot be read.
    pub fn history(
        &self,
        address: &Address,
        purpose: Option<&Purpose>,
    ) -> Result<Vec<Numbered>, ConsentError> {
        let place = &self.shared.place;
        let key = place.key(address);
        if let Ok(false) = self.ask(|index| index.knows(&key)) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for line in ledger::read(&place.ledger_dir())? {
            let line = line?;
            let fact = parse(&line)?;
            if purpose.is_none_or(|purpose| *purpose == fact.purpose) && place.key(&fact.address) == key {
                found.push(Numbered { record: line.number, fact });
            }
        }
        Ok(found)
    }

    /// The record with this number, if the ledger still keeps it.
    ///
    /// # Errors
    /// [`ConsentError`] when the ledger cannot be read.
    pub fn numbered(&self, number: u64) -> Result<Option<Numbered>, ConsentError> {
        let mut lines = ledger::read_from(&self.shared.place.ledger_dir(), number)?;
        match lines.next().transpose()? {
            Some(line) if line.number == number => Ok(Some(Numbered { record: number, fact: parse(&line)? })),
            _ => Ok(None),
        }
    }

    /// Up to `limit` records from number `from` on; with `current_only` those that decide for their
    /// address and purpose. While facts are being recorded, an address may appear on an early page and
    /// again, with its newer fact, on a later one.
    ///
    /// # Errors
    /// [`ConsentError`] when the ledger or the index cannot be read.
    pub fn page(&self, from: u64, limit: usize, current_only: bool) -> Result<Page, ConsentError> {
        let kept = self.reading().take().filter(|(next, _)| *next == from);
        let mut lines = match kept {
            Some((_, lines)) => lines,
            None => ledger::read_from(&self.shared.place.ledger_dir(), from)?,
        };
        let mut records = Vec::new();
        let mut scanned = 0;
        while let Some(line) = lines.next().transpose()? {
            let fact = parse(&line)?;
            let number = line.number;
            let (key, own) = self.shared.place.entry(&fact, number);
            if !current_only || self.ask(|index| index.lookup(&key))?.is_some_and(|held| held == own) {
                records.push(Numbered { record: number, fact });
            }
            scanned += 1;
            if records.len() >= limit || scanned >= PAGE_SCAN {
                *self.reading() = Some((number + 1, lines));
                return Ok(Page { records, next: Some(number + 1) });
            }
        }
        Ok(Page { records, next: None })
    }

    /// The number of records in the ledger.
    pub fn len(&self) -> u64 {
        self.shared.ledger.len()
    }

    /// True when nothing was ever recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    async fn submit(&self, records: Vec<NewRecord>) -> Result<Range<u64>, ConsentError> {
        if records.is_empty() {
            return Ok(self.len()..self.len());
        }
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(ConsentError::Closed)?;
        requests.send(Request::Record { records, answer }).await.map_err(|_| ConsentError::Closed)?;
        answered.await.map_err(|_| ConsentError::Closed)?
    }

    /// Asks the index; when it fails, has it brought back.
    fn ask<T>(
        &self,
        question: impl FnOnce(&dyn ConsentIndex) -> Result<T, IndexError>,
    ) -> Result<T, ConsentError> {
        let reason = match &*self.shared.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Ready(index) => match question(index.as_ref()) {
                Ok(answer) => return Ok(answer),
                Err(error) => error.to_string(),
            },
            Slot::Out(reason) => reason.clone(),
        };
        if let Some(requests) = &self.requests
            && !self.shared.repair_asked.swap(true, Ordering::AcqRel)
        {
            // A full queue means that the writer is busy and will see the flag with its next request.
            let _ = requests.try_send(Request::Repair);
        }
        Err(ConsentError::Unavailable(reason))
    }

    fn reading(&self) -> std::sync::MutexGuard<'_, Option<(u64, ledger::Reader)>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConsentStore {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the consent store's writer thread ended by a panic");
        }
    }
}
