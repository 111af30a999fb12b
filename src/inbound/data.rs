//! Receives one message after DATA: finds its end, undoes the dots, keeps to the limits. No I/O.

use memchr::memrchr;
use smtp_proto::request::receiver::{DataReceiver, DummyDataReceiver};

use super::budget::Reservation;
use crate::smtp::{BareLineEnding, Message};

/// How a message ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// It is whole and clean.
    Message(Message),
    /// It has a bare CR or LF.
    BareLineEnding(BareLineEnding),
    /// It is larger than the limit; it was read to its end and dropped.
    TooLarge,
    /// One of its lines is longer than the limit.
    LineTooLong,
    /// There was no memory for it; it was read to its end and dropped.
    NoMemory,
}

/// How far the message has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes were used, the end has not come.
    More,
    /// The end has come; so many bytes were used.
    End(usize),
    /// A line has no end within the limit: nothing sensible will follow.
    LineTooLong,
}

/// The state of receiving one message.
pub(super) struct DataReader {
    receiver: DataReceiver,
    dropping: Option<(DummyDataReceiver, Received)>,
    octets: Vec<u8>,
    reservation: Reservation,
    line_start: usize,
    message_limit: usize,
    line_limit: usize,
}

impl DataReader {
    pub(super) fn new(reservation: Reservation, message_limit: usize, line_limit: usize) -> Self {
        let mut receiver = DataReceiver::new();
        // The CRLF of the DATA line counts as the one before the first line: a dot may end the message
        // at once. The receiver knows nothing of that line, so it is shown a CRLF.
        let mut octets = Vec::new();
        receiver.ingest(&mut b"\r\n".iter(), &mut octets);
        octets.clear();
        Self { receiver, dropping: None, octets, reservation, line_start: 0, message_limit, line_limit }
    }

    /// Takes the next bytes from the client.
    pub(super) fn ingest(&mut self, bytes: &[u8]) -> Progress {
        if let Some((receiver, _)) = &mut self.dropping {
            let mut rest = bytes.iter();
            let ended = receiver.ingest(&mut rest);
            return if ended { Progress::End(bytes.len() - rest.len()) } else { Progress::More };
        }
        if !self.make_room(bytes.len()) {
            self.drop_message(Received::NoMemory);
            return self.ingest(bytes);
        }
        let before = self.octets.len();
        let mut rest = bytes.iter();
        if self.receiver.ingest(&mut rest, &mut self.octets) {
            if self.octets.len() > self.message_limit {
                self.drop_message(Received::TooLarge);
            }
            return Progress::End(bytes.len() - rest.len());
        }
        if let Some(at) = memrchr(b'\n', &self.octets[before.min(self.octets.len())..]) {
            self.line_start = before + at + 1;
        }
        if self.octets.len() - self.line_start.min(self.octets.len()) > self.line_limit {
            return Progress::LineTooLong;
        }
        if self.octets.len() > self.message_limit {
            self.drop_message(Received::TooLarge);
        }
        Progress::More
    }

    /// What was received, after [`Progress::End`], with the memory that it holds.
    pub(super) fn finish(self) -> (Received, Reservation) {
        let received = match self.dropping {
            Some((_, why)) => why,
            None => match Message::parse(self.octets) {
                Ok(message) => Received::Message(message),
                Err(place) => Received::BareLineEnding(place),
            },
        };
        (received, self.reservation)
    }

    /// Room for `more` bytes, taken from the budget before it is taken from the system.
    fn make_room(&mut self, more: usize) -> bool {
        let needed = self.octets.len() + more;
        if needed <= self.octets.capacity() {
            return true;
        }
        let capacity = needed.max(self.octets.capacity() * 2).min(self.message_limit.saturating_add(more));
        self.reservation.grow_to(capacity)
            && self.octets.try_reserve_exact(capacity - self.octets.len()).is_ok()
    }

    fn drop_message(&mut self, why: Received) {
        self.dropping = Some((DummyDataReceiver::new_data(&self.receiver), why));
        self.octets = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::budget::MemoryBudget;

    fn reader(memory: usize) -> DataReader {
        DataReader::new(MemoryBudget::new(memory).reserve_none(), 1000, 100)
    }

    fn receive(bytes: &[u8]) -> (Progress, Received) {
        let mut reader = reader(100_000);
        let progress = reader.ingest(bytes);
        (progress, reader.finish().0)
    }

    fn message(octets: &[u8]) -> Received {
        Received::Message(Message::parse(octets.to_vec()).expect("a clean message"))
    }

    #[test]
    fn messages_end_at_crlf_dot_crlf_and_lose_their_stuffed_dots() {
        let table: [(&[u8], &[u8]); 6] = [
            (b".\r\n", b""),
            (b"\r\n.\r\n", b"\r\n"),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b"a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n"),
        ];
        for (wire, octets) in table {
            assert_eq!(receive(wire), (Progress::End(wire.len()), message(octets)), "{wire:?}");
        }
    }

    #[test]
    fn every_split_gives_the_same_message() {
        let wire = b"a\r\n..b\r\n.\r\r\n\r\n.\r\nQUIT\r\n";
        let whole = receive(wire);
        for cut in 0..wire.len() - 6 {
            let mut reader = reader(100_000);
            let used = match reader.ingest(&wire[..cut]) {
                Progress::More => match reader.ingest(&wire[cut..]) {
                    Progress::End(used) => cut + used,
                    other => panic!("cut at {cut}: {other:?}"),
                },
                Progress::End(used) => used,
                Progress::LineTooLong => panic!("cut at {cut}"),
            };
            assert_eq!((Progress::End(used), reader.finish().0), whole, "cut at {cut}");
        }
    }

    #[test]
    fn no_other_sequence_ends_a_message() {
        for wire in
            ["a\n.\n", "a\r\n.\n", "a\n.\r\n", "a\r.\r", "a\r\n.\r", "a\r.\r\n", "a\n\n.\r\n", "a\r\n\0.\r\n"]
        {
            assert_eq!(receive(wire.as_bytes()).0, Progress::More, "{wire:?}");
        }
    }

    #[test]
    fn a_bare_line_ending_is_found_at_the_real_end() {
        let (progress, received) = receive(b"a\n.\nMAIL FROM:<x@y>\r\n.\r\n");
        assert_eq!(progress, Progress::End(24));
        assert_eq!(received, Received::BareLineEnding(BareLineEnding(1)));
    }

    #[test]
    fn a_large_message_is_read_to_its_end() {
        let mut reader = reader(100_000);
        for _ in 0..200 {
            assert_eq!(reader.ingest(b"0123456789\r\n"), Progress::More);
        }
        assert_eq!(reader.ingest(b".\r\nNOOP\r\n"), Progress::End(3));
        assert!(reader.octets.capacity() == 0);
        assert_eq!(reader.finish().0, Received::TooLarge);
    }

    #[test]
    fn without_memory_a_message_is_read_to_its_end() {
        let mut reader = reader(100);
        assert_eq!(reader.ingest(&b"0123456789\r\n".repeat(20)), Progress::More);
        assert_eq!(reader.ingest(b".\r\n"), Progress::End(3));
        assert_eq!(reader.finish().0, Received::NoMemory);
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let mut reader = reader(100_000);
        assert_eq!(reader.ingest(&[b'x'; 90]), Progress::More);
        assert_eq!(reader.ingest(&[b'x'; 90]), Progress::LineTooLong);
    }
}
