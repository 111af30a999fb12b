//! What consentry puts on top of a message: one Received line (RFC 5321, section 4.4) and, where
//! configured, one line with the verdict. Below them the message is what was received.

use jiff::Timestamp;

use super::Client;
use crate::audit::Reference;
use crate::detect::Verdict;

/// The longest name from EHLO that goes into the line, in octets.
const MAX_HELO: usize = 128;

/// The Received line, folded, CRLF included.
pub(super) fn received(
    client: &Client,
    hostname: &str,
    reference: &Reference,
    smtputf8: bool,
    now: Timestamp,
) -> String {
    // RFC 3848; RFC 6531, section 4.3.
    let with = match (smtputf8, client.esmtp, client.encrypted, client.user.is_some()) {
        (true, _, true, true) => "UTF8SMTPSA",
        (true, _, true, false) => "UTF8SMTPS",
        (true, _, false, _) => "UTF8SMTP",
        (false, true, true, true) => "ESMTPSA",
        (false, true, true, false) => "ESMTPS",
        (false, true, false, _) => "ESMTP",
        (false, false, _, _) => "SMTP",
    };
    // The name is the client's word: what could not stand in a header is left out.
    let helo: String = client
        .helo
        .chars()
        .filter(|c| c.is_ascii_graphic() && !"()<>;,\\\"".contains(*c))
        .take(MAX_HELO)
        .collect();
    let helo = if helo.is_empty() { "unknown" } else { &helo };
    let ip = client.address.ip().to_canonical();
    let literal = if ip.is_ipv6() { format!("[IPv6:{ip}]") } else { format!("[{ip}]") };
    let date = now.strftime("%a, %-d %b %Y %H:%M:%S +0000");
    format!(
        "Received: from {helo} ({literal})\r\n\tby {hostname} (consentry) with {with} id {reference};\r\n\t{date}\r\n"
    )
}

/// The line with the verdict, CRLF included.
pub(super) fn verdict(verdict: Option<&Verdict>, reference: &Reference) -> String {
    match verdict {
        Some(verdict) => format!(
            "X-Consentry-Verdict: {}; score={:.2}; language={}; ref={reference}\r\n",
            verdict.class, verdict.score, verdict.language
        ),
        None => format!("X-Consentry-Verdict: none; ref={reference}\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_ehlo_cannot_add_a_header() {
        let client = Client {
            address: "127.0.0.1:2000".parse().expect("address"),
            helo: "evil\r\nBcc: <x@y>".to_owned(),
            esmtp: true,
            encrypted: false,
            user: None,
        };
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().expect("time");
        let reference = Reference::new(now);
        let line = received(&client, "relay.example", &reference, false, now);
        assert_eq!(
            line,
            format!(
                "Received: from evilBcc:x@y ([127.0.0.1])\r\n\tby relay.example (consentry) with ESMTP id {reference};\r\n\tSun, 1 Mar 2026 10:00:00 +0000\r\n"
            )
        );
    }
}
