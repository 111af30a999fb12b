//! The real binary, run under a configuration of its own in a directory of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{audit, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_consentry");

/// What a relay is started with.
pub struct Setup {
    outbound: String,
    config: String,
    outbound_config: String,
    outbound_tls: String,
    listener_config: String,
    consents: String,
    enforce: bool,
    state_dir: Option<PathBuf>,
}

/// A running relay; killed, and its directory removed, when dropped.
pub struct Relay {
    dir: TempDir,
    setup: Setup,
    child: Running,
    address: SocketAddr,
}

/// The process, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Setup {
    /// A relay in front of the outbound server at that address, in monitor mode.
    pub fn before(outbound: impl ToString) -> Self {
        Self {
            outbound: outbound.to_string(),
            config: String::new(),
            outbound_config: String::new(),
            outbound_tls: "none".to_owned(),
            listener_config: String::new(),
            consents: String::new(),
            enforce: false,
            state_dir: None,
        }
    }

    /// More TOML at the top level: `limits.recipients = 2`.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// More TOML within the `[[outbound]]` table.
    pub fn outbound_config(mut self, toml: &str) -> Self {
        self.outbound_config.push_str(toml);
        self.outbound_config.push('\n');
        self
    }

    /// Another way of encryption towards the outbound server than none.
    pub fn outbound_tls(mut self, tls: &str) -> Self {
        tls.clone_into(&mut self.outbound_tls);
        self
    }

    /// More TOML within the `[[listener]]` table.
    pub fn listener_config(mut self, toml: &str) -> Self {
        self.listener_config.push_str(toml);
        self.listener_config.push('\n');
        self
    }

    /// Turned to enforce mode before the test begins.
    pub fn enforce(mut self) -> Self {
        self.enforce = true;
        self
    }

    /// A consent record for the purpose `marketing`, loaded before the test begins; a day after the
    /// status is when it ends.
    pub fn consent(mut self, address: &str, status: &str) -> Self {
        let (status, until) = status.split_once(' ').unwrap_or((status, ""));
        self.consents
            .push_str(&format!("{address},marketing,{status},test,test,2024-01-01T00:00:00Z,{until}\n"));
        self
    }

    /// A state directory elsewhere than in the relay's own directory.
    pub fn state_dir(mut self, path: &Path) -> Self {
        self.state_dir = Some(path.to_owned());
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Relay {
        let dir = tempfile::Builder::new().prefix("consentry-test-").tempdir().expect("directory");
        let state_dir = self.state_dir.clone().unwrap_or_else(|| dir.path().join("state"));
        let config = format!(
            "state_dir = {state_dir:?}\nhostname = \"relay.example\"\n\n{}\n\n[[listener]]\naddress = \"127.0.0.1:0\"\n{}\n\
             [[outbound]]\naddress = \"{}\"\ntls = \"{}\"\n{}",
            self.config, self.listener_config, self.outbound, self.outbound_tls, self.outbound_config
        );
        std::fs::write(dir.path().join("consentry.toml"), config).expect("write configuration");
        if !self.consents.is_empty() {
            let text = format!("address,purpose,status,basis,source,at,until\n{}", self.consents);
            std::fs::write(dir.path().join("consents.csv"), text).expect("write consents");
        }
        let (child, address) = launch(dir.path(), &state_dir);
        let relay = Relay { dir, setup: self, child, address };
        if !relay.setup.consents.is_empty() {
            relay.command(&["consent", "import", "consents.csv"]);
        }
        if relay.setup.enforce {
            relay.command(&["mode", "enforce", "--reason", "the test wants it"]);
        }
        relay
    }
}

impl Relay {
    /// Where mailers connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.setup.state_dir.clone().unwrap_or_else(|| self.dir.path().join("state"))
    }

    /// Everything it has written to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// Runs a command of the same binary under the same configuration; fails the test unless it succeeds.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> String {
        let output = self.try_command(arguments);
        assert!(
            output.status.success(),
            "consentry {}: {}\n{}{}\nrelay: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        String::from_utf8(output.stdout).expect("output is UTF-8")
    }

    /// Runs a command of the same binary under the same configuration.
    pub fn try_command(&self, arguments: &[&str]) -> Output {
        Command::new(BINARY)
            .args(arguments)
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("run consentry")
    }

    /// All audit events so far.
    pub fn audit(&self) -> Vec<Value> {
        audit::events(&self.state_dir())
    }

    /// The audit events of one kind, once there are at least `count` of them.
    #[track_caller]
    pub fn audited(&self, kind: &str, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} {kind} records"), || {
            let events = audit::of_kind(&self.state_dir(), kind);
            (events.len() >= count).then_some(events)
        })
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("status");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kib: usize =
            line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("number");
        kib * 1024
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("SIGTERM");
    }

    /// Sends SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.0.kill().expect("SIGKILL");
        self.child.0.wait().expect("wait");
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.0.try_wait().expect("wait")
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the relay to end", || self.child.0.try_wait().expect("wait"))
    }

    /// Starts it again over the same directory, on another port.
    pub fn restart(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
        let state_dir = self.state_dir();
        (self.child, self.address) = launch(self.dir.path(), &state_dir);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the relay's log ---\n{}", self.log());
        }
    }
}

fn launch(dir: &Path, state_dir: &Path) -> (Running, SocketAddr) {
    let listen = state_dir.join("listen");
    // One that was killed leaves its file behind.
    let _ = std::fs::remove_file(&listen);
    let log = File::options().create(true).append(true).open(dir.join("stderr")).expect("log");
    let child = Command::new(BINARY)
        .args(["run", "--config", "consentry.toml"])
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("start consentry");
    let mut child = Running(child);
    let address = wait_for("the relay to listen", || {
        if let Some(status) = child.0.try_wait().expect("wait") {
            let log = std::fs::read_to_string(dir.join("stderr")).unwrap_or_default();
            panic!("the relay ended before it listened: {status}\n{log}");
        }
        let text = std::fs::read_to_string(&listen).ok()?;
        text.lines().find_map(|line| line.split_whitespace().last()?.parse().ok())
    });
    (child, address)
}
