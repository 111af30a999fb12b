//! Where the consent commands go: to the running relay, or to the store itself when none runs.

use std::path::Path;

use jiff::Timestamp;

use crate::consent::{ConsentError, ConsentStore, NewRecord, Numbered, Page, Purpose, StoreOptions};
use crate::control::consent::{Answer, MAX_PAGE, Recorded, answer};
use crate::control::{Client, ControlError};
use crate::ledger::LedgerError;
use crate::smtp::Address;

use super::Failure;
use crate::cli::exit;

/// One way to the consent records for all commands.
pub enum Backend {
    /// No relay runs: the store is ours while the command lasts.
    Store(Box<ConsentStore>),
    /// The relay has the store open and answers for it.
    Relay(Client),
    /// Nothing was ever recorded, and a command that only reads does not begin a ledger.
    Empty,
}

impl Backend {
    /// Finds the relay on `state_dir`, or opens the store there.
    pub async fn open(state_dir: &Path, options: StoreOptions, writes: bool) -> Result<Self, Failure> {
        if let Some(client) = Client::connect(state_dir).await? {
            return Ok(Self::Relay(client));
        }
        if !writes && !state_dir.join("consent").exists() {
            eprintln!("consentry: no consent has been recorded yet in {}", state_dir.display());
            return Ok(Self::Empty);
        }
        match ConsentStore::open(state_dir, options) {
            Ok(store) => Ok(Self::Store(Box::new(store))),
            Err(ConsentError::Ledger(LedgerError::Locked { pid, .. })) => {
                let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                Err(Failure::new(
                    exit::TEMPORARY,
                    format!(
                        "{holder} has the consent records in {} open, but no relay answers there on its control \
                         socket: if it is just starting or stopping, or is another consent command, try again",
                        state_dir.display()
                    ),
                ))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What holds.
    pub async fn answer(&self, address: &Address, purpose: &Purpose) -> Result<Answer, Failure> {
        let (address, purpose) = (address.clone(), purpose.clone());
        match self {
            Self::Store(store) => Ok(answer(store, address, purpose, Timestamp::now())?),
            Self::Relay(relay) => {
                let query = about(&address, Some(&purpose));
                Ok(relay.get(&format!("/v1/consent/standing?{query}")).await?)
            }
            Self::Empty => {
                Ok(Answer { address, purpose, standing: crate::consent::Standing::NONE, deciding: None })
            }
        }
    }

    /// All records about an address.
    pub async fn history(
        &self,
        address: &Address,
        purpose: Option<&Purpose>,
    ) -> Result<Vec<Numbered>, Failure> {
        match self {
            Self::Store(store) => Ok(store.history(address, purpose)?),
            Self::Relay(relay) => {
                Ok(relay.get(&format!("/v1/consent/history?{}", about(address, purpose))).await?)
            }
            Self::Empty => Ok(Vec::new()),
        }
    }

    /// Records facts, all or none.
    pub async fn record(&self, facts: Vec<NewRecord>) -> Result<Recorded, Failure> {
        match self {
            Self::Store(store) => {
                let numbers = store.record_all(facts).await?;
                Ok(Recorded { first: numbers.start, count: numbers.end - numbers.start })
            }
            Self::Relay(relay) => Ok(relay.post("/v1/consent/records", &facts).await?),
            Self::Empty => Err(ConsentError::Closed.into()),
        }
    }

    /// A part of the ledger.
    pub async fn page(&self, from: u64, current: bool) -> Result<Page, Failure> {
        match self {
            Self::Store(store) => Ok(store.page(from, MAX_PAGE, current)?),
            Self::Relay(relay) => Ok(relay
                .get(&format!("/v1/consent/export?from={from}&limit={MAX_PAGE}&current={current}"))
                .await?),
            Self::Empty => Ok(Page { records: Vec::new(), next: None }),
        }
    }
}

impl From<ConsentError> for Failure {
    fn from(error: ConsentError) -> Self {
        let code = match &error {
            ConsentError::Invalid(_)
            | ConsentError::InvalidInBatch { .. }
            | ConsentError::BadRecord { .. } => exit::DATA,
            ConsentError::Unavailable(_) | ConsentError::Closed => exit::TEMPORARY,
            ConsentError::Ledger(_) | ConsentError::Index(_) | ConsentError::File { .. } => exit::IO,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let code = match &error {
            ControlError::Refused(_) => exit::DATA,
            ControlError::Connect { .. } | ControlError::Transport(_) | ControlError::Timeout => {
                exit::UNAVAILABLE
            }
        };
        Self::new(code, error.to_string())
    }
}

fn about(address: &Address, purpose: Option<&Purpose>) -> String {
    let mut query = format!("address={}", escaped(address.as_str()));
    if let Some(purpose) = purpose {
        query.push_str(&format!("&purpose={}", escaped(purpose.as_str())));
    }
    query
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
