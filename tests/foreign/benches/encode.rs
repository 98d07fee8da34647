//! A receipt of 60 lines with a QR code, ours beside the `escpos` crate's; dithering; preview.
//!
//! Both encoders get what their callers hold and write into a buffer that is used again. Ours lays the columns out;
//! the `escpos` crate has no columns, so it gets lines that are laid out already and does less. The papers are compared
//! dot for dot before anything is measured.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use escpos_peer::driver::Driver;
use escpos_peer::utils::{JustifyMode, PageCode, Protocol, QRCodeCorrectionLevel, QRCodeModel, QRCodeOption};
use tresen_printers::bitmap::dither;
use tresen_printers::document::{Cut, Dither, Item, Qr, Receipt, Style};
use tresen_printers::escpos::{sim::render, wire};
use tresen_printers::{Profile, layout};

const URL: &str = "https://example.com/receipt/4711";
/// How many times as fast as the `escpos` crate ours has to be.
const GOAL: f64 = 15.0;

fn receipt() -> Receipt {
    let head = Receipt::new().styled("Café Tresen", Style::new().bold().centre().size(2, 2)).rule();
    let body = (0..56).fold(head, |r, i| r.row(format!("{i} Flat white, groß"), format!("{i},60 €")));
    let qr = Qr::new(URL).expect("short").size(6);
    body.styled_row("Total", "99,60 €", Style::new().bold()).qr(qr).item(Item::Cut(Cut::Full))
}

fn ours(receipt: &Receipt, profile: &Profile, out: &mut Vec<u8>) {
    out.clear();
    wire::initialize(profile, out);
    wire::encode_into(receipt, profile, None, out);
}

struct Memory(std::cell::RefCell<Vec<u8>>);

impl Driver for &Memory {
    fn name(&self) -> String {
        "memory".into()
    }
    fn write(&self, data: &[u8]) -> escpos_peer::errors::Result<()> {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }
    fn read(&self, _: &mut [u8]) -> escpos_peer::errors::Result<usize> {
        Ok(0)
    }
    fn flush(&self) -> escpos_peer::errors::Result<()> {
        Ok(())
    }
}

/// The lines of the same receipt below its head.
fn lines() -> Vec<String> {
    let row = |left: String, right: String| format!("{left:<41}{right:>7}");
    let rows = (0..56).map(|i| row(format!("{i} Flat white, groß"), format!("{i},60 €")));
    std::iter::once("─".repeat(48)).chain(rows).collect()
}

fn theirs(memory: &Memory, lines: &[String]) -> escpos_peer::errors::Result<()> {
    memory.0.borrow_mut().clear();
    let mut printer = escpos_peer::printer::Printer::new(memory, Protocol::default(), None);
    printer.init()?.page_code(PageCode::PC858)?;
    printer.justify(JustifyMode::CENTER)?.bold(true)?.size(2, 2)?.writeln("Café Tresen")?;
    printer.justify(JustifyMode::LEFT)?.bold(false)?.reset_size()?;
    for line in lines {
        printer.writeln(line)?;
    }
    printer.bold(true)?.writeln("Total                                    99,60 €")?.bold(false)?;
    let option = QRCodeOption::new(QRCodeModel::Model2, 6, QRCodeCorrectionLevel::M);
    printer.justify(JustifyMode::CENTER)?.feed()?.qrcode_option(URL, option)?.feed()?.print_cut()?;
    Ok(())
}

fn receipts(c: &mut Criterion) {
    let (receipt, profile) = (receipt(), Profile::epson_tm_m30());
    let (lines, memory, mut out) = (lines(), Memory(Vec::new().into()), Vec::new());
    compare(&receipt, &profile, &lines);
    let mut group = c.benchmark_group("receipt");
    group.bench_function("tresen", |b| b.iter(|| ours(black_box(&receipt), &profile, &mut out)));
    group.bench_function("escpos crate", |b| b.iter(|| theirs(&memory, black_box(&lines)).expect("encodes")));
    group.finish();
    let bytes = wire_bytes(&receipt, &profile);
    c.bench_function("preview/text", |b| b.iter(|| layout::preview(black_box(&receipt), 48)));
    c.bench_function("preview/dots", |b| b.iter(|| render(black_box(&bytes), &profile)));
    c.bench_function("preview/png", |b| b.iter(|| render(black_box(&bytes), &profile).sheets[0].to_png()));
}

/// The same paper; then both in turn, so that whatever else the machine does slows both alike.
fn compare(receipt: &Receipt, profile: &Profile, lines: &[String]) {
    let (memory, mut out) = (Memory(Vec::new().into()), Vec::new());
    ours(receipt, profile, &mut out);
    theirs(&memory, lines).expect("encodes");
    let (our_paper, their_paper) = (render(&out, profile), render(&memory.0.borrow(), profile));
    assert_eq!(their_paper.unsupported, []);
    assert!(our_paper.sheets[0].dots() == their_paper.sheets[0].dots(), "the papers differ");

    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        our_times.push(time(200, || ours(black_box(receipt), profile, &mut out)));
        their_times.push(time(20, || theirs(&memory, black_box(lines)).expect("encodes")));
    }
    let (ours, theirs) = (median(our_times), median(their_times));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    let verdict = if ratio >= GOAL { "reached" } else { "MISSED" };
    println!(
        "the same receipt: {ours:.2?}, escpos crate {theirs:.2?}: {ratio:.1} times as fast (goal {GOAL}: {verdict})"
    );
}

/// What one of `count` runs takes on average.
fn time(count: u32, mut run: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..count).for_each(|_| run());
    start.elapsed() / count
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn wire_bytes(receipt: &Receipt, profile: &Profile) -> Vec<u8> {
    tresen_printers::escpos::encode(receipt, profile)
}

fn images(c: &mut Criterion) {
    let (width, height) = (576, 1000);
    let pixels: Vec<u8> = (0..width * height).map(|i| ((i % width) * 255 / width + i / width % 50) as u8).collect();
    let mut group = c.benchmark_group("dither 576×1000");
    group.throughput(Throughput::Elements(u64::from(width * height)));
    for (name, how) in
        [("threshold", Dither::Threshold), ("bayer", Dither::Bayer), ("floyd-steinberg", Dither::FloydSteinberg)]
    {
        group.bench_function(name, |b| b.iter(|| dither(black_box(&pixels), width, height, how)));
    }
    group.finish();
}

criterion_group!(benches, receipts, images);
criterion_main!(benches);
