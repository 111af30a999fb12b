//! AUTH (RFC 4954): who may log in, and checking what they say. The dialogue around it is the session's.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::User;
use crate::password::PasswordHash;

/// How long a client waits for its turn to have its password checked.
const TURN: Duration = Duration::from_secs(30);

/// How a client logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// RFC 4616: name and password in one response.
    Plain,
    /// Name and password asked for one by one; never standardised, but what many mailers speak.
    Login,
}

/// A name and a password as the client sent them.
pub(super) struct Credentials {
    pub(super) name: String,
    password: Vec<u8>,
}

/// What came of checking them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Right,
    Wrong,
    /// Too many others are being checked.
    Busy,
}

/// All users.
pub(super) struct Users {
    by_name: HashMap<String, PasswordHash>,
    /// What an unknown name is checked against, so that it takes as long as a known one.
    decoy: Option<PasswordHash>,
    /// One check takes a processor and some MiB of memory.
    checking: Arc<Semaphore>,
}

impl Users {
    pub(super) fn new(users: Vec<User>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            decoy: users.first().map(|user| user.password_hash.clone()),
            by_name: users.into_iter().map(|user| (user.name, user.password_hash)).collect(),
            checking: Arc::new(Semaphore::new(processors)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The name if there is such a user, for the log.
    pub(super) fn known<'a>(&self, name: &'a str) -> &'a str {
        if self.by_name.contains_key(name) { name } else { "unknown" }
    }

    /// Checks a password, away from the sockets' threads.
    pub(super) async fn check(&self, credentials: &Credentials) -> Checked {
        let known = self.by_name.get(&credentials.name);
        let is_known = known.is_some();
        let Some(hash) = known.or(self.decoy.as_ref()).cloned() else { return Checked::Wrong };
        let Ok(Ok(turn)) = timeout(TURN, Arc::clone(&self.checking).acquire_owned()).await else {
            return Checked::Busy;
        };
        let password = credentials.password.clone();
        let checked = spawn_blocking(move || {
            let _turn = turn;
            hash.matches(&password)
        });
        match checked.await {
            Ok(matches) if matches && is_known => Checked::Right,
            Ok(_) => Checked::Wrong,
            Err(_) => Checked::Busy,
        }
    }
}

impl Credentials {
    /// The response of PLAIN, decoded: authorisation identity, name and password, with NUL between them.
    /// `None` when it is not that, or asks to act as somebody else.
    pub(super) fn plain(response: &[u8]) -> Option<Self> {
        let mut fields = response.split(|octet| *octet == 0);
        let (acting_as, name, password) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() || !(acting_as.is_empty() || acting_as == name) {
            return None;
        }
        Self::login(name, password)
    }

    /// The two responses of LOGIN, decoded.
    pub(super) fn login(name: &[u8], password: &[u8]) -> Option<Self> {
        let name = String::from_utf8(name.to_vec()).ok()?;
        (!name.is_empty() && !password.is_empty()).then(|| Self { name, password: password.to_vec() })
    }
}

/// Decodes a response, in time that does not depend on what it holds.
pub(super) fn decode(response: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(response).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(response: &[u8]) -> Option<(String, Vec<u8>)> {
        Credentials::plain(response).map(|credentials| (credentials.name, credentials.password))
    }

    #[test]
    fn plain_is_three_fields() {
        let ana = Some(("ana".to_owned(), b"pw".to_vec()));
        assert_eq!(plain(b"\0ana\0pw"), ana);
        assert_eq!(plain(b"ana\0ana\0pw"), ana);
        for bad in
            [&b""[..], b"ana\0pw", b"bob\0ana\0pw", b"\0ana\0pw\0", b"\0\0pw", b"\0ana\0", b"\0\xff\0pw"]
        {
            assert_eq!(plain(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_unknown_name_with_the_decoys_password_is_wrong() {
        let users = Users::new(vec![User {
            name: "ana".to_owned(),
            password_hash: PasswordHash::of("pw").expect("hash"),
        }]);
        let check = async |name: &str, password: &str| {
            let credentials = Credentials::login(name.as_bytes(), password.as_bytes()).expect("credentials");
            users.check(&credentials).await
        };
        assert_eq!(check("ana", "pw").await, Checked::Right);
        assert_eq!(check("ana", "no").await, Checked::Wrong);
        assert_eq!(check("bob", "pw").await, Checked::Wrong);
    }
}
