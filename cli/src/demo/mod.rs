//! One sale on simulated devices, over their real protocols, narrated as it happens.

mod counter;
mod outcome;
mod pictures;
mod sale;

use std::path::PathBuf;
use std::time::Duration;

use tresen::printers::escpos::sim::Simulator;
use tresen::{Error, Kind, Phase, Result, Store, SystemRuntime, Tresen};

use crate::commands::render::write_whole;
use crate::out::Out;
use counter::Counter;

/// Watch a whole sale on simulated devices, over their real protocols
///
/// Starts two receipt printers and a payment terminal on loopback ports, a barcode scanner on a
/// pseudo-terminal and a camera, and sells three items: scan, kitchen ticket, payment, receipt. No
/// hardware is needed, and nothing is faked between till and device: the output shows real ESC/POS and ZVT
/// traffic.
///
/// Afterwards the folder contains receipt.png and kitchen.png (what the printers put on paper), receipt.bin
/// (the bytes), till.db (journal, jobs, tickets), tickets.csv and till.toml. Another run adds a sale to
/// the database and the tickets; the pictures are those of the last run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to write the results
    #[arg(long, default_value = "demo-out", value_name = "DIR")]
    out: PathBuf,

    /// Simulate a fault
    #[arg(long, value_enum)]
    fault: Option<Fault>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Fault {
    /// The receipt printer has no paper: the receipt is printed in the kitchen, with a note
    PaperOut,
    /// The link to the terminal drops after approval: the till recovers the outcome; charged once
    LinkCut,
    /// The card is declined: nothing is charged, and no receipt is printed
    Decline,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let (dir, out) = (args.out, *out);
    std::fs::create_dir_all(&dir).map_err(|e| Error::from(e).at(dir.display()))?;
    let before = paid_before(&dir).await?;
    let counter = Counter::start(&dir, sale::VOUCHER, before).await?;
    let config = dir.join("till.toml");
    write_whole(&config, counter.config().as_bytes())?;

    out.say("One sale on simulated devices, over their real protocols\n\nThe counter");
    for (name, address) in &counter.addresses {
        let address = address.split('?').next().unwrap_or(address);
        out.say(format_args!("  {:<9} {address}", name.split('.').next_back().unwrap_or(name)));
    }
    let till = Tresen::open(&config).await?;
    ready(&till).await?;

    let ended = sale::run(&till, &counter, args.fault, out).await;
    // The printed output matters most when something went wrong.
    let files = save(&dir, &counter)?;
    let ended = ended?;
    outcome::tell(&till, &counter, &ended, args.fault, &dir, files, out).await
}

/// How many payments this till has taken in earlier runs.
async fn paid_before(dir: &std::path::Path) -> Result<usize> {
    let db = dir.join("till.db");
    if !db.exists() {
        return Ok(0);
    }
    let store = Store::open_read_only(&db, std::sync::Arc::new(SystemRuntime::new())).await?;
    Ok(store.payments().await?.len())
}

/// Waits until every device is connected.
async fn ready(till: &Tresen) -> Result<()> {
    let phases = [
        ("receipt", till.printer("receipt")?.phase()),
        ("kitchen", till.printer("kitchen")?.phase()),
        ("counter", till.terminal("counter")?.phase()),
        ("hand", till.scanner("hand")?.phase()),
        ("voucher", till.camera("voucher")?.phase()),
    ];
    for (name, mut phase) in phases {
        let ready = async { phase.wait_for(|p| *p == Phase::Ready).await.is_ok() };
        if !tokio::time::timeout(Duration::from_secs(15), ready).await.unwrap_or(false) {
            return Err(Error::new(Kind::Timeout, format!("did not connect: {:?}", *phase.borrow())).at(name));
        }
    }
    Ok(())
}

/// Saves what the printers put on paper, and the bytes that produced it.
fn save(dir: &std::path::Path, counter: &Counter) -> Result<[PathBuf; 3]> {
    let files = ["receipt.png", "kitchen.png", "receipt.bin"].map(|name| dir.join(name));
    write_whole(&files[0], &counter.receipt.with(|p| p.roll().to_png()))?;
    write_whole(&files[1], &counter.kitchen.with(|p| p.roll().to_png()))?;
    write_whole(&files[2], &counter.receipt.with(|p: &mut Simulator| p.raw().to_vec()))?;
    Ok(files)
}
