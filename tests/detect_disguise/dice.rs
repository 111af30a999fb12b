//! Choices for a transformation, as values that proptest can shrink: where all throws are 0, nothing is
//! changed.

use std::cell::Cell;

use proptest::prelude::*;

#[derive(Clone)]
pub struct Dice {
    throws: Vec<u16>,
    next: Cell<usize>,
}

impl Dice {
    pub fn any() -> impl Strategy<Value = Self> {
        prop::collection::vec(any::<u16>(), 61).prop_map(|throws| Self { throws, next: Cell::new(0) })
    }

    /// A number below `sides`. The throws come round again, mixed with how often they have.
    pub fn below(&self, sides: usize) -> usize {
        let count = self.next.replace(self.next.get() + 1);
        let throw = usize::from(self.throws[count % self.throws.len()]);
        let round = count / self.throws.len();
        (throw.wrapping_mul(2 * round + 1) >> (round % 3)) % sides
    }

    /// True in one of `sides` throws.
    pub fn one_in(&self, sides: usize) -> bool {
        self.below(sides) == sides - 1
    }

    pub fn pick<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// The same things in another order.
    pub fn shuffled<T>(&self, mut all: Vec<T>) -> Vec<T> {
        for last in (1..all.len()).rev() {
            all.swap(last, last - self.below(last + 1));
        }
        all
    }
}

impl std::fmt::Debug for Dice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let thrown = self.throws.iter().rposition(|&throw| throw != 0).map_or(0, |last| last + 1);
        write!(f, "Dice({:?})", &self.throws[..thrown])
    }
}
