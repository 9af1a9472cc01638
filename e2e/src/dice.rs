//! Chance that is the same on every run.

/// A generator of numbers that gives the same ones on every run.
pub struct Dice(pub u64);

impl Dice {
    /// A number below the bound.
    pub fn roll(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}
