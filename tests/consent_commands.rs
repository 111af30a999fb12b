//! The consent commands as people run them: on the store itself, and through a relay's control socket.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use consentry::consent::{ConsentStore, Purpose, Status, StoreOptions};
use consentry::control::{Client, ControlError, SOCKET, consent};
use consentry::smtp::Address;
use jiff::Timestamp;
use serde_json::{Value, json};

fn run(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .arg("--state-dir")
        .arg(dir)
        .arg("consent")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    child.stdin.take().expect("input").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("ended")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The JSON lines that a command prints.
fn lines(dir: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = run(dir, arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const LIST: &str = "address,status,basis,source,at\n\
    Ana@example.com,opted_in,box,form,2026-01-02\n\
    nobody,opted_in,box,form,2026-01-02\n\
    bo@example.com,perhaps,box,form,2026-01-02\n\
    cy@example.com,opted_out,,call,2026-01-03\n";

/// What holds for all ways to the store.
fn commands_work(dir: &Path) {
    let unknown = &lines(dir, &["get", "ana@example.com"])[0];
    assert_eq!(unknown["status"], "unknown");

    let granted = &lines(dir, &["grant", "Ana@Example.com", "--source", "form", "--basis", "box"])[0];
    assert_eq!((&granted["record"], &granted["now"]["status"]), (&json!(0), &json!("opted_in")));
    let soft = [
        "grant",
        "ana@example.com",
        "--source",
        "shop",
        "--basis",
        "sale",
        "--soft-opt-in",
        "--until",
        "2099-12-31",
    ];
    assert_eq!(lines(dir, &soft)[0]["now"]["until"], "2100-01-01T00:00:00.000000Z");
    let refused = &lines(dir, &["refuse", "ana@example.com", "--source", "call", "--evidence", "call 17"])[0];
    assert_eq!(refused["now"]["status"], "opted_out");
    let late = &lines(
        dir,
        &["grant", "ana@example.com", "--source", "old list", "--basis", "b", "--at", "2020-01-01"],
    )[0];
    assert_eq!((&late["record"], &late["now"]["record"]), (&json!(3), &json!(2)));

    let got = &lines(dir, &["get", "ANA@example.com"])[0];
    assert_eq!((&got["status"], &got["deciding"]["evidence"]), (&json!("opted_out"), &json!("call 17")));
    assert_eq!(lines(dir, &["get", "ana@example.com", "--purpose", "news"])[0]["status"], "unknown");
    assert_eq!(lines(dir, &["history", "ana@example.com"]).len(), 4);
    assert_eq!(lines(dir, &["history", "ana@example.com", "--purpose", "news"]).len(), 0);

    let imported = run(dir, &["import", "-", "--format", "csv"], LIST);
    assert_eq!(imported.status.code(), Some(65));
    let told = text(&imported.stderr);
    assert!(
        told.contains("standard input:3: \"nobody\": ") && told.contains(":4: the status \"perhaps\""),
        "{told}"
    );
    assert_eq!(
        serde_json::from_slice::<Value>(&imported.stdout).expect("JSON"),
        json!({ "file": "standard input", "recorded": 2, "bad_rows": 2 })
    );

    let current = lines(dir, &["export", "--format", "jsonl"]);
    let current: Vec<_> = current.iter().map(|r| (r["address"].as_str(), r["status"].as_str())).collect();
    assert_eq!(
        current,
        [(Some("ana@example.com"), Some("opted_out")), (Some("cy@example.com"), Some("opted_out"))]
    );
    assert_eq!(lines(dir, &["export", "--history", "--format", "jsonl"]).len(), 6);
}

#[test]
fn commands_work_on_the_store_itself() {
    let dir = tempfile::tempdir().expect("directory");
    commands_work(dir.path());
}

#[test]
fn an_export_imported_elsewhere_holds_the_same() {
    let (one, other) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let list: String = (0..2_500)
        .map(|n| format!("{{\"address\":\"p{n}@x.example\",\"status\":\"opted_out\",\"source\":\"s\",\"at\":\"2026-01-02\"}}\n"))
        .collect();
    assert!(run(one.path(), &["import", "-"], &list).status.success());
    let exported = run(one.path(), &["export", "--history"], "");
    let imported = run(other.path(), &["import", "-"], &text(&exported.stdout));
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let again = run(other.path(), &["export"], "");
    let facts = |output: &Output| -> Vec<String> {
        text(&output.stdout)
            .lines()
            .map(|line| line.rsplitn(3, ',').last().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(facts(&exported).len(), 2_501);
    assert_eq!(facts(&exported), facts(&again));
}

#[test]
fn bad_arguments_and_files_are_named() {
    let dir = tempfile::tempdir().expect("directory");
    for (arguments, code, part) in [
        (&["import", "/no/such/list.csv"][..], 66, "/no/such/list.csv"),
        (&["refuse", "a@x.example", "--source", " "], 65, "source"),
        (&["grant", "a@x.example", "--source", "s", "--basis", "b", "--at", "2999-01-01"], 65, "future"),
        (&["import", "-"], 65, "empty"),
    ] {
        let output = run(dir.path(), arguments, "");
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains("consentry: ") && told.contains(part), "{told}");
    }
    let output = run(dir.path(), &["get", "nobody"], "");
    assert!(!output.status.success() && text(&output.stderr).contains("local part"));
}

#[test]
fn a_store_that_is_in_use_without_a_relay_is_said_to_be() {
    let dir = tempfile::tempdir().expect("directory");
    let _store = ConsentStore::open(dir.path(), StoreOptions::default()).expect("store");
    let output = run(dir.path(), &["get", "a@x.example"], "");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{told}");
    assert!(told.contains("has the consent records") && told.contains("control socket"), "{told}");
}

fn relay(dir: &Path) -> Arc<ConsentStore> {
    let store = Arc::new(ConsentStore::open(dir, StoreOptions::default()).expect("store"));
    let listener = tokio::net::UnixListener::bind(dir.join(SOCKET)).expect("socket");
    let routes = consent::routes(Arc::clone(&store));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_through_the_relay_and_change_what_it_decides() {
    let dir = tempfile::tempdir().expect("directory");
    let store = relay(dir.path());
    let path = dir.path().to_owned();
    tokio::task::spawn_blocking(move || commands_work(&path)).await.expect("commands");
    let ana = Address::parse("ana@example.com").expect("address");
    let standing = store.standing(&ana, &Purpose::default(), Timestamp::now()).expect("standing");
    assert_eq!((standing.status, store.len()), (Status::OptedOut, 6));
}

#[tokio::test]
async fn the_control_api_names_what_is_wrong() {
    let dir = tempfile::tempdir().expect("directory");
    let store = relay(dir.path());
    let client = Client::connect(dir.path()).await.expect("client").expect("relay");
    let refusal = |outcome: Result<Value, ControlError>| match outcome {
        Err(ControlError::Refused(text)) => text,
        other => panic!("{other:?}"),
    };
    let fact = |basis: &str| json!({ "address": "a@x.example", "status": "opted_in", "basis": basis, "source": "s", "set_by": "me" });
    let get = |path: &'static str| async { refusal(client.get(path).await) };
    assert!(get("/v1/consent/standing").await.contains("address"));
    assert!(get("/v1/consent/standing?address=nobody").await.contains("local part"));
    assert!(get("/v1/consent/history?address=a@x.example&purpose=A").await.contains("purpose"));
    assert!(get("/v1/consent/export?from=x").await.contains("from"));

    let post = |path: &'static str, body: Value| {
        let client = &client;
        async move { refusal(client.post(path, &body).await) }
    };
    assert!(post("/v1/consent/record", json!({ "address": "a@x.example" })).await.contains("status"));
    assert!(post("/v1/consent/record", fact("")).await.contains("basis"));
    assert!(
        post("/v1/consent/records", json!([fact("b"), fact("")])).await.contains("record 2 of the batch")
    );
    assert!(post("/v1/consent/records", json!(vec![fact("b"); 1001])).await.contains("at most 1000"));
    assert!(post("/v1/consent/record", fact(&"x".repeat(200_000))).await.contains("limit"));
    assert!(store.is_empty(), "a refused request leaves no trace");

    let recorded: Value = client.post("/v1/consent/record", &fact("b")).await.expect("recorded");
    assert_eq!(recorded, json!({ "first": 0, "count": 1 }));
}
