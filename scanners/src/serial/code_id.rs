//! Vendors' code identifiers, which scanners may send in front of the data instead of AIM identifiers.

use std::str::FromStr;

use tresen_hal::{Error, Kind, Result};

use crate::{AimId, Gtin, Symbology};

/// The vendor whose code identifiers a scanner sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeId {
    /// Honeywell's, as the Xenon and Voyager user's guides list them.
    Honeywell,
    /// Zebra's (Symbol's) code characters, as its product reference guides list them.
    Zebra,
    /// Datalogic's European set of label identifiers, as the PowerScan reference guides list them.
    Datalogic,
}

/// How to recognise a UPC-E without identifier.
///
/// Eight digits that begin with 0 or 1 may be an EAN-8 or a UPC-E; half of them are valid as both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpcE {
    /// Not known: digits that are valid as both are refused.
    #[default]
    Ambiguous,
    /// Eight digits: number system 0 or 1, six digits, check digit. The shop has no EAN-8 that begins with 0 or 1.
    Eight,
    /// Six digits, which nothing verifies.
    Six,
    /// The scanner expands UPC-E or does not read it: eight digits are an EAN-8.
    None,
}

impl CodeId {
    /// Splits a known identifier off the front of `data`. The AIM identifier is `None` where the vendor's letter does
    /// not distinguish EAN-8 from UPC-E.
    pub(super) fn split(self, data: &[u8]) -> Option<(Option<AimId>, &[u8])> {
        let table: &[(&str, &str)] = match self {
            Self::Honeywell => &HONEYWELL,
            Self::Zebra => &ZEBRA,
            Self::Datalogic => &DATALOGIC,
        };
        let (letters, aim) = table.iter().find(|(letters, _)| data.starts_with(letters.as_bytes()))?;
        let rest = &data[letters.len()..];
        let aim = match *aim {
            "E?" if matches!(rest.len(), 6..=8) => None,
            "E?" => AimId::new(b'E', b'0'),
            aim => AimId::new(aim.as_bytes()[0], aim.as_bytes()[1]),
        };
        Some((aim, rest))
    }
}

impl UpcE {
    /// The symbology of `data` without an identifier, as far as this option decides it.
    pub(super) fn symbology(self, data: &[u8]) -> Option<Symbology> {
        let text = std::str::from_utf8(data).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
        match (self, text.len()) {
            (Self::Eight, 8) if Gtin::from_upc_e(text).is_ok() => Some(Symbology::UpcE),
            (Self::Six, 6) => Some(Symbology::UpcE),
            (Self::Eight | Self::Six | Self::None, 8) => Some(Symbology::Ean8),
            _ => None,
        }
    }
}

impl FromStr for CodeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "honeywell" => Self::Honeywell,
            "zebra" => Self::Zebra,
            "datalogic" => Self::Datalogic,
            _ => return Err(Error::new(Kind::Input, "expected honeywell, zebra or datalogic")),
        })
    }
}

impl FromStr for UpcE {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "8" => Self::Eight,
            "6" => Self::Six,
            "none" => Self::None,
            _ => return Err(Error::new(Kind::Input, "expected 8, 6 or none")),
        })
    }
}

/// Letters and the equivalent AIM identifier; `E?` if it depends on the number of digits.
const HONEYWELL: [(&str, &str); 17] = [
    ("d", "E0"),
    ("D", "E4"),
    ("c", "E0"),
    ("E", "E0"),
    ("j", "C0"),
    ("I", "C1"),
    ("b", "A0"),
    ("i", "G0"),
    ("a", "F0"),
    ("e", "I0"),
    ("y", "e0"),
    ("{", "e0"),
    ("}", "e0"),
    ("s", "Q1"),
    ("w", "d1"),
    ("r", "L0"),
    ("z", "z0"),
];

const ZEBRA: [(&str, &str); 16] = [
    ("A", "E?"),
    ("B", "A0"),
    ("C", "F0"),
    ("D", "C0"),
    ("E", "G0"),
    ("F", "I0"),
    ("H", "H0"),
    ("J", "M0"),
    ("K", "C1"),
    ("L", "E?"),
    ("R", "e0"),
    ("z", "z0"),
    ("P00", "d1"),
    ("P01", "Q1"),
    ("P0G", "d2"),
    ("P0Q", "Q3"),
];

const DATALOGIC: [(&str, &str); 16] = [
    ("B", "E0"),
    ("A", "E4"),
    ("C", "E0"),
    ("D", "E0"),
    ("L", "E3"),
    ("M", "E3"),
    ("J", "E4"),
    ("K", "E4"),
    ("T", "C0"),
    ("k", "C1"),
    ("V", "A0"),
    ("U", "G0"),
    ("R", "F0"),
    ("t", "e0"),
    ("u", "e0"),
    ("v", "e0"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters from the makers' guides: Honeywell Xenon 1900 user's guide (symbology charts), Zebra product
    /// reference guide (Symbol code characters), Datalogic PowerScan PD96 (label ID, EU set).
    #[test]
    fn letters_become_aim_identifiers() {
        for (maker, data, aim, rest) in [
            (CodeId::Honeywell, "d4006381333931", Some("]E0"), "4006381333931"),
            (CodeId::Honeywell, "D96385074", Some("]E4"), "96385074"),
            (CodeId::Honeywell, "I0109506000134352", Some("]C1"), "0109506000134352"),
            (CodeId::Zebra, "A4006381333931", Some("]E0"), "4006381333931"),
            (CodeId::Zebra, "A96385074", None, "96385074"),
            (CodeId::Zebra, "P0Q0109506000134352", Some("]Q3"), "0109506000134352"),
            (CodeId::Datalogic, "B4006381333931", Some("]E0"), "4006381333931"),
            (CodeId::Datalogic, "A96385074", Some("]E4"), "96385074"),
            (CodeId::Datalogic, "L977147396801202", Some("]E3"), "977147396801202"),
        ] {
            let (got, left) = maker.split(data.as_bytes()).expect(data);
            assert_eq!((got.map(|a| a.to_string()).as_deref(), left), (aim, rest.as_bytes()), "{data}");
        }
        assert_eq!(CodeId::Honeywell.split(b"4006381333931"), None);
    }
}
