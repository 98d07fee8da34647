use std::time::Duration;

use tresen::hal::address::LinkKind;
use tresen::hal::{Clock, Error, Kind};
use tresen::{Address, Result, SystemClock};

use crate::out::Out;

/// Show what a scanner or camera reads, as it reads it
///
/// With --json each scan is an object on a line of its own: bytes, text, symbology, AIM identifier,
/// device and time.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scanner or camera, such as scanner+hid://0c2e:0b6a, scanner+serial:///dev/ttyACM0 or
    /// camera+file:///var/frames; `tresen list` shows what is there
    address: Address,

    /// Stop after this many scans
    #[arg(short, long, value_name = "N")]
    count: Option<usize>,

    /// Stop with an error if nothing is read for this many seconds
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(SystemClock);
    let name = args.address.label();
    let patience = args.timeout.map_or(Duration::MAX, Duration::from_secs);
    let late = || {
        Error::new(Kind::Timeout, "nothing was read").at(&name).hint(match args.address.link() {
            LinkKind::Hid(_) => "does it beep? if so: is it in the mode that its manual calls HID POS?",
            LinkKind::Evdev(_) => "does it beep? if so: is it in keyboard mode, and does it end a code with Enter?",
            LinkKind::V4l2 { .. } | LinkKind::File { .. } | LinkKind::Url(_) => {
                "is the code sharp, well lit and as a whole in the picture?"
            }
            _ => "does it beep? if so: is it in the mode that its manual calls serial, at this baud rate?",
        })
    };
    let mut left = args.count.unwrap_or(usize::MAX);
    let mut source: Box<dyn tresen::hal::Driver<Event = tresen::Scan>> = match args.address.protocol() {
        "camera" => Box::new(tresen::CameraScans::open(&args.address, &name, clock).await?),
        _ => tresen::open_scanner(&args.address, &name, clock).await?.0,
    };
    out.say(format_args!("reading from {name}; Ctrl-C ends"));
    while left > 0 {
        let scan = tokio::select! {
            scan = tokio::time::timeout(patience, source.event()) => scan.map_err(|_| late())??,
            _ = tokio::signal::ctrl_c() => break,
        };
        left -= 1;
        out.answer(&scan, format_args!("{}  {}", scan.symbology, scan.text.escape_debug()));
    }
    source.close().await;
    Ok(())
}
