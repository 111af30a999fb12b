//! Whether the outbound server holds exactly what it should. Pure: values in, sentences out.

use crate::audit::{Action, Decision};
use crate::sink::Delivered;

use super::scenario::Sending;

/// The header fields that consentry may put on top of a message.
const ADDED: [&str; 2] = ["Received", "X-Consentry-Verdict"];

/// Compares what must have been delivered with what was: envelopes and every byte below the lines
/// that consentry adds. Each difference is one sentence; none means that all is as it should be.
pub fn differences(expected: &[&Sending], delivered: &[Delivered]) -> Vec<String> {
    let mut unclaimed: Vec<&Delivered> = delivered.iter().collect();
    let mut missing = Vec::new();
    // What is right is set aside first, so that what is wrong is compared with what is left.
    for sending in expected {
        let right = |one: &&Delivered| {
            has_envelope(one, sending) && check_bytes(sending.message, &one.message).is_ok()
        };
        match unclaimed.iter().position(right) {
            Some(at) => drop(unclaimed.remove(at)),
            None => missing.push(sending),
        }
    }
    let mut differences = Vec::new();
    for sending in missing {
        let to = sending.to.join(", ");
        match unclaimed.iter().position(|one| has_envelope(one, sending)) {
            None => {
                differences.push(format!("{} for {to} should have been delivered and was not", sending.name))
            }
            Some(at) => {
                let found = unclaimed.remove(at);
                if let Err(difference) = check_bytes(sending.message, &found.message) {
                    differences.push(format!("{} for {to} ({}): {difference}", sending.name, found.name));
                }
            }
        }
    }
    differences.extend(unclaimed.iter().map(|one| {
        format!("{} for {} was delivered and should not have been", one.name, one.envelope.to.join(", "))
    }));
    differences
}

/// Compares what was decided with what must have been: one decision for each sending, in order.
pub fn undecided(sendings: &[Sending], decisions: &[Decision]) -> Vec<String> {
    let mut differences = Vec::new();
    if sendings.len() != decisions.len() {
        differences.push(format!(
            "{} messages, but {} decisions in the ledger",
            sendings.len(),
            decisions.len()
        ));
    }
    for (sending, decision) in sendings.iter().zip(decisions) {
        let would = decision.recipients.iter().all(|one| one.would == Action::Forward);
        let same = decision.recipients.iter().map(|one| one.to.as_str()).eq(sending.to.iter().copied());
        if !same || would != sending.expected.delivered_when_enforced() {
            differences.push(format!(
                "{} for {} was decided otherwise than it should have been",
                sending.name,
                sending.to.join(", ")
            ));
        }
    }
    differences
}

fn has_envelope(delivered: &Delivered, sending: &Sending) -> bool {
    delivered.envelope.from == sending.from && delivered.envelope.to.iter().eq(sending.to.iter())
}

/// Whether `delivered` is `original` to the byte below the lines that consentry adds; if not, why.
fn check_bytes(original: &[u8], delivered: &[u8]) -> Result<(), String> {
    let Some(added) = delivered.strip_suffix(original) else {
        let common =
            original.iter().rev().zip(delivered.iter().rev()).take_while(|(one, other)| one == other).count();
        return Err(format!(
            "its bytes are not those that were sent (the last {common} of {} are the same)",
            original.len()
        ));
    };
    let added = String::from_utf8_lossy(added);
    let names: Vec<&str> = added
        .split_terminator("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    let received = names.iter().filter(|name| **name == "Received").count();
    if received != 1 || names.iter().any(|name| !ADDED.contains(name)) || names.len() > ADDED.len() {
        return Err(format!("on top of it stand the lines {names:?}, where one Received line belongs"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scenario::Expected;
    use super::*;
    use crate::sink::SinkEnvelope;

    const SENDING: Sending = Sending {
        name: "x",
        shows: "",
        message: b"Subject: x\r\n\r\nbody\r\n",
        from: "a@b.example",
        to: &["c@d.example"],
        expected: Expected::Service,
    };

    fn delivered(to: &str, message: &str) -> Delivered {
        Delivered {
            name: "1.sink".into(),
            envelope: SinkEnvelope {
                from: "a@b.example".into(),
                to: vec![to.into()],
                helo: "relay".into(),
                eight_bit: false,
            },
            message: message.into(),
        }
    }

    const GOOD: &str =
        "Received: from x\r\n\tby y\r\nX-Consentry-Verdict: service\r\nSubject: x\r\n\r\nbody\r\n";

    #[test]
    fn the_message_below_the_added_lines_is_as_it_should_be() {
        assert_eq!(differences(&[&SENDING], &[delivered("c@d.example", GOOD)]), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_too_much_or_changed_is_named() {
        let wrong = [
            (vec![], "should have been delivered and was not"),
            (vec![delivered("c@d.example", GOOD), delivered("c@d.example", GOOD)], "should not have been"),
            (vec![delivered("c@d.example", &GOOD.replace("body", "Body"))], "bytes are not those"),
            (vec![delivered("c@d.example", &GOOD.replace("Received: from x\r\n\tby y\r\n", ""))], "on top"),
            (vec![delivered("c@d.example", &format!("Subject: y\r\n{GOOD}"))], "on top"),
            (vec![delivered("c@d.example", &format!("{GOOD}\r\n"))], "bytes are not those"),
        ];
        for (held, sentence) in wrong {
            let found = differences(&[&SENDING], &held);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(sentence), "{found:?}");
        }
        assert_eq!(differences(&[&SENDING], &[delivered("other@d.example", GOOD)]).len(), 2);
    }
}
