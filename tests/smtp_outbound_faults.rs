//! An outbound server that is absent, slow or gone between messages, and connections that are used again.
//! What goes wrong at each single step is in `smtp_fault_table.rs`.

mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use support::{Behaviour, Mailer, OutboundServer, Relay, Setup, Step, demo_message};

const FROM: &str = "billing@harbourcard.example";
const TO: &str = "daniel@price.example";

/// Short enough that silence is noticed within the test's patience.
const SHORT: &str = "timeouts = { connect = \"2s\", greeting = \"1s\", mail = \"1s\", rcpt = \"1s\", data = \"1s\", message = \"1s\" }";

fn relay(outbound: &OutboundServer) -> Relay {
    Setup::before(outbound.address()).outbound_config(SHORT).enforce().start()
}

/// The first reply that is not positive, with what was said; `None` when the message was accepted.
fn first_refusal(mailer: &mut Mailer, message: &[u8]) -> Option<(&'static str, support::mailer::Reply)> {
    let (step, reply) = mailer.attempt(FROM, TO, message);
    (reply.code >= 400).then_some((step, reply))
}

#[test]
fn an_absent_server_is_named() {
    // Bound and dropped: nobody listens on this port.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("address");
    let relay = Setup::before(address).outbound_config(SHORT).enforce().start();
    let mut mailer = Mailer::ready(relay.address());
    let (_, reply) = first_refusal(&mut mailer, &demo_message("03-statement-ready")).expect("a refusal");
    assert!((400..500).contains(&reply.code), "{reply:?}");
    assert!(reply.text().to_lowercase().contains("connect"), "{reply:?}");
    mailer.say("NOOP").expect("250 ...");

    // It comes up, and the same session gets through.
    let outbound = OutboundServer::listen(TcpListener::bind(address).expect("listener"));
    mailer.say("RSET").expect("250 ...");
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
    assert_eq!(outbound.held().len(), 1);
}

#[test]
fn a_slow_but_honest_server_is_waited_for() {
    let outbound = OutboundServer::with(Step::Dot, Behaviour::Drip(Duration::from_millis(5)));
    let relay = relay(&outbound);
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...kept as outbound-1...");
}

#[test]
fn a_pooled_connection_that_went_away_is_replaced_unnoticed() {
    let outbound = OutboundServer::start();
    let relay = relay(&outbound);
    let message = demo_message("03-statement-ready");
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], &message).expect("250 ...");
    outbound.hang_up();
    mailer.send(FROM, &[TO], &message).expect("250 ...");
    assert_eq!(outbound.held().len(), 2);
    assert_eq!(outbound.connections(), 2);
}

#[test]
fn connections_are_reused() {
    let outbound = OutboundServer::start();
    let relay = relay(&outbound);
    let message = demo_message("03-statement-ready");
    for _ in 0..3 {
        let mut mailer = Mailer::ready(relay.address());
        mailer.send(FROM, &[TO], &message).expect("250 ...");
        mailer.send(FROM, &[TO], &message).expect("250 ...");
        mailer.say("QUIT").expect("221 ...");
        assert!(mailer.rest().is_empty());
    }
    assert_eq!(outbound.held().len(), 6);
    assert_eq!(outbound.connections(), 1, "{:?}", outbound.commands());
}

#[test]
fn an_extra_reply_does_not_answer_the_next_command() {
    // The second 250 must not be taken for the answer to anything that follows.
    let outbound = OutboundServer::start();
    outbound.rule(Step::Dot, "", Behaviour::Reply("250 2.0.0 one\r\n250 2.0.0 two".into()), 1);
    outbound.rule(Step::Mail, "second@", Behaviour::Reply("550 5.1.8 not you".into()), usize::MAX);
    let relay = relay(&outbound);
    let message = demo_message("03-statement-ready");
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], &message).expect("250 ...one...");
    let mail = mailer.say("MAIL FROM:<second@harbourcard.example>");
    let refused = mail.code >= 400 || { mailer.say(&format!("RCPT TO:<{TO}>")).code >= 400 };
    assert!(refused, "a refused sender was taken for accepted: {:?}", outbound.commands());
    assert_eq!(outbound.held().len(), 1);
}

#[test]
fn a_refused_sender_is_refused_to_the_mailer() {
    let outbound = OutboundServer::with(Step::Mail, Behaviour::Reply("550 5.1.8 sender unknown here".into()));
    let relay = relay(&outbound);
    let mut mailer = Mailer::ready(relay.address());
    let (_, reply) = first_refusal(&mut mailer, &demo_message("03-statement-ready")).expect("a refusal");
    reply.expect("550 5.1.8 ...sender unknown here...");
}

#[test]
fn a_mailer_that_leaves_in_mid_message_leaves_nothing_behind() {
    let outbound = OutboundServer::start();
    let relay = relay(&outbound);
    let mut mailer = Mailer::ready(relay.address());
    mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    mailer.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
    mailer.say("DATA").expect("354 ...");
    mailer.write(b"Subject: half\r\n\r\nhal").expect("write");
    drop(mailer);
    // The next mailer finds the relay well; the half message went nowhere.
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
    assert_eq!(outbound.held().len(), 1);
    assert_eq!(relay.audited("decision", 1).len(), 1);
}
