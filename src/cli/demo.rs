//! `consentry demo`: a relay and a sink as outbound server, on free loopback ports, through which the
//! sample messages go in both modes. Shows what was decided, what arrived and what the mailer heard,
//! and fails unless the sink holds exactly what it should.

mod place;
mod scenario;
mod table;
mod verify;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::audit::{Style, render_line};
use super::{exit, fail};
use crate::audit::{Decision, Event, Line, Mode, Pairing};
use crate::config::{self, Config, ConfigError};
use crate::consent::table::Format;
use crate::consent::{self, NewRecord};
use crate::control::consent::Recorded;
use crate::control::{Client, ControlError, ModeAnswer, ModeRequest};
use crate::ledger::{self, LedgerError};
use crate::relay::{AUDIT_DIRECTORY, Relay, RelayError};
use crate::sink::{Sink, SinkError};

use place::{Place, PlaceError};
use scenario::{SENDINGS, Sending};
use table::{Look, Row};

/// How long the mailer waits for a reply.
const REPLY_TIME: Duration = Duration::from_secs(30);

/// What `consentry demo` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave the configuration, the ledgers, the consents, the messages and the delivered mail in this
    /// new or empty directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("cannot listen on a loopback port: {0}")]
    Listen(#[source] io::Error),
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("no relay answers on the control socket")]
    NoRelay,
    #[error("the sample consents: {0}")]
    Consents(String),
    #[error("the sample message {name}: {reason}")]
    Message { name: &'static str, reason: String },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The running parts.
struct Stage {
    place: Place,
    config: Config,
    sink: Sink,
    relay: Relay,
    control: Client,
}

/// What became of one sending.
struct Sent {
    sending: &'static Sending,
    reply: String,
}

pub(crate) fn run(args: Args) -> ExitCode {
    let look = Look::of_terminal();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::UNAVAILABLE, DemoError::Runtime(error)),
    };
    match runtime.block_on(play(args, look)) {
        Ok(differences) if differences.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error @ DemoError::Place(_)) => fail(exit::CANNOT_CREATE, error),
        Err(error) => fail(exit::UNAVAILABLE, error),
    }
}

/// Plays the whole demo; returns what is not as it should be.
async fn play(args: Args, look: Look) -> Result<Vec<String>, DemoError> {
    let mut stage = Stage::set(args.keep).await?;
    let consents = stage.load_consents().await?;
    println!(
        "{}\n\nA mailer sends {} messages through consentry on {} to an outbound server on {}.\n\
         {consents} consents are loaded.",
        table::heading("consentry demo", look),
        SENDINGS.len(),
        stage.address(),
        stage.sink.address(),
    );

    let mut differences = Vec::new();
    for (mode, title) in [
        (Mode::Monitor, "Monitor mode: decides and records, refuses nothing"),
        (Mode::Enforce, "Enforce mode: refuses marketing without consent"),
    ] {
        println!("\n{}\n", table::heading(title, look));
        differences.extend(stage.act(mode, look).await?);
    }
    stage.relay.drain().await?;

    println!("\n{}\n", table::heading("The audit ledger (consentry audit tail)", look));
    print_audit(&stage.config, look)?;
    conclude(&differences, &stage.sink, look)?;
    if let Some(path) = stage.place.kept() {
        println!("\n{}", place::what_next(path));
    }
    Ok(differences)
}

impl Stage {
    async fn set(keep: Option<PathBuf>) -> Result<Self, DemoError> {
        let place = Place::make(keep)?;
        let mut config = config::load(&place.config_file())?;
        // The configuration that is left behind names a port; two demos may run at a time.
        for listener in &mut config.listener {
            listener.address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(DemoError::Listen)?;
        let sink = Sink::start(listener, place.delivered())?;
        config.outbound.push(super::run::outbound_to(sink.address()));
        let relay = Relay::start(&config).await?;
        let control = Client::connect(&config.state_dir).await?.ok_or(DemoError::NoRelay)?;
        Ok(Self { place, config, sink, relay, control })
    }

    fn address(&self) -> SocketAddr {
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.relay.addresses().first().copied().unwrap_or(unknown)
    }

    /// Loads the sample consents as `consentry consent import` does; returns how many there are.
    async fn load_consents(&mut self) -> Result<u64, DemoError> {
        let rows = consent::table::read(scenario::CONSENTS.as_bytes(), Format::Csv, "consentry demo")
            .map_err(|error| DemoError::Consents(error.to_string()))?;
        let mut facts: Vec<NewRecord> = Vec::new();
        for row in rows {
            let row = row.map_err(|error| DemoError::Consents(error.to_string()))?;
            let fact =
                row.fact.map_err(|reason| DemoError::Consents(format!("line {}: {reason}", row.line)))?;
            facts.push(fact);
        }
        let recorded: Recorded = self.control.post("/v1/consent/records", &facts).await?;
        Ok(recorded.count)
    }

    /// Sends everything in that mode, shows what became of it, and says what is not as it should be.
    async fn act(&mut self, mode: Mode, look: Look) -> Result<Vec<String>, DemoError> {
        let now: ModeAnswer = self.control.get("/v1/mode").await?;
        if now.mode != mode {
            let request = ModeRequest {
                to: mode,
                reason: format!("the demo shows {mode} mode"),
                by: "consentry demo".to_owned(),
                hold: None,
            };
            let _: ModeAnswer = self.control.post("/v1/mode", &request).await?;
        }
        let audited = ledger::end(&self.audit_directory())?;
        let delivered = self.sink.delivered()?.len();
        let sent = send_all(self.address()).await?;

        let decisions = decisions(&self.config, audited)?;
        let delivered = self.sink.delivered()?.split_off(delivered);
        let rows: Vec<Row> = sent
            .iter()
            .enumerate()
            .map(|(at, sent)| row(sent, decisions.get(at), delivered.iter().any(|one| is_of(one, sent))))
            .collect();
        print!("{}", table::draw(&rows, look));

        let expected: Vec<&Sending> = SENDINGS
            .iter()
            .filter(|sending| mode == Mode::Monitor || sending.expected.delivered_when_enforced())
            .collect();
        let mut differences = verify::differences(&expected, &delivered);
        differences.extend(verify::undecided(SENDINGS, &decisions));
        Ok(differences.into_iter().map(|difference| format!("{mode} mode: {difference}")).collect())
    }

    fn audit_directory(&self) -> PathBuf {
        self.config.state_dir.join(AUDIT_DIRECTORY)
    }
}

/// The mailer: one message after the other, each with what was heard in the end.
async fn send_all(relay: SocketAddr) -> Result<Vec<Sent>, DemoError> {
    let mailer = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(relay.ip().to_string())
        .port(relay.port())
        .hello_name(ClientId::Domain("mailer.example".to_owned()))
        .timeout(Some(REPLY_TIME))
        .build();
    let mut sent = Vec::with_capacity(SENDINGS.len());
    for sending in SENDINGS {
        let envelope = envelope(sending)?;
        // The transport ends what it sends with a line end of its own.
        let message = sending.message.strip_suffix(b"\r\n").unwrap_or(sending.message);
        let reply = match mailer.send_raw(&envelope, message).await {
            Ok(response) => {
                format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "))
            }
            Err(error) => heard(&error),
        };
        sent.push(Sent { sending, reply });
    }
    Ok(sent)
}

fn envelope(sending: &'static Sending) -> Result<Envelope, DemoError> {
    let failed = |reason: String| DemoError::Message { name: sending.name, reason };
    let parse = |address: &str| address.parse::<Address>().map_err(|error| failed(error.to_string()));
    let to = sending.to.iter().map(|to| parse(to)).collect::<Result<Vec<_>, _>>()?;
    Envelope::new(Some(parse(sending.from)?), to).map_err(|error| failed(error.to_string()))
}

/// The reply within an error of the transport, or the error.
fn heard(error: &lettre::transport::smtp::Error) -> String {
    let text = std::error::Error::source(error).map(ToString::to_string);
    match (error.status(), text) {
        (Some(code), text) => format!("{code} {}", text.unwrap_or_default()),
        (None, _) => error.to_string(),
    }
}

/// The decisions from record `first` on, in their order: the mailer sends one message at a time.
fn decisions(config: &Config, first: u64) -> Result<Vec<Decision>, LedgerError> {
    let mut decisions = Vec::new();
    for record in ledger::read_from(&config.state_dir.join(AUDIT_DIRECTORY), first)? {
        if let Ok(Event::Decision(decision)) = serde_json::from_slice(&record?.line) {
            decisions.push(decision);
        }
    }
    Ok(decisions)
}

fn is_of(delivered: &crate::sink::Delivered, sent: &Sent) -> bool {
    delivered.envelope.to.iter().eq(sent.sending.to.iter())
        && delivered.message.ends_with(sent.sending.message)
}

fn row(sent: &Sent, decision: Option<&Decision>, delivered: bool) -> Row {
    Row {
        shows: sent.sending.shows,
        to: sent.sending.to.iter().map(|to| ((*to).to_owned(), scenario::consent_of(to))).collect(),
        verdict: decision
            .and_then(|decision| decision.verdict.as_ref())
            .map(|verdict| (verdict.class.clone(), verdict.score)),
        withhold: decision.is_some_and(Decision::withholds),
        delivered,
        reply: sent.reply.clone(),
    }
}

/// One line for each message, as `consentry audit tail` shows it on a terminal.
fn print_audit(config: &Config, look: Look) -> Result<(), LedgerError> {
    let style = Style { width: look.width, colour: look.colour };
    let mut pairing = Pairing::default();
    for record in ledger::read(&config.state_dir.join(AUDIT_DIRECTORY))? {
        for entry in pairing.feed(Line::of(record?)) {
            println!("{}", render_line(&entry, style));
        }
    }
    for entry in pairing.open() {
        println!("{}", render_line(entry, style));
    }
    Ok(())
}

fn conclude(differences: &[String], sink: &Sink, look: Look) -> Result<(), SinkError> {
    let delivered = sink.delivered()?.len();
    let sent = 2 * SENDINGS.len();
    if differences.is_empty() {
        let text = format!(
            "As it should be: {sent} messages sent, {} refused, {delivered} at the outbound server, each byte for \
             byte below the lines that consentry adds.",
            sent - delivered
        );
        println!("\n{}", table::good(&text, look));
    } else {
        println!("\n{}", table::bad("Not as it should be:", look));
        for difference in differences {
            println!("  {difference}");
        }
    }
    Ok(())
}
