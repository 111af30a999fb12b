//! The training format: labelled segments in their messages, line by line. Owns reading it; what is
//! learned from it is `train`'s business. The format is described in `config/training/README.md`.

use crate::detect::segment::PlaceKind;
use crate::detect::verdict::Class;

/// A message whose segments are labelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledMessage {
    /// Unique name; begins with the language (`en-bank-001`).
    pub id: String,
    /// Branch of business.
    pub sector: String,
    /// What occasioned the message.
    pub occasion: String,
    /// How it is written.
    pub tone: String,
    /// What the message is as a whole.
    pub label: Class,
    /// A careful second reader could decide otherwise.
    pub borderline: bool,
    /// In reading order.
    pub segments: Vec<LabelledSegment>,
}

/// A segment with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledSegment {
    /// It promotes.
    pub promotional: bool,
    /// Where it stands.
    pub place: TrainingPlace,
    /// Which means of promotion it uses; empty for a neutral segment.
    pub device: String,
    /// Where the button or link leads; empty for other places.
    pub target: String,
    /// What it says.
    pub text: String,
}

/// The places of the training format. They are finer than what can be told of a real message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrainingPlace {
    /// The subject.
    Subject,
    /// Text shown beside the subject.
    Preheader,
    /// Dear Ms Okafor
    Greeting,
    /// A heading.
    Heading,
    /// A paragraph.
    Body,
    /// A list item.
    List,
    /// A table row, its cells parted by ` · `.
    Table,
    /// A link drawn as a button.
    Button,
    /// A link.
    Link,
    /// Alternative text of an image.
    Alt,
    /// A postscript.
    Ps,
    /// Quoted earlier mail.
    Quote,
    /// Below the text.
    Footer,
}

const PLACES: [(&str, TrainingPlace); 13] = [
    ("subject", TrainingPlace::Subject),
    ("preheader", TrainingPlace::Preheader),
    ("greeting", TrainingPlace::Greeting),
    ("heading", TrainingPlace::Heading),
    ("body", TrainingPlace::Body),
    ("list", TrainingPlace::List),
    ("table", TrainingPlace::Table),
    ("button", TrainingPlace::Button),
    ("link", TrainingPlace::Link),
    ("alt", TrainingPlace::Alt),
    ("ps", TrainingPlace::Ps),
    ("quote", TrainingPlace::Quote),
    ("footer", TrainingPlace::Footer),
];

impl TrainingPlace {
    /// The word for it in the format.
    pub fn as_str(self) -> &'static str {
        PLACES.iter().find(|(_, place)| *place == self).map_or("", |(word, _)| word)
    }

    /// The place that the segment has in an HTML message.
    pub(crate) fn kind(self) -> PlaceKind {
        match self {
            Self::Subject => PlaceKind::Subject,
            Self::Preheader => PlaceKind::Preheader,
            Self::Heading => PlaceKind::Heading,
            Self::Button => PlaceKind::Button,
            Self::Link => PlaceKind::Link,
            Self::Alt => PlaceKind::AltText,
            Self::Quote => PlaceKind::Quoted,
            Self::Greeting | Self::Body | Self::List | Self::Table | Self::Ps | Self::Footer => {
                PlaceKind::Html
            }
        }
    }
}

impl LabelledMessage {
    /// ISO 639-1 code, from the id.
    pub fn language(&self) -> &str {
        self.id.split('-').next().unwrap_or_default()
    }
}

/// What is wrong with a training file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}: `{text}`")]
pub struct TrainingError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong and what is expected.
    pub reason: &'static str,
    /// The beginning of the line.
    pub text: String,
}

/// Reads the text of a training file.
///
/// # Errors
/// [`TrainingError`] names the first line that does not follow the format.
pub fn read(text: &str) -> Result<Vec<LabelledMessage>, TrainingError> {
    let mut messages: Vec<LabelledMessage> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let fault = |reason| TrainingError { line: index + 1, reason, text: line.chars().take(80).collect() };
        let line = line.trim_end();
        if line.is_empty() {
            open = false;
        } else if let Some(header) = line.strip_prefix("@ ") {
            messages.push(header_line(header).ok_or_else(|| {
                fault("a message begins with `@ id | sector | occasion | tone | service, mixed or marketing`")
            })?);
            open = true;
        } else {
            let message = messages.last_mut().filter(|_| open);
            let message = message.ok_or_else(|| fault("a segment stands below a message's `@` line"))?;
            message.segments.push(segment_line(line).ok_or_else(|| {
                fault("a segment is `-` or `+`, a place, for `+` a device, `-> URL` for links, a colon and text")
            })?);
        }
    }
    Ok(messages)
}

fn header_line(header: &str) -> Option<LabelledMessage> {
    let mut fields = header.split('|').map(str::trim);
    let mut next = || fields.next().map(str::to_owned);
    let (id, sector, occasion, tone) = (next()?, next()?, next()?, next()?);
    let label = match fields.next()? {
        "service" => Class::Service,
        "mixed" => Class::Mixed,
        "marketing" => Class::Marketing,
        _ => return None,
    };
    let borderline = match fields.next() {
        None => false,
        Some("borderline") => true,
        Some(_) => return None,
    };
    Some(LabelledMessage { id, sector, occasion, tone, label, borderline, segments: Vec::new() })
}

fn segment_line(line: &str) -> Option<LabelledSegment> {
    let (promotional, rest) = match line.split_at_checked(2)? {
        ("+ ", rest) => (true, rest),
        ("- ", rest) => (false, rest),
        _ => return None,
    };
    let (head, text) = rest.split_once(": ")?;
    let (head, target) = head.split_once(" -> ").unwrap_or((head, ""));
    let (word, device) = head.split_once(' ').unwrap_or((head, ""));
    let place = PLACES.iter().find(|(known, _)| *known == word).map(|(_, place)| *place)?;
    let (device, target, text) = (device.to_owned(), target.to_owned(), text.trim().to_owned());
    Some(LabelledSegment { promotional, place, device, target, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_segments_are_read() {
        let text = "@ en-bank-001 | banking | statement | terse | mixed | borderline\n\
                    - subject: Your statement: May\n\
                    + button loan -> https://bank.example/loans: See more\n\n\
                    @ id-x-1 | telecom | otp | terse | service\n- body: 123\n";
        let messages = read(text).expect("valid");
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].label, messages[0].borderline), (Class::Mixed, true));
        assert_eq!(messages[0].segments[0].text, "Your statement: May");
        assert_eq!(messages[0].segments[1].target, "https://bank.example/loans");
        assert_eq!(messages[0].segments[1].device, "loan");
        assert_eq!(messages[1].language(), "id");
    }

    #[test]
    fn a_faulty_line_is_named() {
        for text in ["- body: x", "@ a | b | c | d | spam", "@ a | b | c | d | service\n- nowhere: x"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read("@ a | b | c | d | service\n- nowhere: x").map_err(|e| e.line), Err(2));
    }
}
