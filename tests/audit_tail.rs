//! `consentry audit tail`, the real program on a state directory that a relay writes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use consentry::audit::{
    Action, AuditLog, Decision, Mode, ModeChange, Outcome, OutcomeKind, Reason, RecipientDecision, Reference,
};
use consentry::ledger::Options;
use jiff::Timestamp;

struct Relay {
    state: tempfile::TempDir,
    log: AuditLog,
}

impl Relay {
    fn new(max_segment_bytes: u64) -> Self {
        let state = tempfile::tempdir().expect("directory");
        let options = Options { max_segment_bytes, rotate_daily: true };
        let (log, _) = AuditLog::open(&state.path().join("audit"), options).expect("open");
        Self { state, log }
    }

    async fn decide(&self, to: &str, would: Action) -> Reference {
        let reference = Reference::new(Timestamp::now());
        let decision = Decision {
            time: Timestamp::now(),
            reference: reference.clone(),
            mode: Mode::Monitor,
            client: "127.0.0.1".to_owned(),
            from: "billing@shop.example".to_owned(),
            recipients: vec![RecipientDecision {
                to: to.to_owned(),
                action: Action::Forward,
                would,
                reason: Reason::ConsentUnknown,
                consent: Some("unknown".to_owned()),
            }],
            stream: "default".to_owned(),
            declared: "service".to_owned(),
            verdict: None,
            error: None,
            message_id: String::new(),
            subject: String::new(),
            size: 1,
        };
        self.log.decision(&decision).await.expect("decision");
        reference
    }

    async fn end(&self, reference: Reference) {
        let outcome =
            Outcome::new(Timestamp::now(), reference, OutcomeKind::Forwarded, "250 2.0.0 taken".to_owned());
        self.log.outcome(&outcome).await.expect("outcome");
    }

    async fn turn(&self, reason: &str) {
        let change = ModeChange {
            time: Timestamp::now(),
            from: Mode::Monitor,
            to: Mode::Monitor,
            reason: reason.to_owned(),
            by: "test".to_owned(),
            until: None,
        };
        self.log.mode_changed(&change).await.expect("mode change");
    }
}

fn command(state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.arg("--state-dir").arg(state).args(["audit", "tail"]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn tail(state: &Path, args: &[&str]) -> Output {
    command(state, args).output().expect("run")
}

/// The event and the recipient or reason of each line.
fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(brief).collect()
}

fn brief(line: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let detail = [&line["recipients"][0]["to"], &line["reason"], &line["result"]];
    let detail = detail.iter().find_map(|value| value.as_str()).unwrap_or_default();
    format!("{} {detail}", line["event"].as_str().expect("event"))
}

struct Following {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Following {
    fn start(state: &Path, args: &[&str]) -> Self {
        let mut child = command(state, args).spawn().expect("run");
        let output = child.stdout.take().map(BufReader::new);
        Self { child, output }
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.output.as_mut().expect("open").read_line(&mut line).expect("output");
        brief(&line)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("signal");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_last_messages_are_shown_with_their_outcomes() {
    let relay = Relay::new(1_000);
    for n in 0..60 {
        let reference = relay.decide(&format!("r{n}@example.com"), Action::Forward).await;
        relay.end(reference).await;
    }
    let state = relay.state.path();
    let expected: Vec<_> = (58..60)
        .flat_map(|n| [format!("decision r{n}@example.com"), "outcome forwarded".to_owned()])
        .collect();
    assert_eq!(lines(&tail(state, &["-n", "2"])), expected);
    assert_eq!(lines(&tail(state, &[])).len(), 20);
    assert_eq!(lines(&tail(state, &["-n", "1000"])).len(), 120);
    assert!(lines(&tail(state, &["-n", "0"])).is_empty());
    let first = lines(&tail(state, &["--recipient", "R0@EXAMPLE.com"]));
    assert_eq!(first, ["decision r0@example.com", "outcome forwarded"]);
}

#[tokio::test]
async fn withheld_means_withheld_or_would_be() {
    let relay = Relay::new(u64::MAX);
    relay.turn("first").await;
    for (to, would) in [("a@example.com", Action::Withhold), ("b@example.com", Action::Forward)] {
        let reference = relay.decide(to, would).await;
        relay.end(reference).await;
    }
    relay.decide("c@example.com", Action::Withhold).await;
    let shown = lines(&tail(relay.state.path(), &["--withheld", "--json"]));
    assert_eq!(shown, ["decision a@example.com", "outcome forwarded", "decision c@example.com"]);
    let shown = lines(&tail(relay.state.path(), &["--withheld", "--recipient", "b@example.com"]));
    assert!(shown.is_empty(), "{shown:?}");
}

#[tokio::test]
async fn following_shows_each_line_once_over_rotations_until_ctrl_c() {
    let relay = Relay::new(800);
    relay.turn("before").await;
    let mut following = Following::start(relay.state.path(), &["-f"]);
    assert_eq!(following.next(), "mode_change before");
    for n in 0..6 {
        let to = format!("r{n}@example.com");
        let reference = relay.decide(&to, Action::Forward).await;
        assert_eq!(following.next(), format!("decision {to}"));
        relay.end(reference).await;
        assert_eq!(following.next(), "outcome forwarded");
    }
    following.signal(rustix::process::Signal::INT);
    assert!(following.child.wait().expect("end").success());
}

#[tokio::test]
async fn following_one_recipient_shows_the_outcomes_of_its_messages_only() {
    let relay = Relay::new(u64::MAX);
    let open = relay.decide("ana@example.com", Action::Forward).await;
    let mut following = Following::start(relay.state.path(), &["-f", "--recipient", "Ana@Example.com"]);
    assert_eq!(following.next(), "decision ana@example.com");
    let other = relay.decide("bo@example.com", Action::Forward).await;
    let mine = relay.decide("ANA@example.com", Action::Forward).await;
    relay.turn("meanwhile").await;
    relay.end(other).await;
    relay.end(mine).await;
    relay.end(open).await;
    assert_eq!(following.next(), "decision ANA@example.com");
    assert_eq!(following.next(), "outcome forwarded");
    assert_eq!(following.next(), "outcome forwarded");
}

#[tokio::test]
async fn following_ends_quietly_when_nobody_reads_it_any_more() {
    let relay = Relay::new(u64::MAX);
    relay.turn("before").await;
    let mut following = Following::start(relay.state.path(), &["-f"]);
    assert_eq!(following.next(), "mode_change before");
    drop(following.output.take());
    assert!(following.child.wait().expect("end").success());
}

#[test]
fn without_a_log_it_says_where_it_looked() {
    let state = tempfile::tempdir().expect("directory");
    let output = tail(state.path(), &[]);
    assert_eq!(output.status.code(), Some(66));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains(&state.path().join("audit").display().to_string()), "{message}");
}
