//! The outbound server's side: connections to the next hop, kept for the next message, and one mail
//! transaction over one of them with the server's own answer to every step.
//!
//! Knows no verdicts and writes no records. A step that the server refuses is an answer ([`Reply`](crate::smtp::Reply)); a
//! step that did not come about (closed, silent, garbled) is an [`OutboundError`] that names the step.

mod connection;
mod error;
mod stream;
mod tls;
mod transaction;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use error::{Cause, OutboundError, Step};
pub use transaction::{Begun, MailParameters, Transaction};

use crate::config;
use connection::{Connection, Target};

/// The outbound server: hands out connections, keeps idle ones.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    idle: Mutex<Vec<Connection>>,
    idle_connections: usize,
    idle_time: Duration,
}

impl Outbound {
    /// Prepares for the configured server; connects to nothing. `hostname` is the name given in EHLO.
    ///
    /// # Errors
    /// A certificate authority or password that cannot be read.
    pub fn new(config: &config::Outbound, hostname: &str) -> Result<Self, OutboundError> {
        Ok(Self {
            shared: Arc::new(Shared {
                target: Target::new(config, hostname)?,
                idle: Mutex::new(Vec::new()),
                idle_connections: config.idle_connections,
                idle_time: config.idle_time.duration(),
            }),
        })
    }

    /// The server's address as configured, for records and replies.
    pub fn address(&self) -> &str {
        self.shared.target.address()
    }

    /// Begins a mail transaction: connects or takes an idle connection, and sends MAIL.
    ///
    /// An idle connection may have been closed by the server meanwhile; nothing is lost by then, so the
    /// command is sent once more over a new one.
    ///
    /// # Errors
    /// The step that did not come about.
    pub async fn begin(&self, mail: &MailParameters<'_>) -> Result<Begun, OutboundError> {
        while let Some(connection) = self.take_idle() {
            match transaction::begin(self, connection, mail).await {
                Ok(Begun::Refused(reply)) if reply.code() == 421 => {}
                Ok(begun) => return Ok(begun),
                Err(error) if error.is_unsupported() => return Err(error),
                Err(_) => {}
            }
        }
        let connection = self.shared.target.connect().await?;
        transaction::begin(self, connection, mail).await
    }

    /// Closes connections that have been idle for too long.
    pub async fn retire_idle(&self) {
        let idle_time = self.shared.idle_time;
        let retired = {
            let mut idle = self.idle();
            let (keep, retired) =
                std::mem::take(&mut *idle).into_iter().partition(|c: &Connection| c.idle_for() < idle_time);
            *idle = keep;
            retired
        };
        close_all(retired).await;
    }

    /// Closes all idle connections, politely.
    pub async fn close(&self) {
        let all = std::mem::take(&mut *self.idle());
        close_all(all).await;
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(connection) = idle.pop() {
            if connection.idle_for() < self.shared.idle_time {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection on which no transaction is open.
    fn keep(&self, mut connection: Connection) {
        if connection.is_worn_out() {
            tokio::spawn(connection.quit());
            return;
        }
        connection.idle_since = Instant::now();
        let surplus = {
            let mut idle = self.idle();
            if idle.len() < self.shared.idle_connections {
                idle.push(connection);
                None
            } else {
                Some(connection)
            }
        };
        if let Some(connection) = surplus {
            tokio::spawn(connection.quit());
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close_all(connections: Vec<Connection>) {
    for connection in connections {
        connection.quit().await;
    }
}
