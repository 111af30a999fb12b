//! Why the consent store cannot do what was asked.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::IndexError;
use super::record::InvalidRecord;
use crate::ledger::LedgerError;

/// Why the consent store cannot do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConsentError {
    /// The ledger cannot be opened, written or read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A fact cannot be recorded as it is.
    #[error("{0}")]
    Invalid(#[from] InvalidRecord),
    /// One fact of several cannot be recorded as it is; none of them was.
    #[error("record {} of the batch: {reason}", place + 1)]
    InvalidInBatch {
        /// Its place in the batch, counted from 0.
        place: usize,
        /// What is wrong with it.
        reason: InvalidRecord,
    },
    /// A line of the ledger is no consent record.
    #[error(
        "record {record} of the consent ledger is not a consent record ({reason}): restore that line from a backup, what it said may be a refusal"
    )]
    BadRecord {
        /// The record's number.
        record: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The index cannot be opened or made.
    #[error("{0}; look at the disk and at the permissions of the state directory")]
    Index(IndexError),
    /// The index has failed while in use. It is being brought back from the ledger.
    #[error(
        "consent cannot be looked up at the moment ({0}); the index is being brought back from the ledger"
    )]
    Unavailable(String),
    /// A file or directory of the store cannot be handled.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The store is closing.
    #[error("the consent store has been closed")]
    Closed,
}

impl ConsentError {
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source: Arc::new(source) }
    }

    /// True when another process has the store open.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Ledger(LedgerError::Locked { .. }))
    }
}
