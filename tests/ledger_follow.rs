//! Following a ledger while it is written and rotated: every record once, in order.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use consentry::ledger::{self, Ledger, Options};
use proptest::prelude::*;

fn line(n: u64) -> Vec<u8> {
    format!(r#"{{"n":{n}}}"#).into_bytes()
}

fn open(dir: &Path, max_segment_bytes: u64) -> Ledger {
    Ledger::open(dir, Options { max_segment_bytes, rotate_daily: false }).expect("open").0
}

#[test]
fn nothing_is_missed_or_repeated_while_another_thread_writes_and_rotates() {
    const RECORDS: u64 = 600;
    let dir = tempfile::tempdir().expect("directory");
    let ledger = open(dir.path(), 60);
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for first in [0, 300] {
            scope.spawn({
                let (dir, written) = (dir.path(), &written);
                move || {
                    let mut follower = ledger::follow(dir, first).expect("follow");
                    let mut next = first;
                    loop {
                        let all_written = written.load(Ordering::SeqCst);
                        match follower.poll().expect("poll") {
                            Some(record) => {
                                assert_eq!((record.number, record.line), (next, line(next)));
                                next += 1;
                            }
                            None if all_written => break,
                            None => std::thread::yield_now(),
                        }
                    }
                    assert_eq!(next, RECORDS);
                }
            });
        }
        for n in 0..RECORDS {
            ledger.append_blocking(line(n)).expect("append");
        }
        written.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_follower_that_begins_beyond_the_end_waits_for_that_record() {
    let dir = tempfile::tempdir().expect("directory");
    let ledger = open(dir.path(), 60);
    ledger.append_blocking(line(0)).expect("append");
    let mut follower = ledger::follow(dir.path(), 2).expect("follow");
    assert_eq!(follower.number(), 2);
    assert_eq!(follower.poll().expect("poll"), None);
    ledger.append_blocking(line(1)).expect("append");
    assert_eq!(follower.poll().expect("poll"), None);
    ledger.append_blocking(line(2)).expect("append");
    assert_eq!(follower.poll().expect("poll").map(|record| record.number), Some(2));
}

#[test]
fn a_long_line_is_read_whole() {
    let dir = tempfile::tempdir().expect("directory");
    let ledger = open(dir.path(), u64::MAX);
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(ledger::MAX_LINE - 8)).into_bytes();
    assert_eq!(long.len(), ledger::MAX_LINE);
    for _ in 0..3 {
        ledger.append_blocking(line(1)).expect("append");
        ledger.append_blocking(long.clone()).expect("append");
    }
    let read: Vec<_> = ledger::read(dir.path()).expect("read").map(|r| r.expect("record").line).collect();
    assert_eq!(read, [line(1), long.clone(), line(1), long.clone(), line(1), long]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Appends in batches of any size, with any segment size, reopening in between, are read back.
    #[test]
    fn what_goes_in_comes_out(batches in prop::collection::vec((1_u64..12, any::<bool>()), 1..12),
                              max_segment_bytes in 1_u64..200, first in 0_u64..60) {
        let dir = tempfile::tempdir().expect("directory");
        let mut ledger = Some(open(dir.path(), max_segment_bytes));
        let mut end = 0;
        for (batch, reopen) in batches {
            if reopen {
                drop(ledger.take());
            }
            let open = ledger.get_or_insert_with(|| open(dir.path(), max_segment_bytes));
            let range = open.append_all_blocking((end..end + batch).map(line).collect()).expect("append");
            prop_assert_eq!(range, end..end + batch);
            end += batch;
        }
        let read: Vec<_> = ledger::read_from(dir.path(), first).expect("read")
            .map(|record| record.expect("record")).map(|record| (record.number, record.line)).collect();
        prop_assert_eq!(read, (first..end).map(|n| (n, line(n))).collect::<Vec<_>>());
        prop_assert_eq!(ledger::end(dir.path()).expect("end"), end);
    }
}
