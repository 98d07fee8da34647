//! Units of printers.

use std::fmt;
use std::ops::{Add, Sub};

/// A length in printer dots: on a 203 dpi head 8 dots are one millimetre, on 180 dpi about 7.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Dots(pub u32);

impl Dots {
    /// The number of bytes for this many dots, eight to a byte.
    pub fn bytes(self) -> usize {
        self.0.div_ceil(8) as usize
    }

    /// The length in millimetres on a head of `dpi` dots per inch.
    pub fn millimetres(self, dpi: u32) -> f32 {
        self.0 as f32 * 25.4 / dpi as f32
    }
}

/// Saturates, since lengths come from devices and files.
impl Add for Dots {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Dots {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Dots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dots", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_stay_in_range() {
        assert_eq!(Dots(u32::MAX) + Dots(1), Dots(u32::MAX));
        assert_eq!(Dots(1) - Dots(2), Dots(0));
        assert_eq!(Dots(9).bytes(), 2);
    }
}
