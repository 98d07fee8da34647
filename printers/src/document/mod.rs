//! The receipt document, independent of any printer.
//!
//! A [`Receipt`] is a list of [`Item`]s, built fluently. What could not be printed (a wrong check digit, an image without
//! pixels) is refused when it is built, so laying out and encoding a receipt cannot fail. It serialises to JSON (see
//! [`json`]) and is checked again when it is read.
//!
//! Left out: page mode, printer-stored logos, labels.

mod barcode;
#[doc = include_str!("json.md")]
pub mod json {}
mod picture;
mod qr;
mod row;
mod span;
mod style;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use barcode::{Barcode, Hri, Symbology};
pub use picture::{Dither, Image};
pub(crate) use qr::draw as draw_qr;
pub use qr::{Correction, Qr};
pub use row::{Cell, Row, Width};
pub use span::{Span, Spans};
pub use style::{Align, Style};

use crate::printer::DrawerPin;
use crate::profile::Profile;
use crate::text;

/// A receipt: items from top to bottom.
///
/// ```
/// use tresen_printers::document::{Qr, Receipt, Style};
///
/// let receipt = Receipt::new()
///     .styled("Café Tresen", Style::new().bold().centre().size(2, 2))
///     .row("2 Flat white", "7,60 €")
///     .rule()
///     .styled_row("Total", "7,60 €", Style::new().bold())
///     .qr(Qr::new("https://example.com/r/1")?)
///     .cut();
/// assert_eq!(receipt.items().len(), 6);
/// # Ok::<(), tresen_hal::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Receipt {
    /// Its parts, from the top.
    items: Vec<Item>,
}

/// One part of a receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ReceiptItem"))]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Item {
    /// Text, wrapped to the paper's width.
    Text(Text),
    /// Columns side by side.
    Row(Row),
    /// A line across the paper.
    Rule(Rule),
    /// A picture.
    Image(Image),
    /// A QR code.
    Qr(Qr),
    /// A one-dimensional barcode.
    Barcode(Barcode),
    /// Empty lines.
    Feed(Feed),
    /// A cut.
    Cut(Cut),
    /// A pulse that opens the drawer.
    Drawer(Kick),
}

/// Text in one or several styles. `\n` ends a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ReceiptText"))]
pub struct Text {
    /// The text.
    pub text: Spans,
    /// Its alignment, and the style of spans without one of their own.
    #[serde(default)]
    pub style: Style,
}

/// A line across the paper, drawn with one character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ReceiptRule"))]
pub struct Rule {
    /// The character; `─` by default.
    #[serde(default = "usual_rule")]
    pub with: char,
}

fn usual_rule() -> char {
    '─'
}

/// Empty lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Feed {
    /// How many; 1 by default in JSON.
    #[serde(default = "one_line")]
    pub lines: u8,
}

fn one_line() -> u8 {
    1
}

/// How the paper is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "RawCut", into = "RawCut")]
pub enum Cut {
    /// One point is left uncut, so that the sheet does not fall.
    #[default]
    Partial,
    /// All the way through.
    Full,
}

/// `{"type":"cut"}`, `{"type":"cut","cut":"full"}`
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct RawCut {
    /// How far; default a point is left uncut.
    #[serde(default)]
    cut: How,
}

/// How far the paper is cut.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "CutDepth"))]
#[serde(rename_all = "kebab-case")]
enum How {
    /// One point is left uncut.
    #[default]
    Partial,
    /// All the way through.
    Full,
}

impl From<RawCut> for Cut {
    fn from(raw: RawCut) -> Self {
        match raw.cut {
            How::Partial => Self::Partial,
            How::Full => Self::Full,
        }
    }
}

impl From<Cut> for RawCut {
    fn from(cut: Cut) -> Self {
        let cut = match cut {
            Cut::Partial => How::Partial,
            Cut::Full => How::Full,
        };
        Self { cut }
    }
}

/// A drawer pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Kick {
    /// Which pin.
    pub pin: DrawerPin,
    /// How long the solenoid is energised, in milliseconds; printers count in steps of 2 up to 510.
    pub on_ms: u16,
    /// How long it rests before the next pulse, in milliseconds, as above.
    pub off_ms: u16,
}

impl Kick {
    /// The usual pulse: 50 ms on, 500 ms off.
    pub fn new(pin: DrawerPin) -> Self {
        Self { pin, on_ms: 50, off_ms: 500 }
    }
}

impl Default for Kick {
    fn default() -> Self {
        Self::new(DrawerPin::default())
    }
}

/// The default alignment of codes and images.
fn centred() -> Align {
    Align::Centre
}

/// Something that a printer cannot print as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Problem {
    /// These characters are on none of the printer's code pages; they print as `?`.
    Unmappable {
        /// Which item, from 0.
        item: usize,
        /// The characters, each once.
        chars: Vec<char>,
    },
    /// A QR code or barcode is wider than the paper; its text is printed instead.
    TooWide {
        /// Which item, from 0.
        item: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmappable { item, chars } => {
                write!(f, "item {}: this printer has no ", item + 1)?;
                for (i, c) in chars.iter().enumerate() {
                    let between = if i == 0 { "" } else { ", " };
                    // A raw control character would be invisible, or a command.
                    if c.is_control() { write!(f, "{between}{c:?}")? } else { write!(f, "{between}`{c}`")? }
                }
                write!(f, " and prints ? instead")
            }
            Self::TooWide { item } => {
                write!(f, "item {}: the code is wider than the paper; its text is printed instead", item + 1)
            }
        }
    }
}

impl Receipt {
    /// An empty receipt.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its items, from top to bottom.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Adds an item.
    #[must_use]
    pub fn item(mut self, item: Item) -> Self {
        self.items.push(item);
        self
    }

    /// Adds another receipt's items.
    #[must_use]
    pub fn append(mut self, other: Self) -> Self {
        self.items.extend(other.items);
        self
    }

    /// Adds plain text.
    #[must_use]
    pub fn text(self, text: impl Into<Spans>) -> Self {
        self.styled(text, Style::default())
    }

    /// Adds text in a style.
    #[must_use]
    pub fn styled(self, text: impl Into<Spans>, style: Style) -> Self {
        self.item(Item::Text(Text { text: text.into(), style }))
    }

    /// Adds `left … right`, such as an article and its amount; the right one does not break.
    #[must_use]
    pub fn row(self, left: impl Into<Spans>, right: impl Into<Spans>) -> Self {
        self.styled_row(left, right, Style::default())
    }

    /// Adds `left … right` in a style.
    #[must_use]
    pub fn styled_row(self, left: impl Into<Spans>, right: impl Into<Spans>, style: Style) -> Self {
        self.columns(Row::new([Cell::flex(left), Cell::fit(right).right()]).style(style))
    }

    /// Adds columns.
    #[must_use]
    pub fn columns(self, row: Row) -> Self {
        self.item(Item::Row(row))
    }

    /// Adds a line across the paper.
    #[must_use]
    pub fn rule(self) -> Self {
        self.item(Item::Rule(Rule { with: usual_rule() }))
    }

    /// Adds an image.
    #[must_use]
    pub fn image(self, image: Image) -> Self {
        self.item(Item::Image(image))
    }

    /// Adds a QR code.
    #[must_use]
    pub fn qr(self, qr: Qr) -> Self {
        self.item(Item::Qr(qr))
    }

    /// Adds a barcode.
    #[must_use]
    pub fn barcode(self, barcode: Barcode) -> Self {
        self.item(Item::Barcode(barcode))
    }

    /// Adds empty lines.
    #[must_use]
    pub fn feed(self, lines: u8) -> Self {
        self.item(Item::Feed(Feed { lines }))
    }

    /// Adds a partial cut, which feeds the paper to the cutter first.
    #[must_use]
    pub fn cut(self) -> Self {
        self.item(Item::Cut(Cut::Partial))
    }

    /// Adds a drawer pulse of the usual length.
    #[must_use]
    pub fn drawer(self, pin: DrawerPin) -> Self {
        self.item(Item::Drawer(Kick::new(pin)))
    }

    /// What a printer of this profile could not print as written; empty if it can print everything.
    pub fn check(&self, profile: &Profile) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (item, content) in self.items.iter().enumerate() {
            let mut chars = Vec::new();
            let mut add = |text: &str| {
                for c in text::unmappable(text, &profile.code_pages) {
                    if !chars.contains(&c) {
                        chars.push(c);
                    }
                }
            };
            match content {
                Item::Text(text) => text.text.spans().iter().for_each(|span| add(&span.text)),
                Item::Row(row) => {
                    row.cells.iter().flat_map(|cell| cell.text.spans()).for_each(|span| add(&span.text));
                }
                Item::Rule(rule) => add(rule.with.encode_utf8(&mut [0; 4])),
                Item::Barcode(barcode) if barcode.module_for(profile.width).is_none() => {
                    problems.push(Problem::TooWide { item });
                }
                Item::Qr(qr) if qr.module_for(profile.width).is_none() => problems.push(Problem::TooWide { item }),
                _ => {}
            }
            if !chars.is_empty() {
                problems.push(Problem::Unmappable { item, chars });
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_json_and_is_checked_again() {
        let receipt = Receipt::new()
            .styled("Größe €", Style::new().bold().centre().size(2, 3))
            .columns(Row::new([Cell::fixed(4, "2x").right(), Cell::flex("Tee"), Cell::fit("4,00").right()]))
            .rule()
            .image(Image::grey(3, 2, vec![0, 128, 255, 1, 2, 3]).expect("six pixels").dither(Dither::Threshold))
            .qr(Qr::new("hello").expect("short").size(5))
            .barcode(Barcode::ean13("400638133393").expect("twelve digits"))
            .feed(2)
            .drawer(DrawerPin::Five)
            .item(Item::Cut(Cut::Full));
        let json = serde_json::to_string(&receipt).expect("serialises");
        assert_eq!(serde_json::from_str::<Receipt>(&json).expect("reads back"), receipt);
        assert!(json.contains(r#"{"type":"cut","cut":"full"}"#), "{json}");

        let wrong = json.replace("4006381333931", "4006381333930");
        let error = serde_json::from_str::<Receipt>(&wrong).expect_err("check digit");
        assert!(error.to_string().contains("check digit"), "{error}");
    }

    #[test]
    fn lists_what_cannot_be_printed() {
        let profile = Profile::generic_58();
        let receipt =
            Receipt::new().text("ok €").row("漢", "字漢").barcode(Barcode::code128("x".repeat(40)).expect("fits"));
        assert_eq!(
            receipt.check(&profile),
            [Problem::Unmappable { item: 1, chars: vec!['漢', '字'] }, Problem::TooWide { item: 2 }]
        );
    }
}
