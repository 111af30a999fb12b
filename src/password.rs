//! Passwords as they are kept: as Argon2 hashes in PHC form, never as they are typed. Owns no users.

use std::fmt;

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Argon2, Params};
use serde::{Deserialize, Serialize};

/// The longest password in octets.
pub const MAX_PASSWORD: usize = 1024;

/// The most memory that checking one password may take, in KiB; each check in progress holds as much.
const MAX_MEMORY: u32 = 256 * 1024;

/// The most passes over that memory.
const MAX_PASSES: u32 = 32;

/// A password's hash: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(String);

/// Why there is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The text is no hash that can be checked.
    #[error("it is no Argon2 hash; make one with `consentry user hash`")]
    NotAHash,
    /// Checking it would take too much.
    #[error(
        "this hash would take more than {MAX_MEMORY} KiB or {MAX_PASSES} passes to check; make one with `consentry user hash`"
    )]
    TooCostly,
    /// An empty password, or one that is too long.
    #[error("a password has 1 to {MAX_PASSWORD} octets, and no zero octet")]
    BadPassword,
    /// Hashing failed.
    #[error("the password could not be hashed: {0}")]
    Failed(password_hash::Error),
}

impl PasswordHash {
    /// Hashes a password, with a new salt and the costs that OWASP recommends (19 MiB, 2 passes).
    ///
    /// # Errors
    /// An empty or overlong password.
    pub fn of(password: &str) -> Result<Self, PasswordError> {
        if password.is_empty() || password.len() > MAX_PASSWORD || password.contains('\0') {
            return Err(PasswordError::BadPassword);
        }
        let salt = SaltString::generate(&mut OsRng);
        let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
        hash.map(|hash| Self(hash.to_string())).map_err(PasswordError::Failed)
    }

    /// Whether this is the password. Takes tens of milliseconds of processor time, on purpose; the hashes are
    /// compared in constant time.
    pub fn matches(&self, password: &[u8]) -> bool {
        let Ok(hash) = password_hash::PasswordHash::new(&self.0) else { return false };
        password.len() <= MAX_PASSWORD && Argon2::default().verify_password(password, &hash).is_ok()
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = PasswordError;

    fn try_from(text: String) -> Result<Self, PasswordError> {
        let hash = password_hash::PasswordHash::new(&text).map_err(|_| PasswordError::NotAHash)?;
        let params = Params::try_from(&hash).map_err(|_| PasswordError::NotAHash)?;
        let is_argon2 = argon2::Algorithm::try_from(hash.algorithm).is_ok();
        if !is_argon2 || hash.salt.is_none() || hash.hash.is_none() {
            return Err(PasswordError::NotAHash);
        }
        if params.m_cost() > MAX_MEMORY || params.t_cost() > MAX_PASSES {
            return Err(PasswordError::TooCostly);
        }
        Ok(Self(text))
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PasswordHash {
    /// Not the hash: it is worth guessing at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let hash = PasswordHash::of("s3cret").expect("hash");
        assert!(hash.matches(b"s3cret"));
        assert!(!hash.matches(b"S3cret") && !hash.matches(b""));
        assert_ne!(hash, PasswordHash::of("s3cret").expect("hash"), "the salt is new each time");
        assert_eq!(PasswordHash::try_from(hash.to_string()), Ok(hash));
    }

    #[test]
    fn what_cannot_be_checked_is_no_hash() {
        let costly = PasswordHash::of("x").expect("hash").to_string().replace("m=19456", "m=4194304");
        let table = [
            ("", PasswordError::NotAHash),
            ("s3cret", PasswordError::NotAHash),
            ("$2b$12$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", PasswordError::NotAHash),
            ("$argon2id$v=19$m=19456,t=2,p=1", PasswordError::NotAHash),
            (&costly, PasswordError::TooCostly),
        ];
        for (text, error) in table {
            assert_eq!(PasswordHash::try_from(text.to_owned()), Err(error), "{text}");
        }
        assert_eq!(PasswordHash::of(""), Err(PasswordError::BadPassword));
    }
}
