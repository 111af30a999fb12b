//! The audit log: what was decided for each message, on which words, and what became of it, as typed
//! events over a [`Ledger`]. Owns the record format and the joining of a decision with its outcome;
//! decides nothing itself.
//!
//! The format is a promise to whoever reads the files with other tools: the keys, their order and
//! their values stay as they are; new keys may be added. Therefore the events have types of their own
//! and do not change when a type elsewhere does.

mod event;
mod view;

use std::path::Path;

use serde::Serialize;

use crate::ledger::{Ledger, LedgerError, Options, Recovery};

pub use event::{
    Action, Decision, Event, EvidenceRecord, Mode, ModeChange, Outcome, OutcomeKind, Reason,
    RecipientDecision, Reference, Started, Stopped, VerdictRecord,
};
pub use view::{Entry, Fact, Line, Message, Pairing};

/// The open audit log of a relay. Clones share it.
#[derive(Clone, Debug)]
pub struct AuditLog {
    ledger: Ledger,
}

/// Why an event is not in the audit log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// The ledger below refused it.
    #[error("the audit log: {0}")]
    Ledger(#[from] LedgerError),
    /// The event has no JSON form.
    #[error("the audit log: an event cannot be written as JSON: {0}")]
    Format(String),
}

impl AuditLog {
    /// Opens the audit log in its directory for writing; one process at a time can.
    ///
    /// # Errors
    /// [`AuditError::Ledger`] when the directory is in use or the file system refuses.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovery), AuditError> {
        let (ledger, recovery) = Ledger::open(dir, options)?;
        Ok((Self { ledger }, recovery))
    }

    /// The audit log over a ledger that is already open.
    pub fn over(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Records what was decided for a message. Once this returns `Ok` the record is durable, and
    /// the message may go to the outbound server, or its refusal be spoken.
    ///
    /// # Errors
    /// [`AuditError`]: the decision is not recorded and must not be carried out.
    pub async fn decision(&self, decision: &Decision) -> Result<u64, AuditError> {
        self.append(&Written::Decision(decision)).await
    }

    /// Records what became of a message after its decision.
    ///
    /// # Errors
    /// [`AuditError`]: the outcome is not recorded; the decision stands without one.
    pub async fn outcome(&self, outcome: &Outcome) -> Result<u64, AuditError> {
        self.append(&Written::Outcome(outcome)).await
    }

    /// Records a turn of the mode, before it takes effect.
    ///
    /// # Errors
    /// [`AuditError`]: the change is not recorded and must not take effect.
    pub async fn mode_changed(&self, change: &ModeChange) -> Result<u64, AuditError> {
        self.append(&Written::ModeChange(change)).await
    }

    /// Records that a relay began to take messages.
    ///
    /// # Errors
    /// [`AuditError`]: the start is not recorded.
    pub async fn started(&self, started: &Started) -> Result<u64, AuditError> {
        self.append(&Written::Started(started)).await
    }

    /// Records that a relay ended in order.
    ///
    /// # Errors
    /// [`AuditError`]: the stop is not recorded.
    pub async fn stopped(&self, stopped: &Stopped) -> Result<u64, AuditError> {
        self.append(&Written::Stopped(stopped)).await
    }

    /// The ledger below.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    async fn append(&self, event: &Written<'_>) -> Result<u64, AuditError> {
        let line = serde_json::to_vec(event).map_err(|error| AuditError::Format(error.to_string()))?;
        Ok(self.ledger.append(line).await?)
    }
}

impl AuditError {
    /// True when the disk is full: the error goes away when space is made.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Ledger(error) if error.is_disk_full())
    }
}

/// [`Event`] by reference, with the same form.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Written<'a> {
    Started(&'a Started),
    Decision(&'a Decision),
    Outcome(&'a Outcome),
    ModeChange(&'a ModeChange),
    Stopped(&'a Stopped),
}
