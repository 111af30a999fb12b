//! kill -9 while several threads append and segments rotate: what was acknowledged is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use consentry::ledger::{self, Ledger, Options};

const DIRECTORY: &str = "CONSENTRY_TEST_LEDGER";
const OPTIONS: Options = Options { max_segment_bytes: 2_000, rotate_daily: true };
const ROUNDS: usize = 25;

/// Not a test of its own: the process that the test below kills.
#[test]
#[ignore = "run by the test below"]
fn appending_process() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let (ledger, _) = Ledger::open(&dir, OPTIONS).expect("open");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for n in 0_u64.. {
                    let line = format!(r#"{{"process":{},"thread":{thread},"n":{n}}}"#, std::process::id());
                    let number = ledger.append_blocking(line.clone().into_bytes()).expect("append");
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {number} {line}").and_then(|()| out.flush()).expect("acknowledge");
                }
            });
        }
    });
}

/// Lets a process append until so many lines are acknowledged, kills it, and adds what it had
/// acknowledged by then.
fn append_and_kill(dir: &Path, enough: usize, acknowledged: &mut BTreeMap<u64, String>) {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--ignored", "--exact", "appending_process", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start");
    let mut output = BufReader::new(child.stdout.take().expect("output"));
    let (mut line, mut seen) = (String::new(), 0);
    while output.read_line(&mut line).expect("output") > 0 {
        if let Some((number, text)) =
            line.strip_suffix('\n').and_then(|line| line.strip_prefix("ack ")?.split_once(' '))
        {
            let number = number.parse().expect("number");
            assert_eq!(acknowledged.insert(number, text.to_owned()), None, "{number} was given twice");
            seen += 1;
            if seen == enough {
                child.kill().expect("kill");
            }
        }
        line.clear();
    }
    assert!(seen >= enough, "the appending process ended by itself");
    child.wait().expect("end");
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().expect("directory");
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        append_and_kill(dir.path(), 1 + round * 37 % 101, &mut acknowledged);
        let (ledger, recovery) = Ledger::open(dir.path(), OPTIONS).expect("open");
        let records = ledger::read(dir.path()).expect("read");
        let records: Vec<_> = records.map(|record| record.expect("record")).collect();
        assert_eq!((records.len() as u64, ledger.len()), (recovery.records, recovery.records));
        for (number, text) in &acknowledged {
            let record = &records[usize::try_from(*number).expect("number")];
            assert_eq!((record.number, record.line.as_slice()), (*number, text.as_bytes()));
        }
    }
    assert!(acknowledged.len() > ROUNDS);
}
