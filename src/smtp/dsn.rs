//! What a mailer may ask of delivery status notifications (RFC 3461): RET and ENVID of MAIL, NOTIFY and ORCPT
//! of RCPT. Checked when they are made, then carried as written; nothing here decides who notifies whom.

use std::fmt;
use std::str::FromStr;

/// The longest ENVID, encoded (RFC 3461, section 4.4).
const MAX_ENVELOPE_ID: usize = 100;

/// The longest ORCPT, encoded (RFC 3461, section 4.2).
const MAX_ORIGINAL_RECIPIENT: usize = 500;

/// The DSN parameters of MAIL. Displayed as they stand in the command, each with a blank before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailDsn {
    /// How much of the message a notification returns.
    pub ret: Option<Ret>,
    /// What the mailer calls this envelope.
    pub envelope_id: Option<EnvelopeId>,
}

/// The DSN parameters of RCPT. Displayed as they stand in the command, each with a blank before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientDsn {
    /// When the sender is to be notified; the default is the next hop's.
    pub notify: Option<Notify>,
    /// For whom the message was at first.
    pub original_recipient: Option<OriginalRecipient>,
}

/// The RET parameter (RFC 3461, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its headers only.
    Headers,
}

/// The NOTIFY parameter (RFC 3461, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Under no conditions.
    Never,
    /// Under each condition that is true; at least one is.
    When {
        /// The message was delivered.
        success: bool,
        /// It cannot be delivered.
        failure: bool,
        /// Its delivery takes unusually long.
        delay: bool,
    },
}

/// The ENVID parameter, encoded as xtext (RFC 3461, section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeId(String);

/// The ORCPT parameter, encoded: an address type, a semicolon, and the address as xtext (RFC 3461,
/// section 4.2), or in UTF-8 for the type `utf-8` (RFC 6533, section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient(String);

/// A DSN parameter's value does not have its form; the text is the parameter's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {0} is wrong")]
pub struct DsnError(pub &'static str);

impl MailDsn {
    /// True when the mailer asked for nothing.
    pub fn is_empty(&self) -> bool {
        self.ret.is_none() && self.envelope_id.is_none()
    }
}

impl RecipientDsn {
    /// True when the mailer asked for nothing.
    pub fn is_empty(&self) -> bool {
        self.notify.is_none() && self.original_recipient.is_none()
    }
}

impl EnvelopeId {
    /// The value as it was written, still encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl OriginalRecipient {
    /// The value as it was written, still encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when it can only travel under SMTPUTF8 (RFC 6533, section 3).
    pub fn needs_smtputf8(&self) -> bool {
        !self.0.is_ascii()
    }
}

impl FromStr for Ret {
    type Err = DsnError;

    fn from_str(value: &str) -> Result<Self, DsnError> {
        match value {
            _ if value.eq_ignore_ascii_case("FULL") => Ok(Self::Full),
            _ if value.eq_ignore_ascii_case("HDRS") => Ok(Self::Headers),
            _ => Err(DsnError("RET")),
        }
    }
}

impl FromStr for Notify {
    type Err = DsnError;

    fn from_str(value: &str) -> Result<Self, DsnError> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Ok(Self::Never);
        }
        let (mut success, mut failure, mut delay) = (false, false, false);
        for word in value.split(',') {
            match word {
                _ if word.eq_ignore_ascii_case("SUCCESS") => success = true,
                _ if word.eq_ignore_ascii_case("FAILURE") => failure = true,
                _ if word.eq_ignore_ascii_case("DELAY") => delay = true,
                _ => return Err(DsnError("NOTIFY")),
            }
        }
        Ok(Self::When { success, failure, delay })
    }
}

impl FromStr for EnvelopeId {
    type Err = DsnError;

    fn from_str(value: &str) -> Result<Self, DsnError> {
        let valid = !value.is_empty() && value.len() <= MAX_ENVELOPE_ID && is_xtext(value);
        valid.then(|| Self(value.to_owned())).ok_or(DsnError("ENVID"))
    }
}

impl FromStr for OriginalRecipient {
    type Err = DsnError;

    fn from_str(value: &str) -> Result<Self, DsnError> {
        let (kind, address) = value.split_once(';').ok_or(DsnError("ORCPT"))?;
        let is_kind =
            !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        let is_address = if kind.eq_ignore_ascii_case("utf-8") {
            !address.chars().any(|c| c.is_control() || c.is_whitespace() || c == '=')
        } else {
            is_xtext(address)
        };
        let valid = is_kind && is_address && !address.is_empty() && value.len() <= MAX_ORIGINAL_RECIPIENT;
        valid.then(|| Self(value.to_owned())).ok_or(DsnError("ORCPT"))
    }
}

impl fmt::Display for MailDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ret {
            Some(Ret::Full) => f.write_str(" RET=FULL")?,
            Some(Ret::Headers) => f.write_str(" RET=HDRS")?,
            None => {}
        }
        self.envelope_id.as_ref().map_or(Ok(()), |EnvelopeId(id)| write!(f, " ENVID={id}"))
    }
}

impl fmt::Display for RecipientDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(notify) = self.notify {
            write!(f, " NOTIFY={notify}")?;
        }
        self.original_recipient.as_ref().map_or(Ok(()), |OriginalRecipient(text)| write!(f, " ORCPT={text}"))
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::When { success, failure, delay } = *self else { return f.write_str("NEVER") };
        let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let wanted: Vec<&str> =
            words.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect();
        f.write_str(&wanted.join(","))
    }
}

/// Printable ASCII without `=`, and `+` only before two upper-case hexadecimal digits (RFC 3461, section 4).
fn is_xtext(value: &str) -> bool {
    let is_hex = |octet: &u8| matches!(octet, b'0'..=b'9' | b'A'..=b'F');
    let octets = value.as_bytes();
    octets.iter().enumerate().all(|(at, octet)| match octet {
        b'+' => octets.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(is_hex)),
        b'=' => false,
        _ => octet.is_ascii_graphic(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_formed_is_carried_as_written() {
        let mail = MailDsn { ret: "hdrs".parse().ok(), envelope_id: "QQ+2B314159".parse().ok() };
        assert_eq!(mail.to_string(), " RET=HDRS ENVID=QQ+2B314159");
        let recipient = RecipientDsn {
            notify: "FAILURE,success".parse().ok(),
            original_recipient: "rfc822;Ana+2Bshop@b.example".parse().ok(),
        };
        assert_eq!(recipient.to_string(), " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Ana+2Bshop@b.example");
        assert_eq!("never".parse::<Notify>().map(|notify| notify.to_string()), Ok("NEVER".to_owned()));
        assert_eq!((MailDsn::default().to_string(), RecipientDsn::default().to_string()), Default::default());
    }

    #[test]
    fn what_is_not_is_refused() {
        for bad in ["", "a=b", "a+2b", "a+2", "a+", "a b", "é", "a\r\nRCPT", &"x".repeat(101)] {
            assert_eq!(bad.parse::<EnvelopeId>(), Err(DsnError("ENVID")), "{bad:?}");
        }
        for bad in ["", "NEVER,DELAY", "SUCCESS,", "SOMETIMES", ","] {
            assert_eq!(bad.parse::<Notify>(), Err(DsnError("NOTIFY")), "{bad:?}");
        }
        let long = format!("rfc822;{}", "x".repeat(500));
        for bad in [
            "",
            "a@b",
            ";a@b",
            "rfc822;",
            "rfc 822;a@b",
            "rfc822;é@b",
            "rfc822;a+zz@b",
            "utf-8;a\u{1}b",
            &long,
        ] {
            assert_eq!(bad.parse::<OriginalRecipient>(), Err(DsnError("ORCPT")), "{bad:?}");
        }
        assert_eq!("ALL".parse::<Ret>(), Err(DsnError("RET")));
    }

    #[test]
    fn an_original_recipient_in_utf8_needs_smtputf8() {
        let of = |text: &str| text.parse::<OriginalRecipient>().map(|recipient| recipient.needs_smtputf8());
        assert_eq!(of("utf-8;büro@b.example"), Ok(true));
        assert_eq!(of("utf-8;b\\x{FC}ro@b.example"), Ok(false));
    }
}
