//! Consent: records of what people agreed to or refused, the ledger that keeps them, and the index
//! that answers look-ups.
//!
//! The truth is the append-only ledger; the index is derived from it. What a record means together
//! with the others about the same address stands in [`standing`], what it holds in [`record`], how
//! lists are read and written in [`table`]. What follows from consent for a message is the gate's.

pub mod index;
pub mod moment;
pub mod record;
pub mod standing;
pub mod table;

mod error;
mod rebuild;
mod shared;
mod store;
mod writer;

pub use error::ConsentError;
pub use rebuild::OpenIndex;
pub use record::{InvalidRecord, NewRecord, Purpose, Record, Status};
pub use standing::Standing;
pub use store::{ConsentStore, Numbered, Page, StoreOptions};
