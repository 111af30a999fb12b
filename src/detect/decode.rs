//! Decodes bodies: transfer encodings (RFC 2045, section 6) and charsets. Total: what cannot be decoded
//! is passed on as a mail program would show it.

use mail_parser::decoders::{
    base64::base64_decode, charsets::map::charset_decoder, quoted_printable::quoted_printable_decode,
};

/// How the octets of a body travel (RFC 2045, section 6).
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    #[default]
    Identity,
    Base64,
    QuotedPrintable,
}

/// Undoes a transfer encoding; what is not encoded as announced is passed as a mail program would.
pub(super) fn decode_transfer(body: &[u8], encoding: TransferEncoding) -> Vec<u8> {
    match encoding {
        TransferEncoding::Identity => body.to_vec(),
        TransferEncoding::QuotedPrintable => {
            quoted_printable_decode(body).unwrap_or_else(|| decode_quoted_printable_loosely(body))
        }
        TransferEncoding::Base64 => {
            // Characters outside the alphabet are to be ignored (RFC 2045, section 6.8).
            let mut clean: Vec<u8> = body
                .iter()
                .copied()
                .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
                .collect();
            clean.truncate(clean.len() - usize::from(clean.len() % 4 == 1));
            while !clean.len().is_multiple_of(4) {
                clean.push(b'=');
            }
            base64_decode(&clean).unwrap_or_else(|| body.to_vec())
        }
    }
}

/// For bodies with an `=` that encodes nothing: mail programs show it as it stands.
fn decode_quoted_printable_loosely(body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'=' {
            decoded.push(byte);
            continue;
        }
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if let [high, low, ..] = *tail
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            decoded.push(high << 4 | low);
            rest = &tail[2..];
        } else if let Some(after) = tail.strip_prefix(b"\r\n").or_else(|| tail.strip_prefix(b"\n")) {
            rest = after;
        } else {
            decoded.push(byte);
        }
    }
    decoded
}

/// The text in a charset by its name. Bytes that are UTF-8 are taken for UTF-8 whatever the name says.
pub(super) fn decode_charset(bytes: &[u8], charset: &str) -> String {
    let charset = charset.trim().trim_matches('"');
    // Octets that all read as ASCII are no UTF-16, whatever the label says; readers that guess show them.
    let is_utf16 = ["utf-16", "utf16"]
        .iter()
        .any(|name| charset.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
    if is_utf16 && bytes.is_ascii() && !bytes.contains(&0) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let wide = ["utf-7", "utf7", "unicode-1-1-utf-7", "utf-16", "utf-16le", "utf-16be", "utf16"];
    let is_stateful = wide.iter().any(|w| charset.eq_ignore_ascii_case(w))
        || charset.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("iso-2022"));
    if !is_stateful && let Ok(utf8) = std::str::from_utf8(bytes) {
        return utf8.to_owned();
    }
    match charset_decoder(charset.as_bytes()) {
        Some(decode) => decode(bytes),
        None if charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8") => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        None => charset_decoder(b"windows-1252")
            .map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), |decode| decode(bytes)),
    }
}

/// The largest char boundary of `text` that is not beyond `at`.
pub(super) fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_are_decoded() {
        assert_eq!(decode_charset(b"+AEg-i", "utf-7"), "Hi");
        assert_eq!(decode_charset(b"gr\xfc\xdfe", "iso-8859-1"), "grüße");
        assert_eq!(decode_charset("grüße".as_bytes(), "us-ascii"), "grüße");
        assert_eq!(decode_charset(b"gr\xfc\xdfe", "no-such-charset"), "grüße");
        assert_eq!(decode_transfer(b"a=zzb=3D=\r\nc=", TransferEncoding::QuotedPrintable), b"a=zzb=c=");
    }
}
