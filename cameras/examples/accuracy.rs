//! Decodes folders of sample pictures and prints how many were read right and how long it took.
//!
//! `cargo run --release -p tresen-cameras --example accuracy -- FOLDER [rxing|zxing] [SET…]`
//!
//! Each folder in FOLDER is a set, named after its format as zxing-cpp names its samples (`ean13-1`,
//! `qrcode-2`). Beside each picture lies its text in a `.txt`; sets named `falsepositives-…` have none, and
//! all retail formats are looked for in them.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tresen_cameras::decode::{Decoder, Format, Hints, Rxing, load};
use tresen_hal::SystemClock;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let mut decoder: Box<dyn Decoder> = match arguments.next().as_deref() {
        None | Some("rxing") => Box::new(Rxing::default()),
        #[cfg(feature = "zxing-cpp")]
        Some("zxing") => Box::new(tresen_cameras::decode::ZxingCpp::default()),
        Some(other) => return Err(format!("this build has no decoder `{other}`").into()),
    };
    let wanted: Vec<_> = arguments.collect();
    let mut sets: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    sets.sort_by_key(|set| set.file_name());
    for set in sets {
        let name = set.file_name().to_string_lossy().into_owned();
        if wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w.as_str())) {
            measure(&name, &set.path(), &mut *decoder)?;
        }
    }
    Ok(())
}

fn measure(name: &str, folder: &Path, decoder: &mut dyn Decoder) -> Result<(), Box<dyn std::error::Error>> {
    let is_empty_set = name.starts_with("falsepositives");
    let hints = match formats(name) {
        _ if is_empty_set => Hints::retail(),
        Some(format) => Hints::new(&[format]),
        None => Hints::all(),
    };
    let (mut pictures, mut right, mut wrong, mut time, mut longest) = (0, 0, 0, Duration::ZERO, Duration::ZERO);
    let mut files: Vec<_> = std::fs::read_dir(folder)?.filter_map(|f| f.ok().map(|f| f.path())).collect();
    files.sort();
    for path in files.iter().filter(|p| p.extension().is_some_and(|e| e == "png" || e == "webp" || e == "jpg")) {
        let expected = std::fs::read_to_string(path.with_extension("txt")).ok();
        if expected.is_none() && !is_empty_set {
            continue;
        }
        let frame = load(path, &SystemClock)?;
        let mut scratch = Vec::new();
        let view = frame.grey(&mut scratch)?;
        let start = Instant::now();
        let codes = decoder.decode(&view, &hints, &SystemClock).unwrap_or_default();
        let took = start.elapsed();
        time += took;
        longest = longest.max(took);
        pictures += 1;
        match expected {
            Some(text) if codes.iter().any(|c| same(c.format, c.text.trim_end(), text.trim_end())) => right += 1,
            _ if codes.is_empty() => {}
            expected => {
                wrong += 1;
                let read: Vec<_> = codes.iter().map(|c| format!("{:?} {}", c.format, c.text)).collect();
                println!("  {}: {read:?}, expected {expected:?}", path.display());
            }
        }
    }
    let percent = 100.0 * f64::from(right) / f64::from(pictures.max(1));
    let mean = time.as_secs_f64() * 1000.0 / f64::from(pictures.max(1));
    let longest = longest.as_secs_f64() * 1000.0;
    println!(
        "{name:20} {right:3} of {pictures:3} = {percent:5.1} %, {wrong} wrong, {mean:6.2} ms, at most {longest:6.1} ms"
    );
    Ok(())
}

/// The samples print UPC-A with a zero in front, UPC-E expanded and GS1 with brackets.
fn same(format: Format, read: &str, expected: &str) -> bool {
    let plain =
        |text: &str| text.replace(['(', ')', '\u{1d}'], "").replace("<GS>", "").trim_start_matches('0').to_owned();
    let read = if format == Format::UpcE { expanded(read) } else { read.to_owned() };
    read == expected || plain(&read) == plain(expected)
}

/// The UPC-A of a UPC-E of eight digits.
fn expanded(code: &str) -> String {
    let (head, six, check) = (&code[..1], &code[1..7], &code[7..]);
    let (body, last) = six.split_at(5);
    match last {
        "0" | "1" | "2" => format!("{head}{}{last}0000{}{check}", &body[..2], &body[2..]),
        "3" => format!("{head}{}00000{}{check}", &body[..3], &body[3..]),
        "4" => format!("{head}{}00000{}{check}", &body[..4], &body[4..]),
        _ => format!("{head}{body}0000{last}{check}"),
    }
}

fn formats(set: &str) -> Option<Format> {
    Some(match set.rsplit_once('-')?.0 {
        "ean13" => Format::Ean13,
        "ean8" => Format::Ean8,
        "upca" => Format::UpcA,
        "upce" => Format::UpcE,
        "code128" => Format::Code128,
        "code39" => Format::Code39,
        "itf" => Format::Itf,
        "qrcode" => Format::Qr,
        "microqrcode" => Format::MicroQr,
        "datamatrix" => Format::DataMatrix,
        "aztec" => Format::Aztec,
        "pdf417" => Format::Pdf417,
        "rss14" => Format::DataBar,
        "rssexpanded" => Format::DataBarExpanded,
        "databarltd" => Format::DataBarLimited,
        _ => return None,
    })
}
