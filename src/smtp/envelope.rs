//! The envelope (RFC 5321, section 2.3.1): what travels beside the message.

use std::fmt;

use super::{Address, MailDsn, RecipientDsn};

/// The reverse-path of MAIL: a mailbox, or null for notifications (RFC 5321, section 4.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReversePath {
    /// `MAIL FROM:<>`.
    Null,
    /// `MAIL FROM:<mailbox>`.
    Mailbox(Address),
}

impl ReversePath {
    /// The mailbox without angle brackets; empty for the null path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Mailbox(address) => address.as_str(),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

/// The BODY parameter of MAIL (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Not given, or `7BIT`.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// A recipient as the mailer gave it in RCPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Who gets the message.
    pub address: Address,
    /// Which notifications the mailer wants for this recipient (RFC 3461, sections 4.1 and 4.2).
    pub dsn: RecipientDsn,
}

impl From<Address> for Recipient {
    /// A recipient without wishes for notifications.
    fn from(address: Address) -> Self {
        Self { address, dsn: RecipientDsn::default() }
    }
}

/// The sender and the recipients that the outbound server has accepted, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who gets notifications of failure.
    pub reverse_path: ReversePath,
    /// The accepted recipients; a recipient refused at RCPT is not here.
    pub recipients: Vec<Recipient>,
    /// The declared encoding of the body.
    pub body: Body,
    /// Whether the mailer asked for SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// What notifications shall carry (RFC 3461, sections 4.3 and 4.4).
    pub dsn: MailDsn,
}
