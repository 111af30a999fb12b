//! The ledger: an append-only directory of JSON lines. Owns durability (group commit, fsync,
//! rotation, repair after a crash) and reading in order; knows nothing of what the lines mean.
//!
//! The directory holds
//! - `current.jsonl`: the live file, one JSON object per line;
//! - `00000000000000001234-20261123.jsonl`: a rotated segment, named by the number of its first
//!   record and the UTC day of its lines, so that the names sort in the order of the records;
//! - `torn-<time>.part`: what a crash left of unfinished lines, moved aside at the next open;
//! - `lock`: held by the one process that may write.
//!
//! Record numbers count all lines from 0, over all segments. The first number of `current.jsonl`
//! is not stored: it is the newest segment's first number plus its lines, which is right at every
//! moment of a rotation. Whoever deletes old segments must therefore keep the newest one.

mod blocking;
pub mod disk;
mod error;
mod files;
mod live;
mod read;
mod recovery;
mod writer;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

pub use error::LedgerError;
pub use read::{Follower, Reader, Record, end, follow, read, read_from};

use disk::Disk;
use writer::{Progress, Request};

/// The longest line that [`Ledger::append`] takes, in bytes.
pub const MAX_LINE: usize = 1024 * 1024;

/// The most that [`Ledger::append_all`] takes at once, in bytes.
pub const MAX_COMMIT: usize = 4 * 1024 * 1024;

/// Callers that may wait for the writer before further ones wait for a place in its queue.
const QUEUE: usize = 256;

/// An open ledger, the only writer of its directory. Clones share it; dropping the last one
/// finishes what is queued, ends the writer thread and releases the lock.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
}

/// When the live file becomes a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A live file that would grow beyond this many bytes is rotated first.
    pub max_segment_bytes: u64,
    /// The first line of a new UTC day starts a new file.
    pub rotate_daily: bool,
}

/// What [`Ledger::open`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records in the ledger, up to and including those of deleted old segments.
    pub records: u64,
    /// Rotated segments.
    pub segments: usize,
    /// Bytes of unfinished lines that were moved aside; 0 after a clean stop.
    pub torn_bytes: u64,
    /// Where those bytes are now.
    pub torn_file: Option<PathBuf>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
    /// Held, not read.
    lock: File,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_segment_bytes: 64 * 1024 * 1024, rotate_daily: true }
    }
}

impl Ledger {
    /// Takes the directory's lock (creating the directory when there is none), moves an unfinished
    /// last line aside, and starts the writer.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] when another process writes there, [`LedgerError::Io`] for what the
    /// file system refuses.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovery), LedgerError> {
        Self::open_on(dir, options, Box::new(disk::Local))
    }

    /// [`Ledger::open`] on a given [`Disk`], by which tests make writes fail.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_on(
        dir: &Path,
        options: Options,
        disk: Box<dyn Disk>,
    ) -> Result<(Self, Recovery), LedgerError> {
        files::create_directory(dir)?;
        let lock = files::lock(dir)?;
        let (found, recovery) = recovery::recover(dir, disk.as_ref())?;
        let live = live::Live::open(dir, options, disk, found)?;
        let progress = Arc::new(Progress::new(recovery.records));
        let (requests, queue) = mpsc::channel(QUEUE);
        let writer = writer::spawn(live, queue, Arc::clone(&progress))
            .map_err(|source| LedgerError::io("start the writer thread of", dir, source))?;
        let shared =
            Shared { dir: dir.to_owned(), requests: Some(requests), writer: Some(writer), progress, lock };
        Ok((Self { shared: Arc::new(shared) }, recovery))
    }

    /// Appends one JSON object, given without a newline. When this returns `Ok`, the line is on the
    /// disk (written and fdatasync'ed); the value is its record number. Calls that wait at the same
    /// time share one fdatasync. A caller that gives up waiting does not take the line back.
    ///
    /// # Errors
    /// [`LedgerError::BadLine`] for what is no single JSON object, [`LedgerError::Io`] when the disk
    /// refuses: then the line is taken back out of the ledger (should the machine lose power within
    /// that moment, it may stand there), and later calls work again once the cause is gone.
    pub async fn append(&self, line: Vec<u8>) -> Result<u64, LedgerError> {
        Ok(self.append_all(vec![line]).await?.start)
    }

    /// Appends many lines with one commit; `Ok` gives their numbers. All are durable or the caller
    /// hears an error; a crash in between may leave the first few of them.
    ///
    /// # Errors
    /// As [`Ledger::append`]; [`LedgerError::TooMuch`] above [`MAX_COMMIT`].
    pub async fn append_all(&self, lines: Vec<Vec<u8>>) -> Result<Range<u64>, LedgerError> {
        let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in &lines {
            check_line(line)?;
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        if bytes.len() > MAX_COMMIT {
            return Err(LedgerError::TooMuch { bytes: bytes.len() });
        }
        if lines.is_empty() {
            return Ok(self.len()..self.len());
        }
        let stopped = || LedgerError::Stopped { dir: self.shared.dir.clone() };
        let (answer, answered) = oneshot::channel();
        let request = Request { bytes, records: lines.len() as u64, answer };
        let requests = self.shared.requests.as_ref().ok_or_else(stopped)?;
        requests.send(request).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// [`Ledger::append`] for threads; blocks until the line is durable.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_blocking(&self, line: Vec<u8>) -> Result<u64, LedgerError> {
        blocking::wait_for(self.append(line))
    }

    /// [`Ledger::append_all`] for threads; blocks until all lines are durable.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_all_blocking(&self, lines: Vec<Vec<u8>>) -> Result<Range<u64>, LedgerError> {
        blocking::wait_for(self.append_all(lines))
    }

    /// Durable records so far: the number that the next one gets.
    pub fn len(&self) -> u64 {
        self.shared.progress.records()
    }

    /// True when nothing was ever appended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ledger's directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(dir = %self.dir.display(), "the ledger's writer thread ended by a panic");
        }
        // Closing is not enough: a process that is being forked holds a copy of the descriptor until it
        // has started its program, and the lock would outlive us by that moment.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(dir = %self.dir.display(), %error, "the ledger's lock could not be released");
        }
    }
}

/// JSON text never holds a raw control character (RFC 8259, section 7), so refusing them keeps
/// newlines out and lets a NUL mark what a power cut left unwritten. What the repair after a crash
/// would take for a torn line must not get in.
fn check_line(line: &[u8]) -> Result<(), LedgerError> {
    if line.len() > MAX_LINE {
        return Err(LedgerError::BadLine { why: "is longer than 1 MiB" });
    }
    if line.iter().any(u8::is_ascii_control) {
        return Err(LedgerError::BadLine { why: "holds a newline or another control character" });
    }
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    if line.first() != Some(&b'{') || line.last() != Some(&b'}') || !is_json {
        return Err(LedgerError::BadLine { why: "is no JSON object" });
    }
    Ok(())
}
