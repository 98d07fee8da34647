use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tresen::cameras::reader;
use tresen::hal::address::LinkKind;
use tresen::hal::link;
use tresen::hal::{BoxFuture, Driver, Error, Kind, Link};
use tresen::scanners::{Symbology, serial};
use tresen::{Address, Cameras, Class, Clock, Result, Scan, Scanners, SystemClock, SystemRuntime};

use super::diagnose::{diagnosed, hex};
use crate::devices;
use crate::out::Out;

/// Show what a scanner or camera reads, as it is read
///
/// With --json each scan is an object on a line of its own: bytes, text, symbology, AIM identifier,
/// device and time. Exit status: 1 if nothing was read in time, or if the input was not text, as with a
/// wrong baud rate.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scanner or camera, such as scanner+hid://0c2e:0b6a, scanner+serial:///dev/ttyACM0 or
    /// camera+file:///var/frames; `tresen list` shows the connected ones
    #[arg(value_parser = devices::address)]
    address: Address,

    /// Stop after this many scans
    #[arg(short, long, value_name = "N")]
    count: Option<usize>,

    /// Stop with an error if nothing is read for this many seconds
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let name = args.address.label();
    let heard = Heard::default();
    let mut source = match open(&args.address, &name, &heard).await {
        Ok(source) => source,
        Err(error) => return Err(diagnosed(&args.address, error).await),
    };
    out.say(format_args!("reading from {name}; Ctrl-C stops"));
    let patience = args.timeout.map_or(Duration::MAX, Duration::from_secs);
    let (mut left, mut garbled) = (args.count.unwrap_or(usize::MAX), 0);
    while left > 0 {
        heard.forget();
        let scan = tokio::select! {
            scan = tokio::time::timeout(patience, source.event()) => match scan {
                Ok(scan) => scan?,
                Err(_) => return Err(nothing(&args.address, &name, &heard)),
            },
            _ = tokio::signal::ctrl_c() => break,
        };
        left -= 1;
        out.answer(&scan, format_args!("{}  {}", scan.symbology, scan.text.escape_debug()));
        if scan.symbology == Symbology::Unknown && is_garbled(&scan.bytes) {
            garbled += 1;
            out.failed(
                &Error::new(Kind::Protocol, format!("not text: {}", hex(&scan.bytes[..scan.bytes.len().min(16)])))
                    .at(&name)
                    .hint(BAUD),
            );
        }
    }
    source.close().await;
    Ok(if garbled > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(super) async fn open(address: &Address, name: &str, heard: &Heard) -> Result<Box<dyn Driver<Event = Scan>>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let lines = matches!(address.link(), LinkKind::Serial { .. } | LinkKind::Tcp { .. });
    Ok(match devices::drivers().class_of(address)? {
        Class::Camera => {
            let (camera, options) = (devices::open::<Cameras>(address).await?, reader::Options::from_address(address)?);
            Box::new(tresen::CameraScans::new(camera, options, name, Arc::new(SystemRuntime::new()))?)
        }
        // Received bytes are counted, to tell a code without a terminator from silence.
        Class::Scanner if lines => {
            devices::drivers().check(Class::Scanner, address)?;
            let options = serial::Options::from_address(address)?;
            let counted = Counted { link: link::open(address).await?, heard: heard.clone() };
            Box::new(serial::open(Box::new(counted), name, options, clock)?)
        }
        _ => devices::open::<Scanners>(address).await?,
    })
}

/// Whether the bytes look like a wrong baud rate: control characters that no code contains, or invalid UTF-8.
pub(super) fn is_garbled(bytes: &[u8]) -> bool {
    // FS, GS, RS, US and EOT occur in GS1 and ISO 15434 data; tabs and line ends in QR codes.
    let odd = |b: &u8| *b < 0x20 && !matches!(b, 0x04 | b'\t' | b'\r' | b'\n' | 0x1c..=0x1f);
    let is_cut = |error: std::str::Utf8Error| error.error_len().is_none();
    bytes.iter().any(odd) || !std::str::from_utf8(bytes).map_or_else(is_cut, |_| true)
}

/// The error for a timeout, with the likely cause.
pub(super) fn nothing(address: &Address, name: &str, heard: &Heard) -> Error {
    let error = Error::new(Kind::Timeout, "nothing was read").at(name);
    let (count, first) = heard.so_far();
    if is_garbled(&first) {
        return Error::new(Kind::Protocol, format!("received {count} bytes that are not text: {}", hex(&first)))
            .at(name)
            .hint(BAUD);
    }
    if count > 0 {
        return Error::new(Kind::Timeout, format!("received {count} bytes, but no end of a code: {}", hex(&first)))
            .at(name)
            .hint(
                "set the scanner to end each code with Enter (CR), or add `suffix=none` to the address; \
                 if the bytes are not those of the code, the baud rate is wrong",
            );
    }
    error.hint(match address.link() {
        LinkKind::Hid(_) => "does it beep? If so: is it in the mode that its manual calls HID POS?",
        LinkKind::Evdev(_) => "does it beep? If so: is it in keyboard mode, and does it end each code with Enter?",
        LinkKind::V4l2 { .. } | LinkKind::File { .. } | LinkKind::Url(_) => {
            "is the code sharp, well lit and entirely in the picture?"
        }
        LinkKind::Tcp { .. } => "does it beep? If so: is this the port that it sends its codes to?",
        _ => "does it beep? If so: is it in the mode that its manual calls serial, at this baud rate?",
    })
}

/// Bytes received since the last scan.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<(AtomicUsize, Mutex<Vec<u8>>)>);

impl Heard {
    fn note(&self, bytes: &[u8]) {
        self.0.0.fetch_add(bytes.len(), Ordering::Relaxed);
        let mut first = self.0.1.lock().expect("no holder of this lock panics");
        let room = 16 - first.len();
        first.extend(&bytes[..bytes.len().min(room)]);
    }

    fn forget(&self) {
        self.0.0.store(0, Ordering::Relaxed);
        self.0.1.lock().expect("no holder of this lock panics").clear();
    }

    pub(super) fn so_far(&self) -> (usize, Vec<u8>) {
        (self.0.0.load(Ordering::Relaxed), self.0.1.lock().expect("no holder of this lock panics").clone())
    }
}

/// A link that counts what it receives.
#[derive(Debug)]
struct Counted {
    link: Box<dyn Link>,
    heard: Heard,
}

impl Link for Counted {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        self.link.send(bytes)
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let count = self.link.recv(into).await?;
            self.heard.note(&into[into.len() - count..]);
            Ok(count)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.link.close()
    }
}

const BAUD: &str =
    "does the baud rate in the address match the scanner's? add ?baud=9600, 19200, 38400, 57600 or 115200";
