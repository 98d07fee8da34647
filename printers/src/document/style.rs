//! How text looks.

use serde::{Deserialize, Serialize};

/// Where on the line something stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// At the left margin.
    #[default]
    Left,
    /// In the middle.
    Centre,
    /// At the right margin: amounts.
    Right,
}

/// How text looks. Every part is off unless set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Style {
    /// Where on the line.
    pub align: Align,
    /// Bold.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// White on black.
    pub invert: bool,
    /// Times as wide, 1 to 8; read it with [`Style::times_wide`].
    pub width: u8,
    /// Times as high, 1 to 8; read it with [`Style::times_high`].
    pub height: u8,
}

impl Default for Style {
    fn default() -> Self {
        Self { align: Align::Left, bold: false, underline: false, invert: false, width: 1, height: 1 }
    }
}

impl Style {
    /// Plain text at the left margin.
    pub fn new() -> Self {
        Self::default()
    }

    /// In the middle.
    #[must_use]
    pub fn centre(mut self) -> Self {
        self.align = Align::Centre;
        self
    }

    /// At the right margin.
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

    /// Times as wide, 1 to 8.
    pub fn times_wide(&self) -> u8 {
        self.width.clamp(1, 8)
    }

    /// Times as high, 1 to 8.
    pub fn times_high(&self) -> u8 {
        self.height.clamp(1, 8)
    }
}
