//! Frames: no pixels, sizes or strides may panic the conversion to grey.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_cameras::{Frame, PixelFormat};
use tresen_hal::SystemClock;

fuzz_target!(|input: (u8, u8, u8, Vec<u8>)| {
    let (format, width, height, data) = input;
    let format = match format % 4 {
        0 => PixelFormat::Grey8,
        1 => PixelFormat::Rgb8,
        2 => PixelFormat::Yuyv,
        _ => PixelFormat::Mjpeg,
    };
    if let Ok(frame) = Frame::new(format, width.into(), height.into(), data, &SystemClock) {
        let mut scratch = Vec::new();
        if let Ok(grey) = frame.grey(&mut scratch) {
            assert_eq!(grey.rows().count(), grey.height());
        }
    }
});
