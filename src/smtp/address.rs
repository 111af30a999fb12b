//! Mail addresses: kept as the peer wrote them, compared by a normalised key.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest mailbox RFC 5321 allows in a path: 256 octets with the angle brackets
/// (section 4.5.3.1.3).
pub const MAX_ADDRESS: usize = 254;

/// A mailbox (RFC 5321, section 4.1.2), as written by whoever sent it, without angle brackets.
///
/// Two addresses are the same person's when their [`AddressKey`]s are equal; the text as given is
/// what is forwarded and shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    raw: String,
    at: usize,
}

/// Why a text is no mailbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than [`MAX_ADDRESS`] octets.
    #[error("the address is longer than {MAX_ADDRESS} octets")]
    TooLong,
    /// No `@`, or nothing before or after it.
    #[error("the address has no local part and domain joined by @")]
    NoDomain,
    /// A character that a mailbox cannot hold where it stands.
    #[error("the address holds the character {0:?}, which is not allowed there")]
    BadCharacter(char),
    /// The domain is not a valid (internationalised) domain name or address literal.
    #[error("the domain is not a valid domain name")]
    BadDomain,
}

/// The normalised form of an [`Address`] by which consent is looked up: the domain in lower-case
/// A-labels (RFC 5890), the local part case-folded and unquoted where quoting was not needed, and,
/// where the configuration says so, without a `+tag`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressKey(String);

impl Address {
    /// Parses a mailbox without angle brackets.
    ///
    /// # Errors
    /// [`AddressError`] says what keeps the text from being a mailbox.
    pub fn parse(raw: &str) -> Result<Self, AddressError> {
        if raw.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        let at = raw.rfind('@').ok_or(AddressError::NoDomain)?;
        let (local, domain) = (&raw[..at], &raw[at + 1..]);
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::NoDomain);
        }
        check_local(local)?;
        check_domain(domain)?;
        Ok(Self { raw: raw.to_owned(), at })
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The part before the `@`, with its quotes if it has any.
    pub fn local_part(&self) -> &str {
        &self.raw[..self.at]
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        &self.raw[self.at + 1..]
    }

    /// True when the address can only travel under SMTPUTF8 (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.raw.is_ascii()
    }

    /// The key by which this address is looked up; `fold_tags` drops a `+tag` from the local part.
    pub fn key(&self, fold_tags: bool) -> AddressKey {
        let mut local = unquoted(self.local_part()).to_lowercase();
        if fold_tags
            && let Some(plus) = local.find('+')
            && plus > 0
        {
            local.truncate(plus);
        }
        let domain = ascii_domain(self.domain()).unwrap_or_else(|| self.domain().to_lowercase());
        AddressKey(format!("{local}@{domain}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        Self::parse(raw)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.raw)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = String::deserialize(deserializer)?;
        Self::parse(&raw).map_err(serde::de::Error::custom)
    }
}

impl AddressKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_local(local: &str) -> Result<(), AddressError> {
    if let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        if local.len() < 2 {
            return Err(AddressError::BadCharacter('"'));
        }
        let mut characters = inner.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => {
                    let escaped = characters.next().ok_or(AddressError::BadCharacter('\\'))?;
                    if escaped.is_control() {
                        return Err(AddressError::BadCharacter(escaped));
                    }
                }
                '"' => return Err(AddressError::BadCharacter('"')),
                other if other.is_control() => return Err(AddressError::BadCharacter(other)),
                _ => {}
            }
        }
        return Ok(());
    }
    if let Some(bad) = local.chars().find(|c| !is_atext(*c) && *c != '.') {
        return Err(AddressError::BadCharacter(bad));
    }
    Ok(())
}

fn check_domain(domain: &str) -> Result<(), AddressError> {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let valid = match literal.strip_prefix("IPv6:") {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => literal.parse::<std::net::Ipv4Addr>().is_ok(),
        };
        return if valid { Ok(()) } else { Err(AddressError::BadDomain) };
    }
    if let Some(bad) =
        domain.chars().find(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
    {
        return Err(AddressError::BadCharacter(bad));
    }
    ascii_domain(domain).map(|_| ()).ok_or(AddressError::BadDomain)
}

/// The domain in lower-case A-labels, or `None` when it is no domain name.
fn ascii_domain(domain: &str) -> Option<String> {
    let ascii =
        if domain.is_ascii() { domain.to_ascii_lowercase() } else { idna::domain_to_ascii(domain).ok()? };
    let labels_fit = ascii.split('.').all(|label| (1..=63).contains(&label.len()));
    (labels_fit && ascii.len() <= 253).then_some(ascii)
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// A quoted local part whose quotes were not needed means the same mailbox without them
/// (RFC 5321, section 4.1.2).
fn unquoted(local: &str) -> String {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return local.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    let is_dot_atom =
        !plain.is_empty() && plain.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
    if is_dot_atom { plain } else { local.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(raw: &str) -> String {
        Address::parse(raw).expect(raw).key(true).as_str().to_owned()
    }

    #[test]
    fn key_folds_case_tag_and_international_domain() {
        assert_eq!(key("Ana.Silva+News@EXAMPLE.com"), "ana.silva@example.com");
        assert_eq!(key("ana@BÜCHER.example"), "ana@xn--bcher-kva.example");
        assert_eq!(key("\"ana\"@example.com"), "ana@example.com");
        assert_eq!(key("\"a b\"@example.com"), "\"a b\"@example.com");
        assert_eq!(
            Address::parse("a+b@example.com").expect("address").key(false).as_str(),
            "a+b@example.com"
        );
    }

    #[test]
    fn a_tag_alone_is_a_local_part() {
        assert_eq!(key("+tag@example.com"), "+tag@example.com");
    }

    #[test]
    fn text_as_given_is_kept() {
        assert_eq!(Address::parse("Ana+x@Example.COM").expect("address").as_str(), "Ana+x@Example.COM");
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c.example",
            "a@b c",
            "a@[999.1.1.1]",
            "a@b\r\nRCPT TO:<x@y>",
            "a\u{0}@b.example",
            "a@b..example",
            "\"a\"b\"@c.example",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Address::parse(&format!("{}@example.com", "a".repeat(300))), Err(AddressError::TooLong));
    }

    #[test]
    fn address_literals_and_quoted_parts_are_mailboxes() {
        for good in [
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "\"a@b\"@example.com",
            "\"a\\\"b\"@example.com",
            "o'neil@example.com",
            "用户@例子.example",
        ] {
            assert!(Address::parse(good).is_ok(), "{good:?}");
        }
    }
}
