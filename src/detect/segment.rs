//! Segments: the pieces of a message that are judged one by one, and where each stands. Owns the
//! names of places; cutting a message into segments is the work of `message` and `html`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What sort of place a segment has in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PlaceKind {
    /// The Subject field.
    Subject,
    /// A paragraph of a text/plain part.
    Text,
    /// A quoted paragraph (`>`) of a text/plain part, or a `<blockquote>`.
    Quoted,
    /// A heading of an HTML part.
    Heading,
    /// A paragraph, list item or table row of an HTML part.
    Html,
    /// A link drawn as a button.
    Button,
    /// A block that is nothing but a link.
    Link,
    /// Hidden text that stands before any visible text: what mail programs show beside the subject.
    Preheader,
    /// Hidden text elsewhere.
    Hidden,
    /// The `<title>` of an HTML part.
    Title,
    /// The alternative text, or the label for screen readers, of an image or a link.
    AltText,
    /// The tooltip of an element.
    Tooltip,
    /// The file name of a displayed image.
    ImageFile,
    /// Where a link leads.
    LinkTarget,
    /// The file name of an attachment.
    AttachmentName,
    /// Text of an attached text or HTML file.
    Attached,
}

const KINDS: [(PlaceKind, &str); 16] = [
    (PlaceKind::Subject, "subject"),
    (PlaceKind::Text, "body text, paragraph"),
    (PlaceKind::Quoted, "quoted text, paragraph"),
    (PlaceKind::Heading, "HTML heading"),
    (PlaceKind::Html, "HTML paragraph"),
    (PlaceKind::Button, "button"),
    (PlaceKind::Link, "link"),
    (PlaceKind::Preheader, "hidden preheader"),
    (PlaceKind::Hidden, "hidden text"),
    (PlaceKind::Title, "HTML title"),
    (PlaceKind::AltText, "image alt text"),
    (PlaceKind::Tooltip, "tooltip"),
    (PlaceKind::ImageFile, "image file name"),
    (PlaceKind::LinkTarget, "link target"),
    (PlaceKind::AttachmentName, "attachment name"),
    (PlaceKind::Attached, "attached text, paragraph"),
];

const IN_ATTACHED_MESSAGE: &str = "attached message, ";

impl PlaceKind {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// Where a segment stands. Shown, and written in records, as text: `HTML paragraph 5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The sort of place.
    pub kind: PlaceKind,
    /// Counts the places of one sort from 1; 0 where there is but one (the subject).
    pub number: u32,
    /// The segment stands in a message attached to this one.
    pub attached_message: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attached_message {
            f.write_str(IN_ATTACHED_MESSAGE)?;
        }
        f.write_str(self.kind.name())?;
        if self.number > 0 {
            write!(f, " {}", self.number)?;
        }
        Ok(())
    }
}

/// A text that names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no place in a message")]
pub struct PlaceError(String);

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, attached_message) = match text.strip_prefix(IN_ATTACHED_MESSAGE) {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (name, number) = match rest.rsplit_once(' ') {
            Some((name, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() => {
                (name, digits.parse().map_err(|_| PlaceError(text.to_owned()))?)
            }
            _ => (rest, 0),
        };
        KINDS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| Self { kind: *kind, number, attached_message })
            .ok_or_else(|| PlaceError(text.to_owned()))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One piece of a message, judged on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it stands.
    pub place: Place,
    /// Readable text: decoded, without invisible characters, white space folded. A line break
    /// inside the block is `\n`, a table cell ends with `\t`.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_reads_back_as_itself() {
        for (kind, _) in KINDS {
            for number in [0, 1, 42] {
                for attached_message in [false, true] {
                    let place = Place { kind, number, attached_message };
                    assert_eq!(place.to_string().parse(), Ok(place));
                }
            }
        }
        assert!("nowhere 3".parse::<Place>().is_err());
    }
}
