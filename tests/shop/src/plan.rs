//! How long a run is and how much happens in it.

use std::time::Duration;

/// The size of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Virtual time during which customers come; closing the shop takes longer.
    pub length: Duration,
    /// Customers.
    pub sales: u32,
    /// Mishaps: what the weather does, and handhelds that are dropped or carried out of range.
    pub faults: u32,
    /// How often the till may die at most.
    pub lives: u32,
    /// Handhelds at most; the seed decides how many.
    pub handhelds: u32,
    /// Whether every line of the run is kept. Otherwise the last steps are, and a digest of all lines.
    pub keeps_lines: bool,
}

impl Plan {
    /// A few minutes, for `cargo test`.
    pub fn short() -> Self {
        Self { length: Duration::from_secs(240), sales: 16, faults: 16, lives: 4, handhelds: 6, keeps_lines: true }
    }

    /// 20 minutes of a busy shop.
    pub fn default_length() -> Self {
        Self {
            length: Duration::from_secs(20 * 60),
            sales: 60,
            faults: 40,
            lives: 6,
            handhelds: 22,
            keeps_lines: false,
        }
    }

    /// A day of 16 hours.
    pub fn day() -> Self {
        Self {
            length: Duration::from_secs(16 * 3600),
            sales: 2_000,
            faults: 400,
            lives: 10,
            handhelds: 22,
            keeps_lines: false,
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::default_length()
    }
}
