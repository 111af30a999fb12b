//! Brings the index in line with the consent ledger: catches up at opening, checks it after an
//! unclean stop, and makes it anew when it is missing, damaged or belongs to another ledger.
//!
//! The state directory holds `consent/` (the ledger), `consent.index/` (the index) and, while the
//! index is open, the file `consent.index.open`; finding that file at opening means that the last
//! stop was not clean. A damaged index is kept as `consent.index.damaged-<time>`, only the newest.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::index::{ConsentIndex, IndexError, IndexKey, Position};
use super::record::Record;
use super::standing::Fact;
use super::store::ConsentError;
use crate::ledger;
use crate::smtp::{Address, AddressKey};

/// Opens or creates the index in a directory.
pub type OpenIndex = dyn Fn(&Path) -> Result<Box<dyn ConsentIndex>, IndexError> + Send + Sync;

/// How many records go into the index at once: batches of 10,000 took sled fifteen times the memory.
pub const BATCH: usize = 1_000;

/// Where the ledger and its index are, and how the keys are made.
pub struct Place {
    state_dir: PathBuf,
    fold_tags: bool,
    open_index: Box<OpenIndex>,
}

/// Why the index that is there cannot be used.
enum Unusable {
    /// It cannot be opened or read.
    Index(IndexError),
    /// It can be read, but does not say what the ledger says.
    Differs(&'static str),
    /// The ledger itself is at fault: rebuilding would not help.
    Ledger(ConsentError),
}

impl From<IndexError> for Unusable {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl From<ConsentError> for Unusable {
    fn from(error: ConsentError) -> Self {
        Self::Ledger(error)
    }
}

impl Place {
    /// The usual places in the state directory.
    pub fn new(state_dir: &Path, fold_tags: bool, open_index: Box<OpenIndex>) -> Self {
        Self { state_dir: state_dir.to_owned(), fold_tags, open_index }
    }

    /// The directory of the consent ledger.
    pub fn ledger_dir(&self) -> PathBuf {
        self.state_dir.join("consent")
    }

    /// The form of an address by which it is looked up.
    pub fn key(&self, address: &Address) -> AddressKey {
        address.key(self.fold_tags)
    }

    /// The key and the deciding part of a record.
    pub fn entry(&self, record: &Record, number: u64) -> (IndexKey, Fact) {
        (IndexKey::new(&self.key(&record.address), &record.purpose), Fact::new(record, number))
    }

    /// How far an index has come that ends with this line.
    pub fn position(&self, next: u64, last_line: &[u8]) -> Position {
        Position { next, fold_tags: self.fold_tags, last_line: last_line.to_vec() }
    }

    /// Opens the index and brings it in line with the ledger of `records` records. The caller holds
    /// the ledger's lock.
    ///
    /// # Errors
    /// [`ConsentError`] when the ledger cannot be read or a new index cannot be made either.
    pub fn open(&self, records: u64) -> Result<Box<dyn ConsentIndex>, ConsentError> {
        let was_open = self.mark_open()?;
        if self.index_dir().exists() {
            match self.attach(records, was_open) {
                Ok(index) => return Ok(index),
                Err(Unusable::Ledger(error)) => return Err(error),
                Err(Unusable::Index(error)) => {
                    let aside = self.move_aside()?;
                    tracing::warn!(
                        reason = %error, moved_to = %aside.display(), records,
                        "the consent index could not be used: building it anew from the ledger"
                    );
                }
                Err(Unusable::Differs(reason)) => {
                    self.remove()?;
                    tracing::warn!(reason, records, "the consent index is built anew from the ledger");
                }
            }
        } else if records > 0 {
            tracing::warn!(records, "there is no consent index: building it from the ledger");
        }
        self.build()
    }

    /// Closes the index and notes that this was done cleanly.
    ///
    /// # Errors
    /// [`ConsentError`] when not everything is known to be on disk; the next opening checks it.
    pub fn close(&self, index: Box<dyn ConsentIndex>) -> Result<(), ConsentError> {
        index.close().map_err(ConsentError::Index)?;
        let mark = self.mark();
        std::fs::remove_file(&mark).map_err(|source| ConsentError::file("remove", &mark, source))
    }

    fn attach(&self, records: u64, was_open: bool) -> Result<Box<dyn ConsentIndex>, Unusable> {
        let index = (self.open_index)(&self.index_dir())?;
        let next = match index.position()? {
            Some(position) => {
                self.check_position(&position, records)?;
                position.next
            }
            None => 0,
        };
        let added = self.catch_up(index.as_ref(), next)?;
        if added > 0 {
            tracing::info!(records = added, "the consent index caught up with the ledger");
        }
        if was_open {
            tracing::info!(records, "the last stop was not clean: checking the consent index");
            self.check(index.as_ref())?;
        }
        Ok(index)
    }

    fn check_position(&self, position: &Position, records: u64) -> Result<(), Unusable> {
        if position.fold_tags != self.fold_tags {
            return Err(Unusable::Differs("the setting for +tags has changed"));
        }
        if position.next > records {
            return Err(Unusable::Differs("it is ahead of the ledger, which was replaced or cut"));
        }
        let Some(last) = position.next.checked_sub(1) else { return Ok(()) };
        let line = ledger::read_from(&self.ledger_dir(), last)
            .and_then(|mut records| records.next().transpose())
            .map_err(ConsentError::Ledger)?;
        match line {
            Some(record) if record.number == last && record.line == position.last_line => Ok(()),
            _ => Err(Unusable::Differs("it was made from another ledger")),
        }
    }

    /// Takes in the records from `next` on; gives their count.
    fn catch_up(&self, index: &dyn ConsentIndex, next: u64) -> Result<u64, Unusable> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut last: Option<ledger::Record> = None;
        let mut added = 0;
        for line in ledger::read_from(&self.ledger_dir(), next).map_err(ConsentError::Ledger)? {
            let line = line.map_err(ConsentError::Ledger)?;
            batch.push(self.entry(&parse(&line)?, line.number));
            if batch.len() == BATCH {
                index.apply(&batch, &self.position(line.number + 1, &line.line))?;
                batch.clear();
            }
            last = Some(line);
            added += 1;
        }
        if let Some(line) = last.filter(|_| !batch.is_empty()) {
            index.apply(&batch, &self.position(line.number + 1, &line.line))?;
        }
        Ok(added)
    }

    /// Holds every record against the index: each must have been taken in, and each entry must be the
    /// very fact of the record that it names.
    fn check(&self, index: &dyn ConsentIndex) -> Result<(), Unusable> {
        let mut confirmed = 0;
        for line in ledger::read(&self.ledger_dir()).map_err(ConsentError::Ledger)? {
            let line = line.map_err(ConsentError::Ledger)?;
            let (key, fact) = self.entry(&parse(&line)?, line.number);
            match index.lookup(&key)? {
                Some(held) if held == fact => confirmed += 1,
                Some(held) if held.decisive(fact) == held => {}
                _ => return Err(Unusable::Differs("it lacks records after an unclean stop")),
            }
        }
        if index.count()? != confirmed {
            return Err(Unusable::Differs("it holds entries that the ledger does not account for"));
        }
        Ok(())
    }

    fn build(&self) -> Result<Box<dyn ConsentIndex>, ConsentError> {
        let index = (self.open_index)(&self.index_dir()).map_err(ConsentError::Index)?;
        match self.catch_up(index.as_ref(), 0) {
            Ok(records) => {
                if records > 0 {
                    tracing::info!(records, "the consent index was built from the ledger");
                }
                Ok(index)
            }
            Err(Unusable::Index(error)) => Err(ConsentError::Index(error)),
            Err(Unusable::Differs(reason)) => {
                Err(ConsentError::Index(IndexError::Damaged(reason.to_owned())))
            }
            Err(Unusable::Ledger(error)) => Err(error),
        }
    }

    fn index_dir(&self) -> PathBuf {
        self.state_dir.join("consent.index")
    }

    fn mark(&self) -> PathBuf {
        self.state_dir.join("consent.index.open")
    }

    /// Notes on disk that the index is open; true when it was already noted.
    fn mark_open(&self) -> Result<bool, ConsentError> {
        let mark = self.mark();
        let failed = |source| ConsentError::file("create", &mark, source);
        match std::fs::File::options().write(true).create_new(true).open(&mark) {
            Ok(file) => file.sync_all().map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(true),
            Err(error) => return Err(failed(error)),
        }
        std::fs::File::open(&self.state_dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(false)
    }

    fn move_aside(&self) -> Result<PathBuf, ConsentError> {
        const PREFIX: &str = "consent.index.damaged-";
        let failed = |source| ConsentError::file("move aside", &self.index_dir(), source);
        for entry in std::fs::read_dir(&self.state_dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                remove_all(&entry.path()).map_err(failed)?;
            }
        }
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let aside = self.state_dir.join(format!("{PREFIX}{time}"));
        std::fs::rename(self.index_dir(), &aside).map_err(failed)?;
        Ok(aside)
    }

    fn remove(&self) -> Result<(), ConsentError> {
        let dir = self.index_dir();
        remove_all(&dir).map_err(|source| ConsentError::file("remove", &dir, source))
    }
}

/// Reads a record out of its ledger line.
///
/// # Errors
/// [`ConsentError::BadRecord`] with the record's number.
pub fn parse(line: &ledger::Record) -> Result<Record, ConsentError> {
    serde_json::from_slice(&line.line)
        .map_err(|error| ConsentError::BadRecord { record: line.number, reason: error.to_string() })
}

fn remove_all(path: &Path) -> io::Result<()> {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}
