//! TLS towards mailers: STARTTLS and implicit TLS, what does not survive STARTTLS, renewed certificates, and
//! what is said about files that cannot be used.

mod support;

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::tls::{Pair, TlsMailer};
use support::{Mailer, OutboundServer, PATIENCE, Relay, Setup, demo_message, wait_for};

const FROM: &str = "statements@harbourcard.example";
const TO: &str = "ruth@okafor.example";

fn relay(pair: &Pair, tls: &str) -> (OutboundServer, Relay) {
    let outbound = OutboundServer::start();
    let relay = Setup::before(outbound.address()).listener_config(&pair.listener(tls)).start();
    (outbound, relay)
}

#[test]
fn starttls_is_offered_once_and_carries_a_message() {
    let pair = Pair::new();
    let (outbound, relay) = relay(&pair, "starttls");
    let mut plain = Mailer::connect(relay.address());
    plain.say("STARTTLS").expect("503 5.5.1 ...");
    plain.say("EHLO mailer.example").expect("250 ...STARTTLS");
    plain.say("STARTTLS").expect("220 2.0.0 ...");
    let mut mailer = TlsMailer::upgrade(&plain, pair.certificate()).expect("handshake");
    let offered = mailer.say("EHLO mailer.example").text();
    assert!(offered.starts_with("250 ") && !offered.contains("STARTTLS"), "{offered}");
    mailer.say("STARTTLS").expect("503 5.5.1 ...");
    mailer.send(FROM, TO, &demo_message("03-statement-ready")).expect("250 ...");
    mailer.say("QUIT").expect("221 ...");
    assert!(mailer.rest().is_empty());
    let held = String::from_utf8_lossy(&outbound.held()[0].message).into_owned();
    assert!(held.contains(" with ESMTPS id "), "{held}");
}

#[test]
fn who_does_not_want_starttls_is_served_in_the_clear() {
    let pair = Pair::new();
    let (outbound, relay) = relay(&pair, "starttls");
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
    let held = String::from_utf8_lossy(&outbound.held()[0].message).into_owned();
    assert!(held.contains(" with ESMTP id "), "{held}");
}

#[test]
fn what_was_said_before_starttls_counts_for_nothing() {
    let pair = Pair::new();
    let (_outbound, relay) = relay(&pair, "starttls");
    let mut plain = Mailer::ready(relay.address());
    plain.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    plain.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
    plain.say("STARTTLS").expect("220 2.0.0 ...");
    let mut mailer = TlsMailer::upgrade(&plain, pair.certificate()).expect("handshake");
    mailer.say("DATA").expect("503 5.5.1 ...");
    mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("503 5.5.1 ...");
    mailer.say("EHLO mailer.example").expect("250 ...");
    mailer.say(&format!("RCPT TO:<{TO}>")).expect("503 5.5.1 ...");
}

/// CVE-2011-0411: somebody on the way puts commands behind STARTTLS, to be taken as said under TLS.
#[test]
fn plaintext_behind_starttls_is_dropped() {
    let pair = Pair::new();
    let (outbound, relay) = relay(&pair, "starttls");
    let mut plain = Mailer::ready(relay.address());
    let injected =
        format!("STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n");
    plain.write(injected.as_bytes()).expect("write");
    plain.reply().expect("220 2.0.0 ...");
    let mut mailer = TlsMailer::upgrade(&plain, pair.certificate()).expect("handshake");
    mailer.say("NOOP").expect("250 2.0.0 ok");
    mailer.say("DATA").expect("503 5.5.1 ...");
    mailer.say("QUIT").expect("221 ...");
    assert!(mailer.rest().is_empty());
    assert_eq!(outbound.held(), []);
}

#[test]
fn implicit_tls_comes_before_the_greeting() {
    let pair = Pair::new();
    let (outbound, relay) = relay(&pair, "implicit");
    let mut mailer = TlsMailer::connect(relay.address(), pair.certificate()).expect("handshake");
    mailer.reply().expect("220 relay.example ESMTP...");
    let offered = mailer.say("EHLO mailer.example").text();
    assert!(!offered.contains("STARTTLS"), "{offered}");
    mailer.send(FROM, TO, &demo_message("03-statement-ready")).expect("250 ...");
    assert_eq!(outbound.held().len(), 1);
}

#[test]
fn plain_text_on_a_port_of_implicit_tls_hears_nothing_of_smtp() {
    let pair = Pair::new();
    let (_outbound, relay) = relay(&pair, "implicit");
    let mut mailer = Mailer::connect_silently(relay.address());
    mailer.write(b"EHLO mailer.example\r\n").expect("write");
    let heard = mailer.rest();
    assert!(!heard.starts_with(b"2") && !heard.starts_with(b"5"), "{heard:?}");
    TlsMailer::connect(relay.address(), pair.certificate()).expect("handshake").reply().expect("220 ...");
}

#[test]
fn a_handshake_that_does_not_come_is_closed() {
    let pair = Pair::new();
    let outbound = OutboundServer::start();
    let setup = Setup::before(outbound.address()).config("limits.handshake_time = \"1s\"");
    let relay = setup.listener_config(&pair.listener("implicit")).start();
    assert!(Mailer::connect_silently(relay.address()).rest().is_empty());
    wait_for("the log", || relay.log().contains("TLS handshake too slow").then_some(()));
}

#[test]
fn a_renewed_certificate_needs_no_restart_and_a_bad_one_is_not_used() {
    let pair = Pair::new();
    let (_outbound, relay) = relay(&pair, "implicit");
    let greeted =
        |trusted| TlsMailer::connect(relay.address(), trusted).map(|mut mailer| mailer.reply().code);
    let first = pair.certificate();
    let mut open = TlsMailer::connect(relay.address(), first.clone()).expect("handshake");
    open.reply().expect("220 ...");

    pair.renew();
    assert_eq!(greeted(pair.certificate()).expect("the new certificate"), 220);
    assert!(greeted(first).is_err(), "the old certificate is still shown");
    open.say("EHLO mailer.example").expect("250 ...");

    let good = pair.certificate();
    let good_key = std::fs::read_to_string(pair.path("relay.key")).expect("key");
    pair.put("relay.key", "no key\n");
    for _ in 0..3 {
        assert_eq!(greeted(good.clone()).expect("the certificate that stays"), 220);
    }
    assert_eq!(relay.log().matches("the old one stays").count(), 1, "{}", relay.log());
    pair.put("relay.key", &good_key);
    assert_eq!(greeted(good).expect("the certificate with its key"), 220);
}

#[test]
fn a_key_that_others_may_read_is_warned_of() {
    let pair = Pair::new();
    std::fs::set_permissions(pair.path("relay.key"), std::fs::Permissions::from_mode(0o644)).expect("mode");
    let (_outbound, relay) = relay(&pair, "starttls");
    assert!(relay.log().contains("chmod 600"), "{}", relay.log());
}

#[test]
fn files_that_cannot_be_used_stop_the_start_with_advice() {
    let (pair, other) = (Pair::new(), Pair::new());
    pair.put("empty", "");
    let table = [
        ("missing", "relay.key", "missing: No such file", "tls_certificate and listener.tls_key must name"),
        ("empty", "relay.key", "empty: no certificate in it", "tls_certificate must name"),
        ("relay.pem", "empty", "empty: no private key in it", "tls_key must name"),
        ("relay.pem", "../other.key", "cannot be used together", "tls_key must name the key of the first"),
    ];
    for (certificate, key, mistake, advice) in table {
        let key = if key.contains("other") { other.path("relay.key") } else { pair.path(key) };
        let directory = tempfile::tempdir().expect("directory");
        let config = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n{}\n[[outbound]]\naddress = \"127.0.0.1:9\"\ntls = \"none\"\n",
            support::tls::listener("starttls", &pair.path(certificate), &key)
        );
        std::fs::write(directory.path().join("consentry.toml"), config).expect("configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        let output = command.arg("run").current_dir(directory.path()).env_remove("CONSENTRY_CONFIG").output();
        let output = output.expect("the program");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{error}");
        assert!(error.contains(mistake) && error.contains(advice), "{certificate}, {key:?}: {error}");
    }
}

#[test]
fn each_listener_has_its_own_networks_and_tls() {
    let pair = Pair::new();
    let outbound = OutboundServer::start();
    let more = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n{}\n[[listener]]\naddress = \"127.0.0.1:0\"\nnetworks = [\"192.0.2.0/24\"]",
        pair.listener("implicit")
    );
    let relay = Setup::before(outbound.address()).listener_config(&more).start();
    let listening = std::fs::read_to_string(relay.state_dir().join("listen")).expect("listen");
    let addresses: Vec<SocketAddr> = listening.lines().map(|line| line.parse().expect(line)).collect();
    let [plain, encrypted, elsewhere] = addresses[..] else { panic!("{listening}") };

    let offered = Mailer::connect(plain).say("EHLO mailer.example").text();
    assert!(!offered.contains("STARTTLS"), "{offered}");
    let mut mailer = TlsMailer::connect(encrypted, pair.certificate()).expect("handshake");
    mailer.reply().expect("220 ...");
    Mailer::connect_silently(elsewhere).reply().expect("554 5.7.1 ...");
}

#[test]
fn a_client_from_elsewhere_gets_no_handshake() {
    let pair = Pair::new();
    let outbound = OutboundServer::start();
    let lines = format!("networks = [\"192.0.2.0/24\"]\n{}", pair.listener("implicit"));
    let relay = Setup::before(outbound.address()).listener_config(&lines).start();
    let stream = TcpStream::connect(relay.address()).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    assert!(TlsMailer::handshake(stream, pair.certificate()).is_err());
}
