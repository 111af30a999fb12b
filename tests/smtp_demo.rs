//! `consentry demo`: succeeds, is readable, and leaves what it promises.

use std::path::Path;
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_consentry");

fn consentry(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .current_dir(directory)
        .env("COLUMNS", "100")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .expect("run consentry")
}

#[test]
fn it_shows_both_modes_and_the_ledger_and_ends_well() {
    let dir = tempfile::tempdir().expect("directory");
    let output = consentry(dir.path(), &["demo"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for part in
        ["Monitor mode", "Enforce mode", "550 5.7.1 Marketing content without consent", "As it should be"]
    {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colours where there is no terminal");
    let table = text
        .lines()
        .skip_while(|line| !line.starts_with("Monitor"))
        .take_while(|line| !line.starts_with("As it"));
    for line in table {
        assert!(line.chars().count() <= 100, "wider than the terminal: {line:?}");
    }
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0, "it left files where it was started");
}

#[test]
fn what_it_keeps_can_be_used() {
    let dir = tempfile::tempdir().expect("directory");
    let output = consentry(dir.path(), &["demo", "--keep", "kept"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = dir.path().join("kept");

    let output = consentry(&kept, &["consent", "get", "daniel@price.example"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("opted_out"), "{output:?}");
    let output = consentry(&kept, &["config", "check", "consentry.toml"]);
    assert!(output.status.success(), "{output:?}");
    let output = consentry(&kept, &["audit", "tail", "--withheld", "-n", "1000"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"withhold\""), "{output:?}");
    let output = consentry(&kept, &["check", "messages/08-statement-spend-and-get.eml"]);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    let delivered = std::fs::read_dir(kept.join("delivered/new")).expect("list").count();
    assert_eq!(delivered, 30);

    // A second run must not mix with the first.
    let output = consentry(dir.path(), &["demo", "--keep", "kept"]);
    assert_eq!(output.status.code(), Some(73), "{output:?}");
}
