//! Runs a transcript: a file that reads like the dialogue it describes.
//!
//! | line | meaning |
//! |---|---|
//! | `# ...` | what the file shows |
//! | `G: ...` | given, before the relay starts; see [`given`] |
//! | `C: text` | the mailer says this line; lines that follow each other go out in one write |
//! | `C~: text` | the mailer writes these bytes; `\r`, `\n`, `\t`, `\\`, `\xNN` and `{N*text}` are understood |
//! | `C<: name` | the mailer sends the demo message of that name, and the final dot |
//! | `S: text` | the relay says this line, `...` standing for anything |
//! | `S+: text` | the relay gives a whole reply; its code and texts, joined by blanks, are this |
//! | `S: <closed>` | the relay closes the connection |
//! | `A: kind key=value ...` | the next audit record of that kind holds this |
//! | `O: key=value ...` | the outbound server's next message is this; see [`Play::outbound_line`] |
//! | `O: nothing` | the outbound server holds no message |
//!
//! At the end, decisions, outcomes and messages that no line spoke of fail the transcript.

use std::path::Path;

use serde_json::Value;

use super::{
    Behaviour, Mailer, OutboundServer, Relay, Setup, Step, added_lines, audit, demo_message, wait_for,
};

/// Runs the transcript of that name; fails the test at the first line that does not hold.
pub fn run(name: &str) {
    let path = format!("{}/tests/transcripts/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines: Vec<(usize, &str, &str)> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| {
            let (kind, rest) =
                line.split_once(':').unwrap_or_else(|| panic!("{name}:{}: no kind", index + 1));
            (index + 1, kind, rest.strip_prefix(' ').unwrap_or(rest))
        })
        .collect();

    let outbound = OutboundServer::start();
    let mut setup = Setup::before(outbound.address());
    for (number, _, rest) in lines.iter().filter(|(_, kind, _)| *kind == "G") {
        setup = given(setup, &outbound, rest)
            .unwrap_or_else(|| panic!("{name}:{number}: {rest:?} is not understood"));
    }
    let relay = setup.start();
    let mut play = Play {
        name,
        number: 0,
        mailer: Mailer::connect_silently(relay.address()),
        relay,
        outbound,
        unsent: Vec::new(),
        audited: [0; KINDS.len()],
        held: 0,
    };
    for (number, kind, rest) in lines {
        play.number = number;
        play.line(kind, rest);
    }
    play.end();
}

/// One `G:` line: `enforce`, `consent ADDRESS STATUS`, `config KEY = VALUE` with a dotted key, or `outbound STEP [CONTAINING] says REPLY | closes`.
fn given(setup: Setup, outbound: &OutboundServer, line: &str) -> Option<Setup> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "enforce" => Some(setup.enforce()),
        "consent" => rest.split_once(' ').map(|(address, status)| setup.consent(address, status)),
        "config" => Some(setup.config(rest)),
        "outbound" => {
            let (step, rest) = rest.split_once(' ')?;
            let step = match step {
                "banner" => Step::Banner,
                "ehlo" => Step::Ehlo,
                "mail" => Step::Mail,
                "rcpt" => Step::Rcpt,
                "data" => Step::Data,
                "dot" => Step::Dot,
                _ => return None,
            };
            let (containing, behaviour) = match rest.split_once("says ") {
                Some((containing, reply)) => (containing, Behaviour::Reply(reply.replace("\\r\\n", "\r\n"))),
                None => (rest.strip_suffix("closes")?, Behaviour::Close),
            };
            outbound.rule(step, containing.trim(), behaviour, usize::MAX);
            Some(setup)
        }
        _ => None,
    }
}

const KINDS: [&str; 3] = ["decision", "outcome", "mode_change"];

struct Play<'a> {
    name: &'a str,
    number: usize,
    mailer: Mailer,
    relay: Relay,
    outbound: OutboundServer,
    unsent: Vec<u8>,
    audited: [usize; KINDS.len()],
    held: usize,
}

impl Play<'_> {
    fn line(&mut self, kind: &str, rest: &str) {
        match kind {
            "G" => {}
            "C" => {
                self.unsent.extend_from_slice(rest.as_bytes());
                self.unsent.extend_from_slice(b"\r\n");
            }
            "C~" => self.unsent.extend_from_slice(&unescaped(rest)),
            "C<" => self.unsent.extend_from_slice(&super::mailer::stuffed(&demo_message(rest))),
            "S" => self.server_line(rest),
            "S+" => {
                self.send();
                let reply =
                    self.mailer.next_reply().map_or_else(|| "<closed>".to_owned(), |reply| reply.text());
                assert!(super::matches(rest, &reply), "{}: heard {reply:?}", self.at());
            }
            "A" => self.audit_line(rest),
            "O" => self.outbound_line(rest),
            _ => panic!("{}: {kind:?} is no kind of line", self.at()),
        }
    }

    fn at(&self) -> String {
        format!("tests/transcripts/{}.txt:{}", self.name, self.number)
    }

    fn send(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        // The relay may have closed already; then the next line expected says so.
        let _ = self.mailer.write(&unsent);
    }

    fn server_line(&mut self, pattern: &str) {
        self.send();
        let line = self.mailer.next_line().unwrap_or_else(|| "<closed>".to_owned());
        assert!(super::matches(pattern, &line), "{}: heard {line:?}", self.at());
    }

    fn audit_line(&mut self, rest: &str) {
        let at = self.at();
        let (kind, conditions) = rest.split_once(' ').unwrap_or((rest, ""));
        let place =
            KINDS.iter().position(|known| *known == kind).unwrap_or_else(|| panic!("{at}: no such kind"));
        let number = self.audited[place];
        self.audited[place] += 1;
        let event = self.relay.audited(kind, number + 1).swap_remove(number);
        for (key, pattern) in words(conditions) {
            assert!(audit::holds(&event, &key, &pattern), "{at}: {key} is not {pattern:?} in {event:#}");
        }
    }

    /// Keys: `from`, `to` (joined by commas), `mail` (the argument of MAIL, with `...`), `has` and `lacks`
    /// (a text in the message), `file`: the demo message that stands below the added lines, or `+` and
    /// the message itself, escaped as for `C~`, with `_` for blanks.
    fn outbound_line(&mut self, rest: &str) {
        let at = self.at();
        if rest == "nothing" {
            assert_eq!(self.outbound.held(), [], "{at}");
            return;
        }
        let number = self.held;
        self.held += 1;
        let held = wait_for("a message at the outbound server", || self.outbound.held().get(number).cloned());
        for (key, pattern) in words(rest) {
            let text = String::from_utf8_lossy(&held.message);
            match key.as_str() {
                "from" => assert_eq!(held.from, pattern, "{at}"),
                "to" => assert_eq!(held.to.join(","), pattern, "{at}"),
                "mail" => assert!(super::matches(&pattern, &held.mail), "{at}: {:?}", held.mail),
                "file" => {
                    let original = match pattern.strip_prefix('+') {
                        Some(literal) => unescaped(&literal.replace('_', " ")),
                        None => demo_message(&pattern),
                    };
                    added_lines(&original, &held.message);
                }
                "has" => assert!(text.contains(&pattern), "{at}: {text}"),
                "lacks" => assert!(!text.contains(&pattern), "{at}: {text}"),
                _ => panic!("{at}: {key:?} is not understood"),
            }
        }
    }

    /// Nothing may be left that no line spoke of.
    fn end(mut self) {
        self.send();
        let audit = self.relay.audit();
        for (kind, spoken_of) in KINDS.iter().zip(self.audited) {
            let events: Vec<&Value> = audit.iter().filter(|event| event["event"] == *kind).collect();
            // Turning the relay to enforce mode is part of what was given.
            let spoken_of = if *kind == "mode_change" { events.len() } else { spoken_of };
            assert_eq!(events.len(), spoken_of, "{}: {kind} records: {events:#?}", self.name);
        }
        assert_eq!(self.outbound.held().len(), self.held, "{}: messages at the outbound server", self.name);
        assert!(!self.relay.log().contains("panicked"), "{}: {}", self.name, self.relay.log());
    }
}

/// `key=value` pairs; a value in double quotes may hold blanks.
fn words(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').unwrap_or_else(|| panic!("{rest:?} is not key=value"));
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                quoted.split_once('"').unwrap_or_else(|| panic!("{rest:?}: the quote does not end"))
            }
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        pairs.push((key.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    pairs
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '{']) {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some(repeated) = rest.strip_prefix('{') {
            let (inside, after) = repeated.split_once('}').expect("} after {");
            let (count, text) = inside.split_once('*').expect("{count*text}");
            bytes.extend_from_slice(text.repeat(count.parse().expect("count")).as_bytes());
            rest = after;
            continue;
        }
        let mut skip = 2;
        match rest.as_bytes().get(1) {
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'x') => {
                bytes.push(u8::from_str_radix(&rest[2..4], 16).expect("two hex digits"));
                skip = 4;
            }
            Some(other) => bytes.push(*other),
            None => panic!("{text:?} ends with a backslash"),
        }
        rest = &rest[skip..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// The names of all transcripts.
pub fn names() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .expect("tests/transcripts")
        .map(|entry| entry.expect("directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| path.file_stem().expect("name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
