//! What can go wrong with a ledger.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a ledger could not be opened, written or read. Cheap to clone, since one failed commit is
/// told to every caller that waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process writes this ledger.
    #[error("the ledger in {} is already open{}: stop that process, or choose another state directory", .dir.display(), holder(.pid))]
    Locked {
        /// The ledger's directory.
        dir: PathBuf,
        /// The process that holds it, when it left its number.
        pid: Option<u32>,
    },
    /// There is no ledger to read.
    #[error("there is no ledger in {}: has the relay run with this state directory?", .dir.display())]
    Absent {
        /// The directory that was looked at.
        dir: PathBuf,
    },
    /// The file system refused an operation.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// A line that was offered cannot be a ledger line.
    #[error("the line {why}; a ledger line is one JSON object of at most 1 MiB")]
    BadLine {
        /// What is wrong with it.
        why: &'static str,
    },
    /// More lines at once than one commit holds.
    #[error("{bytes} bytes are too much for one commit to the ledger: append at most 4 MiB at once")]
    TooMuch {
        /// The lines' length together.
        bytes: usize,
    },
    /// A file of the ledger does not hold what its writer wrote.
    #[error("record {record} of the ledger is damaged: {} {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of the first record that cannot be read.
        record: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Segments are missing between two others.
    #[error("records {first} to {last} of the ledger in {} are missing: restore their segments", .dir.display())]
    Missing {
        /// The ledger's directory.
        dir: PathBuf,
        /// First missing record.
        first: u64,
        /// Last missing record.
        last: u64,
    },
    /// The writer is gone.
    #[error("the ledger in {} is closed", .dir.display())]
    Stopped {
        /// The ledger's directory.
        dir: PathBuf,
    },
}

impl LedgerError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }

    /// True when the disk (or a quota on it) is full: the error goes away when space is made.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(|| " in another process".to_owned(), |pid| format!(" in process {pid}"))
}
