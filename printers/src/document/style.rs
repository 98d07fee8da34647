//! Text styles.

use serde::{Deserialize, Serialize};

/// Alignment on the line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// Left-aligned.
    #[default]
    Left,
    /// Centred.
    Centre,
    /// Right-aligned.
    Right,
}

/// A text style. Everything is off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "TextStyle"))]
#[serde(default)]
#[non_exhaustive]
pub struct Style {
    /// Alignment.
    pub align: Align,
    /// Bold.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// White on black.
    pub invert: bool,
    /// Width multiple, 1 to 8; read it with [`Style::times_wide`].
    pub width: u8,
    /// Height multiple, 1 to 8; read it with [`Style::times_high`].
    pub height: u8,
}

impl Default for Style {
    fn default() -> Self {
        Self { align: Align::Left, bold: false, underline: false, invert: false, width: 1, height: 1 }
    }
}

impl Style {
    /// Plain, left-aligned.
    pub fn new() -> Self {
        Self::default()
    }

    /// Centred.
    #[must_use]
    pub fn centre(mut self) -> Self {
        self.align = Align::Centre;
        self
    }

    /// Right-aligned.
    #[must_use]
    pub fn right(mut self) -> Self {
        self.align = Align::Right;
        self
    }

    /// Bold.
    #[must_use]
    pub fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    /// Underlined.
    #[must_use]
    pub fn underline(mut self) -> Self {
        self.underline = true;
        self
    }

    /// White on black.
    #[must_use]
    pub fn invert(mut self) -> Self {
        self.invert = true;
        self
    }

    /// `width` times as wide and `height` times as high, each 1 to 8.
    #[must_use]
    pub fn size(mut self, width: u8, height: u8) -> Self {
        self.width = width.clamp(1, 8);
        self.height = height.clamp(1, 8);
        self
    }

    /// Width multiple, 1 to 8.
    pub fn times_wide(&self) -> u8 {
        self.width.clamp(1, 8)
    }

    /// Height multiple, 1 to 8.
    pub fn times_high(&self) -> u8 {
        self.height.clamp(1, 8)
    }
}
