//! What a whole sale costs: opened, five lines, paid, receipt printed, closed; each step on disk before the next. And
//! what each call costs beside 500 devices, and what a till costs that does nothing. Prints figures and fails nothing:
//! `cargo bench --bench sale`, or `cargo bench --bench sale -- DIR` with the database on a certain disk.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tresen::export::{Export, Format, What};
use tresen::sale::{Line, Sold, Vat};
use tresen::testing::Counter;
use tresen::{Amount, Kind, Payment, Plan, Print, Printers, Receipt, Result, SystemRuntime, Tresen};

const SALES: usize = 200;
const CALLS: usize = 2_000;
const DEVICES: usize = 500;
const JOBS: usize = 45_000;
const SETTLED: Duration = Duration::from_secs(35);
const IDLE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let given = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let folder = match given {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    for sellers in [1, 8, 32] {
        sales(&folder.path().join(format!("cash-{sellers}")), sellers, false).await?;
    }
    sales(&folder.path().join("card"), 1, true).await?;
    sales(&folder.path().join("cards"), 8, true).await?;
    calls(&folder.path().join("calls")).await?;
    waiting(&folder.path().join("waiting")).await?;
    idle(&folder.path().join("idle"), 4, 2, 0).await?;
    idle(&folder.path().join("away"), 4, 2, DEVICES).await?;
    idle(&folder.path().join("many"), DEVICES, 2, 0).await
}

/// A counter with this many printers and terminals, on the system's time.
fn counter(folder: &Path, printers: usize, terminals: usize) -> Result<Counter> {
    let mut text = String::new();
    for n in 0..printers {
        text += &format!("[printers.p{n}]\naddress = 'escpos+tcp://10.0.0.{n}'\n");
    }
    for n in 0..terminals {
        text += &format!("[terminals.t{n}]\naddress = 'zvt+tcp://10.0.1.{n}'\n");
    }
    Counter::parse(&text, folder)
}

async fn open(counter: &Counter) -> Result<Tresen> {
    let till = counter.builder().runtime(std::sync::Arc::new(SystemRuntime::new())).with(counter.config()).await?;
    for device in till.devices() {
        till.phase(&device.id)?.wait_for(tresen::Phase::is_ready).await.ok();
    }
    Ok(till)
}

/// Each seller has a printer and a terminal, so that only the database is shared.
async fn sales(folder: &Path, sellers: usize, by_card: bool) -> Result<()> {
    let counter = counter(folder, sellers, if by_card { sellers } else { 0 })?;
    let till = open(&counter).await?;
    let began = Instant::now();
    let mut selling = tokio::task::JoinSet::new();
    for seller in 0..sellers {
        let till = till.clone();
        selling.spawn(async move {
            let mut took = Vec::new();
            for _ in 0..SALES / sellers {
                let began = Instant::now();
                sell(&till, seller, by_card).await?;
                took.push(began.elapsed());
            }
            Ok::<_, tresen::Error>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(sold) = selling.join_next().await {
        took.extend(sold.map_err(|e| tresen::Error::new(Kind::Cancelled, "a seller panicked").because(e))??);
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    let means = if by_card { "card" } else { "cash" };
    tell(&format!("{sellers} sellers, {means}: {rate:.0} sales per second; one sale"), took);
    till.close(Duration::from_secs(5)).await
}

async fn sell(till: &Tresen, seller: usize, by_card: bool) -> Result<()> {
    let mut sale = till.open_sale().await?;
    for name in ["Flat white", "Croissant", "Water", "Cheesecake", "Espresso"] {
        sale.add(Line::pieces(name, 1, Amount::eur(3_80), Vat::percent(19))?).await?;
    }
    let checkout = till.checkout(&format!("p{seller}"))?;
    let sold = if by_card {
        checkout.run(&mut sale, &format!("t{seller}"), tokio::sync::watch::channel(false).1).await?
    } else {
        sale.pay_cash(Amount::eur(20_00)).await?;
        checkout.close(&mut sale).await?
    };
    assert!(matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{sold:?}");
    Ok(())
}

/// Single calls at a till with 500 devices more, which are away.
async fn calls(folder: &Path) -> Result<()> {
    let counter = counter(folder, 1, 1)?;
    let till = open(&counter).await?;
    attach_away(&till, DEVICES).await?;
    let mut sale = till.open_sale().await?;
    let (mut lines, mut prints, mut payments, mut reads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (printer, terminal) = (till.printer("p0")?, till.terminal("t0")?);
    let receipt = Receipt::new().text("Table 4").row("2 Flat white", "7.60").cut();
    for n in 0..CALLS {
        timed(&mut reads, till.sale(sale.id())).await?;
        // One in ten of those that wait for a device or the disk.
        if n % 10 == 0 {
            let line = Line::pieces("Flat white", 1, Amount::eur(3_80), Vat::percent(19))?;
            timed(&mut lines, sale.add(line)).await?;
            let printed = timed(&mut prints, printer.print(&receipt)).await?;
            assert!(printed.is_done(), "{printed:?}");
            let paid = timed(&mut payments, terminal.pay(Amount::eur(1_00))).await?;
            assert!(matches!(paid, Payment::Charged(_)), "{paid:?}");
        }
        if n % 100 == 0 {
            sale = till.open_sale().await?;
        }
    }
    tell("beside 500 devices: a sale read", reads);
    tell("beside 500 devices: a line added", lines);
    tell("beside 500 devices: a receipt printed", prints);
    tell("beside 500 devices: a card payment", payments);
    let status = std::iter::repeat_with(|| {
        let began = Instant::now();
        assert_eq!(till.devices().len(), DEVICES + 2);
        began.elapsed()
    });
    tell("beside 500 devices: the state of all", status.take(CALLS).collect());
    let began = Instant::now();
    let (text, done) = till.export(Export::new(What::Payments, Format::Csv), Vec::new()).await?;
    println!("an export of {} payments: {:?}, {} KiB", done.rows, began.elapsed(), text.len() >> 10);
    let began = Instant::now();
    let backup = till.backup(folder.join("copy.db")).await?;
    println!("a backup of {} KiB, verified and synced: {:?}", backup.bytes >> 10, began.elapsed());
    till.close(Duration::from_secs(5)).await
}

async fn timed<T>(took: &mut Vec<Duration>, call: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    let done = call.await;
    took.push(began.elapsed());
    done
}

/// Printers that are switched off.
async fn attach_away(till: &Tresen, number: usize) -> Result<()> {
    for n in 0..number {
        let away: Plan<dyn tresen::printers::Printer> =
            Plan::new("away", |_| async { Err(tresen::Error::new(Kind::NotFound, "switched off")) });
        till.attach::<Printers>(&format!("away {n}"), vec![away]).await?;
    }
    Ok(())
}

/// Paper that waits for a printer that is away: what it costs to queue one more, to open the till on it, and until the
/// first is printed.
async fn waiting(folder: &Path) -> Result<()> {
    let counter = counter(folder, 1, 0)?;
    counter.printer("p0")?.unplug();
    let till = counter.builder().runtime(std::sync::Arc::new(SystemRuntime::new())).with(counter.config()).await?;
    let receipt = Receipt::new().text("Table 4").row("2 Flat white", "7.60").cut();
    let began = Instant::now();
    let mut handhelds = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (printer, receipt) = (till.printer("p0")?, receipt.clone());
        handhelds.spawn(async move {
            for _ in 0..JOBS / 100 {
                printer.submit(&receipt).await?;
            }
            Ok::<_, tresen::Error>(())
        });
    }
    while let Some(done) = handhelds.join_next().await {
        done.map_err(|e| tresen::Error::new(Kind::Cancelled, "a handheld panicked").because(e))??;
    }
    println!("{JOBS} jobs queued by 100 handhelds: {:.1?}", began.elapsed());
    let (printer, mut took) = (till.printer("p0")?, Vec::new());
    for _ in 0..SALES {
        timed(&mut took, printer.submit(&receipt)).await?;
    }
    tell(&format!("behind {JOBS} waiting jobs: one more queued"), took);
    till.close(Duration::from_secs(5)).await?;
    drop((printer, till));

    let began = Instant::now();
    let till = counter.builder().runtime(std::sync::Arc::new(SystemRuntime::new())).with(counter.config()).await?;
    println!("a till opened on {JOBS} waiting jobs: {:.1?}", began.elapsed());
    let mut events = till.events();
    counter.printer("p0")?.plug_in();
    let began = Instant::now();
    till.printer("p0")?.reset().await?;
    let mut printed = Vec::new();
    let mut before = Instant::now();
    while printed.len() < SALES {
        let Some(event) = events.next().await else { break };
        if event.kind.name() == "printed" {
            if printed.is_empty() {
                println!("the first of {JOBS} is printed {:.1?} after the printer is back", began.elapsed());
            }
            printed.push(before.elapsed());
            before = Instant::now();
        }
    }
    tell(&format!("of {JOBS} waiting jobs: from one to the next"), printed.split_off(1));
    till.close(Duration::from_secs(5)).await
}

/// Nothing to do, beside printers that are switched off.
async fn idle(folder: &Path, printers: usize, terminals: usize, away: usize) -> Result<()> {
    let counter = counter(folder, printers, terminals)?;
    let till = open(&counter).await?;
    attach_away(&till, away).await?;
    // What follows the start, such as logging in, is not idling; nor is the first look at each printer, after 30 s.
    tokio::time::sleep(SETTLED).await;
    let before = used();
    tokio::time::sleep(IDLE).await;
    match before.zip(used()) {
        Some((before, after)) => {
            let share = (after - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
            let devices = format!("{printers} printers and {terminals} terminals with their simulators, {away} away");
            println!("idle, {devices}: {share:.2} % of one CPU");
        }
        None => println!("idle: this system does not tell the CPU time of a process in /proc"),
    }
    till.close(Duration::from_secs(5)).await
}

/// CPU time of this process: proc(5), `/proc/self/schedstat` of each thread, in nanoseconds.
fn used() -> Option<Duration> {
    let mut all = 0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        all += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(all))
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("{what}: p50 {:?}, p99 {:?}, longest {:?}", at(0.5), at(0.99), at(1.0));
}
