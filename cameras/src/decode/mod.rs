//! Barcodes in pictures. Every decoder is third-party code behind one trait: its panics are caught, its time is
//! bounded where possible, and its results become what a scanner would send: the data with its AIM identifier
//! (ISO/IEC 15424).

mod enhance;
mod picture;
mod reading;
mod rxing;
#[cfg(feature = "zxing-cpp")]
mod zxing;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::barcode::Symbology;
use tresen_hal::{Clock, Error, Kind, Result};

pub use self::rxing::Rxing;
#[cfg(feature = "zxing-cpp")]
pub use self::zxing::ZxingCpp;
pub use picture::{decode_file, load};

use crate::frame::GreyView;

/// Finds barcodes in a picture.
pub trait Decoder: Send {
    /// All codes that it finds, each once, in no particular order; an empty list is not an error. `clock` measures the
    /// budget of `hints`.
    ///
    /// # Errors
    /// The decoder itself failed; the next picture may succeed.
    fn decode(&mut self, picture: &GreyView<'_>, hints: &Hints, clock: &dyn Clock) -> Result<Vec<Code>>;
}

/// The best decoder of this build: zxing-cpp if it is built in, else rxing.
pub fn best() -> Box<dyn Decoder> {
    #[cfg(feature = "zxing-cpp")]
    return Box::new(ZxingCpp::default());
    #[cfg(not(feature = "zxing-cpp"))]
    Box::new(Rxing::default())
}

/// One code in a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Code {
    /// What kind it is.
    pub format: Format,
    /// Its AIM identifier: `]E0`, `]C1`.
    pub aim: String,
    /// Its data as text.
    pub text: String,
    /// Its data as a scanner would send it, without AIM identifier: FNC1 within is GS, in front it is
    /// left out. Binary content that the decoder took for text is UTF-8.
    pub bytes: Vec<u8>,
    /// Its corners in pixels from the upper left: upper left, upper right, lower right, lower left of the
    /// code itself, whichever way it is turned; fewer where the decoder does not know them.
    pub corners: Vec<(f32, f32)>,
    /// It was read in only one enlarged or sharpened copy of the picture. Such copies find more codes and misread
    /// more of them.
    pub enhanced: bool,
}

/// Codes of one picture that can be believed: of articles' codes neither those that were read in an enhanced picture
/// only, nor two that differ at the same place.
pub fn undisputed(codes: Vec<Code>) -> Vec<Code> {
    let is_disputed = |code: &Code| {
        codes.iter().any(|other| {
            other.format.is_article() && other.text != code.text && is_same_place(&other.corners, &code.corners)
        })
    };
    let keep: Vec<_> = codes.iter().map(|c| !c.format.is_article() || !(c.enhanced || is_disputed(c))).collect();
    codes.into_iter().zip(keep).filter_map(|(code, keep)| keep.then_some(code)).collect()
}

/// Whether the middle of one of two codes lies within the other.
pub(crate) fn is_same_place(a: &[(f32, f32)], b: &[(f32, f32)]) -> bool {
    let holds = |outer: &[(f32, f32)], inner: &[(f32, f32)]| {
        let ((l, t, r, b), (il, it, ir, ib)) = (bounds(outer), bounds(inner));
        let (x, y) = ((il + ir) / 2.0, (it + ib) / 2.0);
        (l..=r).contains(&x) && (t..=b).contains(&y)
    };
    !a.is_empty() && !b.is_empty() && (holds(a, b) || holds(b, a))
}

/// Left, top, right and bottom of some points.
fn bounds(points: &[(f32, f32)]) -> (f32, f32, f32, f32) {
    points.iter().fold((f32::MAX, f32::MAX, f32::MIN, f32::MIN), |(l, t, r, b), &(x, y)| {
        (l.min(x), t.min(y), r.max(x), b.max(y))
    })
}

/// A kind of code that a decoder can look for: a [`Symbology`], or one form of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// EAN-13.
    #[serde(rename = "ean-13")]
    Ean13,
    /// EAN-8.
    #[serde(rename = "ean-8")]
    Ean8,
    /// UPC-A.
    UpcA,
    /// UPC-E.
    UpcE,
    /// Code 128 and GS1-128.
    #[serde(rename = "code-128")]
    Code128,
    /// Code 39.
    #[serde(rename = "code-39")]
    Code39,
    /// Code 93.
    #[serde(rename = "code-93")]
    Code93,
    /// Codabar.
    Codabar,
    /// Interleaved 2 of 5, ITF-14 among them.
    Itf,
    /// GS1 DataBar Omnidirectional and Stacked.
    DataBar,
    /// GS1 DataBar Limited; not read with rxing.
    DataBarLimited,
    /// GS1 DataBar Expanded and Expanded Stacked.
    DataBarExpanded,
    /// QR code.
    Qr,
    /// Micro QR code.
    MicroQr,
    /// Data Matrix.
    DataMatrix,
    /// Aztec.
    Aztec,
    /// PDF417.
    #[serde(rename = "pdf-417")]
    Pdf417,
    /// MaxiCode; not read with rxing, whose detector may never end.
    MaxiCode,
}

impl Format {
    /// What a shop sees on articles, cases, coupons and phones.
    pub const RETAIL: &'static [Self] = &[
        Self::Ean13,
        Self::Ean8,
        Self::UpcA,
        Self::UpcE,
        Self::Code128,
        Self::DataBar,
        Self::DataBarExpanded,
        Self::Qr,
        Self::DataMatrix,
    ];

    /// All of them. More formats mean slower decoding and more false reads.
    pub const ALL: &'static [Self] = &[
        Self::Ean13,
        Self::Ean8,
        Self::UpcA,
        Self::UpcE,
        Self::Code128,
        Self::Code39,
        Self::Code93,
        Self::Codabar,
        Self::Itf,
        Self::DataBar,
        Self::DataBarLimited,
        Self::DataBarExpanded,
        Self::Qr,
        Self::MicroQr,
        Self::DataMatrix,
        Self::Aztec,
        Self::Pdf417,
        Self::MaxiCode,
    ];

    /// The symbology of its codes; forms that are looked for one by one share it.
    pub fn symbology(self) -> Symbology {
        match self {
            Self::Ean13 => Symbology::Ean13,
            Self::Ean8 => Symbology::Ean8,
            Self::UpcA => Symbology::UpcA,
            Self::UpcE => Symbology::UpcE,
            Self::Code128 => Symbology::Code128,
            Self::Code39 => Symbology::Code39,
            Self::Code93 => Symbology::Code93,
            Self::Codabar => Symbology::Codabar,
            Self::Itf => Symbology::Itf,
            Self::DataBar | Self::DataBarLimited | Self::DataBarExpanded => Symbology::DataBar,
            Self::Qr | Self::MicroQr => Symbology::Qr,
            Self::DataMatrix => Symbology::DataMatrix,
            Self::Aztec => Symbology::Aztec,
            Self::Pdf417 => Symbology::Pdf417,
            Self::MaxiCode => Symbology::MaxiCode,
        }
    }

    /// Whether it is made of bars, which one line across reads.
    pub fn is_linear(self) -> bool {
        self.symbology().is_linear()
    }

    /// Whether it is of the EAN and UPC family.
    pub fn is_ean_upc(self) -> bool {
        self.symbology().is_ean_upc()
    }

    /// Whether it names an article by bars with a weak check, so that a misread one is another article.
    pub fn is_article(self) -> bool {
        self.is_ean_upc() || self.symbology() == Symbology::DataBar
    }
}

impl std::str::FromStr for Format {
    type Err = Error;

    /// Reads its name as it is serialised: `ean-13`, `qr`.
    fn from_str(text: &str) -> Result<Self> {
        let known = NAMES.iter().zip(Self::ALL).find(|(name, _)| **name == text);
        known.map(|(_, format)| *format).ok_or_else(|| {
            Error::new(Kind::Input, format!("unknown kind of code `{text}`; expected one of {}", NAMES.join(", ")))
        })
    }
}

/// The names of [`Format::ALL`], in that order.
const NAMES: [&str; 18] = [
    "ean-13",
    "ean-8",
    "upc-a",
    "upc-e",
    "code-128",
    "code-39",
    "code-93",
    "codabar",
    "itf",
    "data-bar",
    "data-bar-limited",
    "data-bar-expanded",
    "qr",
    "micro-qr",
    "data-matrix",
    "aztec",
    "pdf-417",
    "maxi-code",
];

/// What to look for and how hard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hints {
    /// The kinds to look for.
    pub formats: Vec<Format>,
    /// Whether to look harder: more lines, turned pictures, enlarged and sharpened pictures.
    pub effort: Effort,
    /// When to stop looking harder. A running pass is not interrupted.
    pub budget: Duration,
    /// How many lines across a code must agree before it is accepted, for formats prone to false reads. Formats not
    /// named need one.
    pub agreement: Vec<(Format, u8)>,
    /// The most codes of one picture.
    pub most: usize,
}

/// How hard to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Effort {
    /// A quick look, for a camera's stream: another frame follows anyway.
    Fast,
    /// As long as the budget allows.
    #[default]
    Full,
}

impl Hints {
    /// Looks for `formats` with full effort within 200 ms.
    pub fn new(formats: &[Format]) -> Self {
        Self {
            formats: formats.to_vec(),
            effort: Effort::Full,
            budget: Duration::from_millis(200),
            agreement: vec![
                (Format::UpcE, 3),
                (Format::Ean8, 3),
                (Format::Itf, 3),
                (Format::Codabar, 3),
                (Format::Code39, 3),
                (Format::Code93, 3),
            ],
            most: 32,
        }
    }

    /// What a shop meets: [`Format::RETAIL`].
    pub fn retail() -> Self {
        Self::new(Format::RETAIL)
    }

    /// Everything: [`Format::ALL`].
    pub fn all() -> Self {
        Self::new(Format::ALL)
    }

    /// The same with this effort.
    #[must_use]
    pub fn with_effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// The same with this budget.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    fn lines(&self, format: Format) -> usize {
        self.agreement.iter().find(|(f, _)| *f == format).map_or(1, |(_, lines)| usize::from(*lines))
    }
}

impl Default for Hints {
    fn default() -> Self {
        Self::retail()
    }
}

/// A code without place, for tests of what comes after decoding.
#[cfg(test)]
pub(crate) fn code_for_tests(format: Format, text: &str) -> Code {
    reading::code(format, reading::usual_aim(format), text, Vec::new()).expect("it has data")
}

#[cfg(test)]
mod tests;
