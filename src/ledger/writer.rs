//! Group commit: one thread takes all lines that wait, writes them with one write and one
//! fdatasync, and answers everyone.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::live::Live;
use super::{LedgerError, MAX_COMMIT};

/// Lines that a caller waits for.
pub(super) struct Request {
    /// Complete lines, each with its newline.
    pub bytes: Vec<u8>,
    /// How many.
    pub records: u64,
    pub answer: oneshot::Sender<Result<Range<u64>, LedgerError>>,
}

/// How far the writer has come, for everyone to read.
#[derive(Debug)]
pub(super) struct Progress {
    records: AtomicU64,
}

impl Progress {
    pub(super) fn new(records: u64) -> Self {
        Self { records: AtomicU64::new(records) }
    }

    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Acquire)
    }
}

/// Starts the thread; it ends when the queue's last sender is gone and its requests are done.
pub(super) fn spawn(
    live: Live,
    queue: mpsc::Receiver<Request>,
    progress: Arc<Progress>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("ledger".to_owned()).spawn(move || run(live, queue, &progress))
}

fn run(mut live: Live, mut queue: mpsc::Receiver<Request>, progress: &Progress) {
    let mut waiting: Vec<Request> = Vec::new();
    let mut bytes = Vec::new();
    let mut healthy = true;
    while let Some(request) = queue.blocking_recv() {
        bytes.extend_from_slice(&request.bytes);
        waiting.push(request);
        // The last to join may bring as much again, so a commit is at most twice as long.
        while bytes.len() < MAX_COMMIT
            && let Ok(request) = queue.try_recv()
        {
            bytes.extend_from_slice(&request.bytes);
            waiting.push(request);
        }
        let records = waiting.iter().map(|request| request.records).sum();
        let committed = live.commit(&bytes, records);
        progress.records.store(live.end(), Ordering::Release);
        log_change(&mut healthy, &committed);
        answer(&mut waiting, committed);
        bytes.clear();
    }
}

fn answer(waiting: &mut Vec<Request>, committed: Result<Range<u64>, LedgerError>) {
    let mut next = committed.as_ref().map_or(0, |range| range.start);
    for request in waiting.drain(..) {
        let range = next..next + request.records;
        next = range.end;
        // A caller that no longer waits has lost interest in the answer, not in the record.
        let _ = request.answer.send(committed.as_ref().map(|_| range).map_err(Clone::clone));
    }
}

/// One log line when the disk begins to fail and one when it is well again, not one per message.
fn log_change(healthy: &mut bool, committed: &Result<Range<u64>, LedgerError>) {
    match committed {
        Err(error) if *healthy => tracing::error!(%error, "the ledger refuses records"),
        Ok(_) if !*healthy => tracing::info!("the ledger takes records again"),
        _ => {}
    }
    *healthy = committed.is_ok();
}
