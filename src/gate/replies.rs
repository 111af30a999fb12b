//! Every reply that the gate gives, in one place: the rendering of a decision or a failure as SMTP code,
//! enhanced code and safe text. No text names a recipient or a recipient's consent.

use crate::audit::Reference;
use crate::detect::{Evidence, Verdict};
use crate::outbound::{OutboundError, Step};
use crate::smtp::{EnhancedCode, Reply};

/// The longest quote in a refusal, in characters: the reply must fit one line.
const MAX_QUOTE: usize = 90;

/// The outbound server's own answer. A 421 there says that *its* connection ends, not ours.
pub(super) fn passed_on(reply: &Reply) -> Reply {
    if reply.code() == 421 {
        let text = format!("outbound server is not available: {}", reply.to_line());
        return Reply::new(451, EnhancedCode(4, 3, 2), text);
    }
    reply.clone()
}

/// A step towards the outbound server did not come about.
pub(super) fn outbound_failed(error: &OutboundError, reference: &Reference) -> Reply {
    if error.unsupported() == Some("SMTPUTF8") {
        return Reply::new(550, EnhancedCode(5, 6, 7), format!("{error} ref {reference}"));
    }
    let enhanced = match error.step() {
        Some(Step::Connect) => EnhancedCode(4, 4, 1),
        Some(Step::Tls | Step::Auth) => EnhancedCode(4, 7, 0),
        _ => EnhancedCode(4, 4, 2),
    };
    Reply::new(451, enhanced, format!("{error} ref {reference}"))
}

/// The outbound server took the message.
pub(super) fn forwarded(reply: &Reply) -> Reply {
    passed_on(reply)
}

/// The message is withheld.
pub(super) fn withheld(verdict: Option<&Verdict>, reference: &Reference) -> Reply {
    let text = match verdict.and_then(|verdict| verdict.evidence.first()) {
        Some(Evidence { quote, rule, .. }) => {
            format!(
                "Marketing content without consent: \"{}\" (rule {rule}) ref {reference}",
                shortened(quote)
            )
        }
        None => format!("Declared as marketing, without consent; ref {reference}"),
    };
    Reply::new(550, EnhancedCode(5, 7, 1), text)
}

/// No verdict was possible, and the policy says to wait.
pub(super) fn no_verdict(reference: &Reference) -> Reply {
    Reply::new(
        451,
        EnhancedCode(4, 3, 0),
        format!("the message could not be judged now, try again later; ref {reference}"),
    )
}

/// Nothing promotional was found, but in a language that the rules do not know, and the policy says to wait.
pub(super) fn unread(reference: &Reference) -> Reply {
    Reply::new(
        451,
        EnhancedCode(4, 3, 0),
        format!("the message is in a language that cannot be judged; ref {reference}"),
    )
}

/// The decision could not be written to the ledger.
pub(super) fn no_ledger() -> Reply {
    Reply::new(452, EnhancedCode(4, 3, 1), "the audit ledger cannot be written, try again later")
}

/// The outbound server does not take 8-bit messages, and consentry changes no message.
pub(super) fn needs_eight_bit() -> Reply {
    Reply::new(
        554,
        EnhancedCode(5, 6, 3),
        "the message is 8-bit and the outbound server does not offer 8BITMIME",
    )
}

/// The message is larger than the outbound server takes (RFC 1870, section 6.1).
pub(super) fn too_large_for_server(limit: usize) -> Reply {
    Reply::new(
        552,
        EnhancedCode(5, 3, 4),
        format!("the message is larger than the {limit} bytes that the outbound server takes"),
    )
}

fn shortened(quote: &str) -> String {
    match quote.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => format!("{}...", quote[..end].trim_end()),
        None => quote.to_owned(),
    }
}
