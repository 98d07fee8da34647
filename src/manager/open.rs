//! From an address to a driver: the one place that knows which protocol belongs to which class.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tresen_hal::address::{LinkKind, UsbId};
use tresen_hal::{Address, BoxFuture, Clock, Effect, Error, Kind, Result, link};
use tresen_payment::{self as payment, Journal, zvt};
use tresen_printers::{self as printers, escpos};
use tresen_scanners::{self as scanners, hid, serial as line, wedge};

use super::camera::CameraScans;
use super::owner::Opened;
use crate::sale::Language;

/// A protocol that this build speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Protocol {
    /// As it stands in addresses.
    pub name: &'static str,
    /// The class of its devices, as it stands in configurations: `printers`, `terminals`, …
    pub class: &'static str,
}

impl Protocol {
    /// Its options over this link; those of the link come on top.
    pub fn options(&self, link: &LinkKind) -> &'static [&'static str] {
        match (self.name, link) {
            ("escpos", _) => escpos::Options::NAMES,
            ("zvt", _) => zvt::Options::NAMES,
            ("scanner", LinkKind::Hid(_)) => &hid::OPTIONS,
            ("scanner", LinkKind::Evdev(_)) => &wedge::OPTIONS,
            ("scanner", _) => &line::OPTIONS,
            _ => &CameraScans::OPTIONS,
        }
    }
}

/// All protocols that this build speaks.
pub fn protocols() -> &'static [Protocol] {
    &PROTOCOLS
}

static PROTOCOLS: [Protocol; 4] = [
    Protocol { name: "escpos", class: "printers" },
    Protocol { name: "zvt", class: "terminals" },
    Protocol { name: "scanner", class: "scanners" },
    Protocol { name: "camera", class: "cameras" },
];

/// Checks what can be checked without a device: protocol, link, options and their values.
pub(crate) fn check_address(class: &str, address: &Address) -> Result<()> {
    let protocol = PROTOCOLS.iter().find(|p| p.name == address.protocol() && p.class == class).ok_or_else(|| {
        let known: Vec<_> = PROTOCOLS.iter().filter(|p| p.class == class).map(|p| p.name).collect();
        Error::new(Kind::Address, format!("{class} do not speak `{}`", address.protocol()))
            .hint(format!("protocols of {class}: {}", known.join(", ")))
    })?;
    let meant = meant(address);
    let options = protocol.options(meant.link()).iter().copied().chain(link::options(address.link()));
    let options: Vec<_> = options.collect();
    address.check_options(&options)?;
    match address.link() {
        LinkKind::File { .. } | LinkKind::V4l2 { .. } | LinkKind::Url(_) if class != "cameras" => {
            return Err(Error::new(Kind::Address, format!("{class} are not reached by `{}`", address.link().scheme())));
        }
        link if class == "terminals" && !matches!(link, LinkKind::Tcp { .. } | LinkKind::Replay { .. }) => {
            let what = format!("terminals are not reached by `{}` yet, only by network", link.scheme());
            return Err(Error::new(Kind::Unsupported, what).hint("connect it to the network: zvt+tcp://HOST:20007"));
        }
        _ => link::check(address)?,
    }
    match protocol.name {
        "escpos" => escpos::Options::from_address(address).map(drop),
        "zvt" => zvt::Options::from_address(address).map(drop),
        "scanner" => match meant.link() {
            LinkKind::Hid(_) => hid::check(address),
            LinkKind::Evdev(_) => wedge::check(address),
            _ => line::Framing::from_address(address).map(drop),
        },
        _ => CameraScans::check(address),
    }
}

/// The address; of a recording the one that it stands in for, with the options given now.
fn meant(address: &Address) -> Address {
    let LinkKind::Replay { path } = address.link() else { return address.clone() };
    let capture = link::replay::Capture::read(path).ok();
    let Some(recorded) = capture.and_then(|c| c.label.parse::<Address>().ok()) else { return address.clone() };
    let same = Address::new(address.protocol(), recorded.link().clone());
    address.options().fold(same, |same, (name, value)| same.with(name, value))
}

/// What masks card data and passwords in a recording of this protocol; one for each link.
pub fn redaction(address: &Address) -> Box<dyn link::record::Redactor> {
    match address.protocol() {
        "zvt" => Box::<zvt::Redactor>::default(),
        _ => Box::new(link::record::Plain),
    }
}

/// Opens the printer at `address`; also returns the address without options.
///
/// # Errors
/// The address is none of a printer, or the printer cannot be reached.
pub async fn open_printer(address: &Address) -> Result<(Box<dyn printers::Printer>, String)> {
    printer(address, Language::English).await
}

/// The same; what the library itself puts on paper is in `language`.
pub(super) async fn printer(address: &Address, language: Language) -> Result<(Box<dyn printers::Printer>, String)> {
    check_address("printers", address)?;
    let mut options = escpos::Options::from_address(address)?;
    if language == Language::German {
        options.copy_mark = GERMAN_COPY_MARK.into();
    }
    let printer =
        escpos::Printer::open(link::open(address).await?, options).await.map_err(|e| e.at(address.label()))?;
    Ok((Box::new(printer), address.label()))
}

/// Opens the terminal at `address`, whose payments stand in `journal` under `name`. Call
/// [`payment::Terminal::recover`] next.
///
/// # Errors
/// The address is none of a terminal, or the terminal cannot be reached or refuses us.
pub async fn open_terminal(
    address: &Address,
    name: &str,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
) -> Result<(Box<dyn payment::Terminal>, String)> {
    check_address("terminals", address)?;
    let mut options = zvt::Options::from_address(address)?;
    name.clone_into(&mut options.name);
    let link = link::open_redacted(address, redaction(address)).await?;
    let terminal = zvt::open(link, options, journal, clock).await.map_err(|e| e.at(address.label()))?;
    Ok((Box::new(terminal), address.label()))
}

/// Opens the scanner at `address`; its scans carry `name`.
///
/// # Errors
/// The address is none of a scanner, or the scanner cannot be reached.
pub async fn open_scanner(
    address: &Address,
    name: &str,
    clock: Arc<dyn Clock>,
) -> Result<(Box<dyn scanners::Scanner>, String)> {
    check_address("scanners", address)?;
    let meant = meant(address);
    let scanner: Box<dyn scanners::Scanner> = match meant.link() {
        // A recording tells no descriptor, and comes all at once.
        LinkKind::Hid(_) if meant != *address => {
            hid::from_descriptor(link::open(address).await?, name, &meant.with("settle", "0"), None, clock)?
        }
        LinkKind::Hid(id) => {
            let (link, descriptor) = open_hid(address, id).await?;
            hid::from_descriptor(link, name, address, Some(&descriptor), clock)?
        }
        LinkKind::Evdev(_) => {
            let link = link::open(address).await?;
            Box::new(wedge::WedgeScanner::from_address(link, name, address)?.with_clock(clock))
        }
        _ => {
            let link = link::open(address).await?;
            Box::new(line::SerialScanner::from_address(link, name, address)?.with_clock(clock))
        }
    };
    Ok((scanner, address.label()))
}

/// The open link and the report descriptor; sends first what scanners of this vendor want to hear.
async fn open_hid(address: &Address, id: &UsbId) -> Result<(Box<dyn link::Link>, Vec<u8>)> {
    let settings = link::hid::Settings::from_address(address)?;
    let descriptor = link::hid::describe(id, &settings).await.map_err(|e| e.at(address.label()))?.descriptor;
    let wanted = hid::quirks(id.vendor).feature.filter(|_| settings.feature.is_empty());
    if let Some(report) = wanted {
        match link::open(&address.clone().with("feature", report)).await {
            // Not every model of the vendor has the report.
            Err(error) if error.kind() == Kind::Unsupported => tracing::debug!(%error, "opening without it"),
            opened => return Ok((opened?, descriptor)),
        }
    }
    Ok((link::open(address).await?, descriptor))
}

/// Opens the camera at `address` as a source of scans, which carry `name`.
///
/// # Errors
/// The address is none of a camera, or the camera cannot be reached.
pub async fn open_camera(address: &Address, name: &str, clock: Arc<dyn Clock>) -> Result<(Box<CameraScans>, String)> {
    check_address("cameras", address)?;
    Ok((Box::new(CameraScans::open(address, name, clock).await?), address.label()))
}

fn limit(address: &Address) -> Duration {
    match (address.protocol(), address.link()) {
        ("zvt", _) => OPEN_TERMINAL,
        (_, LinkKind::Ble { .. } | LinkKind::Spp { .. }) => OPEN_BLUETOOTH,
        _ => OPEN,
    }
}

/// The first of several addresses that opens in time; or an error that says why each did not.
pub(super) async fn first<'a, D: ?Sized>(
    addresses: &'a [Address],
    open: impl Fn(&'a Address) -> BoxFuture<'a, Result<(Box<D>, String)>>,
) -> Result<Opened<D>> {
    let mut failed: Option<Error> = None;
    for address in addresses {
        let late = || Error::new(Kind::Timeout, "did not open in time").with_effect(Effect::None).at(address.label());
        match timeout(limit(address), open(address)).await.unwrap_or_else(|_| Err(late())) {
            Ok((driver, label)) => {
                let recording = matches!(address.link(), LinkKind::Replay { .. });
                return Ok(Opened { driver, address: label, recording });
            }
            Err(error) => {
                failed = Some(match failed {
                    None => error,
                    Some(before) => Error::new(error.kind(), format!("{before}; {error}")).with_retry(error.retry()),
                });
            }
        }
    }
    Err(failed.unwrap_or_else(|| Error::new(Kind::Config, "there is no address")))
}

/// How long one address may take to open: the others wait for it, and so do calls.
const OPEN: Duration = Duration::from_secs(10);
/// The same for Bluetooth, which looks for the device first, and where a person may have to press a button to pair.
const OPEN_BLUETOOTH: Duration = Duration::from_secs(60);
/// The same for a terminal, whose protocol has deadlines of its own: ZVT's T4 is 180 s.
const OPEN_TERMINAL: Duration = Duration::from_secs(200);

/// What a copy says at its top, in German.
const GERMAN_COPY_MARK: &str = " KOPIE - eventuell schon gedruckt ";

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens what ends in 2, after 30 s; everything else never.
    fn open(address: &Address) -> BoxFuture<'_, Result<(Box<()>, String)>> {
        Box::pin(async move {
            if !address.label().ends_with('2') {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok((Box::new(()), address.label()))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_hangs_holds_up_the_next_for_a_while_only() {
        let addresses = |all: &[&str]| -> Vec<Address> { all.iter().map(|a| a.parse().expect(a)).collect() };
        let start = tokio::time::Instant::now();
        let both = addresses(&["escpos+tcp://10.0.0.1:9100", "escpos+ble://AA:BB:CC:DD:EE:F2"]);
        assert_eq!(first(&both, open).await.expect("the second").address, "escpos+ble://AA:BB:CC:DD:EE:F2");
        assert_eq!(start.elapsed(), Duration::from_secs(40), "Bluetooth has more time");
        let both = addresses(&["escpos+tcp://10.0.0.1:9102", "escpos+tcp://10.0.0.1:9101"]);
        let error = first(&both, open).await.err().expect("neither in time");
        assert_eq!(error.kind(), Kind::Timeout);
        assert!(error.to_string().contains(":9102") && error.to_string().contains(":9101"), "{error}");
    }
}
