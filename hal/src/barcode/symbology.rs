//! Symbologies and their AIM identifiers (ISO/IEC 15424): the three characters `]cm` that a scanner may send before the
//! data, with code character `c` for the symbology and modifier `m` for how it was processed.
//!
//! Left out: symbologies that are not used in retail. They are [`Symbology::Unknown`], with their identifier kept.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// A barcode symbology.
///
/// GS1 variants such as GS1-128 are not separate symbologies; [`AimId::is_gs1`] distinguishes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Symbology {
    /// EAN-13.
    #[serde(rename = "ean-13")]
    Ean13,
    /// EAN-8.
    #[serde(rename = "ean-8")]
    Ean8,
    /// UPC-A.
    UpcA,
    /// UPC-E, the short form of some UPC-A.
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
    /// Interleaved 2 of 5, including ITF-14.
    Itf,
    /// GS1 DataBar in all its forms, and composite codes.
    DataBar,
    /// QR code, Micro QR and rMQR.
    Qr,
    /// Data Matrix.
    DataMatrix,
    /// Aztec.
    Aztec,
    /// PDF417 and MicroPDF417.
    #[serde(rename = "pdf-417")]
    Pdf417,
    /// MaxiCode.
    MaxiCode,
    /// DotCode.
    DotCode,
    /// Telepen.
    Telepen,
    /// MSI.
    Msi,
    /// Code 11.
    #[serde(rename = "code-11")]
    Code11,
    /// Han Xin.
    HanXin,
    /// Not reported, or none of the above.
    Unknown,
}

/// Code character, symbology, and the identifier of plain data.
const AIM: [(u8, Symbology, AimId); 20] = [
    (b'E', Symbology::Ean13, AimId(*b"E0")),
    (b'E', Symbology::UpcA, AimId(*b"E0")),
    (b'E', Symbology::UpcE, AimId(*b"E0")),
    (b'E', Symbology::Ean8, AimId(*b"E4")),
    (b'C', Symbology::Code128, AimId(*b"C0")),
    (b'A', Symbology::Code39, AimId(*b"A0")),
    (b'G', Symbology::Code93, AimId(*b"G0")),
    (b'F', Symbology::Codabar, AimId(*b"F0")),
    (b'I', Symbology::Itf, AimId(*b"I0")),
    (b'e', Symbology::DataBar, AimId(*b"e0")),
    (b'Q', Symbology::Qr, AimId(*b"Q1")),
    (b'd', Symbology::DataMatrix, AimId(*b"d1")),
    (b'z', Symbology::Aztec, AimId(*b"z0")),
    (b'L', Symbology::Pdf417, AimId(*b"L0")),
    (b'U', Symbology::MaxiCode, AimId(*b"U0")),
    (b'J', Symbology::DotCode, AimId(*b"J0")),
    (b'B', Symbology::Telepen, AimId(*b"B0")),
    (b'M', Symbology::Msi, AimId(*b"M0")),
    (b'H', Symbology::Code11, AimId(*b"H0")),
    (b'h', Symbology::HanXin, AimId(*b"h0")),
];

impl Symbology {
    /// The identifier that a scanner reports for plain data; `None` for [`Symbology::Unknown`].
    pub fn aim(self) -> Option<AimId> {
        AIM.iter().find(|(_, symbology, _)| *symbology == self).map(|(_, _, aim)| *aim)
    }

    /// Whether it is linear (one-dimensional). Composite codes count as their linear component.
    pub fn is_linear(self) -> bool {
        match self {
            Self::Ean13 | Self::Ean8 | Self::UpcA | Self::UpcE | Self::DataBar => true,
            Self::Code128 | Self::Code39 | Self::Code93 | Self::Codabar | Self::Itf => true,
            Self::Telepen | Self::Msi | Self::Code11 => true,
            Self::Qr | Self::DataMatrix | Self::Aztec | Self::MaxiCode | Self::DotCode | Self::HanXin => false,
            Self::Pdf417 | Self::Unknown => false,
        }
    }

    /// Whether it belongs to the EAN/UPC family, which carries article numbers only.
    pub fn is_ean_upc(self) -> bool {
        matches!(self, Self::Ean13 | Self::Ean8 | Self::UpcA | Self::UpcE)
    }
}

impl fmt::Display for Symbology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ean13 => "EAN-13",
            Self::Ean8 => "EAN-8",
            Self::UpcA => "UPC-A",
            Self::UpcE => "UPC-E",
            Self::Code128 => "Code 128",
            Self::Code39 => "Code 39",
            Self::Code93 => "Code 93",
            Self::Codabar => "Codabar",
            Self::Itf => "Interleaved 2 of 5",
            Self::DataBar => "GS1 DataBar",
            Self::Qr => "QR code",
            Self::DataMatrix => "Data Matrix",
            Self::Aztec => "Aztec",
            Self::Pdf417 => "PDF417",
            Self::MaxiCode => "MaxiCode",
            Self::DotCode => "DotCode",
            Self::Telepen => "Telepen",
            Self::Msi => "MSI",
            Self::Code11 => "Code 11",
            Self::HanXin => "Han Xin",
            Self::Unknown => "unknown symbology",
        })
    }
}

/// An AIM symbology identifier: `]E0`, `]Q3`. Any letter with any digit or letter, known or not.
///
/// ```
/// use tresen_hal::barcode::{AimId, Symbology};
///
/// let aim: AimId = "]d2".parse()?;
/// assert_eq!(aim.symbology(b"0104006381333931"), Symbology::DataMatrix);
/// assert!(aim.is_gs1());
/// # Ok::<(), tresen_hal::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AimId([u8; 2]);

impl AimId {
    /// Splits an identifier off the front of `data`, if there is one.
    pub fn split(data: &[u8]) -> Option<(Self, &[u8])> {
        match data {
            [b']', code, modifier, rest @ ..] => Self::new(*code, *modifier).map(|aim| (aim, rest)),
            _ => None,
        }
    }

    /// The identifier with this code character, a letter, and modifier, a letter or digit; `None` for other characters.
    pub fn new(code: u8, modifier: u8) -> Option<Self> {
        (code.is_ascii_alphabetic() && modifier.is_ascii_alphanumeric()).then_some(Self([code, modifier]))
    }

    /// The code character: `E` for EAN and UPC.
    pub fn code(self) -> char {
        self.0[0].into()
    }

    /// The modifier: `1` in `]C1` for FNC1 in first position.
    pub fn modifier(self) -> char {
        self.0[1].into()
    }

    /// The symbology of `data` with this identifier. `]E0` covers EAN-13, UPC-A and UPC-E, which only the number of
    /// digits distinguishes, unless the scanner expands them.
    pub fn symbology(self, data: &[u8]) -> Symbology {
        match (&self.0, data.len()) {
            (b"E4", _) => Symbology::Ean8,
            (b"E0" | b"E3", 12) => Symbology::UpcA,
            (b"E0" | b"E3", 6..=8) => Symbology::UpcE,
            (b"E1" | b"E2", _) => Symbology::Unknown,
            _ => self.family(),
        }
    }

    /// The first symbology of its code character.
    fn family(self) -> Symbology {
        AIM.iter().find(|(code, ..)| *code == self.0[0]).map_or(Symbology::Unknown, |(_, symbology, _)| *symbology)
    }

    /// Whether the symbology cannot encode line ends, so that one after the data was added by the scanner. Code 39, 93
    /// and 128 and two-dimensional codes may contain any character.
    pub fn excludes_line_ends(self) -> bool {
        matches!(self.code(), 'E' | 'I' | 'e' | 'F' | 'M' | 'H') || &self.0 == b"C1"
    }

    /// Whether its symbology [is linear](Symbology::is_linear).
    pub fn is_linear(self) -> bool {
        self.family().is_linear()
    }

    /// Whether the data is a GS1 element string (GS1 General Specifications 5.1.3): FNC1 in first
    /// position, which is not transmitted, or a symbology for element strings only.
    pub fn is_gs1(self) -> bool {
        matches!(&self.0, b"C1" | b"d2" | b"d5" | b"Q3" | b"Q4" | b"e0" | b"e1" | b"J1" | b"J4" | b"z1" | b"z4")
    }
}

impl fmt::Display for AimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "]{}{}", self.code(), self.modifier())
    }
}

impl fmt::Debug for AimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AimId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::split(text.as_bytes()) {
            Some((aim, [])) => Ok(aim),
            _ => Err(Error::new(Kind::Input, format!("invalid AIM identifier `{text}`"))
                .hint("expected `]`, a letter and a digit, such as ]E0")),
        }
    }
}

impl Serialize for AimId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AimId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symbology identifiers as ISO/IEC 15424 and the GS1 General Specifications assign them.
    #[test]
    fn names_the_symbology_of_an_identifier() {
        for (aim, data, symbology, gs1) in [
            ("]E0", "4006381333931", Symbology::Ean13, false),
            ("]E0", "036000291452", Symbology::UpcA, false),
            ("]E4", "96385074", Symbology::Ean8, false),
            ("]C0", "A", Symbology::Code128, false),
            ("]C1", "10A", Symbology::Code128, true),
            ("]I1", "14006381333938", Symbology::Itf, false),
            ("]e0", "0104006381333931", Symbology::DataBar, true),
            ("]d1", "A", Symbology::DataMatrix, false),
            ("]d2", "10A", Symbology::DataMatrix, true),
            ("]Q1", "https://id.gs1.org/01/09506000134352", Symbology::Qr, false),
            ("]Q3", "10A", Symbology::Qr, true),
            ("]J1", "10A", Symbology::DotCode, true),
            ("]A0", "A", Symbology::Code39, false),
            ("]G0", "A", Symbology::Code93, false),
            ("]F0", "1", Symbology::Codabar, false),
            ("]L0", "A", Symbology::Pdf417, false),
            ("]z0", "A", Symbology::Aztec, false),
            ("]X0", "A", Symbology::Unknown, false),
        ] {
            let id: AimId = aim.parse().expect(aim);
            assert_eq!((id.symbology(data.as_bytes()), id.is_gs1()), (symbology, gs1), "{aim}");
            assert_eq!(id.to_string(), aim);
        }
    }

    #[test]
    fn every_identifier_of_the_table_is_read_back() {
        for (_, symbology, aim) in AIM {
            assert_eq!(symbology.aim(), Some(aim));
            let digits = match symbology {
                Symbology::UpcA => 12,
                Symbology::UpcE => 8,
                _ => 13,
            };
            assert_eq!(aim.symbology(&vec![b'0'; digits]), symbology);
        }
        assert_eq!(Symbology::Unknown.aim(), None);
    }

    #[test]
    fn splits_only_what_is_an_identifier() {
        let (aim, rest) = AimId::split(b"]C1]C0x").expect("one");
        assert_eq!((aim.to_string(), rest), ("]C1".into(), &b"]C0x"[..]));
        for none in [&b"]C"[..], b"]", b"", b"E0x", b"]1C", b"]C\x1d"] {
            assert!(AimId::split(none).is_none(), "{none:?}");
        }
        assert!("]E0x".parse::<AimId>().expect_err("too long").to_string().contains("]E0x"));
    }
}
