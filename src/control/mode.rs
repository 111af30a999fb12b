//! `/v1/mode`: shows and turns the mode.

use std::sync::Arc;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::audit::{AuditLog, Mode};
use crate::config::Span;
use crate::gate::{ModeError, ModeState, ModeSwitch};

/// The largest request, in bytes.
const MAX_REQUEST: usize = 16 * 1024;

/// What is asked of POST `/v1/mode`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    /// The mode to turn to.
    pub to: Mode,
    /// Why.
    pub reason: String,
    /// The name of who asks; the relay adds the user id that the system vouches for.
    pub by: String,
    /// For how long, like `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Span>,
}

/// What `/v1/mode` answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ModeAnswer {
    /// The mode in force now.
    pub mode: Mode,
    /// How it came about.
    pub state: ModeState,
}

/// Who is at the other end of the socket.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|credentials| credentials.uid()) }
    }
}

#[derive(Clone)]
struct Parts {
    mode: Arc<ModeSwitch>,
    audit: AuditLog,
}

pub(super) fn routes(mode: Arc<ModeSwitch>, audit: AuditLog) -> Router {
    Router::new()
        .route("/v1/mode", get(show).post(turn))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(Parts { mode, audit })
}

async fn show(State(parts): State<Parts>) -> Json<ModeAnswer> {
    Json(answer(&parts))
}

async fn turn(
    State(parts): State<Parts>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<ModeRequest>,
) -> Response {
    let by = match peer.uid {
        Some(uid) => format!("{} (uid {uid})", request.by),
        None => request.by,
    };
    let hold = request.hold.map(Span::duration);
    let turned =
        parts.mode.turn(&parts.audit, request.to, &request.reason, &by, hold, Timestamp::now()).await;
    match turned {
        Ok(state) => {
            tracing::info!(mode = %state.mode, %by, reason = %request.reason, "mode changed");
            Json(answer(&parts)).into_response()
        }
        Err(error) => {
            let status = match error {
                ModeError::NoReason | ModeError::TooLong => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, Json(serde_json::json!({ "error": error.to_string() }))).into_response()
        }
    }
}

fn answer(parts: &Parts) -> ModeAnswer {
    ModeAnswer { mode: parts.mode.mode(Timestamp::now()), state: parts.mode.state() }
}
