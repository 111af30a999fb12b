//! What the whole-program tests share: the real binary under a configuration of its own, an outbound
//! server that misbehaves on demand, a mailer, and readers for what operators read.

// Every test file is a crate of its own and uses its own part of this.
#![allow(dead_code)]

pub mod audit;
pub mod consent;
pub mod mailer;
pub mod outbound;
pub mod relay;
pub mod tls;
pub mod transcript;

use std::time::{Duration, Instant};

pub use mailer::Mailer;
pub use outbound::{Behaviour, OutboundServer, Step};
pub use relay::{Relay, Setup};

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Returns what `condition` gives once it gives something; fails the test after [`PATIENCE`].
#[track_caller]
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether `text` is what `pattern` says, `...` standing for anything.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split("...");
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// The demo message of that name.
pub fn demo_message(name: &str) -> Vec<u8> {
    let path = format!("{}/config/demo/{name}.eml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands on top of `original` in `forwarded`; fails when the rest is not `original` to the byte.
#[track_caller]
pub fn added_lines(original: &[u8], forwarded: &[u8]) -> String {
    let added = forwarded.strip_suffix(original).unwrap_or_else(|| {
        panic!(
            "the forwarded message does not end with the bytes received:\n{}\n--- received ---\n{}",
            String::from_utf8_lossy(forwarded),
            String::from_utf8_lossy(original)
        )
    });
    let added = String::from_utf8(added.to_vec()).expect("added lines are text");
    let names: Vec<&str> = added
        .split_terminator("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    assert!(
        names.iter().filter(|name| **name == "Received").count() == 1
            && names.iter().all(|name| ["Received", "X-Consentry-Verdict"].contains(name)),
        "consentry added {added:?}"
    );
    added
}
