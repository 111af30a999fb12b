//! One mail transaction over one connection (RFC 5321, section 3.3): MAIL has been accepted, recipients
//! follow one by one, then the message or nothing.

use std::fmt;
use std::sync::Arc;

use super::connection::{Connection, failed};
use super::error::{Cause, OutboundError, Step};
use super::server::Server;
use crate::smtp::{Address, Body, Reply, ReversePath};

/// Room for what consentry adds on top of a message, when its size is announced to the server.
const ADDED_SIZE: usize = 1024;

/// MAIL with its parameters, as the mailer gave them.
#[derive(Clone, Copy, Debug)]
pub struct MailParameters<'a> {
    /// Who gets notifications of failure.
    pub reverse_path: &'a ReversePath,
    /// The declared size in bytes, 0 when none was (RFC 1870).
    pub size: usize,
    /// The declared encoding of the body (RFC 6152).
    pub body: Body,
    /// Whether addresses and headers may be UTF-8 (RFC 6531).
    pub smtputf8: bool,
}

/// What came of MAIL.
pub enum Begun {
    /// The server said 250: recipients may follow.
    Accepted(Transaction, Reply),
    /// The server's refusal.
    Refused(Reply),
}

/// An open mail transaction. Dropped without [`Transaction::send`] or [`Transaction::abort`], its
/// connection is closed, and the server forgets it.
pub struct Transaction {
    server: Arc<Server>,
    connection: Connection,
}

pub(super) async fn begin(
    server: &Arc<Server>,
    mut connection: Connection,
    mail: &MailParameters<'_>,
) -> Result<Begun, OutboundError> {
    if mail.smtputf8 && !connection.extensions.smtputf8 {
        server.keep(connection);
        return Err(failed(Step::Mail, Cause::Unsupported("SMTPUTF8")));
    }
    let command = MailCommand { mail, connection: &connection }.to_string();
    let limit = connection.timeouts.mail.duration();
    let reply = connection.ask(Step::Mail, limit, command).await?;
    match reply.code() {
        200..=299 => Ok(Begun::Accepted(Transaction { server: Arc::clone(server), connection }, reply)),
        421 => Ok(Begun::Refused(reply)),
        400.. => {
            server.keep(connection);
            Ok(Begun::Refused(reply))
        }
        _ => Err(failed(Step::Mail, Cause::Garbled)),
    }
}

impl Transaction {
    /// The address of the server that it is with, as configured.
    pub fn server(&self) -> &str {
        self.server.address()
    }

    /// Sends RCPT; the server's answer is the result.
    ///
    /// # Errors
    /// No proper answer came. The transaction is of no use any more.
    pub async fn rcpt(&mut self, recipient: &Address) -> Result<Reply, OutboundError> {
        let limit = self.connection.timeouts.rcpt.duration();
        let asked = self.connection.ask(Step::Rcpt, limit, format!("RCPT TO:<{recipient}>\r\n")).await;
        let reply = asked.inspect_err(|error| self.server.failed_with(error))?;
        if (300..400).contains(&reply.code()) {
            return Err(failed(Step::Rcpt, Cause::Garbled));
        }
        Ok(reply)
    }

    /// True when the server takes 8-bit messages (RFC 6152).
    pub fn takes_eight_bit(&self) -> bool {
        self.connection.extensions.eight_bit_mime
    }

    /// The largest message that the server takes, if it says so (RFC 1870).
    pub fn size_limit(&self) -> Option<usize> {
        self.connection.extensions.size_limit
    }

    /// Sends DATA and the message, which is the parts one after the other and ends in CRLF. The server's
    /// answer to the final dot (or to DATA, when it refuses that) is the result.
    ///
    /// # Errors
    /// No proper answer came. At [`Step::FinalDot`] the server may have the message all the same.
    pub async fn send(mut self, parts: &[&[u8]]) -> Result<Reply, OutboundError> {
        let limit = self.connection.timeouts.data.duration();
        let asked = self.connection.ask(Step::Data, limit, "DATA\r\n").await;
        let reply = asked.inspect_err(|error| self.server.failed_with(error))?;
        match reply.code() {
            354 => {}
            400.. => {
                self.abort();
                return Ok(reply);
            }
            _ => return Err(failed(Step::Data, Cause::Garbled)),
        }
        let sent = self.connection.send(parts).await;
        let reply = sent.inspect_err(|error| self.server.failed_with(error))?;
        match reply.code() {
            300..=399 => return Err(failed(Step::FinalDot, Cause::Garbled)),
            421 => {}
            _ => self.server.keep(self.connection),
        }
        Ok(reply)
    }

    /// Gives the transaction up. RSET is sent in the background: nobody needs to wait for its answer.
    pub fn abort(mut self) {
        tokio::spawn(async move {
            let limit = self.connection.timeouts.mail.duration();
            if let Ok(reply) = self.connection.ask(Step::Mail, limit, "RSET\r\n").await
                && reply.code() == 250
            {
                self.server.keep(self.connection);
            }
        });
    }
}

struct MailCommand<'a> {
    mail: &'a MailParameters<'a>,
    connection: &'a Connection,
}

impl fmt::Display for MailCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mail, extensions) = (self.mail, self.connection.extensions);
        write!(f, "MAIL FROM:{}", mail.reverse_path)?;
        if extensions.size && mail.size > 0 {
            write!(f, " SIZE={}", mail.size.saturating_add(ADDED_SIZE))?;
        }
        if extensions.eight_bit_mime && mail.body == Body::EightBitMime {
            f.write_str(" BODY=8BITMIME")?;
        }
        if mail.smtputf8 {
            f.write_str(" SMTPUTF8")?;
        }
        f.write_str("\r\n")
    }
}
