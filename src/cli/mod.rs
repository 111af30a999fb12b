//! The command line: one file per command.

pub mod consent;

use clap::Parser;
use std::process::ExitCode;

#[derive(clap::Parser)]
struct Cli {
    #[arg(long, default_value = "var", global = true)]
    state_dir: std::path::PathBuf,
    #[arg(long)]
    fold: bool,
    #[command(subcommand)]
    top: Top,
}
#[derive(clap::Subcommand)]
enum Top {
    Consent {
        #[command(subcommand)]
        command: consent::Command,
    },
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Top::Consent { command } = cli.top;
    consent::run(
        command,
        &cli.state_dir,
        crate::consent::StoreOptions { fold_tags: cli.fold, ..Default::default() },
    )
}
