//! An outbound server for trying things out: `mailin-embedded` on loopback, delivering into a
//! Maildir. `consentry demo`, `consentry run --sink` and the tests use it.
//!
//! Owns the thread that serves, and what it writes. It is no mail server: it takes no null
//! reverse-path, no SMTPUTF8 and no ESMTP parameter but BODY, serves [`MAX_SESSIONS`] sessions at a
//! time, and runs until the process ends.

mod maildir;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use mailin_embedded::{Handler, Response, Server, SslConfig};

pub use maildir::{Delivered, SinkEnvelope};
use maildir::{Incoming, Maildir};

/// Sessions served at a time. Each holds one thread from its connect to its close, idle or not;
/// further connections wait unanswered, so an outbound pool that points here must stay below.
pub const MAX_SESSIONS: u32 = 256;

/// Why the sink could not start, or its Maildir could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The listener is open to other machines.
    #[error(
        "the sink takes any mail from anyone and so listens on loopback only, not on {0}; use 127.0.0.1 or ::1"
    )]
    NotLoopback(SocketAddr),
    /// The listener cannot be used.
    #[error("the sink cannot use its listening socket: {0}")]
    Listener(#[source] io::Error),
    /// The serving thread cannot be started.
    #[error("the sink cannot start its thread: {0}")]
    Thread(#[source] io::Error),
    /// `mailin-embedded` refuses its settings.
    #[error("the sink cannot be set up: {0}")]
    Server(String),
    /// A file or directory of the Maildir.
    #[error("the sink's Maildir: cannot {what} {}: {source}", path.display())]
    Maildir {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A running sink. Dropping it leaves the server running: `mailin-embedded` cannot be stopped.
#[derive(Clone, Debug)]
pub struct Sink {
    address: SocketAddr,
    maildir: Arc<Maildir>,
}

impl Sink {
    /// Serves on `listener`, delivering into the Maildir at `maildir`, which is made when missing.
    ///
    /// # Errors
    /// [`SinkError`] when the listener is not on loopback, the Maildir cannot be made, or the
    /// thread does not start.
    pub fn start(listener: TcpListener, maildir: impl Into<PathBuf>) -> Result<Self, SinkError> {
        let address = listener.local_addr().map_err(SinkError::Listener)?;
        if !address.ip().is_loopback() {
            return Err(SinkError::NotLoopback(address));
        }
        // The server accepts in blocking mode; a listener from tokio would make it spin.
        listener.set_nonblocking(false).map_err(SinkError::Listener)?;
        let maildir = Arc::new(Maildir::create(maildir.into())?);

        let mut server = Server::new(Session { maildir: Arc::clone(&maildir), incoming: None });
        server.with_name("sink.consentry.example").with_num_threads(MAX_SESSIONS).with_tcp_listener(listener);
        server.with_ssl(SslConfig::None).map_err(|error| SinkError::Server(error.to_string()))?;
        std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || {
                if let Err(error) = server.serve() {
                    tracing::error!(%error, "the sink stopped");
                }
            })
            .map_err(SinkError::Thread)?;
        Ok(Self { address, maildir })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything delivered so far, oldest first, read back from the Maildir.
    ///
    /// # Errors
    /// [`SinkError::Maildir`] when a file cannot be read.
    pub fn delivered(&self) -> Result<Vec<Delivered>, SinkError> {
        self.maildir.delivered()
    }
}

/// One SMTP session's handler.
///
/// Only a 421 may refuse a message after DATA: the server stays in DATA after any other refusal,
/// and would take the commands that follow for more text. For the same reason a failed write is
/// kept until the end of the message.
struct Session {
    maildir: Arc<Maildir>,
    incoming: Option<Result<Incoming, SinkError>>,
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Self { maildir: Arc::clone(&self.maildir), incoming: None }
    }
}

impl Handler for Session {
    fn helo(&mut self, ip: IpAddr, _domain: &str) -> Response {
        if ip.is_loopback() { answer(250, "OK") } else { answer(421, "4.7.0 loopback only") }
    }

    fn data_start(&mut self, domain: &str, from: &str, is8bit: bool, to: &[String]) -> Response {
        let envelope = SinkEnvelope {
            from: from.to_owned(),
            to: to.to_vec(),
            helo: domain.to_owned(),
            eight_bit: is8bit,
        };
        match self.maildir.begin(envelope) {
            Ok(incoming) => {
                self.incoming = Some(Ok(incoming));
                answer(354, "go ahead")
            }
            Err(error) => refused(&error),
        }
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(Ok(incoming)) = &mut self.incoming
            && let Err(error) = incoming.write(line)
        {
            self.incoming = Some(Err(error));
        }
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        match self.incoming.take() {
            Some(Ok(incoming)) => match incoming.deliver() {
                Ok(name) => answer(250, &format!("2.0.0 delivered as {name}")),
                Err(error) => refused(&error),
            },
            Some(Err(error)) => refused(&error),
            None => answer(421, "4.3.0 no message was begun"),
        }
    }
}

fn answer(code: u16, text: &str) -> Response {
    Response::custom(code, text.to_owned())
}

fn refused(error: &SinkError) -> Response {
    tracing::warn!(%error, "the sink refuses a message");
    answer(421, "4.3.0 the sink cannot store the message, closing")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    fn sink() -> (tempfile::TempDir, Sink) {
        let dir = tempfile::tempdir().expect("directory");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listener");
        let sink = Sink::start(listener, dir.path().join("maildir")).expect("sink");
        (dir, sink)
    }

    /// Sends each text and returns the last reply line to each, after the greeting.
    fn dialogue(sink: &Sink, sends: &[&str]) -> Vec<String> {
        let stream = TcpStream::connect(sink.address()).expect("connect");
        let mut reader = BufReader::new(stream.try_clone().expect("clone"));
        let mut reply = || {
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("reply");
                if line.as_bytes().get(3) != Some(&b'-') {
                    return line.trim_end().to_owned();
                }
            }
        };
        assert!(reply().starts_with("220 "));
        let mut writer = &stream;
        sends
            .iter()
            .map(|send| {
                writer.write_all(send.as_bytes()).expect("send");
                reply()
            })
            .collect()
    }

    #[test]
    fn the_message_is_stored_byte_for_byte_with_its_envelope() {
        let (_dir, sink) = sink();
        let replies = dialogue(
            &sink,
            &[
                "EHLO relay.example\r\n",
                "MAIL FROM:<a@b.example> BODY=8BITMIME\r\n",
                "RCPT TO:<c@d.example>\r\n",
                "RCPT TO:<e@d.example>\r\n",
                "DATA\r\n",
                "Subject: x\r\n\r\n..dot\r\nnaïve \r\n.\r\n",
                "QUIT\r\n",
            ],
        );
        assert!(replies[5].starts_with("250 2.0.0 delivered as "), "{replies:?}");
        let delivered = sink.delivered().expect("read");
        assert_eq!(delivered.len(), 1);
        assert_eq!(delivered[0].message, "Subject: x\r\n\r\n.dot\r\nnaïve \r\n".as_bytes());
        assert_eq!(
            delivered[0].envelope,
            SinkEnvelope {
                from: "a@b.example".into(),
                to: vec!["c@d.example".into(), "e@d.example".into()],
                helo: "relay.example".into(),
                eight_bit: true,
            }
        );
        assert!(replies[5].ends_with(&delivered[0].name));
    }

    #[test]
    fn several_messages_of_one_session_come_back_in_order() {
        let (_dir, sink) = sink();
        let mut sends = vec!["EHLO relay.example\r\n".to_owned()];
        for number in 0..20 {
            sends.push("MAIL FROM:<a@b.example>\r\n".into());
            sends.push(format!("RCPT TO:<to{number}@d.example>\r\n"));
            sends.push("DATA\r\n".into());
            sends.push(format!("X: {number}\r\n.\r\n"));
        }
        let sends: Vec<&str> = sends.iter().map(String::as_str).collect();
        dialogue(&sink, &sends);
        let delivered = sink.delivered().expect("read");
        let numbers: Vec<String> =
            delivered.iter().map(|one| String::from_utf8_lossy(&one.message).trim_end().to_owned()).collect();
        assert_eq!(numbers, (0..20).map(|number| format!("X: {number}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_cut_off_is_not_delivered() {
        let (_dir, sink) = sink();
        dialogue(
            &sink,
            &["EHLO x\r\n", "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "DATA\r\n"],
        );
        let mut stream = TcpStream::connect(sink.address()).expect("connect");
        stream
            .write_all(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nhalf")
            .expect("send");
        stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        io::copy(&mut stream, &mut io::sink()).expect("server closes");
        assert!(sink.delivered().expect("read").is_empty());
    }

    #[test]
    fn a_message_that_cannot_be_stored_is_refused_for_now() {
        let (dir, sink) = sink();
        std::fs::remove_dir_all(dir.path().join("maildir/tmp")).expect("remove");
        let replies = dialogue(
            &sink,
            &["EHLO x\r\n", "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "DATA\r\n"],
        );
        assert!(replies[3].starts_with("421 4.3.0 "), "{replies:?}");
    }

    #[test]
    fn only_loopback_is_served() {
        let dir = tempfile::tempdir().expect("directory");
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("listener");
        let error = Sink::start(listener, dir.path()).expect_err("refused");
        assert!(matches!(error, SinkError::NotLoopback(_)), "{error}");
    }
}
