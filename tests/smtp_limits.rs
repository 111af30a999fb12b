//! What bad input gets, row by row: an answer or a closed door, in bounded time and memory, while
//! others are served.

mod support;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Mailer, OutboundServer, Relay, Setup, demo_message};

const MIB: usize = 1 << 20;
const FROM: &str = "billing@harbourcard.example";
const TO: &str = "daniel@price.example";

fn relay(setup: impl FnOnce(Setup) -> Setup) -> (OutboundServer, Relay) {
    let outbound = OutboundServer::start();
    let relay = setup(Setup::before(outbound.address()).enforce()).start();
    (outbound, relay)
}

#[track_caller]
fn still_serves(relay: &Relay) {
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
    mailer.say("QUIT").expect("221 ...");
    assert!(mailer.rest().is_empty());
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
}

#[test]
fn other_protocols_and_noise_are_sent_away_with_one_line_logged() {
    let (_outbound, relay) = relay(|setup| setup);
    still_serves(&relay);
    let noise: Vec<u8> = (0u32..65_536).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let inputs: [(&str, &[u8]); 4] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: relay.example\r\nUser-Agent: probe\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n"),
        ("noise", &noise),
        ("zeroes", &[0; 65_536]),
    ];
    for (name, input) in inputs {
        let (lines, memory) = (settled(&relay).len(), relay.resident());
        let mut mailer = Mailer::connect(relay.address());
        // It may be gone before all is written.
        let _ = mailer.write(input);
        let _ = mailer.stream().shutdown(std::net::Shutdown::Write);
        let heard = String::from_utf8_lossy(&mailer.rest()).into_owned();
        assert!(heard.is_empty() || heard.starts_with('5'), "{name}: {heard:?}");
        still_serves(&relay);
        // One line for this session, one for the mailer that came after it.
        let logged = settled(&relay).split_off(lines);
        assert_eq!(logged.len(), 2, "{name}: {logged:#?}");
        assert!(relay.resident() < memory + MIB, "{name}: {memory} -> {}", relay.resident());
    }
}

/// The lines of the log, once that of the last session is there: it is written after the session's end.
fn settled(relay: &Relay) -> Vec<String> {
    support::wait_for("the line of the last session", || {
        let lines: Vec<String> = relay.log().lines().map(str::to_owned).collect();
        lines.last().is_some_and(|line| line.contains("messages=1")).then_some(lines)
    })
}

/// Writes up to `total` bytes of one line; returns how many went out before the relay closed.
fn write_endless_line(mailer: &mut Mailer, total: usize) -> usize {
    let chunk = vec![b'x'; 64 * 1024];
    let mut written = 0;
    while written < total {
        match mailer.stream().write(&chunk) {
            Ok(bytes) => written += bytes,
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => break,
            Err(error) => panic!("{error} after {written} bytes"),
        }
    }
    written
}

#[test]
fn a_line_without_end_is_closed_at_the_limit() {
    let (_outbound, relay) = relay(|setup| setup);
    still_serves(&relay);
    let memory = relay.resident();

    let mut mailer = Mailer::ready(relay.address());
    let written = write_endless_line(&mut mailer, 1024 * MIB);
    assert!(written < 64 * MIB, "{written} bytes were read of one command line");

    let mut mailer = Mailer::ready(relay.address());
    mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    mailer.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
    mailer.say("DATA").expect("354 ...");
    let written = write_endless_line(&mut mailer, 1024 * MIB);
    assert!(written < 64 * MIB, "{written} bytes were read of one text line");

    assert!(relay.resident() < memory + MIB, "{memory} -> {}", relay.resident());
    still_serves(&relay);
}

/// Sends one byte after the other, slowly, until the relay closes; returns how long it took.
fn trickle(mut mailer: Mailer, byte: u8) -> Duration {
    let begun = Instant::now();
    while begun.elapsed() < support::PATIENCE {
        if mailer.write(&[byte]).is_err() {
            break;
        }
        let mut seen = [0; 512];
        mailer.stream().set_read_timeout(Some(Duration::from_millis(100))).expect("timeout");
        match mailer.stream().peek(&mut seen) {
            Ok(0) => break,
            // The reply that says goodbye: nothing more will be read.
            Ok(_) => break,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    begun.elapsed()
}

#[test]
fn one_byte_at_a_time_is_closed_by_the_time_limit_while_others_are_served() {
    let (_outbound, relay) =
        relay(|setup| setup.config("limits.command_time = \"1s\"\nlimits.message_time = \"1s\""));
    let slow_command = Mailer::ready(relay.address());
    let mut slow_message = Mailer::ready(relay.address());
    slow_message.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    slow_message.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
    slow_message.say("DATA").expect("354 ...");
    let slow = [
        std::thread::spawn(move || trickle(slow_command, b'N')),
        std::thread::spawn(move || trickle(slow_message, b'x')),
    ];
    still_serves(&relay);
    for thread in slow {
        let took = thread.join().expect("trickle");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_silent_client_hears_421_and_is_closed() {
    let (_outbound, relay) = relay(|setup| setup.config("limits.command_time = \"1s\""));
    let mut mailer = Mailer::ready(relay.address());
    mailer.reply().expect("421 4.4.2 ...");
    assert!(mailer.rest().is_empty());
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let (_outbound, relay) =
        relay(|setup| setup.config("limits.reply_time = \"1s\"\nlimits.commands = 100000000"));
    let mut mailer = Mailer::ready(relay.address());
    let begun = Instant::now();
    let helps = b"HELP\r\n".repeat(10_000);
    while mailer.write(&helps).is_ok() {
        assert!(
            begun.elapsed() < support::PATIENCE,
            "the relay goes on answering somebody who does not read"
        );
    }
    still_serves(&relay);
}

#[test]
fn malformed_messages_are_judged_in_bounded_time() {
    let (outbound, relay) = relay(|setup| setup);
    still_serves(&relay);
    let mut nested = String::new();
    for level in 0..10_000 {
        nested.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
    }
    nested.push_str("Content-Type: text/plain\r\n\r\ninnermost\r\n");
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        "--b\r\nContent-Type: text/plain\r\n\r\npart\r\n".repeat(10_000)
    );
    let forwarded: [(&str, Vec<u8>); 9] = [
        ("nested parts", nested.into_bytes()),
        ("many parts", many.into_bytes()),
        ("no headers", b"Your parcel arrives on Tuesday.\r\n".to_vec()),
        ("empty", Vec::new()),
        ("only a line end", b"\r\n".to_vec()),
        (
            "wrong charset",
            b"Content-Type: text/plain; charset=utf-7x\r\n\r\nYour code is 123456 \xff\xfe\xc3\r\n".to_vec(),
        ),
        ("broken base64", b"Content-Transfer-Encoding: base64\r\n\r\n!!!!====AAAA\x80\r\n".to_vec()),
        (
            "boundary never used",
            b"Content-Type: multipart/mixed; boundary=\"\r\n\r\nYour code is 123456\r\n".to_vec(),
        ),
        ("zero bytes", b"Subject: code\r\n\r\n\0\0\0Your code is 123456\0\r\n".to_vec()),
    ];
    for (name, message) in &forwarded {
        let begun = Instant::now();
        let reply = Mailer::ready(relay.address()).send(FROM, &[TO], message);
        assert!(reply.code == 250 || reply.code == 451, "{name}: {reply:?}");
        assert!(begun.elapsed() < Duration::from_secs(12), "{name}: {:?}", begun.elapsed());
    }
    // Deep HTML and a long line of tags, too.
    let html = format!("Content-Type: text/html\r\n\r\n{}\r\n", "<div>\r\n".repeat(100_000));
    let reply = Mailer::ready(relay.address()).send(FROM, &[TO], html.as_bytes());
    assert!(reply.code == 250 || reply.code == 451, "{reply:?}");
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
    let (held, decisions) = (outbound.held().len(), relay.audited("decision", forwarded.len() + 2));
    let forwarded =
        decisions.iter().filter(|decision| decision["recipients"][0]["action"] == "forward").count();
    assert_eq!(held, forwarded, "as many delivered as decided");
}

#[test]
fn a_message_of_one_bad_line_is_no_reason_to_forward_it_unjudged() {
    // Enforce defers what cannot be judged; it never lets it through as service mail.
    let (outbound, relay) = relay(|setup| setup);
    let promotion = b"Content-Type: text/html; charset=utf-16\r\n\r\n<p>Spend 300 and get 30 back. Shop now, 20% off!</p>\r\n";
    let reply = Mailer::ready(relay.address()).send(FROM, &[TO], promotion);
    assert!(reply.code >= 400, "a wrong charset hid a promotion: {reply:?}");
    assert_eq!(outbound.held(), []);
}

#[test]
fn clients_from_elsewhere_hear_554_before_anything_else() {
    let (_outbound, relay) =
        relay(|setup| setup.listener_config("networks = [\"192.0.2.0/24\", \"2001:db8::/32\"]"));
    let mut mailer = Mailer::connect_silently(relay.address());
    mailer.reply().expect("554 5.7.1 ...");
    assert!(mailer.rest().is_empty());
}

#[test]
fn two_hundred_sessions_are_served_at_once() {
    let (outbound, relay) = relay(|setup| setup);
    let message = demo_message("03-statement-ready");
    let mut sessions: Vec<Mailer> = (0..200).map(|_| Mailer::ready(relay.address())).collect();
    for (number, mailer) in sessions.iter_mut().enumerate() {
        mailer.say(&format!("MAIL FROM:<session{number}@harbourcard.example>")).expect("250 ...");
        mailer.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
        mailer.say("DATA").expect("354 ...");
    }
    // All at the same time, so that many share one write to the ledger.
    for mailer in &mut sessions {
        mailer.write(&support::mailer::stuffed(&message)).expect("write");
    }
    for mailer in &mut sessions {
        mailer.reply().expect("250 ...");
    }
    assert_eq!(outbound.held().len(), 200);
    assert_eq!(relay.audited("outcome", 200).len(), 200);
}

#[test]
fn sessions_are_limited_in_all_and_per_client() {
    for limit in ["limits.sessions = 2", "limits.sessions_per_client = 2"] {
        let (_outbound, relay) = relay(|setup| setup.config(limit));
        let first = Mailer::ready(relay.address());
        let _second = Mailer::ready(relay.address());
        let mut third = Mailer::connect_silently(relay.address());
        third.reply().expect("421 4...");
        assert!(third.rest().is_empty());
        drop(first);
        // The place becomes free as soon as the relay has seen the end of the first session.
        support::wait_for("a free place", || {
            let mut mailer = Mailer::connect_silently(relay.address());
            mailer.next_reply().filter(|reply| reply.code == 220)
        });
    }
}

#[test]
fn messages_beyond_the_memory_of_all_sessions_are_put_off() {
    let (_outbound, relay) =
        relay(|setup| setup.config("limits.memory = \"2MiB\"\nlimits.message_size = \"2MiB\""));
    still_serves(&relay);
    let message = "a line of some sixty characters, over and over and over.\r\n".repeat(20_000);
    // The first one has sent all but the dot, and holds on to its place.
    let mut first = Mailer::ready(relay.address());
    first.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    first.say(&format!("RCPT TO:<{TO}>")).expect("250 ...");
    first.say("DATA").expect("354 ...");
    first.write(message.as_bytes()).expect("write");

    // Until the relay has read all of the first, a second may still find room.
    let mut second = Mailer::ready(relay.address());
    support::wait_for("452", || {
        let reply = second.send(FROM, &[TO], message.as_bytes());
        assert!(reply.code == 250 || reply.code == 452, "{reply:?}");
        (reply.code == 452).then(|| reply.expect("452 4.3.1 ..."))
    });
    first.write(b".\r\n").expect("write");
    first.reply().expect("250 ...");
    second.send(FROM, &[TO], message.as_bytes()).expect("250 ...");
}

#[test]
fn a_large_message_is_refused_after_its_real_end_and_memory_stays_flat() {
    let (_outbound, relay) = relay(|setup| setup.config("limits.message_size = \"1MiB\""));
    still_serves(&relay);
    let memory = relay.resident();
    let message = "a line of some sixty characters, over and over and over.\r\n".repeat(1_000_000);
    let mut mailer = Mailer::ready(relay.address());
    mailer.send(FROM, &[TO], message.as_bytes()).expect("552 5.3.4 ...");
    mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
    assert!(relay.resident() < memory + 4 * MIB, "{memory} -> {}", relay.resident());
}

/// A small file system of its own; needs root.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("mount point");
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(path).output();
        output.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).expect("filler");
        while file.write(&[0; 4096]).is_ok_and(|bytes| bytes > 0) {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("remove filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_ledger_disk_puts_messages_off_and_lets_none_through() {
    let dir = tempfile::tempdir().expect("directory");
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk")) else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    let outbound = OutboundServer::start();
    let relay =
        Setup::before(outbound.address()).state_dir(&disk.0.join("state")).consent(TO, "opted_out").start();
    for mode in ["monitor", "enforce"] {
        relay.command(&["mode", mode, "--reason", "the test wants it"]);
        let held = outbound.held().len();
        disk.fill();
        let mut mailer = Mailer::ready(relay.address());
        // More than one, so that what is left in the last block is used up.
        let mut put_off = 0;
        for _ in 0..40 {
            let reply = mailer.send(FROM, &[TO], &demo_message("03-statement-ready"));
            assert!(reply.code == 250 || reply.code == 452, "{mode}: {reply:?}");
            put_off += usize::from(reply.code == 452);
        }
        assert!(put_off > 0, "{mode}: the disk never was full");
        disk.make_room();
        mailer.send(FROM, &[TO], &demo_message("03-statement-ready")).expect("250 ...");
        assert_eq!(outbound.held().len() - held, 41 - put_off, "{mode}");
    }
    let forwarded = relay
        .audit()
        .iter()
        .filter(|event| event["event"] == "decision" && event["recipients"][0]["action"] == "forward")
        .count();
    assert!(forwarded >= outbound.held().len(), "a message was forwarded without its record");
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
    drop(relay);
}
