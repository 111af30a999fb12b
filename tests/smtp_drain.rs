//! SIGTERM: no new session, running transactions end, exit 0.

mod support;

use support::{Behaviour, Mailer, OutboundServer, Setup, Step, demo_message, wait_for};

const FROM: &str = "billing@harbourcard.example";
const TO: &str = "daniel@price.example";

#[test]
fn an_idle_relay_stops_at_once_with_0() {
    let outbound = OutboundServer::start();
    let mut relay = Setup::before(outbound.address()).start();
    relay.terminate();
    assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
    assert_eq!(relay.audit().last().expect("a record")["event"], "stopped");
    assert!(!relay.state_dir().join("listen").exists(), "the listen file says where nobody listens");
}

#[test]
fn idle_sessions_hear_421_and_running_transactions_end() {
    let outbound = OutboundServer::start();
    let mut relay = Setup::before(outbound.address()).start();
    let message = demo_message("03-statement-ready");

    let mut idle = Mailer::ready(relay.address());
    let mut in_envelope = Mailer::ready(relay.address());
    in_envelope.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    in_envelope.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
    let mut in_message = Mailer::ready(relay.address());
    in_message.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    in_message.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
    in_message.say("DATA").expect("354 ...");
    in_message.write(&message[..100]).expect("write");

    relay.terminate();
    idle.reply().expect("421 4.3.2 ...");
    assert!(idle.rest().is_empty());
    wait_for("the listener to close", || match std::net::TcpStream::connect(relay.address()) {
        Err(_) => Some(()),
        // Accepted by the system before the relay closed the listener: it must hear nothing but 421.
        Ok(_) => None,
    });

    let rest = support::mailer::stuffed(&message);
    in_message.write(&rest[100..]).expect("write");
    in_message.reply().expect("250 ...");
    in_envelope.say("DATA").expect("354 ...");
    in_envelope.message(&message).expect("250 ...");
    assert!(relay.ended().is_none() || relay.wait().success());

    assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
    assert_eq!(outbound.held().len(), 2);
    assert_eq!(relay.audit().last().expect("a record")["event"], "stopped");
}

#[test]
fn a_transaction_that_does_not_end_is_cut_off_after_the_drain_time() {
    let outbound = OutboundServer::with(Step::Dot, Behaviour::Wait);
    let mut relay = Setup::before(outbound.address()).config("limits.drain_time = \"1s\"").start();
    let message = demo_message("03-statement-ready");
    let address = relay.address();
    let mailer = std::thread::spawn(move || {
        let mut mailer = Mailer::ready(address);
        mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
        mailer.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
        mailer.say("DATA").expect("354 ...");
        mailer.write(&support::mailer::stuffed(&message)).expect("write");
        mailer.next_reply()
    });
    wait_for("the message to arrive", || (outbound.waiting() == 1).then_some(()));
    relay.terminate();
    assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
    let heard = mailer.join().expect("mailer");
    // The outbound server has not said 250: neither may the relay.
    assert!(heard.as_ref().is_none_or(|reply| (400..500).contains(&reply.code)), "{heard:?}");
}

#[test]
fn the_same_directory_serves_again_after_a_stop() {
    let outbound = OutboundServer::start();
    let mut relay = Setup::before(outbound.address()).consent(TO, "opted_out").enforce().start();
    relay.terminate();
    relay.wait();
    relay.restart();
    let mode: serde_json::Value = serde_json::from_str(&relay.command(&["mode"])).expect("JSON");
    assert_eq!(mode["mode"], "enforce");
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], &demo_message("08-statement-spend-and-get")).expect("550 5.7.1 ...");
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
    assert_eq!(relay.audited("started", 2).len(), 2);
}

#[test]
fn a_second_relay_over_the_same_directory_does_not_start() {
    let outbound = OutboundServer::start();
    let relay = Setup::before(outbound.address()).start();
    let output = relay.try_command(&["run", "--config", "consentry.toml"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("consentry"), "{said}");
    Mailer::ready(relay.address()).send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
}
