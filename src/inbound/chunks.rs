//! Puts a message together from the chunks of BDAT (RFC 3030), within the limits that hold for DATA. No I/O.

use memchr::memchr_iter;

use super::budget::Reservation;
use super::data::Received;
use crate::smtp::Message;

/// The chunks that have come so far.
pub(super) struct Chunks {
    octets: Vec<u8>,
    reservation: Reservation,
    message_limit: usize,
    line_limit: usize,
}

impl Chunks {
    pub(super) fn new(reservation: Reservation, message_limit: usize, line_limit: usize) -> Self {
        Self { octets: Vec::new(), reservation, message_limit, line_limit }
    }

    /// Takes the next octets of a chunk. Those that cannot be taken end the message: the rest of the chunk
    /// has to be read and dropped.
    pub(super) fn take(&mut self, octets: &[u8]) -> Result<(), Received> {
        let needed = self.octets.len() + octets.len();
        if needed > self.message_limit {
            return Err(Received::TooLarge);
        }
        if needed > self.octets.capacity() {
            // Two more for a CRLF that may be missing at the end.
            let capacity = needed.max(self.octets.capacity() * 2).min(self.message_limit).saturating_add(2);
            let more = capacity - self.octets.len();
            if !self.reservation.grow_to(capacity) || self.octets.try_reserve_exact(more).is_err() {
                return Err(Received::NoMemory);
            }
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    /// The message after the last chunk, with the memory that it holds. One that does not end in CRLF gets
    /// one, as a client has to add it before the final dot of DATA: the next hop gets the message so.
    pub(super) fn finish(mut self) -> (Received, Reservation) {
        if !self.octets.is_empty() && !self.octets.ends_with(b"\r\n") {
            self.octets.extend_from_slice(b"\r\n");
        }
        if self.has_long_line() {
            return (Received::LineTooLong, self.reservation);
        }
        let received = match Message::parse(self.octets) {
            Ok(message) => Received::Message(message),
            Err(place) => Received::BareLineEnding(place),
        };
        (received, self.reservation)
    }

    fn has_long_line(&self) -> bool {
        let mut start = 0;
        memchr_iter(b'\n', &self.octets).any(|end| {
            let length = end + 1 - start;
            start = end + 1;
            length > self.line_limit
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::budget::MemoryBudget;

    fn received(chunks: &[&[u8]], memory: usize) -> Received {
        let mut together = Chunks::new(MemoryBudget::new(memory).reserve_none(), 1000, 100);
        for chunk in chunks {
            if let Err(why) = together.take(chunk) {
                return why;
            }
        }
        together.finish().0
    }

    #[test]
    fn chunks_are_put_together_wherever_they_are_cut() {
        let whole = b"Subject: x\r\n\r\n..\r\n.\r\nQUIT\r\n";
        let message = || Received::Message(Message::parse(whole.to_vec()).expect("a clean message"));
        for cut in 0..whole.len() {
            assert_eq!(received(&[&whole[..cut], &whole[cut..]], 5000), message(), "cut at {cut}");
        }
        assert_eq!(received(&[&whole[..whole.len() - 2]], 5000), message(), "without its last CRLF");
    }

    #[test]
    fn the_limits_are_those_of_data() {
        let line: &[u8] = b"0123456789\r\n";
        assert_eq!(received(&[line; 100], 5000), Received::TooLarge);
        assert_eq!(received(&[line; 50], 100), Received::NoMemory);
        assert_eq!(received(&[&[b'x'; 90], &[b'x'; 90]], 5000), Received::LineTooLong);
        assert!(matches!(received(&[b"a\nb\r\n"], 5000), Received::BareLineEnding(_)));
        assert!(matches!(received(&[b"a\r"], 5000), Received::BareLineEnding(_)));
        assert_eq!(received(&[], 0), Received::Message(Message::parse(Vec::new()).expect("empty")));
    }
}
