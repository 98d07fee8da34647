//! Foreign decoders and encoders: our bytes on `escpost-render`'s paper, our paper under `rxing`'s
//! eyes, and the `escpos` crate's bytes on our paper.

use tresen_foreign::{BarcodeFormat, scan, scan_map};
use tresen_printers::bitmap::Bitmap;
use tresen_printers::document::{Barcode, Cell, Correction, Dither, Image, Qr, Receipt, Row, Style};
use tresen_printers::escpos::sim::render;
use tresen_printers::{DrawerPin, Profile, escpos};

fn gradient(width: u32, height: u32, dither: Dither) -> Image {
    let pixels = (0..width * height).map(|i| ((i % width) * 255 / width) as u8).collect();
    Image::grey(width, height, pixels).expect("pixels").dither(dither)
}

fn everything() -> Receipt {
    Receipt::new()
        .image(gradient(300, 300, Dither::FloydSteinberg))
        .styled("Café Größe €", Style::new().bold().centre().size(2, 2))
        .styled("underlined", Style::new().underline())
        .styled("inverted", Style::new().invert().right())
        .rule()
        .row("2 Flat white", "7,60 €")
        .columns(Row::new([Cell::fixed(4, "3x").right(), Cell::flex("Tee, grün"), Cell::fit("4,00").right()]))
        .styled_row("Total", "11,60 €", Style::new().bold().size(1, 2))
        .qr(Qr::new("https://example.com/receipt/4711?größe=1").expect("short"))
        .barcode(Barcode::ean13("4006381333931").expect("an EAN"))
        .feed(2)
        .drawer(DrawerPin::Five)
        .cut()
}

/// escpost-render is strict: it refuses what it does not know.
#[test]
fn a_strict_decoder_takes_all_that_we_send() {
    for (id, ours) in [("TM-T88V", Profile::epson_tm_t88()), ("TM-T20II", Profile::epson_tm_t20())] {
        let ids = escpost_profiles::resolver::available_ids().expect("profiles");
        let Some(theirs) = ids.iter().find(|i| i.starts_with(id) || i.contains(id)) else {
            panic!("no {id} in {ids:?}");
        };
        let theirs = escpost_profiles::resolver::resolve(theirs).expect("listed");
        let result = escpost_render::render(&escpos::encode(&everything(), &ours), theirs).expect(id);
        assert_eq!(
            result.device_events,
            [escpost_render::DeviceEvent::CashDrawerPulse { connector: 1, on_time_units: 25, off_time_units: 250 }]
        );
        let sheet = &result.sheets[0].surface;
        let see = |format| scan(sheet.width(), sheet.height(), |x, y| sheet.is_printed(x, y), format);
        assert_eq!(see(BarcodeFormat::QR_CODE).as_deref(), Some("https://example.com/receipt/4711?größe=1"), "{id}");
        assert_eq!(see(BarcodeFormat::EAN_13).as_deref(), Some("4006381333931"), "{id}");
    }
}

#[test]
fn a_scanner_reads_every_code_on_our_paper() {
    for (code, format) in [
        (Barcode::ean13("4006381333931"), BarcodeFormat::EAN_13),
        (Barcode::ean8("73513537"), BarcodeFormat::EAN_8),
        (Barcode::upc_a("036000291452"), BarcodeFormat::UPC_A),
        (Barcode::code39("TRESEN-39"), BarcodeFormat::CODE_39),
        (Barcode::code128("Tresen {128} ~"), BarcodeFormat::CODE_128),
        (Barcode::code128("123456789012345678901234"), BarcodeFormat::CODE_128),
        (Barcode::code128("No.16041605-16201"), BarcodeFormat::CODE_128),
        (Barcode::itf("00123456789012"), BarcodeFormat::ITF),
    ] {
        let code = code.expect("valid");
        for profile in [Profile::generic_80(), Profile::epson_tm_t88()] {
            let receipt = Receipt::new().text("above").barcode(code.clone()).text("below").cut();
            let printed = render(&escpos::encode(&receipt, &profile), &profile);
            assert_eq!(printed.unsupported, []);
            assert_eq!(scan_map(printed.sheets[0].dots(), format).as_deref(), Some(code.data()));
            assert!(printed.sheets[0].text().contains(&format!("[barcode {}]", code.data())));
        }
    }
}

/// What a scanner makes of FNC1 is its own affair; the data between are not.
#[test]
fn a_scanner_reads_gs1_128() {
    let code = Barcode::gs1_128("(01)09501101530003(10)AB-123(17)260101").expect("element strings").module(2);
    let profile = Profile::generic_80();
    let printed = render(&escpos::encode(&Receipt::new().barcode(code).cut(), &profile), &profile);
    assert_eq!(printed.unsupported, []);
    let read = scan_map(printed.sheets[0].dots(), BarcodeFormat::CODE_128).expect("it reads");
    let data: String = read.chars().filter(char::is_ascii_graphic).collect();
    assert_eq!(data.replace(['(', ')'], ""), "010950110153000310AB-12317260101");
}

#[test]
fn a_scanner_reads_qr_codes_drawn_by_printer_or_by_us() {
    for correction in [Correction::Low, Correction::Medium, Correction::Quartile, Correction::High] {
        for qr in [tresen_hal::Known::Yes, tresen_hal::Known::No] {
            let mut profile = Profile::generic_58();
            profile.qr = qr;
            let data = "Grüße vom Tresen 漢字 0123456789";
            let code = Qr::new(data).expect("short").correction(correction).expect("fits").size(4);
            let printed = render(&escpos::encode(&Receipt::new().qr(code).cut(), &profile), &profile);
            let sheet = printed.sheets[0].dots();
            assert_eq!(scan_map(sheet, BarcodeFormat::QR_CODE).as_deref(), Some(data), "{correction:?} {qr:?}");
        }
    }
}

/// The raster commands put the same dots on paper that dithering made, whatever command carries them.
#[test]
fn images_arrive_dot_for_dot() {
    for profile in [Profile::generic_80(), Profile::epson_tm_t20()] {
        let image = gradient(576, 300, Dither::Bayer);
        let map = Bitmap::from_image(&image, 576);
        let printed = render(&escpos::encode(&Receipt::new().image(image).cut(), &profile), &profile);
        let sheet = printed.sheets[0].dots();
        assert_eq!((sheet.width(), sheet.height()), (576, 300));
        let moved = map.bytes().iter().zip(sheet.bytes()).filter(|(a, b)| a != b).count();
        assert!(moved < 20, "{moved} bytes differ: only those of the safety scan may");
        assert_eq!(printed.sheets[0].text(), "[image 576]\n");
    }
}

#[test]
fn our_paper_takes_the_escpos_crates_bytes() {
    use escpos_peer::driver::Driver;
    use escpos_peer::printer::Printer;
    use escpos_peer::utils::{CashDrawer, JustifyMode, PageCode, Protocol, QRCodeModel, QRCodeOption};
    #[derive(Clone, Default)]
    struct Memory(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl Driver for Memory {
        fn name(&self) -> String {
            "memory".into()
        }
        fn write(&self, data: &[u8]) -> escpos_peer::errors::Result<()> {
            self.0.lock().expect("one thread").extend_from_slice(data);
            Ok(())
        }
        fn read(&self, _: &mut [u8]) -> escpos_peer::errors::Result<usize> {
            Ok(0)
        }
        fn flush(&self) -> escpos_peer::errors::Result<()> {
            Ok(())
        }
    }
    let driver = Memory::default();
    let mut printer = Printer::new(driver.clone(), Protocol::default(), None);
    printer
        .init()
        .and_then(|p| p.page_code(PageCode::PC858))
        .and_then(|p| p.justify(JustifyMode::CENTER)?.bold(true)?.size(2, 2)?.writeln("Hello €"))
        .and_then(|p| {
            p.reset_size()?.bold(false)?.qrcode_option(
                "their QR",
                QRCodeOption::new(QRCodeModel::Model2, 5, escpos_peer::utils::QRCodeCorrectionLevel::M),
            )
        })
        .and_then(|p| p.cash_drawer(CashDrawer::Pin2)?.print_cut())
        .expect("their encoder");
    let bytes = driver.0.lock().expect("one thread").clone();
    let printed = render(&bytes, &Profile::epson_tm_t20());
    assert_eq!(printed.unsupported, []);
    assert!(printed.sheets[0].text().contains("H e l l o   €"), "{}", printed.sheets[0].text());
    assert_eq!(scan_map(printed.sheets[0].dots(), BarcodeFormat::QR_CODE).as_deref(), Some("their QR"));
    assert_eq!(printed.kicks.len(), 1);
}

/// The codes among what python-escpos 3.1 prints.
#[test]
fn a_scanner_reads_another_encoders_codes_on_our_paper() {
    let bytes = include_bytes!("../../../printers/testdata/python-escpos-3.1-tm-t88v.bin");
    let printed = render(bytes, &Profile::epson_tm_t88());
    let sheet = printed.sheets[0].dots();
    assert_eq!(scan_map(sheet, BarcodeFormat::QR_CODE).as_deref(), Some("python-escpos QR"));
    assert_eq!(scan_map(sheet, BarcodeFormat::EAN_13).as_deref(), Some("4006381333931"));
    assert_eq!(scan_map(sheet, BarcodeFormat::CODE_128).as_deref(), Some(" code 128"));
}
