//! `consentry run`: the relay, until it is told to stop.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use super::terminal::Terminal;
use super::{exit, fail};
use crate::config::{Config, LogLevel, Tls};
use crate::inbound::BindError;
use crate::relay::{Relay, RelayError};
use crate::sink::Sink;

/// What `consentry run` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Deliver into this Maildir instead of an outbound server, for trying out
    #[arg(long, value_name = "DIR")]
    sink: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, mut config: Config) -> ExitCode {
    start_log(config.log.level);
    let _sink = match &args.sink {
        None => None,
        Some(_) if !config.outbound.is_empty() => {
            return fail(
                exit::USAGE,
                "--sink is for a configuration without an outbound server; this one has one",
            );
        }
        Some(directory) => match start_sink(directory, &mut config) {
            Ok(sink) => Some(sink),
            Err(error) => return fail(exit::UNAVAILABLE, error),
        },
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::UNAVAILABLE, error),
    };
    match runtime.block_on(serve(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(
            error @ (RelayError::NoOutbound
            | RelayError::Purpose(_)
            | RelayError::Bind(BindError::Certificate { .. })),
        ) => fail(exit::CONFIG, error),
        Err(error) => fail(exit::UNAVAILABLE, error),
    }
}

async fn serve(config: &Config) -> Result<(), RelayError> {
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let relay = Relay::start(config).await?;
    let [Ok(mut terminate), Ok(mut interrupt)] = signals else {
        return relay.drain().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    relay.drain().await
}

/// Writes log lines to standard error: standard output belongs to what a command answers.
pub(crate) fn start_log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // A second call changes nothing: the first log goes on.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(Terminal::stderr().colour)
        .with_target(false)
        .try_init();
}

fn start_sink(directory: &std::path::Path, config: &mut Config) -> Result<Sink, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let sink = Sink::start(listener, directory).map_err(|error| error.to_string())?;
    config.outbound.push(outbound_to(sink.address()));
    Ok(sink)
}

/// The settings for an embedded sink as outbound server.
pub(crate) fn outbound_to(address: std::net::SocketAddr) -> crate::config::Outbound {
    crate::config::Outbound::new(address.to_string(), Tls::None)
}
