//! How long to wait after failures in a row.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// After the first failure; it doubles up to [`LONGEST`].
pub(super) const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(120);

/// The delay after so many failures in a row, at least half of it whatever the jitter, which is in 0..1.
pub(super) fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(0.5 + jitter / 2.0)
}

/// In 0..1, so that what failed together does not come back together.
pub(super) fn jitter() -> f64 {
    let random = RandomState::new().hash_one(0u8);
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_two_minutes() {
        assert_eq!(delay(1, 1.0), FIRST);
        assert_eq!(delay(2, 1.0), 2 * FIRST);
        assert_eq!(delay(2, 0.0), FIRST);
        for failures in [10, 100, u32::MAX] {
            assert_eq!(delay(failures, 1.0), LONGEST);
        }
        assert!((0.0..=1.0).contains(&jitter()));
    }
}
