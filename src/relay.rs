//! Builds the parts from the configuration, runs them, drains and stops them.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::audit::{AuditError, AuditLog, Started, Stopped};
use crate::config::Config;
use crate::consent::record::PurposeError;
use crate::consent::{ConsentError, ConsentStore, Purpose, StoreOptions};
use crate::control;
use crate::detect::{DetectError, Detector};
use crate::gate::{Gate, ModeError, ModeSwitch, Parts};
use crate::inbound::{BindError, Bound, Server};
use crate::ledger::{self, Recovery};
use crate::outbound::{Outbound, OutboundError};

/// The file in the state directory with the addresses of a running relay's listeners, one a line.
pub const LISTEN_FILE: &str = "listen";

/// The audit ledger's directory in the state directory.
pub const AUDIT_DIRECTORY: &str = "audit";

/// How often idle connections to the outbound server are looked at.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The configuration names no outbound server.
    #[error(
        "no outbound server is configured. Add to the configuration:\n\n    [[outbound]]\n    address = \"127.0.0.1:25\"\n    tls = \"none\"\n\nor try consentry out with `consentry run --sink DIR`, which delivers into a Maildir"
    )]
    NoOutbound,
    /// The state directory cannot be made or written.
    #[error("cannot use the state directory {}: {source}", path.display())]
    StateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A listener cannot serve.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The purpose in the configuration is none.
    #[error("policy.purpose: {0}")]
    Purpose(#[from] PurposeError),
    /// The rule table is broken.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The consent store cannot be opened.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The audit ledger cannot be opened or written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The mode cannot be read.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// The outbound server's settings cannot be used.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The control socket cannot be opened.
    #[error("cannot open the control socket {}: {source} (a Unix socket's path has at most 107 bytes)", path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A running relay.
pub struct Relay {
    addresses: Vec<SocketAddr>,
    state_dir: PathBuf,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
    outbound: Outbound,
    audit: AuditLog,
}

impl Relay {
    /// Opens everything that the configuration names and begins to serve.
    ///
    /// # Errors
    /// The first part that cannot be had; nothing runs then.
    pub async fn start(config: &Config) -> Result<Self, RelayError> {
        if config.outbound.is_empty() {
            return Err(RelayError::NoOutbound);
        }
        let purpose = Purpose::parse(&config.policy.purpose)?;
        let outbound = Outbound::new(&config.outbound, config.outbound_choice, &config.hostname)?;
        let detector = Detector::new()?;
        make_state_directory(&config.state_dir)?;
        let (audit, recovery) = open_audit(config)?;
        let consent = Arc::new(open_consent(config)?);
        let mode = Arc::new(ModeSwitch::open(&config.state_dir, &audit, Timestamp::now()).await?);
        let bound = config.listener.iter().map(Bound::bind).collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<SocketAddr> = bound.iter().map(Bound::address).collect();
        let control = control::Server::bind(&config.state_dir)
            .map_err(|source| RelayError::Control { path: config.state_dir.join(control::SOCKET), source })?;
        let now = Timestamp::now();
        let started = Started {
            time: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mode: mode.mode(now),
            torn_bytes: recovery.torn_bytes,
        };
        audit.started(&started).await?;

        let (stop, stopped) = watch::channel(false);
        let gate = Gate::new(Parts {
            outbound: outbound.clone(),
            detector,
            consent: Arc::clone(&consent),
            audit: audit.clone(),
            mode: Arc::clone(&mode),
            policy: config.policy.clone(),
            purpose,
            hostname: config.hostname.clone(),
            verdict_header: config.headers.verdict,
        });
        let inbound = Server::new(gate, config.hostname.clone(), config.limits, config.user.clone());
        let serving = tokio::spawn(async move { inbound.serve(bound, stopped).await });
        let background = vec![
            tokio::spawn(control.serve(Arc::clone(&mode), audit.clone(), consent)),
            tokio::spawn(keep_time(Arc::clone(&mode), audit.clone())),
            tokio::spawn(retire_idle(outbound.clone())),
        ];
        let relay = Self {
            addresses,
            state_dir: config.state_dir.clone(),
            stop,
            serving,
            background,
            outbound,
            audit,
        };
        relay.write_listen_file()?;
        info!(mode = %mode.mode(now), outbound = relay.outbound.addresses().join(" "), listening = ?relay.addresses, "ready");
        Ok(relay)
    }

    /// The addresses on which mailers are served, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no new session, lets running transactions end, and stops.
    ///
    /// # Errors
    /// The stop cannot be recorded.
    pub async fn drain(self) -> Result<(), RelayError> {
        info!("stopping: no new session, running transactions end");
        let _ = std::fs::remove_file(self.state_dir.join(LISTEN_FILE));
        self.stop.send_replace(true);
        if let Err(failure) = self.serving.await {
            warn!(%failure, "the listeners ended badly");
        }
        self.outbound.close().await;
        for task in self.background {
            task.abort();
            // Aborted on purpose: its end is awaited so that nothing holds the ledgers any more.
            let _ = task.await;
        }
        let _ = std::fs::remove_file(self.state_dir.join(control::SOCKET));
        let stopped =
            Stopped { time: Timestamp::now(), pid: std::process::id(), reason: "told to stop".to_owned() };
        self.audit.stopped(&stopped).await?;
        Ok(())
    }

    fn write_listen_file(&self) -> Result<(), RelayError> {
        let path = self.state_dir.join(LISTEN_FILE);
        let new = self.state_dir.join("listen.new");
        let lines: String = self.addresses.iter().map(|address| format!("{address}\n")).collect();
        std::fs::write(&new, lines)
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|source| RelayError::StateDirectory { path, source })
    }
}

/// Makes the state directory, for nobody else to read: it holds addresses.
///
/// # Errors
/// It cannot be made.
pub fn make_state_directory(path: &Path) -> Result<(), RelayError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| RelayError::StateDirectory { path: path.to_owned(), source })
}

/// Opens the audit ledger for writing; fails while a relay runs.
///
/// # Errors
/// See [`AuditError`].
pub fn open_audit(config: &Config) -> Result<(AuditLog, Recovery), AuditError> {
    let (audit, recovery) = AuditLog::open(&config.state_dir.join(AUDIT_DIRECTORY), ledger_options(config))?;
    if recovery.torn_bytes > 0 {
        warn!(
            bytes = recovery.torn_bytes,
            "the audit ledger's last line was torn by a crash; it was set aside"
        );
    }
    Ok((audit, recovery))
}

/// Opens the consent store for writing; fails while a relay runs.
///
/// # Errors
/// See [`ConsentError`].
pub fn open_consent(config: &Config) -> Result<ConsentStore, ConsentError> {
    ConsentStore::open(&config.state_dir, consent_options(config))
}

/// How the consent store is opened, by the relay and by the commands alike.
pub fn consent_options(config: &Config) -> StoreOptions {
    StoreOptions {
        fold_tags: config.consent.fold_tags,
        ledger: ledger_options(config),
        ..StoreOptions::default()
    }
}

fn ledger_options(config: &Config) -> ledger::Options {
    ledger::Options {
        max_segment_bytes: config.audit.segment_size.bytes() as u64,
        rotate_daily: config.audit.rotate_daily,
    }
}

async fn keep_time(mode: Arc<ModeSwitch>, audit: AuditLog) {
    mode.keep_time(&audit).await;
}

async fn retire_idle(outbound: Outbound) {
    loop {
        tokio::time::sleep(IDLE_CHECK).await;
        outbound.retire_idle().await;
    }
}
