//! What the writer asks of the file system and the clock, as a trait, so that a test can refuse a
//! write or an fsync, or let midnight pass.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use jiff::Timestamp;

/// The file system below a ledger's writer.
pub trait Disk: Send {
    /// Opens the live file for writing, creating it (mode 0600) when there is none.
    ///
    /// # Errors
    /// What the file system answers.
    fn open_live(&self, path: &Path) -> io::Result<Box<dyn LiveFile>>;

    /// Renames within the directory.
    ///
    /// # Errors
    /// What the file system answers.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes creations and renames in the directory durable.
    ///
    /// # Errors
    /// What the file system answers.
    fn sync_directory(&self, dir: &Path) -> io::Result<()>;

    /// The time by which files rotate and are named.
    fn now(&self) -> Timestamp;
}

/// The live file, as its writer uses it.
pub trait LiveFile: Send {
    /// Writes all bytes at the offset. After an error any part of them may stand there.
    ///
    /// # Errors
    /// What the file system answers.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the contents durable (fdatasync).
    ///
    /// # Errors
    /// What the file system answers.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to a length.
    ///
    /// # Errors
    /// What the file system answers.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

/// The machine's own file system and clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Disk for Local {
    fn open_live(&self, path: &Path) -> io::Result<Box<dyn LiveFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl LiveFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}
