//! Chooses format, size and frame rate from what a camera offers. Sans-IO.

use std::fmt;
use std::str::FromStr;

use tresen_hal::{Error, Kind, Result};

use super::Options;
use crate::{Mode, PixelFormat};

/// The size that is nearest to what decoding wants, unless another is asked for.
const USUAL_SIZE: (u32, u32) = (1280, 720);
/// Frames a second, unless others are asked for.
pub(super) const USUAL_FPS: f64 = 30.0;
/// Fewer frames a second than this make the reader wait.
const ENOUGH_FPS: f64 = 15.0;

/// What cameras call their pictures and we can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Format {
    // In the order of what they cost to decode, the cheapest first.
    /// One byte a pixel.
    Grey,
    /// Planes for brightness and colour. Frames hold the first alone, as [`PixelFormat::Grey8`].
    Nv12,
    /// Planes for brightness and both colours, also called I420. Frames hold the first alone.
    Yu12,
    /// Four bytes for two pixels.
    Yuyv,
    /// Three bytes a pixel.
    Rgb,
    /// One JPEG a frame: slower to decode, but the only one that USB 2 carries fast in large sizes.
    Mjpeg,
}

/// Names in addresses, and the codes in linux/videodev2.h.
const FORMATS: [(Format, &str, &[&[u8; 4]]); 6] = [
    (Format::Grey, "grey", &[b"GREY"]),
    (Format::Nv12, "nv12", &[b"NV12"]),
    (Format::Yu12, "yu12", &[b"YU12"]),
    (Format::Yuyv, "yuyv", &[b"YUYV"]),
    (Format::Rgb, "rgb", &[b"RGB3"]),
    (Format::Mjpeg, "mjpeg", &[b"MJPG", b"JPEG"]),
];

impl Format {
    pub(super) fn of(code: u32) -> Option<Self> {
        FORMATS.iter().find(|(.., codes)| codes.iter().any(|c| u32::from_le_bytes(**c) == code)).map(|f| f.0)
    }

    /// Bytes that a row needs; none for a JPEG.
    pub(super) fn row(self, width: u32) -> u32 {
        match self {
            Self::Grey | Self::Nv12 | Self::Yu12 => width,
            Self::Yuyv => width.div_ceil(2).saturating_mul(4),
            Self::Rgb => width.saturating_mul(3),
            Self::Mjpeg => 0,
        }
    }

    /// How its frames are laid out for us.
    pub fn pixels(self) -> PixelFormat {
        match self {
            Self::Grey | Self::Nv12 | Self::Yu12 => PixelFormat::Grey8,
            Self::Yuyv => PixelFormat::Yuyv,
            Self::Rgb => PixelFormat::Rgb8,
            Self::Mjpeg => PixelFormat::Mjpeg,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORMATS.iter().find(|(format, ..)| format == self).map_or("", |f| f.1))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        FORMATS.iter().find(|f| f.1.eq_ignore_ascii_case(name)).map(|f| f.0).ok_or_else(|| {
            let names: Vec<_> = FORMATS.iter().map(|f| f.1).collect();
            format!("allowed: {}", names.join(", "))
        })
    }
}

/// A format that a camera offers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) code: u32,
    /// Empty if the driver does not tell.
    pub(super) sizes: Vec<Size>,
}

/// A size, and the most frames a second in it; 0 if the driver does not tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fps: f64,
}

/// What to ask the camera for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) code: u32,
    pub(super) format: Format,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The size in a range (least, greatest, step) that is nearest to the wish, for width or height.
pub(super) fn snap(wish: u32, least: u32, greatest: u32, step: u32) -> u32 {
    let greatest = greatest.max(least);
    let wish = wish.clamp(least, greatest);
    wish - (wish - least) % step.max(1)
}

/// The size to aim at.
pub(super) fn aim(options: &Options) -> (u32, u32) {
    (options.width.unwrap_or(USUAL_SIZE.0), options.height.unwrap_or(USUAL_SIZE.1))
}

/// The best offer: nearest in size, then fast enough, then cheapest to decode.
///
/// # Errors
/// [`Kind::Unsupported`]: nothing that we can use, or not what the options ask for; it lists what there is.
pub(super) fn choose(offers: &[Offer], options: &Options) -> Result<Choice> {
    let known = || offers.iter().filter_map(|o| Some((Format::of(o.code)?, o)));
    let refuse = |what: String, hint: String| Err(Error::new(Kind::Unsupported, what).hint(hint));
    if known().next().is_none() {
        let codes: Vec<_> = offers.iter().map(|o| name(o.code)).collect();
        let codes = if codes.is_empty() { "none".to_owned() } else { codes.join(", ") };
        let usable: Vec<_> = FORMATS.iter().map(|f| f.1).collect();
        return refuse(
            format!("the camera offers no picture format that can be read: {codes}"),
            format!("those that can: {}", usable.join(", ")),
        );
    }
    let wanted = |format| options.format.is_none_or(|f| f == format);
    if let Some(format) = options.format
        && !known().any(|(f, _)| f == format)
    {
        let mut names: Vec<_> = known().map(|(f, _)| f.to_string()).collect();
        names.dedup();
        return refuse(format!("the camera does not offer `{format}`"), format!("it offers: {}", names.join(", ")));
    }
    let (width, height) = aim(options);
    let mut best: Option<((u64, bool, u64, Format), Choice)> = None;
    for (format, offer) in known().filter(|(format, _)| wanted(*format)) {
        let untold = [Size { width, height, fps: 0.0 }];
        let sizes = if offer.sizes.is_empty() { &untold[..] } else { &offer.sizes };
        for size in sizes {
            if options.width.is_some_and(|w| w != size.width) || options.height.is_some_and(|h| h != size.height) {
                continue;
            }
            let area = |w: u32, h: u32| u64::from(w) * u64::from(h);
            let distance = area(width, height).abs_diff(area(size.width, size.height));
            let enough = options.fps.unwrap_or(ENOUGH_FPS);
            // Rates are fractions such as 30000/1001.
            let is_slow = size.fps > 0.0 && size.fps < enough - 0.5;
            let lack = if is_slow { ((enough - size.fps) * 1000.0) as u64 } else { 0 };
            let rank = (distance, is_slow, lack, format);
            if best.as_ref().is_none_or(|(than, _)| rank < *than) {
                best = Some((rank, Choice { code: offer.code, format, width: size.width, height: size.height }));
            }
        }
    }
    if let Some((_, choice)) = best {
        return Ok(choice);
    }
    let mut sizes: Vec<_> =
        known().filter(|(f, _)| wanted(*f)).flat_map(|(_, o)| &o.sizes).map(|s| (s.width, s.height)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let sizes: Vec<_> = sizes.iter().map(|(w, h)| format!("{w}x{h}")).collect();
    let asked = match (options.width, options.height) {
        (Some(width), None) => format!("the width {width}"),
        (None, Some(height)) => format!("the height {height}"),
        _ => format!("the size {width}x{height}"),
    };
    refuse(format!("the camera does not offer {asked}"), format!("it offers: {}", sizes.join(", ")))
}

/// The usable offers as modes, the largest first. Formats that become the same frames are merged.
pub(super) fn modes(offers: &[Offer]) -> Vec<Mode> {
    let usable = offers.iter().filter_map(|offer| Some((Format::of(offer.code)?.pixels(), &offer.sizes)));
    let mut modes: Vec<Mode> = Vec::new();
    for (format, size) in usable.flat_map(|(format, sizes)| sizes.iter().map(move |size| (format, size))) {
        let (Size { width, height, .. }, fps) = (*size, Some(size.fps).filter(|fps| *fps > 0.0));
        let is_this = |mode: &&mut Mode| (mode.format, mode.width, mode.height) == (format, width, height);
        match modes.iter_mut().find(is_this) {
            Some(mode) => mode.fps = mode.fps.into_iter().chain(fps).reduce(f64::max),
            None => modes.push(Mode { format, width, height, fps }),
        }
    }
    modes.sort_by_key(|mode| std::cmp::Reverse(u64::from(mode.width) * u64::from(mode.height)));
    modes
}

/// A code as its four characters.
pub(super) fn name(code: u32) -> String {
    code.to_le_bytes().escape_ascii().to_string().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(code: &[u8; 4], sizes: &[(u32, u32, f64)]) -> Offer {
        let sizes = sizes.iter().map(|&(width, height, fps)| Size { width, height, fps }).collect();
        Offer { code: u32::from_le_bytes(*code), sizes }
    }

    /// As a USB 2 camera offers it: large pictures are slow unless they are compressed.
    fn webcam() -> Vec<Offer> {
        vec![
            offer(b"MJPG", &[(1920, 1080, 30.0), (1280, 720, 30.0), (640, 480, 30.0)]),
            offer(b"YUYV", &[(1920, 1080, 5.0), (1280, 720, 10.0), (640, 480, 30.0)]),
            offer(b"H264", &[(1920, 1080, 30.0)]),
        ]
    }

    fn chosen(offers: &[Offer], options: &str) -> String {
        let address = format!("camera+v4l2:///dev/video0{options}").parse().expect("an address");
        let options = Options::from_address(&address).expect("good options");
        match choose(offers, &options) {
            Ok(choice) => format!("{} {}x{}", choice.format, choice.width, choice.height),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unsupported);
                error.to_string()
            }
        }
    }

    // linux/videodev2.h of Linux 6.1.
    #[test]
    fn codes_are_the_kernels() {
        for (code, format) in [
            (0x5659_5559, Format::Yuyv),
            (0x4750_4a4d, Format::Mjpeg),
            (0x4745_504a, Format::Mjpeg),
            (0x5945_5247, Format::Grey),
            (0x3231_564e, Format::Nv12),
            (0x3231_5559, Format::Yu12),
            (0x3342_4752, Format::Rgb),
        ] {
            assert_eq!(Format::of(code), Some(format), "{code:#x}");
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!(Format::of(0x3436_3248), None, "H264");
        assert_eq!(name(0x2036_3159), "Y16");
    }

    #[test]
    fn chooses_what_decodes_best() {
        assert_eq!(chosen(&webcam(), ""), "mjpeg 1280x720", "YUYV is too slow there");
        assert_eq!(chosen(&webcam(), "?width=640"), "yuyv 640x480", "the cheapest of those that are fast");
        assert_eq!(chosen(&webcam(), "?fps=10"), "yuyv 1280x720");
        assert_eq!(chosen(&webcam(), "?fps=8&width=1920"), "mjpeg 1920x1080");
        assert_eq!(chosen(&webcam(), "?format=yuyv"), "yuyv 1280x720");
        assert_eq!(chosen(&webcam(), "?format=MJPEG&width=640&height=480"), "mjpeg 640x480");
        let small = [offer(b"YUYV", &[(320, 240, 30.0), (800, 600, 30.0)])];
        assert_eq!(chosen(&small, ""), "yuyv 800x600", "the nearest");
        let ntsc = [offer(b"MJPG", &[(640, 480, 60.0)]), offer(b"GREY", &[(640, 480, 29.97)])];
        assert_eq!(chosen(&ntsc, "?fps=30"), "grey 640x480");
    }

    #[test]
    fn modes_are_what_becomes_other_frames() {
        let told = |offers: &[Offer]| -> Vec<String> {
            let mode = |m: &Mode| format!("{:?} {}x{} {:?}", m.format, m.width, m.height, m.fps);
            modes(offers).iter().map(mode).collect()
        };
        let both = [
            offer(b"NV12", &[(640, 480, 15.0), (1280, 720, 0.0)]),
            offer(b"GREY", &[(640, 480, 30.0)]),
            offer(b"MJPG", &[(640, 480, 60.0)]),
            offer(b"H264", &[(1920, 1080, 30.0)]),
        ];
        let want = ["Grey8 1280x720 None", "Grey8 640x480 Some(30.0)", "Mjpeg 640x480 Some(60.0)"];
        assert_eq!(told(&both), want, "H.264 cannot be used");
        assert_eq!(told(&[offer(b"NV12", &[])]), [""; 0]);
    }

    #[test]
    fn a_driver_that_does_not_tell_is_asked_for_the_wish() {
        let silent = [offer(b"NV12", &[])];
        assert_eq!(chosen(&silent, ""), "nv12 1280x720");
        assert_eq!(chosen(&silent, "?width=800&height=600"), "nv12 800x600");
    }

    #[test]
    fn says_what_there_is() {
        assert_eq!(chosen(&webcam(), "?format=nv12"), "the camera does not offer `nv12`; it offers: mjpeg, yuyv",);
        assert_eq!(
            chosen(&webcam(), "?width=800&format=yuyv"),
            "the camera does not offer the width 800; it offers: 640x480, 1280x720, 1920x1080",
        );
        let raw = chosen(&[offer(b"H264", &[]), offer(b"Y16 ", &[])], "");
        assert!(raw.starts_with("the camera offers no picture format that can be read: H264, Y16; "), "{raw}");
        assert!(chosen(&[], "").contains("read: none"));
    }

    #[test]
    fn ranges_are_kept() {
        assert_eq!(snap(1280, 2, 8192, 2), 1280);
        assert_eq!(snap(1281, 2, 8192, 2), 1280);
        assert_eq!(snap(1280, 16, 640, 16), 640);
        assert_eq!(snap(8, 16, 640, 16), 16);
        assert_eq!(snap(100, 48, 640, 0), 100, "a step of 0 is a driver's mistake");
        assert_eq!(snap(100, 48, 0, 16), 48, "so is this");
    }
}
