//! The cases of tests/cases.rs, said otherwise: whole messages with the same device and none of the words,
//! three in English for each case, and in Indonesian where the case carries over. They were written before
//! anybody looked at what the judge makes of them, and nothing is trained on them.
//!
//! `cargo test --test rewordings -- --nocapture` prints what the judge gets wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use consentry::detect::{Class, Detector, Verdict};

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new().expect("rule table"));

const FILES: [&str; 4] = [
    include_str!("rewordings/en-marketing.txt"),
    include_str!("rewordings/en-disguise.txt"),
    include_str!("rewordings/en-service.txt"),
    include_str!("rewordings/id.txt"),
];

/// What the judge gets wrong today. One that it gets right fails the test, so that the list only shrinks.
const KNOWN_FAILURES: &[&str] = &[
    "M01.1", "M01.2", "M02.2", "M02.3", "M03.1", "M03.2", "M03.3", "M04.1", "M06.2", "M08.1", "M10.2",
    "M10.3", "M11.1", "M11.3", "M13.2", "M13.3", "M14.1", "M15.2", "M16.1", "M17.2", "M17.3", "M19.1",
    "M20.2", "M25.1", "M25.3", "X02.3", "X03.2", "X05.3", "X07.2", "X10.3", "X12.1", "X14.1", "X14.2",
    "X14.3", "X15.1", "S20.4", "M01.id1", "M04.id1", "M08.id1", "M11.id1", "M19.id1", "M25.id1", "X14.id2",
    "X15.id1", "S20.id2",
];

struct Rewording {
    id: &'static str,
    promotional: bool,
    message: String,
}

/// The rewordings of a file: `=== ID EXPECTED`, then header fields, a blank line and the body.
fn read(file: &'static str) -> Vec<Rewording> {
    let mut all = Vec::new();
    for entry in file.split("=== ").skip(1) {
        let (head, message) = entry.split_once('\n').expect("an entry has a head");
        let (id, expected) = head.split_once(' ').expect("id and expected class");
        let (fields, body) = message.split_once("\n\n").expect("fields and body");
        let mut whole = format!("From: Example <service@example.com>\nTo: ana@example.net\n{fields}\n");
        if !fields.contains("\nContent-Type:") {
            whole.push_str("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n");
        }
        let _ = writeln!(whole, "\n{}", body.trim_end());
        let promotional = match expected {
            "promotional" => true,
            "service" => false,
            other => panic!("{id}: `{other}` is no class"),
        };
        all.push(Rewording { id, promotional, message: whole.replace('\n', "\r\n") });
    }
    all
}

fn all() -> Vec<Rewording> {
    FILES.into_iter().flat_map(read).collect()
}

fn judge(message: &str) -> Verdict {
    DETECTOR.judge(message.as_bytes()).expect("verdict").verdict
}

/// The case, and whether the rewording is an Indonesian one.
fn case(id: &str) -> (&str, bool) {
    let (case, number) = id.split_once('.').expect("case and number");
    (case, number.starts_with("id"))
}

fn row(rewording: &Rewording, verdict: &Verdict) -> String {
    let expected = if rewording.promotional { "promotional" } else { "service" };
    let mut row =
        format!("{:9} {expected:11} {:9} {:.3}", rewording.id, verdict.class.as_str(), verdict.score);
    for evidence in verdict.evidence.iter().take(3) {
        let _ = write!(row, "\n          {:+.1} {}: \"{}\"", evidence.weight, evidence.rule, evidence.quote);
    }
    row
}

#[test]
fn every_case_is_there_three_times_in_english() {
    let mut counts: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for rewording in all() {
        assert!(ids.insert(rewording.id), "{} is there twice", rewording.id);
        *counts.entry(case(rewording.id)).or_default() += 1;
    }
    let numbered = |letter: char, last: u32| (1..=last).map(move |number| format!("{letter}{number:02}"));
    for case in numbered('M', 25).chain(numbered('X', 15)).chain(numbered('S', 20)) {
        let english = counts.get(&(case.as_str(), false)).copied().unwrap_or(0);
        assert!(english >= 3, "{case}: {english}");
        // Attachments, links and opt-out fields are the same in any language, X13 is about others.
        let carries_over = !["X07", "X08", "X13", "S14"].contains(&case.as_str());
        let indonesian = counts.get(&(case.as_str(), true)).copied().unwrap_or(0);
        assert!(indonesian >= 1 || !carries_over, "{case} in Indonesian");
    }
}

#[test]
fn rewordings_are_judged_as_their_case_is() {
    let known: BTreeSet<&str> = KNOWN_FAILURES.iter().copied().collect();
    let mut failing = BTreeSet::new();
    let mut table = String::new();
    // Right and all, by language and expected class.
    let mut counts: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    let rewordings = all();
    for rewording in &rewordings {
        let verdict = judge(&rewording.message);
        let right = (verdict.class != Class::Service) == rewording.promotional;
        let language = if case(rewording.id).1 { "Indonesian" } else { "English" };
        let expected = if rewording.promotional { "promotional" } else { "service" };
        let count = counts.entry((language, expected)).or_default();
        count.0 += usize::from(right);
        count.1 += 1;
        if !right {
            failing.insert(rewording.id);
            let mark = if known.contains(rewording.id) { "known" } else { "NEW" };
            let _ = writeln!(table, "{mark:6}{}", row(rewording, &verdict));
        }
    }
    println!("{table}");
    for ((language, expected), (right, all)) in counts {
        println!("{language:11} {expected:12} {right} of {all} right");
    }
    let new: Vec<_> = failing.difference(&known).collect();
    assert!(new.is_empty(), "judged wrongly, and not on the list: {new:?}\n{table}");
    let mended: Vec<_> = known.difference(&failing).collect();
    assert!(mended.is_empty(), "judged rightly now: take them off the list of known failures: {mended:?}");
}
