//! One connection to the outbound server: made, asked, closed. Every step has its time limit, because
//! the SMTP client's own covers connecting only.

use std::fmt;
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::error::{Cause, OutboundError, Step};
use super::stream::{Fault, Guarded, Observed};
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
    /// The largest message that it takes, if it says so (RFC 1870, section 4).
    pub(super) size_limit: Option<usize>,
    pub(super) eight_bit_mime: bool,
    pub(super) smtputf8: bool,
    starttls: bool,
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
        let extensions = Extensions::from_ehlo(&observed.last_reply());
        if let Some(credentials) = &self.credentials {
            let limit = self.timeouts.greeting.duration();
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if smtp.server_info().get_auth_mechanism(&mechanisms).is_none() {
                return Err(failed(Step::Auth, Cause::Unsupported("AUTH PLAIN or LOGIN")));
            }
            let answer = timeout(limit, smtp.auth(&mechanisms, credentials)).await;
            if !finished(Step::Auth, answer, &observed)?.has_code(235) {
                return Err(failed(Step::Auth, Cause::Garbled));
            }
        }
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

    /// The greeting, TLS as configured, and the EHLO that tells the extensions.
    async fn greet(&self, tcp: TcpStream) -> Result<(AsyncSmtpConnection, Observed), OutboundError> {
        let broken = |error: std::io::Error| failed(Step::Connect, Cause::Network(error.to_string()));
        tcp.set_nodelay(true).map_err(broken)?;
        let peer = tcp.peer_addr().map_err(broken)?;
        match (&self.tls, self.mode) {
            (Some(tls), Tls::Implicit) => {
                let mut stream = Guarded::new(self.encrypt(tls, tcp).await?, peer);
                let greeting = self.expect(&mut stream, Step::Greeting, 220).await?;
                self.hello(stream, &greeting).await
            }
            (Some(tls), Tls::StartTls) => {
                let mut plain = Guarded::new(tcp, peer);
                let greeting = self.expect(&mut plain, Step::Greeting, 220).await?;
                self.write(&mut plain, Step::Ehlo, &format!("EHLO {}\r\n", self.hello)).await?;
                self.expect(&mut plain, Step::Ehlo, 250).await?;
                if !Extensions::from_ehlo(&plain.observed().last_reply()).starttls {
                    return Err(failed(Step::Tls, Cause::Unsupported("STARTTLS")));
                }
                self.write(&mut plain, Step::Tls, "STARTTLS\r\n").await?;
                self.expect(&mut plain, Step::Tls, 220).await?;
                let plain = plain.into_inner().map_err(|fault| failed(Step::Tls, fault.into()))?;
                let encrypted = self.encrypt(tls, plain).await?;
                self.hello(Guarded::new(encrypted, peer), &greeting).await
            }
            _ => {
                let mut stream = Guarded::new(tcp, peer);
                let greeting = self.expect(&mut stream, Step::Greeting, 220).await?;
                self.hello(stream, &greeting).await
            }
        }
    }

    async fn encrypt(
        &self,
        tls: &OutboundTls,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, OutboundError> {
        let handshake = tls.connector.connect(tls.name.clone(), tcp);
        timeout(self.timeouts.greeting.duration(), handshake)
            .await
            .map_err(|_| failed(Step::Tls, Cause::Silent))?
            .map_err(|error| failed(Step::Tls, Cause::Network(error.to_string())))
    }

    /// Hands the stream to the SMTP client, which wants to read the greeting itself and says EHLO.
    async fn hello<S>(
        &self,
        mut stream: Guarded<S>,
        greeting: &[u8],
    ) -> Result<(AsyncSmtpConnection, Observed), OutboundError>
    where
        S: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug + 'static,
    {
        let observed = stream.observed();
        stream.replay(greeting);
        let connecting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello);
        let connected = timeout(self.timeouts.greeting.duration(), connecting).await;
        let smtp = finished(Step::Ehlo, connected, &observed)?;
        if observed.last_code() != 250 {
            return Err(failed(Step::Ehlo, Cause::Garbled));
        }
        Ok((smtp, observed))
    }

    /// A reply that must have this code, read before there is an SMTP client.
    async fn expect<S: AsyncRead + Unpin>(
        &self,
        stream: &mut Guarded<S>,
        step: Step,
        code: u16,
    ) -> Result<Vec<u8>, OutboundError> {
        let observed = stream.observed();
        let reply = timeout(self.timeouts.greeting.duration(), stream.reply())
            .await
            .map_err(|_| failed(step, Cause::Silent))?
            .map_err(|error| failed(step, network(&error, &observed)))?;
        match observed.last_code() {
            _ if reply.is_empty() => Err(failed(step, Cause::Closed)),
            said if said == code => Ok(reply),
            said @ 400.. => Err(failed(step, Cause::Refused(Reply::plain(said, observed.last_reply())))),
            _ => Err(failed(step, Cause::Garbled)),
        }
    }

    async fn write<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut Guarded<S>,
        step: Step,
        command: &str,
    ) -> Result<(), OutboundError> {
        let observed = stream.observed();
        let written = timeout(self.timeouts.greeting.duration(), stream.write_all(command.as_bytes())).await;
        written
            .map_err(|_| failed(step, Cause::Silent))?
            .map_err(|error| failed(step, network(&error, &observed)))
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
        self.messages >= self.messages_per_connection
            || self.observed.closed()
            || self.observed.fault().is_some()
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
    fn from_ehlo(lines: &[String]) -> Self {
        let mut extensions = Self::default();
        for line in lines.iter().skip(1) {
            let mut words = line.split_whitespace();
            match words.next().unwrap_or("").to_ascii_uppercase().as_str() {
                "SIZE" => {
                    extensions.size = true;
                    let limit = words.next().and_then(|limit| limit.parse().ok());
                    extensions.size_limit = limit.filter(|limit| *limit > 0);
                }
                "8BITMIME" => extensions.eight_bit_mime = true,
                "SMTPUTF8" => extensions.smtputf8 = true,
                "STARTTLS" => extensions.starttls = true,
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
    if let Some(fault) = observed.fault() {
        return fault.into();
    }
    if observed.closed() {
        return Cause::Closed;
    }
    if error.is_response() || error.is_client() {
        return Cause::Garbled;
    }
    match error.source() {
        Some(source) => Cause::Network(source.to_string()),
        None => Cause::Network(error.to_string()),
    }
}

/// What an error of the stream itself means.
fn network(error: &std::io::Error, observed: &Observed) -> Cause {
    match observed.fault() {
        Some(fault) => fault.into(),
        None if observed.closed() => Cause::Closed,
        None => Cause::Network(error.to_string()),
    }
}

impl From<Fault> for Cause {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLong => Self::TooLong,
            Fault::Garbled => Self::Garbled,
            Fault::Unasked => Self::Unasked,
        }
    }
}
