//! The system calls behind a Video4Linux2 camera, and all of this crate's unsafe code: ioctls whose
//! arguments are the structures of linux/videodev2.h, memory that a driver shares with us, and tokio's
//! registration of the descriptor.
//!
//! A request can be made here only, each with the type of its argument, so calling one is safe: its number
//! carries the size of the argument, and no structure here can be made to hold a pointer. The structures
//! are those for a single-planar video capture; fields that nobody reads are kept for their size alone.
#![allow(unsafe_code, reason = "ioctls and shared memory; the only unsafe code of the crate")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::device::Device;

/// `V4L2_BUF_TYPE_VIDEO_CAPTURE`.
const VIDEO_CAPTURE: u32 = 1;
/// `V4L2_MEMORY_MMAP`.
const MEMORY_MMAP: u32 = 1;

/// `V4L2_CAP_VIDEO_CAPTURE`, single-planar.
pub(super) const CAP_CAPTURE: u32 = 0x0000_0001;
/// `V4L2_CAP_VIDEO_CAPTURE_MPLANE`.
pub(super) const CAP_CAPTURE_MPLANE: u32 = 0x0000_1000;
/// `V4L2_CAP_STREAMING`.
pub(super) const CAP_STREAMING: u32 = 0x0400_0000;
/// `V4L2_CAP_DEVICE_CAPS`: the field of that name is filled in.
pub(super) const CAP_DEVICE_CAPS: u32 = 0x8000_0000;
/// `V4L2_CAP_TIMEPERFRAME`: the frame rate can be set.
pub(super) const CAP_TIMEPERFRAME: u32 = 0x0000_1000;
/// `V4L2_BUF_FLAG_ERROR`: the data may be damaged.
pub(super) const FLAG_ERROR: u32 = 0x0000_0040;
/// `V4L2_BUF_FLAG_TIMESTAMP_MASK`.
pub(super) const FLAG_TIMESTAMP_MASK: u32 = 0x0000_e000;
/// `V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC`: the time is that of `CLOCK_MONOTONIC`.
pub(super) const FLAG_TIMESTAMP_MONOTONIC: u32 = 0x0000_2000;
/// `V4L2_FRMSIZE_TYPE_DISCRETE` and `V4L2_FRMIVAL_TYPE_DISCRETE`.
pub(super) const DISCRETE: u32 = 1;

/// An ioctl, with what it takes and fills in.
#[derive(Debug)]
pub(super) struct Request<T> {
    number: Opcode,
    argument: PhantomData<fn(&mut T)>,
}

/// What the device is and can.
pub(super) const QUERYCAP: Request<Capability> = Request::new(opcode::read::<Capability>(b'V', 0));
/// Its picture formats, one by one.
pub(super) const ENUM_FMT: Request<FormatAt> = Request::new(opcode::read_write::<FormatAt>(b'V', 2));
/// Sets the picture format, or one that the driver finds nearest.
pub(super) const S_FMT: Request<Format> = Request::new(opcode::read_write::<Format>(b'V', 5));
/// Makes buffers, or frees them.
pub(super) const REQBUFS: Request<Buffers> = Request::new(opcode::read_write::<Buffers>(b'V', 8));
/// Where a buffer can be mapped.
pub(super) const QUERYBUF: Request<Buffer> = Request::new(opcode::read_write::<Buffer>(b'V', 9));
/// Hands a buffer to the driver.
pub(super) const QBUF: Request<Buffer> = Request::new(opcode::read_write::<Buffer>(b'V', 15));
/// Takes a filled buffer back.
pub(super) const DQBUF: Request<Buffer> = Request::new(opcode::read_write::<Buffer>(b'V', 17));
/// Starts the stream.
pub(super) const STREAMON: Request<Capture> = Request::new(opcode::write::<Capture>(b'V', 18));
/// Stops the stream and takes all buffers back.
pub(super) const STREAMOFF: Request<Capture> = Request::new(opcode::write::<Capture>(b'V', 19));
/// The frame rate.
pub(super) const G_PARM: Request<Parameters> = Request::new(opcode::read_write::<Parameters>(b'V', 21));
/// Sets the frame rate, or one that the driver finds nearest.
pub(super) const S_PARM: Request<Parameters> = Request::new(opcode::read_write::<Parameters>(b'V', 22));
/// The sizes of a format, one by one or as a range.
pub(super) const ENUM_FRAMESIZES: Request<SizeAt> = Request::new(opcode::read_write::<SizeAt>(b'V', 74));
/// The times between frames in a size, one by one or as a range.
pub(super) const ENUM_FRAMEINTERVALS: Request<IntervalAt> = Request::new(opcode::read_write::<IntervalAt>(b'V', 75));

impl<T> Request<T> {
    const fn new(number: Opcode) -> Self {
        Self { number, argument: PhantomData }
    }

    /// Makes the request; a signal in between does not end it.
    pub(super) fn call(&self, file: &File, argument: &mut T) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as `file` is borrowed. The kernel reads and writes as
        // many bytes as the number says, which is the size of `T` (see the constants above), and `argument`
        // is borrowed mutably. Its integers are right with any value, and none is taken for an address.
        rustix::io::retry_on_intr(|| unsafe { rustix::ioctl::ioctl(file, Call { number: self.number, argument }) })
            .map_err(io::Error::from)
    }
}

struct Call<'a, T> {
    number: Opcode,
    argument: &'a mut T,
}

// SAFETY: the number and the type of the argument belong together, see `Request`; nothing is put out.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.number
    }

    fn as_ptr(&mut self) -> *mut c_void {
        ptr::from_mut(self.argument).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// `struct v4l2_capability`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Capability {
    driver: [u8; 16],
    pub(super) card: [u8; 32],
    bus: [u8; 32],
    version: u32,
    pub(super) capabilities: u32,
    pub(super) device_caps: u32,
    reserved: [u32; 3],
}

/// The argument of `VIDIOC_STREAMON` and `VIDIOC_STREAMOFF`: an `enum v4l2_buf_type`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Capture(u32);

impl Default for Capture {
    fn default() -> Self {
        Self(VIDEO_CAPTURE)
    }
}

/// `struct v4l2_fmtdesc`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct FormatAt {
    index: u32,
    kind: u32,
    flags: u32,
    description: [u8; 32],
    pub(super) pixel_format: u32,
    code: u32,
    reserved: [u32; 3],
}

impl FormatAt {
    pub(super) fn new(index: u32) -> Self {
        Self { index, kind: VIDEO_CAPTURE, flags: 0, description: [0; 32], pixel_format: 0, code: 0, reserved: [0; 3] }
    }
}

/// `struct v4l2_format` with `struct v4l2_pix_format` in it.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Format {
    kind: u32,
    pub(super) pix: Pix,
}

/// `struct v4l2_pix_format`, in a union that other formats make 200 bytes long and, by a pointer in one of them,
/// aligned like a pointer.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Pix {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixel_format: u32,
    field: u32,
    pub(super) bytes_per_line: u32,
    pub(super) size: u32,
    colours: [u32; 6],
    rest: [u8; 152],
    alignment: [usize; 0],
}

impl Format {
    /// Progressive if the driver has a choice.
    pub(super) fn new(width: u32, height: u32, pixel_format: u32) -> Self {
        const FIELD_NONE: u32 = 1;
        let pix = Pix {
            width,
            height,
            pixel_format,
            field: FIELD_NONE,
            bytes_per_line: 0,
            size: 0,
            colours: [0; 6],
            rest: [0; 152],
            alignment: [],
        };
        Self { kind: VIDEO_CAPTURE, pix }
    }
}

/// `struct v4l2_fract`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fraction {
    pub(super) numerator: u32,
    pub(super) denominator: u32,
}

/// `struct v4l2_streamparm` with `struct v4l2_captureparm` in it.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Parameters {
    kind: u32,
    pub(super) capability: u32,
    mode: u32,
    /// Seconds from one frame to the next.
    pub(super) interval: Fraction,
    extended: u32,
    buffers: u32,
    reserved: [u32; 4],
    rest: [u32; 40],
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            kind: VIDEO_CAPTURE,
            capability: 0,
            mode: 0,
            interval: Fraction::default(),
            extended: 0,
            buffers: 0,
            reserved: [0; 4],
            rest: [0; 40],
        }
    }
}

/// `struct v4l2_frmsizeenum`. Of a discrete size only the first two of `size` are set: width and height; of a range
/// all: least width, greatest, step, and the same of the height.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct SizeAt {
    index: u32,
    pixel_format: u32,
    pub(super) kind: u32,
    pub(super) size: [u32; 6],
    reserved: [u32; 2],
}

impl SizeAt {
    pub(super) fn new(index: u32, pixel_format: u32) -> Self {
        Self { index, pixel_format, ..Self::default() }
    }
}

/// `struct v4l2_frmivalenum`. Of a discrete interval only the first is set; of a range all: least, greatest, step.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct IntervalAt {
    index: u32,
    pixel_format: u32,
    width: u32,
    height: u32,
    pub(super) kind: u32,
    pub(super) interval: [Fraction; 3],
    reserved: [u32; 2],
}

impl IntervalAt {
    pub(super) fn new(index: u32, pixel_format: u32, width: u32, height: u32) -> Self {
        Self { index, pixel_format, width, height, ..Self::default() }
    }
}

/// `struct v4l2_requestbuffers` for memory that is mapped.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) count: u32,
    kind: u32,
    memory: u32,
    capabilities: u32,
    flags: u8,
    reserved: [u8; 3],
}

impl Buffers {
    pub(super) fn new(count: u32) -> Self {
        Self { count, kind: VIDEO_CAPTURE, memory: MEMORY_MMAP, capabilities: 0, flags: 0, reserved: [0; 3] }
    }
}

/// `struct v4l2_buffer` for memory that is mapped. `place` is a union of an offset and of addresses that this
/// kind of memory does not use. The time is as long as the system's `long`, which is what the kernel takes
/// such a size for.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) index: u32,
    kind: u32,
    pub(super) bytes_used: u32,
    pub(super) flags: u32,
    field: u32,
    pub(super) seconds: isize,
    pub(super) microseconds: isize,
    timecode: [u32; 4],
    pub(super) sequence: u32,
    memory: u32,
    place: usize,
    length: u32,
    reserved: [u32; 2],
}

impl Buffer {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            kind: VIDEO_CAPTURE,
            bytes_used: 0,
            flags: 0,
            field: 0,
            seconds: 0,
            microseconds: 0,
            timecode: [0; 4],
            sequence: 0,
            memory: MEMORY_MMAP,
            place: 0,
            length: 0,
            reserved: [0; 2],
        }
    }

    fn offset(&self) -> u32 {
        let [a, b, c, d, ..] = self.place.to_ne_bytes();
        u32::from_ne_bytes([a, b, c, d])
    }
}

/// A buffer of a driver in our memory, to be read only.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

// SAFETY: the memory belongs to the mapping alone, wherever that is; it is only copied from.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a buffer that QUERYBUF has described.
    pub(super) fn new(file: &File, buffer: &Buffer) -> io::Result<Self> {
        let length = buffer.length as usize;
        // SAFETY: a new mapping at an address that the kernel chooses touches none of ours.
        let start = unsafe {
            mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file, u64::from(buffer.offset()))
        }?;
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// A copy of the first bytes, of no more than there are.
    pub(super) fn copy(&self, length: usize) -> Vec<u8> {
        let length = length.min(self.length);
        let mut copy = Vec::with_capacity(length);
        // SAFETY: the mapping is at least that long and lives as long as `self`; the new memory is apart from
        // it, has room for as much, and is all set up to the new length. The bytes are copied without a
        // reference to them, since a driver may change them if it breaks the rules.
        unsafe {
            ptr::copy_nonoverlapping(self.start.as_ptr().cast::<u8>(), copy.as_mut_ptr(), length);
            copy.set_len(length);
        }
        copy
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and nobody holds a reference into it.
        let done = unsafe { munmap(self.start.as_ptr(), self.length) };
        debug_assert!(done.is_ok(), "{done:?}");
    }
}

/// Waits for frames and for the end of a device.
pub(super) fn watch(device: Arc<Device>) -> io::Result<AsyncFd<Arc<Device>>> {
    // SAFETY: the device keeps one and the same file open until it is dropped, which the AsyncFd's share
    // of it prevents until the descriptor is deregistered.
    Ok(unsafe { AsyncFd::register_with_interest(device, Interest::READABLE | Interest::ERROR) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    // As a C program prints them that includes linux/videodev2.h of Linux 6.1 (Debian's linux-libc-dev
    // 6.1.192-2) on x86_64; those without a pointer or a time are the same everywhere.
    #[test]
    fn structures_are_as_long_as_the_kernels() {
        assert_eq!(size_of::<Capability>(), 104);
        assert_eq!(size_of::<FormatAt>(), 64);
        assert_eq!(size_of::<Buffers>(), 20);
        assert_eq!(size_of::<Parameters>(), 204);
        assert_eq!(size_of::<SizeAt>(), 44);
        assert_eq!(size_of::<IntervalAt>(), 52);
        if cfg!(target_pointer_width = "64") {
            assert_eq!((size_of::<Format>(), offset_of!(Format, pix)), (208, 8));
            assert_eq!(size_of::<Buffer>(), 88);
            assert_eq!(offset_of!(Buffer, seconds), 0x18);
            assert_eq!(offset_of!(Buffer, sequence), 0x38);
            assert_eq!(offset_of!(Buffer, place), 0x40);
            assert_eq!(offset_of!(Buffer, length), 0x48);
        } else {
            assert_eq!((size_of::<Format>(), offset_of!(Format, pix)), (204, 4));
            assert_eq!(size_of::<Buffer>(), 68);
        }
    }

    // From the same program; other processors lay the number out differently.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_are_the_kernels() {
        assert_eq!(QUERYCAP.number, 0x8068_5600);
        assert_eq!(ENUM_FMT.number, 0xc040_5602);
        assert_eq!(S_FMT.number, 0xc0d0_5605);
        assert_eq!(REQBUFS.number, 0xc014_5608);
        assert_eq!(QUERYBUF.number, 0xc058_5609);
        assert_eq!(QBUF.number, 0xc058_560f);
        assert_eq!(DQBUF.number, 0xc058_5611);
        assert_eq!(STREAMON.number, 0x4004_5612);
        assert_eq!(STREAMOFF.number, 0x4004_5613);
        assert_eq!(G_PARM.number, 0xc0cc_5615);
        assert_eq!(S_PARM.number, 0xc0cc_5616);
        assert_eq!(ENUM_FRAMESIZES.number, 0xc02c_564a);
        assert_eq!(ENUM_FRAMEINTERVALS.number, 0xc034_564b);
    }

    #[test]
    fn another_kind_of_file_refuses() {
        let file = File::open("/dev/null").expect("there on every Unix");
        let error = QUERYCAP.call(&file, &mut Capability::default()).expect_err("no camera");
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOTTY.raw_os_error()));
    }

    #[test]
    fn a_mapping_gives_no_more_than_it_has() {
        let path = std::env::current_exe().expect("this program");
        let file = File::open(&path).expect("readable");
        let buffer = Buffer { length: 4096, ..Buffer::new(0) };
        let mapping = Mapping::new(&file, &buffer).expect("a file can be mapped");
        let start = &std::fs::read(path).expect("readable")[..4096];
        assert_eq!(mapping.copy(16), start[..16]);
        assert_eq!(mapping.copy(usize::MAX), start);
        assert_eq!(mapping.len(), 4096);
    }
}
