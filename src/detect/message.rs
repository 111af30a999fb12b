//! Takes a message apart: the header fields that matter and every text, HTML part, attached message
//! and file name, decoded (RFC 2045 to 2049, 2231). Total: whatever the bytes are, something readable
//! comes out, in one pass and within [`Limits`]. Cutting texts into segments is the caller's work.
//!
//! The part structure is found here, line by line, because a general parser that builds a tree costs
//! time and stack by nesting depth; field values, transfer encodings and charsets are decoded by
//! `mail-parser`.

use std::collections::HashMap;

use super::decode::{TransferEncoding, decode_charset, decode_transfer, floor_char_boundary};
use mail_parser::{ContentType, MessageParser, MimeHeaders};

/// Bounds on the work for one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Parts, counted over all nesting.
    pub parts: usize,
    /// Octets of decoded body text.
    pub text: usize,
    /// Octets read of one attached text file.
    pub attached_text: usize,
    /// Encoded messages within encoded messages.
    pub encoded_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parts: 20_000, text: 4 << 20, attached_text: 64 << 10, encoded_depth: 4 }
    }
}

/// Longest field value that is read; a longer one is cut. Fields that matter fit many times.
const MAX_FIELD: usize = 4 << 10;
/// Longest header section that is read for fields; the body is found behind a longer one, too.
const MAX_HEADER: usize = 256 << 10;

/// What a piece of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    Subject,
    Text,
    Html,
    AttachedText,
    AttachedHtml,
    AttachmentName,
    ImageName,
}

/// A decoded piece of a message, in the order of the message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub kind: PieceKind,
    pub text: String,
    /// Within a message that is attached to this one.
    pub attached_message: bool,
}

/// A message taken apart.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub subject: String,
    pub message_id: String,
    pub list_unsubscribe: bool,
    pub pieces: Vec<Piece>,
    /// A limit was reached: there is text that was not read.
    pub cut: bool,
}

/// Takes the message apart.
pub(super) fn read(message: &[u8], limits: Limits) -> Content {
    let mut reader = Reader { content: Content::default(), limits, parts: 0, text: 0 };
    reader.walk(message, 0);
    reader.content
}

struct Reader {
    content: Content,
    limits: Limits,
    parts: usize,
    text: usize,
}

/// What a line belongs to.
enum State {
    Header {
        start: usize,
    },
    Body {
        start: usize,
        part: Part,
    },
    /// Before the first delimiter of the multipart at this level. Shown by no mail program, unless
    /// that delimiter never comes.
    Preamble {
        start: usize,
        level: usize,
    },
    /// Behind a closing delimiter; shown by no mail program.
    Epilogue,
}

/// What the header section of a part says about its body.
#[derive(Default)]
struct Part {
    kind: BodyKind,
    encoding: TransferEncoding,
    charset: String,
    name: String,
    attachment: bool,
    boundary: Option<Vec<u8>>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    #[default]
    Text,
    Html,
    Multipart,
    Message,
    Image,
    Other,
}

/// The multipart boundaries that are open, innermost last, found by name in constant time.
#[derive(Default)]
struct Boundaries {
    open: Vec<Vec<u8>>,
    level: HashMap<Vec<u8>, Vec<usize>>,
}

impl Boundaries {
    fn push(&mut self, boundary: Vec<u8>) {
        self.level.entry(boundary.clone()).or_default().push(self.open.len());
        self.open.push(boundary);
    }

    /// Closes every multipart from `level` on.
    fn truncate(&mut self, level: usize) {
        for boundary in self.open.drain(level.min(self.open.len())..) {
            if let Some(levels) = self.level.get_mut(&boundary) {
                levels.pop();
            }
        }
    }

    /// The level whose delimiter the line is, and whether it is the closing one (RFC 2046, 5.1.1).
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let name = line.strip_prefix(b"--")?.trim_ascii_end();
        let level = |name: &[u8]| self.level.get(name).and_then(|levels| levels.last().copied());
        if let Some(level) = level(name) {
            return Some((level, false));
        }
        level(name.strip_suffix(b"--")?).map(|level| (level, true))
    }
}

impl Reader {
    fn walk(&mut self, bytes: &[u8], encoded_depth: usize) {
        let mut boundaries = Boundaries::default();
        let mut state = State::Header { start: 0 };
        // A message attached without encoding is read in the same pass; everything up to the
        // next delimiter of an outer level belongs to it.
        let mut messages: Vec<usize> = Vec::new();
        let mut first = true;
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |i| at + i + 1);
            let line = trim_line(&bytes[at..end]);
            if let Some((level, closing)) = boundaries.delimiter(line) {
                let in_preamble = matches!(state, State::Preamble { level: own, .. } if own == level);
                if !in_preamble {
                    self.finish(bytes, state, at, messages.len() + encoded_depth, first);
                }
                first = false;
                boundaries.truncate(if closing { level } else { level + 1 });
                while messages.last().is_some_and(|&depth| depth > level) {
                    messages.pop();
                }
                state = if closing { State::Epilogue } else { State::Header { start: end } };
            } else if let State::Header { start } = state {
                let blank = line.is_empty();
                if blank || !is_field_line(line, at == start) {
                    let body = if blank { end } else { at };
                    let nested = messages.len() + encoded_depth;
                    let part = self.begin(&bytes[start..at], nested, first);
                    first = false;
                    state = match part {
                        Part { kind: BodyKind::Multipart, boundary: Some(boundary), .. } => {
                            boundaries.push(boundary);
                            State::Preamble { start: body, level: boundaries.open.len() - 1 }
                        }
                        Part { kind: BodyKind::Message, encoding: TransferEncoding::Identity, .. } => {
                            messages.push(boundaries.open.len());
                            State::Header { start: body }
                        }
                        part => State::Body { start: body, part },
                    };
                    if !blank && matches!(state, State::Header { .. }) {
                        // The line that ended the header section begins the attached message.
                        continue;
                    }
                }
            }
            if self.parts > self.limits.parts {
                self.content.cut = true;
                return;
            }
            at = end;
        }
        self.finish(bytes, state, bytes.len(), messages.len() + encoded_depth, first);
    }

    /// Reads a header section; the message's own (`first` of the outermost) also gives its subject.
    fn begin(&mut self, header: &[u8], nested: usize, first: bool) -> Part {
        self.parts += 1;
        let fields = Fields::select(header);
        let parsed = MessageParser::default().parse_headers(&fields.0);
        let Some(parsed) = parsed else { return Part::default() };
        let outermost = first && nested == 0;
        let subject = parsed.subject().unwrap_or_default();
        if outermost {
            self.content.subject = subject.trim().to_owned();
            self.content.message_id = parsed.message_id().unwrap_or_default().to_owned();
            self.content.list_unsubscribe =
                parsed.header_raw("List-Unsubscribe").is_some_and(|value| !value.trim().is_empty());
        }
        self.push(PieceKind::Subject, subject.to_owned(), nested > 0);
        let Some(part) = parsed.parts.first() else { return Part::default() };
        let content_type = part.content_type();
        let encoding = match part.content_transfer_encoding().map(str::trim) {
            Some(name) if name.eq_ignore_ascii_case("base64") => TransferEncoding::Base64,
            Some(name) if name.eq_ignore_ascii_case("quoted-printable") => TransferEncoding::QuotedPrintable,
            _ => TransferEncoding::Identity,
        };
        let name = part.attachment_name().unwrap_or_default().to_owned();
        let attribute = |key: &str| content_type.and_then(|c| c.attribute(key)).unwrap_or_default();
        let boundary = attribute("boundary").trim_end().as_bytes().to_vec();
        Part {
            kind: body_kind(content_type, &name),
            encoding,
            charset: attribute("charset").to_owned(),
            attachment: part.content_disposition().is_some_and(ContentType::is_attachment),
            name,
            boundary: (!boundary.is_empty()).then_some(boundary),
        }
    }

    /// Ends the part that `state` is in at `end`.
    fn finish(&mut self, bytes: &[u8], state: State, end: usize, nested: usize, first: bool) {
        match state {
            State::Header { start } => {
                if start < end {
                    self.begin(&bytes[start..end], nested, first);
                }
            }
            State::Epilogue => {}
            State::Preamble { start, .. } => self.body(&Part::default(), &bytes[start.min(end)..end], nested),
            State::Body { start, part } => self.body(&part, &bytes[start.min(end)..end], nested),
        }
    }

    fn body(&mut self, part: &Part, body: &[u8], nested: usize) {
        if !part.name.is_empty() {
            let kind =
                if part.kind == BodyKind::Image { PieceKind::ImageName } else { PieceKind::AttachmentName };
            self.push(kind, part.name.clone(), nested > 0);
        }
        let kind = match (part.kind, part.attachment) {
            (BodyKind::Image | BodyKind::Other, _) => return,
            (BodyKind::Message, _) => {
                if nested < self.limits.encoded_depth {
                    let message = decode_transfer(body, part.encoding);
                    self.walk(&message, nested + 1);
                } else {
                    self.content.cut = true;
                }
                return;
            }
            (BodyKind::Html, false) => PieceKind::Html,
            (BodyKind::Html, true) => PieceKind::AttachedHtml,
            (_, true) => PieceKind::AttachedText,
            (_, false) => PieceKind::Text,
        };
        let room = self.limits.text.saturating_sub(self.text);
        let allowed = if part.attachment { room.min(self.limits.attached_text) } else { room };
        // No encoding in use takes more than four octets for one of text, save padding with
        // white space, which is cut with the rest.
        let readable = &body[..body.len().min(allowed.saturating_mul(4))];
        let mut text = decode_charset(&decode_transfer(readable, part.encoding), &part.charset);
        let too_long = text.len() > allowed || readable.len() < body.len();
        if text.len() > allowed {
            text.truncate(floor_char_boundary(&text, allowed));
        }
        self.content.cut |= too_long && !part.attachment;
        self.text += text.len();
        self.push(kind, text, nested > 0);
    }

    fn push(&mut self, kind: PieceKind, text: String, attached_message: bool) {
        if !text.trim().is_empty() {
            self.content.pieces.push(Piece { kind, text, attached_message });
        }
    }
}

/// The fields of a header section that matter here, each cut at [`MAX_FIELD`], the first of each
/// name: two Content-Types in one section are an old way to show filter and reader different mails.
struct Fields(Vec<u8>);

impl Fields {
    fn select(header: &[u8]) -> Self {
        const WANTED: [&str; 6] = [
            "subject",
            "message-id",
            "list-unsubscribe",
            "content-type",
            "content-transfer-encoding",
            "content-disposition",
        ];
        let mut seen = [false; WANTED.len()];
        let mut fields = Vec::new();
        let mut copied: Option<usize> = None;
        for line in header[..header.len().min(MAX_HEADER)].split_inclusive(|&b| b == b'\n') {
            if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
                if let Some(length) = &mut copied
                    && *length + line.len() <= MAX_FIELD
                {
                    *length += line.len();
                    fields.extend_from_slice(line);
                }
                continue;
            }
            copied = None;
            let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
            let name = line[..colon].trim_ascii_end();
            let wanted = WANTED.iter().position(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()));
            if let Some(index) = wanted
                && !std::mem::replace(&mut seen[index], true)
            {
                end_line(&mut fields);
                fields.extend_from_slice(name);
                fields.extend_from_slice(&line[colon..line.len().min(MAX_FIELD)]);
                copied = Some(line.len());
            }
        }
        end_line(&mut fields);
        fields.extend_from_slice(b"\r\n");
        Self(fields)
    }
}

fn end_line(fields: &mut Vec<u8>) {
    if !fields.is_empty() && fields.last() != Some(&b'\n') {
        fields.extend_from_slice(b"\r\n");
    }
}

fn trim_line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A field (RFC 5322, section 2.2) or the continuation of one. A header section that holds anything
/// else ends there: what follows is what a reader would see.
fn is_field_line(line: &[u8], first: bool) -> bool {
    if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
        return !first;
    }
    if first && line.starts_with(b"From ") {
        return true;
    }
    let name = line.iter().position(|&b| b == b':').map(|colon| line[..colon].trim_ascii_end());
    name.is_some_and(|name| !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic()))
}

fn body_kind(content_type: Option<&ContentType<'_>>, name: &str) -> BodyKind {
    let Some(content_type) = content_type else { return BodyKind::Text };
    let subtype = content_type.subtype().unwrap_or_default().to_ascii_lowercase();
    match content_type.ctype().to_ascii_lowercase().as_str() {
        "text" if subtype.contains("html") => BodyKind::Html,
        "text" => BodyKind::Text,
        "multipart" => BodyKind::Multipart,
        "message" if matches!(subtype.as_str(), "rfc822" | "global") => BodyKind::Message,
        "message" => BodyKind::Text,
        "image" => BodyKind::Image,
        "application" if subtype == "xhtml+xml" => BodyKind::Html,
        _ => match name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
            Some("html" | "htm" | "xhtml") => BodyKind::Html,
            Some("txt") => BodyKind::Text,
            _ => BodyKind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(message: &str) -> Vec<(PieceKind, String)> {
        read(message.replace('\n', "\r\n").as_bytes(), Limits::default())
            .pieces
            .into_iter()
            .map(|piece| (piece.kind, piece.text.trim().to_owned()))
            .collect()
    }

    #[test]
    fn every_alternative_is_read() {
        let message = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: multipart/alternative; boundary=b\n\n\
                       preamble\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nSGVsbG8=\n\
                       --b\nContent-Type: text/html\n\n<p>Hi</p>\n--b--\nepilogue\n";
        assert_eq!(
            pieces(message),
            [
                (PieceKind::Subject, "Grüße".into()),
                (PieceKind::Text, "Hello".into()),
                (PieceKind::Html, "<p>Hi</p>".into())
            ]
        );
    }

    #[test]
    fn attached_messages_and_names_are_read() {
        let message = "Subject: outer\nContent-Type: multipart/mixed; boundary=\"a b\"\n\n--a b\n\nbody\n\
                       --a b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner body\n\
                       --a b\nContent-Type: application/pdf; name=\"summer-offers.pdf\"\n\nJVBERi0=\n--a b--\n";
        let content = read(message.replace('\n', "\r\n").as_bytes(), Limits::default());
        assert_eq!(content.subject, "outer");
        let found: Vec<_> =
            content.pieces.iter().map(|p| (p.kind, p.text.trim(), p.attached_message)).collect();
        assert_eq!(
            found,
            [
                (PieceKind::Subject, "outer", false),
                (PieceKind::Text, "body", false),
                (PieceKind::Subject, "inner", true),
                (PieceKind::Text, "inner body", true),
                (PieceKind::AttachmentName, "summer-offers.pdf", false),
            ]
        );
    }

    #[test]
    fn an_encoded_attached_message_is_read() {
        let message = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW5uZXIKCmhpCg==\n";
        assert_eq!(pieces(message), [(PieceKind::Subject, "inner".into()), (PieceKind::Text, "hi".into())]);
    }

    #[test]
    fn broken_structure_is_read_as_far_as_it_goes() {
        assert_eq!(pieces(""), []);
        assert_eq!(
            pieces("no fields here\nat all"),
            [(PieceKind::Text, "no fields here\nat all".replace('\n', "\r\n"))]
        );
        assert_eq!(pieces("Subject: only"), [(PieceKind::Subject, "only".into())]);
        assert_eq!(
            pieces("Content-Type: multipart/mixed\n\nno boundary"),
            [(PieceKind::Text, "no boundary".into())]
        );
        assert_eq!(
            pieces("Content-Type: multipart/mixed; boundary=x\n\nno delimiter"),
            [(PieceKind::Text, "no delimiter".into())]
        );
        assert_eq!(
            pieces("Content-Type: multipart/mixed; boundary=x\n\n--x\n\nunclosed"),
            [(PieceKind::Text, "unclosed".into())]
        );
    }

    #[test]
    fn ten_thousand_nested_parts_take_one_pass() {
        let mut message = String::from("Subject: deep\r\n");
        for level in 0..10_000 {
            message
                .push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
        }
        message.push_str("\r\nthe heart\r\n");
        let content = read(message.as_bytes(), Limits::default());
        assert_eq!(content.pieces.last().map(|piece| piece.text.trim()), Some("the heart"));
        assert!(!content.cut);
    }
}
