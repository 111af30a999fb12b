//! `consentry consent`: who has agreed to what, on what basis, since when.
//!
//! The commands speak to the running relay over its control socket; when none runs, they open the
//! store themselves.

mod backend;
mod show;
mod transfer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use crate::consent::moment::{self, DayEdge};
use crate::consent::table::REFUSAL;
use crate::consent::{NewRecord, Purpose, Status, StoreOptions};
use crate::control::consent::Answer;
use crate::smtp::Address;

use super::{exit, local_user};
use backend::Backend;
use show::Style;

/// Look up, record, import and export consent.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Show what holds for an address, and why
    Get(GetArgs),
    /// Record that someone has agreed
    Grant(GrantArgs),
    /// Record that someone has refused or withdrawn
    Refuse(RefuseArgs),
    /// Show everything that was ever recorded about an address
    History(HistoryArgs),
    /// Bring in a list (CSV with a header line, or JSON lines)
    ///
    /// Columns: address, status (opted_in, soft_opt_in, opted_out), source; basis and at for grants;
    /// purpose, until and evidence where there is something to say. Of an export that is read back,
    /// record, recorded_at and set_by are passed over. A bad row is named by line and reason, the rest
    /// goes in, and the exit code is then 65.
    Import(ImportArgs),
    /// Write out what holds for everyone, or every record
    Export(ExportArgs),
}

/// Arguments of `get`.
#[derive(clap::Args)]
pub struct GetArgs {
    /// Whose consent
    #[arg(value_parser = address)]
    address: Address,
    /// What the consent is for
    #[arg(long, default_value = "marketing")]
    purpose: Purpose,
    /// JSON, as when the output is piped
    #[arg(long)]
    json: bool,
}

/// What `grant` and `refuse` have in common.
#[derive(clap::Args)]
pub struct FactArgs {
    /// Whose consent
    #[arg(value_parser = address)]
    address: Address,
    /// Where the fact comes from: a form, a call, a letter
    #[arg(long)]
    source: String,
    /// What the consent is for
    #[arg(long, default_value = "marketing")]
    purpose: Purpose,
    /// When it ends: a time, or a day that still counts
    #[arg(long, value_name = "DATE", value_parser = end)]
    until: Option<Timestamp>,
    /// The notice that was shown, or its hash and where to find it
    #[arg(long, value_name = "TEXT")]
    evidence: Option<String>,
    /// When it was said, if not now
    #[arg(long, value_name = "TIME", value_parser = begin)]
    at: Option<Timestamp>,
    /// JSON, as when the output is piped
    #[arg(long)]
    json: bool,
}

/// Arguments of `grant`.
#[derive(clap::Args)]
pub struct GrantArgs {
    #[command(flatten)]
    fact: FactArgs,
    /// The legal ground or the words that were agreed to
    #[arg(long)]
    basis: String,
    /// A customer who could refuse when giving the address, and did not (PECR regulation 22(3))
    #[arg(long)]
    soft_opt_in: bool,
}

/// Arguments of `refuse`.
#[derive(clap::Args)]
pub struct RefuseArgs {
    #[command(flatten)]
    fact: FactArgs,
    /// The words of the refusal, if they matter
    #[arg(long, default_value = REFUSAL)]
    basis: String,
}

/// Arguments of `history`.
#[derive(clap::Args)]
pub struct HistoryArgs {
    /// Whose consent
    #[arg(value_parser = address)]
    address: Address,
    /// Only this purpose
    #[arg(long)]
    purpose: Option<Purpose>,
    /// JSON lines, as when the output is piped
    #[arg(long)]
    json: bool,
}

/// Arguments of `import`.
#[derive(clap::Args)]
pub struct ImportArgs {
    /// The list, or - for standard input
    file: PathBuf,
    /// Its format, if neither its name nor its first character tells
    #[arg(long)]
    format: Option<ListFormat>,
    /// The summary as JSON, as when the output is piped
    #[arg(long)]
    json: bool,
}

/// Arguments of `export`.
#[derive(clap::Args)]
pub struct ExportArgs {
    /// The format
    #[arg(long, default_value = "csv")]
    format: ListFormat,
    /// Every record instead of only those that decide
    #[arg(long)]
    history: bool,
    /// Write to this new file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The formats of lists.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum ListFormat {
    /// With a header line
    Csv,
    /// One JSON object per line
    Jsonl,
}

/// What came of `grant` or `refuse`.
#[derive(Serialize)]
struct Outcome<'a> {
    record: u64,
    now: &'a Answer,
}

/// Why a command failed, and its exit code.
struct Failure {
    code: u8,
    text: String,
}

/// Runs a consent command on the records in `state_dir`. `options` must be those of the relay: with
/// another setting for +tags the index would be made anew each time.
pub fn run(command: Command, state_dir: &Path, options: StoreOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&Failure::new(exit::IO, format!("cannot start: {error}"))),
    };
    match runtime.block_on(perform(command, state_dir, options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => told(&failure),
    }
}

async fn perform(command: Command, state_dir: &Path, options: StoreOptions) -> Result<(), Failure> {
    let writes = matches!(command, Command::Grant(_) | Command::Refuse(_) | Command::Import(_));
    let backend = Backend::open(state_dir, options, writes).await?;
    match command {
        Command::Get(args) => {
            let style = Style::new(args.json);
            let answer = backend.answer(&args.address, &args.purpose).await?;
            if style.is_json() {
                println!("{}", json(&answer));
            } else {
                print!("{}", show::answer(&answer, style));
            }
            Ok(())
        }
        Command::Grant(GrantArgs { fact, basis, soft_opt_in }) => {
            let status = if soft_opt_in { Status::SoftOptIn } else { Status::OptedIn };
            record(&backend, fact, status, basis).await
        }
        Command::Refuse(RefuseArgs { fact, basis }) => record(&backend, fact, Status::OptedOut, basis).await,
        Command::History(args) => {
            let style = Style::new(args.json);
            let records = backend.history(&args.address, args.purpose.as_ref()).await?;
            if style.is_json() {
                records.iter().for_each(|record| println!("{}", json(record)));
            } else if records.is_empty() {
                println!("nothing was ever recorded about {}", args.address);
            } else {
                print!("{}", show::history(&records, style));
            }
            Ok(())
        }
        Command::Import(args) => {
            transfer::import(&args, &backend, &local_user(), Style::new(args.json)).await
        }
        Command::Export(args) => transfer::export(&args, &backend).await,
    }
}

async fn record(backend: &Backend, args: FactArgs, status: Status, basis: String) -> Result<(), Failure> {
    let style = Style::new(args.json);
    let (address, purpose) = (args.address.clone(), args.purpose.clone());
    let fact = NewRecord {
        address: args.address,
        purpose: args.purpose,
        status,
        basis,
        source: args.source,
        at: args.at,
        until: args.until,
        evidence: args.evidence,
        set_by: local_user(),
    };
    fact.check(Timestamp::now()).map_err(|error| Failure::new(exit::DATA, error.to_string()))?;
    let recorded = backend.record(vec![fact]).await?;
    let answer = backend.answer(&address, &purpose).await?;
    if style.is_json() {
        println!("{}", json(&Outcome { record: recorded.first, now: &answer }));
    } else {
        print!("{}", show::recorded(recorded.first, &answer, style));
    }
    Ok(())
}

impl Failure {
    fn new(code: u8, text: String) -> Self {
        Self { code, text }
    }
}

fn told(failure: &Failure) -> ExitCode {
    eprintln!("consentry: {}", failure.text);
    ExitCode::from(failure.code)
}

/// One line of JSON. Our own types have no map with other keys than texts, which is all that could fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn address(text: &str) -> Result<Address, String> {
    Address::parse(text.trim()).map_err(|error| error.to_string())
}

fn begin(text: &str) -> Result<Timestamp, String> {
    moment::parse(text, DayEdge::Begin).map_err(|error| error.to_string())
}

fn end(text: &str) -> Result<Timestamp, String> {
    moment::parse(text, DayEdge::End).map_err(|error| error.to_string())
}
