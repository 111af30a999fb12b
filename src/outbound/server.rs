//! One outbound server: its idle connections, and whether it is down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::connection::{Connection, Target};
use super::error::OutboundError;
use super::transaction::{self, Begun, MailParameters};
use crate::config;

/// A server and what is known of it.
pub(super) struct Server {
    target: Target,
    idle: Mutex<Vec<Connection>>,
    idle_connections: usize,
    idle_time: Duration,
    down_time: Duration,
    /// When it may be preferred again; none while it is up.
    down_until: Mutex<Option<Instant>>,
}

impl Server {
    pub(super) fn new(config: &config::Outbound, hostname: &str) -> Result<Self, OutboundError> {
        Ok(Self {
            target: Target::new(config, hostname)?,
            idle: Mutex::new(Vec::new()),
            idle_connections: config.idle_connections,
            idle_time: config.idle_time.duration(),
            down_time: config.down_time.duration(),
            down_until: Mutex::new(None),
        })
    }

    /// The address as configured, for records and replies.
    pub(super) fn address(&self) -> &str {
        self.target.address()
    }

    /// Whether it failed a short time ago. After that it is tried again in its turn.
    pub(super) fn is_down(&self) -> bool {
        locked(&self.down_until).is_some_and(|until| Instant::now() < until)
    }

    /// Begins a mail transaction.
    ///
    /// An idle connection may have been closed by the server meanwhile; nothing is lost by then, so the
    /// command is sent once more over a new one.
    pub(super) async fn begin(server: &Arc<Self>, mail: &MailParameters<'_>) -> Result<Begun, OutboundError> {
        while let Some(connection) = server.take_idle() {
            match transaction::begin(server, connection, mail).await {
                Ok(Begun::Refused(reply)) if reply.code() == 421 => {}
                Ok(begun) => return Ok(begun),
                Err(error) if error.unsupported().is_some() => return Err(error),
                Err(_) => {}
            }
        }
        let begun = match server.target.connect().await {
            Ok(connection) => transaction::begin(server, connection, mail).await,
            Err(error) => Err(error),
        };
        match &begun {
            Ok(Begun::Refused(reply)) if reply.code() == 421 => server.failed(&reply.to_line()),
            Ok(_) => server.works(),
            Err(error) => server.failed_with(error),
        }
        begun
    }

    /// Marks it down unless the failure is the message's own.
    pub(super) fn failed_with(&self, error: &OutboundError) {
        if error.unsupported().is_none() {
            self.failed(&error.to_string());
        }
    }

    fn failed(&self, why: &str) {
        let was_up = locked(&self.down_until).replace(Instant::now() + self.down_time).is_none();
        if was_up {
            warn!(server = self.address(), why, again_after = ?self.down_time, "outbound server is down");
        }
    }

    fn works(&self) {
        if locked(&self.down_until).take().is_some() {
            info!(server = self.address(), "outbound server is up again");
        }
    }

    /// Closes connections that have been idle for too long.
    pub(super) async fn retire_idle(&self) {
        let idle_time = self.idle_time;
        let retired = {
            let mut idle = locked(&self.idle);
            let (keep, retired) =
                std::mem::take(&mut *idle).into_iter().partition(|c: &Connection| c.idle_for() < idle_time);
            *idle = keep;
            retired
        };
        close_all(retired).await;
    }

    /// Closes all idle connections, politely.
    pub(super) async fn close(&self) {
        let all = std::mem::take(&mut *locked(&self.idle));
        close_all(all).await;
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = locked(&self.idle);
        while let Some(connection) = idle.pop() {
            if connection.idle_for() < self.idle_time {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection on which no transaction is open.
    pub(super) fn keep(&self, mut connection: Connection) {
        if connection.is_worn_out() {
            tokio::spawn(connection.quit());
            return;
        }
        connection.idle_since = Instant::now();
        let surplus = {
            let mut idle = locked(&self.idle);
            if idle.len() < self.idle_connections {
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
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn close_all(connections: Vec<Connection>) {
    for connection in connections {
        connection.quit().await;
    }
}
