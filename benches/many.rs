//! What much of everything costs: 500 devices at one till, and a payment beside 45,000 print jobs. Prints figures and
//! fails nothing: `cargo bench --bench many`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tresen::hal::link::memory::{self, Memory};
use tresen::hal::{Link, Result, SystemRuntime, sim};
use tresen::payment::zvt;
use tresen::payment::zvt::sim::{Profile, Simulator};
use tresen::payment::{Request, Terminal};
use tresen::printers::{Printer, escpos};
use tresen::scanners::{Scanner, serial};
use tresen::{Amount, Config, Plan, Printers, Receipt, Scanners, Store, Terminals, Tresen};

/// Bytes in use.
static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const DEVICES: usize = 250;
const CALLS: usize = 20_000;
const JOBS: usize = 45_000;
const PAYMENTS: usize = 300;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    devices(folder.path().join("devices.db")).await?;
    payments(folder.path().join("payments.db")).await
}

/// 250 printers and 250 scanners with their real drivers, on links in memory to devices that say nothing.
async fn devices(store: std::path::PathBuf) -> Result<()> {
    let mut config = Config::default();
    config.till.store = store;
    let till = Tresen::with(config).await?;
    // The far ends are kept, so that the links stay open; what they hold is not the till's.
    let far: Arc<Mutex<Vec<Memory>>> = Arc::new(Mutex::new(Vec::with_capacity(2 * DEVICES)));
    let open = |far: &Arc<Mutex<Vec<Memory>>>| {
        let far = far.clone();
        move || {
            let (near, other) = memory::pair();
            far.lock().expect("no holder of this lock panics").push(other);
            std::future::ready(Ok(Box::new(near) as Box<dyn Link>))
        }
    };
    let before = LIVE.load(Ordering::Relaxed);
    for n in 0..DEVICES {
        let printer: Plan<dyn Printer> = Plan::over(format!("printer {n}"), open(&far), |link, _| async move {
            let address = "escpos+tcp://in-memory?status=no".parse()?;
            Ok(Box::new(escpos::open(link, escpos::Options::from_address(&address)?).await?) as _)
        });
        till.attach::<Printers>(&format!("printer {n}"), vec![printer]).await?;
        let scanner: Plan<dyn Scanner> = Plan::over(format!("scanner {n}"), open(&far), |link, context| async move {
            serial::open(link, &context.name, serial::Options::default(), context.runtime).map(|s| Box::new(s) as _)
        });
        till.attach::<Scanners>(&format!("scanner {n}"), vec![scanner]).await?;
    }
    let mut scanners = Vec::new();
    for n in 0..DEVICES {
        till.printer(&format!("printer {n}"))?.phase().wait_for(tresen::Phase::is_ready).await.ok();
        let scanner = till.scanner(&format!("scanner {n}"))?;
        scanner.phase().wait_for(tresen::Phase::is_ready).await.ok();
        scanners.push(scanner);
    }
    let each = (LIVE.load(Ordering::Relaxed) - before) as f64 / (2 * DEVICES) as f64 / 1024.0;
    println!("{} devices: {each:.1} KiB each, links and drivers included", 2 * DEVICES);

    let mut took = Vec::with_capacity(CALLS);
    for n in 0..CALLS {
        let began = Instant::now();
        scanners[n * 7 % DEVICES].set_enabled(true).await?;
        took.push(began.elapsed());
    }
    tell("a call to one of them", took);
    till.close(Duration::from_secs(5)).await
}

/// Payments at a terminal in memory, with an empty database, and with many jobs in it.
async fn payments(file: std::path::PathBuf) -> Result<()> {
    // One terminal for both, since its receipts go on counting.
    let device = sim::Shared::new(Simulator::new(Profile::default()));
    for jobs in [0, JOBS] {
        if jobs > 0 {
            fill(&file, jobs).await?;
        }
        let mut config = Config::default();
        config.till.store = file.clone();
        let till = Tresen::with(config).await?;
        let served = device.clone();
        let link = move || {
            let (near, far) = memory::pair();
            let device = served.clone();
            tokio::spawn(async move { sim::link(&far, &device).await });
            std::future::ready(Ok(Box::new(near) as Box<dyn Link>))
        };
        let plan: Plan<dyn Terminal> = Plan::over("a terminal in memory", link, |link, context| async move {
            let journal = context.journal.expect("a till has one");
            Ok(Box::new(zvt::open(link, zvt::Options::new(context.name), journal, context.runtime).await?) as _)
        });
        till.attach::<Terminals>("counter", vec![plan]).await?;
        let terminal = till.terminal("counter")?;
        terminal.phase().wait_for(tresen::Phase::is_ready).await.ok();
        let mut took = Vec::with_capacity(PAYMENTS);
        for _ in 0..PAYMENTS {
            let (_keep, abort) = tokio::sync::watch::channel(false);
            let request = Request::new(till.new_id(), Amount::eur(12_50));
            let began = Instant::now();
            let paid = terminal.pay_as(request, abort).await?;
            assert!(matches!(paid, tresen::Payment::Charged(_)), "{paid:?}");
            took.push(began.elapsed());
        }
        tell(&format!("a payment beside {jobs} print jobs"), took);
        till.close(Duration::from_secs(5)).await?;
    }
    Ok(())
}

async fn fill(file: &std::path::Path, jobs: usize) -> Result<()> {
    let mut config = Config::default();
    config.till.store = file.to_owned();
    let till = Tresen::with(config).await?;
    let plan: Plan<dyn Printer> = Plan::new("a printer that is away", |_| async {
        Err(tresen::Error::new(tresen::Kind::NotFound, "switched off"))
    });
    till.attach::<Printers>("away", vec![plan]).await?;
    let printer = till.printer("away")?;
    let receipt = Receipt::new().text("Table 4").row("2 Flat white", "7.60").cut();
    let mut queued = tokio::task::JoinSet::new();
    for _ in 0..jobs {
        let (printer, receipt) = (printer.clone(), receipt.clone());
        queued.spawn(async move { printer.submit(&receipt).await });
        if queued.len() >= 256 {
            queued.join_next().await;
        }
    }
    while queued.join_next().await.is_some() {}
    till.close(Duration::from_secs(5)).await?;
    let store = Store::open_read_only(file, Arc::new(SystemRuntime::new())).await?;
    let (mut stored, mut after) = (0, Some(0));
    while let Some(from) = after {
        let page = store.jobs().after(from).await?;
        stored += page.rows.len();
        after = page.next;
    }
    assert_eq!(stored, jobs, "all are in the database");
    Ok(())
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("{what}: p50 {:?}, p99 {:?}, longest {:?}", at(0.5), at(0.99), at(1.0));
}
