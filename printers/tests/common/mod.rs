//! A driver opened on a simulated printer over a memory link.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::Duration;

use tresen_hal::Link;
use tresen_hal::link::memory;
use tresen_hal::sim::{self, Shared};
use tresen_printers::document::{Receipt, Style};
use tresen_printers::escpos::sim::{Faults, Mishap, Simulator};
use tresen_printers::escpos::{self, Options};
use tresen_printers::{Job, Profile};

pub(crate) fn serve(device: Simulator) -> (Shared<Simulator>, Box<dyn Link>) {
    let device = Shared::new(device);
    let link = connect(&device);
    (device, Box::new(link))
}

pub(crate) fn connect(device: &Shared<Simulator>) -> memory::Memory {
    let (near, far) = memory::pair();
    let served = device.clone();
    tokio::spawn(async move { sim::link(&far, &served).await });
    near
}

pub(crate) fn epson() -> Simulator {
    Simulator::new(Profile::epson_tm_m30())
}

/// One whose manual says that `DLE DC4` opens the drawer while it is offline.
pub(crate) fn tm_t88() -> Simulator {
    let mut printer = Simulator::new(Profile::epson_tm_t88());
    printer.identity[1] = "TM-T88V".into();
    printer
}

pub(crate) fn faults(set: impl FnOnce(&mut Faults)) -> Faults {
    let mut faults = Faults::default();
    set(&mut faults);
    faults
}

pub(crate) fn job(lines: usize) -> Job {
    let receipt = (0..lines).fold(Receipt::new(), |r, i| r.row(format!("Article {i}"), "1,00 €"));
    Job::new("ticket-1", receipt.styled("Total", Style::new().bold()).cut())
}

pub(crate) fn text(device: &Shared<Simulator>) -> String {
    device.with(|d| d.roll().text().to_owned())
}

pub(crate) async fn open(link: Box<dyn Link>) -> escpos::Printer {
    let printer = escpos::open(link, Options::default()).await.expect("opens");
    // The printer works off what the hello sent last.
    tokio::time::sleep(Duration::from_millis(1)).await;
    printer
}

pub(crate) fn mishap(device: &Shared<Simulator>, after: usize, mishap: Mishap) {
    device.with(|d| {
        d.faults.mishaps = vec![None; after].into();
        d.faults.mishaps.push_back(Some(mishap));
    });
}

/// Bytes that stand somewhere in what the printer received.
pub(crate) fn count(device: &Shared<Simulator>, bytes: &[u8]) -> usize {
    device.with(|d| d.raw().windows(bytes.len()).filter(|w| *w == bytes).count())
}
