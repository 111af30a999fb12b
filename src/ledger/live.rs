//! The live file: commits, rotation, and the way back after a failed write or fsync. Knows no
//! threads and no callers.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::disk::{Disk, LiveFile};
use super::files;
use super::recovery::{Found, utc_day};
use super::{LedgerError, Options};

/// The block that a page cache writes as one.
const PAGE: usize = 4096;

pub(super) struct Live {
    dir: PathBuf,
    path: PathBuf,
    options: Options,
    disk: Box<dyn Disk>,
    /// None between the rename and the creation of a rotation.
    file: Option<Box<dyn LiveFile>>,
    fault: Option<Fault>,
    /// The number of the file's first record.
    first: u64,
    /// Durable records in the file.
    records: u64,
    /// Durable bytes of the file.
    len: u64,
    /// A refused rotation was logged.
    is_overdue: bool,
    /// The last durable bytes, a page at most.
    tail: Vec<u8>,
    day: Date,
}

/// What a failed commit left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Bytes beyond the durable length.
    Write,
    /// Pages that the kernel may have dropped: after a failed fsync it marks them clean, and the
    /// next fsync of the same file succeeds without writing them (as PostgreSQL learned in 2018).
    Sync,
}

impl Live {
    pub(super) fn open(
        dir: &Path,
        options: Options,
        disk: Box<dyn Disk>,
        found: Found,
    ) -> Result<Self, LedgerError> {
        let path = files::live_path(dir);
        let mut tail = vec![0; PAGE.min(usize::try_from(found.len).unwrap_or(PAGE))];
        let before = found.len - tail.len() as u64;
        if !tail.is_empty() {
            File::open(&path)
                .and_then(|file| files::read_full_at(&file, &mut tail, before))
                .map_err(|source| LedgerError::io("read", &path, source))?;
        }
        let Found { first, records, len, day } = found;
        let dir = dir.to_owned();
        let mut live = Self {
            dir,
            path,
            options,
            disk,
            file: None,
            fault: None,
            first,
            records,
            len,
            is_overdue: false,
            tail,
            day,
        };
        live.ready()?;
        Ok(live)
    }

    /// The number that the next record gets.
    pub(super) fn end(&self) -> u64 {
        self.first + self.records
    }

    /// Writes complete lines and makes them durable; after an error none of them is in the ledger.
    pub(super) fn commit(&mut self, bytes: &[u8], records: u64) -> Result<Range<u64>, LedgerError> {
        self.ready()?;
        self.rotate_if_due(bytes.len() as u64)?;
        if let Err((fault, error)) = self.write(bytes) {
            self.fault = Some(fault);
            // Taken back at once, so that readers do not meet it; if that fails too, the next commit
            // begins with it.
            let _ = self.repair();
            return Err(error);
        }
        let start = self.end();
        self.records += records;
        self.len += bytes.len() as u64;
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(PAGE)..]);
        self.tail.drain(..self.tail.len().saturating_sub(PAGE));
        Ok(start..self.end())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), (Fault, LedgerError)> {
        let Self { file, path, len, .. } = self;
        let Some(file) = file else {
            return Err((Fault::Write, LedgerError::io("write to", path, io::ErrorKind::NotFound.into())));
        };
        file.write_at(bytes, *len)
            .map_err(|source| (Fault::Write, LedgerError::io("write to", path, source)))?;
        file.sync().map_err(|source| (Fault::Sync, LedgerError::io("make durable", path, source)))
    }

    /// A file that is open and holds its durable bytes and no more.
    fn ready(&mut self) -> Result<(), LedgerError> {
        if self.file.is_none() {
            self.file = Some(self.open_live()?);
        }
        self.repair()
    }

    fn open_live(&self) -> Result<Box<dyn LiveFile>, LedgerError> {
        let file =
            self.disk.open_live(&self.path).map_err(|source| LedgerError::io("open", &self.path, source))?;
        self.disk
            .sync_directory(&self.dir)
            .map_err(|source| LedgerError::io("make durable", &self.dir, source))?;
        Ok(file)
    }

    fn repair(&mut self) -> Result<(), LedgerError> {
        let refused = |source| LedgerError::io("take back a failed write to", &self.path, source);
        match (self.fault, self.file.as_mut()) {
            (Some(Fault::Write), Some(file)) => {
                file.set_len(self.len).map_err(refused)?;
                if let Err(source) = file.sync() {
                    self.fault = Some(Fault::Sync);
                    return Err(refused(source));
                }
            }
            (Some(Fault::Sync), _) => {
                // A new file description, so that its first fsync reports anew, and the page that
                // durable lines share with the failed ones written again from memory.
                let mut file = self.open_live()?;
                file.set_len(self.len)
                    .and_then(|()| file.write_at(&self.tail, self.len - self.tail.len() as u64))
                    .and_then(|()| file.sync())
                    .map_err(refused)?;
                self.file = Some(file);
            }
            (Some(Fault::Write), None) | (None, _) => {}
        }
        self.fault = None;
        Ok(())
    }

    fn rotate_if_due(&mut self, more: u64) -> Result<(), LedgerError> {
        let today = utc_day(self.disk.now());
        if self.records == 0 {
            self.day = today;
            return Ok(());
        }
        let is_full = self.len + more > self.options.max_segment_bytes;
        let is_old = self.options.rotate_daily && self.day != today;
        if !is_full && !is_old {
            return Ok(());
        }
        let segment = files::segment_path(&self.dir, self.first, self.day);
        if let Err(error) = self.disk.rename(&self.path, &segment) {
            // Appending is what must go on; the next commit tries to rotate again.
            if !self.is_overdue {
                tracing::warn!(file = %self.path.display(), %error, "the ledger could not be rotated");
            }
            self.is_overdue = true;
            return Ok(());
        }
        self.is_overdue = false;
        self.file = None;
        self.first += self.records;
        self.records = 0;
        self.len = 0;
        self.tail.clear();
        self.day = today;
        self.disk
            .sync_directory(&self.dir)
            .map_err(|source| LedgerError::io("make durable", &self.dir, source))?;
        self.ready()
    }
}
