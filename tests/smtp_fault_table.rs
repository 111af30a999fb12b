//! The table of faults: every way in which an outbound server or a mailer misbehaves, at every step. In each
//! cell: what the mailer hears, what the outbound server holds, what the ledger says, and that the relay
//! serves the next message.
//!
//! Before there is a message there is nothing to decide upon: no decision. A fault is an outcome all the
//! same; the server's own answer to MAIL or RCPT is passed on and is none.

mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::mailer::stuffed;
use support::{Behaviour, Mailer, OutboundServer, Relay, Setup, Step, demo_message, wait_for};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const FROM: &str = "billing@harbourcard.example";
const TO: &str = "daniel@price.example";

/// Short enough that silence is noticed within the test's patience.
const SHORT: &str = "timeouts = { connect = \"5s\", greeting = \"3s\", mail = \"3s\", rcpt = \"3s\", data = \"3s\", message = \"3s\" }";

/// How many cells are tried at once: most of them wait for time limits.
const AT_ONCE: usize = 8;

/// The certificate of a scripted server that offers STARTTLS and AUTH.
struct Tls {
    server: Arc<ServerConfig>,
    ca: PathBuf,
    password: PathBuf,
    _directory: tempfile::TempDir,
}

impl Tls {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let certified = rcgen::generate_simple_self_signed(["outbound.example".to_owned()]).expect("made");
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, certified.cert.pem()).expect("CA file");
        let password = directory.path().join("password");
        std::fs::write(&password, "s3cret\n").expect("password file");
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("key");
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .expect("server configuration");
        Self { server: Arc::new(server), ca, password, _directory: directory }
    }

    fn setup(&self, server: &OutboundServer) -> Setup {
        server.offer_tls(Arc::clone(&self.server));
        Setup::before(server.address()).outbound_tls("starttls").outbound_config(&format!(
            "tls_name = \"outbound.example\"\ntls_ca = {:?}\nusername = \"relay\"\npassword_file = {:?}",
            self.ca, self.password
        ))
    }
}

/// What a cell must come to.
#[derive(Clone, Debug)]
struct Expected {
    /// The step at which the mailer hears of it, and what it hears.
    heard: Option<(&'static str, String)>,
    /// The outcome in the ledger; `|` between what is equally right.
    outcome: Option<&'static str>,
}

struct Cell {
    name: String,
    run: Box<dyn Fn(&Tls) + Send + Sync>,
}

/// The relay is well: the same mailer's next message goes through, and the ledger holds for it and for
/// what was before as much as it should.
fn afterwards(
    relay: &Relay,
    server: &OutboundServer,
    mailer: &mut Mailer,
    decisions: usize,
    outcomes: usize,
) {
    let held = server.held().len();
    server.behave();
    mailer.say("RSET").expect("250 ...");
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...kept as outbound-1...");
    assert_eq!(server.held().len(), held + 1);
    assert_eq!(relay.audited("decision", decisions + 1).len(), decisions + 1);
    let all = relay.audited("outcome", outcomes + 1);
    assert_eq!(all.len(), outcomes + 1, "{all:#?}");
    assert_eq!(all[outcomes]["result"], "forwarded");
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
}

/// One step at which the server misbehaves in one way.
fn outbound_cell(tls: &Tls, step: Step, behaviour: &Behaviour, expected: &Expected) {
    let server = OutboundServer::start();
    let needs_tls = matches!(step, Step::StartTls | Step::Auth);
    let setup = if needs_tls { tls.setup(&server) } else { Setup::before(server.address()) };
    server.at(step, behaviour.clone());
    let relay = setup.outbound_config(SHORT).enforce().start();
    let mut mailer = Mailer::ready(relay.address());
    let (at, reply) = mailer.attempt(FROM, TO, &demo_message("03-statement-ready"));
    match &expected.heard {
        Some((step, pattern)) => {
            assert_eq!(at, *step, "{reply:?}");
            reply.clone().expect(pattern);
            assert_eq!(server.held(), []);
        }
        None => {
            reply.clone().expect("250 ...");
            assert_eq!(server.held().len(), 1);
        }
    }
    let decided = usize::from(at == "dot");
    if let Some(result) = expected.outcome {
        let outcome = relay.audited("outcome", 1).swap_remove(0);
        assert!(result.split('|').any(|result| outcome["result"] == result), "{outcome:#}");
        assert_eq!(outcome["reply"], reply.text(), "the ledger holds what the mailer heard");
        assert_eq!(outcome["outbound"], server.address().to_string());
        if let Some(decision) = relay.audited("decision", decided).first() {
            assert_eq!(decision["ref"], outcome["ref"]);
        }
    }
    afterwards(&relay, &server, &mut mailer, decided, usize::from(expected.outcome.is_some()));
}

/// The step's good answer, the word for it in replies, where the mailer hears of a fault.
const STEPS: [(Step, &str, &str, &str); 8] = [
    (Step::Banner, "220", "greeting", "MAIL"),
    (Step::Ehlo, "250", "EHLO", "MAIL"),
    (Step::StartTls, "220", "TLS", "MAIL"),
    (Step::Auth, "235", "AUTH", "MAIL"),
    (Step::Mail, "250", "MAIL", "MAIL"),
    (Step::Rcpt, "250", "RCPT", "RCPT"),
    (Step::Data, "354", "DATA", "dot"),
    (Step::Dot, "250", "final dot", "dot"),
];

/// Where a reply too many is noticed: at the next step.
fn noticed_at(step: Step) -> Option<(&'static str, &'static str)> {
    match step {
        Step::Banner => Some(("MAIL", "EHLO")),
        Step::Ehlo | Step::Auth => Some(("MAIL", "MAIL")),
        Step::StartTls => Some(("MAIL", "TLS")),
        Step::Mail => Some(("RCPT", "RCPT")),
        Step::Rcpt => Some(("dot", "DATA")),
        Step::Data => Some(("dot", "message transfer")),
        _ => None,
    }
}

fn cells_of_a_step(step: Step, code: &str, word: &str, heard_at: &'static str) -> Vec<Cell> {
    let early = !matches!(step, Step::Mail | Step::Rcpt | Step::Data | Step::Dot);
    let before_the_message = heard_at != "dot";
    let reply = |text: &str| Behaviour::Reply(text.to_owned());
    let fault = |why: &str| Expected {
        heard: Some((heard_at, format!("451 4...{word}: {why}..."))),
        outcome: Some(if step == Step::Dot { "in_doubt" } else { "deferred" }),
    };
    let refused = |passed_on: &str, outcome: &'static str| match (early, before_the_message) {
        (true, _) => fault("the server answered"),
        (false, true) => Expected { heard: Some((heard_at, passed_on.to_owned())), outcome: None },
        (false, false) => Expected { heard: Some((heard_at, passed_on.to_owned())), outcome: Some(outcome) },
    };
    let fine = Expected { heard: None, outcome: Some("forwarded") };
    let extra = match noticed_at(step) {
        Some((at, word)) => Expected {
            heard: Some((
                at,
                format!("451 4...{word}: the server sent a reply that nothing had asked for..."),
            )),
            outcome: Some("deferred"),
        },
        None => fine.clone(),
    };
    let wrong = if matches!(step, Step::Data | Step::Auth) { "250 2.0.0 so be it" } else { "354 so be it" };
    let many_lines = format!("{code}-x\r\n").repeat(1000);
    let kinds: Vec<(&str, Behaviour, Expected)> = vec![
        ("refuses for now", reply("451 4.3.0 not now"), refused("451 4.3.0 not now", "deferred")),
        ("refuses for good", reply("554 5.7.1 go away"), refused("554 5.7.1 go away", "rejected")),
        ("says 421", reply("421 4.3.2 closing"), refused("451 4.3.2 ...421 4.3.2 closing", "deferred")),
        ("closes", Behaviour::Close, fault("")),
        ("resets", Behaviour::Reset, fault("")),
        ("is silent", Behaviour::Silence, fault("no answer in time")),
        ("says no reply", Behaviour::Garbled(b"what was that\r\n".to_vec()), fault("the answer is no valid")),
        ("says NULs", Behaviour::Garbled(b"\0\0\0\0\r\n".to_vec()), fault("the answer is no valid")),
        (
            "ends a line in LF",
            Behaviour::Garbled(b"250-x\n250 y\n".to_vec()),
            fault("the answer is no valid"),
        ),
        ("mixes codes", Behaviour::Garbled(b"250-x\r\n251 y\r\n".to_vec()), fault("the answer is no valid")),
        ("has the wrong class", reply(wrong), fault("the answer is no valid")),
        ("never ends a line", Behaviour::Garbled(vec![b'2'; 3_000_000]), fault("the answer is too long")),
        ("never ends a reply", Behaviour::Garbled(many_lines.into_bytes()), fault("the answer is too long")),
        ("stops in mid-reply", Behaviour::Garbled(b"250-2.0.0 almost".to_vec()), fault("no answer in time")),
        ("is not UTF-8", Behaviour::Garbled([code.as_bytes(), b" gr\xfc\xdfe\r\n"].concat()), fine.clone()),
        ("says one reply too many", reply(&format!("{code} one\r\n250 2.0.0 two")), extra),
        ("drips", Behaviour::Drip(Duration::ZERO), fine),
    ];
    let cell = |(kind, behaviour, expected): (&str, Behaviour, Expected)| Cell {
        name: format!("{step:?}: the outbound server {kind}"),
        run: Box::new(move |tls| outbound_cell(tls, step, &behaviour, &expected)),
    };
    kinds.into_iter().map(cell).collect()
}

fn cell(name: &str, run: impl Fn(&Tls) + Send + Sync + 'static) -> Cell {
    Cell { name: name.to_owned(), run: Box::new(run) }
}

/// What is no step of its own: in mid-body, RSET, QUIT, over several messages.
fn other_outbound_cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (kind, behaviour) in [("closes", Behaviour::Close), ("resets", Behaviour::Reset)] {
        let expected =
            Expected { heard: Some(("dot", "451 4.4.2 ...".to_owned())), outcome: Some("deferred|in_doubt") };
        cells.push(cell(&format!("Message: the outbound server {kind}"), move |tls| {
            outbound_cell(tls, Step::Message, &behaviour, &expected);
        }));
    }
    for (kind, behaviour) in [
        ("refuses for now", Behaviour::Reply("451 4.3.0 not now".into())),
        ("refuses for good", Behaviour::Reply("500 5.5.1 what".into())),
        ("closes", Behaviour::Close),
        ("resets", Behaviour::Reset),
        ("is silent", Behaviour::Silence),
        ("says one reply too many", Behaviour::Reply("250 one\r\n250 two".into())),
    ] {
        let at_rset = behaviour.clone();
        cells.push(cell(&format!("Rset: the outbound server {kind}"), move |_| {
            let server = OutboundServer::with(Step::Rset, at_rset.clone());
            let relay = Setup::before(server.address()).outbound_config(SHORT).enforce().start();
            let mut mailer = Mailer::ready(relay.address());
            mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
            mailer.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
            mailer.say("RSET").expect("250 ...");
            wait_for("RSET", || server.commands().contains(&"RSET".to_owned()).then_some(()));
            afterwards(&relay, &server, &mut mailer, 0, 0);
        }));
        cells.push(cell(&format!("Quit: the outbound server {kind}"), move |_| {
            let server = OutboundServer::with(Step::Quit, behaviour.clone());
            let config = format!("{SHORT}\nmessages_per_connection = 1");
            let relay = Setup::before(server.address()).outbound_config(&config).enforce().start();
            let mut mailer = Mailer::ready(relay.address());
            mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
            wait_for("QUIT", || server.commands().contains(&"QUIT".to_owned()).then_some(()));
            afterwards(&relay, &server, &mut mailer, 1, 1);
        }));
    }
    cells.push(cell("Dot: the outbound server answers after the timeout", |_| {
        let server = OutboundServer::with(Step::Dot, Behaviour::Wait);
        let relay = Setup::before(server.address()).outbound_config(SHORT).enforce().start();
        let mut mailer = Mailer::ready(relay.address());
        let (_, reply) = mailer.attempt(FROM, TO, &demo_message("03-statement-ready"));
        reply.expect("451 4.4.2 ...final dot: no answer in time...");
        assert_eq!(relay.audited("outcome", 1)[0]["result"], "in_doubt");
        // It is in doubt because this may happen.
        server.release();
        wait_for("the late acceptance", || (server.held().len() == 1).then_some(()));
        afterwards(&relay, &server, &mut mailer, 1, 1);
    }));
    cells.push(cell("Connect: the outbound server is absent", |_| {
        // Bound and dropped: nobody listens on this port.
        let address =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr()).expect("port");
        let relay = Setup::before(address).outbound_config(SHORT).enforce().start();
        let mut mailer = Mailer::ready(relay.address());
        mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("451 4.4.1 ...connect: ...");
        let server = OutboundServer::listen(TcpListener::bind(address).expect("listener"));
        afterwards(&relay, &server, &mut mailer, 0, 1);
    }));
    cells.push(cell("Ehlo: the outbound server offers less the second time", |_| {
        let server = OutboundServer::start();
        let relay = Setup::before(server.address()).outbound_config(SHORT).enforce().start();
        let mut mailer = Mailer::ready(relay.address());
        mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
        server.hang_up();
        server.at(Step::Ehlo, Behaviour::Reply("250 outbound.example".into()));
        let reply = mailer.say(&format!("MAIL FROM:<{FROM}> SMTPUTF8"));
        reply.expect("550 5.6.7 ...the server does not offer SMTPUTF8...");
        assert_eq!(server.held().len(), 1);
        afterwards(&relay, &server, &mut mailer, 1, 2);
    }));
    cells
}

/// How a mailer leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    Closes,
    Resets,
}

fn mailer_cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let mail = format!("MAIL FROM:<{FROM}>\r\n");
    let rcpt = format!("RCPT TO:<{TO}>\r\n");
    let steps: [(&str, Vec<u8>, usize); 6] = [
        ("the greeting", Vec::new(), 0),
        ("EHLO", b"EHLO mailer.example\r\n".to_vec(), 1),
        ("MAIL", format!("EHLO mailer.example\r\n{mail}").into_bytes(), 2),
        ("RCPT", format!("EHLO mailer.example\r\n{mail}{rcpt}").into_bytes(), 3),
        ("DATA", format!("EHLO mailer.example\r\n{mail}{rcpt}DATA\r\n").into_bytes(), 4),
        (
            "half the message",
            format!("EHLO mailer.example\r\n{mail}{rcpt}DATA\r\nSubject: half\r\n\r\nhal").into_bytes(),
            4,
        ),
    ];
    for leaving in [Leaving::Closes, Leaving::Resets] {
        for (step, said, replies) in steps.clone() {
            cells.push(cell(&format!("the mailer {leaving:?} after {step}"), move |_| {
                let server = OutboundServer::start();
                let relay = Setup::before(server.address()).outbound_config(SHORT).enforce().start();
                let mut mailer = Mailer::connect(relay.address());
                mailer.write(&said).expect("write");
                for _ in 0..replies {
                    assert!(mailer.reply().code < 400);
                }
                leave(mailer, leaving);
                assert_eq!(server.held(), []);
                afterwards(&relay, &server, &mut Mailer::ready(relay.address()), 0, 0);
            }));
        }
        cells.push(cell(&format!("the mailer {leaving:?} after the dot"), move |_| {
            let server = OutboundServer::with(Step::Dot, Behaviour::Wait);
            let relay = Setup::before(server.address()).enforce().start();
            let mut mailer = Mailer::ready(relay.address());
            mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
            mailer.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
            mailer.say("DATA").expect("354 ...");
            mailer.write(&stuffed(&demo_message("03-statement-ready"))).expect("write");
            wait_for("the final dot", || (server.waiting() == 1).then_some(()));
            leave(mailer, leaving);
            server.release();
            // It was taken, so it is recorded as taken, though nobody is there to hear it.
            assert_eq!(relay.audited("outcome", 1)[0]["result"], "forwarded");
            assert_eq!(server.held().len(), 1);
            afterwards(&relay, &server, &mut Mailer::ready(relay.address()), 1, 1);
        }));
    }
    cells.push(cell("the mailer pipelines everything", |_| whole_session(1 << 20, false)));
    cells.push(cell("the mailer sends single bytes", |_| whole_session(1, false)));
    cells.push(cell("the mailer sends after QUIT", |_| whole_session(1 << 20, true)));
    cells
}

fn leave(mailer: Mailer, leaving: Leaving) {
    if matches!(leaving, Leaving::Resets) {
        socket2::SockRef::from(mailer.stream()).set_linger(Some(Duration::ZERO)).expect("linger");
    }
    drop(mailer);
}

/// A whole session written without waiting for replies, in pieces of that size.
fn whole_session(piece: usize, more: bool) {
    let server = OutboundServer::start();
    let relay = Setup::before(server.address()).enforce().start();
    let message = demo_message("03-statement-ready");
    let transaction = format!("MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\n");
    let mut session = format!("EHLO mailer.example\r\n{transaction}DATA\r\n").into_bytes();
    session.extend(stuffed(&message));
    session.extend_from_slice(b"QUIT\r\n");
    if more {
        session.extend(format!("{transaction}DATA\r\n").bytes().chain(stuffed(&message)));
    }
    let mut mailer = Mailer::connect(relay.address());
    for bytes in session.chunks(piece) {
        mailer.write(bytes).expect("write");
    }
    for code in [250, 250, 250, 354, 250, 221] {
        assert_eq!(mailer.reply().code, code);
    }
    assert_eq!(mailer.rest(), b"");
    assert_eq!(server.held().len(), 1);
    afterwards(&relay, &server, &mut Mailer::ready(relay.address()), 1, 1);
}

#[test]
fn every_cell_of_the_fault_table_holds() {
    let mut cells: Vec<Cell> = STEPS
        .iter()
        .flat_map(|(step, code, word, heard_at)| cells_of_a_step(*step, code, word, heard_at))
        .collect();
    cells.extend(other_outbound_cells());
    cells.extend(mailer_cells());
    let tls = Tls::new();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (cell.run)(&tls))) {
                        let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        failed.lock().expect("lock").push(format!("{}\n    {why}", cell.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("lock");
    println!("fault table: {} cells, {} hold", cells.len(), cells.len() - failed.len());
    assert!(failed.is_empty(), "{} of {} cells:\n{}", failed.len(), cells.len(), failed.join("\n"));
}
