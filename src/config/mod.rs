//! The typed configuration: every key with its default in one place. Reading the file and saying what
//! is wrong in it is [`mod@load`]'s business; what the values mean is the business of the part that uses them.

mod load;
mod units;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::password::PasswordHash;

pub use load::{ConfigError, load, parse};
pub use units::{Size, Span};

/// The whole configuration. A key that is not here is an error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where ledgers, consent index, mode and control socket live. A relative path counts from the
    /// configuration file's directory.
    pub state_dir: PathBuf,
    /// The name in the greeting, in EHLO towards the outbound server and in Received lines.
    pub hostname: String,
    /// Limits on everything that a peer controls.
    pub limits: Limits,
    /// How verdict and consent become a decision.
    pub policy: Policy,
    /// What consentry adds to a message.
    pub headers: Headers,
    /// Consent records and their look-up.
    pub consent: Consent,
    /// The audit ledger.
    pub audit: Audit,
    /// The relay's own log on standard error.
    pub log: Log,
    /// Which of several outbound servers is tried first.
    pub outbound_choice: OutboundChoice,
    /// Who may log in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user: Vec<User>,
    /// Where mailers connect.
    pub listener: Vec<Listener>,
    /// Where mail goes; with several, another one is tried when one fails.
    pub outbound: Vec<Outbound>,
}

/// One address on which mailers are served.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// IP address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// The networks whose clients may send. Everybody else hears 554 and nothing more.
    #[serde(default = "loopback_networks")]
    pub networks: Vec<IpNet>,
    /// How connections are encrypted.
    #[serde(default)]
    pub tls: Tls,
    /// A PEM file with the server's certificate and those between it and the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with the certificate's private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Whether a client must log in before MAIL.
    #[serde(default)]
    pub require_auth: bool,
}

/// Somebody who may log in with AUTH (RFC 4954), on listeners with TLS.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password's hash, as `consentry user hash` makes it.
    pub password_hash: PasswordHash,
}

/// Which of several outbound servers is tried first for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OutboundChoice {
    /// The first in the configuration that is not down.
    Ordered,
    /// One after the other.
    Balanced,
}

/// The next hop.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// `host:port`; a name is resolved at every new connection.
    pub address: String,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// The name that the server's certificate must carry; default: the host of `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
    /// A PEM file with the certificate authorities to trust instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// The user for AUTH, over TLS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file whose first line is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// Idle connections kept for the next message.
    #[serde(default = "default_idle_connections")]
    pub idle_connections: usize,
    /// How long an idle connection is kept.
    #[serde(default = "default_idle_time")]
    pub idle_time: Span,
    /// Messages over one connection before it is closed.
    #[serde(default = "default_messages_per_connection")]
    pub messages_per_connection: u32,
    /// How long the other servers are preferred after this one has failed.
    #[serde(default = "default_down_time")]
    pub down_time: Span,
    /// Time limits of each step (RFC 5321, section 4.5.3.2).
    #[serde(default)]
    pub timeouts: OutboundTimeouts,
}

/// How a connection is encrypted. An outbound server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Not at all: for peers on the same machine or a private wire.
    #[default]
    None,
    /// STARTTLS (RFC 3207): offered to mailers; towards an outbound server before anything else, and one
    /// that does not offer it is not used.
    StartTls,
    /// TLS from the first byte (RFC 8314), usually port 465.
    Implicit,
}

/// How long consentry waits for the outbound server at each step.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundTimeouts {
    /// TCP connection.
    pub connect: Span,
    /// TLS handshake, greeting with EHLO, and AUTH, each.
    pub greeting: Span,
    /// The replies to MAIL and RSET.
    pub mail: Span,
    /// The reply to RCPT.
    pub rcpt: Span,
    /// The reply to DATA.
    pub data: Span,
    /// Sending the message, and the reply after the final dot.
    pub message: Span,
}

/// Limits on everything that a mailer controls.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest message, announced with SIZE (RFC 1870).
    pub message_size: Size,
    /// The longest command line in octets.
    pub command_line: usize,
    /// The longest line within a message.
    pub text_line: Size,
    /// Recipients of one message.
    pub recipients: usize,
    /// Received lines in a message: more of them mean that it goes in circles (RFC 5321, section 6.3).
    pub hops: usize,
    /// Commands in one session.
    pub commands: u32,
    /// Refused commands in one session.
    pub errors: u32,
    /// Failed attempts to log in, in one session.
    pub auth_failures: u32,
    /// Sessions at once.
    pub sessions: usize,
    /// Sessions at once from one IP address.
    pub sessions_per_client: usize,
    /// Message bytes that all sessions together may hold in memory.
    pub memory: Size,
    /// How long a client may take for the TLS handshake.
    pub handshake_time: Span,
    /// How long a client may take for one command line.
    pub command_time: Span,
    /// How long a client may take to send one message.
    pub message_time: Span,
    /// How long a client may take to read one reply.
    pub reply_time: Span,
    /// How long running transactions may go on after the relay was told to stop.
    pub drain_time: Span,
}

/// How verdict and consent become a decision.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The purpose that a recipient must have consented to.
    pub purpose: String,
    /// What the mail is declared to be.
    pub declared: DeclaredClass,
    /// What happens to a message of which some recipients are withheld.
    pub partial: Partial,
    /// What happens when no verdict is possible.
    pub on_error: OnError,
    /// What a message in a language that the rules do not know counts as when nothing promotional is found.
    pub unknown_language: UnknownLanguage,
    /// How long judging one message may take.
    pub judge_time: Span,
}

/// What a message in a language that the rules do not know counts as when nothing promotional is found
/// in it. What is found counts all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownLanguage {
    /// A service message, by what rules and structure could find.
    Judge,
    /// No verdict: `on_error` says what happens.
    NoVerdict,
}

/// What the sender says that its mail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeclaredClass {
    /// Mail about an existing relation, for which no consent is needed.
    Service,
    /// Mail that needs consent whatever its words are.
    Marketing,
}

impl DeclaredClass {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Marketing => "marketing",
        }
    }
}

/// What happens to a message of which some recipients are withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Partial {
    /// All or nothing: the message is refused for all its recipients.
    Reject,
}

/// What happens when no verdict is possible, by mode.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnError {
    /// In enforce mode.
    pub enforce: OnErrorAction,
    /// In monitor mode.
    pub monitor: OnErrorAction,
}

/// What happens when no verdict is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnErrorAction {
    /// 451: the mailer tries again later.
    Defer,
    /// The message is forwarded.
    Forward,
}

/// What consentry adds to a message beside its Received line.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Headers {
    /// An `X-Consentry-Verdict` line.
    pub verdict: bool,
}

/// Consent records and their look-up.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Consent {
    /// Whether `ana+shop@example.com` is the same person as `ana@example.com`.
    pub fold_tags: bool,
}

/// The audit ledger.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A ledger file is closed and a new one begun at this size.
    pub segment_size: Size,
    /// Whether a new file is begun every day (UTC), too.
    pub rotate_daily: bool,
}

/// The relay's own log on standard error.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least severe lines that are written.
    pub level: LogLevel,
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something needs attention.
    Warn,
    /// One line a session.
    Info,
    /// The steps of a session.
    Debug,
}

impl Listener {
    /// A listener with the defaults for everything else.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            networks: loopback_networks(),
            tls: Tls::None,
            tls_certificate: None,
            tls_key: None,
            require_auth: false,
        }
    }
}

impl Outbound {
    /// A server with the defaults for everything else.
    pub fn new(address: String, tls: Tls) -> Self {
        Self {
            address,
            tls,
            tls_name: None,
            tls_ca: None,
            username: None,
            password_file: None,
            password_env: None,
            idle_connections: default_idle_connections(),
            idle_time: default_idle_time(),
            messages_per_connection: default_messages_per_connection(),
            down_time: default_down_time(),
            timeouts: OutboundTimeouts::default(),
        }
    }
}

impl LogLevel {
    /// The name, as `tracing` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: PathBuf::from("var"),
            hostname: system_hostname(),
            limits: Limits::default(),
            policy: Policy::default(),
            headers: Headers::default(),
            consent: Consent::default(),
            audit: Audit::default(),
            log: Log::default(),
            outbound_choice: OutboundChoice::Ordered,
            user: Vec::new(),
            listener: Vec::new(),
            outbound: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: Size::mib(35),
            command_line: 2048,
            text_line: Size::kib(256),
            recipients: 100,
            hops: 50,
            commands: 10_000,
            errors: 20,
            auth_failures: 3,
            sessions: 1000,
            sessions_per_client: 500,
            memory: Size::mib(512),
            handshake_time: Span::seconds(30),
            command_time: Span::minutes(5),
            message_time: Span::minutes(10),
            reply_time: Span::minutes(1),
            drain_time: Span::minutes(1),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            purpose: "marketing".to_owned(),
            declared: DeclaredClass::Service,
            partial: Partial::Reject,
            on_error: OnError::default(),
            unknown_language: UnknownLanguage::Judge,
            judge_time: Span::seconds(10),
        }
    }
}

impl Default for OnError {
    fn default() -> Self {
        Self { enforce: OnErrorAction::Defer, monitor: OnErrorAction::Forward }
    }
}

impl Default for OutboundTimeouts {
    fn default() -> Self {
        Self {
            connect: Span::seconds(30),
            greeting: Span::minutes(5),
            mail: Span::minutes(5),
            rcpt: Span::minutes(5),
            data: Span::minutes(2),
            message: Span::minutes(10),
        }
    }
}

impl Default for Consent {
    fn default() -> Self {
        Self { fold_tags: true }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { segment_size: Size::mib(64), rotate_daily: true }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info }
    }
}

fn loopback_networks() -> Vec<IpNet> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    [IpNet::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8), IpNet::new(Ipv6Addr::LOCALHOST.into(), 128)]
        .into_iter()
        .flatten()
        .collect()
}

fn default_idle_connections() -> usize {
    20
}

fn default_idle_time() -> Span {
    Span::seconds(30)
}

fn default_down_time() -> Span {
    Span::seconds(30)
}

fn default_messages_per_connection() -> u32 {
    1000
}

fn system_hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
