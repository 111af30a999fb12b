//! SMTP replies (RFC 5321, section 4.2) with enhanced status codes (RFC 3463).

use std::fmt::{self, Write as _};

/// Room for text in one reply line: 512 octets with code, separator and CRLF
/// (RFC 5321, section 4.5.3.1.5), less an enhanced code of at most 11 octets and its space.
const MAX_TEXT: usize = 512 - 4 - 2 - 12;

/// An enhanced status code, `class.subject.detail` (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One reply: a code, perhaps an enhanced code, and one or more lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    lines: Vec<String>,
}

impl Reply {
    /// A one-line reply with an enhanced code.
    pub fn new(code: u16, enhanced: EnhancedCode, text: impl Into<String>) -> Self {
        Self { code, enhanced: Some(enhanced), lines: vec![text.into()] }
    }

    /// A reply without an enhanced code: greeting, EHLO, 354 (RFC 2034, section 4), or another
    /// server's text, which carries its own.
    pub fn plain(code: u16, lines: Vec<String>) -> Self {
        Self { code, enhanced: None, lines }
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// True for 2xx and 3xx.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// True for 4xx.
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// The reply on one line, without CRLF, as it is logged: `250 2.0.0 queued`.
    pub fn to_line(&self) -> String {
        let mut line = self.code.to_string();
        if let Some(enhanced) = self.enhanced {
            let _ = write!(line, " {enhanced}");
        }
        for text in &self.lines {
            line.push(' ');
            line.push_str(&clean(text));
        }
        line
    }

    /// The reply as it goes over the wire. Control characters in the text become spaces, so no
    /// text, whoever wrote it, can end the line early; long lines are cut at the limit.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = String::new();
        let last = self.lines.len().saturating_sub(1);
        for (index, text) in self.lines.iter().enumerate() {
            let separator = if index == last { ' ' } else { '-' };
            let _ = write!(wire, "{}{separator}", self.code);
            if let Some(enhanced) = self.enhanced {
                let _ = write!(wire, "{enhanced} ");
            }
            wire.push_str(&clean(text));
            wire.push_str("\r\n");
        }
        if self.lines.is_empty() {
            let _ = write!(wire, "{} \r\n", self.code);
        }
        wire.into_bytes()
    }
}

fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len().min(MAX_TEXT));
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if cleaned.len() + character.len_utf8() > MAX_TEXT {
            break;
        }
        cleaned.push(character);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_smuggle_a_second_reply() {
        let reply = Reply::new(550, EnhancedCode(5, 7, 1), "no\r\n250 yes");
        assert_eq!(reply.to_wire(), b"550 5.7.1 no  250 yes\r\n");
    }

    #[test]
    fn a_long_text_is_cut_to_one_reply_line() {
        let reply = Reply::new(550, EnhancedCode(5, 7, 1), "ü".repeat(600));
        assert!(reply.to_wire().len() <= 512);
    }

    #[test]
    fn several_lines_carry_the_code_each() {
        let reply = Reply::plain(250, vec!["relay".into(), "PIPELINING".into()]);
        assert_eq!(reply.to_wire(), b"250-relay\r\n250 PIPELINING\r\n");
    }
}
