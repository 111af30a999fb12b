//! The vocabulary that the mailer's side and the outbound server's side share: addresses, the
//! envelope and replies. Owns no sockets and no protocol state.

mod address;
mod envelope;
mod message;
mod reply;

pub use address::{Address, AddressError, AddressKey};
pub use envelope::{Body, Envelope, ReversePath};
pub use message::{BareLineEnding, Message};
pub use reply::{EnhancedCode, Reply};
