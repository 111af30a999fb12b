//! A mailer that says exactly what the test wants, byte for byte, and waits for no longer than the
//! test's patience.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

/// One reply: its code and lines, each as it came without CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// The whole reply on one line, the code once.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.lines.iter().map(|line| line.get(4..).unwrap_or_default()).collect();
        format!("{} {}", self.code, texts.join(" "))
    }

    /// Fails the test unless the reply is what `pattern` says, `...` standing for anything.
    #[track_caller]
    pub fn expect(self, pattern: &str) -> Self {
        assert!(super::matches(pattern, &self.text()), "wanted {pattern:?}, heard {:?}", self.text());
        self
    }
}

/// A connection to the relay.
pub struct Mailer {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Mailer {
    /// Connects without waiting for the greeting.
    pub fn connect_silently(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect to the relay");
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("write timeout");
        stream.set_nodelay(true).expect("no delay");
        let reader = BufReader::new(stream.try_clone().expect("clone"));
        Self { stream, reader }
    }

    /// Connects and reads the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        let mut mailer = Self::connect_silently(address);
        mailer.reply().expect("220 ...");
        mailer
    }

    /// Connects, greets, and is ready for MAIL.
    pub fn ready(address: SocketAddr) -> Self {
        let mut mailer = Self::connect(address);
        mailer.say("EHLO mailer.example").expect("250 ...");
        mailer
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says one line and returns the reply to it.
    #[track_caller]
    pub fn say(&mut self, line: &str) -> Reply {
        self.write(format!("{line}\r\n").as_bytes()).expect("write");
        self.reply()
    }

    /// Sends a message with dots stuffed and the final dot, and returns the reply.
    #[track_caller]
    pub fn message(&mut self, message: &[u8]) -> Reply {
        self.write(&stuffed(message)).expect("write");
        self.reply()
    }

    /// Sends one message, up to the first reply that is not positive; says at which step that was.
    pub fn attempt(&mut self, from: &str, to: &str, message: &[u8]) -> (&'static str, Reply) {
        for (step, line) in [
            ("MAIL", format!("MAIL FROM:<{from}>")),
            ("RCPT", format!("RCPT TO:<{to}>")),
            ("DATA", "DATA".to_owned()),
        ] {
            let reply = self.say(&line);
            if reply.code >= 400 {
                return (step, reply);
            }
        }
        ("dot", self.message(message))
    }

    /// A whole transaction; fails unless everything up to DATA is accepted. Returns the last reply.
    #[track_caller]
    pub fn send(&mut self, from: &str, to: &[&str], message: &[u8]) -> Reply {
        self.say(&format!("MAIL FROM:<{from}>")).expect("250 ...");
        for recipient in to {
            self.say(&format!("RCPT TO:<{recipient}>")).expect("250 ...");
        }
        self.say("DATA").expect("354 ...");
        self.message(message)
    }

    /// The next reply; fails when the connection ends first.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.next_reply().expect("a reply, but the connection was closed")
    }

    /// The next reply, or `None` when the relay has closed the connection.
    #[track_caller]
    pub fn next_reply(&mut self) -> Option<Reply> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let line = self.next_line()?;
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !more {
                let code = lines[0].get(..3).and_then(|code| code.parse().ok());
                let code = code.unwrap_or_else(|| panic!("not a reply: {lines:?}"));
                assert!(lines.iter().all(|line| line.starts_with(&lines[0][..3])), "mixed codes: {lines:?}");
                return Some(Reply { code, lines });
            }
        }
    }

    /// The next line without its CRLF, or `None` at the end of the connection.
    #[track_caller]
    pub fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            // A relay that closes while our bytes are still on the way makes the kernel send a reset.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no reply: {error}"),
            Ok(_) => {
                assert!(line.ends_with("\r\n"), "a line without CRLF: {line:?}");
                assert!(line.len() <= 512, "a reply line longer than RFC 5321 allows: {line:?}");
                Some(line.trim_end_matches("\r\n").to_owned())
            }
        }
    }

    /// Everything until the relay closes the connection.
    #[track_caller]
    pub fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection was not closed: {error}"),
        }
        rest
    }

    /// Says that nothing more will be written.
    pub fn finish_writing(&self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// The message as it goes over the wire after DATA.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    assert!(message.is_empty() || message.ends_with(b"\r\n"), "a message ends with CRLF");
    let mut wire = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
