//! One connection to the outbound server: made, asked, closed. Every step has its time limit, because
//! the SMTP client's own covers connecting only.

use std::fmt;
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::{Cause, OutboundError, Step};
use super::stream::{Bounded, Observed};
use super::tls::OutboundTls;
use crate::config::{self, OutboundTimeouts, Tls};
use crate::smtp::Reply;

/// How long a polite QUIT may take; nothing depends on it.
const QUIT_TIME: Duration = Duration::from_secs(2);

/// The size of the pieces in which a message is written, in bytes.
const PIECE: usize = 128 * 1024;

/// Where to connect and how.
pub(super) struct Target {
    address: String,
    hello: ClientId,
    tls: Option<OutboundTls>,
    mode: Tls,
    credentials: Option<Credentials>,
    timeouts: OutboundTimeouts,
    messages_per_connection: u32,
}

/// A connection that has said EHLO (and STARTTLS and AUTH where configured).
pub(super) struct Connection {
    smtp: Box<AsyncSmtpConnection>,
    observed: Observed,
    pub(super) extensions: Extensions,
    pub(super) timeouts: OutboundTimeouts,
    pub(super) idle_since: Instant,
    messages: u32,
    messages_per_connection: u32,
}

/// What the server offers (RFC 5321, section 4.1.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    pub(super) size: bool,
    pub(super) eight_bit_mime: bool,
    pub(super) smtputf8: bool,
}

impl Target {
    pub(super) fn new(config: &config::Outbound, hostname: &str) -> Result<Self, OutboundError> {
        let host = config.address.rsplit_once(':').map_or(config.address.as_str(), |(host, _)| host);
        let name = config.tls_name.as_deref().unwrap_or(host).trim_matches(['[', ']']);
        let tls = match config.tls {
            Tls::None => None,
            Tls::StartTls | Tls::Implicit => Some(OutboundTls::new(name, config.tls_ca.as_deref())?),
        };
        Ok(Self {
            address: config.address.clone(),
            hello: ClientId::Domain(hostname.to_owned()),
            tls,
            mode: config.tls,
            credentials: credentials(config)?,
            timeouts: config.timeouts,
            messages_per_connection: config.messages_per_connection,
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Connects up to the point at which MAIL may be said.
    pub(super) async fn connect(&self) -> Result<Connection, OutboundError> {
        let tcp = timeout(self.timeouts.connect.duration(), TcpStream::connect(&self.address))
            .await
            .map_err(|_| failed(Step::Connect, Cause::Silent))?
            .map_err(|error| failed(Step::Connect, Cause::Network(error.to_string())))?;
        let (mut smtp, observed) = self.greet(tcp).await?;
        let extensions = self.prepare(&mut smtp, &observed).await?;
        Ok(Connection {
            smtp: Box::new(smtp),
            observed,
            extensions,
            timeouts: self.timeouts,
            idle_since: Instant::now(),
            messages: 0,
            messages_per_connection: self.messages_per_connection,
        })
    }

    /// The TLS handshake of implicit TLS, the greeting and the first EHLO.
    async fn greet(&self, tcp: TcpStream) -> Result<(AsyncSmtpConnection, Observed), OutboundError> {
        let broken = |error: std::io::Error| failed(Step::Connect, Cause::Network(error.to_string()));
        tcp.set_nodelay(true).map_err(broken)?;
        let peer = tcp.peer_addr().map_err(broken)?;
        let (tcp, tcp_observed) = Bounded::new(tcp, peer);
        let limit = self.timeouts.greeting.duration();
        let (stream, observed): (Box<dyn AsyncTokioStream>, Observed) = match (&self.tls, self.mode) {
            (Some(tls), Tls::Implicit) => {
                let handshake = timeout(limit, tls.implicit.connect(tls.name.clone(), tcp)).await;
                let encrypted = handshake
                    .map_err(|_| failed(Step::Tls, Cause::Silent))?
                    .map_err(|error| failed(Step::Tls, Cause::Network(error.to_string())))?;
                let (stream, observed) = Bounded::new(encrypted, peer);
                (Box::new(stream), observed)
            }
            _ => (Box::new(tcp), tcp_observed),
        };
        let greeting = timeout(limit, AsyncSmtpConnection::connect_with_transport(stream, &self.hello)).await;
        let step = if observed.written() { Step::Ehlo } else { Step::Greeting };
        match greeting {
            Ok(Ok(smtp)) => Ok((smtp, observed)),
            Ok(Err(error)) => Err(failed(step, cause(&error, &observed))),
            Err(_) => Err(failed(step, Cause::Silent)),
        }
    }

    /// STARTTLS, AUTH, and the EHLO that tells the extensions.
    async fn prepare(
        &self,
        smtp: &mut AsyncSmtpConnection,
        observed: &Observed,
    ) -> Result<Extensions, OutboundError> {
        let limit = self.timeouts.greeting.duration();
        if let (Some(tls), Tls::StartTls) = (&self.tls, self.mode) {
            if !smtp.can_starttls() {
                return Err(failed(Step::Tls, Cause::Unsupported("STARTTLS")));
            }
            let upgraded = timeout(limit, smtp.starttls(tls.starttls.clone(), &self.hello)).await;
            finished(Step::Tls, upgraded, observed)?;
        }
        if let Some(credentials) = &self.credentials {
            let answer = timeout(limit, smtp.auth(&[Mechanism::Plain, Mechanism::Login], credentials)).await;
            finished(Step::Auth, answer, observed)?;
        }
        // The client keeps only those extensions that it uses itself, so ask once more.
        let answer = timeout(limit, smtp.command(format!("EHLO {}\r\n", self.hello))).await;
        Ok(Extensions::from_ehlo(finished(Step::Ehlo, answer, observed)?.message()))
    }
}

impl Connection {
    /// Sends one command and reads the answer, whichever it is.
    pub(super) async fn ask(
        &mut self,
        step: Step,
        limit: Duration,
        command: impl fmt::Display,
    ) -> Result<Reply, OutboundError> {
        let answer = timeout(limit, self.smtp.command(command)).await;
        let answer = answer.map_err(|_| failed(step, Cause::Silent))?;
        self.reply(step, answer)
    }

    /// Sends the message, which must end in CRLF, and reads the answer to the final dot.
    pub(super) async fn send(&mut self, parts: &[&[u8]]) -> Result<Reply, OutboundError> {
        self.messages += 1;
        let mut at_dot = false;
        // The client asks for the next piece when it has written the last one, and then writes the dot.
        let all_written = std::iter::from_fn(|| {
            at_dot = true;
            None
        });
        let sending = self.smtp.message_iter(pieces(parts).chain(all_written));
        let answer = timeout(self.timeouts.message.duration(), sending).await;
        let step = if at_dot { Step::FinalDot } else { Step::Message };
        let answer = answer.map_err(|_| failed(step, Cause::Silent))?;
        self.reply(step, answer)
    }

    /// How long no command was sent.
    pub(super) fn idle_for(&self) -> Duration {
        self.idle_since.elapsed()
    }

    /// Has carried as many messages as one connection may.
    pub(super) fn is_worn_out(&self) -> bool {
        self.messages >= self.messages_per_connection || self.observed.closed()
    }

    /// Says QUIT and closes.
    pub(super) async fn quit(mut self) {
        // Nothing depends on the answer: no transaction is open.
        let _ = timeout(QUIT_TIME, self.smtp.quit()).await;
    }

    fn reply(
        &self,
        step: Step,
        answer: Result<Response, lettre::transport::smtp::Error>,
    ) -> Result<Reply, OutboundError> {
        match answer {
            Ok(response) => {
                let lines = response.message().map(str::to_owned).collect();
                Ok(Reply::plain(u16::from(response.code()), lines))
            }
            Err(error) => match cause(&error, &self.observed) {
                Cause::Refused(reply) => Ok(reply),
                cause => Err(failed(step, cause)),
            },
        }
    }
}

impl Extensions {
    fn from_ehlo<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut extensions = Self::default();
        for line in lines.skip(1) {
            match line.split_whitespace().next().unwrap_or("").to_ascii_uppercase().as_str() {
                "SIZE" => extensions.size = true,
                "8BITMIME" => extensions.eight_bit_mime = true,
                "SMTPUTF8" => extensions.smtputf8 = true,
                _ => {}
            }
        }
        extensions
    }
}

/// The parts of a message in pieces of bounded size, since the client copies each piece to double the
/// dots. The client puts CRLF before the final dot, so the message's own last CRLF is left out.
fn pieces<'a>(parts: &'a [&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    let last = parts.iter().rposition(|part| !part.is_empty()).unwrap_or(0);
    parts.iter().enumerate().flat_map(move |(index, part)| {
        let part = if index == last { part.strip_suffix(b"\r\n").unwrap_or(part) } else { part };
        part.chunks(PIECE)
    })
}

fn credentials(config: &config::Outbound) -> Result<Option<Credentials>, OutboundError> {
    let Some(username) = &config.username else { return Ok(None) };
    let password = match (&config.password_file, &config.password_env) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| OutboundError::File { path: path.clone(), reason: error.to_string() })?;
            text.lines().next().unwrap_or("").to_owned()
        }
        (None, Some(name)) => std::env::var(name).map_err(|_| OutboundError::Environment(name.clone()))?,
        (None, None) => String::new(),
    };
    Ok(Some(Credentials::new(username.clone(), password)))
}

pub(super) fn failed(step: Step, cause: Cause) -> OutboundError {
    OutboundError::Step { step, cause }
}

/// What came of a step that has to succeed.
fn finished<T>(
    step: Step,
    result: Result<Result<T, lettre::transport::smtp::Error>, tokio::time::error::Elapsed>,
    observed: &Observed,
) -> Result<T, OutboundError> {
    result.map_err(|_| failed(step, Cause::Silent))?.map_err(|error| failed(step, cause(&error, observed)))
}

fn cause(error: &lettre::transport::smtp::Error, observed: &Observed) -> Cause {
    use std::error::Error as _;
    if let Some(code) = error.status() {
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        return Cause::Refused(Reply::plain(u16::from(code), vec![text]));
    }
    if observed.closed() {
        return Cause::Closed;
    }
    let io_kind =
        error.source().and_then(|source| source.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    if error.is_response() || error.is_client() || io_kind == Some(std::io::ErrorKind::InvalidData) {
        return Cause::Garbled;
    }
    match error.source() {
        Some(source) => Cause::Network(source.to_string()),
        None => Cause::Network(error.to_string()),
    }
}
