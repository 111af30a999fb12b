//! The command line: one file per command. Here stand what all of them share: where the configuration
//! and the state directory are found, exit codes, and how an error is printed; `terminal` says what
//! the output is written to.

mod audit;
mod check;
mod config;
mod consent;
mod demo;
mod evaluate;
mod labelled;
mod mode;
mod model;
mod rules;
mod run;
mod terminal;
mod train;
mod user;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};

/// The exit codes of all commands: those of sysexits, and one of `check`.
pub(crate) mod exit {
    /// All is well; for `check`: every file is judged, and none is promotional.
    pub(crate) const SUCCESS: u8 = 0;
    /// `check`: at least one file is mixed or marketing.
    pub(crate) const PROMOTIONAL: u8 = 10;
    /// The command line is wrong.
    pub(crate) const USAGE: u8 = 64;
    /// What was given cannot be understood.
    pub(crate) const DATA: u8 = 65;
    /// What was named is not there.
    pub(crate) const NO_INPUT: u8 = 66;
    /// A part that is needed cannot be had.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// The program is at fault.
    pub(crate) const SOFTWARE: u8 = 70;
    /// A file cannot be written.
    pub(crate) const CANNOT_CREATE: u8 = 73;
    /// Reading or writing failed.
    pub(crate) const IO: u8 = 74;
    /// It cannot be done now, but may be later.
    pub(crate) const TEMPORARY: u8 = 75;
    /// The configuration is wrong.
    pub(crate) const CONFIG: u8 = 78;
}

/// Finds marketing disguised as service mail on its way out, checks each recipient's consent, forwards
/// or refuses, and can prove afterwards what it did.
#[derive(Parser)]
#[command(name = "consentry", version, about, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where configuration and state are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The configuration file [default: consentry.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: Option<PathBuf>,
    /// The state directory, instead of the configuration's
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay
    Run(run::Args),
    /// Show the whole thing at work, with nothing installed
    Demo(demo::Args),
    /// Judge messages without a relay
    Check(check::Args),
    /// Judge labelled messages and compare
    Evaluate(evaluate::Args),
    /// Train a model on labelled messages
    Train(train::Args),
    /// Read the model
    #[command(subcommand)]
    Model(model::Command),
    /// Read the rules
    #[command(subcommand)]
    Rules(rules::Command),
    /// Show the mode, or turn it
    Mode(mode::Args),
    /// Read and change consents
    #[command(subcommand)]
    Consent(consent::Command),
    /// Read the audit ledger
    #[command(subcommand)]
    Audit(audit::Command),
    /// Make a user for AUTH
    #[command(subcommand)]
    User(user::Command),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::Command),
}

/// The file that is read when none is named.
const DEFAULT_CONFIG: &str = "consentry.toml";

impl Place {
    /// Reads the configuration; the defaults when no file is named and none is there.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let default = Path::new(DEFAULT_CONFIG);
        let mut config = match &self.config {
            Some(path) => crate::config::load(path)?,
            None if default.exists() => crate::config::load(default)?,
            None => crate::config::parse("", default)?,
        };
        if let Some(state_dir) = &self.state_dir {
            config.state_dir.clone_from(state_dir);
        }
        Ok(config)
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help to standard output and errors to standard error; a closed pipe is no error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let with_config = |run: &dyn Fn(Config) -> ExitCode| match cli.place.load() {
        Ok(config) => run(config),
        Err(error) => fail(exit::CONFIG, error),
    };
    match cli.command {
        Command::Run(args) => with_config(&|config| run::run(&args, config)),
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Model(command) => model::run(&command),
        Command::Rules(command) => rules::run(&command),
        Command::Mode(args) => with_config(&|config| mode::run(&args, &config)),
        Command::Consent(command) => match cli.place.load() {
            Ok(config) => consent::run(command, &config.state_dir, crate::relay::consent_options(&config)),
            Err(error) => fail(exit::CONFIG, error),
        },
        Command::Audit(command) => match cli.place.load() {
            Ok(config) => audit::run(command, &config.state_dir),
            Err(error) => fail(exit::CONFIG, error),
        },
        Command::User(command) => user::run(&command),
        Command::Config(command) => config::run(&command, &cli.place),
    }
}

/// Who runs this command, with the person behind `sudo` where there is one.
pub(crate) fn local_user() -> String {
    let uid = rustix::process::getuid();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid.as_raw())).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| format!("uid {}", uid.as_raw()));
    match std::env::var("SUDO_USER") {
        Ok(person) if uid.is_root() && !person.is_empty() && person != name => format!("{person} as {name}"),
        _ => name,
    }
}

/// Prints an error as a sentence and gives the exit code.
pub(crate) fn fail(code: u8, error: impl Display) -> ExitCode {
    eprintln!("consentry: {error}");
    ExitCode::from(code)
}

/// Writes a page to standard output; a reader that has seen enough (`head`) is no fault.
pub(crate) fn show(page: &str) -> ExitCode {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(page.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            fail(exit::IO, format!("standard output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}
