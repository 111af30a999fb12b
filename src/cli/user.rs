//! `consentry user`: makes what the configuration holds of a user's password.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::process::ExitCode;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{exit, fail, show};
use crate::password::{MAX_PASSWORD, PasswordHash};

/// What `consentry user` takes.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Hash a password for `[[user]] password_hash`; it is asked for, or read as the first line of standard input
    Hash,
}

pub(crate) fn run(command: &Command) -> ExitCode {
    let Command::Hash = command;
    let password = match read_password() {
        Ok(password) => password,
        Err(error) => return fail(exit::IO, format!("standard input: {error}")),
    };
    match PasswordHash::of(&password) {
        Ok(hash) => show(&format!("{hash}\n")),
        Err(error) => fail(exit::DATA, error),
    }
}

/// From a terminal without showing it, and twice; otherwise the first line.
fn read_password() -> io::Result<String> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let _silence = Silence::begin()?;
    eprint!("Password: ");
    let password = read_line();
    eprint!("\nOnce more: ");
    let again = read_line();
    eprintln!();
    match (password?, again?) {
        (password, again) if password == again => Ok(password),
        _ => Err(io::Error::other("the two are not the same")),
    }
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    // Two more than a password may have, so that a longer one is not silently cut.
    io::stdin().lock().take(MAX_PASSWORD as u64 + 2).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // There is nobody to tell when the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
