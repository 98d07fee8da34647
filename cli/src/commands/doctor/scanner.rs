//! The mode of a scanner: as far as the system shows it, and by a code that somebody scans.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tresen::hal::Driver;
use tresen::hal::address::LinkKind;
use tresen::hal::discovery::{self, DeviceKind};
use tresen::scanners::scan::AimSource;
use tresen::{Address, Class, Result, Scan};

use super::finding::Finding;
use super::{device, serial};
use crate::commands::diagnose::hex;
use crate::commands::scan::{Heard, is_garbled, nothing, open};
use crate::devices;
use crate::out::Out;

/// Adds which scanners are connected in another mode than the one that was not found.
pub(super) async fn other_modes(address: &Address, mut finding: Finding) -> Finding {
    if devices::drivers().class_of(address).is_ok_and(|class| class != Class::Scanner) {
        return finding;
    }
    let wanted = address.link().scheme();
    for found in discovery::list().await.found {
        if found.kind != Some(DeviceKind::Scanner) || found.link.scheme() == wanted {
            continue;
        }
        let there = devices::drivers().recognised(found);
        finding = finding.seen(format!("connected is: {there}"));
        finding.hint = Some(match &there.link {
            LinkKind::Evdev(_) => format!(
                "the scanner is in keyboard mode: scan the code for HID POS or serial (COM port) mode in its manual, or use {}",
                there.address_for(address.protocol())
            ),
            _ => format!("the scanner is in another mode: use {}", there.address_for(address.protocol())),
        });
    }
    finding
}

/// Waits for codes, and says what they tell of the scanner's settings. After one that is not text it tries the next baud
/// rate.
pub(super) async fn scanned(address: &Address, patience: Duration, out: Out) -> Finding {
    let subject = "a scan";
    let deadline = Instant::now() + patience;
    let is_serial = matches!(address.link(), LinkKind::Serial { .. });
    let mut rates = serial::others(address);
    let (mut at, mut garbled) = (address.clone(), Vec::new());
    loop {
        let heard = Heard::default();
        let name = at.label();
        let mut source = match open(&at, &name, &heard).await {
            Ok(source) => source,
            Err(error) => return Finding::of(subject, &error),
        };
        out.note(if garbled.is_empty() { "scan a code now" } else { "scan it again" });
        let scan = read(&mut *source, &heard, deadline).await;
        source.close().await;
        let rate = at.option("baud").unwrap_or("9600").to_owned();
        let bytes = match &scan {
            Ok(Some(scan)) => scan.bytes.clone(),
            // Noise has no end.
            Ok(None) => heard.so_far().1,
            Err(error) => return Finding::of(subject, error),
        };
        if is_garbled(&bytes) {
            garbled.push(format!("at {rate} baud came {}", hex(&bytes[..bytes.len().min(16)])));
            match rates.next().filter(|_| is_serial) {
                Some(next) => at = device::with(address, "baud", &next.to_string()),
                None => {
                    let mut finding = Finding::failed(subject, "what came is not text");
                    finding.evidence = garbled;
                    return finding.hint(
                        "are baud rate, parity and data bits those of the scanner? its manual has a code for its defaults",
                    );
                }
            }
            continue;
        }
        let Ok(Some(scan)) = scan else {
            let mut finding = Finding::of(subject, &nothing(&at, &name, &heard));
            finding.evidence.extend(garbled);
            return finding;
        };
        if !garbled.is_empty() {
            let mut finding = Finding::failed(subject, "the baud rate is wrong");
            finding.evidence = garbled;
            return finding
                .seen(format!("at {rate} baud came a code of {} characters", scan.text.chars().count()))
                .hint(format!("set the rate: {at}"));
        }
        let what = format!("{}, {} characters", scan.symbology, scan.text.chars().count());
        let reported = scan.aim.is_some_and(|aim| aim.source == AimSource::Reported);
        if reported || matches!(address.link(), LinkKind::Hid(_)) {
            return Finding::ok(subject, what);
        }
        return Finding::warning(subject, format!("{what}, without an AIM identifier")).hint(
            "the symbology is guessed: scan the code for \"AIM ID\" as prefix in the scanner's manual, so that GS1 codes \
             and vouchers are told apart for certain",
        );
    }
}

/// The next scan; `None` if none came in time, or if what came is not text and has no end.
async fn read(source: &mut dyn Driver<Event = Scan>, heard: &Heard, deadline: Instant) -> Result<Option<Scan>> {
    let mut before = 0;
    loop {
        if let Ok(scan) = timeout_at(deadline.min(Instant::now() + QUIET), source.event()).await {
            return scan.map(Some);
        }
        let (count, first) = heard.so_far();
        let is_noise = count > 0 && count == before && is_garbled(&first);
        if is_noise || Instant::now() >= deadline {
            return Ok(None);
        }
        before = count;
    }
}

/// The silence that ends noise.
const QUIET: Duration = Duration::from_millis(700);
