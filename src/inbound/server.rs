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
use super::tls::{Certificate, CertificateError};
use crate::config::{self, Limits, Tls, User};
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
    door: Arc<Door>,
    address: SocketAddr,
}

/// What a listener asks of its clients.
pub(super) struct Door {
    pub(super) networks: Vec<IpNet>,
    pub(super) tls: Tls,
    /// There is one unless `tls` is none.
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) require_auth: bool,
}

/// Why a listener cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Its certificate cannot be used.
    #[error("cannot serve TLS on {address}: {source}")]
    Certificate {
        /// The address.
        address: SocketAddr,
        /// What is wrong with the files.
        source: Box<CertificateError>,
    },
}

impl Bound {
    /// Reads a listener's certificate, if it has one, and opens its socket.
    ///
    /// # Errors
    /// What is wrong with the certificate, or what the system says of the address.
    pub fn bind(listener: &config::Listener) -> Result<Self, BindError> {
        let address = listener.address;
        let certificate = match (&listener.tls_certificate, &listener.tls_key) {
            (Some(certificate), Some(key)) => Some(
                Certificate::load(certificate, key)
                    .map_err(|source| BindError::Certificate { address, source: Box::new(source) })?,
            ),
            _ => None,
        };
        let (socket, address) = open(address).map_err(|source| BindError::Address { address, source })?;
        let door = Door {
            networks: listener.networks.clone(),
            tls: listener.tls,
            certificate: certificate.map(Arc::new),
            require_auth: listener.require_auth,
        };
        Ok(Self { socket, door: Arc::new(door), address })
    }

    /// The address that mailers connect to, with the port that the system chose if 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Server {
    /// A server that hands messages to `gate`; `users` may log in.
    pub fn new(gate: Gate, hostname: String, limits: Limits, users: Vec<User>) -> Self {
        Self { shared: Arc::new(Shared::new(gate, hostname, limits, users)) }
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

fn open(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let socket = socket.listen(BACKLOG)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
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
                    sessions.spawn(admit(Arc::clone(&shared), Arc::clone(&listener.door), stream, client, told.clone()));
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
    door: Arc<Door>,
    stream: TcpStream,
    client: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let ip = client.ip().to_canonical();
    if !door.networks.iter().any(|network| network.contains(&ip)) {
        warn!(%client, "refused: the client is in none of the listener's networks");
        return turn_away(stream, &door, &replies::client_not_allowed()).await;
    }
    let place = match shared.sessions.enter(ip) {
        Ok(place) => place,
        Err(full) => {
            warn!(%client, ?full, "refused: too many sessions");
            let reply = match full {
                Full::All => replies::too_many_sessions(),
                Full::Client => replies::too_many_from_client(),
            };
            return turn_away(stream, &door, &reply).await;
        }
    };
    if let Err(error) = stream.set_nodelay(true) {
        info!(%client, %error, "session could not begin");
        return;
    }
    let summary = Session::new(shared, door, stream, client, stop).run().await;
    info!(%client, helo = summary.helo, tls = summary.tls, user = summary.user, messages = summary.messages, commands = summary.commands, errors = summary.errors, end = summary.end, "session");
    drop(place);
}

async fn turn_away(mut stream: TcpStream, door: &Door, reply: &Reply) {
    if door.tls == Tls::Implicit {
        // It waits for a handshake, which it is not worth; a plain reply would be noise to it.
        return;
    }
    // The client may not read it; that is its own affair.
    let _ = timeout(TURN_AWAY_TIME, async {
        stream.write_all(&reply.to_wire()).await?;
        stream.shutdown().await
    })
    .await;
}
