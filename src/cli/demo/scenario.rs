//! What the demo sends, to whom, and what must become of it. Owns no mechanism: only the story.

/// Consents that the demo loads first.
pub const CONSENTS: &str = include_str!("../../../config/demo/consents.csv");

/// One message to one or more recipients in one transaction.
#[derive(Debug)]
pub struct Sending {
    /// The message's file in `config/demo`, without `.eml`.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub shows: &'static str,
    /// The message.
    pub message: &'static [u8],
    /// The reverse-path.
    pub from: &'static str,
    /// The recipients.
    pub to: &'static [&'static str],
    /// What must become of it.
    pub expected: Expected,
}

/// What must become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Service mail: delivered in both modes, whatever the consent.
    Service,
    /// Promotional, and every recipient's consent is held: delivered in both modes.
    ConsentHeld,
    /// Promotional, and consent is lacking: delivered in monitor mode only.
    Withheld,
}

impl Expected {
    /// Whether the message reaches the outbound server in enforce mode.
    pub fn delivered_when_enforced(self) -> bool {
        self != Self::Withheld
    }
}

/// A recipient as the sample consents know it, for the table.
pub fn consent_of(address: &str) -> &'static str {
    match address {
        AMINA | DEWI => "opted in",
        TOM => "soft opt-in",
        DANIEL | SARI => "opted out",
        GRACE => "expired",
        _ => "unknown",
    }
}

const AMINA: &str = "amina@hussain.example";
const BUDI: &str = "budi@santoso.example";
const DANIEL: &str = "daniel@price.example";
const DEWI: &str = "dewi@lestari.example";
const GRACE: &str = "grace@mbeki.example";
const RUTH: &str = "ruth@okafor.example";
const SARI: &str = "sari@wulandari.example";
const TOM: &str = "tom@weaver.example";

const FERNHILL: &str = "bounce@fernhillbooks.example";
const HARBOUR: &str = "bounce@harbourcard.example";
const NORTHGATE: &str = "bounce@northgate-power.example";
const CENDANA: &str = "bounce@bankcendana.example";
const NUSA: &str = "bounce@listriknusa.example";
const KEMBANG: &str = "bounce@tokokembang.example";

macro_rules! sending {
    ($name:literal, $shows:literal, $from:expr => [$($to:expr),+], $expected:ident) => {
        Sending {
            name: $name,
            shows: $shows,
            message: include_bytes!(concat!("../../../config/demo/", $name, ".eml")),
            from: $from,
            to: &[$($to),+],
            expected: Expected::$expected,
        }
    };
}

/// Everything that is sent, in order, once in each mode.
pub const SENDINGS: &[Sending] = &[
    sending!("01-order-receipt", "a receipt", FERNHILL => [RUTH], Service),
    sending!("02-login-code", "a login code", HARBOUR => [DANIEL], Service),
    sending!("03-statement-ready", "a neutral statement", HARBOUR => [DANIEL], Service),
    sending!("04-planned-outage", "an outage notice", NORTHGATE => [RUTH], Service),
    sending!("05-kode-otp", "a one-time code, in Indonesian", CENDANA => [SARI], Service),
    sending!("06-tagihan-listrik", "a bill, in Indonesian", NUSA => [BUDI], Service),
    sending!("07-spring-newsletter", "an open newsletter", FERNHILL => [AMINA], ConsentHeld),
    sending!("07-spring-newsletter", "the same, consent run out", FERNHILL => [GRACE], Withheld),
    sending!("07-spring-newsletter", "two people, one refused: all or nothing", FERNHILL => [AMINA, DANIEL], Withheld),
    sending!("08-statement-spend-and-get", "spend and get, inside a statement", HARBOUR => [DANIEL], Withheld),
    sending!("08-statement-spend-and-get", "the same, to one who agreed", HARBOUR => [AMINA], ConsentHeld),
    sending!("08-statement-spend-and-get", "soft opt-in, but no way to refuse in it", HARBOUR => [TOM], Withheld),
    sending!("09-offers-loaded", "\"offers are loaded\", in the HTML only", HARBOUR => [RUTH], Withheld),
    sending!("10-app-statement-notice", "an app, pushed in a notice", HARBOUR => [DANIEL], Withheld),
    sending!("10-app-statement-notice", "soft opt-in, with a way to refuse", HARBOUR => [TOM], ConsentHeld),
    sending!("11-getting-the-most", "\"getting the most out of your card\"", HARBOUR => [DANIEL], Withheld),
    sending!("12-e-statement-penawaran", "spend and get, in Indonesian", CENDANA => [SARI], Withheld),
    sending!("13-promo-aplikasi", "an app, pushed in Indonesian", CENDANA => [BUDI], Withheld),
    sending!("14-diskon-lebaran", "an open promotion, in Indonesian", KEMBANG => [DEWI], ConsentHeld),
    sending!("14-diskon-lebaran", "the same, nobody asked her", KEMBANG => [RUTH], Withheld),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_network_line_ends_and_no_second_meaning() {
        for sending in SENDINGS {
            let text = String::from_utf8(sending.message.to_vec()).expect(sending.name);
            assert!(text.ends_with("\r\n") && !text.ends_with("\r\n\r\n"), "{}", sending.name);
            assert_eq!(text.replace("\r\n", "").matches(['\r', '\n']).count(), 0, "{}", sending.name);
            assert!(text.lines().all(|line| line.len() <= 998), "{}", sending.name);
        }
    }

    #[test]
    fn the_table_of_consents_agrees_with_the_sample_file() {
        for sending in SENDINGS {
            for to in sending.to {
                let stated = CONSENTS.lines().rfind(|line| line.starts_with(to));
                let expected = match consent_of(to) {
                    "opted in" => Some("opted_in"),
                    "expired" => Some("2024-05-05"),
                    "soft opt-in" => Some("soft_opt_in"),
                    "opted out" => Some("opted_out"),
                    _ => None,
                };
                assert_eq!(stated.is_some(), expected.is_some(), "{to}");
                assert!(stated.unwrap_or_default().contains(expected.unwrap_or_default()), "{to}");
            }
        }
    }
}
