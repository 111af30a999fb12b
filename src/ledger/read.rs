//! Reading a ledger in order, over all segments and the live file, without the writer's lock and
//! also while it writes and rotates.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::files::{self, CHUNK};
use super::{LedgerError, MAX_LINE};

/// Lines of the live file that a reader remembers, in case the writer takes them back; more than one
/// commit of many callers holds.
const REMEMBERED: usize = 1024;

/// One line of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, counted from 0 over all segments.
    pub number: u64,
    /// The line without its newline.
    pub line: Vec<u8>,
}

/// The records that stood in the ledger when it came to its end; see [`read`].
#[derive(Debug)]
pub struct Reader {
    cursor: Cursor,
    done: bool,
}

/// The records as they are appended, over rotations; see [`follow`].
#[derive(Debug)]
pub struct Follower {
    cursor: Cursor,
}

/// All records, from the oldest that is kept.
///
/// # Errors
/// [`LedgerError::Absent`] when there is no such directory, otherwise what the file system refuses.
pub fn read(dir: &Path) -> Result<Reader, LedgerError> {
    read_from(dir, 0)
}

/// The records from number `first` on; segments that end before it are not opened. If that record was
/// deleted with its segment, reading begins with the oldest one that is kept.
///
/// # Errors
/// As [`read`].
pub fn read_from(dir: &Path, first: u64) -> Result<Reader, LedgerError> {
    Ok(Reader { cursor: Cursor::new(dir, first)?, done: false })
}

/// The records from number `first` on, and then each new one.
///
/// # Errors
/// As [`read`].
pub fn follow(dir: &Path, first: u64) -> Result<Follower, LedgerError> {
    Ok(Follower { cursor: Cursor::new(dir, first)? })
}

/// The number that the next record will get.
///
/// # Errors
/// As [`read`].
pub fn end(dir: &Path) -> Result<u64, LedgerError> {
    let mut cursor = Cursor::new(dir, u64::MAX)?;
    while cursor.next()?.is_some() {}
    Ok(cursor.number)
}

impl Iterator for Reader {
    type Item = Result<Record, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let record = self.cursor.next().transpose();
        self.done = !matches!(record, Some(Ok(_)));
        record
    }
}

impl Follower {
    /// The next record, or `None` when there is none yet: ask again later.
    ///
    /// # Errors
    /// [`LedgerError`] for what cannot be read.
    pub fn poll(&mut self) -> Result<Option<Record>, LedgerError> {
        self.cursor.next()
    }

    /// The number of the record that comes next.
    pub fn number(&self) -> u64 {
        self.cursor.number.max(self.cursor.wanted)
    }
}

/// A place in a ledger.
#[derive(Debug)]
struct Cursor {
    dir: PathBuf,
    /// The number of the line at the place.
    number: u64,
    /// Lines before this one are passed over.
    wanted: u64,
    source: Option<Source>,
}

/// The file that the place is in.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    file: File,
    is_live: bool,
    /// The offset of the line at the place.
    offset: u64,
    /// Bytes of the file; those from `at` on stand at `offset`.
    buffer: Vec<u8>,
    at: usize,
    /// The last lines read from the live file, oldest first.
    seen: VecDeque<Seen>,
}

/// What a look for the next line finds.
enum Step {
    Line(Vec<u8>),
    End,
    /// So many lines that were read have gone; the place is before them now.
    TakenBack(u64),
}

/// A line that was read, to find out later whether it still stands.
#[derive(Debug)]
struct Seen {
    offset: u64,
    len: usize,
    hash: u64,
}

impl Cursor {
    fn new(dir: &Path, wanted: u64) -> Result<Self, LedgerError> {
        let segments = files::segments(dir)?;
        let before = segments.partition_point(|segment| segment.first <= wanted);
        let start = segments.get(before.saturating_sub(1)).map_or(0, |segment| segment.first);
        if segments.is_empty() && !files::live_path(dir).exists() {
            return Err(LedgerError::Absent { dir: dir.to_owned() });
        }
        Ok(Self { dir: dir.to_owned(), number: start, wanted, source: None })
    }

    /// The next record, or `None` at the end of what is written.
    fn next(&mut self) -> Result<Option<Record>, LedgerError> {
        loop {
            let mut source = match self.source.take() {
                Some(source) => source,
                None => match self.open_next()? {
                    Some(source) => source,
                    None => return Ok(None),
                },
            };
            let line = self.next_line(&mut source)?;
            match line {
                Some(line) => {
                    self.source = Some(source);
                    let number = self.number;
                    self.number += 1;
                    if number >= self.wanted {
                        return Ok(Some(Record { number, line }));
                    }
                }
                None if source.is_live => {
                    self.source = Some(source);
                    return Ok(None);
                }
                None => {}
            }
        }
    }

    fn next_line(&mut self, source: &mut Source) -> Result<Option<Vec<u8>>, LedgerError> {
        loop {
            match source.step(self.number)? {
                Step::Line(line) => return Ok(Some(line)),
                Step::TakenBack(lines) => self.number -= lines,
                Step::End if !source.is_live => return source.check_end(self.number).map(|()| None),
                Step::End if source.is_rotated()? => {
                    // Lines may have come between the look for a line and the look at the name; after
                    // the rename none can.
                    source.is_live = false;
                }
                Step::End => return Ok(None),
            }
        }
    }

    /// The file that begins with the record at the place. The live file is opened before the
    /// directory is listed: if no segment of that number is listed, the live file had not been
    /// rotated by then, so what was opened is the file that begins here.
    fn open_next(&self) -> Result<Option<Source>, LedgerError> {
        let path = files::live_path(&self.dir);
        let live = match File::open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(LedgerError::io("open", &path, error)),
        };
        let segments = files::segments(&self.dir)?;
        let after = segments.partition_point(|segment| segment.first < self.number);
        match segments.get(after) {
            Some(segment) if segment.first == self.number => {
                let file = File::open(&segment.path)
                    .map_err(|source| LedgerError::io("open", &segment.path, source))?;
                Ok(Some(Source::new(segment.path.clone(), file, false)))
            }
            Some(segment) => Err(LedgerError::Missing {
                dir: self.dir.clone(),
                first: self.number,
                last: segment.first - 1,
            }),
            None => Ok(live.map(|file| Source::new(path, file, true))),
        }
    }
}

impl Source {
    fn new(path: PathBuf, file: File, is_live: bool) -> Self {
        Self { path, file, is_live, offset: 0, buffer: Vec::new(), at: 0, seen: VecDeque::new() }
    }

    /// The next finished line.
    fn step(&mut self, number: u64) -> Result<Step, LedgerError> {
        let mut want = CHUNK;
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(end) = memchr::memchr(b'\n', rest) {
                let line = rest[..end].to_vec();
                if self.is_live {
                    if self.seen.len() == REMEMBERED {
                        self.seen.pop_front();
                    }
                    self.seen.push_back(Seen::new(self.offset, &line));
                }
                self.at += end + 1;
                self.offset += end as u64 + 1;
                return Ok(Step::Line(line));
            }
            if rest.len() > MAX_LINE {
                return Err(self.damaged(number, "holds a line of more than 1 MiB"));
            }
            if rest.len() >= want {
                want *= 2;
            }
            // Always from the line's beginning: an unfinished line seen before may have been taken
            // back and replaced by another.
            self.at = 0;
            self.buffer.resize(want, 0);
            let read = files::read_full_at(&self.file, &mut self.buffer, self.offset);
            self.buffer.truncate(read.map_err(|source| self.unread(source))?);
            // Looked at after reading: what stands now stood then.
            let taken_back = self.taken_back().map_err(|source| self.unread(source))?;
            if taken_back > 0 {
                self.buffer.clear();
                return Ok(Step::TakenBack(taken_back));
            }
            if self.buffer.len() < want && memchr::memchr(b'\n', &self.buffer).is_none() {
                self.buffer.clear();
                return Ok(Step::End);
            }
        }
    }

    /// How many of the lines that were read do not stand any more, because the writer took a failed
    /// commit back; goes back to before them.
    fn taken_back(&mut self) -> io::Result<u64> {
        let mut lines = 0;
        while let Some(last) = self.seen.back() {
            if last.stands(&self.file)? {
                break;
            }
            self.offset = last.offset;
            self.seen.pop_back();
            lines += 1;
        }
        Ok(lines)
    }

    /// A rotated file ends with a finished line.
    fn check_end(&self, number: u64) -> Result<(), LedgerError> {
        if self.len()? == self.offset { Ok(()) } else { Err(self.damaged(number, "ends within a line")) }
    }

    fn is_rotated(&self) -> Result<bool, LedgerError> {
        let refused = |source| LedgerError::io("look at", &self.path, source);
        let own = self.file.metadata().map_err(refused)?;
        match fs::metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) != (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(refused(error)),
        }
    }

    fn len(&self) -> Result<u64, LedgerError> {
        self.file
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(|source| LedgerError::io("look at", &self.path, source))
    }

    fn unread(&self, source: io::Error) -> LedgerError {
        LedgerError::io("read", &self.path, source)
    }

    fn damaged(&self, record: u64, what: &'static str) -> LedgerError {
        LedgerError::Damaged { path: self.path.clone(), record, what }
    }
}

impl Seen {
    fn new(offset: u64, line: &[u8]) -> Self {
        Self { offset, len: line.len(), hash: hash(line) }
    }

    fn stands(&self, file: &File) -> io::Result<bool> {
        let mut now = vec![0; self.len + 1];
        let read = files::read_full_at(file, &mut now, self.offset)?;
        let line = now.strip_suffix(b"\n").filter(|_| read == self.len + 1);
        Ok(line.is_some_and(|line| hash(line) == self.hash))
    }
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(line);
    hasher.finish()
}
