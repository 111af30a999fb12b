//! What the look-ups and the writer thread share: the ledger, and the place where the index is or is not.

use std::sync::RwLock;
use std::sync::atomic::AtomicBool;

use super::index::ConsentIndex;
use super::rebuild::Place;
use crate::ledger::Ledger;

/// What the look-ups and the writer thread share.
pub(super) struct Shared {
    pub place: Place,
    pub ledger: Ledger,
    pub slot: RwLock<Slot>,
    /// Set when a look-up has asked the writer to bring the index back.
    pub repair_asked: AtomicBool,
}

/// The index, or why there is none.
pub(super) enum Slot {
    Ready(Box<dyn ConsentIndex>),
    Out(String),
}
