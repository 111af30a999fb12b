//! The control API's routes to the consent store, under `/v1/consent`.
//!
//! | request | answer |
//! |---|---|
//! | `GET standing?address=A[&purpose=P]` | [`Answer`] |
//! | `GET history?address=A[&purpose=P]` | the records, oldest first |
//! | `GET export?from=N[&limit=L][&current=true]` | a [`Page`] |
//! | `POST record` with a [`NewRecord`] | [`Recorded`] |
//! | `POST records` with up to [`MAX_BATCH`] in a list | [`Recorded`] |
//!
//! A refusal has the body `{"error": "a sentence"}`.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::consent::{ConsentError, ConsentStore, NewRecord, Numbered, Page, Purpose, Standing};
use crate::smtp::Address;

/// The most facts that one request may bring.
pub const MAX_BATCH: usize = 1_000;
/// The most records on a page of an export.
pub const MAX_PAGE: usize = 1_000;

/// The largest request, in bytes: a full batch whose every text has its longest form.
const MAX_BODY: usize = 32 * 1024 * 1024;
const MAX_RECORD_BODY: usize = 128 * 1024;

/// What holds for an address and purpose, and the record that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The address as it was asked for.
    pub address: Address,
    /// The purpose.
    pub purpose: Purpose,
    /// What holds.
    #[serde(flatten)]
    pub standing: Standing,
    /// The deciding record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deciding: Option<Numbered>,
}

/// Which records the facts have become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The number of the first one.
    pub first: u64,
    /// How many there are.
    pub count: u64,
}

/// The routes.
pub fn routes(store: Arc<ConsentStore>) -> Router {
    Router::new()
        .route("/v1/consent/standing", get(standing))
        .route("/v1/consent/history", get(history))
        .route("/v1/consent/export", get(export))
        .route("/v1/consent/record", post(record).layer(DefaultBodyLimit::max(MAX_RECORD_BODY)))
        .route("/v1/consent/records", post(records).layer(DefaultBodyLimit::max(MAX_BODY)))
        .with_state(store)
}

/// What holds, with the deciding record; reads the ledger.
///
/// # Errors
/// [`ConsentError`] when index or ledger cannot be read.
pub fn answer(
    store: &ConsentStore,
    address: Address,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Answer, ConsentError> {
    let standing = store.standing(&address, &purpose, now)?;
    let deciding = standing.record.map(|number| store.numbered(number)).transpose()?.flatten();
    Ok(Answer { address, purpose, standing, deciding })
}

struct Refusal {
    status: StatusCode,
    error: String,
}

#[derive(Deserialize)]
struct About {
    address: String,
    purpose: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    from: u64,
    limit: Option<usize>,
    #[serde(default)]
    current: bool,
}

type Store = State<Arc<ConsentStore>>;

async fn standing(
    State(store): Store,
    about: Result<Query<About>, QueryRejection>,
) -> Result<Json<Answer>, Refusal> {
    let (address, purpose) = about?.0.parse()?;
    let purpose = purpose.unwrap_or_default();
    blocking(move || answer(&store, address, purpose, Timestamp::now())).await.map(Json)
}

async fn history(
    State(store): Store,
    about: Result<Query<About>, QueryRejection>,
) -> Result<Json<Vec<Numbered>>, Refusal> {
    let (address, purpose) = about?.0.parse()?;
    blocking(move || store.history(&address, purpose.as_ref())).await.map(Json)
}

async fn export(
    State(store): Store,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<Page>, Refusal> {
    let Query(part) = part?;
    let limit = part.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    blocking(move || store.page(part.from, limit, part.current)).await.map(Json)
}

async fn record(
    State(store): Store,
    fact: Result<Json<NewRecord>, JsonRejection>,
) -> Result<Json<Recorded>, Refusal> {
    let first = store.record(fact?.0).await?;
    Ok(Json(Recorded { first, count: 1 }))
}

async fn records(
    State(store): Store,
    facts: Result<Json<Vec<NewRecord>>, JsonRejection>,
) -> Result<Json<Recorded>, Refusal> {
    let Json(facts) = facts?;
    if facts.len() > MAX_BATCH {
        let error = format!("{} records are too many for one request: send at most {MAX_BATCH}", facts.len());
        return Err(Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, error });
    }
    let numbers = store.record_all(facts).await?;
    Ok(Json(Recorded { first: numbers.start, count: numbers.end - numbers.start }))
}

/// Reading the ledger is for a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConsentError> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(Refusal::from),
        Err(_) => Err(ConsentError::Closed.into()),
    }
}

impl About {
    fn parse(self) -> Result<(Address, Option<Purpose>), Refusal> {
        let bad = |error: String| Refusal { status: StatusCode::BAD_REQUEST, error };
        let address = Address::parse(&self.address).map_err(|error| bad(error.to_string()))?;
        let purpose = self.purpose.as_deref().map(Purpose::parse).transpose();
        Ok((address, purpose.map_err(|error| bad(error.to_string()))?))
    }
}

impl From<ConsentError> for Refusal {
    fn from(error: ConsentError) -> Self {
        let status = match &error {
            ConsentError::Invalid(_) | ConsentError::InvalidInBatch { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            ConsentError::Unavailable(_) | ConsentError::Closed => StatusCode::SERVICE_UNAVAILABLE,
            ConsentError::Ledger(error) if error.is_disk_full() => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, error: error.to_string() }
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status(), error: rejection.body_text() }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self { status: rejection.status(), error: rejection.body_text() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.error }))).into_response()
    }
}
