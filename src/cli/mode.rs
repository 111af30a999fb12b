//! `consentry mode`: shows the mode, or turns it, in the running relay or for the next one.

use std::process::ExitCode;

use jiff::Timestamp;

use super::{exit, fail, local_user};
use crate::audit::Mode;
use crate::config::{Config, Span};
use crate::control::{Client, ControlError, ModeAnswer, ModeRequest};
use crate::gate::{ModeError, ModeState, ModeSwitch};
use crate::relay;

/// What `consentry mode` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The mode to turn to; without it the mode is shown
    #[arg(value_enum, requires = "reason")]
    to: Option<To>,
    /// Why; it is recorded in the audit ledger
    #[arg(long, value_name = "TEXT", requires = "to")]
    reason: Option<String>,
    /// Return to the lasting mode after this time, like 2h
    #[arg(long = "for", value_name = "TIME", requires = "to")]
    hold: Option<Span>,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

/// The modes as they are typed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum To {
    /// Refuse what must not go out
    Enforce,
    /// Decide and record, but forward everything
    Monitor,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Mode(#[from] ModeError),
    #[error("{0}")]
    Relay(#[from] relay::RelayError),
    #[error("{0}")]
    Audit(#[from] crate::audit::AuditError),
}

pub(crate) fn run(args: &Args, config: &Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::UNAVAILABLE, error),
    };
    let request = args.to.map(|to| ModeRequest {
        to: match to {
            To::Enforce => Mode::Enforce,
            To::Monitor => Mode::Monitor,
        },
        reason: args.reason.clone().unwrap_or_default(),
        by: local_user(),
        hold: args.hold,
    });
    match runtime.block_on(ask(request, config)) {
        Ok((answer, running)) => print(&answer, running, args.json),
        Err(Error::Mode(error @ (ModeError::NoReason | ModeError::TooLong))) => fail(exit::USAGE, error),
        Err(error) => fail(exit::UNAVAILABLE, error),
    }
}

/// Asks the running relay; without one, does it itself. True: a relay runs.
async fn ask(request: Option<ModeRequest>, config: &Config) -> Result<(ModeAnswer, bool), Error> {
    if let Some(client) = Client::connect(&config.state_dir).await? {
        let answer = match request {
            None => client.get("/v1/mode").await?,
            Some(request) => client.post("/v1/mode", &request).await?,
        };
        return Ok((answer, true));
    }
    let state = match request {
        None => ModeState::load(&config.state_dir)?,
        Some(request) => {
            relay::make_state_directory(&config.state_dir)?;
            let (audit, _) = relay::open_audit(config)?;
            let switch = ModeSwitch::open(&config.state_dir, &audit, Timestamp::now()).await?;
            let hold = request.hold.map(Span::duration);
            switch.turn(&audit, request.to, &request.reason, &request.by, hold, Timestamp::now()).await?
        }
    };
    Ok((ModeAnswer { mode: state.at(Timestamp::now()), state }, false))
}

fn print(answer: &ModeAnswer, running: bool, json: bool) -> ExitCode {
    if json || !super::terminal::Terminal::stdout().is_terminal {
        match serde_json::to_string(&serde_json::json!({
            "mode": answer.mode,
            "running": running,
            "lasting": answer.state.lasting,
            "until": answer.state.until,
            "since": answer.state.since,
            "by": answer.state.by,
            "reason": answer.state.reason,
        })) {
            Ok(line) => println!("{line}"),
            Err(error) => return fail(exit::UNAVAILABLE, error),
        }
        return ExitCode::SUCCESS;
    }
    let meaning = match answer.mode {
        Mode::Monitor => "decides and records, forwards everything",
        Mode::Enforce => "refuses what must not go out",
    };
    println!("{}: {meaning}{}", answer.mode, if running { "" } else { " (no relay runs now)" });
    let state = &answer.state;
    if let (Some(since), Some(by), Some(reason)) = (state.since, &state.by, &state.reason) {
        println!("since {since:.0}, by {by}: {reason}");
    }
    if let Some(until) = state.until.filter(|until| *until > Timestamp::now()) {
        println!("until {until:.0}, then {}", state.lasting);
    }
    ExitCode::SUCCESS
}
