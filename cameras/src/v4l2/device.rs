//! An open video device: what it offers, how it is set up, its buffers, and its errors in words. Every call
//! here may wait for the device, except [`Device::take`], [`Device::give`] and [`Device::is_there`].

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use tresen_hal::{Error, Kind, Known, Result};

use super::choice::{self, Format, Offer, Size, USUAL_FPS};
use super::{Options, sys};
use crate::{Capabilities, Mode};

/// Buffers to ask for: two for the driver to fill while one is read and one waits.
const BUFFERS: u32 = 4;
/// More formats, sizes or frame rates than any camera lists; ends the list of a driver that never ends it.
const LIST: u32 = 256;
/// The major number of video devices: the kernel's Documentation/admin-guide/devices.txt.
const VIDEO_MAJOR: u32 = 81;

/// What a camera delivers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Setup {
    pub(super) format: Format,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes from row to row; 0 for a JPEG.
    pub(super) stride: u32,
}

/// A filled buffer in our hands, to be copied and given back.
#[derive(Debug)]
pub(super) struct Filled {
    index: u32,
    pub(super) length: usize,
    pub(super) is_damaged: bool,
    pub(super) sequence: u32,
    /// When it was taken by `CLOCK_MONOTONIC`, if the driver says so.
    pub(super) time: Option<Duration>,
}

/// An open and configured video device.
#[derive(Debug)]
pub(super) struct Device {
    buffers: Vec<sys::Mapping>,
    file: File,
    pub(super) setup: Setup,
    /// Frames a second at most, if the driver tells.
    fps: Option<f64>,
    modes: Vec<Mode>,
}

impl AsRawFd for Device {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Device {
    /// Opens and configures a camera; it does not deliver yet.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self> {
        let file = open(path).map_err(|e| at_open(e, &cameras()))?;
        let mut capability = sys::Capability::default();
        sys::QUERYCAP.call(&file, &mut capability).map_err(|e| failed("being asked what it is", e))?;
        check_capability(&capability)?;
        let offers = offers(&file, options)?;
        let choice = choice::choose(&offers, options)?;
        let mut format = sys::Format::new(choice.width, choice.height, choice.code);
        sys::S_FMT.call(&file, &mut format).map_err(|e| failed("setting the picture format", e))?;
        let setup = accept(&choice, options, &format.pix)?;
        let fps = set_rate(&file, options.fps.unwrap_or(USUAL_FPS));
        let buffers = map(&file)?;
        tracing::debug!(camera = text(&capability.card), ?setup, buffers = buffers.len(), "opened");
        Ok(Self { buffers, file, setup, fps, modes: choice::modes(&offers) })
    }

    /// What it delivers as it is set up, and what it offers.
    pub(super) fn capabilities(&self) -> Capabilities {
        let format = self.setup.format.pixels();
        Capabilities {
            live: Known::Yes,
            colour: format.has_colour(),
            size: Some((self.setup.width, self.setup.height)),
            fps: self.fps,
            format: Some(format),
            modes: self.modes.clone(),
        }
    }

    /// Starts the stream with all buffers in the driver's hands; one that does not start holds none of them.
    pub(super) fn start(&self) -> Result<()> {
        let queued = (0..self.count()).try_for_each(|index| self.give_index(index));
        let started = queued.map_err(|e| failed("queueing its buffers", e)).and_then(|()| {
            sys::STREAMON.call(&self.file, &mut sys::Capture::default()).map_err(|e| failed("starting the stream", e))
        });
        if started.is_err() {
            self.stop().ok();
        }
        started
    }

    /// Stops the stream and takes all buffers back.
    pub(super) fn stop(&self) -> Result<()> {
        sys::STREAMOFF.call(&self.file, &mut sys::Capture::default()).map_err(|e| failed("stopping the stream", e))
    }

    /// How many buffers there are.
    pub(super) fn count(&self) -> u32 {
        self.buffers.len() as u32
    }

    /// The oldest filled buffer, if there is one. Does not wait.
    pub(super) fn take(&self) -> Result<Option<Filled>> {
        let mut buffer = sys::Buffer::new(0);
        match sys::DQBUF.call(&self.file, &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            done => done.map_err(|e| failed("taking a frame", e))?,
        }
        let Some(mapping) = self.buffers.get(buffer.index as usize) else {
            return Err(Error::new(Kind::Protocol, format!("the driver filled a buffer {} of none", buffer.index)));
        };
        let length = buffer.bytes_used as usize;
        let is_monotonic = buffer.flags & sys::FLAG_TIMESTAMP_MASK == sys::FLAG_TIMESTAMP_MONOTONIC;
        Ok(Some(Filled {
            index: buffer.index,
            length,
            is_damaged: buffer.flags & sys::FLAG_ERROR != 0 || length == 0 || length > mapping.len(),
            sequence: buffer.sequence,
            time: is_monotonic.then(|| time(buffer.seconds, buffer.microseconds)).flatten(),
        }))
    }

    /// A copy of what is in a filled buffer, at most `limit` bytes.
    pub(super) fn copy(&self, filled: &Filled, limit: usize) -> Vec<u8> {
        self.buffers[filled.index as usize].copy(filled.length.min(limit))
    }

    /// Gives a buffer back to the driver. Does not wait.
    pub(super) fn give(&self, filled: Filled) -> Result<()> {
        self.give_index(filled.index).map_err(|e| failed("giving a buffer back", e))
    }

    /// Whether the device is still there. Does not wait.
    pub(super) fn is_there(&self) -> Result<()> {
        sys::QUERYCAP.call(&self.file, &mut sys::Capability::default()).map_err(|e| failed("being looked for", e))
    }

    fn give_index(&self, index: u32) -> io::Result<()> {
        sys::QBUF.call(&self.file, &mut sys::Buffer::new(index))
    }
}

/// Opens a video device and no other: opening a tty or a watchdog can do things in the world.
fn open(path: &Path) -> io::Result<File> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.file_type().is_char_device() || rustix::fs::major(metadata.rdev()) != VIDEO_MAJOR {
        return Err(Errno::NOTTY.into());
    }
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

fn check_capability(capability: &sys::Capability) -> Result<()> {
    let all = capability.capabilities;
    let can = if all & sys::CAP_DEVICE_CAPS == 0 { all } else { capability.device_caps };
    let refuse = |what: &str, hint: String| {
        Err(Error::new(Kind::Unsupported, format!("`{}` {what}", text(&capability.card))).hint(hint))
    };
    if can & sys::CAP_CAPTURE == 0 {
        if can & sys::CAP_CAPTURE_MPLANE != 0 {
            return refuse("is a multi-planar capture device", "these are not built in yet".into());
        }
        // A camera often has a second node for metadata; a loop-back node delivers only what is written to it.
        let others = cameras();
        return refuse("delivers no pictures here", format!("try another node, or start what feeds it; {others}"));
    }
    if can & sys::CAP_STREAMING == 0 {
        return refuse("cannot stream into memory", "its driver is too old or too simple".into());
    }
    Ok(())
}

/// What the camera offers. The sizes of a range are told by the one that is nearest to the options.
fn offers(file: &File, options: &Options) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for index in 0..LIST {
        let mut entry = sys::FormatAt::new(index);
        match sys::ENUM_FMT.call(file, &mut entry) {
            Ok(()) => {}
            Err(error) if is_end(&error) => break,
            Err(error) => return Err(failed("listing its picture formats", error)),
        }
        let code = entry.pixel_format;
        // What we cannot use is listed by its name alone.
        let sizes = if Format::of(code).is_some() { sizes(file, code, options)? } else { Vec::new() };
        offers.push(Offer { code, sizes });
    }
    Ok(offers)
}

fn sizes(file: &File, code: u32, options: &Options) -> Result<Vec<Size>> {
    let mut sizes = Vec::new();
    for index in 0..LIST {
        let mut entry = sys::SizeAt::new(index, code);
        match sys::ENUM_FRAMESIZES.call(file, &mut entry) {
            Ok(()) => {}
            Err(error) if is_end(&error) => break,
            Err(error) => return Err(failed("listing its sizes", error)),
        }
        let [a, b, step, least, greatest, step_down] = entry.size;
        let is_range = entry.kind != sys::DISCRETE;
        let (width, height) = if is_range {
            let (wide, high) = choice::aim(options);
            (choice::snap(wide, a, b, step), choice::snap(high, least, greatest, step_down))
        } else {
            (a, b)
        };
        sizes.push(Size { width, height, fps: fastest(file, code, width, height)? });
        if is_range {
            break;
        }
    }
    Ok(sizes)
}

/// The most frames a second in a size; 0 if the driver does not tell.
fn fastest(file: &File, code: u32, width: u32, height: u32) -> Result<f64> {
    let mut fastest: f64 = 0.0;
    for index in 0..LIST {
        let mut entry = sys::IntervalAt::new(index, code, width, height);
        match sys::ENUM_FRAMEINTERVALS.call(file, &mut entry) {
            Ok(()) => {}
            Err(error) if is_end(&error) => break,
            Err(error) => return Err(failed("listing its frame rates", error)),
        }
        let shortest = entry.interval[0];
        if shortest.numerator > 0 {
            fastest = fastest.max(f64::from(shortest.denominator) / f64::from(shortest.numerator));
        }
        if entry.kind != sys::DISCRETE {
            break;
        }
    }
    Ok(fastest)
}

/// The end of a list, or a driver that has none.
fn is_end(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOTTY))
}

/// What the driver has made of the choice.
fn accept(choice: &choice::Choice, options: &Options, pix: &sys::Pix) -> Result<Setup> {
    let got = format!("{} {}x{}", choice::name(pix.pixel_format), pix.width, pix.height);
    let Some(format) = Format::of(pix.pixel_format).filter(|f| *f == choice.format) else {
        let what = format!("the camera was asked for `{}` and delivers {got}", choice.format);
        return Err(Error::new(Kind::Unsupported, what).hint("is another program using it, or feeding it?"));
    };
    if options.width.is_some_and(|w| w != pix.width) || options.height.is_some_and(|h| h != pix.height) {
        let what = format!("the camera was asked for {}x{} and delivers {got}", choice.width, choice.height);
        return Err(Error::new(Kind::Unsupported, what).hint("leave out width and height, or name these"));
    }
    let (width, height) = (pix.width, pix.height);
    let stride = if format == Format::Mjpeg { 0 } else { pix.bytes_per_line.max(format.row(width)) };
    Ok(Setup { format, width, height, stride })
}

/// Asks for a frame rate and returns what the driver makes of it, if it tells. Not every camera can be asked, and
/// none is worse for it.
fn set_rate(file: &File, fps: f64) -> Option<f64> {
    let mut parameters = sys::Parameters::default();
    sys::G_PARM.call(file, &mut parameters).ok()?;
    let before = parameters.interval;
    if parameters.capability & sys::CAP_TIMEPERFRAME == 0 {
        return rate(before);
    }
    parameters.interval = sys::Fraction { numerator: 1000, denominator: (fps * 1000.0).round().max(1.0) as u32 };
    if let Err(error) = sys::S_PARM.call(file, &mut parameters) {
        tracing::debug!(%error, fps, "the camera keeps its frame rate");
        return rate(before);
    }
    rate(parameters.interval)
}

/// Frames a second of the time from one to the next; none if the driver leaves it open.
fn rate(interval: sys::Fraction) -> Option<f64> {
    let is_told = interval.numerator > 0 && interval.denominator > 0;
    is_told.then(|| f64::from(interval.denominator) / f64::from(interval.numerator))
}

fn map(file: &File) -> Result<Vec<sys::Mapping>> {
    let mut request = sys::Buffers::new(BUFFERS);
    sys::REQBUFS.call(file, &mut request).map_err(|e| failed("reserving its buffers", e))?;
    if request.count == 0 {
        return Err(Error::new(Kind::Io, "the driver has no memory for frames").hint("ask for a smaller size"));
    }
    let one = |index| {
        let mut buffer = sys::Buffer::new(index);
        sys::QUERYBUF.call(file, &mut buffer)?;
        sys::Mapping::new(file, &buffer)
    };
    (0..request.count).map(one).collect::<io::Result<_>>().map_err(|e| failed("mapping its buffers", e))
}

fn time(seconds: isize, microseconds: isize) -> Option<Duration> {
    let micros = u32::try_from(microseconds).ok().filter(|n| *n < 1_000_000)?;
    Some(Duration::new(u64::try_from(seconds).ok()?, micros * 1000))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Which cameras there are, in words; read from sysfs, which opens none of them.
fn cameras() -> String {
    let mut names: Vec<_> = std::fs::read_dir("/sys/class/video4linux")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = std::fs::read_to_string(entry.path().join("name")).ok()?;
            Some(format!("/dev/{} ({})", entry.file_name().to_string_lossy(), name.trim()))
        })
        .collect();
    names.sort();
    if names.is_empty() { "this system knows no camera".into() } else { format!("there are: {}", names.join(", ")) }
}

/// An error of opening the device, in words.
fn at_open(error: io::Error, cameras: &str) -> Error {
    let (kind, what, hint) = match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR) => (
            Kind::NotFound,
            "there is no such camera",
            format!("is it plugged in? {cameras}; `tresen list` shows all devices"),
        ),
        Some(Errno::NODEV | Errno::NXIO) => {
            (Kind::NotFound, "the camera is gone", format!("is it plugged in? {cameras}"))
        }
        Some(Errno::ACCESS | Errno::PERM) => (
            Kind::Permission,
            "permission denied",
            "add the user to the group `video`: `sudo usermod -aG video $USER`, then log in again".into(),
        ),
        Some(Errno::BUSY) => return busy(error),
        Some(Errno::NOTTY) => (Kind::Unsupported, "this is no video device", cameras.to_owned()),
        _ => (Kind::Io, "the camera cannot be opened", "unplug it and plug it in again".into()),
    };
    let told = Error::new(kind, what).hint(hint);
    // What the system says of these adds nothing.
    if matches!(kind, Kind::Unsupported) { told } else { told.because(error) }
}

/// An error of an open device, in words; `doing` says what it failed at.
fn failed(doing: &str, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NODEV | Errno::NXIO | Errno::SHUTDOWN) => {
            Error::new(Kind::Closed, "the camera was unplugged").because(error)
        }
        Some(Errno::BUSY) => busy(error),
        Some(Errno::NOSPC) => Error::new(Kind::Busy, "its USB bus has no bandwidth left")
            .because(error)
            .hint("ask for a smaller size, fewer frames or format=mjpeg, or plug it into another port"),
        Some(Errno::NOTTY) => {
            Error::new(Kind::Unsupported, format!("the camera cannot do this: {doing}")).because(error)
        }
        Some(Errno::NOMEM | Errno::IO | Errno::PIPE | Errno::PROTO | Errno::TIMEDOUT) => {
            Error::new(Kind::Io, format!("the camera failed at {doing}"))
                .because(error)
                .hint("check its cable, or plug it in again")
        }
        _ => Error::new(Kind::Refused, format!("the camera refused {doing}"))
            .because(error)
            .hint("check its cable, or plug it in again"),
    }
}

fn busy(error: io::Error) -> Error {
    Error::new(Kind::Busy, "the camera is in use").because(error).hint("close the other program that uses it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tresen_hal::Retry;

    fn errno(errno: Errno) -> io::Error {
        errno.into()
    }

    #[test]
    fn an_open_that_fails_says_what_to_do() {
        for (error, kind, hint) in [
            (Errno::NOENT, Kind::NotFound, "is it plugged in? there are: /dev/video7"),
            (Errno::NODEV, Kind::NotFound, "is it plugged in?"),
            (Errno::ACCESS, Kind::Permission, "sudo usermod -aG video $USER"),
            (Errno::BUSY, Kind::Busy, "close the other program"),
            (Errno::NOTTY, Kind::Unsupported, "there are: /dev/video7"),
            (Errno::IO, Kind::Io, "plug it in again"),
        ] {
            let told = at_open(errno(error), "there are: /dev/video7");
            assert_eq!(told.kind(), kind, "{told}");
            assert!(told.to_string().contains(hint), "{told}");
        }
    }

    #[test]
    fn a_camera_that_fails_says_what_it_was_doing() {
        for (error, kind, says) in [
            (Errno::NODEV, Kind::Closed, "unplugged"),
            (Errno::IO, Kind::Io, "failed at starting the stream"),
            (Errno::NOSPC, Kind::Busy, "no bandwidth left"),
            (Errno::BUSY, Kind::Busy, "in use"),
            (Errno::INVAL, Kind::Refused, "refused starting the stream"),
            (Errno::NOTTY, Kind::Unsupported, "cannot do this: starting the stream"),
        ] {
            let told = failed("starting the stream", errno(error));
            assert_eq!(told.kind(), kind, "{told}");
            assert!(told.to_string().contains(says), "{told}");
        }
        assert_eq!(failed("x", errno(Errno::NODEV)).retry(), Retry::AfterReconnect);
    }

    #[test]
    fn only_a_video_device_is_opened() {
        let told = |path: &str| Device::open(Path::new(path), &Options::default()).expect_err(path);
        assert_eq!(told("/dev/no-such-camera").kind(), Kind::NotFound);
        for path in ["/dev/null", "/", "/proc/version"] {
            let error = told(path);
            assert_eq!(error.kind(), Kind::Unsupported, "{error}");
            assert!(error.to_string().starts_with("this is no video device; "), "{error}");
        }
    }

    #[test]
    fn capabilities_are_those_of_the_node() {
        let of = |capabilities, device_caps| {
            let mut capability = sys::Capability::default();
            (capability.capabilities, capability.device_caps) = (capabilities, device_caps);
            capability.card[..3].copy_from_slice(b"Cam");
            check_capability(&capability).map_err(|e| e.to_string())
        };
        let camera = sys::CAP_CAPTURE | sys::CAP_STREAMING;
        assert_eq!(of(camera, 0), Ok(()), "a driver that does not tell nodes apart");
        assert_eq!(of(camera | sys::CAP_DEVICE_CAPS, camera), Ok(()));
        // V4L2_CAP_META_CAPTURE: the second node of a USB camera.
        let error = of(camera | sys::CAP_DEVICE_CAPS, 0x0080_0000 | sys::CAP_STREAMING).expect_err("metadata");
        assert!(error.starts_with("`Cam` delivers no pictures here; try another node"), "{error}");
        let error = of(sys::CAP_CAPTURE_MPLANE | sys::CAP_STREAMING, 0).expect_err("planes");
        assert!(error.contains("multi-planar"), "{error}");
        assert!(of(sys::CAP_CAPTURE, 0).expect_err("read() alone").contains("cannot stream"));
    }

    #[test]
    fn what_the_driver_makes_of_the_choice_is_checked() {
        let code = u32::from_le_bytes(*b"YUYV");
        let choice = choice::Choice { code, format: Format::Yuyv, width: 640, height: 480 };
        let accept = |code: &[u8; 4], width, bytes, options: &Options| {
            let mut format = sys::Format::new(width, 480, u32::from_le_bytes(*code));
            format.pix.bytes_per_line = bytes;
            accept(&choice, options, &format.pix).map_err(|e| e.to_string())
        };
        let any = Options::default();
        let setup = Setup { format: Format::Yuyv, width: 640, height: 480, stride: 1280 };
        assert_eq!(accept(b"YUYV", 640, 1280, &any), Ok(setup));
        assert_eq!(accept(b"YUYV", 640, 0, &any), Ok(setup), "a driver that does not tell");
        assert_eq!(accept(b"YUYV", 640, 1344, &any), Ok(Setup { stride: 1344, ..setup }));
        assert_eq!(accept(b"YUYV", 320, 640, &any), Ok(Setup { width: 320, stride: 640, ..setup }));
        let error = accept(b"YUYV", 320, 640, &Options { width: Some(640), ..any.clone() }).expect_err("smaller");
        assert!(error.contains("asked for 640x480 and delivers YUYV 320x480"), "{error}");
        let error = accept(b"H264", 640, 0, &any).expect_err("another");
        assert!(error.contains("asked for `yuyv` and delivers H264 640x480"), "{error}");
    }

    #[test]
    fn a_rate_is_frames_a_second_or_unknown() {
        let of = |numerator, denominator| rate(sys::Fraction { numerator, denominator });
        assert_eq!((of(1, 30), of(1001, 30_000).map(|fps| (fps * 100.0).round())), (Some(30.0), Some(2997.0)));
        assert_eq!((of(0, 30), of(1, 0)), (None, None));
    }

    #[test]
    fn times_that_cannot_be_are_none() {
        assert_eq!(time(5, 250_000), Some(Duration::from_millis(5250)));
        assert_eq!(time(-1, 0), None);
        assert_eq!(time(0, 1_000_000), None);
    }
}
