//! Accepts connections, turns away whom it must, gives each session a task, and drains them at the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use super::budget::Full;
use super::replies;
use super::session::Session;
use super::shared::Shared;
use crate::config::{self, Limits};
use crate::gate::Gate;
use crate::smtp::Reply;

/// How long a client that is turned away may take to read why.
const TURN_AWAY_TIME: Duration = Duration::from_secs(2);

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Pause after the system had no descriptor for a new connection: accepting again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The mailer's side of the relay.
pub struct Server {
    shared: Arc<Shared>,
}

/// A listener whose socket is open.
pub struct Bound {
    socket: TcpListener,
    networks: Arc<[IpNet]>,
    address: SocketAddr,
}

impl Bound {
    /// Opens a listener's socket.
    ///
    /// # Errors
    /// What the system says of the address.
    pub fn bind(listener: &config::Listener) -> io::Result<Self> {
        let socket = if listener.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(listener.address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, networks: listener.networks.clone().into(), address })
    }

    /// The address that mailers connect to, with the port that the system chose if 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Server {
    /// A server that hands messages to `gate`.
    pub fn new(gate: Gate, hostname: String, limits: Limits) -> Self {
        Self { shared: Arc::new(Shared::new(gate, hostname, limits)) }
    }

    /// Serves until `stop` turns true, then lets running transactions end, at most for the drain time.
    pub async fn serve(&self, bound: Vec<Bound>, stop: watch::Receiver<bool>) {
        let mut listeners = JoinSet::new();
        for listener in bound {
            listeners.spawn(accept(Arc::clone(&self.shared), listener, stop.clone()));
        }
        while listeners.join_next().await.is_some() {}
    }
}

async fn accept(shared: Arc<Shared>, listener: Bound, mut stop: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    let told = stop.clone();
    while !*stop.borrow_and_update() {
        tokio::select! {
            // Whether it is told to stop or the sender is gone: the loop looks again.
            _ = stop.changed() => {}
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            accepted = listener.socket.accept() => match accepted {
                Ok((stream, client)) => {
                    sessions.spawn(admit(Arc::clone(&shared), Arc::clone(&listener.networks), stream, client, told.clone()));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all_ended = async { while sessions.join_next().await.is_some() {} };
    let limit = shared.limits.drain_time.duration();
    if timeout(limit, all_ended).await.is_err() {
        warn!(
            sessions = sessions.len(),
            "sessions were still running at the end of the drain time and are cut off"
        );
    }
}

async fn admit(
    shared: Arc<Shared>,
    networks: Arc<[IpNet]>,
    stream: TcpStream,
    client: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let ip = client.ip().to_canonical();
    if !networks.iter().any(|network| network.contains(&ip)) {
        warn!(%client, "refused: the client is in none of the listener's networks");
        return turn_away(stream, &replies::client_not_allowed()).await;
    }
    let place = match shared.sessions.enter(ip) {
        Ok(place) => place,
        Err(full) => {
            warn!(%client, ?full, "refused: too many sessions");
            let reply = match full {
                Full::All => replies::too_many_sessions(),
                Full::Client => replies::too_many_from_client(),
            };
            return turn_away(stream, &reply).await;
        }
    };
    if let Err(error) = stream.set_nodelay(true) {
        info!(%client, %error, "session could not begin");
        return;
    }
    let summary = Session::new(shared, stream, client, stop).run().await;
    info!(%client, helo = summary.helo, messages = summary.messages, commands = summary.commands, errors = summary.errors, end = summary.end, "session");
    drop(place);
}

async fn turn_away(mut stream: TcpStream, reply: &Reply) {
    // The client may not read it; that is its own affair.
    let _ = timeout(TURN_AWAY_TIME, async {
        stream.write_all(&reply.to_wire()).await?;
        stream.shutdown().await
    })
    .await;
}
