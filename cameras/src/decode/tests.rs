//! Codes drawn by rxing's writers, placed in pictures, and read.

use ::rxing::{BarcodeFormat, EncodeHints, MultiFormatWriter, Writer};

use super::*;
use tresen_hal::SystemClock;

/// A white picture to place codes in.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![255; width * height] }
    }

    /// A code in the box at `x`, `y`.
    fn with(mut self, format: BarcodeFormat, text: &str, (x, y, w, h): (usize, usize, usize, usize)) -> Self {
        let hints = EncodeHints::default();
        let bits =
            MultiFormatWriter.encode_with_hints(text, &format, w as i32, h as i32, &hints).expect("it can be drawn");
        let (real_w, real_h) = (bits.getWidth() as usize, bits.getHeight() as usize);
        let scale = if real_w * 2 <= w { w / real_w } else { 1 };
        for dy in 0..h.min(real_h * scale) {
            for dx in 0..w.min(real_w * scale) {
                if bits.get((dx / scale) as u32, (dy / scale) as u32) {
                    self.pixels[(y + dy) * self.width + x + dx] = 20;
                }
            }
        }
        self
    }

    /// Turned clockwise by 90 degrees.
    fn turned(self) -> Self {
        let (w, h) = (self.height, self.width);
        let pixels = (0..w * h).map(|i| self.pixels[(self.height - 1 - i % w) * self.width + i / w]).collect();
        Self { width: w, height: h, pixels }
    }

    fn inverted(mut self) -> Self {
        self.pixels.iter_mut().for_each(|p| *p = 255 - *p);
        self
    }

    fn view(&self) -> GreyView<'_> {
        GreyView::new(&self.pixels, self.width, self.height, self.width).expect("as many pixels as it says")
    }

    fn codes(&self, hints: &Hints) -> Vec<Code> {
        let mut codes = Rxing::default().decode(&self.view(), hints, &SystemClock).expect("decodes");
        codes.sort_by(|a, b| a.text.cmp(&b.text));
        codes
    }
}

/// Debug builds are slow; these tests are about what is found, not how fast.
fn hints(formats: &[Format]) -> Hints {
    Hints::new(formats).with_budget(Duration::from_secs(60))
}

const EAN: (BarcodeFormat, &str) = (BarcodeFormat::EAN_13, "4006381333931");
const BOX: (usize, usize, usize, usize) = (40, 40, 240, 100);

/// AIM identifiers by ISO/IEC 15424; GS1 data by the GS1 General Specifications.
#[test]
fn reads_each_format_as_a_scanner_would() {
    for (format, drawn, text, ours, aim) in [
        (BarcodeFormat::EAN_13, "4006381333931", "4006381333931", Format::Ean13, "]E0"),
        (BarcodeFormat::EAN_8, "96385074", "96385074", Format::Ean8, "]E4"),
        (BarcodeFormat::UPC_A, "036000291452", "036000291452", Format::UpcA, "]E0"),
        (BarcodeFormat::UPC_E, "06543217", "06543217", Format::UpcE, "]E0"),
        (BarcodeFormat::CODE_128, "Tresen-1", "Tresen-1", Format::Code128, "]C0"),
        (
            BarcodeFormat::CODE_128,
            "\u{f1}010950600013435210AB\u{f1}21C",
            "010950600013435210AB\u{1d}21C",
            Format::Code128,
            "]C1",
        ),
        (BarcodeFormat::QR_CODE, "https://example.com/", "https://example.com/", Format::Qr, "]Q1"),
        (BarcodeFormat::DATA_MATRIX, "Tresen", "Tresen", Format::DataMatrix, "]d1"),
        (BarcodeFormat::ITF, "10614141543219", "10614141543219", Format::Itf, "]I0"),
        (BarcodeFormat::CODE_39, "TRESEN", "TRESEN", Format::Code39, "]A0"),
        (BarcodeFormat::PDF_417, "Tresen", "Tresen", Format::Pdf417, "]L0"),
        (BarcodeFormat::AZTEC, "Tresen", "Tresen", Format::Aztec, "]z0"),
    ] {
        let picture = Picture::new(420, 200).with(format, drawn, (40, 40, 320, 110));
        let codes = picture.codes(&hints(Format::ALL));
        let got: Vec<_> = codes.iter().map(|c| (c.format, c.aim.as_str(), c.text.as_str())).collect();
        assert_eq!(got, [(ours, aim, text)]);
        assert_eq!(codes[0].bytes, text.as_bytes());
    }
}

#[test]
fn finds_all_codes_of_a_picture() {
    let picture = Picture::new(640, 480)
        .with(BarcodeFormat::EAN_13, "4006381333931", (20, 20, 240, 100))
        .with(BarcodeFormat::EAN_13, "9506000134352", (360, 20, 240, 100))
        .with(BarcodeFormat::CODE_128, "TRESEN", (20, 330, 240, 100))
        .with(BarcodeFormat::QR_CODE, "first", (20, 150, 150, 150))
        .with(BarcodeFormat::QR_CODE, "second", (420, 200, 150, 150));
    let codes = picture.codes(&hints(Format::RETAIL));
    let texts: Vec<_> = codes.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["4006381333931", "9506000134352", "TRESEN", "first", "second"]);
}

#[test]
fn says_where_a_linear_code_is() {
    let codes = Picture::new(400, 300).with(EAN.0, EAN.1, BOX).codes(&hints(&[Format::Ean13]));
    let [code] = &codes[..] else { panic!("{codes:?}") };
    let near =
        |(x, y): (f32, f32), (want_x, want_y): (f32, f32)| (x - want_x).abs() < 25.0 && (y - want_y).abs() < 15.0;
    let corners = &code.corners;
    assert_eq!(corners.len(), 4);
    for (corner, want) in corners.iter().zip([(60.0, 40.0), (262.0, 40.0), (262.0, 140.0), (60.0, 140.0)]) {
        assert!(near(*corner, want), "{corners:?}");
    }
}

#[test]
fn reads_turned_and_inverted_codes() {
    let upside_down = Picture::new(400, 300).with(EAN.0, EAN.1, BOX).turned().turned();
    assert_eq!(upside_down.codes(&hints(&[Format::Ean13]))[0].text, EAN.1);
    let turned = Picture::new(400, 300).with(EAN.0, EAN.1, BOX).turned();
    let codes = turned.codes(&hints(&[Format::Ean13]));
    assert_eq!(codes[0].text, EAN.1);
    // The box lies at x 160 to 260 and y 40 to 280 now.
    assert!(codes[0].corners.iter().all(|(x, y)| (150.0..270.0).contains(x) && (40.0..285.0).contains(y)), "{codes:?}");
    let quick = hints(&[Format::Ean13]).with_effort(Effort::Fast);
    assert!(turned.codes(&quick).is_empty(), "a quick look does not turn the picture");
    let inverted = Picture::new(200, 200).with(BarcodeFormat::QR_CODE, "dark", (20, 20, 160, 160)).inverted();
    assert_eq!(inverted.codes(&hints(&[Format::Qr]))[0].text, "dark");
}

#[test]
fn looks_only_for_what_is_asked() {
    let picture = Picture::new(400, 300).with(EAN.0, EAN.1, BOX);
    assert!(picture.codes(&hints(&[Format::Qr, Format::Code128])).is_empty());
    assert!(picture.codes(&Hints { most: 0, ..hints(&[Format::Ean13]) }).is_empty());
}

#[test]
fn one_line_is_no_upc_e() {
    let tall = Picture::new(400, 200).with(BarcodeFormat::UPC_E, "06543217", (40, 50, 240, 100));
    assert_eq!(tall.codes(&hints(&[Format::UpcE]))[0].text, "06543217");
    let line = Picture::new(400, 100).with(BarcodeFormat::UPC_E, "06543217", (40, 50, 240, 1));
    let mut hints = hints(&[Format::UpcE]);
    assert!(line.codes(&hints).is_empty());
    hints.agreement.clear();
    assert_eq!(line.codes(&hints)[0].text, "06543217", "without the guard it is");
}

#[test]
fn a_spent_budget_ends_the_search() {
    let picture = Picture::new(400, 300).with(EAN.0, EAN.1, BOX).turned();
    assert!(picture.codes(&hints(&[Format::Ean13]).with_budget(Duration::ZERO)).is_empty());
}

#[test]
fn a_budget_is_counted_by_the_clock_that_is_handed_in() {
    let stopped = tresen_hal::ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
    let picture = Picture::new(400, 300).with(EAN.0, EAN.1, BOX).turned();
    let hints = hints(&[Format::Ean13]).with_budget(Duration::from_nanos(1));
    let codes = Rxing::default().decode(&picture.view(), &hints, &stopped).expect("decodes");
    assert_eq!(codes[0].text, EAN.1, "no time passes, so the picture is turned, too");
}

#[test]
fn tiny_pictures_hold_no_code() {
    for (width, height) in [(1, 1), (2, 300), (300, 1), (7, 7), (40, 40)] {
        assert!(Picture::new(width, height).codes(&hints(Format::ALL)).is_empty(), "{width}x{height}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]
    #[test]
    fn no_picture_panics(seed: u64, width in 1..80usize, height in 1..80usize) {
        let mut state = seed | 1;
        let pixels = (0..width * height)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        let hints = hints(Format::ALL).with_budget(Duration::from_millis(50));
        let _ = Rxing::default().decode(&Picture { width, height, pixels }.view(), &hints, &SystemClock);
    }
}

#[cfg(feature = "zxing-cpp")]
#[test]
fn zxing_cpp_reads_as_a_scanner_would() {
    for (format, drawn, text, ours, aim) in [
        (BarcodeFormat::EAN_13, "4006381333931", "4006381333931", Format::Ean13, "]E0"),
        (BarcodeFormat::EAN_8, "96385074", "96385074", Format::Ean8, "]E4"),
        (BarcodeFormat::UPC_A, "036000291452", "036000291452", Format::UpcA, "]E0"),
        (BarcodeFormat::UPC_E, "06543217", "06543217", Format::UpcE, "]E0"),
        (BarcodeFormat::CODE_128, "\u{f1}10AB\u{f1}21C", "10AB\u{1d}21C", Format::Code128, "]C1"),
        (BarcodeFormat::QR_CODE, "https://example.com/", "https://example.com/", Format::Qr, "]Q1"),
        (BarcodeFormat::DATA_MATRIX, "Tresen", "Tresen", Format::DataMatrix, "]d1"),
    ] {
        let picture = Picture::new(420, 200).with(format, drawn, (40, 40, 320, 110));
        let codes = ZxingCpp::default().decode(&picture.view(), &Hints::all(), &SystemClock).expect("decodes");
        let got: Vec<_> = codes.iter().map(|c| (c.format, c.aim.as_str(), c.text.as_str())).collect();
        assert_eq!(got, [(ours, aim, text)]);
        assert_eq!(codes[0].bytes, text.as_bytes());
    }
}
