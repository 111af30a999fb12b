//! Reads the audit ledger as any log shipper would: JSON lines, files in order.

use std::path::Path;

use serde_json::Value;

/// All audit events, oldest first. A line without its end is not yet there.
pub fn events(state_dir: &Path) -> Vec<Value> {
    let directory = state_dir.join("audit");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .map(|entries| entries.map(|entry| entry.expect("directory entry").path()).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    // `current.jsonl` is the newest, whatever the others are called.
    files.sort_by_key(|path| (path.ends_with("current.jsonl"), path.clone()));
    let mut events = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let event =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{path:?}: {error}: {line:?}"));
            events.push(event);
        }
    }
    events
}

/// The events of one kind.
pub fn of_kind(state_dir: &Path, kind: &str) -> Vec<Value> {
    events(state_dir).into_iter().filter(|event| event["event"] == kind).collect()
}

/// Whether an event holds `key=value` (the value may hold `...`): at the top, in the verdict, or in
/// any recipient's decision. A key may also be a path such as `recipients.1.reason`.
pub fn holds(event: &Value, key: &str, pattern: &str) -> bool {
    candidates(event, key).iter().any(|value| {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        super::matches(pattern, &text)
    })
}

fn candidates<'a>(event: &'a Value, key: &str) -> Vec<&'a Value> {
    if key.contains('.') {
        let pointer = format!("/{}", key.replace('.', "/"));
        return event.pointer(&pointer).into_iter().collect();
    }
    let recipients = event["recipients"].as_array().into_iter().flatten();
    [event.get(key), event["verdict"].get(key)]
        .into_iter()
        .flatten()
        .chain(recipients.filter_map(|recipient| recipient.get(key)))
        .collect()
}
