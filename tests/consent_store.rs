//! What is recorded is durable, decides the next look-up, and survives the end of the process.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use consentry::consent::{ConsentError, ConsentStore, NewRecord, Purpose, Status, StoreOptions};
use jiff::{SignedDuration, Timestamp};
use support::consent::{address, fact};

fn open(dir: &Path, fold_tags: bool) -> ConsentStore {
    ConsentStore::open(dir, StoreOptions { fold_tags, ..StoreOptions::default() }).expect("store")
}

fn holds(store: &ConsentStore, text: &str) -> Status {
    store.standing(&address(text), &Purpose::default(), Timestamp::now()).expect("standing").status
}

fn ago(hours: i64) -> Option<Timestamp> {
    Timestamp::now().checked_sub(SignedDuration::from_hours(hours)).ok()
}

#[tokio::test]
async fn a_recorded_fact_decides_the_next_look_up() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), false);
    assert_eq!(holds(&store, "a@x.example"), Status::Unknown);
    for (number, status) in
        [Status::OptedIn, Status::OptedOut, Status::SoftOptIn, Status::OptedOut, Status::OptedIn]
            .into_iter()
            .enumerate()
    {
        let recorded = store.record(fact("a@x.example", status)).await.expect("recorded");
        let standing =
            store.standing(&address("a@x.example"), &Purpose::default(), Timestamp::now()).expect("standing");
        assert_eq!((recorded, standing.status, standing.record), (number as u64, status, Some(recorded)));
    }
    let other = Purpose::parse("newsletter").expect("purpose");
    let standing = store.standing(&address("a@x.example"), &other, Timestamp::now()).expect("standing");
    assert_eq!(standing.status, Status::Unknown, "consent for one purpose is none for another");
}

#[tokio::test]
async fn late_facts_go_into_history_and_overturn_nothing() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), false);
    store.record(NewRecord { at: ago(1), ..fact("a@x.example", Status::OptedOut) }).await.expect("recorded");
    store.record(NewRecord { at: ago(2), ..fact("a@x.example", Status::OptedIn) }).await.expect("recorded");
    assert_eq!(holds(&store, "a@x.example"), Status::OptedOut);
    let history = store.history(&address("A@X.example"), None).expect("history");
    assert_eq!(
        history.iter().map(|record| (record.record, record.fact.status)).collect::<Vec<_>>(),
        [(0, Status::OptedOut), (1, Status::OptedIn)]
    );
}

#[tokio::test]
async fn a_grant_ends_at_its_time() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), false);
    let until = Timestamp::now().checked_add(SignedDuration::from_hours(1)).expect("time");
    let grant = NewRecord { until: Some(until), ..fact("a@x.example", Status::OptedIn) };
    store.record(grant).await.expect("recorded");
    let at = |now| store.standing(&address("a@x.example"), &Purpose::default(), now).expect("standing");
    let before = at(Timestamp::now());
    assert_eq!((before.status, before.expired), (Status::OptedIn, false));
    let after = at(until);
    assert_eq!((after.status, after.expired, after.recorded), (Status::Unknown, true, Some(Status::OptedIn)));
}

#[tokio::test]
async fn a_refusal_counts_even_if_the_clock_was_ahead_when_consent_was_given() {
    let dir = tempfile::tempdir().expect("directory");
    drop(open(dir.path(), false));
    let tomorrow = Timestamp::now().checked_add(SignedDuration::from_hours(24)).expect("time");
    let line = format!(
        r#"{{"address":"a@x.example","purpose":"marketing","status":"opted_in","basis":"b","source":"s","at":"{tomorrow:.6}","set_by":"x","recorded_at":"{tomorrow:.6}"}}"#
    );
    std::fs::write(dir.path().join("consent/current.jsonl"), line + "\n").expect("written");
    let store = open(dir.path(), false);
    assert_eq!(holds(&store, "a@x.example"), Status::OptedIn);
    store.record(fact("a@x.example", Status::OptedOut)).await.expect("recorded");
    assert_eq!(holds(&store, "a@x.example"), Status::OptedOut);
}

#[tokio::test]
async fn look_ups_go_by_the_person_and_not_by_the_spelling() {
    let same: &[(&str, &[&str], bool)] = &[
        (
            "Ana@Example.com",
            &["ana@example.com", "ANA@EXAMPLE.COM", "\"ana\"@example.com", "\"An\\a\"@example.com"],
            false,
        ),
        ("ana@bücher.example", &["ana@xn--bcher-kva.example", "ANA@BÜCHER.example"], false),
        ("\"a b\"@x.example", &["\"A b\"@X.example"], false),
        ("ana+shop@x.example", &["ana@x.example", "ana+other@x.example"], true),
    ];
    for (recorded, asked, fold_tags) in same {
        let dir = tempfile::tempdir().expect("directory");
        let store = open(dir.path(), *fold_tags);
        store.record(fact(recorded, Status::OptedOut)).await.expect("recorded");
        for spelling in *asked {
            assert_eq!(holds(&store, spelling), Status::OptedOut, "{recorded} asked as {spelling}");
            let history = store.history(&address(spelling), None).expect("history");
            assert_eq!(history[0].fact.address.as_str(), *recorded, "the address is kept as given");
        }
        for stranger in ["an@example.com", "ana@example.co", "ab@x.example", "b+ana@x.example"] {
            assert_eq!(holds(&store, stranger), Status::Unknown, "{stranger}");
        }
    }
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), false);
    store.record(fact("ana+shop@x.example", Status::OptedIn)).await.expect("recorded");
    assert_eq!(holds(&store, "ana@x.example"), Status::Unknown, "tags are kept apart unless configured");
}

#[tokio::test]
async fn a_batch_with_a_fault_leaves_no_trace() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), false);
    let batch = vec![
        fact("a@x.example", Status::OptedIn),
        NewRecord { basis: String::new(), ..fact("b@x.example", Status::OptedIn) },
    ];
    let error = store.record_all(batch).await.expect_err("refused");
    assert!(matches!(error, ConsentError::InvalidInBatch { place: 1, .. }), "{error}");
    assert!(store.is_empty());
    assert_eq!(holds(&store, "a@x.example"), Status::Unknown);
}

#[tokio::test]
async fn one_process_at_a_time_has_the_store() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), false);
    let error = ConsentStore::open(dir.path(), StoreOptions::default()).err().expect("refused");
    assert!(error.is_locked(), "{error}");
    drop(store);
    open(dir.path(), false);
}

#[tokio::test]
async fn pages_give_every_record_once_and_only_what_decides() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), false);
    for status in [Status::OptedIn, Status::OptedOut] {
        let facts = (0..25).map(|n| fact(&format!("p{n}@x.example"), status)).collect();
        store.record_all(facts).await.expect("recorded");
    }
    let all = |current| {
        let (mut records, mut from) = (Vec::new(), Some(0));
        while let Some(first) = from {
            let page = store.page(first, 7, current).expect("page");
            assert!(page.records.len() <= 7);
            records.extend(page.records.into_iter().map(|record| record.record));
            from = page.next;
        }
        records
    };
    assert_eq!(all(false), (0..50).collect::<Vec<u64>>());
    assert_eq!(all(true), (25..50).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_and_readers_agree_with_the_ledger() {
    let dir = tempfile::tempdir().expect("directory");
    let store = Arc::new(open(dir.path(), false));
    let writers: Vec<_> = (0..8_u64)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for turn in 0..40_u64 {
                    let status = if (turn + writer) % 2 == 0 { Status::OptedIn } else { Status::OptedOut };
                    let own = format!("own{writer}@x.example");
                    let number = store.record(fact(&own, status)).await.expect("recorded");
                    let standing = store
                        .standing(&address(&own), &Purpose::default(), Timestamp::now())
                        .expect("standing");
                    assert_eq!((standing.status, standing.record), (status, Some(number)));
                    store.record(fact("shared@x.example", status)).await.expect("recorded");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("writer");
    }
    assert_eq!(store.len(), 640);
    let shared = store.history(&address("shared@x.example"), None).expect("history");
    assert!(
        shared.windows(2).all(|pair| pair[0].fact.at < pair[1].fact.at),
        "order of the ledger is order in time"
    );
    let last = shared.last().expect("record");
    assert_eq!(holds(&store, "shared@x.example"), last.fact.status);
    drop(store);
    assert_eq!(holds(&open(dir.path(), false), "shared@x.example"), last.fact.status);
}

const CHILD: &str = "CONSENTRY_TEST_CHILD_STATE_DIR";

/// Not a test of its own: the process that [`no_acknowledged_record_is_lost_by_a_kill`] kills.
#[test]
fn child_that_records_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let store = Arc::new(open(Path::new(&dir), false));
    runtime.block_on(async {
        let first = store.len();
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for turn in 0.. {
                        let name = format!("k{first}-{task}-{turn}@x.example");
                        store.record(fact(&name, Status::OptedIn)).await.expect("recorded");
                        store.record(fact(&name, Status::OptedOut)).await.expect("recorded");
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "acknowledged {name}").and_then(|()| out.flush()).expect("parent");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("task");
        }
    });
}

#[test]
fn no_acknowledged_record_is_lost_by_a_kill() {
    let dir = tempfile::tempdir().expect("directory");
    let mut acknowledged = Vec::new();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "child_that_records_until_it_is_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("child");
        let mut lines = BufReader::new(child.stdout.take().expect("output")).lines();
        let wanted = acknowledged.len() + 5 + round * 7;
        let mut hear = |line: &str| {
            // The test harness writes its own words before the first line.
            if let Some((_, name)) = line.split_once("acknowledged ") {
                acknowledged.push(name.to_owned());
            }
            acknowledged.len()
        };
        while let Some(Ok(line)) = lines.next() {
            if hear(&line) >= wanted {
                break;
            }
        }
        child.kill().expect("killed");
        // What was written before the kill was acknowledged, too. A line cut by the kill has no end.
        for line in lines.map_while(Result::ok).filter(|line| line.ends_with("@x.example")) {
            hear(&line);
        }
        child.wait().expect("reaped");
        assert!(acknowledged.len() >= wanted, "the child ended early");
    }
    let store = open(dir.path(), false);
    for name in &acknowledged {
        assert_eq!(holds(&store, name), Status::OptedOut, "{name}");
    }
}

/// A small file system of its own, as long as this lives.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// `None` where this user may not mount.
    fn new(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the file system is still in use");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_records_and_loses_none() {
    let Some(disk) = Tmpfs::new("6m") else {
        eprintln!("passed over: only root can mount the small file system that this test fills");
        return;
    };
    let dir = disk.0.path();
    let store = open(dir, false);
    let ballast = dir.join("ballast");
    let before = (0..500).map(|n| fact(&format!("p{n}@x.example"), Status::OptedOut));
    store.record_all(before.collect()).await.expect("recorded");
    let mut recorded = 500;
    let mut fill = std::fs::File::create(&ballast).expect("file");
    while fill.write_all(&[0; 4096]).is_ok() {}
    // What still fits into started blocks is taken; then comes the refusal.
    let refused = loop {
        let facts = (0..100).map(|n| fact(&format!("p{}@x.example", recorded + n), Status::OptedOut));
        match store.record_all(facts.collect()).await {
            Ok(_) => recorded += 100,
            Err(error) => break error,
        }
        assert!(recorded < 1_000_000, "the disk does not fill");
    };
    assert!(matches!(refused, ConsentError::Ledger(_)), "{refused}");
    let now = Timestamp::now();
    for n in 0..recorded {
        // An answer is the right one; no answer is an error. What must not be is "unknown".
        if let Ok(standing) = store.standing(&address(&format!("p{n}@x.example")), &Purpose::default(), now) {
            assert_eq!(standing.status, Status::OptedOut, "p{n}");
        }
    }
    drop(fill);
    std::fs::remove_file(&ballast).expect("removed");
    store.record(fact("after@x.example", Status::OptedIn)).await.expect("there is space again");
    let standing = loop {
        match store.standing(&address("after@x.example"), &Purpose::default(), now) {
            Ok(standing) => break standing,
            Err(ConsentError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(standing.status, Status::OptedIn);
    drop(store);
    let store = open(dir, false);
    for n in 0..recorded {
        assert_eq!(holds(&store, &format!("p{n}@x.example")), Status::OptedOut);
    }
    assert_eq!(holds(&store, &format!("p{recorded}@x.example")), Status::Unknown, "a refused record is none");
}
