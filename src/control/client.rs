//! The commands' side of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// The socket's name in the state directory.
pub const SOCKET: &str = "control.sock";

/// How long a command waits for the relay: long enough for a full import batch on a slow disk.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The largest answer that a command reads.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Why a command could not talk to the relay.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket is there but cannot be used.
    #[error("cannot talk to the relay over {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke in mid-request, or the answer was no HTTP.
    #[error("the relay did not answer properly: {0}")]
    Transport(String),
    /// The relay did not answer in time.
    #[error("the relay did not answer within {} seconds", TIMEOUT.as_secs())]
    Timeout,
    /// The relay refused the request; the text is its reason.
    #[error("{0}")]
    Refused(String),
}

/// A connection to a running relay's control socket.
pub struct Client {
    path: PathBuf,
}

/// The body of every refusal.
#[derive(serde::Deserialize)]
struct Refusal {
    error: String,
}

impl Client {
    /// Finds the relay that runs on `state_dir`; `None` when none does (no socket, or a socket that
    /// nobody serves any more).
    ///
    /// # Errors
    /// [`ControlError::Connect`] when the socket is there but may not be opened.
    pub async fn connect(state_dir: &Path) -> Result<Option<Self>, ControlError> {
        let path = state_dir.join(SOCKET);
        match UnixStream::connect(&path).await {
            Ok(_) => Ok(Some(Self { path })),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                Ok(None)
            }
            Err(source) => Err(ControlError::Connect { path, source }),
        }
    }

    /// GET of a path with its query.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn get<T: DeserializeOwned>(&self, path_and_query: &str) -> Result<T, ControlError> {
        self.request(Method::GET, path_and_query, Body::empty()).await
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ControlError> {
        let body = serde_json::to_vec(body).map_err(|error| ControlError::Transport(error.to_string()))?;
        self.request(Method::POST, path, Body::from(body)).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, ControlError> {
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange(method, path, body));
        let (status, answer) = exchange.await.map_err(|_| ControlError::Timeout)??;
        if status.is_success() {
            return serde_json::from_slice(&answer)
                .map_err(|error| ControlError::Transport(error.to_string()));
        }
        Err(match serde_json::from_slice::<Refusal>(&answer) {
            Ok(refusal) => ControlError::Refused(refusal.error),
            Err(_) => ControlError::Transport(format!("HTTP status {status}")),
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<(StatusCode, Bytes), ControlError> {
        let broken = |error: hyper::Error| ControlError::Transport(error.to_string());
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|source| ControlError::Connect { path: self.path.clone(), source })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "consentry")
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| ControlError::Transport(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| ControlError::Transport(error.to_string()))?
            .to_bytes();
        driver.abort();
        Ok((status, answer))
    }
}
