//! Brings the index in line with the consent ledger: catches up at opening, checks it after an
//! unclean stop, and makes it anew when it is missing, damaged or belongs to another ledger.
//!
//! The state directory holds `consent/` (the ledger), `consent.index/` (the index) and, while the
//! index is closed, `consent.index.closed` with a digest of its files. At opening that file must be
//! there and the digest must be right; otherwise the index was not closed cleanly, or was changed
//! since (sled reads past some damage without a word), and is held against the ledger. An index that
//! cannot be read is kept as `consent.index.damaged-<time>`, only the newest.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::ConsentError;
use super::index::{ConsentIndex, IndexError, IndexKey, Position};
use super::record::Record;
use super::standing::Fact;
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
        let is_sound = self.unseal()?;
        if self.index_dir().exists() {
            match self.attach(records, is_sound) {
                Ok(index) => return Ok(index),
                Err(Unusable::Ledger(error)) => return Err(error),
                Err(Unusable::Index(error @ IndexError::Damaged(_))) => {
                    let aside = self.move_aside()?;
                    tracing::warn!(
                        reason = %error, moved_to = %aside.display(), records,
                        "the consent index is damaged: building it anew from the ledger"
                    );
                }
                Err(Unusable::Index(error)) => {
                    // Not kept: on a full disk its space is what the new one needs.
                    self.remove()?;
                    tracing::warn!(reason = %error, records, "the consent index is built anew from the ledger");
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
        let seal = self.seal();
        let digest = digest(&self.index_dir())
            .map_err(|source| ConsentError::file("read", &self.index_dir(), source))?;
        std::fs::write(&seal, digest).map_err(|source| ConsentError::file("write", &seal, source))
    }

    fn attach(&self, records: u64, is_sound: bool) -> Result<Box<dyn ConsentIndex>, Unusable> {
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
        if !is_sound {
            tracing::info!(
                records,
                "the consent index was not closed cleanly: checking it against the ledger"
            );
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
        let dir = self.index_dir();
        // The index names people: only our own user may read it.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|source| ConsentError::file("create", &dir, source))?;
        let index = (self.open_index)(&dir).map_err(ConsentError::Index)?;
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

    fn seal(&self) -> PathBuf {
        self.state_dir.join("consent.index.closed")
    }

    /// Takes the note of the last clean stop away, for good, and tells whether it was right.
    fn unseal(&self) -> Result<bool, ConsentError> {
        let seal = self.seal();
        let failed = |source| ConsentError::file("remove", &seal, source);
        let noted = match std::fs::read(&seal) {
            Ok(noted) => noted,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let is_sound = digest(&self.index_dir()).is_ok_and(|digest| digest.as_bytes() == noted);
        std::fs::remove_file(&seal).map_err(failed)?;
        std::fs::File::open(&self.state_dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(is_sound)
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

/// A digest of the index's files, against accidents and not against malice. It may differ between
/// versions of the compiler: then the index is checked once.
fn digest(dir: &Path) -> io::Result<String> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let mut hasher = DefaultHasher::new();
    let mut chunk = vec![0; 256 * 1024];
    for path in paths {
        path.file_name().hash(&mut hasher);
        let mut file = std::fs::File::open(path)?;
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            hasher.write(&chunk[..read]);
        }
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

fn remove_all(path: &Path) -> io::Result<()> {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}
