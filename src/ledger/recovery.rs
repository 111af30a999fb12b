//! What a ledger's directory holds when it is opened, and the repair of what a crash left behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::disk::Disk;
use super::files::{self, Segment};
use super::{LedgerError, MAX_COMMIT, Recovery};

/// A crash can spoil no more than the one commit that was under way, so what lies further back was
/// durable and is never touched.
const LAST_COMMIT: u64 = 2 * MAX_COMMIT as u64;

/// The state of the live file after the repair.
#[derive(Debug)]
pub(super) struct Found {
    /// The number of the live file's first record.
    pub first: u64,
    /// Its records.
    pub records: u64,
    /// Its length in bytes, the end of its last line.
    pub len: u64,
    /// The UTC day of its last change.
    pub day: Date,
}

/// Finds out the record numbers and moves unfinished lines at the end of the live file aside.
pub(super) fn recover(dir: &Path, disk: &dyn Disk) -> Result<(Found, Recovery), LedgerError> {
    let segments = files::segments(dir)?;
    let first = end_of_segments(&segments)?;
    let path = files::live_path(dir);
    let refused = |source| LedgerError::io("open", &path, source);
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let found = Found { first, records: 0, len: 0, day: utc_day(disk.now()) };
            let recovery = Recovery { records: first, segments: segments.len(), ..Recovery::default() };
            return Ok((found, recovery));
        }
        Err(error) => return Err(refused(error)),
    };
    let metadata = file.metadata().map_err(refused)?;
    let changed = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let sound = sound_length(&file, metadata.len()).map_err(refused)?;
    let torn_bytes = metadata.len() - sound;
    let torn_file =
        if torn_bytes > 0 { Some(move_aside(dir, disk, &file, sound..metadata.len())?) } else { None };
    // A killed process may have left lines in the page cache only; what is built on them from now on
    // must not outlive them.
    file.sync_data().map_err(refused)?;
    let (records, len) = files::count_lines(&file, sound).map_err(refused)?;
    let found = Found { first, records, len, day: utc_day(changed.unwrap_or_else(|| disk.now())) };
    let recovery = Recovery { records: first + records, segments: segments.len(), torn_bytes, torn_file };
    Ok((found, recovery))
}

pub(super) fn utc_day(time: Timestamp) -> Date {
    Offset::UTC.to_datetime(time).date()
}

fn end_of_segments(segments: &[Segment]) -> Result<u64, LedgerError> {
    let Some(newest) = segments.last() else { return Ok(0) };
    let refused = |source| LedgerError::io("read", &newest.path, source);
    let file = File::open(&newest.path).map_err(refused)?;
    let len = file.metadata().map_err(refused)?.len();
    let (lines, end) = files::count_lines(&file, len).map_err(refused)?;
    if end != len {
        return Err(LedgerError::Damaged {
            path: newest.path.clone(),
            record: newest.first + lines,
            what: "ends within a line",
        });
    }
    Ok(newest.first + lines)
}

/// The length up to which the file holds finished lines. Behind it may stand a line without its
/// newline, lines that are no JSON, or, after a power cut, blocks that were never written: these read
/// as NULs, which no JSON text holds, and may come before lines that did reach the disk.
fn sound_length(file: &File, len: u64) -> io::Result<u64> {
    let start = len.saturating_sub(LAST_COMMIT);
    let mut window = vec![0; usize::try_from(len - start).unwrap_or(0)];
    let read = files::read_full_at(file, &mut window, start)?;
    window.truncate(read);
    if let Some(hole) = memchr::memchr(0, &window) {
        window.truncate(hole);
    }
    window.truncate(memchr::memrchr(b'\n', &window).map_or(0, |last| last + 1));
    while let Some((_newline, lines)) = window.split_last() {
        let line = memchr::memrchr(b'\n', lines).map_or(0, |before| before + 1);
        if serde_json::from_slice::<serde::de::IgnoredAny>(&lines[line..]).is_ok() {
            break;
        }
        window.truncate(line);
    }
    Ok(start + window.len() as u64)
}

/// Copies the range into a side file, durably, and only then cuts it off.
fn move_aside(
    dir: &Path,
    disk: &dyn Disk,
    file: &File,
    range: std::ops::Range<u64>,
) -> Result<PathBuf, LedgerError> {
    let time = disk.now().strftime("%Y%m%dT%H%M%S.%6fZ");
    let path = dir.join(format!("torn-{time}.part"));
    let refused = |source| LedgerError::io("move an unfinished line to", &path, source);
    let mut torn = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    files::read_full_at(file, &mut torn, range.start).map_err(refused)?;
    let mut side =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(refused)?;
    side.write_all(&torn).and_then(|()| side.sync_all()).map_err(refused)?;
    disk.sync_directory(dir).map_err(refused)?;
    file.set_len(range.start).map_err(refused)?;
    Ok(path)
}
