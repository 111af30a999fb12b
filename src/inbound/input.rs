//! The bytes that came from the client and were not used yet, and the command lines in them. No I/O.

use memchr::memchr2;

/// How much is read from the socket at once.
const READ: usize = 16 * 1024;

/// Why a line cannot be a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// No end of line within the limit.
    TooLong,
    /// A CR without LF or an LF without CR (RFC 5321, section 2.3.8).
    BareLineEnding,
}

/// A bounded buffer between the socket and the dialogue.
#[derive(Debug)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl Input {
    /// `limit`: the longest command line in octets, CRLF included.
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, limit }
    }

    /// Room to read into; what was read is then announced with [`Input::filled`].
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < self.end + READ {
            self.buffer.resize(self.end + READ, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were read into [`Input::space`].
    pub(super) fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// What was read and not used.
    pub(super) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Uses up so many of the pending bytes. An empty buffer gives its memory back.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > 2 * READ {
                self.buffer = Vec::new();
            }
        }
    }

    /// The length of the next whole line, CRLF included; `None` when more must be read first.
    pub(super) fn line(&self) -> Result<Option<usize>, LineError> {
        let pending = self.pending();
        let window = &pending[..pending.len().min(self.limit)];
        match memchr2(b'\r', b'\n', window) {
            Some(at) if pending[at] == b'\n' => Err(LineError::BareLineEnding),
            Some(at) => match pending.get(at + 1) {
                Some(b'\n') if at + 2 <= self.limit => Ok(Some(at + 2)),
                Some(b'\n') => Err(LineError::TooLong),
                Some(_) => Err(LineError::BareLineEnding),
                None => Ok(None),
            },
            None if window.len() == self.limit => Err(LineError::TooLong),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8], limit: usize) -> Input {
        let mut input = Input::new(limit);
        input.space()[..bytes.len()].copy_from_slice(bytes);
        input.filled(bytes.len());
        input
    }

    #[test]
    fn lines_come_one_by_one() {
        let mut input = input(b"EHLO a\r\nMAIL\r\nRC", 20);
        assert_eq!(input.line(), Ok(Some(8)));
        input.consume(8);
        assert_eq!(input.line(), Ok(Some(6)));
        input.consume(6);
        assert_eq!((input.line(), input.pending()), (Ok(None), &b"RC"[..]));
    }

    #[test]
    fn a_line_has_a_limit_and_one_kind_of_end() {
        let table: [(&[u8], _); 8] = [
            (b"12345678\r\n", Ok(Some(10))),
            (b"123456789\r\n", Err(LineError::TooLong)),
            (b"1234567890", Err(LineError::TooLong)),
            (b"123456789", Ok(None)),
            (b"1234\n", Err(LineError::BareLineEnding)),
            (b"12\r34\r\n", Err(LineError::BareLineEnding)),
            (b"12\r", Ok(None)),
            (b"\r\n", Ok(Some(2))),
        ];
        for (bytes, expected) in table {
            assert_eq!(input(bytes, 10).line(), expected, "{bytes:?}");
        }
    }
}
