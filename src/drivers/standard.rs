//! The protocols of this crate, one row each.

use std::sync::Arc;
use std::time::Duration;

use tresen_cameras::{Camera, file, reader, v4l2};
use tresen_hal::address::{LinkKind, UsbId};
use tresen_hal::discovery::DeviceKind;
use tresen_hal::trace::Tracer;
use tresen_hal::{Address, Error, Kind, Language, Link, Result, link};
use tresen_payment::{Terminal, nexo, opi, paytec, probe, trace, zvt};
use tresen_printers::{Printer, escpos};
use tresen_scanners::{Scanner, hid, serial as line, wedge};

use super::{Context, Plan, Protocol};
use crate::language::Printed;
use crate::manager::{Cameras, Printers, Scanners, Terminals};

pub(super) fn protocols() -> Vec<Protocol> {
    let (listeners, told) = (opi::Listeners::default(), nexo::Listeners::default());
    vec![
        Protocol::new::<Printers>("escpos", escpos)
            .port(9100)
            // HP JetDirect and after it all receipt printers; servers for several printers have three.
            .other_ports(&[9101, 9102], &[])
            .probe(escpos::Probe)
            .options(|_| escpos::Options::NAMES.to_vec())
            .finds(|found| found.kind == Some(DeviceKind::ReceiptPrinter)),
        Protocol::new::<Terminals>("zvt", zvt)
            .port_by(zvt_port)
            // FEIG's terminals: Portalum.Zvt, issue 16.
            .other_ports(&[22000], &[22001])
            .probe(probe::Zvt)
            .options(|_| zvt::Options::NAMES.to_vec())
            .redactor_by(zvt_redactor)
            .tracer(zvt_tracer),
        Protocol::new::<Terminals>("opi", move |address| opi(address, &listeners))
            .port_by(opi_port)
            .other_ports(&[opi::dialect::SWISS.port, INGENICO_OPI], &[])
            .probe(probe::Opi)
            .options(|_| opi::Options::NAMES.to_vec())
            .redactor(|| Box::<opi::Redactor>::default())
            .tracer(|_, language| Box::new(trace::Opi::new(language))),
        Protocol::new::<Terminals>("nexo", move |address| nexo(address, &told))
            .port(8443)
            .over_tls()
            .probe(probe::Nexo)
            .options(|_| nexo::Options::NAMES.to_vec())
            .redactor(nexo_redactor)
            .tracer(|_, language| Box::new(trace::Nexo::new(language))),
        Protocol::new::<Terminals>("paytec", paytec)
            .port(8307)
            .probe(probe::PayTec)
            .options(|_| paytec::Options::NAMES.to_vec())
            .redactor(|| Box::<paytec::Redactor>::default())
            .tracer(|_, language| Box::new(trace::PayTec::new(language))),
        Protocol::new::<Scanners>("scanner", scanner)
            .options(|link| match link {
                LinkKind::Hid(_) => hid::Options::NAMES.to_vec(),
                LinkKind::Evdev(_) => wedge::Options::NAMES.to_vec(),
                _ => line::Options::NAMES.to_vec(),
            })
            .finds(|found| found.kind == Some(DeviceKind::Scanner)),
        Protocol::new::<Cameras>("camera", camera)
            .options(|link| match link {
                LinkKind::File { .. } => file::Options::NAMES.to_vec(),
                _ => v4l2::Options::NAMES.to_vec(),
            })
            .finds(|found| found.kind == Some(DeviceKind::Camera)),
    ]
}

fn escpos(address: &Address) -> Result<Plan<dyn Printer>> {
    let options = escpos::Options::from_address(address)?;
    Ok(Plan::at(address, move |link, context: Context| {
        let mut options = options.clone();
        options.runtime = context.runtime;
        options.copy_mark = format!(" {} ", context.language.copy_notice());
        async move { Ok(Box::new(escpos::open(link, options).await?) as Box<dyn Printer>) }
    }))
}

fn zvt(address: &Address) -> Result<Plan<dyn Terminal>> {
    let options = zvt::Options::from_address(&meant(address))?;
    let plan = Plan::at(&zvt_line(address), move |link, context: Context| {
        let mut options = options.clone();
        options.name = context.name.clone();
        options.language.get_or_insert(context.language);
        async move {
            let journal = context.journal.ok_or_else(|| Error::new(Kind::Config, "a terminal needs a journal"))?;
            let terminal = zvt::open(link, options, journal, context.runtime).await?;
            Ok(Box::new(terminal) as Box<dyn Terminal>)
        }
    });
    Ok(plan.within(OPEN_TERMINAL))
}

fn zvt_tracer(link: &LinkKind, language: Language) -> Box<dyn Tracer> {
    match link {
        LinkKind::Serial { .. } | LinkKind::Spp { .. } | LinkKind::Ble { .. } => {
            Box::new(trace::Zvt::of_serial(language))
        }
        _ => Box::new(trace::Zvt::new(language)),
    }
}

/// ZVT's serial line has two stop bits unless the address says otherwise (PA00P015, chapter "Transport protocol").
fn zvt_line(address: &Address) -> Address {
    match (address.link(), address.option("stop")) {
        (LinkKind::Serial { .. }, None) => address.clone().with("stop", "2"),
        _ => address.clone(),
    }
}

/// Terminals that speak TLS have a port of their own for it.
fn zvt_port(address: &Address) -> u16 {
    let tls = matches!(address.link(), LinkKind::Tls { .. }) || address.option("tls") == Some("true");
    if tls { 22001 } else { 20007 }
}

/// What passes is masked frame by frame. An address that no driver can be opened at names no frames.
fn zvt_redactor(address: &Address) -> Box<dyn link::record::Redactor> {
    let options = zvt::Options::from_address(&meant(address));
    zvt::redactor(options.map(|options| options.framing).unwrap_or_default())
}

/// Connects for each request, and shares the listeners of channel 1.
fn opi(address: &Address, listeners: &opi::Listeners) -> Result<Plan<dyn Terminal>> {
    let options = opi::Options::from_address(address)?;
    let (reached, listeners) = (link::Reached::new(address.clone()).redacted(opi_redactor), listeners.clone());
    let plan = Plan::new(address.label(), move |context: Context| {
        let (mut options, reached, listeners) = (options.clone(), reached.clone(), listeners.clone());
        options.name = context.name.clone();
        async move {
            let journal = context.journal.ok_or_else(|| Error::new(Kind::Config, "a terminal needs a journal"))?;
            let listener = match &options.listen {
                Some(place) => Some(listeners.at(place).await?),
                None => None,
            };
            let terminal = opi::open(Arc::new(reached), listener, options, journal, context.runtime).await?;
            Ok(Box::new(terminal) as Box<dyn Terminal>)
        }
    });
    Ok(plan.reached_at(address).within(OPEN_TERMINAL))
}

fn opi_redactor() -> Box<dyn link::record::Redactor> {
    Box::<opi::Redactor>::default()
}

/// Connects for each request, and shares the places at which terminals tell something; the certificate names the
/// terminal, not its host.
fn nexo(address: &Address, listeners: &nexo::Listeners) -> Result<Plan<dyn Terminal>> {
    let (options, listeners) = (nexo::Options::from_address(address)?, listeners.clone());
    let reached = link::Reached::new(options.named_by(address.clone())).redacted(nexo_redactor);
    let plan = Plan::new(address.label(), move |context: Context| {
        let (mut options, reached, listeners) = (options.clone(), reached.clone(), listeners.clone());
        options.name = context.name.clone();
        async move {
            let journal = context.journal.ok_or_else(|| Error::new(Kind::Config, "a terminal needs a journal"))?;
            let listener = match &options.listen {
                Some(place) => Some(listeners.at(place).await?),
                None => None,
            };
            let terminal = nexo::open(Arc::new(reached), listener, options, journal, context.runtime).await?;
            Ok(Box::new(terminal) as Box<dyn Terminal>)
        }
    });
    Ok(plan.reached_at(address).within(OPEN_TERMINAL))
}

fn nexo_redactor() -> Box<dyn link::record::Redactor> {
    Box::<nexo::Redactor>::default()
}

fn paytec(address: &Address) -> Result<Plan<dyn Terminal>> {
    let mut options = paytec::Options::from_address(address)?;
    options.serial = matches!(meant(address).link(), LinkKind::Serial { .. });
    // Its serial lines are faster than most.
    let place = match (address.link(), address.option("baud")) {
        (LinkKind::Serial { .. }, None) => address.clone().with("baud", options.baud.to_string()),
        _ => address.clone(),
    };
    let plan = Plan::at(&place, move |link, context: Context| {
        let mut options = options.clone();
        options.name = context.name.clone();
        async move {
            let journal = context.journal.ok_or_else(|| Error::new(Kind::Config, "a terminal needs a journal"))?;
            let terminal = paytec::open(link, options, journal, context.runtime).await?;
            Ok(Box::new(terminal) as Box<dyn Terminal>)
        }
    });
    Ok(plan.within(OPEN_TERMINAL))
}

/// The port of the dialect that the address names.
fn opi_port(address: &Address) -> u16 {
    let named = address.option("dialect").and_then(opi::Dialect::named);
    named.unwrap_or(opi::dialect::GERMAN).port
}

fn scanner(address: &Address) -> Result<Plan<dyn Scanner>> {
    let meant = meant(address);
    Ok(match meant.link() {
        // A recording has no descriptor and delivers everything at once.
        LinkKind::Hid(_) if meant != *address => {
            let options = hid::Options::from_address(&meant.clone().with("settle", "0"))?;
            over_link(address, move |link, context| {
                hid::open(link, &context.name, options.clone(), context.runtime, None)
            })
        }
        LinkKind::Hid(id) => {
            let (options, id, place) = (hid::Options::from_address(address)?, id.clone(), address.clone());
            let plan = Plan::new(address.label(), move |context: Context| {
                let (options, id, place) = (options.clone(), id.clone(), place.clone());
                async move {
                    let (link, descriptor) = open_hid(&place, &id).await?;
                    hid::open(link, &context.name, options, context.runtime, Some(&descriptor))
                }
            });
            plan.reached_at(address)
        }
        LinkKind::Evdev(_) => {
            let options = wedge::Options::from_address(address)?;
            over_link(address, move |link, context| {
                let source = wedge::Source::Evdev;
                Ok(Box::new(wedge::open(link, &context.name, options.clone(), context.runtime, source)?))
            })
        }
        _ => {
            let options = line::Options::from_address(address)?;
            over_link(address, move |link, context| {
                Ok(Box::new(line::open(link, &context.name, options.clone(), context.runtime)?))
            })
        }
    })
}

/// A scanner that is ready as soon as its link is open.
fn over_link(
    address: &Address,
    make: impl Fn(Box<dyn Link>, Context) -> Result<Box<dyn Scanner>> + Send + Sync + 'static,
) -> Plan<dyn Scanner> {
    Plan::at(address, move |link, context| std::future::ready(make(link, context)))
}

/// The open link and the report descriptor; first sends the vendor's initialisation reports, if any.
async fn open_hid(address: &Address, id: &UsbId) -> Result<(Box<dyn Link>, Vec<u8>)> {
    let settings = link::hid::Settings::from_address(address)?;
    let descriptor = link::hid::describe(id, &settings).await?.descriptor;
    let wanted = hid::quirks(id.vendor).feature.filter(|_| settings.feature.is_empty());
    if let Some(report) = wanted {
        match link::open(&address.clone().with("feature", report)).await {
            // Not every model of the vendor supports the report.
            Err(error) if error.kind() == Kind::Unsupported => tracing::debug!(%error, "opening without it"),
            opened => return Ok((opened?, descriptor)),
        }
    }
    Ok((link::open(address).await?, descriptor))
}

fn camera(address: &Address) -> Result<Plan<dyn Camera>> {
    // Frames are read by the owner's reader.
    reader::Options::from_address(address)?;
    let plan = match address.link().clone() {
        LinkKind::V4l2 { path } => {
            let options = v4l2::Options::from_address(address)?;
            Plan::new(address.label(), move |context: Context| {
                v4l2::open(path.clone(), options.clone(), context.runtime)
            })
        }
        LinkKind::File { path } => {
            let options = file::Options::from_address(address)?;
            Plan::new(address.label(), move |context: Context| {
                file::open(path.clone(), options.clone(), context.runtime)
            })
        }
        other => {
            let what = format!("cameras over `{}` are not supported", other.scheme());
            let hint = "use camera+v4l2:///dev/video0 or camera+file:///folder";
            return Err(Error::new(Kind::Unsupported, what).hint(hint));
        }
    };
    Ok(plan.reached_at(address))
}

/// The address itself; for a recording, the recorded address with the options given now.
pub(super) fn meant(address: &Address) -> Address {
    let LinkKind::Replay { path } = address.link() else { return address.clone() };
    let capture = link::replay::Capture::read(path).ok();
    let Some(recorded) = capture.and_then(|c| c.label.parse::<Address>().ok()) else { return address.clone() };
    let same = Address::new(address.protocol(), recorded.link().clone());
    address.options().fold(same, |same, (name, value)| same.with(name, value))
}

/// The port of Ingenico's OPI terminals, as tills have it preset.
const INGENICO_OPI: u16 = 5577;

/// Time limit for opening a terminal, whose protocol has its own timeouts: ZVT's T4 is 180 s.
pub(crate) const OPEN_TERMINAL: Duration = Duration::from_secs(200);
