//! Columns side by side.

use serde::{Deserialize, Serialize};

use super::{Align, Spans, Style};

/// Columns side by side, one space between them; each wraps within its width.
///
/// If the paper is too narrow, [`Width::Fixed`] cells give up unused space first, then [`Width::Flex`] cells shrink and
/// wrap. [`Width::Fit`] cells, which hold amounts, never break a line: if there is no room beside them, the cells are
/// stacked, each with its own alignment, and if even the whole paper is too narrow, the row is printed in a narrower
/// style.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ReceiptRow"))]
pub struct Row {
    /// From left to right.
    pub cells: Vec<Cell>,
    /// The style of its cells. Its alignment is ignored; each cell has its own.
    #[serde(default)]
    pub style: Style,
}

/// One column of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ReceiptCell"))]
#[serde(from = "Raw")]
pub struct Cell {
    /// Its text. `\n` ends a line.
    pub text: Spans,
    /// Its width; by default a share of the remaining space.
    pub width: Width,
    /// The alignment within its width.
    pub align: Align,
    /// Its style; `None` means the row's. Its alignment is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<Style>,
}

/// A plain flexible cell may be written as a string.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "a cell must be a string, or an object with `text`, `width`, `align` and `style`")]
enum Raw {
    Plain(String),
    Full {
        /// Its text.
        text: Spans,
        /// How wide it is.
        #[serde(default)]
        width: Width,
        /// How the text stands in it.
        #[serde(default)]
        align: Align,
        /// The style of its text; default that of the row.
        style: Option<Style>,
    },
}

impl From<Raw> for Cell {
    fn from(raw: Raw) -> Self {
        match raw {
            Raw::Plain(text) => Self::flex(text),
            Raw::Full { text, width, align, style } => Self { text, width, align, style },
        }
    }
}

/// How wide a column is, in characters of the row's style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "CellWidth"))]
#[serde(rename_all = "kebab-case")]
pub enum Width {
    /// This many characters.
    Fixed(u16),
    /// As wide as its longest line, which is not broken.
    Fit,
    /// A share of the remaining space, by weight.
    Flex(u16),
}

impl Default for Width {
    fn default() -> Self {
        Self::Flex(1)
    }
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
    /// A cell that takes the remaining space.
    pub fn flex(text: impl Into<Spans>) -> Self {
        Self { text: text.into(), width: Width::Flex(1), align: Align::Left, style: None }
    }

    /// A cell as wide as its text.
    pub fn fit(text: impl Into<Spans>) -> Self {
        Self { text: text.into(), width: Width::Fit, align: Align::Left, style: None }
    }

    /// A cell of `columns` characters.
    pub fn fixed(columns: u16, text: impl Into<Spans>) -> Self {
        Self { text: text.into(), width: Width::Fixed(columns), align: Align::Left, style: None }
    }

    /// With this weight among the flexible ones.
    #[must_use]
    pub fn weight(mut self, weight: u16) -> Self {
        self.width = Width::Flex(weight);
        self
    }

    /// In a style of its own.
    #[must_use]
    pub fn style(mut self, style: Style) -> Self {
        self.style = Some(style);
        self
    }

    /// Right-aligned.
    #[must_use]
    pub fn right(mut self) -> Self {
        self.align = Align::Right;
        self
    }

    /// Centred.
    #[must_use]
    pub fn centre(mut self) -> Self {
        self.align = Align::Centre;
        self
    }
}
