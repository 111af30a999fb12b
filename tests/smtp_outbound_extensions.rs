//! What the outbound server offers is used; what it does not offer, and a message needs, is refused with the
//! code that says so, and nothing of the message is sent.

mod support;

use support::mailer::Reply;
use support::{Behaviour, Mailer, OutboundServer, Relay, Setup, Step, demo_message};

const FROM: &str = "billing@harbourcard.example";
const TO: &str = "daniel@price.example";

fn offering(lines: &str) -> (OutboundServer, Relay) {
    let reply = format!("250-outbound.example\r\n{lines}250 HELP");
    let server = OutboundServer::with(Step::Ehlo, Behaviour::Reply(reply));
    let relay = Setup::before(server.address()).enforce().start();
    (server, relay)
}

fn send(relay: &Relay, parameters: &str, message: &[u8]) -> Reply {
    let mut mailer = Mailer::ready(relay.address());
    let mail = mailer.say(&format!("MAIL FROM:<{FROM}>{parameters}"));
    if mail.code >= 400 {
        return mail;
    }
    mailer.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
    mailer.say("DATA").expect("354 ...");
    mailer.message(message)
}

fn eight_bit() -> Vec<u8> {
    "From: billing@harbourcard.example\r\nSubject: Your statement\r\nMIME-Version: 1.0\r\n\
     Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
     Your statement for October is ready. The balance is 12.40 \u{a3}.\r\n"
        .as_bytes()
        .to_vec()
}

/// Refused for good, recorded as that, and not sent.
fn check_refused(server: &OutboundServer, relay: &Relay, reply: &Reply) {
    assert_eq!(server.held(), []);
    assert!(!server.commands().contains(&"DATA".to_owned()), "{:?}", server.commands());
    let outcome = relay.audited("outcome", 1).swap_remove(0);
    assert_eq!(outcome["result"], "rejected");
    assert_eq!(outcome["reply"], reply.text());
}

#[test]
fn what_is_offered_is_used() {
    let (server, relay) = offering("250-SIZE 1000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n");
    send(&relay, " SIZE=3000 BODY=8BITMIME SMTPUTF8", &eight_bit()).expect("250 ...");
    assert_eq!(server.held()[0].mail, format!("FROM:<{FROM}> SIZE=4024 BODY=8BITMIME SMTPUTF8"));
}

#[test]
fn what_is_not_offered_and_not_needed_is_left_out() {
    let (server, relay) = offering("");
    send(&relay, " SIZE=3000 BODY=8BITMIME", &demo_message("03-statement-ready")).expect("250 ...");
    assert_eq!(server.held()[0].mail, format!("FROM:<{FROM}>"));
}

#[test]
fn an_eight_bit_message_needs_8bitmime() {
    let (server, relay) = offering("250-SMTPUTF8\r\n");
    let reply = send(&relay, " BODY=8BITMIME", &eight_bit()).expect("554 5.6.3 ...8BITMIME...");
    check_refused(&server, &relay, &reply);
}

#[test]
fn a_utf8_envelope_needs_smtputf8() {
    let (server, relay) = offering("250-8BITMIME\r\n");
    let reply = send(&relay, " SMTPUTF8", &eight_bit()).expect("550 5.6.7 ...SMTPUTF8...");
    check_refused(&server, &relay, &reply);
}

#[test]
fn a_message_larger_than_the_server_takes_is_not_sent() {
    let (server, relay) = offering("250-SIZE 100\r\n");
    let reply = send(&relay, "", &demo_message("03-statement-ready")).expect("552 5.3.4 ...100 bytes...");
    check_refused(&server, &relay, &reply);
}

#[test]
fn a_size_of_zero_is_no_limit() {
    let (server, relay) = offering("250-SIZE 0\r\n");
    send(&relay, "", &demo_message("03-statement-ready")).expect("250 ...");
    assert_eq!(server.held().len(), 1);
}
