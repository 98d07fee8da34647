//! A receipt of 60 lines with a QR code, ours beside the `escpos` crate's; dithering; preview.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use escpos_crate::driver::Driver;
use escpos_crate::utils::{JustifyMode, PageCode, Protocol, QRCodeCorrectionLevel, QRCodeModel, QRCodeOption};
use tresen_printers::bitmap::dither;
use tresen_printers::document::{Dither, Qr, Receipt, Style};
use tresen_printers::escpos::{sim::render, wire};
use tresen_printers::{Profile, layout};

const URL: &str = "https://example.com/receipt/4711";

fn receipt() -> Receipt {
    let head = Receipt::new().styled("Café Tresen", Style::new().bold().centre().size(2, 2)).rule();
    let body = (0..56).fold(head, |r, i| r.row(format!("{i} Flat white, groß"), format!("{i},60 €")));
    body.styled_row("Total", "99,60 €", Style::new().bold()).qr(Qr::new(URL).expect("short")).cut()
}

struct Memory(std::cell::RefCell<Vec<u8>>);

impl Driver for &Memory {
    fn name(&self) -> String {
        "memory".into()
    }
    fn write(&self, data: &[u8]) -> escpos_crate::errors::Result<()> {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }
    fn read(&self, _: &mut [u8]) -> escpos_crate::errors::Result<usize> {
        Ok(0)
    }
    fn flush(&self) -> escpos_crate::errors::Result<()> {
        Ok(())
    }
}

/// The same receipt by hand: the crate has no columns.
fn theirs(memory: &Memory, lines: &[String]) -> escpos_crate::errors::Result<()> {
    let mut printer = escpos_crate::printer::Printer::new(memory, Protocol::default(), None);
    printer.init()?.page_code(PageCode::PC858)?;
    printer.justify(JustifyMode::CENTER)?.bold(true)?.size(2, 2)?.writeln("Café Tresen")?;
    printer.justify(JustifyMode::LEFT)?.bold(false)?.reset_size()?;
    for line in lines {
        printer.writeln(line)?;
    }
    printer.bold(true)?.writeln("Total                                    99,60 €")?.bold(false)?;
    let option = QRCodeOption::new(QRCodeModel::Model2, 6, QRCodeCorrectionLevel::M);
    printer.justify(JustifyMode::CENTER)?.qrcode_option(URL, option)?.print_cut()?;
    Ok(())
}

fn receipts(c: &mut Criterion) {
    let (receipt, profile) = (receipt(), Profile::epson_tm_m30());
    let mut group = c.benchmark_group("receipt");
    let mut out = Vec::new();
    group.bench_function("tresen", |b| {
        b.iter(|| {
            out.clear();
            wire::initialize(&profile, &mut out);
            wire::encode_into(black_box(&receipt), &profile, None, &mut out);
            out.len()
        });
    });
    let rule = "─".repeat(48);
    let row = |i| format!("{:<41}{:>7}", format!("{i} Flat white, groß"), format!("{i},60 €"));
    let lines: Vec<String> = std::iter::once(rule).chain((0..56).map(row)).collect();
    let memory = Memory(Vec::new().into());
    group.bench_function("escpos crate", |b| {
        b.iter(|| {
            memory.0.borrow_mut().clear();
            theirs(&memory, black_box(&lines)).expect("encodes");
            memory.0.borrow().len()
        });
    });
    group.finish();
    let bytes = wire_bytes(&receipt, &profile);
    c.bench_function("preview/text", |b| b.iter(|| layout::preview(black_box(&receipt), 48)));
    c.bench_function("preview/dots", |b| b.iter(|| render(black_box(&bytes), &profile)));
    c.bench_function("preview/png", |b| b.iter(|| render(black_box(&bytes), &profile).sheets[0].to_png()));
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
