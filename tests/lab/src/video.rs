//! Cameras of the kernel's own making: vivid, which draws or loops what is written to its other end and fails on
//! request, <https://docs.kernel.org/admin-guide/media/vivid.html>, and v4l2loopback, which shows what we
//! write in any format.

use std::ffi::c_ulong;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{modprobe, run, until, until_exists};

/// The test camera of the kernel. Dropping it unloads it.
#[derive(Debug)]
pub struct Vivid {
    control: File,
}

impl Vivid {
    /// Where a single camera, or the receiving end of a loop, appears.
    pub const CAMERA: &str = "/dev/video0";
    /// Where the sending end of a loop appears.
    const OUTPUT: &str = "/dev/video1";

    /// A webcam that draws a test picture.
    pub fn webcam() -> Self {
        Self::load("node_types=0x1 num_inputs=1 input_types=0x00", &[Self::CAMERA])
    }

    /// An HDMI receiver at 640x480 that shows what is written to its sender.
    pub fn looped() -> Self {
        let nodes = [Self::CAMERA, Self::OUTPUT];
        let vivid =
            Self::load("node_types=0x101 num_inputs=1 input_types=0x03 num_outputs=1 output_types=0x01", &nodes);
        for node in nodes {
            set_timings(&open(node));
        }
        vivid.set("Loop Video", 1);
        vivid.set("OSD Text Mode", 2);
        vivid
    }

    fn load(parameters: &str, nodes: &[&str]) -> Self {
        modprobe(&format!("vivid n_devs=1 {parameters}"));
        nodes.iter().for_each(until_exists);
        Self { control: open(Self::CAMERA) }
    }

    /// Sets a control by the name that the driver gives it; a button is pressed.
    ///
    /// # Panics
    /// There is no such control.
    pub fn set(&self, name: &str, value: i32) {
        // struct v4l2_queryctrl: id, type, name[32], …; 68 bytes. V4L2_CTRL_FLAG_NEXT_CTRL asks for the next one.
        let (mut id, mut names) = (0_u32, Vec::new());
        loop {
            let mut query = [0_u32; 17];
            query[0] = id | 0x8000_0000;
            if ioctl(&self.control, 0xc044_5624, &mut query).is_err() {
                panic!("vivid has no control `{name}`: {names:?}");
            }
            id = query[0];
            let text: Vec<u8> = query[2..10].iter().flat_map(|word| word.to_ne_bytes()).collect();
            let found = String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned();
            if found == name {
                break;
            }
            names.push(found);
        }
        // struct v4l2_control: id, value.
        ioctl(&self.control, 0xc008_561c, &mut [id, value as u32]).expect("VIDIOC_S_CTRL");
    }

    /// Writes a picture of 640x480 to the sending end until the feed is dropped.
    pub fn feed(&self, frame: Vec<u8>) -> Feed {
        let file = open(Self::OUTPUT);
        set_format(&file, b"YUYV");
        Feed::start(move |ended| stream(&file, &frame, ended))
    }
}

impl Drop for Vivid {
    fn drop(&mut self) {
        // Our own descriptor holds the module.
        self.control = File::open("/dev/null").expect("/dev/null");
        let unload = || Command::new("modprobe").args(["-r", "vivid"]).status().is_ok_and(|status| status.success());
        if std::thread::panicking() {
            unload();
        } else {
            until("vivid to be let go of", unload);
        }
    }
}

/// A camera that shows what is written to it. Stays loaded: it may be fed again.
#[derive(Debug)]
pub struct Loopback;

impl Loopback {
    /// Where it appears.
    pub const CAMERA: &str = "/dev/video10";

    /// Loads it if it is not.
    pub fn load() -> Self {
        if !Path::new(Self::CAMERA).exists() {
            modprobe("videodev");
            run(&format!("insmod {} devices=1 video_nr=10 card_label=Lab exclusive_caps=1", module().display()));
            until_exists(Self::CAMERA);
        }
        Self
    }

    /// Shows a picture of 640x480 until the feed is dropped.
    pub fn feed(&self, code: &[u8; 4], frame: Vec<u8>) -> Feed {
        let mut file = open(Self::CAMERA);
        set_format(&file, code);
        // VIDIOC_STREAMON, which writing does not need. But the driver (0.12.7) forgets that its device can be
        // written to when one who has only written leaves and somebody looks what it can.
        ioctl(&file, 0x4004_5612, &mut [2_u32]).expect("VIDIOC_STREAMON");
        // With the first one it becomes a camera.
        file.write_all(&frame).expect("the first frame");
        Feed::start(move |ended| {
            while !ended.load(Ordering::Relaxed) {
                file.write_all(&frame).expect("a frame");
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    }
}

/// `vm/setup-camera` has built it beside the kernel, or above.
fn module() -> PathBuf {
    let version = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let module = Path::new("camera").join(version.trim()).join("v4l2loopback.ko");
    crate::fetched(&module).expect("v4l2loopback.ko; tests/lab/vm/setup-camera builds it")
}

/// A picture that is shown again and again. Dropping it ends that.
#[derive(Debug)]
pub struct Feed {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    fn start(feed: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        Self { ended, thread: Some(std::thread::spawn(move || feed(&end))) }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn open(node: &str) -> File {
    OpenOptions::new().read(true).write(true).open(node).unwrap_or_else(|e| panic!("{node}: {e}"))
}

/// Sets what an output is given: 640x480 in a format of four characters.
fn set_format(file: &File, code: &[u8; 4]) {
    // struct v4l2_format, 208 bytes: type, padding, width, height, pixelformat, field, bytesperline, sizeimage, …
    const OUTPUT: u32 = 2;
    let mut format = [0_u64; 26];
    format[0] = u64::from(OUTPUT);
    ioctl(file, 0xc0d0_5604, &mut format).expect("VIDIOC_G_FMT");
    format[1] = 640 | 480 << 32;
    format[2] = u64::from(u32::from_le_bytes(*code)) | format[2] & !0xffff_ffff;
    format[3] = 0;
    ioctl(file, 0xc0d0_5605, &mut format).expect("VIDIOC_S_FMT");
    assert_eq!((format[1], format[2] as u32), (640 | 480 << 32, u32::from_le_bytes(*code)), "the format is not taken");
}

/// Shows a frame through buffers of our own, as fast as the output takes them. vivid's write() fails: it
/// looks for the length of the frame before that is set.
fn stream(file: &File, frame: &[u8], ended: &AtomicBool) {
    const OUTPUT: u64 = 2;
    const USERPTR: u64 = 2;
    // struct v4l2_requestbuffers: count, type, memory, capabilities, flags.
    ioctl(file, 0xc014_5608, &mut [2, OUTPUT as u32, USERPTR as u32, 0, 0_u32]).expect("VIDIOC_REQBUFS");
    let queue = |index: u64| {
        // struct v4l2_buffer, 88 bytes: index, type, bytesused, flags, field, padding, timestamp, timecode,
        // sequence, memory, userptr, length, … The driver only reads the frame, and lets go of it with the
        // end of the stream below.
        let (length, mut buffer) = (frame.len() as u64, [0_u64; 11]);
        buffer[0] = index | OUTPUT << 32;
        buffer[1] = length;
        buffer[7] = USERPTR << 32;
        buffer[8] = frame.as_ptr() as u64;
        buffer[9] = length;
        ioctl(file, 0xc058_560f, &mut buffer).expect("VIDIOC_QBUF");
    };
    queue(0);
    queue(1);
    ioctl(file, 0x4004_5612, &mut [OUTPUT as u32]).expect("VIDIOC_STREAMON");
    while !ended.load(Ordering::Relaxed) {
        let mut buffer = [0_u64; 11];
        (buffer[0], buffer[7]) = (OUTPUT << 32, USERPTR << 32);
        ioctl(file, 0xc058_5611, &mut buffer).expect("VIDIOC_DQBUF");
        queue(buffer[0] & 0xffff_ffff);
    }
    ioctl(file, 0x4004_5613, &mut [OUTPUT as u32]).expect("VIDIOC_STREAMOFF");
}

/// Sets the first of the timings that it knows: 640x480, progressive.
fn set_timings(file: &File) {
    // struct v4l2_enum_dv_timings, 148 bytes: index, pad, reserved[2], then struct v4l2_dv_timings, 132 bytes.
    let mut entry = [0_u32; 37];
    ioctl(file, 0xc094_5662, &mut entry).expect("VIDIOC_ENUM_DV_TIMINGS");
    let mut timings: [u32; 33] = entry[4..].try_into().expect("33 words");
    ioctl(file, 0xc084_5657, &mut timings).expect("VIDIOC_S_DV_TIMINGS");
}

/// The numbers are those of linux/videodev2.h on x86_64, which the lab is bound to.
fn ioctl<T>(file: &File, request: c_ulong, argument: &mut [T]) -> std::io::Result<()> {
    assert_eq!((request >> 16 & 0x3fff) as usize, size_of_val(argument), "the size that the request announces");
    // SAFETY: the kernel reads and writes as many bytes as the request announces, which is the length of
    // `argument`, borrowed mutably. The one address that it is given is that of a frame in `stream`.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), request, argument.as_mut_ptr()) };
    if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
