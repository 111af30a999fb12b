//! Appending to a ledger, opening it again, rotating it, and reading it back.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use consentry::ledger::{self, Ledger, LedgerError, MAX_COMMIT, MAX_LINE, Options, Recovery};

fn line(n: u64) -> Vec<u8> {
    format!(r#"{{"n":{n}}}"#).into_bytes()
}

fn open(dir: &Path) -> (Ledger, Recovery) {
    Ledger::open(dir, Options::default()).expect("open")
}

fn small_segments(dir: &Path, max_segment_bytes: u64) -> Ledger {
    Ledger::open(dir, Options { max_segment_bytes, rotate_daily: false }).expect("open").0
}

fn numbers_and_lines(dir: &Path, first: u64) -> Vec<(u64, Vec<u8>)> {
    let records = ledger::read_from(dir, first).expect("read");
    records.map(|record| record.expect("record")).map(|record| (record.number, record.line)).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("list")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".jsonl"))
        .collect();
    names.sort();
    names
}

fn append_raw(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(bytes)).expect("append");
}

#[test]
fn what_was_appended_is_read_back_with_its_numbers_also_after_opening_again() {
    let dir = tempfile::tempdir().expect("directory");
    let (ledger, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery::default());
    assert!(ledger.is_empty());
    assert_eq!(ledger.append_blocking(line(0)).expect("append"), 0);
    assert_eq!(ledger.append_all_blocking(vec![line(1), line(2)]).expect("append"), 1..3);
    assert_eq!(ledger.append_all_blocking(Vec::new()).expect("append nothing"), 3..3);
    drop(ledger);
    let (ledger, recovery) = open(dir.path());
    assert_eq!((recovery.records, recovery.torn_bytes, ledger.len()), (3, 0, 3));
    assert_eq!(ledger.append_blocking(line(3)).expect("append"), 3);
    assert_eq!(numbers_and_lines(dir.path(), 0), (0..4).map(|n| (n, line(n))).collect::<Vec<_>>());
    assert_eq!(ledger::end(dir.path()).expect("end"), 4);
}

#[tokio::test]
async fn blocking_calls_within_a_runtime_do_not_panic() {
    let dir = tempfile::tempdir().expect("directory");
    let (ledger, _) = open(dir.path());
    assert_eq!(ledger.append_blocking(line(0)).expect("append"), 0);
    assert_eq!(ledger.append(line(1)).await.expect("append"), 1);
}

#[test]
fn only_its_owner_can_read_it() {
    let parent = tempfile::tempdir().expect("directory");
    let dir = parent.path().join("state/audit");
    let (ledger, _) = open(&dir);
    ledger.append_blocking(line(0)).expect("append");
    assert_eq!(fs::metadata(&dir).expect("directory").permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(dir.join("current.jsonl")).expect("file").mode() & 0o777, 0o600);
}

#[test]
fn a_second_writer_is_refused_by_name_until_the_first_one_is_gone() {
    let dir = tempfile::tempdir().expect("directory");
    let first = open(dir.path());
    let refused = Ledger::open(dir.path(), Options::default()).expect_err("locked");
    let message = refused.to_string();
    assert!(message.contains(&dir.path().display().to_string()), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert!(message.contains("stop that process"), "{message}");
    drop(first);
    open(dir.path());
}

#[test]
fn what_is_no_single_json_object_is_refused_and_leaves_no_trace() {
    let dir = tempfile::tempdir().expect("directory");
    let (ledger, _) = open(dir.path());
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(MAX_LINE)).into_bytes();
    for bad in [
        b"".to_vec(),
        b"x".to_vec(),
        b"{".to_vec(),
        b"{x}".to_vec(),
        b"{} {}".to_vec(),
        b"{\"a\":\n1}".to_vec(),
        b"{\"a\":1}\n".to_vec(),
        long,
    ] {
        let error = ledger.append_blocking(bad).expect_err("refused");
        assert!(matches!(error, LedgerError::BadLine { .. }), "{error}");
    }
    let one = format!(r#"{{"x":"{}"}}"#, "x".repeat(MAX_LINE / 2)).into_bytes();
    let many = vec![one; 2 * MAX_COMMIT / MAX_LINE + 1];
    let error = ledger.append_all_blocking(many).expect_err("too much");
    assert!(matches!(error, LedgerError::TooMuch { .. }), "{error}");
    assert_eq!(ledger.append_blocking(line(0)).expect("append"), 0);
    assert_eq!(numbers_and_lines(dir.path(), 0), [(0, line(0))]);
}

#[test]
fn a_torn_last_line_is_moved_aside_and_the_rest_stands() {
    for torn in [&b"{\"n\":2"[..], b"{\"n\":2}", b"garbage\n", b"{\"n\":2}\n\0\0\0\0\n{\"n\":4}\n", b"\0\0\0"]
    {
        let dir = tempfile::tempdir().expect("directory");
        let (ledger, _) = open(dir.path());
        ledger.append_all_blocking(vec![line(0), line(1)]).expect("append");
        drop(ledger);
        append_raw(&dir.path().join("current.jsonl"), torn);

        let (ledger, recovery) = open(dir.path());
        let whole: u64 = if torn.starts_with(b"{\"n\":2}\n") { 3 } else { 2 };
        let cut = &torn[if whole == 3 { 8 } else { 0 }..];
        assert_eq!((recovery.records, recovery.torn_bytes), (whole, cut.len() as u64), "{torn:?}");
        let side = recovery.torn_file.expect("side file");
        assert_eq!(fs::read(&side).expect("side file"), cut);
        assert_eq!(fs::metadata(&side).expect("side file").mode() & 0o777, 0o600);
        assert_eq!(ledger.append_blocking(line(whole)).expect("append"), whole);
        assert_eq!(numbers_and_lines(dir.path(), 0), (0..=whole).map(|n| (n, line(n))).collect::<Vec<_>>());
        drop(ledger);
        assert_eq!(open(dir.path()).1.torn_bytes, 0);
    }
}

#[test]
fn segments_carry_their_first_number_and_reading_from_any_record_begins_there() {
    let dir = tempfile::tempdir().expect("directory");
    let ledger = small_segments(dir.path(), 32);
    for n in 0..23 {
        assert_eq!(ledger.append_blocking(line(n)).expect("append"), n);
    }
    let names = names(dir.path());
    assert_eq!(names.len(), 7, "{names:?}");
    for (name, first) in names.iter().zip(["0000", "0004", "0008", "0011", "0014", "0017"]) {
        assert!(name.starts_with(&format!("0000000000000000{first}-20")), "{names:?}");
    }
    assert_eq!(names[6], "current.jsonl");
    for first in 0..25 {
        let expected: Vec<_> = (first..23).map(|n| (n, line(n))).collect();
        assert_eq!(numbers_and_lines(dir.path(), first), expected, "from {first}");
    }
    drop(ledger);
    assert_eq!(open(dir.path()).1, Recovery { records: 23, segments: 6, ..Recovery::default() });
}

#[test]
fn the_first_line_of_a_new_day_starts_a_file_that_is_named_after_the_old_day() {
    let dir = tempfile::tempdir().expect("directory");
    let (ledger, _) = open(dir.path());
    ledger.append_all_blocking(vec![line(0), line(1)]).expect("append");
    drop(ledger);
    let path = dir.path().join("current.jsonl");
    let day = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    OpenOptions::new().write(true).open(path).and_then(|file| file.set_modified(day)).expect("touch");
    let (ledger, _) = open(dir.path());
    assert_eq!(ledger.append_blocking(line(2)).expect("append"), 2);
    assert_eq!(names(dir.path()), ["00000000000000000000-20231114.jsonl", "current.jsonl"]);
    assert_eq!(numbers_and_lines(dir.path(), 0), (0..3).map(|n| (n, line(n))).collect::<Vec<_>>());
}

#[test]
fn a_crash_between_the_rename_and_the_creation_loses_no_number() {
    let dir = tempfile::tempdir().expect("directory");
    let ledger = small_segments(dir.path(), 32);
    for n in 0..6 {
        ledger.append_blocking(line(n)).expect("append");
    }
    drop(ledger);
    let rotated = dir.path().join("00000000000000000004-20261123.jsonl");
    fs::rename(dir.path().join("current.jsonl"), rotated).expect("rename");
    assert_eq!(numbers_and_lines(dir.path(), 3), [(3, line(3)), (4, line(4)), (5, line(5))]);
    assert_eq!(ledger::end(dir.path()).expect("end"), 6);
    let (ledger, recovery) = open(dir.path());
    assert_eq!((recovery.records, recovery.segments), (6, 2));
    assert_eq!(ledger.append_blocking(line(6)).expect("append"), 6);
    assert_eq!(numbers_and_lines(dir.path(), 5), [(5, line(5)), (6, line(6))]);
}

#[test]
fn a_missing_segment_and_a_cut_one_are_named() {
    let dir = tempfile::tempdir().expect("directory");
    let ledger = small_segments(dir.path(), 16);
    for n in 0..10 {
        ledger.append_blocking(line(n)).expect("append");
    }
    drop(ledger);
    let names = names(dir.path());
    let cut = dir.path().join(&names[2]);
    let length = fs::metadata(&cut).expect("segment").len();
    OpenOptions::new().write(true).open(&cut).and_then(|file| file.set_len(length - 1)).expect("cut");
    let error = ledger::read(dir.path()).expect("read").find_map(Result::err).expect("damaged");
    assert!(matches!(error, LedgerError::Damaged { record: 5, .. }), "{error}");
    fs::remove_file(&cut).expect("remove");
    let error = ledger::read(dir.path()).expect("read").find_map(Result::err).expect("missing");
    assert!(matches!(error, LedgerError::Missing { first: 4, last: 5, .. }), "{error}");
}

#[test]
fn a_directory_without_a_ledger_says_so() {
    let dir = tempfile::tempdir().expect("directory");
    for absent in [dir.path().to_owned(), dir.path().join("none")] {
        let error = ledger::read(&absent).expect_err("absent");
        assert!(matches!(error, LedgerError::Absent { .. }), "{error}");
    }
}

#[test]
fn a_reader_of_the_live_file_leaves_an_unfinished_line_for_later() {
    let dir = tempfile::tempdir().expect("directory");
    let (ledger, _) = open(dir.path());
    ledger.append_blocking(line(0)).expect("append");
    let path = dir.path().join("current.jsonl");
    append_raw(&path, b"{\"n\"");
    let mut follower = ledger::follow(dir.path(), 0).expect("follow");
    assert_eq!(follower.poll().expect("poll").map(|record| record.number), Some(0));
    assert_eq!(follower.poll().expect("poll"), None);
    assert_eq!(numbers_and_lines(dir.path(), 0), [(0, line(0))]);
    append_raw(&path, b":1}\n");
    assert_eq!(follower.poll().expect("poll").map(|record| record.line), Some(line(1)));
}
