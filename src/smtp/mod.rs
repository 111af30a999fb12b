//! The vocabulary that the mailer's side and the outbound server's side share: addresses, the
//! envelope with its DSN parameters, and replies. Owns no sockets and no protocol state.

mod address;
mod dsn;
mod envelope;
mod message;
mod reply;

pub use address::{Address, AddressError, AddressKey};
pub use dsn::{DsnError, EnvelopeId, MailDsn, Notify, OriginalRecipient, RecipientDsn, Ret};
pub use envelope::{Body, Envelope, Recipient, ReversePath};
pub use message::{BareLineEnding, Message};
pub use reply::{EnhancedCode, Reply};
