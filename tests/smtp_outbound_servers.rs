//! Several outbound servers: which one gets a message, what happens when one is down, and that a message
//! whose final dot was sent is never tried a second time.

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use support::{Behaviour, Mailer, OutboundServer, Relay, Setup, Step, demo_message};

const FROM: &str = "billing@harbourcard.example";
const TO: &str = "daniel@price.example";

fn relay(first: SocketAddr, second: SocketAddr, config: &str) -> Relay {
    Setup::before(first)
        .config(config)
        .outbound_config("down_time = \"1h\"")
        .outbound_config(&format!("[[outbound]]\naddress = \"{second}\"\ntls = \"none\""))
        .start()
}

fn absent() -> SocketAddr {
    // Bound and dropped: nobody listens on this port.
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("address")
}

fn send(relay: &Relay) -> support::mailer::Reply {
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready"))
}

#[test]
fn the_first_one_gets_everything_while_it_is_up() {
    let (first, second) = (OutboundServer::start(), OutboundServer::start());
    let relay = relay(first.address(), second.address(), "");
    for _ in 0..3 {
        send(&relay).expect("250 ...");
    }
    assert_eq!((first.held().len(), second.held().len()), (3, 0));
    assert_eq!(relay.audited("outcome", 3)[0]["outbound"], first.address().to_string());
}

#[test]
fn balanced_servers_take_turns() {
    let (first, second) = (OutboundServer::start(), OutboundServer::start());
    let relay = relay(first.address(), second.address(), "outbound_choice = \"balanced\"");
    for _ in 0..4 {
        send(&relay).expect("250 ...");
    }
    assert_eq!((first.held().len(), second.held().len()), (2, 2));
}

#[test]
fn the_next_one_is_tried_before_the_mailer_hears_of_it() {
    let first = absent();
    let second = OutboundServer::start();
    let relay = relay(first, second.address(), "");
    send(&relay).expect("250 ...");
    send(&relay).expect("250 ...");
    assert_eq!(second.held().len(), 2);
    let outcomes = relay.audited("outcome", 2);
    assert_eq!(outcomes.len(), 2, "{outcomes:#?}");
    assert!(outcomes.iter().all(|outcome| outcome["outbound"] == second.address().to_string()));
    let log = relay.log();
    let down = log.lines().filter(|line| line.contains("outbound server is down")).collect::<Vec<_>>();
    assert_eq!(down.len(), 1, "{log}");
    assert!(down[0].contains(&first.to_string()), "{log}");
}

#[test]
fn a_server_that_says_4xx_before_any_recipient_is_passed_over() {
    for (step, reply) in [
        (Step::Banner, "421 4.3.2 come back later"),
        (Step::Banner, "554 5.7.1 go away"),
        (Step::Ehlo, "451 4.3.0 not now"),
        (Step::Mail, "421 4.3.2 closing"),
        (Step::Mail, "452 4.3.1 disk full"),
    ] {
        let (first, second) =
            (OutboundServer::with(step, Behaviour::Reply(reply.to_owned())), OutboundServer::start());
        let relay = relay(first.address(), second.address(), "");
        send(&relay).expect("250 ...");
        assert_eq!((first.held().len(), second.held().len()), (0, 1), "{step:?} {reply}");
    }
}

#[test]
fn a_refusal_for_good_is_the_answer() {
    let first = OutboundServer::with(Step::Mail, Behaviour::Reply("550 5.1.8 sender unknown here".into()));
    let second = OutboundServer::start();
    let relay = relay(first.address(), second.address(), "");
    Mailer::ready(relay.address()).say(&format!("MAIL FROM:<{FROM}>")).expect("550 5.1.8 ...");
    assert_eq!(second.connections(), 0);
}

#[test]
fn after_the_dot_there_is_no_second_try() {
    let first = OutboundServer::with(Step::Dot, Behaviour::Close);
    let second = OutboundServer::start();
    let relay = relay(first.address(), second.address(), "");
    send(&relay).expect("451 4.4.2 ...final dot...");
    assert_eq!(second.connections(), 0);
    assert_eq!(relay.audited("outcome", 1)[0]["result"], "in_doubt");
    // The mailer's own second try goes to the one that is well.
    send(&relay).expect("250 ...");
    assert_eq!((first.held().len(), second.held().len()), (0, 1));
}

#[test]
fn a_server_that_lacks_an_extension_leaves_the_message_to_the_next() {
    let first = OutboundServer::with(Step::Ehlo, Behaviour::Reply("250 outbound.example".into()));
    let second = OutboundServer::start();
    let relay = relay(first.address(), second.address(), "");
    let mut mailer = Mailer::ready(relay.address());
    mailer.say(&format!("MAIL FROM:<{FROM}> SMTPUTF8")).expect("250 ...");
    mailer.say("RSET").expect("250 ...");
    // It is not down for that.
    send(&relay).expect("250 ...");
    assert_eq!((first.held().len(), second.held().len()), (1, 0));
}

#[test]
fn when_all_are_down_each_is_tried_and_one_that_is_back_is_used() {
    let (first, second) = (absent(), absent());
    let relay = relay(first, second, "");
    let mut mailer = Mailer::ready(relay.address());
    mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("451 4.4.1 ...connect...");
    assert_eq!(relay.audited("outcome", 1).len(), 1);
    let back = OutboundServer::listen(TcpListener::bind(second).expect("listener"));
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
    assert_eq!(back.held().len(), 1);
    assert!(relay.log().contains("outbound server is up again"), "{}", relay.log());
}
