//! The index that answers consent look-ups: for each address and purpose the one deciding fact.
//!
//! It is derived from the consent ledger, knows up to which record it has come, and may be thrown
//! away at any time. [`ConsentIndex`] is what the store needs of one; [`SledIndex`] keeps it in a
//! sled database. Bringing an index in line with the ledger is the work of [`super::rebuild`].

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Once, mpsc};
use std::time::{Duration, Instant};

use super::record::{Purpose, Status};
use super::standing::Fact;
use crate::smtp::AddressKey;

/// What a look-up goes by: the normalised address and the purpose.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexKey(Vec<u8>);

/// Up to where an index has come, and what it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the first ledger record that is not in the index.
    pub next: u64,
    /// Whether the keys were made without `+tag`.
    pub fold_tags: bool,
    /// The ledger line before `next`, by which another ledger of the same length is recognised.
    pub last_line: Vec<u8>,
}

/// Why an index gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The database reports an error, or has stopped working (a full disk ends every read).
    #[error("the consent index cannot be read or written: {0}")]
    Failed(String),
    /// The database holds what we never wrote, or panicked over what it read.
    #[error("the consent index is damaged: {0}")]
    Damaged(String),
}

/// Keeps the deciding fact for each address and purpose.
///
/// Facts may be applied twice and in any order: [`Fact::decisive`] decides which one stays. One
/// thread at a time calls [`ConsentIndex::apply`]; look-ups come from many.
pub trait ConsentIndex: Send + Sync {
    /// The deciding fact.
    ///
    /// # Errors
    /// [`IndexError`] when no answer can be given; the caller must not take that for "no record".
    fn lookup(&self, key: &IndexKey) -> Result<Option<Fact>, IndexError>;

    /// True when there is a fact about this address for any purpose.
    ///
    /// # Errors
    /// [`IndexError`] when no answer can be given.
    fn knows(&self, address: &AddressKey) -> Result<bool, IndexError>;

    /// Takes facts in and notes how far the index has come, both or neither.
    ///
    /// # Errors
    /// [`IndexError`]; the index may then hold less than the ledger and must be brought in line.
    fn apply(&self, facts: &[(IndexKey, Fact)], position: &Position) -> Result<(), IndexError>;

    /// How far it has come; `None` for a new index.
    ///
    /// # Errors
    /// [`IndexError`] when no answer can be given.
    fn position(&self) -> Result<Option<Position>, IndexError>;

    /// The number of facts held. Reads the whole index.
    ///
    /// # Errors
    /// [`IndexError`] when it cannot be read through.
    fn count(&self) -> Result<u64, IndexError>;

    /// Writes everything to disk and closes. An index that is merely dropped was not closed cleanly.
    ///
    /// # Errors
    /// [`IndexError`] when not everything is known to be on disk.
    fn close(self: Box<Self>) -> Result<(), IndexError>;
}

impl IndexError {
    /// sled has no kind for this, only words.
    fn is_lock(&self) -> bool {
        matches!(self, Self::Failed(text) if text.contains("could not acquire lock"))
    }
}

impl IndexKey {
    /// The key for an address and a purpose. Neither can hold a zero byte, which parts them.
    pub fn new(address: &AddressKey, purpose: &Purpose) -> Self {
        let mut bytes = Self::address_prefix(address);
        bytes.extend_from_slice(purpose.as_str().as_bytes());
        Self(bytes)
    }

    fn address_prefix(address: &AddressKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(address.as_str().len() + 16);
        bytes.extend_from_slice(address.as_str().as_bytes());
        bytes.push(0);
        bytes
    }
}

/// A [`ConsentIndex`] in a sled 0.34 database.
///
/// sled panics on damaged files and in its own background thread, so that every call is contained
/// here and becomes an [`IndexError`].
pub struct SledIndex {
    db: Option<sled::Db>,
    file: PathBuf,
}

/// Sorts before every address, none of which begins with a zero byte.
const POSITION_KEY: &[u8] = b"\0position";
/// Changes when keys or values change their form; an index of another form is rebuilt.
const FORMAT: u8 = 1;
/// sled gathers writes in memory and hands them to the system this often.
const FLUSH_EVERY_MS: u64 = 1_000;
/// After a panic in its background thread sled's destructor waits for ever; we wait this long.
const CLOSE_TIME: Duration = Duration::from_secs(10);
/// How long an opening waits for the lock that an earlier handle of ours is about to release.
const LOCK_TIME: Duration = Duration::from_secs(3);

impl SledIndex {
    /// Opens or creates the database in `dir`.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] when sled panics over the files, [`IndexError::Failed`] otherwise.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let started = Instant::now();
        loop {
            match contained(|| config.open()) {
                Ok(db) => return Ok(Self { db: Some(db), file: dir.join("db") }),
                // sled's threads may hold the lock for a moment after a database was closed.
                Err(error) if error.is_lock() && started.elapsed() < LOCK_TIME => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn db(&self) -> Result<&sled::Db, IndexError> {
        self.db.as_ref().ok_or_else(|| IndexError::Failed("it has been closed".to_owned()))
    }
}

impl ConsentIndex for SledIndex {
    fn lookup(&self, key: &IndexKey) -> Result<Option<Fact>, IndexError> {
        let db = self.db()?;
        contained(|| db.get(&key.0))?.map(|value| decode_fact(&value)).transpose()
    }

    fn knows(&self, address: &AddressKey) -> Result<bool, IndexError> {
        let db = self.db()?;
        let first = contained(|| db.scan_prefix(IndexKey::address_prefix(address)).next().transpose())?;
        Ok(first.is_some())
    }

    fn apply(&self, facts: &[(IndexKey, Fact)], position: &Position) -> Result<(), IndexError> {
        let db = self.db()?;
        let mut changed: HashMap<&IndexKey, Fact> = HashMap::with_capacity(facts.len());
        for (key, fact) in facts {
            let held = match changed.get(key) {
                Some(held) => Some(*held),
                None => self.lookup(key)?,
            };
            changed.insert(key, held.map_or(*fact, |held| held.decisive(*fact)));
        }
        let mut batch = sled::Batch::default();
        for (key, fact) in changed {
            batch.insert(key.0.as_slice(), encode_fact(&fact)?);
        }
        batch.insert(POSITION_KEY, encode_position(position));
        contained(|| db.apply_batch(batch))
    }

    fn position(&self) -> Result<Option<Position>, IndexError> {
        let db = self.db()?;
        contained(|| db.get(POSITION_KEY))?.map(|value| decode_position(&value)).transpose()
    }

    fn count(&self) -> Result<u64, IndexError> {
        let db = self.db()?;
        contained(|| {
            db.iter().keys().try_fold(0_u64, |count, key| {
                key.map(|key| if key.as_ref() == POSITION_KEY { count } else { count + 1 })
            })
        })
    }

    fn close(mut self: Box<Self>) -> Result<(), IndexError> {
        let Some(db) = self.db.take() else { return Ok(()) };
        contained(|| db.flush())?;
        drop_in_time(db)?;
        // sled's flush ends in sync_file_range, which does not survive a power cut.
        std::fs::File::open(&self.file)
            .and_then(|file| file.sync_all())
            .map_err(|error| IndexError::Failed(error.to_string()))
    }
}

impl Drop for SledIndex {
    fn drop(&mut self) {
        if let Some(db) = self.db.take()
            && let Err(error) = drop_in_time(db)
        {
            tracing::warn!(%error, "the consent index did not close");
        }
    }
}

/// Lets go of the database without trusting its destructor.
fn drop_in_time(db: sled::Db) -> Result<(), IndexError> {
    let (done, closed) = mpsc::channel();
    let closing = std::thread::Builder::new().name("consent-index-close".to_owned()).spawn(move || {
        let outcome = contained(|| {
            drop(db);
            Ok(())
        });
        // The receiver is gone when the time was up: nobody is left to be told.
        let _ = done.send(outcome);
    });
    if let Err(error) = closing {
        return Err(IndexError::Failed(format!("no thread to close it in: {error}")));
    }
    closed
        .recv_timeout(CLOSE_TIME)
        .unwrap_or_else(|_| Err(IndexError::Failed("the database does not close".to_owned())))
}

/// Runs a call into sled; a panic in it becomes [`IndexError::Damaged`].
fn contained<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    quiet_panics();
    CONTAINED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    CONTAINED.set(false);
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error @ sled::Error::Io(_))) => Err(IndexError::Failed(error.to_string())),
        Ok(Err(error)) => Err(IndexError::Damaged(error.to_string())),
        Err(panic) => Err(IndexError::Damaged(panic_text(panic.as_ref()))),
    }
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// A contained panic is reported as an error; its trace on stderr would only alarm.
fn quiet_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !CONTAINED.get() {
                report(panic);
            }
        }));
    });
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the database panicked");
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

const HAS_UNTIL: u8 = 0x80;

fn encode_fact(fact: &Fact) -> Result<Vec<u8>, IndexError> {
    let status = match fact.status {
        Status::OptedIn => 1,
        Status::SoftOptIn => 2,
        Status::OptedOut => 3,
        Status::Unknown => return Err(IndexError::Failed("an unknown status cannot be kept".to_owned())),
    };
    let mut value = Vec::with_capacity(25);
    value.push(if fact.until.is_some() { status | HAS_UNTIL } else { status });
    value.extend_from_slice(&fact.at.to_be_bytes());
    value.extend_from_slice(&fact.record.to_be_bytes());
    if let Some(until) = fact.until {
        value.extend_from_slice(&until.to_be_bytes());
    }
    Ok(value)
}

fn decode_fact(value: &[u8]) -> Result<Fact, IndexError> {
    let decoded = || {
        let (head, rest) = value.split_first()?;
        let status = match head & !HAS_UNTIL {
            1 => Status::OptedIn,
            2 => Status::SoftOptIn,
            3 => Status::OptedOut,
            _ => return None,
        };
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (record, rest) = rest.split_first_chunk::<8>()?;
        let until = match (head & HAS_UNTIL != 0, rest) {
            (false, []) => None,
            (true, until) => Some(i64::from_be_bytes(until.try_into().ok()?)),
            (false, _) => return None,
        };
        Some(Fact { status, at: i64::from_be_bytes(*at), until, record: u64::from_be_bytes(*record) })
    };
    decoded().ok_or_else(|| IndexError::Damaged("an entry has a form that is not ours".to_owned()))
}

fn encode_position(position: &Position) -> Vec<u8> {
    let mut value = vec![FORMAT, u8::from(position.fold_tags)];
    value.extend_from_slice(&position.next.to_be_bytes());
    value.extend_from_slice(&position.last_line);
    value
}

fn decode_position(value: &[u8]) -> Result<Position, IndexError> {
    let decoded = || {
        let ([FORMAT, fold_tags @ (0 | 1)], rest) = value.split_first_chunk::<2>()? else { return None };
        let (next, last_line) = rest.split_first_chunk::<8>()?;
        Some(Position {
            next: u64::from_be_bytes(*next),
            fold_tags: *fold_tags == 1,
            last_line: last_line.to_vec(),
        })
    };
    decoded().ok_or_else(|| IndexError::Damaged("its position has a form that is not ours".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Address;

    fn key(address: &str, purpose: &str) -> IndexKey {
        let address = Address::parse(address).expect("address").key(false);
        IndexKey::new(&address, &Purpose::parse(purpose).expect("purpose"))
    }

    fn fact(status: Status, at: i64, record: u64) -> Fact {
        Fact { status, at, until: None, record }
    }

    fn position(next: u64) -> Position {
        Position { next, fold_tags: false, last_line: b"{}".to_vec() }
    }

    #[test]
    fn entries_survive_their_encoding() {
        for until in [None, Some(-7), Some(i64::MAX)] {
            for status in [Status::OptedIn, Status::SoftOptIn, Status::OptedOut] {
                let fact = Fact { status, at: -1, until, record: u64::MAX };
                assert_eq!(decode_fact(&encode_fact(&fact).expect("value")), Ok(fact));
            }
        }
        for damaged in
            [&b""[..], b"\x01", b"\x04aaaaaaaaaaaaaaaa", b"\x01aaaaaaaaaaaaaaaab", b"\x81aaaaaaaaaaaaaaaab"]
        {
            assert!(decode_fact(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn facts_are_found_by_address_and_purpose() {
        let dir = tempfile::tempdir().expect("directory");
        let index = SledIndex::open(dir.path(), 1 << 20).expect("index");
        assert_eq!(index.position(), Ok(None));
        let facts = [
            (key("a@x.example", "marketing"), fact(Status::OptedIn, 5, 0)),
            (key("a@x.example", "news"), fact(Status::OptedOut, 5, 1)),
            (key("a@x.example", "marketing"), fact(Status::OptedOut, 4, 2)),
        ];
        index.apply(&facts, &position(3)).expect("applied");
        assert_eq!(index.lookup(&key("a@x.example", "marketing")), Ok(Some(facts[0].1)));
        assert_eq!(index.lookup(&key("a@x.example", "news")), Ok(Some(facts[1].1)));
        assert_eq!(index.lookup(&key("a@x.example", "market")), Ok(None));
        assert_eq!(index.lookup(&key("b@x.example", "marketing")), Ok(None));
        let knows = |a: &str| index.knows(&Address::parse(a).expect("address").key(false));
        assert_eq!(
            (knows("a@x.example"), knows("a@x.exampl"), knows("b@x.example")),
            (Ok(true), Ok(false), Ok(false))
        );
        assert_eq!((index.count(), index.position()), (Ok(2), Ok(Some(position(3)))));
    }

    #[test]
    fn a_panic_in_the_database_is_an_error() {
        let outcome = contained::<()>(|| panic!("page {} is\nmissing", 7));
        assert_eq!(outcome, Err(IndexError::Damaged("page 7 is".to_owned())));
    }

    #[test]
    fn what_was_closed_is_there_after_opening() {
        let dir = tempfile::tempdir().expect("directory");
        let index = SledIndex::open(dir.path(), 1 << 20).expect("index");
        let facts = [(key("a@x.example", "marketing"), fact(Status::OptedIn, 5, 0))];
        index.apply(&facts, &position(1)).expect("applied");
        Box::new(index).close().expect("closed");
        let index = SledIndex::open(dir.path(), 1 << 20).expect("index");
        assert_eq!(index.lookup(&facts[0].0), Ok(Some(facts[0].1)));
    }
}
