//! The byte stream under the SMTP client. It lets through one whole reply at a time (RFC 5321, section 4.2),
//! bounded and cleaned, and notices what nothing had asked for: a reply too many must answer no later
//! command, and plaintext behind the answer to STARTTLS must not pass for encrypted (CVE-2011-0411).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// The longest line of a reply in octets. RFC 5321, section 4.5.3.1.5, allows 512.
const MAX_LINE: usize = 2048;

/// The most lines of one reply.
const MAX_LINES: usize = 128;

/// The longest reply in octets.
pub(super) const MAX_REPLY: usize = 32 * 1024;

/// What a server did against the rules of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A line or a reply longer than the limit.
    TooLong,
    /// No reply at all.
    Garbled,
    /// Something that nothing had asked for.
    Unasked,
}

/// What is known of the stream from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    closed: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    last_reply: Vec<u8>,
}

impl Observed {
    /// The server has closed its side.
    pub(super) fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// What the server did against the rules.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.state().fault
    }

    /// The last reply's code; 0 before the first one.
    pub(super) fn last_code(&self) -> u16 {
        let state = self.state();
        state.last_reply.iter().take(3).fold(0, |code, digit| code * 10 + u16::from(digit - b'0'))
    }

    /// The texts of the last reply's lines.
    pub(super) fn last_reply(&self) -> Vec<String> {
        let state = self.state();
        let text = String::from_utf8_lossy(&state.last_reply);
        text.split_terminator("\r\n").map(|line| line.get(4..).unwrap_or("").to_owned()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that gives out whole replies, one at each read.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    peer: SocketAddr,
    received: Received,
    /// The part of a whole reply that was not given out yet.
    ready: Vec<u8>,
    /// Something was written since the last reply.
    asked: bool,
    observed: Observed,
}

/// What came in and was not given out, up to and beyond the end of the next reply.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    line_start: usize,
    lines: usize,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, peer: SocketAddr) -> Self {
        Self {
            inner,
            peer,
            received: Received::default(),
            ready: Vec::new(),
            asked: true,
            observed: Observed::default(),
        }
    }

    /// What is known of this stream, also when it has been given away.
    pub(super) fn observed(&self) -> Observed {
        self.observed.clone()
    }

    /// Gives `reply` out once more before anything else.
    pub(super) fn replay(&mut self, reply: &[u8]) {
        self.ready.splice(0..0, reply.iter().copied());
    }

    /// The stream itself, for a TLS handshake.
    ///
    /// # Errors
    /// The server has sent more than the reply that was read (RFC 3207, section 6).
    pub(super) fn into_inner(self) -> Result<S, Fault> {
        if self.received.bytes.is_empty() { Ok(self.inner) } else { Err(Fault::Unasked) }
    }

    fn fail(&self, fault: Fault) -> io::Error {
        self.observed.state().fault = Some(fault);
        io::Error::new(io::ErrorKind::InvalidData, "the server breaks the rules of replies")
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// The next reply with its line endings; empty when the server has closed.
    pub(super) async fn reply(&mut self) -> io::Result<Vec<u8>> {
        let mut reply = vec![0; MAX_REPLY];
        let length = self.read(&mut reply).await?;
        reply.truncate(length);
        Ok(reply)
    }

    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [0; 4096];
        let mut piece = ReadBuf::new(&mut piece);
        match Pin::new(&mut self.inner).poll_read(cx, &mut piece) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let read = piece.filled().len();
        if read == 0 {
            self.observed.closed.store(true, Ordering::Relaxed);
        }
        self.received.bytes.extend_from_slice(piece.filled());
        Poll::Ready(Ok(read))
    }

    /// Before a command: the server must have said nothing since its last reply, and still be there.
    fn look_for_unasked(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.received.bytes.is_empty() {
            match self.fill(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Err(self.fail(Fault::Unasked))
    }
}

impl Received {
    /// The next whole reply in clean form, if it is here.
    fn next_reply(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            let rest = &self.bytes[self.line_start..];
            let Some(end) = memchr::memchr(b'\n', &rest[..rest.len().min(MAX_LINE)]) else {
                return if rest.len() < MAX_LINE { Ok(None) } else { Err(Fault::TooLong) };
            };
            let line = rest[..end].strip_suffix(b"\r").ok_or(Fault::Garbled)?;
            let more = more_follows(line)?;
            if line[..3] != self.bytes[..3] {
                return Err(Fault::Garbled);
            }
            self.lines += 1;
            self.line_start += end + 1;
            if self.lines > MAX_LINES || self.line_start > MAX_REPLY / 2 {
                return Err(Fault::TooLong);
            }
            if !more {
                let rest = self.bytes.split_off(self.line_start);
                let reply = std::mem::replace(self, Self { bytes: rest, ..Self::default() });
                return Ok(Some(cleaned(&reply.bytes)));
            }
        }
    }
}

/// Whether a line of a reply says that another follows (RFC 5321, section 4.2).
fn more_follows(line: &[u8]) -> Result<bool, Fault> {
    match line {
        [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9'] | [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9', b' ', ..] => {
            Ok(false)
        }
        [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9', b'-', ..] => Ok(true),
        _ => Err(Fault::Garbled),
    }
}

/// A reply that the SMTP client takes: UTF-8, no control characters, and a space behind a code that stands
/// alone. What its text says otherwise is the server's; only the code counts.
fn cleaned(reply: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(reply.len() + 2);
    for line in reply.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let text = String::from_utf8_lossy(line);
        let character = |c: char| match c {
            char::REPLACEMENT_CHARACTER => '?',
            c if c.is_control() => ' ',
            c => c,
        };
        let start = clean.len();
        clean.extend_from_slice(text.chars().map(character).collect::<String>().as_bytes());
        if clean.len() - start == 3 {
            clean.push(b' ');
        }
        clean.extend_from_slice(b"\r\n");
    }
    clean
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            match this.received.next_reply() {
                Ok(Some(reply)) => {
                    this.observed.state().last_reply.clone_from(&reply);
                    this.ready = reply;
                    this.asked = false;
                }
                Ok(None) => match this.fill(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(_)) => {}
                },
                Err(fault) => return Poll::Ready(Err(this.fail(fault))),
            }
        }
        let length = this.ready.len().min(buf.remaining());
        buf.put_slice(&this.ready[..length]);
        this.ready.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.asked {
            if let Err(error) = this.look_for_unasked(cx) {
                return Poll::Ready(Err(error));
            }
            this.asked = true;
        }
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Guarded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(bytes: &[u8]) -> Received {
        Received { bytes: bytes.to_vec(), ..Received::default() }
    }

    #[test]
    fn replies_come_out_one_by_one() {
        let mut received = received(b"250-a\r\n250 b\r\n550 c\r\n22");
        assert_eq!(received.next_reply(), Ok(Some(b"250-a\r\n250 b\r\n".to_vec())));
        assert_eq!(received.next_reply(), Ok(Some(b"550 c\r\n".to_vec())));
        assert_eq!(received.next_reply(), Ok(None));
        assert_eq!(received.bytes, b"22");
    }

    #[test]
    fn single_bytes_make_the_same_replies() {
        let mut received = received(b"");
        let mut replies = Vec::new();
        for byte in b"250-a\r\n250 b\r\n220\r\n" {
            received.bytes.push(*byte);
            replies.extend(received.next_reply().expect("no fault"));
        }
        assert_eq!(replies, [b"250-a\r\n250 b\r\n".to_vec(), b"220 \r\n".to_vec()]);
    }

    #[test]
    fn text_is_made_utf8_without_control_characters() {
        let mut received = received(b"250 gr\xfc\xdfe\0\x1b\r\n");
        assert_eq!(received.next_reply(), Ok(Some(b"250 gr??e  \r\n".to_vec())));
    }

    #[test]
    fn what_is_no_reply_is_a_fault() {
        for bytes in
            [&b"hello\r\n"[..], b"\r\n", b"25\r\n", b"150 x\r\n", b"260 x\r\n", b"250x\r\n", b"250 x\n"]
        {
            assert_eq!(received(bytes).next_reply(), Err(Fault::Garbled), "{bytes:?}");
        }
        assert_eq!(received(b"250-a\r\n251 b\r\n").next_reply(), Err(Fault::Garbled));
    }

    #[test]
    fn lines_and_replies_have_limits() {
        assert_eq!(received(&[b'2'; MAX_LINE]).next_reply(), Err(Fault::TooLong));
        assert_eq!(received(&b"250-x\r\n".repeat(MAX_LINES + 1)).next_reply(), Err(Fault::TooLong));
        let wide = [b"250-".to_vec(), vec![b'x'; 2000], b"\r\n".to_vec()].concat();
        assert_eq!(received(&wide.repeat(20)).next_reply(), Err(Fault::TooLong));
    }
}
