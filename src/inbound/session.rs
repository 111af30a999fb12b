//! The SMTP dialogue with one client (RFC 5321, section 4): which command may come when, what it costs
//! of the session's limits, and the reply. Replies to pipelined commands are written together
//! (RFC 2920). Implicit TLS (RFC 8314) comes before the greeting, STARTTLS (RFC 3207) when it is asked for.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::auth::{self, Checked, Credentials, Mechanism};
use super::chunks::Chunks;
use super::command::{self, Command};
use super::data::{DataReader, Progress, Received};
use super::input::{Input, LineError};
use super::replies;
use super::server::Door;
use super::shared::Shared;
use super::stream::Stream;
use crate::config::Tls;
use crate::gate::{Client, Passage};
use crate::outbound::MailParameters;
use crate::smtp::Reply;

/// The first byte of a TLS record that opens a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// The challenges of AUTH LOGIN, as all mailers know them: `Username:` and `Password:`.
const LOGIN_NAME: &str = "VXNlcm5hbWU6";
const LOGIN_PASSWORD: &str = "UGFzc3dvcmQ6";

/// How long the client may take to read the last reply.
const LINGER: Duration = Duration::from_secs(2);

/// How much a client may still send after the last reply, in bytes.
const LINGER_BYTES: u64 = 64 * 1024;

/// How a session went, for the one line that is logged of it.
pub(super) struct Summary {
    pub(super) helo: String,
    /// The version of TLS, or `none`.
    pub(super) tls: &'static str,
    /// Who has logged in; empty if nobody has.
    pub(super) user: String,
    pub(super) messages: u32,
    pub(super) commands: u32,
    pub(super) errors: u32,
    pub(super) end: &'static str,
}

/// Why a session is over; the text is for the log.
struct End(&'static str);

pub(super) struct Session {
    shared: Arc<Shared>,
    door: Arc<Door>,
    stream: Stream,
    stop: watch::Receiver<bool>,
    input: Input,
    output: Vec<u8>,
    client: Client,
    greeted: bool,
    passage: Option<Passage>,
    /// What BDAT has brought of the message, and when all of it must be there.
    chunks: Option<(Chunks, Instant)>,
    messages: u32,
    commands: u32,
    errors: u32,
    auth_failures: u32,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        door: Arc<Door>,
        stream: TcpStream,
        address: SocketAddr,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let input = Input::new(shared.limits.command_line);
        Self {
            shared,
            door,
            stream: Stream::Plain(stream),
            stop,
            input,
            output: Vec::new(),
            client: Client { address, helo: String::new(), esmtp: false, encrypted: false, user: None },
            greeted: false,
            passage: None,
            chunks: None,
            messages: 0,
            commands: 0,
            errors: 0,
            auth_failures: 0,
        }
    }

    /// Talks until one of the two has had enough.
    pub(super) async fn run(mut self) -> Summary {
        let End(end) = match self.begin().await {
            Err(end) => end,
            Ok(()) => loop {
                if let Err(end) = self.step().await {
                    break end;
                }
            },
        };
        // The client may be gone; whatever matters is in the ledger already.
        let _ = self.flush().await;
        if let Some(passage) = self.passage.take() {
            passage.abort();
        }
        self.close().await;
        Summary {
            tls: self.stream.tls_version(),
            user: self.client.user.unwrap_or_default(),
            helo: self.client.helo,
            messages: self.messages,
            commands: self.commands,
            errors: self.errors,
            end,
        }
    }

    /// The handshake, where it comes first, and the greeting.
    async fn begin(&mut self) -> Result<(), End> {
        if self.door.tls == Tls::Implicit {
            self.encrypt().await?;
        }
        self.say(&replies::greeting(&self.shared.hostname));
        Ok(())
    }

    /// Reads one command and answers it.
    async fn step(&mut self) -> Result<(), End> {
        let length = self.next_line().await?;
        self.commands += 1;
        if self.commands > self.shared.limits.commands {
            self.say(&replies::too_many_commands());
            return Err(End("too many commands"));
        }
        let parsed = command::parse(&self.input.pending()[..length], &self.shared.hostname);
        let is_bdat =
            self.input.pending()[..length].get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"BDAT"));
        self.input.consume(length);
        match parsed {
            Ok(command) => self.obey(command).await,
            Err(reply) if is_bdat => {
                // How many octets of a message follow is unknown: they must not be read as commands.
                self.say(&reply);
                Err(End("BDAT without a size"))
            }
            Err(reply) => self.refuse(&reply),
        }
    }

    /// Waits for a whole command line, having written what is to be said.
    async fn next_line(&mut self) -> Result<usize, End> {
        let deadline = Instant::now() + self.shared.limits.command_time.duration();
        loop {
            if self.passage.is_none() && *self.stop.borrow() {
                self.say(&replies::shutting_down());
                return Err(End("stopping"));
            }
            match self.input.line() {
                Ok(Some(length)) => return Ok(length),
                Ok(None) => {}
                Err(LineError::TooLong) => {
                    self.say(&replies::line_too_long());
                    return Err(End("line too long"));
                }
                Err(LineError::BareLineEnding) => {
                    self.say(&replies::bare_line_ending_in_command());
                    return Err(End("bare CR or LF"));
                }
            }
            if self.commands == 0 && self.input.pending().first() == Some(&TLS_HANDSHAKE) {
                self.say(&replies::not_a_mailer());
                return Err(End("TLS handshake on a plain port"));
            }
            self.flush().await?;
            let idle = self.passage.is_none();
            tokio::select! {
                biased;
                _ = self.stop.changed(), if idle => {}
                read = timeout_at(deadline, self.stream.read(self.input.space())) => match read {
                    Ok(Ok(0)) => return Err(End("closed by the client")),
                    Ok(Ok(bytes)) => self.input.filled(bytes),
                    Ok(Err(_)) => return Err(End("connection lost")),
                    Err(_) => {
                        self.say(&replies::too_slow());
                        return Err(End("too slow"));
                    }
                },
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Ehlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::Mail { .. } if !self.greeted => self.refuse(&replies::hello_first())?,
            Command::Mail { .. } if self.door.require_auth && self.client.user.is_none() => {
                self.refuse(&replies::auth_first())?;
            }
            Command::Mail { auth: true, .. } if !self.offers_auth() => {
                self.refuse(&replies::parameter_not_offered("AUTH"))?;
            }
            Command::Mail { .. } if self.passage.is_some() => self.refuse(&replies::nested_mail())?,
            // Whom the client names in AUTH= is not believed (RFC 4954, section 5); there is nobody to pass it on to.
            Command::Mail { reverse_path, size, body, smtputf8, auth: _ } => {
                if size > self.shared.limits.message_size.bytes() {
                    return self.refuse(&replies::message_too_large(self.shared.limits.message_size.bytes()));
                }
                let mail = MailParameters { reverse_path: &reverse_path, size, body, smtputf8 };
                let (passage, reply) = self.shared.gate.begin(&self.client, &mail).await;
                self.passage = passage;
                self.say(&reply);
            }
            Command::Rcpt(_) | Command::Data if self.chunks.is_some() => {
                self.refuse(&replies::chunks_begun())?;
            }
            Command::Rcpt(recipient) => {
                let Some(passage) = &mut self.passage else { return self.refuse(&replies::mail_first()) };
                if passage.recipients() >= self.shared.limits.recipients {
                    return self.refuse(&replies::too_many_recipients());
                }
                if recipient.needs_smtputf8() && !passage.is_smtputf8() {
                    return self.refuse(&replies::needs_smtputf8());
                }
                let reply = passage.rcpt(recipient.into()).await;
                self.say(&reply);
            }
            Command::Data => return self.data().await,
            Command::Bdat { size, last } => return self.bdat(size, last).await,
            Command::Auth { mechanism, initial } => return self.auth(mechanism, initial).await,
            Command::StartTls => return self.start_tls().await,
            Command::Rset => {
                self.reset();
                self.say(&replies::reset());
            }
            Command::Noop => self.say(&replies::noop()),
            Command::Vrfy => self.say(&replies::vrfy()),
            Command::Help => self.say(&replies::help()),
            Command::Quit => {
                self.say(&replies::bye());
                return Err(End("quit"));
            }
            Command::Http => {
                self.say(&replies::not_a_mailer());
                return Err(End("HTTP on an SMTP port"));
            }
        }
        Ok(())
    }

    fn hello(&mut self, name: String, esmtp: bool) {
        self.reset();
        self.greeted = true;
        self.client.helo = name;
        self.client.esmtp = esmtp;
        let reply = if esmtp {
            let offers_tls = self.door.tls == Tls::StartTls && !self.client.encrypted;
            let size = self.shared.limits.message_size.bytes();
            replies::ehlo(&self.shared.hostname, size, offers_tls, self.offers_auth())
        } else {
            replies::helo(&self.shared.hostname)
        };
        self.say(&reply);
    }

    /// STARTTLS: afterwards nothing of what was said before counts (RFC 3207, section 4.2), least of all
    /// what somebody on the way may have put behind the command (CVE-2011-0411).
    async fn start_tls(&mut self) -> Result<(), End> {
        if self.client.encrypted {
            return self.refuse(&replies::already_encrypted());
        }
        if self.door.tls != Tls::StartTls {
            return self.refuse(&replies::not_implemented());
        }
        if !self.client.esmtp {
            return self.refuse(&replies::ehlo_first());
        }
        self.reset();
        self.greeted = false;
        self.client.helo.clear();
        self.client.esmtp = false;
        self.input.consume(self.input.pending().len());
        self.say(&replies::ready_for_tls());
        self.flush().await?;
        self.encrypt().await
    }

    /// AUTH is for connections that nobody can listen to.
    fn offers_auth(&self) -> bool {
        self.client.encrypted && !self.shared.users.is_empty()
    }

    /// AUTH with its challenges (RFC 4954, section 4).
    async fn auth(&mut self, mechanism: Mechanism, initial: Option<String>) -> Result<(), End> {
        if !self.offers_auth() {
            let after_tls = self.door.tls == Tls::StartTls && !self.shared.users.is_empty();
            let reply = if after_tls { replies::auth_needs_tls() } else { replies::not_implemented() };
            return self.refuse(&reply);
        }
        if !self.client.esmtp {
            return self.refuse(&replies::ehlo_first());
        }
        if self.client.user.is_some() || self.passage.is_some() {
            return self.refuse(&replies::auth_out_of_place());
        }
        let credentials = match self.credentials(mechanism, initial).await? {
            Ok(credentials) => credentials,
            Err(reply) => return self.refuse(&reply),
        };
        let checked = match &credentials {
            Some(credentials) => self.shared.users.check(credentials).await,
            None => Checked::Wrong,
        };
        let name = credentials.map(|credentials| credentials.name).unwrap_or_default();
        match checked {
            Checked::Right => {
                self.client.user = Some(name);
                self.say(&replies::auth_accepted());
                Ok(())
            }
            Checked::Busy => self.refuse(&replies::auth_busy()),
            Checked::Wrong => {
                // The name may be a password that was typed into the wrong field: only a known one is logged.
                warn!(client = %self.client.address, user = self.shared.users.known(&name), "wrong name or password");
                self.auth_failures += 1;
                if self.auth_failures >= self.shared.limits.auth_failures {
                    self.say(&replies::too_many_auth_failures());
                    return Err(End("too many wrong passwords"));
                }
                self.refuse(&replies::auth_refused())
            }
        }
    }

    /// What the client answers to the challenges. A reply instead when it cancels or does not speak base64;
    /// no credentials when what it says is none.
    async fn credentials(
        &mut self,
        mechanism: Mechanism,
        initial: Option<String>,
    ) -> Result<Result<Option<Credentials>, Reply>, End> {
        let challenge = match mechanism {
            Mechanism::Plain => "",
            Mechanism::Login => LOGIN_NAME,
        };
        let first = match initial {
            // RFC 4954, section 4: an empty response has to be written somehow.
            Some(response) if response == "=" => Ok(Vec::new()),
            Some(response) => auth::decode(&response).ok_or_else(replies::auth_not_base64),
            None => self.response(challenge).await?,
        };
        let first = match first {
            Ok(first) => first,
            Err(reply) => return Ok(Err(reply)),
        };
        Ok(match mechanism {
            Mechanism::Plain => Ok(Credentials::plain(&first)),
            Mechanism::Login => {
                self.response(LOGIN_PASSWORD).await?.map(|second| Credentials::login(&first, &second))
            }
        })
    }

    /// One challenge and the decoded response to it.
    async fn response(&mut self, challenge: &str) -> Result<Result<Vec<u8>, Reply>, End> {
        self.say(&replies::challenge(challenge));
        let length = self.next_line().await?;
        let line = String::from_utf8_lossy(&self.input.pending()[..length]).into_owned();
        self.input.consume(length);
        Ok(match line.trim_end_matches("\r\n") {
            "*" => Err(replies::auth_cancelled()),
            response => auth::decode(response).ok_or_else(replies::auth_not_base64),
        })
    }

    /// The TLS handshake, within its time limit. One that fails ends the session without another word.
    async fn encrypt(&mut self) -> Result<(), End> {
        let Some(certificate) = self.door.certificate.clone() else { return Err(End("no certificate")) };
        // The files are looked at, and may be read.
        let Ok(acceptor) = spawn_blocking(move || certificate.acceptor()).await else {
            return Err(End("the certificate could not be read"));
        };
        let Stream::Plain(stream) = mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(End("TLS within TLS"));
        };
        match timeout(self.shared.limits.handshake_time.duration(), acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                self.stream = Stream::Encrypted(Box::new(stream));
                self.client.encrypted = true;
                Ok(())
            }
            Ok(Err(error)) => {
                info!(client = %self.client.address, %error, "TLS handshake failed");
                Err(End("TLS handshake failed"))
            }
            Err(_) => Err(End("TLS handshake too slow")),
        }
    }

    /// DATA, the message, and the reply after the dot.
    async fn data(&mut self) -> Result<(), End> {
        match &self.passage {
            None => return self.refuse(&replies::mail_first()),
            Some(passage) if passage.recipients() == 0 => return self.refuse(&replies::no_recipients()),
            Some(_) => {}
        }
        self.say(&replies::start_mail_input());
        self.flush().await?;
        let limits = self.shared.limits;
        let reservation = self.shared.memory.reserve_none();
        let mut reader = DataReader::new(reservation, limits.message_size.bytes(), limits.text_line.bytes());
        self.receive(&mut reader).await?;
        // The memory stays reserved until the message is gone.
        let (received, _reservation) = reader.finish();
        self.deliver(received).await
    }

    /// BDAT and its chunk (RFC 3030, section 2), and after the last one the message's reply. Whatever the
    /// reply, the octets announced are read.
    async fn bdat(&mut self, size: usize, last: bool) -> Result<(), End> {
        let limits = self.shared.limits;
        let refusal = match &self.passage {
            None => Some(replies::mail_first()),
            Some(passage) if passage.recipients() == 0 => Some(replies::no_recipients()),
            Some(_) => None,
        };
        let by = Instant::now() + limits.message_time.duration();
        if let Some(refusal) = refusal {
            self.receive_chunk(size, None, by).await?;
            return self.refuse(&refusal);
        }
        let begin = || {
            let reservation = self.shared.memory.reserve_none();
            (Chunks::new(reservation, limits.message_size.bytes(), limits.text_line.bytes()), by)
        };
        let (mut chunks, by) = self.chunks.take().unwrap_or_else(begin);
        if let Some(failure) = self.receive_chunk(size, Some(&mut chunks), by).await? {
            drop(chunks);
            return self.deliver(failure).await;
        }
        if !last {
            self.chunks = Some((chunks, by));
            self.say(&replies::chunk_taken(size));
            return Ok(());
        }
        let (received, _reservation) = chunks.finish();
        self.deliver(received).await
    }

    /// Reads so many octets, into `chunks` until that fails, then into nothing.
    async fn receive_chunk(
        &mut self,
        size: usize,
        mut chunks: Option<&mut Chunks>,
        by: Instant,
    ) -> Result<Option<Received>, End> {
        let (mut left, mut failure) = (size, None);
        loop {
            let here = self.input.pending().len().min(left);
            if let Some(Err(why)) =
                chunks.as_deref_mut().map(|chunks| chunks.take(&self.input.pending()[..here]))
            {
                failure = Some(why);
                chunks = None;
            }
            self.input.consume(here);
            left -= here;
            if left == 0 {
                return Ok(failure);
            }
            self.flush().await?;
            self.read_message(by).await?;
        }
    }

    /// The reply to a message, however it was received.
    async fn deliver(&mut self, received: Received) -> Result<(), End> {
        let limits = self.shared.limits;
        self.messages += 1;
        self.chunks = None;
        let Some(passage) = self.passage.take() else { return Ok(()) };
        let reply = match received {
            Received::Message(message) if message.received_count() > limits.hops => {
                passage.abort();
                replies::too_many_hops(limits.hops)
            }
            Received::Message(message) => passage.message(message).await,
            unclean => {
                passage.abort();
                match unclean {
                    Received::TooLarge => replies::message_too_large(limits.message_size.bytes()),
                    Received::NoMemory => replies::no_memory(),
                    Received::LineTooLong => replies::text_line_too_long(),
                    _ => replies::bare_line_ending_in_message(),
                }
            }
        };
        self.say(&reply);
        Ok(())
    }

    async fn receive(&mut self, reader: &mut DataReader) -> Result<(), End> {
        let deadline = Instant::now() + self.shared.limits.message_time.duration();
        loop {
            match reader.ingest(self.input.pending()) {
                Progress::End(used) => {
                    self.input.consume(used);
                    return Ok(());
                }
                Progress::More => self.input.consume(self.input.pending().len()),
                Progress::LineTooLong => {
                    self.say(&replies::line_too_long());
                    return Err(End("line too long"));
                }
            }
            self.read_message(deadline).await?;
        }
    }

    /// Reads what comes next of a message.
    async fn read_message(&mut self, deadline: Instant) -> Result<(), End> {
        match timeout_at(deadline, self.stream.read(self.input.space())).await {
            Ok(Ok(0)) => Err(End("closed by the client in mid-message")),
            Ok(Ok(bytes)) => {
                self.input.filled(bytes);
                Ok(())
            }
            Ok(Err(_)) => Err(End("connection lost in mid-message")),
            Err(_) => {
                self.say(&replies::too_slow());
                Err(End("too slow"))
            }
        }
    }

    /// Closes our side and reads what the client still sends: closing with unread bytes would reset the
    /// connection, and the client might never see the last reply.
    async fn close(&mut self) {
        let _ = timeout(LINGER, async {
            self.stream.shutdown().await?;
            let mut rest = (&mut self.stream).take(LINGER_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        })
        .await;
    }

    fn reset(&mut self) {
        self.chunks = None;
        if let Some(passage) = self.passage.take() {
            passage.abort();
        }
    }

    /// Says a refusal; the one that is too many ends the session instead.
    fn refuse(&mut self, reply: &Reply) -> Result<(), End> {
        self.errors += 1;
        if self.errors >= self.shared.limits.errors {
            self.say(&replies::too_many_errors());
            return Err(End("too many errors"));
        }
        self.say(reply);
        Ok(())
    }

    fn say(&mut self, reply: &Reply) {
        self.output.extend_from_slice(&reply.to_wire());
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let limit: Duration = self.shared.limits.reply_time.duration();
        let write = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        let written: io::Result<()> = match timeout(limit, write).await {
            Ok(written) => written,
            Err(_) => return Err(End("the client does not read")),
        };
        self.output.clear();
        written.map_err(|_| End("connection lost"))
    }
}
