//! AUTH towards mailers: over TLS only, PLAIN and LOGIN, what is refused and how often, and the command that
//! makes a user.

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use support::tls::{Pair, TlsMailer};
use support::{Mailer, OutboundServer, Relay, Setup, demo_message};

const FROM: &str = "statements@harbourcard.example";
const TO: &str = "ruth@okafor.example";

/// User `billing`, password `s3cret`, as PLAIN has it.
const PLAIN: &str = "AGJpbGxpbmcAczNjcmV0";
const NAME: &str = "YmlsbGluZw==";
const PASSWORD: &str = "czNjcmV0";
const WRONG: &str = "d3Jvbmc=";

fn hash(input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["user", "hash"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    child.stdin.take().expect("input").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("ended")
}

fn user() -> String {
    let output = hash("s3cret\n");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let hash = String::from_utf8(output.stdout).expect("text");
    format!("[[user]]\nname = \"billing\"\npassword_hash = \"{}\"", hash.trim_end())
}

fn relay(pair: &Pair, listener: &str) -> (OutboundServer, Relay) {
    let outbound = OutboundServer::start();
    let lines = format!("{}\n{listener}\n{}", pair.listener("starttls"), user());
    let relay = Setup::before(outbound.address()).listener_config(&lines).start();
    (outbound, relay)
}

/// Under TLS, and greeted.
fn encrypted(relay: &Relay, pair: &Pair) -> TlsMailer {
    let mut plain = Mailer::ready(relay.address());
    plain.say("STARTTLS").expect("220 ...");
    let mut mailer = TlsMailer::upgrade(&plain, pair.certificate()).expect("handshake");
    mailer.say("EHLO mailer.example").expect("250 ...AUTH PLAIN LOGIN...");
    mailer
}

#[test]
fn auth_is_for_encrypted_connections_only() {
    let pair = Pair::new();
    let (_outbound, relay) = relay(&pair, "require_auth = true");
    let mut plain = Mailer::connect(relay.address());
    let offered = plain.say("EHLO mailer.example").text();
    assert!(offered.contains("STARTTLS") && !offered.contains("AUTH"), "{offered}");
    plain.say(&format!("AUTH PLAIN {PLAIN}")).expect("538 5.7.11 ...");
    plain.say(&format!("MAIL FROM:<{FROM}>")).expect("530 5.7.0 ...");
}

#[test]
fn who_must_log_in_can_send_after_it_and_the_received_line_says_so() {
    let pair = Pair::new();
    let (outbound, relay) = relay(&pair, "require_auth = true");
    let mut mailer = encrypted(&relay, &pair);
    mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("530 5.7.0 ...");
    mailer.say(&format!("AUTH PLAIN {PLAIN}")).expect("235 2.7.0 ...");
    mailer.say(&format!("AUTH PLAIN {PLAIN}")).expect("503 5.5.1 ...");
    mailer.send(FROM, TO, &demo_message("03-statement-ready")).expect("250 ...");
    mailer.say("QUIT").expect("221 ...");
    assert!(mailer.rest().is_empty());
    let held = String::from_utf8_lossy(&outbound.held()[0].message).into_owned();
    assert!(held.contains(" with ESMTPSA id "), "{held}");
    support::wait_for("the session's line", || relay.log().contains("user=\"billing\"").then_some(()));
    assert!(!relay.log().contains("s3cret") && !relay.log().contains(PASSWORD), "{}", relay.log());
}

#[test]
fn plain_and_login_with_and_without_a_first_response() {
    let pair = Pair::new();
    let (_outbound, relay) = relay(&pair, "");
    let dialogues: [&[(&str, &str)]; 5] = [
        (&[("AUTH PLAIN AGJpbGxpbmcAczNjcmV0", "235 2.7.0 ...")]),
        (&[("auth plain", "334 "), (PLAIN, "235 2.7.0 ...")]),
        (&[("AUTH LOGIN", "334 VXNlcm5hbWU6"), (NAME, "334 UGFzc3dvcmQ6"), (PASSWORD, "235 2.7.0 ...")]),
        (&[("AUTH LOGIN YmlsbGluZw==", "334 UGFzc3dvcmQ6"), (PASSWORD, "235 2.7.0 ...")]),
        // Cancelled and not understood, then right.
        (&[
            ("AUTH LOGIN", "334 ..."),
            ("*", "501 5.7.0 ..."),
            ("AUTH PLAIN", "334 "),
            ("no base64!", "501 5.5.2 ..."),
            ("AUTH CRAM-MD5", "504 5.5.4 ..."),
            ("AUTH LOGIN", "334 ..."),
            (NAME, "334 ..."),
            ("*", "501 5.7.0 ..."),
            ("AUTH PLAIN =", "535 5.7.8 ..."),
            ("AUTH PLAIN AGJpbGxpbmcAczNjcmV0", "235 2.7.0 ..."),
            ("MAIL FROM:<a@b.example> AUTH=<>", "250 ..."),
            ("RSET", "250 ..."),
        ]),
    ];
    for dialogue in dialogues {
        let mut mailer = encrypted(&relay, &pair);
        for (line, reply) in dialogue {
            mailer.say(line).expect(reply);
        }
    }
}

#[test]
fn without_a_requirement_nobody_has_to_log_in_but_not_within_a_transaction() {
    let pair = Pair::new();
    let (outbound, relay) = relay(&pair, "");
    let mut plain = Mailer::ready(relay.address());
    plain.say(&format!("MAIL FROM:<{FROM}> AUTH=<>")).expect("555 5.5.4 ...");
    plain.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
    let mut mailer = encrypted(&relay, &pair);
    mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    mailer.say(&format!("AUTH PLAIN {PLAIN}")).expect("503 5.5.1 ...");
    assert_eq!(outbound.held().len(), 1);
}

#[test]
fn wrong_passwords_are_counted_and_never_logged() {
    let pair = Pair::new();
    let (_outbound, relay) = relay(&pair, "require_auth = true");
    let mut mailer = encrypted(&relay, &pair);
    // A wrong password, then a name that nobody has (the password, typed into the wrong field).
    mailer.say(&format!("AUTH LOGIN {NAME}")).expect("334 ...");
    mailer.say(WRONG).expect("535 5.7.8 ...");
    mailer.say(&format!("AUTH LOGIN {PASSWORD}")).expect("334 ...");
    mailer.say(PASSWORD).expect("535 5.7.8 ...");
    mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("530 5.7.0 ...");
    mailer.say(&format!("AUTH LOGIN {NAME}")).expect("334 ...");
    mailer.say(WRONG).expect("421 4.7.0 ...");
    assert!(mailer.rest().is_empty());
    let log = relay.log();
    assert!(log.contains("wrong name or password") && log.contains("user=\"unknown\""), "{log}");
    assert!(!log.contains("s3cret") && !log.contains("=\"wrong\""), "{log}");
}

#[test]
fn without_users_auth_is_not_offered() {
    let pair = Pair::new();
    let outbound = OutboundServer::start();
    let relay = Setup::before(outbound.address()).listener_config(&pair.listener("implicit")).start();
    let mut mailer = TlsMailer::connect(relay.address(), pair.certificate()).expect("handshake");
    mailer.reply().expect("220 ...");
    let offered = mailer.say("EHLO mailer.example").text();
    assert!(!offered.contains("AUTH"), "{offered}");
    mailer.say(&format!("AUTH PLAIN {PLAIN}")).expect("502 5.5.1 ...");
}

#[test]
fn user_hash_reads_a_line_and_refuses_what_is_no_password() {
    let output = hash("s3cret\nmore\n");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && printed.lines().count() == 1,
        "{printed}"
    );
    for bad in ["", "\n", &format!("{}\n", "x".repeat(1025))] {
        let output = hash(bad);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        assert!(output.stdout.is_empty());
    }
}
