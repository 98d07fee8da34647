//! Encodes receipts and commands.
//!
//! Commands are those of Epson's "ESC/POS Command Reference"; each function names its section. A receipt is written into
//! one buffer, which the caller may reuse. Encoding assumes only that the printer was initialised ([`initialize`]).

use std::borrow::Cow;

use super::raster;
use crate::bitmap::Bitmap;
use crate::document::{Align, Barcode, Correction, Cut, Hri, Item, Kick, Qr, Receipt, Style, Symbology, Text};
use crate::layout::{self, Sink};
use crate::printer::DrawerPin;
use crate::profile::Profile;
use crate::{document, symbols, text};
use tresen_hal::Known;

const DLE: u8 = 0x10;
const ESC: u8 = 0x1b;
const FS: u8 = 0x1c;
const GS: u8 = 0x1d;
const LF: u8 = b'\n';

/// Encodes a receipt with its initialisation.
pub fn encode(receipt: &Receipt, profile: &Profile) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    initialize(profile, &mut out);
    encode_into(receipt, profile, None, &mut out);
    out
}

/// Appends a receipt's content; the printer must be initialised. `mark` is printed first: it tells a copy from the
/// original.
pub fn encode_into(receipt: &Receipt, profile: &Profile, mark: Option<&str>, out: &mut Vec<u8>) {
    let mut writer = text::Writer::new(&profile.code_pages);
    writer.start(out);
    let mut encoder = Encoder { profile, writer, style: Style::default(), out };
    if let Some(mark) = mark {
        let style = Style::new().bold().invert().centre();
        layout::text(&Text { text: mark.into(), style }, profile.columns, &mut encoder);
    }
    receipt.items().iter().for_each(|item| encoder.item(item));
    encoder.become_plain();
}

/// ESC @, initialize printer; ESC R 0, select the international character set USA; where the profile says so,
/// FS ., cancel Kanji mode.
///
/// ESC @ restores the defaults of the memory switches: a printer set to Germany would print `[` as `Ä`, and one from
/// China would print two bytes from 80h on as one character.
pub fn initialize(profile: &Profile, out: &mut Vec<u8>) {
    out.extend_from_slice(&[ESC, b'@', ESC, b'R', 0]);
    if profile.cancel_kanji {
        out.extend_from_slice(&[FS, b'.']);
    }
}

/// DLE EOT n, transmit real-time status: 1 printer, 2 offline cause, 3 error cause, 4 paper
pub fn realtime_status(n: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[DLE, 0x04, n]);
}

/// DLE ENQ n, send real-time request: 1 recover and print on, 2 recover and clear the buffers
pub fn realtime_request(n: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[DLE, 0x05, n]);
}

/// DLE DC4, function 8: clear buffers in real time; answered with `37 25 00`
pub fn clear_buffers(out: &mut Vec<u8>) {
    out.extend_from_slice(&[DLE, 0x14, 8, 1, 3, 20, 1, 6, 2, 8]);
}

/// DLE DC4, function 1: generate pulse in real time, 100 ms
///
/// Executed on arrival, even with a full buffer and while the printer is offline because of paper or cover; ignored in
/// an error status and while a pulse is running (Epson TM-T88III specification, "DLE DC4"; "ESC/POS Application
/// Programming Guide", DLE DC4 (fn = 1)).
pub fn realtime_pulse(pin: DrawerPin, out: &mut Vec<u8>) {
    out.extend_from_slice(&[DLE, 0x14, 1, pin_number(pin), 1]);
}

/// GS a n, enable or disable Automatic Status Back; all four groups
pub fn automatic_status(on: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&[GS, b'a', if on { 0x0f } else { 0 }]);
}

/// GS I n, transmit printer ID: 65 firmware, 66 maker, 67 model, 68 serial number
pub fn printer_id(n: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[GS, b'I', n]);
}

/// GS r n, transmit status: 1 paper sensor
pub fn transmit_status(n: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[GS, b'r', n]);
}

/// GS ( H, function 48: transmit the process id when everything before it is printed. Characters 32 to 126.
pub fn process_id(id: [u8; 4], out: &mut Vec<u8>) {
    out.extend_from_slice(&[GS, b'(', b'H', 6, 0, 0x30, 0x30]);
    out.extend_from_slice(&id);
}

/// ESC p m t1 t2, generate pulse: times in units of 2 ms
pub fn pulse(kick: &Kick, out: &mut Vec<u8>) {
    let units = |ms: u16| (ms / 2).clamp(1, 255) as u8;
    let (on, mut off) = (units(kick.on_ms), units(kick.off_ms));
    if raster::is_command(&[on, off]) {
        off += 1;
        // DLE EOT plus one is DLE ENQ.
        off += u8::from(raster::is_command(&[on, off]));
    }
    out.extend_from_slice(&[ESC, b'p', pin_number(kick.pin), on, off]);
}

/// m of ESC p and DLE DC4.
fn pin_number(pin: DrawerPin) -> u8 {
    match pin {
        DrawerPin::Two => 0,
        DrawerPin::Five => 1,
    }
}

/// GS V m n, select cut mode and cut, function B: feed to the cutting position, then cut
pub fn cut(cut: Cut, out: &mut Vec<u8>) {
    let mode = match cut {
        Cut::Full => 65,
        Cut::Partial => 66,
    };
    out.extend_from_slice(&[GS, b'V', mode, 0]);
}

/// ESC d n, print and feed n lines
fn feed(lines: u8, out: &mut Vec<u8>) {
    if lines > 0 {
        out.extend_from_slice(&[ESC, b'd', lines]);
    }
}

/// ESC a n, select justification
fn justify(align: Align, out: &mut Vec<u8>) {
    let n = match align {
        Align::Left => 0,
        Align::Centre => 1,
        Align::Right => 2,
    };
    out.extend_from_slice(&[ESC, b'a', n]);
}

/// GS ( k, functions 165, 167, 169, 180, 181: QR code, model 2
fn qr(data: &[u8], size: u8, correction: Correction, out: &mut Vec<u8>) {
    let level = match correction {
        Correction::Low => 48,
        Correction::Medium => 49,
        Correction::Quartile => 50,
        Correction::High => 51,
    };
    out.extend_from_slice(&[GS, b'(', b'k', 4, 0, 0x31, 0x41, 50, 0]);
    out.extend_from_slice(&[GS, b'(', b'k', 3, 0, 0x31, 0x43, size]);
    out.extend_from_slice(&[GS, b'(', b'k', 3, 0, 0x31, 0x45, level]);
    let [low, high] = stored_length(data);
    out.extend_from_slice(&[GS, b'(', b'k', low, high, 0x31, 0x50, 0x30]);
    out.extend_from_slice(data);
    out.extend_from_slice(&[GS, b'(', b'k', 3, 0, 0x31, 0x51, 0x30]);
}

fn stored_length(data: &[u8]) -> [u8; 2] {
    (data.len() as u16 + 3).to_le_bytes()
}

/// GS h, GS w, GS H, GS f, GS k function B: barcode
fn barcode(barcode: &Barcode, module: u8, out: &mut Vec<u8>) {
    let hri = match barcode.text_position() {
        Hri::None => 0,
        Hri::Above => 1,
        Hri::Below => 2,
        Hri::Both => 3,
    };
    out.extend_from_slice(&[GS, b'h', barcode.bar_height(), GS, b'w', module, GS, b'H', hri, GS, b'f', 0]);
    let data = barcode.data().as_bytes();
    let system = match barcode.symbology() {
        Symbology::UpcA => 65,
        Symbology::Ean13 => 67,
        Symbology::Ean8 => 68,
        Symbology::Code39 => 69,
        Symbology::Itf => 70,
        Symbology::Code128 | Symbology::Gs1128 => 73,
    };
    let in_sets = barcode.code128_data();
    let data = in_sets.as_deref().unwrap_or(data);
    out.extend_from_slice(&[GS, b'k', system, data.len() as u8]);
    out.extend_from_slice(data);
}

struct Encoder<'a> {
    profile: &'a Profile,
    writer: text::Writer<'a>,
    /// The style that the printer is set to.
    style: Style,
    out: &'a mut Vec<u8>,
}

impl Encoder<'_> {
    fn item(&mut self, item: &Item) {
        let columns = self.profile.columns;
        match item {
            Item::Text(text) => layout::text(text, columns, self),
            Item::Row(row) => layout::row(row, columns, self),
            Item::Rule(rule) => layout::rule(rule, columns, self),
            Item::Image(image) => {
                self.align(image.alignment());
                raster::encode(&Bitmap::from_image(image, self.profile.width.0), self.profile, self.out);
            }
            Item::Qr(qr) => self.qr(qr),
            Item::Barcode(barcode) => self.barcode(barcode),
            Item::Feed(lines) => feed(lines.lines, self.out),
            Item::Cut(how) => {
                if self.profile.cutter == Known::No {
                    feed(4, self.out);
                } else {
                    cut(*how, self.out);
                }
            }
            Item::Drawer(kick) => pulse(kick, self.out),
        }
    }

    fn qr(&mut self, code: &Qr) {
        let Some(size) = code.module_for(self.profile.width) else {
            return self.note(code.data(), code.alignment());
        };
        self.align(code.alignment());
        // The quiet zone of four modules (ISO/IEC 18004, 6.3.8), in lines of at least 24 dots.
        let quiet = (4 * size).div_ceil(24);
        feed(quiet, self.out);
        self.draw_qr(code, size);
        feed(quiet, self.out);
    }

    fn draw_qr(&mut self, code: &Qr, size: u8) {
        let data = code.data().as_bytes();
        // A data length whose bytes are a real-time command cannot be sent; the code is drawn.
        if self.profile.qr != Known::No && !raster::is_command(&stored_length(data)) {
            return qr(data, size, code.level(), self.out);
        }
        let (width, modules) = document::draw_qr(data, code.level()).expect("its size was checked when it was built");
        let size = u32::from(size);
        let mut map = Bitmap::new(width as u32 * size, width as u32 * size);
        for (i, _) in modules.iter().enumerate().filter(|(_, black)| **black) {
            let (x, y) = ((i % width) as u32 * size, (i / width) as u32 * size);
            (y..y + size).for_each(|y| map.set_run(x, y, size));
        }
        raster::encode(&map, self.profile, self.out);
    }

    fn barcode(&mut self, code: &Barcode) {
        match code.module_for(self.profile.width) {
            Some(module) if self.profile.barcodes == Known::No => self.draw_barcode(code, module),
            Some(module) => {
                self.align(code.alignment());
                barcode(code, module, self.out);
            }
            None => self.note(code.data(), code.alignment()),
        }
    }

    fn draw_barcode(&mut self, code: &Barcode, module: u8) {
        let widths = symbols::elements(code.symbology(), code.data().as_bytes(), module.into());
        let height = u32::from(code.bar_height());
        let mut map = Bitmap::new(widths.iter().sum(), height);
        let mut x = 0;
        // Bar, space, bar.
        for (i, width) in widths.into_iter().enumerate() {
            if i % 2 == 0 {
                (0..height).for_each(|y| map.set_run(x, y, width));
            }
            x += width;
        }
        let position = code.text_position();
        if matches!(position, Hri::Above | Hri::Both) {
            self.note(code.data(), code.alignment());
        }
        self.align(code.alignment());
        raster::encode(&map, self.profile, self.out);
        if matches!(position, Hri::Below | Hri::Both) {
            self.note(code.data(), code.alignment());
        }
    }

    /// Prints a code's data where the code itself does not fit.
    fn note(&mut self, data: &str, align: Align) {
        let style = Style { align, ..Style::default() };
        layout::text(&Text { text: data.into(), style }, self.profile.columns, self);
    }

    fn align(&mut self, align: Align) {
        if self.style.align != align {
            justify(align, self.out);
            self.style.align = align;
        }
    }

    /// Sends the differences from the style that the printer is set to.
    fn become_styled(&mut self, style: &Style) {
        let now = self.style;
        if now.bold != style.bold {
            // ESC E n, turn emphasized mode on or off
            self.out.extend_from_slice(&[ESC, b'E', style.bold.into()]);
        }
        if now.underline != style.underline {
            // ESC - n, turn underline mode on or off
            self.out.extend_from_slice(&[ESC, b'-', style.underline.into()]);
        }
        if now.invert != style.invert {
            // GS B n, turn white/black reverse print mode on or off
            self.out.extend_from_slice(&[GS, b'B', style.invert.into()]);
        }
        let size = |s: &Style| (s.times_wide() - 1) << 4 | (s.times_high() - 1);
        if size(&now) != size(style) {
            // GS ! n, select character size
            self.out.extend_from_slice(&[GS, b'!', size(style)]);
        }
        self.style = Style { align: now.align, ..*style };
    }

    fn become_plain(&mut self) {
        self.become_styled(&Style::default());
        self.align(Align::Left);
    }
}

impl Sink for Encoder<'_> {
    fn printable<'t>(&self, text: &'t str) -> Cow<'t, str> {
        text::printable(text, &self.profile.code_pages)
    }

    fn begin(&mut self, style: &Style, align: Align) {
        self.align(align);
        self.become_styled(style);
    }

    fn style(&mut self, style: &Style) {
        self.become_styled(style);
    }

    fn text(&mut self, text: &str) {
        self.writer.write(text, self.out);
    }

    fn fill(&mut self, with: char, count: usize) {
        if text::is_plain(with) {
            self.out.resize(self.out.len() + count, with as u8);
        } else {
            // Once, with its code page if needed; then the same byte again.
            if count > 0 {
                self.writer.write(with.encode_utf8(&mut [0; 4]), self.out);
                let byte = self.out.last().copied().unwrap_or(b' ');
                self.out.resize(self.out.len() + count - 1, byte);
            }
        }
    }

    fn end(&mut self) {
        self.out.push(LF);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::{Cell, Dither, Image, Row};

    fn content(receipt: Receipt) -> Vec<u8> {
        let mut out = Vec::new();
        encode_into(&receipt, &Profile::epson_tm_m30(), None, &mut out);
        out.strip_prefix(b"\x1b\x74\x13").expect("ESC t 19: CP858 first").to_vec()
    }

    #[test]
    fn a_receipt_begins_with_initialisation_and_its_code_page() {
        // Epson ESC @: 1B 40; ESC R: 1B 52 n, 0 is USA; ESC t: 1B 74 n, 19 is PC858; FS .: 1C 2E.
        let receipt = Receipt::new().text("a");
        assert_eq!(encode(&receipt, &Profile::generic_80()), b"\x1b\x40\x1b\x52\x00\x1b\x74\x13a\n");
        let chinese = Profile { cancel_kanji: true, ..Profile::generic_80() };
        assert_eq!(encode(&receipt, &chinese), b"\x1b\x40\x1b\x52\x00\x1c\x2e\x1b\x74\x13a\n");
    }

    /// Epson DLE DC4 fn 1: 10 14 01 m t, t × 100 ms.
    #[test]
    fn a_pulse_in_real_time_as_the_manual_has_it() {
        let mut out = Vec::new();
        realtime_pulse(DrawerPin::Five, &mut out);
        assert_eq!(out, b"\x10\x14\x01\x01\x01");
    }

    /// Epson: ESC a 1B 61 n; ESC E 1B 45 n; ESC - 1B 2D n; GS B 1D 42 n; GS ! 1D 21 n with the width in
    /// the high half.
    #[test]
    fn styles_are_sent_where_they_change() {
        let bold = Style::new().bold();
        assert_eq!(
            content(Receipt::new().styled("a", bold).styled("b", bold).text("c")),
            b"\x1b\x45\x01a\nb\n\x1b\x45\x00c\n"
        );
        assert_eq!(
            content(Receipt::new().styled("a", Style::new().centre().underline().size(2, 3))),
            b"\x1b\x61\x01\x1b\x2d\x01\x1d\x21\x12a\n\x1b\x2d\x00\x1d\x21\x00\x1b\x61\x00"
        );
        assert_eq!(content(Receipt::new().styled("a", Style::new().invert())), b"\x1d\x42\x01a\n\x1d\x42\x00");
    }

    /// Epson GS ( k functions 165, 167, 169, 180, 181 for cn = 49.
    #[test]
    fn qr_as_the_manual_has_it() {
        let qr =
            Qr::new("AB").expect("short").size(5).align(Align::Left).correction(Correction::Quartile).expect("fits");
        assert_eq!(
            content(Receipt::new().qr(qr)),
            b"\x1b\x64\x01\
              \x1d\x28\x6b\x04\x00\x31\x41\x32\x00\
              \x1d\x28\x6b\x03\x00\x31\x43\x05\
              \x1d\x28\x6b\x03\x00\x31\x45\x32\
              \x1d\x28\x6b\x05\x00\x31\x50\x30AB\
              \x1d\x28\x6b\x03\x00\x31\x51\x30\
              \x1b\x64\x01"
        );
    }

    /// Epson GS k function B: 1D 6B m n d1…dn; GS h 1D 68, GS w 1D 77, GS H 1D 48, GS f 1D 66.
    #[test]
    fn barcodes_as_the_manual_has_them() {
        let head = |m, n| [b"\x1d\x68\x50\x1d\x77\x02\x1d\x48\x02\x1d\x66\x00\x1d\x6b", &[m, n][..]].concat();
        for (code, m, data) in [
            (Barcode::upc_a("036000291452"), 65, "036000291452"),
            (Barcode::ean13("4006381333931"), 67, "4006381333931"),
            (Barcode::ean8("73513537"), 68, "73513537"),
            (Barcode::code39("AB-1"), 69, "AB-1"),
            (Barcode::itf("123456"), 70, "123456"),
            (Barcode::code128("a{1"), 73, "{Ba{{1"),
        ] {
            let code = code.expect(data).align(Align::Left);
            assert_eq!(content(Receipt::new().barcode(code)), [&head(m, data.len() as u8), data.as_bytes()].concat());
        }
    }

    /// Epson: ESC d 1B 64 n; GS V 1D 56 65/66 n; ESC p 1B 70 m t1 t2, 2 ms units.
    #[test]
    fn feed_cut_and_pulse_as_the_manual_has_them() {
        let receipt = Receipt::new()
            .feed(3)
            .cut()
            .item(Item::Cut(Cut::Full))
            .drawer(DrawerPin::Two)
            .item(Item::Drawer(Kick { pin: DrawerPin::Five, on_ms: 100, off_ms: 9000 }));
        assert_eq!(
            content(receipt),
            b"\x1b\x64\x03\x1d\x56\x42\x00\x1d\x56\x41\x00\x1b\x70\x00\x19\xfa\x1b\x70\x01\x32\xff"
        );
    }

    #[test]
    fn what_a_printer_cannot_do_is_done_another_way() {
        let plain = Profile { cutter: Known::No, qr: Known::No, ..Profile::generic_58() };
        let bytes = encode(&Receipt::new().qr(Qr::new("x").expect("short")).cut(), &plain);
        assert!(bytes.windows(4).any(|w| w == b"\x1dv0\x00") && !bytes.windows(3).any(|w| w == b"\x1d(k"));
        assert!(bytes.windows(3).any(|w| w == b"\x1b\x64\x04") && !bytes.windows(2).any(|w| w == b"\x1dV"));
        // A barcode is drawn: EAN-13 has 95 modules, here of 2 dots in 80 rows, that is 24 bytes a row.
        let drawn = Profile { barcodes: Known::No, ..plain.clone() };
        let bytes = encode(&Receipt::new().barcode(Barcode::ean13("4006381333931").expect("right")), &drawn);
        assert!(bytes.windows(8).any(|w| w == b"\x1dv0\x00\x18\x00\x50\x00"), "{bytes:x?}");
        assert!(!bytes.windows(2).any(|w| w == b"\x1dk") && bytes.windows(14).any(|w| w == b"4006381333931\n"));
        let long = Barcode::code128("x".repeat(60)).expect("fits");
        let bytes = encode(&Receipt::new().barcode(long), &plain);
        assert!(bytes.windows(32).any(|w| w == [b'x'; 32]) && !bytes.windows(2).any(|w| w == b"\x1dk"));
    }

    #[test]
    fn a_copy_says_so_first() {
        let mut out = Vec::new();
        encode_into(&Receipt::new().text("x"), &Profile::generic_80(), Some("COPY"), &mut out);
        assert_eq!(out, b"\x1bt\x13\x1ba\x01\x1bE\x01\x1dB\x01COPY\n\x1ba\x00\x1bE\x00\x1dB\x00x\n");
    }

    fn receipts() -> impl Strategy<Value = Receipt> {
        let text = || "[ -~\\n\\x00-\\x1fäß€漢─]{0,60}";
        let item = prop_oneof![
            (text(), 0u8..10, any::<bool>()).prop_map(|(t, n, b)| Receipt::new()
                .styled(t, Style { bold: b, invert: !b, ..Style::new().centre().size(n, n / 2) })),
            (text(), text()).prop_map(|(a, b)| Receipt::new().row(a, b)),
            (text(), any::<u16>()).prop_map(|(t, w)| Receipt::new().columns(Row::new([Cell::fixed(w, t)]))),
            (1u32..70, prop::collection::vec(any::<u8>(), 1..70)).prop_map(|(w, p)| Receipt::new().image(
                Image::grey(w, 9, p.iter().copied().cycle().take(w as usize * 9).collect())
                    .expect("pixels")
                    .dither(Dither::Bayer)
            )),
            (1usize..2300).prop_map(|n| Receipt::new().qr(Qr::new("q".repeat(n)).expect("fits"))),
            "[ -~]{1,80}".prop_map(|t| Receipt::new().barcode(Barcode::code128(t).expect("ASCII"))),
            (any::<u16>(), any::<u16>()).prop_map(|(on_ms, off_ms)| Receipt::new().item(Item::Drawer(Kick {
                pin: DrawerPin::Two,
                on_ms,
                off_ms
            }))),
            any::<u8>().prop_map(|n| Receipt::new().feed(n)),
        ];
        prop::collection::vec(item, 0..6).prop_map(|parts| parts.into_iter().fold(Receipt::new(), Receipt::append))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_in_a_receipt_is_a_real_time_command(receipt in receipts()) {
            for profile in Profile::all() {
                let bytes = encode(&receipt, &profile);
                prop_assert!(!bytes.windows(2).any(raster::is_command));
            }
        }
    }
}
