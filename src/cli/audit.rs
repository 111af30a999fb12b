//! `consentry audit`: reads the audit log, also while a relay writes it. Needs no relay.

mod line;

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::signal::unix::{SignalKind, signal};

use super::terminal::Terminal;
use super::{exit, fail};
use crate::audit::{Entry, Event, Fact, Line, OutcomeKind, Pairing, Reference};
use crate::ledger::{self, Follower, LedgerError};
use crate::smtp::{Address, AddressKey};

pub use line::{Style, render_line};

/// How often the live file is looked at.
const POLL: Duration = Duration::from_millis(100);

/// A message without an outcome for so long is shown as pending.
const PENDING_AFTER: SignedDuration = SignedDuration::from_secs(3);

/// What to do with the audit log.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Show the last messages, and with -f each new one
    Tail(TailArgs),
}

/// Which messages to show, and how.
#[derive(clap::Args, Debug)]
pub struct TailArgs {
    /// Go on with each message as its outcome is recorded, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last messages to begin with
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10)]
    pub lines: usize,
    /// Only messages that were withheld, or would be in enforce mode
    #[arg(long)]
    pub withheld: bool,
    /// Only messages to this address, in any case
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<Address>,
    /// The log's own JSON lines (always so when the output is no terminal)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, thiserror::Error)]
enum TailError {
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command on the state directory's audit log.
pub fn run(command: Command, state_dir: &Path) -> ExitCode {
    let Command::Tail(args) = command;
    match tail(&args, &state_dir.join("audit")) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(TailError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), error),
    }
}

impl TailError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Ledger(LedgerError::Absent { .. }) => exit::NO_INPUT,
            Self::Ledger(LedgerError::Damaged { .. } | LedgerError::Missing { .. }) => exit::DATA,
            Self::Ledger(_) | Self::Output(_) => exit::IO,
        }
    }
}

fn tail(args: &TailArgs, dir: &Path) -> Result<(), TailError> {
    let filter = Filter {
        withheld: args.withheld,
        recipient: args.recipient.as_ref().map(|address| address.key(false)),
    };
    let json = args.json || !Terminal::stdout().is_terminal;
    let mut screen = Screen { out: BufWriter::new(io::stdout()), json, day: None };
    let end = ledger::end(dir)?;
    let (entries, pairing) = last(dir, end, args.lines, &filter)?;
    let mut tail = Tail { filter, pairing, shown: HashSet::new() };
    for entry in &entries {
        screen.entry(entry)?;
    }
    // The JSON lines of a message are shown as they come, the line on a terminal with its outcome.
    for entry in tail.pairing.open().filter(|entry| tail.filter.admits(entry)) {
        if json || !args.follow {
            screen.entry(entry)?;
            tail.shown.extend(reference(entry).cloned());
        }
    }
    screen.out.flush()?;
    if args.follow { follow(ledger::follow(dir, end)?, tail, screen) } else { Ok(()) }
}

/// The last `count` complete entries before record `end` that the filter admits, and the messages
/// still without an outcome. Looks ever further back until there are enough.
fn last(dir: &Path, end: u64, count: usize, filter: &Filter) -> Result<(Vec<Entry>, Pairing), LedgerError> {
    let mut window = 4 * count as u64 + 64;
    loop {
        let start = end.saturating_sub(window);
        let mut pairing = Pairing::default();
        let mut entries = Vec::new();
        for record in ledger::read_from(dir, start)? {
            let record = record?;
            if record.number >= end {
                break;
            }
            let complete = pairing.feed(Line::of(record));
            // Without its decision, an outcome at the window's beginning is half a message.
            let whole = |entry: &Entry| start == 0 || entry.message().is_none_or(|m| m.decision.is_some());
            entries.extend(complete.into_iter().filter(|entry| whole(entry) && filter.admits(entry)));
        }
        let open = pairing.open().filter(|entry| filter.admits(entry)).count();
        if entries.len() + open >= count || start == 0 {
            entries.sort_by_key(|entry| entry.number);
            entries.drain(..(entries.len() + open).saturating_sub(count).min(entries.len()));
            return Ok((entries, pairing));
        }
        window = window.saturating_mul(4);
    }
}

fn follow(mut follower: Follower, mut tail: Tail, mut screen: Screen) -> Result<(), TailError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // One listener for the whole time: an interrupt between two waits must not be missed.
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            while let Some(record) = follower.poll()? {
                let line = Line::of(record);
                if screen.json { tail.json_line(&line, &mut screen)? } else { tail.line(line, &mut screen)? }
            }
            if !screen.json {
                tail.pending(Timestamp::now(), &mut screen)?;
            }
            screen.out.flush()?;
            if is_closed(screen.out.get_ref()) {
                return Ok(());
            }
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    })
}

/// Which entries are shown.
struct Filter {
    withheld: bool,
    recipient: Option<AddressKey>,
}

/// The state of `tail -f`.
struct Tail {
    filter: Filter,
    pairing: Pairing,
    /// Messages whose decision is on the screen, but not their outcome.
    shown: HashSet<Reference>,
}

struct Screen {
    out: BufWriter<io::Stdout>,
    json: bool,
    /// The day that the lines on the screen belong to.
    day: Option<String>,
}

impl Filter {
    fn admits(&self, entry: &Entry) -> bool {
        let Some(message) = entry.message() else {
            return !self.withheld && self.recipient.is_none();
        };
        let decision = message.decision.as_ref();
        let withheld = decision.is_some_and(|decision| decision.withholds())
            || message.outcome.as_ref().is_some_and(|outcome| outcome.result == OutcomeKind::Withheld);
        let is_recipient = |key: &AddressKey| {
            let mut recipients = decision.into_iter().flat_map(|decision| &decision.recipients);
            recipients.any(|one| Address::parse(&one.to).is_ok_and(|address| address.key(false) == *key))
        };
        (!self.withheld || withheld) && self.recipient.as_ref().is_none_or(is_recipient)
    }
}

impl Tail {
    /// One line per message, when its outcome is there.
    fn line(&mut self, line: Line, screen: &mut Screen) -> io::Result<()> {
        for entry in self.pairing.feed(line) {
            if let Some(reference) = reference(&entry) {
                self.shown.remove(reference);
            }
            if self.filter.admits(&entry) {
                screen.entry(&entry)?;
            }
        }
        Ok(())
    }

    /// The ledger's lines at once; an outcome when its decision was shown.
    fn json_line(&mut self, line: &Line, screen: &mut Screen) -> io::Result<()> {
        let is_wanted = match &line.event {
            Some(Event::Outcome(outcome)) if self.shown.remove(&outcome.reference) => true,
            Some(Event::Decision(decision)) => {
                let mut alone = Pairing::default();
                alone.feed(line.clone());
                let is_wanted = alone.open().any(|entry| self.filter.admits(entry));
                if is_wanted {
                    self.shown.insert(decision.reference.clone());
                }
                is_wanted
            }
            _ => !self.filter.withheld && self.filter.recipient.is_none(),
        };
        if is_wanted { screen.json(&line.text) } else { Ok(()) }
    }

    /// Messages that wait long for an outcome, each once.
    fn pending(&mut self, now: Timestamp, screen: &mut Screen) -> io::Result<()> {
        for entry in self.pairing.open().filter(|entry| self.filter.admits(entry)) {
            let decided = entry.message().and_then(|message| message.decision.as_ref());
            if let Some(decision) = decided
                && now.duration_since(decision.time) >= PENDING_AFTER
                && self.shown.insert(decision.reference.clone())
            {
                screen.entry(entry)?;
            }
        }
        Ok(())
    }
}

impl Screen {
    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        if self.json {
            return entry.lines.iter().try_for_each(|line| self.json(line));
        }
        let style = Style::of_stdout();
        let day = line::time(entry).map(|time| time.strftime("%Y-%m-%d").to_string());
        if day.is_some() && day != self.day {
            writeln!(self.out, "{}", style.dim(&format!("-- {} UTC", day.as_deref().unwrap_or_default())))?;
            self.day = day;
        }
        writeln!(self.out, "{}", render_line(entry, style))
    }

    fn json(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }
}

fn reference(entry: &Entry) -> Option<&Reference> {
    let Fact::Message(message) = &entry.fact else { return None };
    message
        .decision
        .as_ref()
        .map(|decision| &decision.reference)
        .or(message.outcome.as_ref().map(|outcome| &outcome.reference))
}

/// True when nobody reads the output any more, which a quiet log would not find out by writing.
fn is_closed(stdout: &io::Stdout) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}
