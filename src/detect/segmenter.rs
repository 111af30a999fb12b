//! Cuts the pieces of a message into segments: paragraphs of text, blocks of HTML, quoted replies,
//! file names. Owns the length of a segment; what HTML blocks there are is `html`'s business.

use std::collections::HashMap;

use super::decode::floor_char_boundary;
use super::html;
use super::message::{Piece, PieceKind};
use super::normalise::readable;
use super::segment::{Place, PlaceKind, Segment};

/// Segments read per message.
const MAX_SEGMENTS: usize = 20_000;
/// Octets from which a paragraph is cut at the end of a sentence: a page of text in one block must
/// not add up like one sentence.
const LONG: usize = 700;
/// Octets at which it is cut wherever there is white space, and at last anywhere.
const TOO_LONG: usize = 1_400;

/// The segments, and whether there were more.
pub(super) struct Cut {
    pub segments: Vec<Segment>,
    pub cut: bool,
}

/// Cuts the pieces into segments, in reading order.
pub(super) fn cut(pieces: &[Piece]) -> Cut {
    let mut segmenter = Segmenter { segments: Vec::new(), counts: HashMap::new(), attached: false };
    let mut cut = false;
    for piece in pieces {
        segmenter.attached = piece.attached_message;
        match piece.kind {
            PieceKind::Subject => segmenter.add(PlaceKind::Subject, &piece.text),
            PieceKind::AttachmentName => segmenter.add(PlaceKind::AttachmentName, &piece.text),
            PieceKind::ImageName => segmenter.add(PlaceKind::ImageFile, &piece.text),
            PieceKind::Text => segmenter.plain_text(&piece.text, PlaceKind::Text),
            PieceKind::AttachedText => segmenter.plain_text(&piece.text, PlaceKind::Attached),
            PieceKind::Html => segmenter.html(&piece.text, None),
            PieceKind::AttachedHtml => segmenter.html(&piece.text, Some(PlaceKind::Attached)),
        }
        if segmenter.segments.len() >= MAX_SEGMENTS {
            cut = true;
            break;
        }
    }
    segmenter.segments.truncate(MAX_SEGMENTS);
    Cut { segments: segmenter.segments, cut }
}

struct Segmenter {
    segments: Vec<Segment>,
    counts: HashMap<(PlaceKind, bool), u32>,
    attached: bool,
}

impl Segmenter {
    fn html(&mut self, html: &str, all_as: Option<PlaceKind>) {
        let room = (MAX_SEGMENTS + 1).saturating_sub(self.segments.len());
        for block in html::blocks(html, room) {
            let is_prose = matches!(block.kind, PlaceKind::Html | PlaceKind::Heading);
            self.add(all_as.filter(|_| is_prose).unwrap_or(block.kind), &block.text);
        }
    }

    /// Paragraphs are parted by empty lines, and by a change between quoted and own text. A line that
    /// begins like a list item begins a paragraph, too.
    fn plain_text(&mut self, text: &str, kind: PlaceKind) {
        let mut paragraph = String::new();
        let mut quoted = false;
        let mut lines = text.lines().peekable();
        while let Some(raw) = lines.next() {
            let line = raw.trim_matches(|c: char| c.is_whitespace() || is_filler(c));
            let (depth, line) = unquote(line);
            let rest_is_quoted =
                is_attribution(line) && lines.peek().is_some_and(|next| next.trim_start().starts_with('>'));
            let is_quoted = depth > 0 || rest_is_quoted;
            if line.is_empty() || is_quoted != quoted || is_list_item(line) || is_rule(line) {
                self.paragraph(&mut paragraph, kind, quoted);
            }
            quoted = is_quoted;
            if line.is_empty() || is_rule(line) {
                continue;
            }
            if !paragraph.is_empty() {
                paragraph.push(if ends_here(&paragraph, line) { '\n' } else { ' ' });
            }
            paragraph.push_str(line);
            if self.segments.len() > MAX_SEGMENTS {
                return;
            }
        }
        self.paragraph(&mut paragraph, kind, quoted);
    }

    fn paragraph(&mut self, paragraph: &mut String, kind: PlaceKind, quoted: bool) {
        let text = std::mem::take(paragraph);
        self.add(if quoted { PlaceKind::Quoted } else { kind }, &text);
    }

    fn add(&mut self, kind: PlaceKind, raw: &str) {
        let text = readable(raw);
        let mut rest = text.as_str();
        while !rest.is_empty() && self.segments.len() <= MAX_SEGMENTS {
            let end = segment_end(rest);
            let (segment, behind) = rest.split_at(end);
            rest = behind.trim_start();
            if segment.chars().any(char::is_alphanumeric) {
                let number = self.next_number(kind);
                let place = Place { kind, number, attached_message: self.attached };
                self.segments.push(Segment { place, text: segment.trim_end().to_owned() });
            }
        }
    }

    fn next_number(&mut self, kind: PlaceKind) -> u32 {
        if matches!(kind, PlaceKind::Subject | PlaceKind::Title) {
            return 0;
        }
        let count = self.counts.entry((kind, self.attached)).or_default();
        *count += 1;
        *count
    }
}

/// Where the segment that `text` begins with ends.
fn segment_end(text: &str) -> usize {
    if text.len() <= LONG {
        return text.len();
    }
    let limit = floor_char_boundary(text, TOO_LONG);
    let after = floor_char_boundary(text, LONG);
    let window = &text[after..limit];
    let sentence = window.find('\n').or_else(|| {
        window.char_indices().zip(window.chars().skip(1)).find_map(|((index, end), next)| {
            (matches!(end, '.' | '!' | '?' | '…') && next.is_whitespace()).then_some(index + end.len_utf8())
        })
    });
    match sentence.or_else(|| window.rfind(char::is_whitespace)) {
        Some(index) => after + index,
        None => limit,
    }
    .max(1)
}

/// Takes `>` marks off a line; gives how many there were.
fn unquote(line: &str) -> (usize, &str) {
    let mut depth = 0;
    let mut rest = line;
    while let Some(inner) = rest.strip_prefix('>') {
        depth += 1;
        rest = inner.trim_start();
    }
    (depth, rest)
}

/// The line that mail programs put above a quotation.
fn is_attribution(line: &str) -> bool {
    const ENDS: [&str; 7] =
        ["wrote:", "menulis:", "schrieb:", "a écrit :", "a écrit:", "escribió:", "schreef:"];
    ENDS.iter().any(|end| line.ends_with(end))
}

fn is_list_item(line: &str) -> bool {
    let mut characters = line.chars();
    matches!(characters.next(), Some('*' | '-' | '•' | '–' | '·' | '+' | 'o'))
        && characters.next().is_some_and(char::is_whitespace)
}

/// A drawn line.
fn is_rule(line: &str) -> bool {
    line.len() >= 3
        && line.chars().all(|c| matches!(c, '-' | '=' | '_' | '*' | '~' | '#' | '+' | '.' | '—' | '─' | ' '))
}

/// Frames that text messages draw around blocks.
fn is_filler(c: char) -> bool {
    matches!(c, '|' | '│' | '║')
}

/// A line that is far shorter than mail programs wrap at, or a new one that begins a field, ends
/// where it ends.
fn ends_here(paragraph: &str, next: &str) -> bool {
    let last = paragraph.rsplit('\n').next().unwrap_or_default();
    last.len() < 45 || last.ends_with(':') || next.split(' ').next().is_some_and(|word| word.ends_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(kind: PieceKind, text: &str) -> Vec<(String, String)> {
        let pieces = [Piece { kind, text: text.into(), attached_message: false }];
        cut(&pieces).segments.into_iter().map(|s| (s.place.to_string(), s.text)).collect()
    }

    #[test]
    fn text_is_cut_into_paragraphs() {
        let text = "Dear Ana,\r\n\r\nThis is a long enough line that a mail program has wrapped\r\nhere.\r\n\
                    - one\r\n- two\r\n-----\r\n\r\nOn Monday, Ana wrote:\r\n> 20% off\r\n> today\r\nThanks";
        let expected = [
            ("body text, paragraph 1", "Dear Ana,"),
            ("body text, paragraph 2", "This is a long enough line that a mail program has wrapped here."),
            ("body text, paragraph 3", "- one"),
            ("body text, paragraph 4", "- two"),
            ("quoted text, paragraph 1", "On Monday, Ana wrote:\n20% off\ntoday"),
            ("body text, paragraph 5", "Thanks"),
        ];
        assert_eq!(segments(PieceKind::Text, text), expected.map(|(p, t)| (p.to_owned(), t.to_owned())));
    }

    #[test]
    fn a_long_block_is_cut_at_sentences_and_nothing_is_lost() {
        let text = "This is one sentence of a long text. ".repeat(100);
        let found = segments(PieceKind::Text, &text);
        assert!(found.len() > 2 && found.iter().all(|(_, t)| t.ends_with('.') && t.len() <= TOO_LONG));
        let joined: Vec<_> = found.into_iter().map(|(_, t)| t).collect();
        assert_eq!(joined.join(" "), text.trim());
        let unbroken = "ä".repeat(5_000);
        let joined: String = segments(PieceKind::Text, &unbroken).into_iter().map(|(_, t)| t).collect();
        assert_eq!(joined, unbroken);
    }
}
