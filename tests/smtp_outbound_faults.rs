//! An outbound server that is absent, slow, garbled, lying or gone: the mailer hears a 4xx that names
//! the step, the ledger holds one decision and one outcome, nothing is lost, and the session goes on.

mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use support::{Behaviour, Mailer, OutboundServer, Relay, Setup, Step, demo_message, wait_for};

const FROM: &str = "billing@harbourcard.example";
const TO: &str = "daniel@price.example";

/// Short enough that silence is noticed within the test's patience.
const SHORT: &str = "timeouts = { connect = \"2s\", greeting = \"1s\", mail = \"1s\", rcpt = \"1s\", data = \"1s\", message = \"1s\" }";

fn relay(outbound: &OutboundServer) -> Relay {
    Setup::before(outbound.address()).outbound_config(SHORT).enforce().start()
}

/// The first reply that is not positive, with what was said; `None` when the message was accepted.
fn first_refusal(mailer: &mut Mailer, message: &[u8]) -> Option<(&'static str, support::mailer::Reply)> {
    for (step, line) in [
        ("MAIL", format!("MAIL FROM:<{FROM}>")),
        ("RCPT", format!("RCPT TO:<{TO}>")),
        ("DATA", "DATA".to_owned()),
    ] {
        let reply = mailer.say(&line);
        if reply.code >= 400 {
            return Some((step, reply));
        }
    }
    let reply = mailer.message(message);
    (reply.code >= 400).then_some(("dot", reply))
}

/// What every fault must come to.
#[track_caller]
fn check(step: Step, behaviour: Behaviour, names: &str) {
    let outbound = OutboundServer::with(step, behaviour.clone());
    let relay = relay(&outbound);
    let message = demo_message("03-statement-ready");
    let mut mailer = Mailer::ready(relay.address());

    let (heard_at, reply) = first_refusal(&mut mailer, &message).unwrap_or_else(|| {
        panic!("{step:?} {behaviour:?}: accepted, and the outbound server holds {:?}", outbound.held())
    });
    assert!((400..500).contains(&reply.code), "{step:?} {behaviour:?}: {reply:?}");
    let text = reply.text().to_lowercase();
    assert!(
        names.split('|').any(|name| text.contains(name)),
        "{step:?} {behaviour:?}: {text:?} does not name {names:?}"
    );
    assert_eq!(outbound.held(), []);

    // Before the message there is nothing to decide upon; what failed is told all the same, unless the
    // server itself refused: that was its answer and no fault.
    let refused = matches!(&behaviour, Behaviour::Reply(_)) && matches!(step, Step::Mail | Step::Rcpt);
    if !refused {
        let outcome = relay.audited("outcome", 1).swap_remove(0);
        assert_eq!(relay.audited("outcome", 1).len(), 1);
        assert_ne!(outcome["result"], "forwarded", "{outcome:#}");
        assert_eq!(outcome["reply"], reply.text(), "the ledger holds what the mailer heard");
        assert!(outcome["step"].is_string() || outcome["outbound_reply"].is_string(), "{outcome:#}");
        let decisions =
            relay.audit().into_iter().filter(|event| event["event"] == "decision").collect::<Vec<_>>();
        assert_eq!(decisions.len(), usize::from(heard_at == "dot"), "{decisions:#?}");
        if let Some(decision) = decisions.first() {
            assert_eq!(decision["ref"], outcome["ref"]);
        }
    }

    // The server is well again, and so is the session.
    outbound.behave();
    mailer.say("RSET").expect("250 ...");
    mailer.send(FROM, &[TO], &message).expect("250 ...kept as outbound-1...");
    assert_eq!(outbound.held().len(), 1);
    wait_for("the outcome", || {
        relay
            .audit()
            .iter()
            .any(|event| event["event"] == "outcome" && event["result"] == "forwarded")
            .then_some(())
    });
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
}

fn temporarily(text: &str) -> Behaviour {
    Behaviour::Reply(text.to_owned())
}

macro_rules! faults {
    ($($name:ident: $step:ident, $behaviour:expr, $names:literal;)+) => {
        $(
            #[test]
            fn $name() {
                check(Step::$step, $behaviour, $names);
            }
        )+
    };
}

faults! {
    refused_for_now_at_the_banner: Banner, temporarily("421 4.3.2 come back later"), "greeting";
    refused_for_good_at_the_banner: Banner, temporarily("554 5.7.1 go away"), "greeting";
    closed_at_the_banner: Banner, Behaviour::Close, "greeting";
    silent_at_the_banner: Banner, Behaviour::Silence, "greeting";
    garbled_at_the_banner: Banner, Behaviour::Garbled(b"\x16\x03\x01\x00\xff\r\n".to_vec()), "greeting";
    closed_at_ehlo: Ehlo, Behaviour::Close, "ehlo";
    silent_at_ehlo: Ehlo, Behaviour::Silence, "ehlo";
    refused_at_ehlo: Ehlo, temporarily("451 4.3.0 not now"), "ehlo";
    refused_for_now_at_mail: Mail, temporarily("451 4.3.0 not now"), "not now";
    closed_at_mail: Mail, Behaviour::Close, "mail";
    silent_at_mail: Mail, Behaviour::Silence, "mail";
    garbled_at_mail: Mail, Behaviour::Garbled(b"what was that\r\n".to_vec()), "mail";
    closed_at_rcpt: Rcpt, Behaviour::Close, "rcpt";
    silent_at_rcpt: Rcpt, Behaviour::Silence, "rcpt";
    garbled_at_rcpt: Rcpt, Behaviour::Garbled(b"\0\0\0\0\r\n".to_vec()), "rcpt";
    refused_for_now_at_data: Data, temporarily("451 4.3.0 not now"), "not now";
    closed_at_data: Data, Behaviour::Close, "data";
    silent_at_data: Data, Behaviour::Silence, "data";
    accepting_without_being_asked_for_the_message: Data, temporarily("250 2.0.0 thanks already"), "data";
    closed_in_mid_message: Message, Behaviour::Close, "message|final dot";
    refused_for_now_after_the_dot: Dot, temporarily("452 4.3.1 disk full"), "disk full";
    closed_after_the_dot: Dot, Behaviour::Close, "final dot";
    silent_after_the_dot: Dot, Behaviour::Silence, "final dot";
    garbled_after_the_dot: Dot, Behaviour::Garbled(b"2yes\r\n".to_vec()), "final dot";
    half_a_reply_after_the_dot: Dot, Behaviour::Garbled(b"250-2.0.0 almost".to_vec()), "final dot";
    a_reply_without_end_after_the_dot: Dot, Behaviour::Garbled(vec![b'2'; 3_000_000]), "final dot";
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
