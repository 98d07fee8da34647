//! How long one camera frame of 1280 x 720 takes: YUYV and JPEG to grey, and grey to codes.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rxing::{BarcodeFormat, EncodeHints, MultiFormatWriter, Writer};
use tresen_cameras::decode::{Effort, Format, Hints, best};
use tresen_cameras::frame::{Frame, GreyView, PixelFormat};
use tresen_hal::SystemClock;

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;

/// A shelf of noise with an EAN-13 in it, unless it is to be empty.
fn picture(with_code: bool) -> Vec<u8> {
    let mut state = 1_u32;
    let mut pixels: Vec<u8> = (0..WIDTH * HEIGHT)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let block = (i / WIDTH / 40 * 31 + i % WIDTH / 64 * 17) % 160;
            (60 + block as u32 + (state >> 28)) as u8
        })
        .collect();
    if with_code {
        let hints = EncodeHints::default();
        let bits = MultiFormatWriter
            .encode_with_hints("4006381333931", &BarcodeFormat::EAN_13, 320, 160, &hints)
            .expect("it can be drawn");
        for y in 0..160 {
            for x in 0..320 {
                pixels[(260 + y) * WIDTH + 400 + x] = if bits.get(x as u32, y as u32) { 25 } else { 230 };
            }
        }
    }
    pixels
}

fn decode(c: &mut Criterion) {
    let mut decoder = best();
    for (name, with_code) in [("code", true), ("empty", false)] {
        let pixels = picture(with_code);
        let view = GreyView::new(&pixels, WIDTH, HEIGHT, WIDTH).expect("as many as it says");
        let ean = Hints::new(&[Format::Ean13, Format::Ean8, Format::UpcA, Format::UpcE]);
        for (set, hints) in [("ean", ean), ("retail", Hints::retail())] {
            for (effort, hints) in [("fast", hints.clone().with_effort(Effort::Fast)), ("full", hints)] {
                c.bench_function(&format!("720p {name} {set} {effort}"), |b| {
                    b.iter(|| decoder.decode(black_box(&view), &hints, &SystemClock).expect("decodes").len());
                });
            }
        }
    }
}

fn grey(c: &mut Criterion) {
    let pixels = picture(true);
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    let yuyv = pixels.iter().flat_map(|&y| [y, 128]).collect();
    let rgb: Vec<u8> = pixels.iter().flat_map(|grey| [*grey; 3]).collect();
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 75)
        .encode(&rgb, WIDTH as u16, HEIGHT as u16, jpeg_encoder::ColorType::Rgb)
        .expect("encodes");
    let mut scratch = Vec::new();
    for (format, data) in [(PixelFormat::Yuyv, yuyv), (PixelFormat::Mjpeg, jpeg)] {
        let frame = Frame::new(format, width, height, data, &SystemClock).expect("a frame");
        c.bench_function(&format!("720p {format:?} to grey"), |b| {
            b.iter(|| frame.grey(&mut scratch).expect("decodes").width());
        });
    }
}

criterion_group!(benches, grey, decode);
criterion_main!(benches);
