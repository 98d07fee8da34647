//! QR codes.

use serde::{Deserialize, Serialize};
use tresen_hal::{Dots, Error, Kind, Result};

use super::Align;

/// Default size of a module, in dots.
const USUAL_SIZE: u8 = 6;

/// Error correction: how much of a QR code may be unreadable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// About 7 %.
    Low,
    /// About 15 %.
    #[default]
    Medium,
    /// About 25 %.
    Quartile,
    /// About 30 %.
    High,
}

/// A QR code, model 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Qr {
    data: String,
    size: u8,
    correction: Correction,
    align: Align,
    /// Modules per side.
    modules: u32,
}

impl Qr {
    /// A QR code of `data`: modules of 6 dots where that fits, medium correction, centred.
    ///
    /// # Errors
    /// [`Kind::Input`]: no data, more than a QR code holds, or the control character DLE, which
    /// starts printer commands.
    pub fn new(data: impl Into<String>) -> Result<Self> {
        Self::checked(data.into(), USUAL_SIZE, Correction::Medium, super::centred())
    }

    /// With modules of `dots` dots, 1 to 16. A code wider than the paper is printed with the largest modules that fit.
    #[must_use]
    pub fn size(mut self, dots: u8) -> Self {
        self.size = dots.clamp(1, 16);
        self
    }

    /// With another error correction.
    ///
    /// # Errors
    /// [`Kind::Input`]: the data do not fit at this correction.
    pub fn correction(self, correction: Correction) -> Result<Self> {
        Self::checked(self.data, self.size, correction, self.align)
    }

    /// With another alignment.
    #[must_use]
    pub fn align(mut self, align: Align) -> Self {
        self.align = align;
        self
    }

    /// Its data.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Its error correction.
    pub fn level(&self) -> Correction {
        self.correction
    }

    /// Its alignment.
    pub fn alignment(&self) -> Align {
        self.align
    }

    /// Modules per side, without the quiet zone.
    pub fn modules(&self) -> u32 {
        self.modules
    }

    /// The module size in dots on paper of `width`; `None` if not even modules of one dot fit.
    pub(crate) fn module_for(&self, width: Dots) -> Option<u8> {
        let fitting = width.0 / self.modules;
        (fitting > 0).then(|| u32::from(self.size).min(fitting) as u8)
    }

    fn checked(data: String, size: u8, correction: Correction, align: Align) -> Result<Self> {
        let bad = |what: String| Err(Error::new(Kind::Input, what));
        if data.is_empty() {
            return bad("a QR code needs data".into());
        }
        if data.contains('\u{10}') {
            return bad("a QR code cannot hold the control character DLE (0x10): it starts printer commands".into());
        }
        // Printers may encode all data in byte mode: room is reserved for that where possible.
        let fitting = version(Mode::Bytes, data.len(), correction)
            .or_else(|| version(Mode::of(data.as_bytes()), data.len(), correction));
        let Some(version) = fitting else {
            return bad(format!("{} bytes are too many for a QR code at this correction", data.len()));
        };
        Ok(Self { data, size: size.clamp(1, 16), correction, align, modules: version.width() as u32 })
    }
}

/// How a QR code encodes its data (ISO/IEC 18004, 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Numeric,
    Alphanumeric,
    Bytes,
}

impl Mode {
    /// The densest mode that can encode all of `data`.
    fn of(data: &[u8]) -> Self {
        let alphanumeric = |b: &u8| b.is_ascii_digit() || b.is_ascii_uppercase() || b" $%*+-./:".contains(b);
        if data.iter().all(u8::is_ascii_digit) {
            Self::Numeric
        } else if data.iter().all(alphanumeric) {
            Self::Alphanumeric
        } else {
            Self::Bytes
        }
    }

    /// Bits for `len` characters in a version `width` modules wide: mode indicator, count, data.
    fn bits(self, len: usize, width: i16) -> usize {
        // Versions 1 to 9, 10 to 26, 27 to 40.
        let class = usize::from(width >= 57) + usize::from(width >= 125);
        4 + match self {
            Self::Numeric => [10, 12, 14][class] + len / 3 * 10 + [0, 4, 7][len % 3],
            Self::Alphanumeric => [9, 11, 13][class] + len / 2 * 11 + len % 2 * 6,
            Self::Bytes => [8, 16, 16][class] + len * 8,
        }
    }
}

/// The smallest version that holds `len` characters in this mode.
fn version(mode: Mode, len: usize, correction: Correction) -> Option<qrcode::Version> {
    (1..=40).map(qrcode::Version::Normal).find(|&version| {
        let held = qrcode::bits::Bits::new(version).max_len(level(correction)).unwrap_or(0);
        mode.bits(len, version.width()) <= held
    })
}

/// Draws the code: digits and capitals in their own modes, everything else in byte mode, so that no decoder takes UTF-8
/// for Kanji. `None` if it does not fit.
pub(crate) fn draw(data: &[u8], correction: Correction) -> Option<(usize, Vec<bool>)> {
    let mode = Mode::of(data);
    let mut bits = qrcode::bits::Bits::new(version(mode, data.len(), correction)?);
    match mode {
        Mode::Numeric => bits.push_numeric_data(data).ok()?,
        Mode::Alphanumeric => bits.push_alphanumeric_data(data).ok()?,
        Mode::Bytes => bits.push_byte_data(data).ok()?,
    }
    bits.push_terminator(level(correction)).ok()?;
    let code = qrcode::QrCode::with_bits(bits, level(correction)).ok()?;
    let width = code.width();
    Some((width, code.into_colors().into_iter().map(|c| c == qrcode::Color::Dark).collect()))
}

fn level(correction: Correction) -> qrcode::EcLevel {
    match correction {
        Correction::Low => qrcode::EcLevel::L,
        Correction::Medium => qrcode::EcLevel::M,
        Correction::Quartile => qrcode::EcLevel::Q,
        Correction::High => qrcode::EcLevel::H,
    }
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Raw {
    /// What it says.
    data: String,
    /// The width of a module in dots.
    #[serde(default = "usual_size")]
    size: u8,
    /// How much of it may be unreadable.
    #[serde(default)]
    correction: Correction,
    /// Alignment; default in the centre.
    #[serde(default = "super::centred")]
    align: Align,
}

fn usual_size() -> u8 {
    USUAL_SIZE
}

impl TryFrom<Raw> for Qr {
    type Error = Error;
    fn try_from(raw: Raw) -> Result<Self> {
        Self::checked(raw.data, raw.size, raw.correction, raw.align)
    }
}

impl From<Qr> for Raw {
    fn from(qr: Qr) -> Self {
        Self { data: qr.data, size: qr.size, correction: qr.correction, align: qr.align }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ISO/IEC 18004 table 7: version 1-M holds 14 bytes and is 21 modules wide, version 2 is 25;
    /// version 40-L holds 2953 bytes, 40-H 1273.
    #[test]
    fn knows_how_large_it_will_be() {
        assert_eq!(Qr::new("a".repeat(14)).expect("1-M").modules(), 21);
        assert_eq!(Qr::new("a".repeat(15)).expect("2-M").modules(), 25);
        let full = Qr::new("a".repeat(1273)).expect("fits");
        assert_eq!(full.clone().correction(Correction::High).expect("40-H").modules(), 177);
        assert_eq!(Qr::new("a".repeat(2954)).expect_err("too long").kind(), Kind::Input);
        // 40-M holds 5,596 digits and 3,391 capitals.
        assert_eq!(Qr::new("7".repeat(5596)).expect("40-M").modules(), 177);
        assert!(Qr::new("7".repeat(5597)).is_err());
        assert_eq!(Qr::new("A".repeat(3391)).expect("40-M").modules(), 177);
        assert!(Qr::new("A".repeat(3392)).is_err());
        assert_eq!(Qr::new("").expect_err("nothing").kind(), Kind::Input);
        assert!(Qr::new("a\u{10}\u{14}").expect_err("a command").to_string().contains("DLE"));
    }

    #[test]
    fn shrinks_to_the_paper() {
        let qr = Qr::new("a".repeat(300)).expect("fits").size(16);
        assert_eq!(qr.module_for(Dots(576)), Some((576 / qr.modules()) as u8));
        assert_eq!(Qr::new("a").expect("fits").size(4).module_for(Dots(384)), Some(4));
        assert_eq!(qr.module_for(Dots(10)), None);
    }
}
