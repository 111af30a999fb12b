//! Sizes and times as people write them: `"35 MiB"`, `"30s"`, `"2h"`.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written `"35 MiB"`, `"64 KB"` or as a plain number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Size(ByteSize);

/// A length of time greater than nothing, written `"30s"`, `"5m"`, `"1h 30m"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Size {
    /// So many KiB.
    pub const fn kib(kib: u64) -> Self {
        Self(ByteSize::kib(kib))
    }

    /// So many MiB.
    pub const fn mib(mib: u64) -> Self {
        Self(ByteSize::mib(mib))
    }

    /// The size in bytes, for sizes held in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0.as_u64()).unwrap_or(usize::MAX)
    }
}

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes * 60)
    }

    /// The time as the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let advice = || format!("`{text}` is not a length of time; write it like \"30s\", \"5m\" or \"2h\"");
        let signed: SignedDuration = text.parse().map_err(|_| advice())?;
        let duration = signed.try_into().map_err(|_| advice())?;
        if duration == Duration::ZERO { Err(advice()) } else { Ok(Self(duration)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(signed) => write!(f, "{signed:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_what_they_print() {
        for text in ["30s", "5m", "2h", "1h 30m", "250ms"] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.to_string().parse::<Span>().as_ref(), Ok(&span), "{text}");
        }
        assert_eq!("2h".parse::<Span>().map(Span::duration), Ok(Duration::from_secs(7200)));
        for text in ["", "0s", "-5s", "soon", "5"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_read_back_what_they_print() {
        let size = Size::mib(35);
        assert_eq!(size.to_string(), "35.0 MiB");
        let read: ByteSize = size.to_string().parse().expect("size");
        assert_eq!(Size(read), size);
    }
}
