//! Columns side by side.

use serde::{Deserialize, Serialize};

use super::{Align, Style};

/// Columns side by side, one space between them; each wraps within its width.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// From left to right.
    pub cells: Vec<Cell>,
    /// How they look; its alignment is not used, each cell has its own.
    #[serde(default)]
    pub style: Style,
}

/// One column of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What is in it. `\n` ends a line.
    pub text: String,
    /// How wide it is.
    pub width: Width,
    /// Where in its width the text stands.
    #[serde(default)]
    pub align: Align,
}

/// How wide a column is, in characters of the row's style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Width {
    /// So many characters.
    Fixed(u16),
    /// As many as its longest line.
    Fit,
    /// A share of what the others leave, by weight.
    Flex(u16),
}

impl Row {
    /// A row of cells.
    pub fn new(cells: impl IntoIterator<Item = Cell>) -> Self {
        Self { cells: cells.into_iter().collect(), style: Style::default() }
    }

    /// The same row in a style.
    #[must_use]
    pub fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
}

impl Cell {
    /// A cell that takes what the others leave.
    pub fn flex(text: impl Into<String>) -> Self {
        Self { text: text.into(), width: Width::Flex(1), align: Align::Left }
    }

    /// A cell as wide as its text.
    pub fn fit(text: impl Into<String>) -> Self {
        Self { text: text.into(), width: Width::Fit, align: Align::Left }
    }

    /// A cell of `columns` characters.
    pub fn fixed(columns: u16, text: impl Into<String>) -> Self {
        Self { text: text.into(), width: Width::Fixed(columns), align: Align::Left }
    }

    /// With this weight among the flexible ones.
    #[must_use]
    pub fn weight(mut self, weight: u16) -> Self {
        self.width = Width::Flex(weight);
        self
    }

    /// At the right of its width.
    #[must_use]
    pub fn right(mut self) -> Self {
        self.align = Align::Right;
        self
    }

    /// In the middle of its width.
    #[must_use]
    pub fn centre(mut self) -> Self {
        self.align = Align::Centre;
        self
    }
}
