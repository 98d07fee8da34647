//! Prints what a camera with nothing in view costs: processor time per second, at 30 frames of 640 x 480 a second.
//!
//! `cargo run --release -p tresen-cameras --example idle`, on Linux. Decoding is measured, not the camera's driver.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;
use std::time::Duration;

use tresen_cameras::frame::{Frame, PixelFormat};
use tresen_cameras::{Reader, reader};
use tresen_hal::SystemRuntime;

const SIZE: (u16, u16) = (640, 480);
const FRAME: Duration = Duration::from_micros(33_333);
/// Time for the reader to find out that nothing changes.
const SETTLE: Duration = Duration::from_secs(12);
const MEASURE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for format in [PixelFormat::Grey8, PixelFormat::Yuyv, PixelFormat::Mjpeg] {
        for is_watched in [false, true] {
            let pictures = (0..8).map(|seed| picture(format, seed)).collect::<Result<Vec<_>, _>>()?;
            let reader = Reader::new(reader::Options::default(), Arc::new(SystemRuntime::new()))?;
            let mut show = Show { format, pictures, is_watched, shown: 0 };
            show.run(&reader, SETTLE).await?;
            let before = processor_time()?;
            let frames = show.run(&reader, MEASURE).await?;
            let spent = (processor_time()? - before).as_secs_f64() * 1000.0 / MEASURE.as_secs_f64();
            let who = if is_watched { "somebody watches" } else { "nobody watches" };
            println!("{format:?}, {who}: {spent:.2} ms of a processor per second, {frames} frames taken");
        }
    }
    Ok(())
}

/// Shows one picture after the other, as a camera before a table does.
struct Show {
    format: PixelFormat,
    pictures: Vec<Vec<u8>>,
    is_watched: bool,
    shown: usize,
}

impl Show {
    /// How many frames were taken within `time`.
    async fn run(&mut self, reader: &Reader, time: Duration) -> tresen_hal::Result<usize> {
        let frames = async {
            let mut ticks = tokio::time::interval(FRAME);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            let begun = self.shown;
            let end = tokio::time::Instant::now() + time;
            while tokio::time::Instant::now() < end {
                if !self.is_watched {
                    reader.wants_frame().await;
                }
                ticks.tick().await;
                let data = self.pictures[self.shown % self.pictures.len()].clone();
                let (width, height) = (SIZE.0.into(), SIZE.1.into());
                reader.push(Frame::new(self.format, width, height, data, &tresen_hal::SystemClock)?);
                self.shown += 1;
            }
            Ok(self.shown - begun)
        };
        tokio::select! {
            biased;
            read = reader.next() => panic!("there is nothing to read: {read:?}"),
            frames = frames => frames,
        }
    }
}

/// A table with things on it, and a sensor's noise.
fn picture(format: PixelFormat, seed: u32) -> Result<Vec<u8>, jpeg_encoder::EncodingError> {
    let (width, height) = (usize::from(SIZE.0), usize::from(SIZE.1));
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let grey: Vec<u8> = (0..width * height)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let block = (i / width / 40 * 31 + i % width / 64 * 17) % 160;
            (60 + block as u32 + (state >> 29)) as u8
        })
        .collect();
    Ok(match format {
        PixelFormat::Yuyv => grey.iter().flat_map(|y| [*y, 128]).collect(),
        PixelFormat::Mjpeg => {
            let (mut jpeg, rgb) = (Vec::new(), grey.iter().flat_map(|y| [*y; 3]).collect::<Vec<_>>());
            jpeg_encoder::Encoder::new(&mut jpeg, 80).encode(&rgb, SIZE.0, SIZE.1, jpeg_encoder::ColorType::Rgb)?;
            jpeg
        }
        _ => grey,
    })
}

/// Of all threads of this program.
#[cfg(target_os = "linux")]
fn processor_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> Result<Duration, Box<dyn std::error::Error>> {
    Err("only on Linux".into())
}
