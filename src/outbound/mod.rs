//! The outbound server's side: connections to the next hop, kept for the next message, and one mail
//! transaction over one of them with the server's own answer to every step.
//!
//! Knows no verdicts and writes no records. A step that the server refuses is an answer ([`Reply`](crate::smtp::Reply)); a
//! step that did not come about (closed, silent, garbled) is an [`OutboundError`] that names the step.

mod connection;
mod error;
mod server;
mod stream;
mod tls;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use error::{Cause, Failure, OutboundError, Step};
pub use transaction::{Begun, MailParameters, Transaction};

use crate::config::{self, OutboundChoice};
use server::Server;

/// The outbound servers: chooses one for each transaction. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
}

struct Shared {
    servers: Vec<Arc<Server>>,
    choice: OutboundChoice,
    /// How many transactions have begun: where a balanced choice starts.
    begun: AtomicUsize,
}

impl Outbound {
    /// Prepares for the configured servers; connects to none. `hostname` is the name given in EHLO.
    ///
    /// # Errors
    /// A certificate authority or password that cannot be read.
    pub fn new(
        servers: &[config::Outbound],
        choice: OutboundChoice,
        hostname: &str,
    ) -> Result<Self, OutboundError> {
        let servers = servers.iter().map(|server| Server::new(server, hostname).map(Arc::new));
        let servers = servers.collect::<Result<_, _>>()?;
        Ok(Self { shared: Arc::new(Shared { servers, choice, begun: AtomicUsize::new(0) }) })
    }

    /// The servers' addresses as configured, in their order.
    pub fn addresses(&self) -> Vec<&str> {
        self.shared.servers.iter().map(|server| server.address()).collect()
    }

    /// Begins a mail transaction: connects or takes an idle connection, and sends MAIL. Nothing has been said
    /// about recipients or message by then, so a server that cannot be reached, or that says 4xx, or that
    /// lacks an extension which this message needs, is passed over for the next one.
    ///
    /// # Errors
    /// What the last server that was tried did not do.
    pub async fn begin(&self, mail: &MailParameters<'_>) -> Result<Begun, Failure> {
        let mut refused = None;
        let mut failure = None;
        for server in self.candidates() {
            match Server::begin(&server, mail).await {
                Ok(Begun::Refused(reply)) if reply.is_transient() => refused = Some(reply),
                Ok(begun) => return Ok(begun),
                Err(error) => failure = Some(Failure { server: server.address().to_owned(), error }),
            }
        }
        match (refused, failure) {
            (Some(reply), _) => Ok(Begun::Refused(reply)),
            (None, Some(failure)) => Err(failure),
            (None, None) => {
                let error = OutboundError::Step { step: Step::Connect, cause: Cause::NoServer };
                Err(Failure { server: String::new(), error })
            }
        }
    }

    /// Closes connections that have been idle for too long.
    pub async fn retire_idle(&self) {
        for server in &self.shared.servers {
            server.retire_idle().await;
        }
    }

    /// Closes all idle connections, politely.
    pub async fn close(&self) {
        for server in &self.shared.servers {
            server.close().await;
        }
    }

    /// All servers in the order in which they are tried: those that are down come last, so that they are
    /// tried only when no other one takes the message.
    fn candidates(&self) -> Vec<Arc<Server>> {
        let mut servers = self.shared.servers.clone();
        if self.shared.choice == OutboundChoice::Balanced && !servers.is_empty() {
            let start = self.shared.begun.fetch_add(1, Ordering::Relaxed) % servers.len();
            servers.rotate_left(start);
        }
        servers.sort_by_key(|server| server.is_down());
        servers
    }
}
