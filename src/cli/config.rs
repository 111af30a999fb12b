//! `consentry config`: says whether a configuration is right, and which values are in force.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Place, exit, fail};

/// What `consentry config` takes.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Say whether a configuration file is right; opens no socket and changes nothing
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Print the values in force, defaults included
    Show,
}

pub(crate) fn run(command: &Command, place: &Place) -> ExitCode {
    match command {
        Command::Check { file } => match crate::config::load(file) {
            Ok(config) => {
                let addresses: Vec<&str> =
                    config.outbound.iter().map(|server| server.address.as_str()).collect();
                let outbound = match addresses[..] {
                    [address] => format!("outbound server {address}"),
                    [_, ..] => format!("outbound servers {}", addresses.join(", ")),
                    [] => "no outbound server: only `consentry run --sink DIR` can use it".to_owned(),
                };
                println!("{}: the configuration is right ({outbound})", file.display());
                ExitCode::SUCCESS
            }
            Err(error) => fail(exit::CONFIG, error),
        },
        Command::Show => match place.load().map(|config| toml::to_string_pretty(&config)) {
            Ok(Ok(text)) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Ok(Err(error)) => fail(exit::CONFIG, error),
            Err(error) => fail(exit::CONFIG, error),
        },
    }
}
