//! What all sessions share: how many there are, from where, and how many message bytes they hold.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The bytes that all sessions together may hold in memory.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    free: AtomicUsize,
}

/// Bytes taken from the budget; they go back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl MemoryBudget {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(bytes) })
    }

    /// A reservation of nothing, to be grown.
    pub(super) fn reserve_none(self: &Arc<Self>) -> Reservation {
        Reservation { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Reservation {
    /// Grows to `bytes` in all; false when the budget does not hold that many.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else { return true };
        let take = |free: usize| free.checked_sub(more);
        let taken = self.budget.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if taken {
            self.bytes = bytes;
        }
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// Sessions at once, in all and by client.
#[derive(Debug)]
pub(super) struct SessionCount {
    most: usize,
    most_per_client: usize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
    all: AtomicUsize,
}

/// A place for one session; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    count: Arc<SessionCount>,
    client: IpAddr,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There are too many sessions.
    All,
    /// There are too many from this client.
    Client,
}

impl SessionCount {
    pub(super) fn new(most: usize, most_per_client: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_client, by_client: Mutex::default(), all: AtomicUsize::new(0) })
    }

    pub(super) fn enter(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if self.all.load(Ordering::Relaxed) >= self.most {
            return Err(Full::All);
        }
        let sessions = by_client.entry(client).or_insert(0);
        if *sessions >= self.most_per_client {
            return Err(Full::Client);
        }
        *sessions += 1;
        self.all.fetch_add(1, Ordering::Relaxed);
        Ok(Place { count: Arc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_client = self.count.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sessions) = by_client.get_mut(&self.client) {
            *sessions -= 1;
            if *sessions == 0 {
                by_client.remove(&self.client);
            }
        }
        self.count.all.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_goes_back() {
        let budget = MemoryBudget::new(100);
        let mut one = budget.reserve_none();
        let mut two = budget.reserve_none();
        assert!(one.grow_to(60) && two.grow_to(40));
        assert!(!two.grow_to(41));
        drop(one);
        assert!(two.grow_to(100));
        assert!(!budget.reserve_none().grow_to(1));
    }

    #[test]
    fn places_are_counted_in_all_and_by_client() {
        let count = SessionCount::new(2, 1);
        let (a, b, c) =
            (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 3]));
        let first = count.enter(a).expect("a place");
        assert_eq!(count.enter(a).err(), Some(Full::Client));
        let _second = count.enter(b).expect("a place");
        assert_eq!(count.enter(c).err(), Some(Full::All));
        drop(first);
        assert!(count.enter(c).is_ok());
    }
}
