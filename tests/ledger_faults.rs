//! What a ledger does when the disk refuses: every waiting caller hears it, no part of a line stays,
//! and the ledger works again by itself.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use consentry::ledger::disk::{Disk, LiveFile, Local};
use consentry::ledger::{self, Ledger, LedgerError, Options};
use jiff::Timestamp;
use tokio::task::{JoinSet, yield_now};

/// What the disk refuses now, and what it was asked so far.
#[derive(Default)]
struct State {
    /// A write stores this many bytes and then finds the disk full.
    room: Option<usize>,
    refuse_sync: bool,
    refuse_set_len: bool,
    refuse_open: bool,
    refuse_rename: bool,
    /// An fsync waits as long as this is set.
    hold_sync: bool,
    now: Timestamp,
    opens: usize,
    syncs: usize,
}

#[derive(Clone, Default)]
struct Faulty(Arc<(Mutex<State>, Condvar)>);

impl Faulty {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("state")
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    fn wait_until(&self, condition: impl Fn(&State) -> bool) {
        drop(self.0.1.wait_while(self.state(), |state| !condition(state)).expect("state"));
    }

    fn open(&self, dir: &Path, max_segment_bytes: u64) -> Ledger {
        let options = Options { max_segment_bytes, rotate_daily: true };
        Ledger::open_on(dir, options, Box::new(self.clone())).expect("open").0
    }
}

fn refuse_if(refuse: bool) -> io::Result<()> {
    if refuse { Err(io::Error::other("refused by the test")) } else { Ok(()) }
}

impl Disk for Faulty {
    fn open_live(&self, path: &Path) -> io::Result<Box<dyn LiveFile>> {
        refuse_if(self.state().refuse_open)?;
        self.set(|state| state.opens += 1);
        Ok(Box::new(FaultyFile { disk: self.clone(), file: Local.open_live(path)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        refuse_if(self.state().refuse_rename)?;
        Local.rename(from, to)
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        Local.sync_directory(dir)
    }

    fn now(&self) -> Timestamp {
        self.state().now
    }
}

struct FaultyFile {
    disk: Faulty,
    file: Box<dyn LiveFile>,
}

impl LiveFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.disk.state().room {
            Some(room) if room < bytes.len() => {
                self.file.write_at(&bytes[..room], offset)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => self.file.write_at(bytes, offset),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.set(|state| state.syncs += 1);
        self.disk.wait_until(|state| !state.hold_sync);
        refuse_if(self.disk.state().refuse_sync)?;
        self.file.sync()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        refuse_if(self.disk.state().refuse_set_len)?;
        self.file.set_len(len)
    }
}

const NEVER: u64 = u64::MAX;

fn line(n: usize) -> Vec<u8> {
    format!(r#"{{"n":{n}}}"#).into_bytes()
}

fn lines(dir: &Path) -> Vec<Vec<u8>> {
    ledger::read(dir).expect("read").map(|record| record.expect("record").line).collect()
}

fn live(dir: &Path) -> String {
    fs::read_to_string(dir.join("current.jsonl")).expect("live file")
}

#[tokio::test]
async fn callers_that_wait_share_one_fsync() {
    let dir = tempfile::tempdir().expect("directory");
    let disk = Faulty::default();
    let ledger = disk.open(dir.path(), NEVER);
    let before = disk.state().syncs;
    disk.set(|state| state.hold_sync = true);
    let polled = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    let mut append = |n| {
        let (ledger, polled) = (ledger.clone(), Arc::clone(&polled));
        callers.spawn(async move {
            polled.fetch_add(1, Ordering::SeqCst);
            ledger.append(line(n)).await.expect("append")
        });
    };
    append(0);
    while polled.load(Ordering::SeqCst) < 1 {
        yield_now().await;
    }
    disk.wait_until(|state| state.syncs == before + 1);
    (1..=100).for_each(append);
    while polled.load(Ordering::SeqCst) < 101 {
        yield_now().await;
    }
    disk.set(|state| state.hold_sync = false);
    let mut numbers = callers.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..=100).collect::<Vec<u64>>());
    assert_eq!(disk.state().syncs, before + 2);
    assert_eq!(lines(dir.path()).len(), 101);
}

#[test]
fn threads_get_the_numbers_of_their_own_lines() {
    let dir = tempfile::tempdir().expect("directory");
    let disk = Faulty::default();
    let ledger = disk.open(dir.path(), 400);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (ledger, dir) = (ledger.clone(), dir.path());
            scope.spawn(move || {
                for n in 0..20 {
                    let own = line(thread * 1000 + n);
                    let number = ledger.append_blocking(own.clone()).expect("append");
                    let mut from_there = ledger::read_from(dir, number).expect("read");
                    assert_eq!(from_there.next().expect("a record").expect("record").line, own);
                }
            });
        }
    });
    assert_eq!((ledger.len(), lines(dir.path()).len()), (320, 320));
}

#[tokio::test]
async fn on_a_full_disk_every_waiting_caller_hears_it_and_no_part_of_a_line_stays() {
    let dir = tempfile::tempdir().expect("directory");
    let disk = Faulty::default();
    let ledger = disk.open(dir.path(), NEVER);
    ledger.append(line(0)).await.expect("append");
    disk.set(|state| state.room = Some(5));
    for _ in 0..3 {
        let (one, other) = tokio::join!(ledger.append(line(1)), ledger.append(line(2)));
        for error in [one.expect_err("full"), other.expect_err("full")] {
            assert!(error.is_disk_full(), "{error}");
            assert!(error.to_string().contains("current.jsonl"), "{error}");
        }
        assert_eq!(live(dir.path()), "{\"n\":0}\n");
        assert_eq!(ledger.len(), 1);
    }
    disk.set(|state| state.room = None);
    assert_eq!(ledger.append(line(3)).await.expect("append"), 1);
    assert_eq!(lines(dir.path()), [line(0), line(3)]);
}

#[test]
fn a_partial_line_that_could_not_be_cut_off_is_cut_off_before_the_next_one() {
    let dir = tempfile::tempdir().expect("directory");
    let disk = Faulty::default();
    let ledger = disk.open(dir.path(), NEVER);
    ledger.append_blocking(line(0)).expect("append");
    disk.set(|state| (state.room, state.refuse_set_len) = (Some(5), true));
    ledger.append_blocking(line(1)).expect_err("full");
    assert_eq!(live(dir.path()), "{\"n\":0}\n{\"n\":");
    assert_eq!(lines(dir.path()), [line(0)]);
    disk.set(|state| state.room = None);
    ledger.append_blocking(line(2)).expect_err("not repaired yet");
    disk.set(|state| state.refuse_set_len = false);
    assert_eq!(ledger.append_blocking(line(3)).expect("append"), 1);
    assert_eq!(live(dir.path()), "{\"n\":0}\n{\"n\":3}\n");
}

#[test]
fn after_a_failed_fsync_the_file_is_opened_anew_and_its_last_page_written_again() {
    let dir = tempfile::tempdir().expect("directory");
    let disk = Faulty::default();
    let ledger = disk.open(dir.path(), NEVER);
    ledger.append_all_blocking(vec![line(0), line(1)]).expect("append");
    let opens = disk.state().opens;
    disk.set(|state| state.refuse_sync = true);
    let error = ledger.append_blocking(line(2)).expect_err("refused");
    assert!(matches!(error, LedgerError::Io { action: "make durable", .. }), "{error}");
    assert_eq!(disk.state().opens, opens + 1);
    assert_eq!(live(dir.path()), "{\"n\":0}\n{\"n\":1}\n");
    // What the kernel dropped: the durable lines must come back from memory.
    File::options()
        .write(true)
        .open(dir.path().join("current.jsonl"))
        .and_then(|file| file.set_len(0))
        .expect("drop");
    disk.set(|state| state.refuse_sync = false);
    assert_eq!(ledger.append_blocking(line(3)).expect("append"), 2);
    assert_eq!(live(dir.path()), "{\"n\":0}\n{\"n\":1}\n{\"n\":3}\n");
}

#[test]
fn a_follower_that_saw_lines_which_were_taken_back_shows_those_that_came_instead() {
    let dir = tempfile::tempdir().expect("directory");
    let disk = Faulty::default();
    let ledger = disk.open(dir.path(), NEVER);
    ledger.append_blocking(line(0)).expect("append");
    let mut follower = ledger::follow(dir.path(), 0).expect("follow");
    let mut poll = || follower.poll().expect("poll").map(|record| (record.number, record.line));
    disk.set(|state| (state.refuse_sync, state.refuse_open) = (true, true));
    ledger.append_all_blocking(vec![line(1), line(2)]).expect_err("refused");
    assert_eq!(
        [poll(), poll(), poll(), poll()].map(|seen| seen.map(|(n, _)| n)),
        [Some(0), Some(1), Some(2), None]
    );
    disk.set(|state| (state.refuse_sync, state.refuse_open) = (false, false));
    ledger.append_blocking(line(30_000_000)).expect("append");
    ledger.append_blocking(line(4)).expect("append");
    assert_eq!(poll(), Some((1, line(30_000_000))));
    assert_eq!(poll(), Some((2, line(4))));
    assert_eq!(poll(), None);
}

#[test]
fn a_rotation_that_is_refused_is_made_up_for() {
    let dir = tempfile::tempdir().expect("directory");
    let disk = Faulty::default();
    let ledger = disk.open(dir.path(), 20);
    disk.set(|state| state.refuse_rename = true);
    for n in 0..4 {
        assert_eq!(ledger.append_blocking(line(n)).expect("append"), n as u64);
    }
    assert_eq!(live(dir.path()).lines().count(), 4);
    disk.set(|state| (state.refuse_rename, state.refuse_open) = (false, true));
    for n in 4..6 {
        ledger.append_blocking(line(n)).expect_err("no live file");
    }
    assert_eq!(lines(dir.path()).len(), 4);
    disk.set(|state| state.refuse_open = false);
    assert_eq!(ledger.append_blocking(line(6)).expect("append"), 4);
    assert_eq!(lines(dir.path()), [line(0), line(1), line(2), line(3), line(6)]);
    assert_eq!(live(dir.path()), "{\"n\":6}\n");
}

#[test]
fn midnight_in_utc_starts_a_new_file() {
    let dir = tempfile::tempdir().expect("directory");
    let disk = Faulty::default();
    let at = |time: &str| time.parse().expect("time");
    disk.set(|state| state.now = at("2026-11-23T23:59:59.999Z"));
    let ledger = disk.open(dir.path(), NEVER);
    ledger.append_all_blocking(vec![line(0), line(1)]).expect("append");
    disk.set(|state| state.now = at("2026-11-24T00:00:00Z"));
    ledger.append_blocking(line(2)).expect("append");
    let day = fs::read_to_string(dir.path().join("00000000000000000000-20261123.jsonl")).expect("segment");
    assert_eq!(day.lines().count(), 2);
    assert_eq!(live(dir.path()), "{\"n\":2}\n");
}

/// A file system of 128 KiB; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().expect("directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"]).arg(dir.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_real_full_disk_nothing_is_lost_and_appending_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: mounting a small tmpfs needs root");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![b'x'; 64 * 1024]).expect("ballast");
    let dir = disk.0.path().join("audit");
    let (ledger, _) = Ledger::open(&dir, Options::default()).expect("open");
    let line = |n| format!(r#"{{"n":{n},"filler":"{}"}}"#, "x".repeat(1000)).into_bytes();
    let mut acknowledged = 0;
    let full = loop {
        match ledger.append_blocking(line(acknowledged)) {
            Ok(number) => assert_eq!(number, acknowledged),
            Err(error) => break error,
        }
        acknowledged += 1;
    };
    assert!(full.is_disk_full(), "{full}");
    assert!(ledger.append_blocking(line(7777)).expect_err("full").is_disk_full());
    let text = live(&dir);
    assert!(text.ends_with("}\n") && text.lines().count() as u64 == acknowledged);
    fs::remove_file(&ballast).expect("make space");
    assert_eq!(ledger.append_blocking(line(acknowledged)).expect("append"), acknowledged);
    drop(ledger);
    let (_, recovery) = Ledger::open(&dir, Options::default()).expect("open");
    assert_eq!((recovery.records, recovery.torn_bytes), (acknowledged + 1, 0));
    assert_eq!(lines(&dir), (0..=acknowledged).map(line).collect::<Vec<_>>());
}
