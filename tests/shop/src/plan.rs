//! How long a run is and how much happens in it.

use std::time::Duration;

/// The size of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The option of the command that means this plan.
    pub option: &'static str,
    /// Virtual time during which customers come; closing the shop takes longer.
    pub length: Duration,
    /// Customers.
    pub sales: u32,
    /// Mishaps: what the weather does, and handhelds that are dropped or carried out of range.
    pub faults: u32,
    /// How often the till may die at most.
    pub lives: u32,
    /// Handhelds at most; the seed decides how many, unless nothing goes wrong.
    pub handhelds: u32,
    /// Whether handhelds may reach the till through its server and the client of it.
    pub remote: bool,
    /// Whether every line of the run is kept. Otherwise the last steps are, and a digest of all lines.
    pub keeps_lines: bool,
}

impl Plan {
    /// A few minutes, for `cargo test`.
    pub fn short() -> Self {
        Self {
            option: "--short ",
            length: Duration::from_secs(240),
            sales: 16,
            faults: 16,
            lives: 4,
            handhelds: 6,
            remote: true,
            keeps_lines: true,
        }
    }

    /// 20 minutes of a busy shop.
    pub fn default_length() -> Self {
        Self {
            option: "",
            length: Duration::from_secs(20 * 60),
            sales: 60,
            faults: 40,
            lives: 6,
            handhelds: 22,
            remote: true,
            keeps_lines: false,
        }
    }

    /// Two hours in which nothing goes wrong and all handhelds queue for three terminals: who came first is served first.
    pub fn queues() -> Self {
        Self {
            option: "--queues ",
            length: Duration::from_secs(2 * 3600),
            sales: 1_200,
            faults: 0,
            lives: 0,
            handhelds: 22,
            remote: false,
            keeps_lines: false,
        }
    }

    /// Whether anything may go wrong.
    pub fn has_faults(&self) -> bool {
        self.faults > 0
    }

    /// A day of 16 hours.
    pub fn day() -> Self {
        Self {
            option: "--day ",
            length: Duration::from_secs(16 * 3600),
            sales: 2_000,
            faults: 400,
            lives: 10,
            handhelds: 22,
            remote: true,
            keeps_lines: false,
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::default_length()
    }
}
