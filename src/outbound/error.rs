//! What can go wrong on the way to the outbound server, with the step at which it did.

use std::fmt;
use std::path::PathBuf;

use crate::smtp::Reply;

/// A step of a mail transaction with the outbound server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// TCP connection.
    Connect,
    /// The server's greeting.
    Greeting,
    /// EHLO.
    Ehlo,
    /// STARTTLS or the TLS handshake.
    Tls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// Sending the message.
    Message,
    /// The reply after the final dot. Whether the server has the message is not known.
    FinalDot,
}

impl Step {
    /// The step in the words of a reply or record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::Tls => "TLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Message => "message transfer",
            Self::FinalDot => "final dot",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a step did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The server answered no.
    #[error("the server answered \"{}\"", .0.to_line())]
    Refused(Reply),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server said nothing for too long.
    #[error("no answer in time")]
    Silent,
    /// The server said something that is no SMTP reply, or not one to this step.
    #[error("the answer is no valid SMTP reply")]
    Garbled,
    /// The answer is longer than a reply may be (RFC 5321, section 4.5.3.1.5).
    #[error("the answer is too long")]
    TooLong,
    /// The server sent something that nothing had asked for: whose answer it is cannot be known, and behind
    /// STARTTLS it would be plaintext that passes for encrypted (RFC 3207, section 6).
    #[error("the server sent a reply that nothing had asked for")]
    Unasked,
    /// The network failed.
    #[error("{0}")]
    Network(String),
    /// There is no server at all.
    #[error("no outbound server is configured")]
    NoServer,
    /// The server lacks an extension that this message needs.
    #[error("the server does not offer {0}")]
    Unsupported(&'static str),
}

/// A failure on the way to the outbound server.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// A step did not come about.
    #[error("outbound server failed at {step}: {cause}")]
    Step {
        /// Where.
        step: Step,
        /// Why.
        cause: Cause,
    },
    /// The configuration names a file that cannot be used.
    #[error("outbound server: cannot use {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The configuration names an environment variable that is not set.
    #[error("outbound server: the environment variable {0} with its password is not set")]
    Environment(String),
}

impl OutboundError {
    /// The step that failed; none for a configuration error.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Step { step, .. } => Some(*step),
            Self::File { .. } | Self::Environment(_) => None,
        }
    }

    /// The extension that the server lacks, when that is the reason.
    pub fn unsupported(&self) -> Option<&'static str> {
        match self {
            Self::Step { cause: Cause::Unsupported(extension), .. } => Some(extension),
            _ => None,
        }
    }
}

/// A failure and whose it is.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// The server's address as configured.
    pub server: String,
    /// What failed.
    pub error: OutboundError,
}
