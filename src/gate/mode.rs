//! The one switch between monitor and enforce: in force at once, kept over a restart, returning by
//! itself where asked to, and recorded at every turn.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify};

use crate::audit::{AuditError, AuditLog, Mode, ModeChange};

/// The file in the state directory that keeps the mode.
const FILE: &str = "mode.json";

/// Who is named in the ledger when a mode returns by itself.
const TIMER: &str = "consentry (end of --for)";

/// The mode in force and how it came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeState {
    /// The mode in force until `until`.
    pub mode: Mode,
    /// The mode that lasts: what `mode` returns to.
    pub lasting: Mode,
    /// When the mode returns by itself.
    pub until: Option<Timestamp>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Who turned it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Why the mode cannot be read or turned.
#[derive(Debug, thiserror::Error)]
pub enum ModeError {
    /// The file cannot be read or written.
    #[error("cannot use the mode file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "the mode file {} is damaged ({reason}); look into the audit ledger for the last mode change, then delete the file and set that mode again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The turn could not be recorded, so it did not happen.
    #[error("the mode was not changed, because the change could not be recorded: {0}")]
    Audit(#[from] AuditError),
    /// No reason was given.
    #[error("a mode change needs a reason")]
    NoReason,
    /// The time is too long to compute with.
    #[error("the time for which the mode should hold is too long")]
    TooLong,
}

/// The switch of a running relay.
pub struct ModeSwitch {
    path: PathBuf,
    state: RwLock<ModeState>,
    turning: Mutex<()>,
    turned: Notify,
}

impl Default for ModeState {
    fn default() -> Self {
        Self { mode: Mode::Monitor, lasting: Mode::Monitor, until: None, since: None, by: None, reason: None }
    }
}

impl ModeState {
    /// Reads the state that a relay on `state_dir` has or would start with; monitor when there is none.
    ///
    /// # Errors
    /// An unreadable or damaged file.
    pub fn load(state_dir: &Path) -> Result<Self, ModeError> {
        let path = state_dir.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| ModeError::Damaged { path, reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ModeError::File { path, source }),
        }
    }

    /// The mode at `now`: the time limit counts even when nobody has acted on it yet.
    pub fn at(&self, now: Timestamp) -> Mode {
        match self.until {
            Some(until) if now >= until => self.lasting,
            _ => self.mode,
        }
    }

    fn store(&self, path: &Path) -> Result<(), ModeError> {
        let failed = |source| ModeError::File { path: path.to_owned(), source };
        let json = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let new = path.with_extension("json.new");
        let mut file = std::fs::File::create(&new).map_err(failed)?;
        file.write_all(&json).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&new, path).map_err(failed)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
    }
}

impl ModeSwitch {
    /// Reads the mode. A time limit that ran out while no relay ran is recorded now.
    ///
    /// # Errors
    /// An unreadable or damaged file, or a return that cannot be recorded.
    pub async fn open(state_dir: &Path, audit: &AuditLog, now: Timestamp) -> Result<Self, ModeError> {
        let switch = Self {
            path: state_dir.join(FILE),
            state: RwLock::new(ModeState::load(state_dir)?),
            turning: Mutex::new(()),
            turned: Notify::new(),
        };
        {
            let _one_at_a_time = switch.turning.lock().await;
            switch.return_if_due(audit, now).await?;
        }
        Ok(switch)
    }

    /// The mode in force.
    pub fn mode(&self, now: Timestamp) -> Mode {
        self.state.read().unwrap_or_else(PoisonError::into_inner).at(now)
    }

    /// The mode in force and how it came about.
    pub fn state(&self) -> ModeState {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns the switch: recorded first, then in force for the next decision. With `hold` the mode
    /// returns to the lasting one after that time.
    ///
    /// # Errors
    /// When the turn cannot be recorded or kept; then nothing has changed.
    pub async fn turn(
        &self,
        audit: &AuditLog,
        to: Mode,
        reason: &str,
        by: &str,
        hold: Option<Duration>,
        now: Timestamp,
    ) -> Result<ModeState, ModeError> {
        if reason.trim().is_empty() {
            return Err(ModeError::NoReason);
        }
        let _one_at_a_time = self.turning.lock().await;
        self.return_if_due(audit, now).await?;
        let old = self.state();
        let until = hold.map(|hold| now.checked_add(hold).map_err(|_| ModeError::TooLong)).transpose()?;
        let lasting = if until.is_some() { old.lasting } else { to };
        let new = ModeState {
            mode: to,
            lasting,
            until,
            since: Some(now),
            by: Some(by.to_owned()),
            reason: Some(reason.to_owned()),
        };
        self.put(audit, old.mode, new, now).await
    }

    /// Returns to the lasting mode each time that a time limit ends; never comes to an end itself.
    pub async fn keep_time(&self, audit: &AuditLog) {
        loop {
            let turned = self.turned.notified();
            let wait = self.state().until.map(|until| {
                let left = until.duration_since(Timestamp::now());
                Duration::try_from(left).unwrap_or(Duration::ZERO)
            });
            match wait {
                None => turned.await,
                Some(wait) => tokio::select! {
                    () = turned => {}
                    () = tokio::time::sleep(wait) => {
                        let _one_at_a_time = self.turning.lock().await;
                        if let Err(error) = self.return_if_due(audit, Timestamp::now()).await {
                            // The lasting mode is in force all the same; the record is tried again.
                            tracing::error!(%error, "the return to the lasting mode could not be recorded yet");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                },
            }
        }
    }

    /// Records a return that is due. Whoever calls holds the lock.
    async fn return_if_due(&self, audit: &AuditLog, now: Timestamp) -> Result<(), ModeError> {
        let old = self.state();
        let Some(until) = old.until.filter(|until| now >= *until) else { return Ok(()) };
        let new = ModeState {
            mode: old.lasting,
            lasting: old.lasting,
            until: None,
            since: Some(until),
            by: Some(TIMER.to_owned()),
            reason: old.reason.clone(),
        };
        self.put(audit, old.mode, new, now).await.map(|_| ())
    }

    async fn put(
        &self,
        audit: &AuditLog,
        from: Mode,
        new: ModeState,
        now: Timestamp,
    ) -> Result<ModeState, ModeError> {
        let change = ModeChange {
            time: now,
            from,
            to: new.mode,
            reason: new.reason.clone().unwrap_or_default(),
            by: new.by.clone().unwrap_or_default(),
            until: new.until,
        };
        audit.mode_changed(&change).await?;
        if let Err(error) = new.store(&self.path) {
            let back = ModeChange {
                from: change.to,
                to: change.from,
                reason: format!("taken back: {error}"),
                by: "consentry".to_owned(),
                until: None,
                ..change
            };
            audit.mode_changed(&back).await?;
            return Err(error);
        }
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = new.clone();
        self.turned.notify_one();
        Ok(new)
    }
}

/// Pause before a return that could not be recorded is tried again.
const RETRY: Duration = Duration::from_secs(5);
