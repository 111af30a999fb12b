//! The control API: HTTP over a Unix socket in the state directory, for the commands that talk to a
//! running relay. Owns the socket and its routes; what a route does is the business of the part
//! that it asks (the gate's mode, the consent store).
//!
//! Whoever may open the socket may do everything: it is created with mode 0600, so only the user
//! that runs the relay, and root, can.

mod client;
pub mod consent;
mod mode;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use tokio::net::UnixListener;
use tracing::error;

pub use client::{Client, ControlError, SOCKET};
pub use mode::{ModeAnswer, ModeRequest};

use crate::audit::AuditLog;
use crate::consent::ConsentStore;
use crate::gate::ModeSwitch;

/// The control socket of a relay that is about to run.
pub struct Server {
    socket: UnixListener,
}

impl Server {
    /// Opens the socket. One left behind by a killed relay is replaced: the caller holds the ledgers'
    /// locks, so no other relay runs on this state directory.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn bind(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(SOCKET);
        Ok(Self { socket: bind_private(&path)? })
    }

    /// Serves until it is aborted.
    pub async fn serve(self, mode: Arc<ModeSwitch>, audit: AuditLog, consent: Arc<ConsentStore>) {
        let routes = Router::new().merge(mode::routes(mode, audit)).merge(consent::routes(consent));
        let service = routes.into_make_service_with_connect_info::<mode::Peer>();
        if let Err(failure) = axum::serve(self.socket, service).await {
            error!(%failure, "the control socket failed");
        }
    }
}

/// Binds under another name first, so that the socket never has a wider mode under its own.
fn bind_private(path: &PathBuf) -> io::Result<UnixListener> {
    let new = path.with_extension("sock.new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    Ok(socket)
}
