//! The promises of the design, each attacked where it would break first.

mod support;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Behaviour, Mailer, OutboundServer, Relay, Setup, Step, added_lines, demo_message, wait_for};

const FROM: &str = "billing@harbourcard.example";
const AGREED: &str = "amina@hussain.example";
const REFUSED: &str = "daniel@price.example";
const SERVICE: &str = "03-statement-ready";
const PROMOTION: &str = "08-statement-spend-and-get";

fn enforcing(outbound: &OutboundServer) -> Relay {
    Setup::before(outbound.address())
        .consent(AGREED, "opted_in")
        .consent(REFUSED, "opted_out")
        .enforce()
        .start()
}

/// The mode that `consentry mode` says is in force.
fn mode_of(relay: &Relay) -> String {
    let answer: serde_json::Value = serde_json::from_str(&relay.command(&["mode"])).expect("JSON");
    answer["mode"].as_str().expect("mode").to_owned()
}

/// Says everything up to and with the final dot, and does not wait for the reply.
fn send_without_waiting(relay: &Relay, to: &str, message: &[u8]) -> Mailer {
    let mut mailer = Mailer::ready(relay.address());
    mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
    mailer.say(&format!("RCPT TO:<{to}>")).expect("250 ...");
    mailer.say("DATA").expect("354 ...");
    mailer.write(&support::mailer::stuffed(message)).expect("write");
    mailer
}

/// Whether any file under `directory` holds `needle`.
fn stored_under(directory: &Path, needle: &[u8]) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(directory).expect("list").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = stored_under(&path, needle) {
                return Some(found);
            }
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(needle.len()).any(|part| part == needle))
        {
            return Some(path);
        }
    }
    None
}

mod it_owns_no_mail {
    use super::*;

    #[test]
    fn the_250_is_said_only_after_the_outbound_servers() {
        let outbound = OutboundServer::with(Step::Dot, Behaviour::Wait);
        let relay = enforcing(&outbound);
        let mut mailer = send_without_waiting(&relay, REFUSED, &demo_message(SERVICE));
        wait_for("the message at the outbound server", || (outbound.waiting() == 1).then_some(()));

        mailer.stream().set_read_timeout(Some(Duration::from_millis(300))).expect("timeout");
        let early = mailer.stream().peek(&mut [0; 64]).expect_err("a reply before the outbound server's");
        assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{early}");

        mailer.stream().set_read_timeout(Some(support::PATIENCE)).expect("timeout");
        outbound.release();
        mailer.reply().expect("250 ...kept as outbound-1...");
    }

    #[test]
    fn no_file_keeps_the_text_of_a_message() {
        let outbound = OutboundServer::start();
        let relay = enforcing(&outbound);
        let marker = "xyzzy-4711-plugh";
        let message = format!("Subject: code\r\n\r\nYour code is 123456. {marker}\r\n");
        let mut mailer = Mailer::ready(relay.address());
        mailer.send(FROM, &[REFUSED], message.as_bytes()).expect("250 ...");
        outbound.at(Step::Dot, Behaviour::Close);
        let reply = mailer.send(FROM, &[REFUSED], message.as_bytes());
        assert!((400..500).contains(&reply.code), "{reply:?}");
        assert_eq!(stored_under(&relay.state_dir(), marker.as_bytes()), None);
    }

    #[test]
    fn after_a_kill_in_mid_message_the_mailer_has_heard_no_250() {
        for step in [Step::Data, Step::Dot] {
            let outbound = OutboundServer::with(step, Behaviour::Wait);
            let mut relay = enforcing(&outbound);
            let mut mailer = Mailer::ready(relay.address());
            mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
            mailer.say(&format!("RCPT TO:<{REFUSED}>")).expect("250 ...");
            mailer.write(b"DATA\r\n").expect("write");
            if step == Step::Dot || mailer_hears_354(&outbound, &mut mailer) {
                if step == Step::Dot {
                    mailer.reply().expect("354 ...");
                }
                mailer.write(&support::mailer::stuffed(&demo_message(SERVICE))).expect("write");
                wait_for("the outbound server to be asked", || (outbound.waiting() == 1).then_some(()));
            }
            relay.kill();
            assert_eq!(mailer.next_reply(), None, "{step:?}");
        }
    }

    /// A relay may ask the outbound server for DATA before or after it has read the message.
    fn mailer_hears_354(outbound: &OutboundServer, mailer: &mut Mailer) -> bool {
        let asked_first = wait_for("354, or DATA at the outbound server", || {
            if outbound.waiting() == 1 {
                return Some(true);
            }
            mailer.stream().set_read_timeout(Some(Duration::from_millis(5))).expect("timeout");
            mailer.stream().peek(&mut [0; 8]).is_ok().then_some(false)
        });
        mailer.stream().set_read_timeout(Some(support::PATIENCE)).expect("timeout");
        if !asked_first {
            mailer.reply().expect("354 ...");
        }
        !asked_first
    }
}

mod nothing_leaves_unrecorded {
    use super::*;

    #[test]
    fn the_decision_is_in_the_ledger_when_the_message_has_arrived() {
        let outbound = OutboundServer::with(Step::Dot, Behaviour::Wait);
        let mut relay = enforcing(&outbound);
        let _mailer = send_without_waiting(&relay, REFUSED, &demo_message(SERVICE));
        wait_for("the message at the outbound server", || (outbound.waiting() == 1).then_some(()));
        relay.kill();
        let decisions = support::audit::of_kind(&relay.state_dir(), "decision");
        assert_eq!(decisions.len(), 1, "{decisions:#?}");
        assert_eq!(decisions[0]["recipients"][0]["action"], "forward");
    }

    #[test]
    fn no_byte_of_a_message_goes_out_without_its_decision_on_disk() {
        // The outbound server stops the relay at DATA; what is on disk then must already decide.
        let outbound = OutboundServer::with(Step::Data, Behaviour::Wait);
        let mut relay = enforcing(&outbound);
        let mut mailer = Mailer::ready(relay.address());
        mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
        mailer.say(&format!("RCPT TO:<{REFUSED}>")).expect("250 ...");
        mailer.write(b"DATA\r\n").expect("write");
        let mut wire = support::mailer::stuffed(&demo_message(PROMOTION));
        mailer.reply().expect("354 ...");
        mailer.write(&std::mem::take(&mut wire)).expect("write");
        mailer.reply().expect("550 5.7.1 ...");
        relay.kill();
        assert_eq!(outbound.message_bytes(), 0, "bytes of a withheld message went out");
        let decisions = support::audit::of_kind(&relay.state_dir(), "decision");
        assert_eq!(decisions[0]["recipients"][0]["action"], "withhold", "{decisions:#?}");
    }

    #[test]
    fn a_refusal_that_was_heard_is_in_the_ledger_of_a_killed_relay() {
        for _ in 0..5 {
            let outbound = OutboundServer::start();
            let mut relay = enforcing(&outbound);
            let mut mailer = send_without_waiting(&relay, REFUSED, &demo_message(PROMOTION));
            mailer.reply().expect("550 5.7.1 ...");
            relay.kill();
            let decisions = support::audit::of_kind(&relay.state_dir(), "decision");
            assert_eq!(decisions.len(), 1);
            assert_eq!(decisions[0]["recipients"][0]["reason"], "consent_refused");
            assert_eq!(outbound.message_bytes(), 0);
        }
    }

    #[test]
    fn every_decision_is_followed_by_its_outcome() {
        let outbound = OutboundServer::start();
        outbound.rule(Step::Dot, "three@", Behaviour::Reply("451 4.3.0 later".into()), usize::MAX);
        let relay = enforcing(&outbound);
        let mut mailer = Mailer::ready(relay.address());
        mailer.send(FROM, &[AGREED], &demo_message(PROMOTION)).expect("250 ...");
        mailer.send(FROM, &[REFUSED], &demo_message(PROMOTION)).expect("550 ...");
        mailer.send(FROM, &["three@okafor.example"], &demo_message(SERVICE)).expect("451 ...");
        let outcomes = relay.audited("outcome", 3);
        let results: Vec<_> =
            outcomes.iter().map(|outcome| outcome["result"].as_str().expect("result")).collect();
        assert_eq!(results, ["forwarded", "withheld", "deferred"]);
        let references = |kind: &str| -> Vec<String> {
            relay
                .audited(kind, 3)
                .iter()
                .map(|event| event["ref"].as_str().expect("ref").to_owned())
                .collect()
        };
        assert_eq!(references("decision"), references("outcome"));
        let unique: BTreeSet<String> = references("decision").into_iter().collect();
        assert_eq!(unique.len(), 3);
    }
}

mod no_withheld_recipient_gets_the_message {
    use super::*;

    #[test]
    fn not_when_the_relay_is_killed_again_and_again_under_load() {
        let outbound = OutboundServer::start();
        let mut relay = enforcing(&outbound);
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        for round in 0..4 {
            let stop = Arc::new(AtomicBool::new(false));
            let workers: Vec<_> = (0..6)
                .map(|worker| {
                    let (stop, acknowledged, address) =
                        (Arc::clone(&stop), Arc::clone(&acknowledged), relay.address());
                    std::thread::spawn(move || load(round, worker, address, &stop, &acknowledged))
                })
                .collect();
            wait_for("some traffic", || (outbound.held().len() >= 10 * (round + 1)).then_some(()));
            relay.kill();
            stop.store(true, Ordering::SeqCst);
            for worker in workers {
                // A worker ends with the connection that the kill has cut.
                let _ = worker.join();
            }
            relay.restart();
            assert_eq!(mode_of(&relay), "enforce", "a killed relay comes back as it was");
        }
        for held in outbound.held() {
            let text = String::from_utf8_lossy(&held.message).into_owned();
            assert!(
                !held.to.contains(&REFUSED.to_owned()) || !text.contains("get =C2=A330 back"),
                "{held:?}"
            );
        }
        let delivered: BTreeSet<String> = outbound.held().iter().map(|held| held.from.clone()).collect();
        let acknowledged = acknowledged.lock().expect("lock");
        assert!(
            acknowledged.is_subset(&delivered),
            "said 250 and not delivered: {:?}",
            acknowledged.difference(&delivered)
        );
        let decisions = relay.audited("decision", 1);
        let decided: BTreeSet<String> = decisions
            .iter()
            .filter(|decision| decision["recipients"][0]["action"] == "forward")
            .map(|decision| decision["from"].as_str().expect("from").to_owned())
            .collect();
        assert!(
            delivered.is_subset(&decided),
            "delivered without a decision: {:?}",
            delivered.difference(&decided)
        );
    }

    /// Sends service mail and promotions in turn until the connection breaks; notes what was said 250 to.
    fn load(
        round: usize,
        worker: usize,
        address: std::net::SocketAddr,
        stop: &AtomicBool,
        acknowledged: &Mutex<BTreeSet<String>>,
    ) -> Option<()> {
        let mut mailer = Mailer::connect_silently(address);
        let say = |mailer: &mut Mailer, text: &[u8]| {
            mailer.write(text).ok()?;
            mailer.next_reply()
        };
        mailer.next_reply()?;
        say(&mut mailer, b"EHLO mailer.example\r\n")?;
        for number in 0.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let from = format!("r{round}.w{worker}.n{number}@harbourcard.example");
            let name = if number % 2 == 0 { SERVICE } else { PROMOTION };
            say(&mut mailer, format!("MAIL FROM:<{from}>\r\n").as_bytes())?;
            say(&mut mailer, format!("RCPT TO:<{REFUSED}>\r\n").as_bytes())?;
            say(&mut mailer, b"DATA\r\n")?;
            let reply = say(&mut mailer, &support::mailer::stuffed(&demo_message(name)))?;
            assert_eq!(reply.code, if number % 2 == 0 { 250 } else { 550 }, "{reply:?}");
            if reply.code == 250 {
                acknowledged.lock().expect("lock").insert(from);
            }
        }
        Some(())
    }

    #[test]
    fn not_when_the_consent_index_is_gone_or_damaged() {
        for damage in ["removed", "zeroed", "noise"] {
            let outbound = OutboundServer::start();
            let mut relay = enforcing(&outbound);
            relay.kill();
            let index = relay.state_dir().join("consent.index");
            assert!(index.exists(), "the index stands elsewhere");
            if damage == "removed" {
                std::fs::remove_dir_all(&index).expect("remove");
            } else {
                for entry in
                    std::fs::read_dir(&index).expect("list").flatten().filter(|entry| entry.path().is_file())
                {
                    let length = entry.metadata().expect("metadata").len() as usize;
                    let byte = |at: usize| if damage == "zeroed" { 0 } else { (at * 31 + 7) as u8 };
                    std::fs::write(entry.path(), (0..length).map(byte).collect::<Vec<u8>>()).expect("damage");
                }
            }
            relay.restart();
            let mut mailer = Mailer::ready(relay.address());
            mailer.send(FROM, &[REFUSED], &demo_message(PROMOTION)).expect("550 5.7.1 ...");
            mailer.send(FROM, &[AGREED], &demo_message(PROMOTION)).expect("250 ...");
            assert_eq!(outbound.held().len(), 1, "{damage}");
        }
    }

    #[test]
    fn not_when_the_index_disappears_under_a_running_relay() {
        let outbound = OutboundServer::start();
        let relay = enforcing(&outbound);
        std::fs::remove_dir_all(relay.state_dir().join("consent.index")).expect("remove");
        let mut mailer = Mailer::ready(relay.address());
        for _ in 0..3 {
            let reply = mailer.send(FROM, &[REFUSED], &demo_message(PROMOTION));
            assert!(reply.code >= 400, "{reply:?}");
        }
        assert_eq!(outbound.message_bytes(), 0);
    }

    #[test]
    fn not_when_judging_takes_too_long() {
        let outbound = OutboundServer::start();
        let relay = Setup::before(outbound.address()).config("policy.judge_time = \"1ms\"").enforce().start();
        let message =
            format!("Subject: long\r\n\r\n{}", "Your statement is ready, and so is mine.\r\n".repeat(50_000));
        let mut mailer = Mailer::ready(relay.address());
        mailer.send(FROM, &[REFUSED], message.as_bytes()).expect("451 4.3.0 ...");
        assert_eq!(outbound.message_bytes(), 0);
        // Monitor mode refuses nothing, and says in the record that it did not know.
        relay.command(&["mode", "monitor", "--reason", "the test wants it"]);
        mailer.send(FROM, &[REFUSED], message.as_bytes()).expect("250 ...");
        let decisions = relay.audited("decision", 2);
        for (decision, action) in decisions.iter().zip(["withhold", "forward"]) {
            assert_eq!(decision["recipients"][0]["reason"], "no_verdict", "{decision:#}");
            assert_eq!(decision["recipients"][0]["action"], action, "{decision:#}");
            assert!(decision["error"].is_string() && decision["verdict"].is_null(), "{decision:#}");
        }
    }

    #[test]
    fn not_when_the_outbound_server_says_250_to_everything() {
        let outbound = OutboundServer::with(Step::Data, Behaviour::Reply("250 2.0.0 no need to ask".into()));
        let relay = enforcing(&outbound);
        let mut mailer = Mailer::ready(relay.address());
        mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
        mailer.say(&format!("RCPT TO:<{REFUSED}>")).expect("250 ...");
        if mailer.say("DATA").code == 354 {
            mailer.message(&demo_message(PROMOTION)).expect("550 5.7.1 ...");
        }
        assert_eq!(outbound.message_bytes(), 0);
    }

    #[test]
    fn not_when_the_promotion_comes_after_a_service_message_in_one_session() {
        let outbound = OutboundServer::start();
        let relay = enforcing(&outbound);
        let mut mailer = Mailer::ready(relay.address());
        for _ in 0..3 {
            mailer.send(FROM, &[REFUSED], &demo_message(SERVICE)).expect("250 ...");
            mailer.send(FROM, &[REFUSED], &demo_message(PROMOTION)).expect("550 5.7.1 ...");
            mailer.send(FROM, &[AGREED], &demo_message(PROMOTION)).expect("250 ...");
        }
        let held = outbound.held();
        assert_eq!(held.len(), 6);
        for one in held.iter().filter(|one| one.to == [REFUSED]) {
            added_lines(&demo_message(SERVICE), &one.message);
        }
    }
}

mod an_acknowledged_consent_change_is_durable {
    use super::*;

    #[test]
    fn it_decides_the_next_message() {
        let outbound = OutboundServer::start();
        let relay = enforcing(&outbound);
        let mut mailer = Mailer::ready(relay.address());
        mailer.send(FROM, &[AGREED], &demo_message(PROMOTION)).expect("250 ...");
        relay.command(&["consent", "refuse", AGREED, "--source", "telephone"]);
        mailer.send(FROM, &[AGREED], &demo_message(PROMOTION)).expect("550 5.7.1 ...");
    }

    #[test]
    fn it_survives_a_kill_right_after_the_acknowledgement() {
        let outbound = OutboundServer::start();
        let mut relay = enforcing(&outbound);
        for round in 0..5 {
            let person = format!("person{round}@okafor.example");
            relay.command(&["consent", "grant", &person, "--basis", "consent", "--source", "form"]);
            relay.kill();
            relay.restart();
            Mailer::ready(relay.address()).send(FROM, &[&person], &demo_message(PROMOTION)).expect("250 ...");
            relay.command(&["consent", "refuse", &person, "--source", "telephone"]);
            relay.kill();
            relay.restart();
            Mailer::ready(relay.address())
                .send(FROM, &[&person], &demo_message(PROMOTION))
                .expect("550 5.7.1 ...");
        }
    }
}

mod what_is_forwarded_is_what_was_received {
    use super::*;

    #[test]
    fn to_the_byte_for_every_kind_of_message() {
        let outbound = OutboundServer::start();
        let relay = Setup::before(outbound.address()).config("headers.verdict = true").start();
        let mut messages: Vec<Vec<u8>> = [
            "",
            "\r\n",
            "\r\n\r\n\r\n",
            "Subject: x\r\n",
            "Subject: x\r\n\r\n",
            "Subject: x\r\n\r\n.\r\n..\r\n...\r\n",
            "Subject: trailing blanks   \r\n\r\n  body \t \r\n\r\n\r\n",
            "subject:folded\r\n\tonce\r\n  twice\r\n\r\nbody\r\n",
            "Received: from a\r\nReceived: from b\r\nX-Consentry-Verdict: forged\r\n\r\nbody\r\n",
            "not a header\r\nSubject: x\r\n\r\nbody\r\n",
            ".leading: dot\r\n\r\nbody\r\n",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
        messages.push(b"Subject: \xff\xfe raw\r\n\r\n\x00\x01\x02\x7f\x80\xff\r\n".to_vec());
        messages.push(format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(200_000)).into_bytes());
        messages.push(format!("Subject: many\r\n\r\n{}", ".\r\n..x\r\n\r\n".repeat(20_000)).into_bytes());
        messages.push(every_byte());
        let mut mailer = Mailer::ready(relay.address());
        for (number, message) in messages.iter().enumerate() {
            mailer.send(FROM, &[REFUSED], message).expect("250 ...");
            let held = outbound.held();
            assert_eq!(held.len(), number + 1);
            let added = added_lines(message, &held[number].message);
            assert!(added.contains("X-Consentry-Verdict: "), "{added}");
        }
    }

    /// All bytes in all pairs but the line ends.
    fn every_byte() -> Vec<u8> {
        let mut message = b"Subject: bytes\r\n\r\n".to_vec();
        let plain = (0..=255u8).filter(|byte| !matches!(byte, b'\r' | b'\n'));
        for first in plain.clone() {
            for second in plain.clone() {
                message.extend_from_slice(&[first, second]);
            }
            message.extend_from_slice(b"\r\n");
        }
        message
    }

    #[test]
    fn however_the_bytes_arrive() {
        let outbound = OutboundServer::start();
        let relay = Setup::before(outbound.address()).start();
        let message = b"Subject: x\r\n\r\n..\r\n.dot\r\nend\r\n";
        let wire = support::mailer::stuffed(message);
        for cut in 1..wire.len() {
            let mut mailer = Mailer::ready(relay.address());
            mailer.say(&format!("MAIL FROM:<{FROM}>")).expect("250 ...");
            mailer.say(&format!("RCPT TO:<{REFUSED}>")).expect("250 ...");
            mailer.say("DATA").expect("354 ...");
            mailer.stream().write_all(&wire[..cut]).expect("write");
            // A round trip of another session makes it likely that the first part was read by itself.
            Mailer::connect(relay.address());
            mailer.stream().write_all(&wire[cut..]).expect("write");
            mailer.reply().expect("250 ...");
            added_lines(message, &outbound.held()[cut - 1].message);
        }
    }
}

mod monitor_mode_refuses_nothing {
    use super::*;

    #[test]
    fn whatever_the_other_settings_say() {
        let outbound = OutboundServer::start();
        let relay = Setup::before(outbound.address())
            .config("policy.declared = \"marketing\"\npolicy.on_error.enforce = \"defer\"")
            .consent(REFUSED, "opted_out")
            .start();
        let mut mailer = Mailer::ready(relay.address());
        let names = [SERVICE, PROMOTION, "07-spring-newsletter", "11-getting-the-most", "13-promo-aplikasi"];
        for name in names {
            mailer.send(FROM, &[REFUSED, "nobody@okafor.example"], &demo_message(name)).expect("250 ...");
        }
        assert_eq!(outbound.held().len(), names.len());
        for decision in relay.audited("decision", names.len()) {
            assert_eq!(decision["mode"], "monitor");
            assert_eq!(decision["recipients"][0]["action"], "forward");
            assert_eq!(decision["recipients"][0]["would"], "withhold");
        }
    }

    #[test]
    fn and_every_turn_of_the_switch_is_in_the_ledger_and_works_at_once() {
        let outbound = OutboundServer::start();
        let relay = Setup::before(outbound.address()).consent(REFUSED, "opted_out").start();
        assert_eq!(mode_of(&relay), "monitor", "the first mode is monitor");
        let mut mailer = Mailer::ready(relay.address());
        for (mode, reply) in [("enforce", "550 ..."), ("monitor", "250 ..."), ("enforce", "550 ...")] {
            relay.command(&["mode", mode, "--reason", &format!("to {mode} for a test")]);
            mailer.send(FROM, &[REFUSED], &demo_message(PROMOTION)).expect(reply);
        }
        let changes = relay.audited("mode_change", 3);
        let turns: Vec<_> =
            changes.iter().map(|change| (change["from"].as_str(), change["to"].as_str())).collect();
        let (monitor, enforce) = (Some("monitor"), Some("enforce"));
        assert_eq!(turns, [(monitor, enforce), (enforce, monitor), (monitor, enforce)]);
        for change in &changes {
            assert!(
                change["reason"].as_str().is_some_and(|reason| reason.ends_with("for a test")),
                "{change}"
            );
            assert!(change["by"].as_str().is_some_and(|by| !by.is_empty()), "{change}");
            assert!(change["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{change}");
        }
    }

    #[test]
    fn and_a_turn_for_a_while_ends_by_itself_also_over_a_restart() {
        let outbound = OutboundServer::start();
        let mut relay = Setup::before(outbound.address()).start();
        relay.command(&["mode", "enforce", "--reason", "for a moment", "--for", "1s"]);
        wait_for("the return", || (mode_of(&relay) == "monitor").then_some(()));
        relay.command(&["mode", "enforce", "--reason", "for a moment more", "--for", "2s"]);
        relay.kill();
        relay.restart();
        wait_for("the return", || (mode_of(&relay) == "monitor").then_some(()));
        relay.audited("mode_change", 4);
    }

    #[test]
    fn and_a_mode_needs_its_reason() {
        let outbound = OutboundServer::start();
        let relay = Setup::before(outbound.address()).start();
        let output = relay.try_command(&["mode", "enforce"]);
        assert_eq!(output.status.code(), Some(64), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(mode_of(&relay), "monitor");
    }

    #[test]
    fn and_a_damaged_mode_file_does_not_turn_enforce_off_silently() {
        for damage in ["", "{\"mode\":", "\0\0\0\0"] {
            let outbound = OutboundServer::start();
            let mut relay = enforcing(&outbound);
            relay.kill();
            std::fs::write(relay.state_dir().join("mode.json"), damage).expect("damage");
            let output = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| relay.restart()));
            // Not starting is an answer; starting in monitor mode is not.
            if output.is_ok() {
                assert_eq!(mode_of(&relay), "enforce", "{damage:?}: {}", relay.log());
            }
        }
    }
}

mod it_is_no_open_relay {
    use super::*;

    #[test]
    fn a_client_outside_the_networks_sends_nothing() {
        let outbound = OutboundServer::start();
        let relay = Setup::before(outbound.address()).listener_config("networks = [\"10.0.0.0/8\"]").start();
        let mut mailer = Mailer::connect_silently(relay.address());
        // All at once, in the hope that somebody reads on.
        let transaction = format!(
            "EHLO x\r\nMAIL FROM:<{FROM}>\r\nRCPT TO:<{AGREED}>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
        );
        let _ = mailer.write(transaction.as_bytes());
        let heard = String::from_utf8_lossy(&mailer.rest()).into_owned();
        assert!(
            heard.is_empty() || heard.starts_with("554 ") && heard.matches("\r\n").count() == 1,
            "{heard:?}"
        );
        assert_eq!(outbound.connections(), 0);
    }
}

mod the_past_is_kept {
    use super::*;

    #[test]
    fn a_torn_last_line_is_repaired_and_nothing_else_is_touched() {
        let outbound = OutboundServer::start();
        let mut relay = enforcing(&outbound);
        Mailer::ready(relay.address()).send(FROM, &[REFUSED], &demo_message(SERVICE)).expect("250 ...");
        relay.audited("outcome", 1);
        relay.kill();
        let before = relay.audit();
        let current = relay.state_dir().join("audit/current.jsonl");
        let mut file = std::fs::File::options().append(true).open(&current).expect("ledger");
        file.write_all(b"{\"event\":\"decision\",\"ref\":\"torn in the mid").expect("tear");
        relay.restart();
        Mailer::ready(relay.address()).send(FROM, &[REFUSED], &demo_message(SERVICE)).expect("250 ...");
        relay.audited("outcome", 2);
        let after = relay.audit();
        assert_eq!(after[..before.len()], before[..]);
        assert!(!after[before.len()..].iter().any(|event| event["ref"].to_string().contains("torn")));
    }
}
