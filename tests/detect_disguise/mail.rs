//! Writes messages: charsets, transfer encodings, encoded words, parts within parts.

use super::dice::Dice;

/// A part with its own fields, CRLF between fields and body included.
#[derive(Clone, Debug)]
pub struct Part(pub Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    EightBit,
    QuotedPrintable,
    Base64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    Latin1,
    Windows1252,
    Utf16,
    Utf16Be,
    Utf16Le,
}

pub const ENCODINGS: [Encoding; 3] = [Encoding::EightBit, Encoding::QuotedPrintable, Encoding::Base64];

impl Charset {
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Latin1 => "iso-8859-1",
            Self::Windows1252 => "windows-1252",
            Self::Utf16 => "utf-16",
            Self::Utf16Be => "utf-16be",
            Self::Utf16Le => "utf-16le",
        }
    }

    /// The text, whose letters are all in ISO 8859-1.
    pub fn encode(self, text: &str) -> Vec<u8> {
        let wide = |octets: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(octets).collect::<Vec<u8>>();
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Latin1 | Self::Windows1252 => {
                text.chars().map(|c| u8::try_from(u32::from(c)).expect("a letter of ISO 8859-1")).collect()
            }
            Self::Utf16 => [vec![0xfe, 0xff], wide(u16::to_be_bytes)].concat(),
            Self::Utf16Be => wide(u16::to_be_bytes),
            Self::Utf16Le => wide(u16::to_le_bytes),
        }
    }
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::EightBit => "8bit",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }

    fn encode(self, bytes: &[u8], dice: &Dice) -> Vec<u8> {
        match self {
            Self::EightBit => bytes.to_vec(),
            Self::QuotedPrintable => quoted_printable(bytes, dice),
            Self::Base64 => {
                let width = 76 - 4 * dice.below(16);
                base64(bytes).as_bytes().chunks(width).flat_map(|line| [line, b"\r\n"].concat()).collect()
            }
        }
    }
}

/// Octets that need not be encoded are at random, and lines end softly anywhere, within words too.
fn quoted_printable(bytes: &[u8], dice: &Dice) -> Vec<u8> {
    let mut out = Vec::new();
    let mut width = 0;
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        if let Some(tail) = rest.strip_prefix(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            width = 0;
            rest = tail;
            continue;
        }
        rest = tail;
        let before_end = rest.starts_with(b"\r\n") || rest.is_empty();
        let plain = (byte.is_ascii_graphic() && *byte != b'=') || (*byte == b' ' && !before_end);
        if width > 70 || dice.one_in(20) {
            out.extend_from_slice(b"=\r\n");
            width = 0;
        }
        if plain && !dice.one_in(4) {
            out.push(*byte);
            width += 1;
        } else {
            let hex = if dice.one_in(2) { format!("={byte:02x}") } else { format!("={byte:02X}") };
            out.extend_from_slice(hex.as_bytes());
            width += 3;
        }
    }
    out
}

pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let octet = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// A subject as encoded words (RFC 2047), split anywhere, each in an encoding and charset of its own.
pub fn encoded_words(text: &str, dice: &Dice) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut rest = characters.as_slice();
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(rest.len().min(1 + dice.below(12)));
        rest = tail;
        let charset = dice.pick(&[Charset::Utf8, Charset::Latin1, Charset::Windows1252]);
        let bytes = charset.encode(&piece.iter().collect::<String>());
        words.push(if dice.one_in(2) {
            format!("=?{}?{}?{}?=", charset.name(), dice.pick(&["B", "b"]), base64(&bytes))
        } else {
            format!("=?{}?{}?{}?=", charset.name().to_uppercase(), dice.pick(&["Q", "q"]), q(&bytes, dice))
        });
    }
    words.join(dice.pick(&[" ", "\r\n ", "\r\n\t"]))
}

fn q(bytes: &[u8], dice: &Dice) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() && !dice.one_in(4);
    let octet = |byte: &u8| match byte {
        b' ' => "_".to_owned(),
        byte if plain(byte) => char::from(*byte).to_string(),
        byte => format!("={byte:02X}"),
    };
    bytes.iter().map(octet).collect()
}

impl Part {
    pub fn text(subtype: &str, text: &str, charset: Charset, encoding: Encoding, dice: &Dice) -> Self {
        let head = format!(
            "Content-Type: text/{subtype}; charset={}\r\nContent-Transfer-Encoding: {}\r\n\r\n",
            charset.name(),
            encoding.name()
        );
        Self([head.into_bytes(), encoding.encode(&charset.encode(text), dice)].concat())
    }

    pub fn plain(text: &str) -> Self {
        Self::utf8("plain", text)
    }

    pub fn html(html: &str) -> Self {
        Self::utf8("html", html)
    }

    fn utf8(subtype: &str, text: &str) -> Self {
        let head =
            format!("Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
        Self([head.as_bytes(), text.as_bytes()].concat())
    }

    /// Parts within one; `name` must differ from the boundaries inside.
    pub fn multipart(subtype: &str, name: &str, parts: &[Self]) -> Self {
        let mut bytes =
            format!("Content-Type: multipart/{subtype}; boundary=\"=_{name}\"\r\n\r\n").into_bytes();
        for part in parts {
            bytes.extend_from_slice(format!("--=_{name}\r\n").as_bytes());
            bytes.extend_from_slice(&part.0);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("--=_{name}--\r\n").as_bytes());
        Self(bytes)
    }

    /// This as the body of a message that is attached.
    pub fn attached_message(&self, subject: &str) -> Self {
        let head = format!(
            "Content-Type: message/rfc822\r\n\r\nFrom: Example <service@example.com>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        );
        Self([head.as_bytes(), &self.0].concat())
    }

    /// A whole message.
    pub fn message(&self, subject: &str) -> Vec<u8> {
        self.message_with("", subject)
    }

    /// A whole message with more fields, each with its CRLF.
    pub fn message_with(&self, fields: &str, subject: &str) -> Vec<u8> {
        let head = format!(
            "From: Example <service@example.com>\r\nTo: ana@example.net\r\n{fields}Subject: {subject}\r\nMIME-Version: 1.0\r\n"
        );
        [head.as_bytes(), &self.0].concat()
    }
}
