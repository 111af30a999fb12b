//! Reads the configuration file and says what is wrong in it: file, line, key, and the nearest valid
//! name. Opens nothing but the file itself.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, Listener, Outbound, Tls};

/// The largest configuration file that is read.
const MAX_FILE: u64 = 1024 * 1024;

/// The longest name of a user, in octets.
const MAX_NAME: usize = 255;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key and what is wrong with it.
        message: String,
    },
}

/// Reads a configuration file. Relative paths in it count from its directory.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_FILE {
        return Err(unreadable(io::Error::other("the file is larger than 1 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&text, path)
}

/// Reads a configuration from its text; `path` names it in errors and is where relative paths start.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let source = Source { text, path };
    let mut config: Config = toml::from_str(text).map_err(|error| source.syntax(&error))?;
    source.check(&config)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    config.state_dir = directory.join(&config.state_dir);
    for server in &mut config.outbound {
        for file in [&mut server.tls_ca, &mut server.password_file].into_iter().flatten() {
            *file = directory.join(&*file);
        }
    }
    for listener in &mut config.listener {
        for file in [&mut listener.tls_certificate, &mut listener.tls_key].into_iter().flatten() {
            *file = directory.join(&*file);
        }
    }
    if config.listener.is_empty() {
        config.listener.push(Listener::new(([127, 0, 0, 1], 2525).into()));
    }
    Ok(config)
}

struct Source<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Source<'_> {
    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let message = match unknown_key(error.message()) {
            Some((name, valid)) => unknown_key_message(name, &valid),
            None => match self.key_at(&span) {
                Some(key) => format!("`{key}`: {}", error.message()),
                None => error.message().to_owned(),
            },
        };
        ConfigError::Invalid { path: self.path.to_owned(), line: self.line(span.start), message }
    }

    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }

    /// The dotted name of the innermost key whose value holds `span`.
    fn key_at(&self, span: &Range<usize>) -> Option<String> {
        let table = DeTable::parse(self.text).ok()?;
        let mut path = Vec::new();
        find_key(table.get_ref(), span, &mut path).then(|| path.join("."))
    }

    /// An error about the key `name` of the `index`-th table called `table` (or of the table itself).
    fn invalid(&self, table: &str, index: usize, name: &str, what: String) -> ConfigError {
        let offset =
            DeTable::parse(self.text).ok().and_then(|root| offset_of(root.get_ref(), table, index, name));
        let key = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
        ConfigError::Invalid {
            path: self.path.to_owned(),
            line: self.line(offset.unwrap_or(0)),
            message: format!("`{key}`: {what}"),
        }
    }

    fn check(&self, config: &Config) -> Result<(), ConfigError> {
        let purpose = &config.policy.purpose;
        let is_token = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if purpose.is_empty() || purpose.len() > 64 || !purpose.chars().all(is_token) {
            let what =
                "a purpose is a word of lower-case letters, digits, - and _, at most 64 long".to_owned();
            return Err(self.invalid("policy", 0, "purpose", what));
        }
        if config.hostname.is_empty() || !config.hostname.chars().all(|c| c.is_ascii_graphic()) {
            return Err(self.invalid(
                "",
                0,
                "hostname",
                "a host name has no spaces and only ASCII".to_owned(),
            ));
        }
        if config.limits.memory < config.limits.message_size {
            let what = format!(
                "{} for all sessions together is less than one message may have (limits.message_size = {})",
                config.limits.memory, config.limits.message_size
            );
            return Err(self.invalid("limits", 0, "memory", what));
        }
        for (name, value) in [
            ("command_line", config.limits.command_line < 512),
            ("recipients", config.limits.recipients < 1),
            ("sessions", config.limits.sessions < 1),
            ("sessions_per_client", config.limits.sessions_per_client < 1),
        ] {
            if value {
                return Err(self.invalid(
                    "limits",
                    0,
                    name,
                    "is too small to serve anybody (RFC 5321, section 4.5.3.1)".to_owned(),
                ));
            }
        }
        for (index, listener) in config.listener.iter().enumerate() {
            self.check_listener(config, index, listener)?;
        }
        for (index, user) in config.user.iter().enumerate() {
            if user.name.is_empty() || user.name.len() > MAX_NAME {
                let what = format!("a name has 1 to {MAX_NAME} octets");
                return Err(self.invalid("user", index, "name", what));
            }
            if config.user[..index].iter().any(|other| other.name == user.name) {
                let what = format!("{} is listed twice", user.name);
                return Err(self.invalid("user", index, "name", what));
            }
        }
        config
            .outbound
            .iter()
            .enumerate()
            .try_for_each(|(index, server)| self.check_outbound(config, index, server))
    }

    fn check_listener(&self, config: &Config, index: usize, listener: &Listener) -> Result<(), ConfigError> {
        if let Some(all) = listener.networks.iter().find(|network| network.prefix_len() == 0) {
            let what = format!("{all} is the whole Internet: this would be an open relay");
            return Err(self.invalid("listener", index, "networks", what));
        }
        let same = |other: &Listener| other.address == listener.address && listener.address.port() != 0;
        if config.listener[..index].iter().any(same) {
            let what = format!("{} is listed twice", listener.address);
            return Err(self.invalid("listener", index, "address", what));
        }
        if listener.require_auth && (listener.tls == Tls::None || config.user.is_empty()) {
            let what = "needs tls, because passwords go over TLS only, and at least one [[user]]".to_owned();
            return Err(self.invalid("listener", index, "require_auth", what));
        }
        for (name, given) in
            [("tls_certificate", listener.tls_certificate.is_some()), ("tls_key", listener.tls_key.is_some())]
        {
            if given && listener.tls == Tls::None {
                let what = "has no meaning with tls = \"none\"; use \"starttls\" or \"implicit\"".to_owned();
                return Err(self.invalid("listener", index, name, what));
            }
            if !given && listener.tls != Tls::None {
                let what = format!("needs a PEM file to be named by {name}");
                return Err(self.invalid("listener", index, "tls", what));
            }
        }
        Ok(())
    }

    fn check_outbound(&self, config: &Config, index: usize, server: &Outbound) -> Result<(), ConfigError> {
        let invalid = |name, what: String| Err(self.invalid("outbound", index, name, what));
        let port =
            server.address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        if !matches!(port, Some((host, 1..)) if !host.is_empty()) {
            return invalid(
                "address",
                format!("`{}` is not host:port, like \"127.0.0.1:25\"", server.address),
            );
        }
        if config.listener.iter().any(|listener| listener.address.to_string() == server.address) {
            return invalid(
                "address",
                format!("{} is one of consentry's own listeners: mail would go in circles", server.address),
            );
        }
        if config.outbound[..index].iter().any(|other| other.address == server.address) {
            return invalid("address", format!("{} is listed twice", server.address));
        }
        if server.tls == Tls::None {
            let needs_tls = [
                ("tls_name", server.tls_name.is_some()),
                ("tls_ca", server.tls_ca.is_some()),
                ("username", server.username.is_some()),
            ];
            if let Some((name, _)) = needs_tls.into_iter().find(|(_, given)| *given) {
                return invalid(
                    name,
                    "has no meaning with tls = \"none\"; use \"starttls\" or \"implicit\"".to_owned(),
                );
            }
        }
        let secrets =
            usize::from(server.password_file.is_some()) + usize::from(server.password_env.is_some());
        match (server.username.is_some(), secrets) {
            (false, 0) | (true, 1) => Ok(()),
            (true, _) => {
                invalid("username", "needs exactly one of password_file and password_env".to_owned())
            }
            (false, _) => {
                let name = if server.password_file.is_some() { "password_file" } else { "password_env" };
                invalid(name, "a password without a username".to_owned())
            }
        }
    }
}

/// Takes apart serde's words for an unknown key: the key and the valid ones.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest =
        message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let mut quoted = rest.split('`').step_by(2);
    let name = quoted.next()?;
    let valid = rest.split('`').skip(2).step_by(2).collect();
    Some((name, valid))
}

fn unknown_key_message(name: &str, valid: &[&str]) -> String {
    let nearest = valid
        .iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((similarity, candidate)) if similarity > 0.5 => {
            format!("`{name}` is not known here; did you mean `{candidate}`?")
        }
        _ => format!("`{name}` is not known here; valid are {}", valid.join(", ")),
    }
}

fn find_key(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        let inside = match value.get_ref() {
            DeValue::Table(inner) => find_key(inner, span, path),
            DeValue::Array(items) => items.iter().any(|item| match item.get_ref() {
                DeValue::Table(inner) => find_key(inner, span, path),
                _ => false,
            }),
            _ => false,
        };
        if inside || holds(&key.span(), span) || holds(&value.span(), span) {
            return true;
        }
        path.pop();
    }
    false
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn offset_of(root: &DeTable<'_>, table: &str, index: usize, name: &str) -> Option<usize> {
    if table.is_empty() {
        return key_offset(root, name);
    }
    let (key, value) = root.iter().find(|(key, _)| key.get_ref() == table)?;
    let found = match value.get_ref() {
        DeValue::Table(inner) => key_offset(inner, name),
        DeValue::Array(items) => {
            let item: &Spanned<DeValue<'_>> = items.get(index)?;
            match item.get_ref() {
                DeValue::Table(inner) => key_offset(inner, name).or(Some(item.span().start)),
                _ => Some(item.span().start),
            }
        }
        _ => None,
    };
    found.or(Some(key.span().start))
}

fn key_offset(table: &DeTable<'_>, name: &str) -> Option<usize> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, _)| key.span().start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::loopback_networks;

    const SHORTEST: &str = r#"
state_dir = "var"

[[listener]]
address = "127.0.0.1:2525"

[[outbound]]
address = "127.0.0.1:25"
tls = "none"
"#;

    fn error(text: &str) -> String {
        parse(text, Path::new("/etc/consentry.toml")).expect_err(text).to_string()
    }

    #[test]
    fn the_shortest_useful_configuration_is_enough() {
        let config = parse(SHORTEST, Path::new("/etc/consentry.toml")).expect("configuration");
        assert_eq!(config.state_dir, Path::new("/etc/var"));
        assert_eq!(config.listener[0].networks, loopback_networks());
        assert_eq!(config.outbound[0].tls, Tls::None);
    }

    #[test]
    fn what_config_show_prints_reads_back() {
        let config = parse(SHORTEST, Path::new("/etc/consentry.toml")).expect("configuration");
        let printed = toml::to_string_pretty(&config).expect("TOML");
        let again = parse(&printed, Path::new("/etc/consentry.toml")).expect("configuration");
        assert_eq!(toml::to_string_pretty(&again).expect("TOML"), printed);
    }

    #[test]
    fn mistakes_are_named_with_line_key_and_advice() {
        let table = [
            (
                "stat_dir = 'x'",
                "/etc/consentry.toml:1: `stat_dir` is not known here; did you mean `state_dir`?",
            ),
            (
                "[limits]\nrecipient = 5",
                "/etc/consentry.toml:2: `recipient` is not known here; did you mean `recipients`?",
            ),
            (
                "[limits]\nrecipients = 'many'",
                "/etc/consentry.toml:2: `limits.recipients`: invalid type: string \"many\", expected usize",
            ),
            (
                "\n[limits]\ncommand_time = '5 parsecs'",
                "/etc/consentry.toml:3: `limits.command_time`: `5 parsecs` is not a length of time; write it like \"30s\", \"5m\" or \"2h\"",
            ),
            (
                "[[outbound]]\naddress = 'h:25'\ntls = 'start-tls'",
                "/etc/consentry.toml:3: `start-tls` is not known here; did you mean `starttls`?",
            ),
            (
                "[[listener]]\naddress = '127.0.0.1:25'\nnetworks = ['0.0.0.0/0']",
                "/etc/consentry.toml:3: `listener.networks`: 0.0.0.0/0 is the whole Internet: this would be an open relay",
            ),
            (
                "[[listener]]\naddress = '127.0.0.1:25'\ntls = 'starttls'\ntls_certificate = 'c.pem'",
                "/etc/consentry.toml:3: `listener.tls`: needs a PEM file to be named by tls_key",
            ),
            (
                "[[listener]]\naddress = '127.0.0.1:25'\nrequire_auth = true",
                "/etc/consentry.toml:3: `listener.require_auth`: needs tls, because passwords go over TLS only, and at least one [[user]]",
            ),
            (
                "[[user]]\nname = 'billing'\npassword_hash = 's3cret'",
                "/etc/consentry.toml:3: `user.password_hash`: it is no Argon2 hash; make one with `consentry user hash`",
            ),
            (
                "[[listener]]\naddress = '127.0.0.1:25'\ntls_key = 'k.pem'",
                "/etc/consentry.toml:3: `listener.tls_key`: has no meaning with tls = \"none\"; use \"starttls\" or \"implicit\"",
            ),
            (
                "[[outbound]]\naddress = 'mail.example'\ntls = 'none'",
                "/etc/consentry.toml:2: `outbound.address`: `mail.example` is not host:port, like \"127.0.0.1:25\"",
            ),
            (
                "[[outbound]]\naddress = 'h:25'\ntls = 'none'\nusername = 'a'\npassword_env = 'P'",
                "/etc/consentry.toml:4: `outbound.username`: has no meaning with tls = \"none\"; use \"starttls\" or \"implicit\"",
            ),
            (
                "[[outbound]]\naddress = 'h:25'\ntls = 'implicit'\nusername = 'a'",
                "/etc/consentry.toml:4: `outbound.username`: needs exactly one of password_file and password_env",
            ),
            (
                "[[listener]]\naddress = '127.0.0.1:25'\n[[outbound]]\naddress = '127.0.0.1:25'\ntls = 'none'",
                "/etc/consentry.toml:4: `outbound.address`: 127.0.0.1:25 is one of consentry's own listeners: mail would go in circles",
            ),
            (
                "[limits]\nmemory = '1 MiB'",
                "/etc/consentry.toml:2: `limits.memory`: 1.0 MiB for all sessions together is less than one message may have (limits.message_size = 35.0 MiB)",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn broken_toml_is_named_with_its_line() {
        assert!(error("state_dir = \n").starts_with("/etc/consentry.toml:1: "));
    }
}
