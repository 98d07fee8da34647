//! The pure Rust decoder, rxing: one family of formats at a time, region by region, so that all codes of
//! a picture are found; then, with time left, turned, inverted, enlarged and sharpened.

use std::borrow::Cow;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rxing::common::HybridBinarizer;
use rxing::{
    BarcodeFormat, BinaryBitmap, DecodeHints, Luma8Source, LuminanceSource, MultiFormatReader, RXingResult,
    RXingResultMetadataType, RXingResultMetadataValue, Reader,
};
use tresen_hal::{Clock, Error, Kind, Result};

use super::enhance::{enlarged, halved, sharpen_rows};
use super::{Code, Decoder, Effort, Format, Hints, bounds, reading};
use crate::frame::GreyView;

/// The rxing decoder. It reads all formats but DataBar Limited and MaxiCode.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Rxing {}

impl Decoder for Rxing {
    fn decode(&mut self, picture: &GreyView<'_>, hints: &Hints, clock: &dyn Clock) -> Result<Vec<Code>> {
        let mut search = Search {
            hints,
            clock,
            deadline: clock.now() + hints.budget,
            found: Vec::new(),
            unconfirmed: Vec::new(),
            pass: 0,
            started: false,
            panicked: false,
        };
        search.run(picture);
        if search.panicked && search.found.is_empty() {
            return Err(Error::new(Kind::Input, "the barcode decoder failed on this picture"));
        }
        search.found.extend(search.unconfirmed.into_iter().map(|(_, code)| code));
        Ok(search.found)
    }
}

/// Sub-regions smaller than this hold no code.
const LEAST: usize = 24;
/// How often a region is divided around a code.
const DEPTH: u8 = 5;
/// The least height of a band of a picture that is searched at a time.
const BAND: usize = 120;
/// Pictures above this many pixels are not enlarged.
const ENLARGE_BELOW: usize = 400_000;

struct Search<'h> {
    hints: &'h Hints,
    clock: &'h dyn Clock,
    deadline: Instant,
    found: Vec<Code>,
    /// Articles' codes that one enhanced picture showed, and which one.
    unconfirmed: Vec<(u8, Code)>,
    /// Counts enhanced pictures; 0 for the picture itself.
    pass: u8,
    /// The first look is taken whatever the budget.
    started: bool,
    panicked: bool,
}

/// How a pass's pixels lie in the picture.
#[derive(Clone, Copy)]
struct Map {
    scale: f32,
    /// The pass sees the picture turned counter-clockwise; this is the picture's width.
    turned: Option<usize>,
}

impl Map {
    fn back(self, (x, y): (f32, f32)) -> (f32, f32) {
        let (x, y) = (x / self.scale, y / self.scale);
        match self.turned {
            Some(width) => (width as f32 - 1.0 - y, x),
            None => (x, y),
        }
    }
}

impl Search<'_> {
    fn run(&mut self, picture: &GreyView<'_>) {
        let (width, height) = (picture.width(), picture.height());
        let pixels = picture.packed();
        let plain = Map { scale: 1.0, turned: None };
        let source = |data: &[u8], w: usize, h: usize| {
            Luma8Source::new(data.to_vec(), w as u32, h as u32).expect("as many pixels as its size says")
        };
        let base =
            Luma8Source::new_with_slice(&pixels, width as u32, height as u32).expect("as many pixels as its size says");
        let linear = self.formats(true);
        let matrix = self.formats(false);
        self.look(&base, &linear, plain);
        for format in &matrix {
            self.look(&base, std::slice::from_ref(format), plain);
        }
        if self.hints.effort == Effort::Fast {
            return;
        }
        if self.goes_on(&linear) {
            let turned = base.rotate_counter_clockwise().expect("this source can be turned");
            self.look(&turned, &linear, Map { turned: Some(width), ..plain });
        }
        if self.found.is_empty() && self.has_time() {
            let inverted: Vec<u8> = pixels.iter().map(|p| 255 - p).collect();
            let inverted = source(&inverted, width, height);
            for formats in matrix.chunks(1).chain([&linear[..]]) {
                self.look(&inverted, formats, plain);
            }
        }
        if width * height > ENLARGE_BELOW {
            let (half, w, h) = halved(&pixels, width, height);
            let half = source(&half, w, h);
            for format in &matrix {
                if self.found.is_empty() && self.has_time() {
                    self.look(&half, std::slice::from_ref(format), Map { scale: 0.5, ..plain });
                }
            }
            return;
        }
        for (factor, sharpen) in [(2, false), (2, true), (3, true)] {
            if !self.found.is_empty() || !self.has_time() {
                return;
            }
            self.pass += 1;
            let (mut big, w, h) = enlarged(&pixels, width, height, factor);
            if sharpen {
                sharpen_rows(&mut big, w);
            }
            let big = source(&big, w, h);
            self.look(&big, &linear, Map { scale: factor as f32, ..plain });
            for format in matrix.iter().filter(|_| !sharpen) {
                self.look(&big, std::slice::from_ref(format), Map { scale: factor as f32, ..plain });
            }
        }
    }

    fn formats(&self, linear: bool) -> Vec<BarcodeFormat> {
        self.hints.formats.iter().filter(|f| f.is_linear() == linear).filter_map(|f| to_rxing(*f)).collect()
    }

    fn has_time(&self) -> bool {
        self.clock.now() < self.deadline
    }

    /// Whether to look on for these formats: there is time and none was found.
    fn goes_on(&self, formats: &[BarcodeFormat]) -> bool {
        self.has_time() && !self.found.iter().any(|c| to_rxing(c.format).is_some_and(|f| formats.contains(&f)))
    }

    /// Looks for `formats` in all of `source`, and again around each code found.
    fn look(&mut self, source: &Luma8Source<'_>, formats: &[BarcodeFormat], map: Map) {
        if formats.is_empty() {
            return;
        }
        // A stacked DataBar needs its rows together, so it is not looked for in bands.
        let is_stacked = |f: &BarcodeFormat| from_rxing(*f).is_some_and(is_databar);
        let (stacked, others): (Vec<_>, Vec<_>) = formats.iter().copied().partition(is_stacked);
        if !stacked.is_empty() && !others.is_empty() {
            self.look(source, &others, map);
            return self.look(source, &stacked, map);
        }
        let whole = Region { x: 0, y: 0, w: source.get_width(), h: source.get_height() };
        let all: HashSet<_> = formats.iter().copied().collect();
        let is_linear = stacked.is_empty() && others.iter().all(|f| from_rxing(*f).is_some_and(Format::is_linear));
        let regions = if is_linear { whole.bands() } else { vec![whole] };
        let mut todo: Vec<_> = regions.into_iter().map(|region| (region, all.clone(), 0)).collect();
        while let Some((region, formats, depth)) = todo.pop() {
            if self.found.len() >= self.hints.most || (self.started && !self.has_time()) {
                return;
            }
            self.started = true;
            let Some(result) = self.one(source, region, &formats) else { continue };
            let Some(format) = from_rxing(*result.getBarcodeFormat()) else { continue };
            let points: Vec<_> =
                place(&result, region.w).iter().map(|p| (p.0 + region.x as f32, p.1 + region.y as f32)).collect();
            let (corners, lines) = if format.is_linear() && !is_databar(format) {
                self.extent(source, whole, &result, &points)
            } else {
                (if points.len() == 4 { matrix_corners(format, &points) } else { points.clone() }, usize::MAX)
            };
            if lines < self.hints.lines(format) {
                tracing::trace!(?format, lines, "not believed: too few lines agree");
                let mut others = formats.clone();
                others.remove(result.getBarcodeFormat());
                if !others.is_empty() {
                    todo.push((region, others, depth));
                }
                continue;
            }
            self.add(format, &result, corners.iter().map(|p| map.back(*p)).collect());
            let around = if corners.is_empty() { &points } else { &corners };
            if depth < DEPTH && !around.is_empty() {
                todo.extend(region.around(around).into_iter().map(|r| (r, formats.clone(), depth + 1)));
            }
        }
    }

    /// The first code that rxing sees in a region.
    fn one(&mut self, source: &Luma8Source<'_>, at: Region, formats: &HashSet<BarcodeFormat>) -> Option<RXingResult> {
        let crop = source.crop(at.x, at.y, at.w, at.h).ok()?;
        let hints = DecodeHints {
            PossibleFormats: Some(formats.clone()),
            TryHarder: Some(self.hints.effort == Effort::Full),
            // Without it, rxing leaves out the FNC1 that separate the fields of a GS1-128.
            AssumeGs1: Some(true),
            ..DecodeHints::default()
        };
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let mut bitmap = BinaryBitmap::new(HybridBinarizer::new(Upright(crop)));
            MultiFormatReader::default().decode_with_hints(&mut bitmap, &hints).ok()
        }));
        decoded.unwrap_or_else(|_| {
            tracing::warn!("rxing panicked on a picture");
            self.panicked = true;
            None
        })
    }

    /// The corners of a linear code that was read on one line, and how many lines read the same.
    fn extent(
        &mut self,
        source: &Luma8Source<'_>,
        region: Region,
        result: &RXingResult,
        points: &[(f32, f32)],
    ) -> (Vec<(f32, f32)>, usize) {
        let [first, last] = points else { return (points.to_vec(), 1) };
        let formats = HashSet::from([*result.getBarcodeFormat()]);
        let step = (source.get_height() / 48).max(1);
        let mut lines = 1;
        let mut ends = [(*first, *last); 2];
        for (end, up) in ends.iter_mut().zip([true, false]) {
            let (mut at, mut misses) = (first.1 as usize, 0);
            loop {
                at = if up { at.wrapping_sub(step) } else { at + step };
                if at < region.y || at >= region.y + region.h || misses == 2 || lines > 64 {
                    break;
                }
                let (left, right) = (end.0.0.min(end.1.0), end.0.0.max(end.1.0));
                // Room for half a guard and the quiet zone of the shortest code, UPC-E.
                let margin = (right - left) / 4.0 + 12.0;
                let x = ((left - margin) as usize).max(region.x);
                let w = ((right + margin) as usize).min(region.x + region.w).saturating_sub(x);
                let strip = Region { x, y: at, w, h: 1 };
                match self.one(source, strip, &formats).filter(|r| r.getText() == result.getText()) {
                    Some(same) if same.getPoints().len() == 2 => {
                        let found = place(&same, w);
                        let point = |i: usize| (found[i].0 + x as f32, at as f32);
                        *end = (point(0), point(1));
                        lines += 1;
                        misses = 0;
                    }
                    _ => misses += 1,
                }
            }
        }
        let [top, bottom] = ends;
        let corners = if first.0 <= last.0 {
            vec![top.0, top.1, bottom.1, bottom.0]
        } else {
            vec![bottom.0, bottom.1, top.1, top.0]
        };
        (corners, lines)
    }

    fn add(&mut self, format: Format, result: &RXingResult, corners: Vec<(f32, f32)>) {
        let aim = match result.getRXingResultMetadata().get(&RXingResultMetadataType::SYMBOLOGY_IDENTIFIER) {
            Some(RXingResultMetadataValue::SymbologyIdentifier(aim)) if aim.len() == 3 => aim.clone(),
            _ => reading::usual_aim(format),
        };
        let Some(mut code) = reading::code(format, aim, result.getText(), corners) else {
            tracing::trace!(?format, "not believed: no symbol of this format can hold it");
            return;
        };
        // rxing 0.9.3 finds a long PDF417 again in each part of it.
        let is_once = format.is_linear() || format == Format::Pdf417;
        let is_known = self
            .found
            .iter()
            .any(|c| c.text == code.text && c.format == code.format && (is_once || overlap(&c.corners, &code.corners)));
        if is_known {
            return;
        }
        if self.pass > 0 && format.is_article() {
            match self.unconfirmed.iter().position(|(_, c)| c.text == code.text && c.format == format) {
                Some(at) if self.unconfirmed[at].0 != self.pass => drop(self.unconfirmed.remove(at)),
                Some(_) => return,
                None => {
                    code.enhanced = true;
                    return self.unconfirmed.push((self.pass, code));
                }
            }
        }
        self.found.push(code);
    }
}

/// A part of a picture, in its pixels.
#[derive(Clone, Copy)]
struct Region {
    x: usize,
    y: usize,
    w: usize,
    h: usize,
}

impl Region {
    /// Itself in bands across, the middle one last, so that time can be looked at between them: a
    /// thorough look at all lines of a large picture takes long and cannot be interrupted.
    fn bands(self) -> Vec<Self> {
        let count = (self.h / BAND).max(1);
        let edge = |i: usize| self.y + self.h * i / count;
        let mut bands: Vec<_> = (0..count).map(|i| Self { y: edge(i), h: edge(i + 1) - edge(i), ..self }).collect();
        let middle = self.y + self.h / 2;
        bands.sort_by_key(|band| std::cmp::Reverse((band.y + band.h / 2).abs_diff(middle)));
        bands
    }

    /// What lies left, above, right of and below the code with these points.
    fn around(self, points: &[(f32, f32)]) -> Vec<Self> {
        let (left, top, right, bottom) = bounds(points);
        let Self { x, y, w, h } = self;
        let (left, right) = ((left.max(0.0) as usize).clamp(x, x + w), (right.max(0.0) as usize).clamp(x, x + w));
        let (top, bottom) = ((top.max(0.0) as usize).clamp(y, y + h), (bottom.max(0.0) as usize).clamp(y, y + h));
        [
            Self { w: left - x, ..self },
            Self { x: right, w: x + w - right, ..self },
            Self { x: left, w: right - left, h: top - y, y },
            Self { x: left, w: right - left, h: y + h - bottom, y: bottom },
            Self { h: top - y, ..self },
            Self { y: bottom, h: y + h - bottom, ..self },
        ]
        .into_iter()
        .filter(|r| r.w >= 2 * LEAST && r.h >= LEAST)
        .collect()
    }
}

/// Where a code lies in a region of this width. The right end of a Code 39 comes halved from rxing 0.9.3,
/// which sets a bracket wrong, and before it mirrors codes that are upside down.
fn place(result: &RXingResult, width: usize) -> Vec<(f32, f32)> {
    let mut points: Vec<_> = result.getPoints().iter().map(|p| (p.x, p.y)).collect();
    if *result.getBarcodeFormat() == BarcodeFormat::CODE_39
        && let Some((x, _)) = points.get_mut(1)
    {
        let turned = result.getRXingResultMetadata().contains_key(&RXingResultMetadataType::ORIENTATION);
        let last = width as f32 - 1.0;
        *x = if turned { last - 2.0 * (last - *x) } else { 2.0 * *x }.clamp(0.0, last);
    }
    points
}

fn overlap(a: &[(f32, f32)], b: &[(f32, f32)]) -> bool {
    let ((al, at, ar, ab), (bl, bt, br, bb)) = (bounds(a), bounds(b));
    al <= br && bl <= ar && at <= bb && bt <= ab
}

/// The corners clockwise. rxing 0.9.3 gives a QR code's as upper left, upper right, lower left, lower right; of
/// the other matrix codes it begins with the upper left one, too.
fn matrix_corners(format: Format, points: &[(f32, f32)]) -> Vec<(f32, f32)> {
    if !matches!(format, Format::Qr | Format::MicroQr | Format::DataMatrix | Format::Aztec) {
        let (l, t, r, b) = bounds(points);
        return vec![(l, t), (r, t), (r, b), (l, b)];
    }
    let n = points.len() as f32;
    let middle = (points.iter().map(|p| p.0).sum::<f32>() / n, points.iter().map(|p| p.1).sum::<f32>() / n);
    // The angle from the first corner on; y grows downwards, so it grows clockwise.
    let angle = |p: &(f32, f32)| (p.1 - middle.1).atan2(p.0 - middle.0);
    let first = angle(&points[0]);
    let mut corners = points.to_vec();
    corners[1..].sort_by(|a, b| {
        let from_first = |p| (angle(p) - first).rem_euclid(std::f32::consts::TAU);
        from_first(a).total_cmp(&from_first(b))
    });
    corners
}

fn is_databar(format: Format) -> bool {
    matches!(format, Format::DataBar | Format::DataBarExpanded | Format::DataBarLimited)
}

fn to_rxing(format: Format) -> Option<BarcodeFormat> {
    PAIRS.iter().find(|(ours, _)| *ours == format).map(|(_, theirs)| *theirs)
}

fn from_rxing(format: BarcodeFormat) -> Option<Format> {
    PAIRS.iter().find(|(_, theirs)| *theirs == format).map(|(ours, _)| *ours)
}

/// MaxiCode is not here: on noise, its detector in rxing 0.9.3 loops without end or panics.
const PAIRS: [(Format, BarcodeFormat); 16] = [
    (Format::Ean13, BarcodeFormat::EAN_13),
    (Format::Ean8, BarcodeFormat::EAN_8),
    (Format::UpcA, BarcodeFormat::UPC_A),
    (Format::UpcE, BarcodeFormat::UPC_E),
    (Format::Code128, BarcodeFormat::CODE_128),
    (Format::Code39, BarcodeFormat::CODE_39),
    (Format::Code93, BarcodeFormat::CODE_93),
    (Format::Codabar, BarcodeFormat::CODABAR),
    (Format::Itf, BarcodeFormat::ITF),
    (Format::DataBar, BarcodeFormat::RSS_14),
    (Format::DataBarExpanded, BarcodeFormat::RSS_EXPANDED),
    (Format::Qr, BarcodeFormat::QR_CODE),
    (Format::MicroQr, BarcodeFormat::MICRO_QR_CODE),
    (Format::DataMatrix, BarcodeFormat::DATA_MATRIX),
    (Format::Aztec, BarcodeFormat::AZTEC),
    (Format::Pdf417, BarcodeFormat::PDF_417),
];

/// A source that cannot be turned, so that rxing does not turn every region by itself.
struct Upright<'a>(Luma8Source<'a>);

impl LuminanceSource for Upright<'_> {
    const SUPPORTS_CROP: bool = true;
    const SUPPORTS_ROTATION: bool = false;

    fn get_row(&self, y: usize) -> Option<Cow<'_, [u8]>> {
        self.0.get_row(y)
    }
    fn get_column(&self, x: usize) -> Cow<'_, [u8]> {
        self.0.get_column(x)
    }
    fn get_matrix(&self) -> Cow<'_, [u8]> {
        self.0.get_matrix()
    }
    fn get_width(&self) -> usize {
        self.0.get_width()
    }
    fn get_height(&self) -> usize {
        self.0.get_height()
    }
    fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> rxing::common::Result<Self> {
        self.0.crop(left, top, width, height).map(Self)
    }
    fn invert(&mut self) {
        self.0.invert();
    }
    fn get_luma8_point(&self, x: usize, y: usize) -> u8 {
        self.0.get_luma8_point(x, y)
    }
}
