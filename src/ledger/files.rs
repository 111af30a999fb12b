//! The files of a ledger's directory: their names, their order, the lock.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::LedgerError;

/// How much is read at a time when a file is scanned.
pub(super) const CHUNK: usize = 256 * 1024;

/// A rotated segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    /// The number of its first record.
    pub first: u64,
    pub path: PathBuf,
}

pub(super) fn live_path(dir: &Path) -> PathBuf {
    dir.join("current.jsonl")
}

/// Twenty digits hold every `u64`, so that names sort as numbers do.
pub(super) fn segment_path(dir: &Path, first: u64, day: Date) -> PathBuf {
    dir.join(format!("{first:020}-{:04}{:02}{:02}.jsonl", day.year(), day.month(), day.day()))
}

/// The rotated segments in the order of their records; a missing directory is an error.
pub(super) fn segments(dir: &Path) -> Result<Vec<Segment>, LedgerError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => LedgerError::Absent { dir: dir.to_owned() },
        _ => LedgerError::io("list", dir, source),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        if let Some(first) = first_record(&path) {
            found.push(Segment { first, path });
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn create_directory(dir: &Path) -> Result<(), LedgerError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| LedgerError::io("create", dir, source))
}

/// Takes the right to write the ledger; it lasts as long as the file is open. The process number in
/// the file only serves the message that a second process gets.
pub(super) fn lock(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join("lock");
    let refused = |source| LedgerError::io("lock", &path, source);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(refused)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let pid = file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
            return Err(LedgerError::Locked { dir: dir.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(refused(source)),
    }
    // On a full disk the number is missing from a message; that is no reason not to open.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Complete lines in the first `len` bytes, and where the last of them ends.
pub(super) fn count_lines(file: &File, len: u64) -> io::Result<(u64, u64)> {
    let (mut lines, mut end, mut offset) = (0, 0, 0);
    let mut chunk = vec![0; CHUNK];
    while offset < len {
        let want = CHUNK.min(usize::try_from(len - offset).unwrap_or(CHUNK));
        let read = read_full_at(file, &mut chunk[..want], offset)?;
        if read == 0 {
            break;
        }
        let part = &chunk[..read];
        lines += memchr::memchr_iter(b'\n', part).count() as u64;
        if let Some(last) = memchr::memrchr(b'\n', part) {
            end = offset + last as u64 + 1;
        }
        offset += read as u64;
    }
    Ok((lines, end))
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_full_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn first_record(path: &Path) -> Option<u64> {
    let (first, day) = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.split_once('-')?;
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    (digits(first, 20) && digits(day, 8)).then(|| first.parse().ok()).flatten()
}
