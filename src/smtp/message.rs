//! A message as it may be forwarded: received to its end, with CRLF line endings and no others.

use memchr::{memchr_iter, memchr2_iter};

/// A message (RFC 5322) received cleanly: dots unstuffed, every line ended by CRLF, no other CR or LF.
/// Nothing else can be forwarded, so a message that was cut off or could smuggle a second one has no
/// type to be forwarded as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Vec<u8>);

/// A CR without LF or an LF without CR stands in the message (RFC 5321, section 2.3.8; CVE-2023-51764).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bare CR or LF stands in the message at octet {0}")]
pub struct BareLineEnding(pub usize);

impl Message {
    /// Takes the octets between DATA and the final dot, dots unstuffed, last CRLF included.
    ///
    /// # Errors
    /// The place of the first bare CR or LF.
    pub fn parse(octets: Vec<u8>) -> Result<Self, BareLineEnding> {
        for at in memchr2_iter(b'\r', b'\n', &octets) {
            let paired = match octets[at] {
                b'\r' => octets.get(at + 1) == Some(&b'\n'),
                _ => at > 0 && octets[at - 1] == b'\r',
            };
            if !paired {
                return Err(BareLineEnding(at));
            }
        }
        if !octets.is_empty() && !octets.ends_with(b"\r\n") {
            return Err(BareLineEnding(octets.len()));
        }
        Ok(Self(octets))
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True when the message can only travel under 8BITMIME (RFC 6152).
    pub fn is_eight_bit(&self) -> bool {
        !self.0.is_ascii()
    }

    /// How many `Received` lines stand in the header: each hop adds one (RFC 5321, section 6.3).
    pub fn received_count(&self) -> usize {
        let mut count = 0;
        let mut start = 0;
        for end in memchr_iter(b'\n', &self.0) {
            let line = &self.0[start..end];
            if line == b"\r" {
                break;
            }
            if line.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"received:")) {
                count += 1;
            }
            start = end + 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_line() {
        for bad in ["a\n", "a\rb\r\n", "a\r\n\n", "\r\r\n", "a", "a\r\nb", "\n", "\r"] {
            assert!(Message::parse(bad.into()).is_err(), "{bad:?}");
        }
        for good in ["", "\r\n", "a\r\n\r\nb\r\n", "a\0\r\n"] {
            assert!(Message::parse(good.into()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn received_lines_are_counted_in_the_header_only() {
        let message = Message::parse("Received: a\r\nX: y\r\nreceived: b\r\n\r\nReceived: c\r\n".into());
        assert_eq!(message.expect("message").received_count(), 2);
    }
}
