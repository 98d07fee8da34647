//! Printer profiles: width, code pages and commands of a model.
//!
//! A profile is data. It is chosen by name (address option `profile`) or by the model that the printer reports; the
//! default is [`Profile::generic_80`].
//!
//! Sources: Epson's technical reference guides and command reference for the TM models; the generic profiles have the
//! widths that most printers for that paper share.

use std::borrow::Cow;

use tresen_hal::Dots;

use crate::printer::Capabilities;
use crate::text::{CodePage, Slot};
use tresen_hal::Known;

/// What is known about a printer model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// Its name in addresses and configurations.
    pub name: Cow<'static, str>,
    /// Printable width.
    pub width: Dots,
    /// Dots per inch.
    pub dpi: u32,
    /// Characters of font A on a line.
    pub columns: usize,
    /// Code pages with their numbers, the preferred one first.
    pub code_pages: Cow<'static, [Slot]>,
    /// The command for images.
    pub raster: Raster,
    /// Rows of an image sent at a time: 1 to 256.
    pub band: u16,
    /// Cuts paper.
    pub cutter: Known,
    /// Has a drawer port.
    pub drawer: Known,
    /// Answers status requests.
    pub status: Known,
    /// Confirms jobs by number (`GS ( H`).
    pub process_id: Known,
    /// Opens the drawer in real time (`DLE DC4`, function 1): even without paper, and while a job waits.
    ///
    /// Yes only where the manual states that the command works offline (TM-T88III specification, "DLE DC4"): a printer
    /// that ignored it would leave the drawer shut without an error. Other printers support it, too; once tried, set
    /// the address option `urgent-drawer=yes`.
    pub urgent_drawer: Known,
    /// Prints QR codes natively; with [`Known::No`] they are drawn.
    pub qr: Known,
    /// Prints barcodes natively; with [`Known::No`] they are drawn.
    pub barcodes: Known,
    /// Needs `FS .` after each `ESC @`: printers sold in China start in Kanji mode, in which two bytes from 80h on are
    /// one character. Not sent to all, since some printers print it.
    pub cancel_kanji: bool,
}

/// Which command prints images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Raster {
    /// `GS v 0`, which nearly all printers support and Epson calls obsolete.
    GsV0,
    /// `GS ( L` and, for long data, `GS 8 L`.
    Graphics,
}

/// Epson's numbers (`ESC t`); most makers use the same for these pages.
const COMMON: &[Slot] = &[
    (CodePage::Cp858, 19),
    (CodePage::Cp437, 0),
    (CodePage::Cp1252, 16),
    (CodePage::Cp850, 2),
    (CodePage::Cp852, 18),
    (CodePage::Cp866, 17),
];

/// Epson's numbers (`ESC t`, TM-T88VI, TM-T20III, TM-m30).
const EPSON: &[Slot] = &[
    (CodePage::Cp858, 19),
    (CodePage::Cp437, 0),
    (CodePage::Cp1252, 16),
    (CodePage::Cp850, 2),
    (CodePage::Cp852, 18),
    (CodePage::Cp866, 17),
    (CodePage::Cp737, 14),
    (CodePage::Cp857, 13),
    (CodePage::Cp1250, 45),
    (CodePage::Cp1251, 46),
    (CodePage::Cp1253, 47),
    (CodePage::Cp1254, 48),
    (CodePage::Cp1257, 51),
    (CodePage::Latin9, 40),
    (CodePage::Cp860, 3),
    (CodePage::Cp863, 4),
    (CodePage::Cp865, 5),
    (CodePage::Iso7, 15),
];

impl Profile {
    /// An unknown printer for 80 mm paper: 576 dots at 203 dpi.
    pub fn generic_80() -> Self {
        Self {
            name: "generic-80mm".into(),
            width: Dots(576),
            dpi: 203,
            columns: 48,
            code_pages: COMMON.into(),
            raster: Raster::GsV0,
            band: 128,
            cutter: Known::Unknown,
            drawer: Known::Unknown,
            status: Known::Unknown,
            process_id: Known::Unknown,
            urgent_drawer: Known::Unknown,
            qr: Known::Unknown,
            barcodes: Known::Unknown,
            cancel_kanji: false,
        }
    }

    /// An unknown printer for 58 mm paper: 384 dots at 203 dpi.
    pub fn generic_58() -> Self {
        Self { name: "generic-58mm".into(), width: Dots(384), columns: 32, ..Self::generic_80() }
    }

    /// Epson TM-T88IV to VII: 512 dots at 180 dpi.
    pub fn epson_tm_t88() -> Self {
        Self {
            name: "epson-tm-t88".into(),
            width: Dots(512),
            dpi: 180,
            columns: 42,
            urgent_drawer: Known::Yes,
            ..Self::epson_tm_t20()
        }
    }

    /// Epson TM-T20 to T20IV: 576 dots at 203 dpi.
    pub fn epson_tm_t20() -> Self {
        Self {
            name: "epson-tm-t20".into(),
            code_pages: EPSON.into(),
            raster: Raster::Graphics,
            cutter: Known::Yes,
            drawer: Known::Yes,
            status: Known::Yes,
            process_id: Known::Yes,
            qr: Known::Yes,
            barcodes: Known::Yes,
            ..Self::generic_80()
        }
    }

    /// Epson TM-m30 to m30III: 576 dots at 203 dpi.
    pub fn epson_tm_m30() -> Self {
        Self { name: "epson-tm-m30".into(), ..Self::epson_tm_t20() }
    }

    /// All profiles.
    pub fn all() -> [Self; 5] {
        [Self::generic_80(), Self::generic_58(), Self::epson_tm_t88(), Self::epson_tm_t20(), Self::epson_tm_m30()]
    }

    /// The profile of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|p| p.name == name)
    }

    /// The profile for the model that a printer reports (`GS I 67`), such as `TM-T88V`.
    pub fn for_model(model: &str) -> Option<Self> {
        let model = model.to_ascii_uppercase();
        let is = |prefix: &str| model.starts_with(prefix);
        // TM-T88II and III do not confirm jobs.
        if is("TM-T88") && !matches!(model.as_str(), "TM-T88" | "TM-T88II" | "TM-T88III") {
            Some(Self::epson_tm_t88())
        } else if is("TM-T20") {
            Some(Self::epson_tm_t20())
        } else if is("TM-M30") {
            Some(Self::epson_tm_m30())
        } else {
            None
        }
    }

    /// What a printer of this profile can do.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            width: self.width,
            columns: self.columns,
            cutter: self.cutter,
            drawer: self.drawer,
            status: self.status,
            automatic_status: Known::Unknown,
            process_id: self.process_id,
            urgent_drawer: self.urgent_drawer,
            qr: self.qr,
            barcodes: self.barcodes,
        }
    }

    /// The code page with this number on this printer.
    pub(crate) fn page(&self, number: u8) -> Option<CodePage> {
        self.code_pages.iter().chain(EPSON).find(|(_, n)| *n == number).map(|(page, _)| *page)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::generic_80()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_by_name_and_by_model() {
        for profile in Profile::all() {
            assert_eq!(Profile::named(&profile.name), Some(profile));
        }
        assert_eq!(Profile::named("tm"), None);
        assert_eq!(Profile::for_model("TM-T88V").map(|p| p.columns), Some(42));
        assert_eq!(Profile::for_model("TM-m30II").map(|p| p.width), Some(Dots(576)));
        assert_eq!(Profile::for_model("TM-T88III"), None);
        assert_eq!(Profile::for_model("TM-U220"), None);
    }

    /// Epson, ESC t, "Character Code Tables": 0 PC437, 2 PC850, 3 PC860, 4 PC863, 5 PC865, 13 PC857, 14 PC737,
    /// 15 ISO 8859-7, 16 WPC1252, 17 PC866, 18 PC852, 19 PC858, 40 ISO 8859-15, 45 WPC1250, 46 WPC1251, 47 WPC1253, 48 WPC1254,
    /// 51 WPC1257.
    #[test]
    fn code_pages_have_epsons_numbers() {
        let everywhere = [
            (CodePage::Cp437, 0),
            (CodePage::Cp850, 2),
            (CodePage::Cp1252, 16),
            (CodePage::Cp866, 17),
            (CodePage::Cp852, 18),
            (CodePage::Cp858, 19),
        ];
        let on_epson = [
            (CodePage::Cp860, 3),
            (CodePage::Cp863, 4),
            (CodePage::Cp865, 5),
            (CodePage::Cp857, 13),
            (CodePage::Cp737, 14),
            (CodePage::Iso7, 15),
            (CodePage::Latin9, 40),
            (CodePage::Cp1250, 45),
            (CodePage::Cp1251, 46),
            (CodePage::Cp1253, 47),
            (CodePage::Cp1254, 48),
            (CodePage::Cp1257, 51),
        ];
        for profile in Profile::all() {
            let epson = profile.name.starts_with("epson");
            let expected: Vec<_> = everywhere.iter().chain(on_epson.iter().filter(|_| epson)).copied().collect();
            assert_eq!(profile.code_pages.len(), expected.len(), "{}", profile.name);
            for slot in expected {
                assert!(profile.code_pages.contains(&slot), "{} {slot:?}", profile.name);
                assert_eq!(profile.page(slot.1), Some(slot.0));
            }
        }
    }
}
