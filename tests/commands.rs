//! The commands that need no relay: what they print, and their exit codes (sysexits).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const RECEIPT: &str = "Subject: Your order 1042\r\n\r\nThank you for your order 1042. Total £24.00.\r\n";
const OFFER: &str =
    "Subject: Your statement\r\n\r\nYour statement is ready.\r\n\r\nSpend £500 and get £50 back.\r\n";

fn consentry(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("CONSENTRY_CONFIG")
        .output()
        .expect("the program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn with_messages() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("directory");
    std::fs::write(directory.path().join("receipt.eml"), RECEIPT).expect("file");
    std::fs::write(directory.path().join("offer.eml"), OFFER).expect("file");
    directory
}

#[test]
fn check_says_in_its_exit_code_what_the_messages_are() {
    let directory = with_messages();
    for (arguments, code) in [
        (&["check", "receipt.eml"][..], 0),
        (&["check", "offer.eml"], 10),
        (&["check", "receipt.eml", "offer.eml"], 10),
        (&["check"], 64),
        (&["check", "--frob", "receipt.eml"], 64),
        (&["check", "missing.eml"], 65),
        (&["check", "offer.eml", "missing.eml"], 65),
    ] {
        let output = consentry(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn check_writes_one_json_line_a_file_and_names_what_it_cannot_read() {
    let directory = with_messages();
    let output = consentry(directory.path(), &["check", "--json", "receipt.eml", "missing.eml", "offer.eml"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["file"], &lines[0]["verdict"]), (&"receipt.eml".into(), &"service".into()));
    assert_eq!((&lines[1]["file"], &lines[1]["language"]), (&"offer.eml".into(), &"en".into()));
    assert_eq!(lines[1]["language_supported"], true);
    assert_ne!(lines[1]["verdict"], "service");
    assert!(lines[1]["score"].as_f64().is_some_and(|score| (0.5..=1.0).contains(&score)), "{}", lines[1]);
    let quote = lines[1]["evidence"][0]["quote"].as_str().expect("a quote");
    assert!(OFFER.contains(quote), "{quote}");
    assert!(text(&output.stderr).contains("missing.eml"), "{}", text(&output.stderr));
}

#[test]
fn check_reads_standard_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    child.stdin.take().expect("input").write_all(OFFER.as_bytes()).expect("written");
    assert_eq!(child.wait_with_output().expect("ended").status.code(), Some(10));
}

#[test]
fn run_without_an_outbound_server_says_how_to_set_one() {
    let directory = tempfile::tempdir().expect("directory");
    let output = consentry(directory.path(), &["run"]);
    assert_eq!(output.status.code(), Some(78));
    let error = text(&output.stderr);
    assert!(error.contains("[[outbound]]") && error.contains("--sink"), "{error}");
    assert!(!directory.path().join("var").exists(), "something was left behind");
}

#[test]
fn config_check_opens_nothing_and_names_the_mistake() {
    let directory = tempfile::tempdir().expect("directory");
    std::fs::write(
        directory.path().join("good.toml"),
        "[[outbound]]\naddress = '127.0.0.1:25'\ntls = 'none'\n",
    )
    .expect("file");
    std::fs::write(directory.path().join("bad.toml"), "\n[limits]\nrecipient = 5\n").expect("file");
    let output = consentry(directory.path(), &["config", "check", "good.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = consentry(directory.path(), &["config", "check", "bad.toml"]);
    assert_eq!(output.status.code(), Some(78));
    let expected = "consentry: bad.toml:3: `recipient` is not known here; did you mean `recipients`?\n";
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(std::fs::read_dir(directory.path()).expect("directory").count(), 2);
}

#[test]
fn config_show_prints_no_password() {
    let directory = tempfile::tempdir().expect("directory");
    std::fs::write(directory.path().join("password"), "s3cret\n").expect("file");
    let config = "[[outbound]]\naddress = 'smtp.example:465'\ntls = 'implicit'\nusername = 'relay'\npassword_file = 'password'\n";
    std::fs::write(directory.path().join("consentry.toml"), config).expect("file");
    let output = consentry(directory.path(), &["config", "show"]);
    let shown = text(&output.stdout);
    assert!(
        shown.contains("username = \"relay\"") && shown.contains("message_size = \"35.0 MiB\""),
        "{shown}"
    );
    assert!(!shown.contains("s3cret"), "{shown}");
}
