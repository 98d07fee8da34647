//! Devices, routes and configurations that change while something is under way.

mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{Counter, DEADLINE, event, is_charged, ready, within};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tresen::hal::runtime::{Work, Worker};
use tresen::hal::{BoxFuture, Clock, Dots, Driver, Known, Runtime, SystemRuntime};
use tresen::payment::zvt::sim::{Misbehaviour, Profile};
use tresen::payment::{Request, zvt};
use tresen::printers::{Capabilities, DrawerPin, Job, Outcome, Printer, Status};
use tresen::scanners::serial::sim::{Settings, Simulator as Scanner};
use tresen::{
    Amount, Class, Config, Context, DeviceId, Drivers, Error, EventKind, Kind, Plan, Print, Printers, Protocol,
};
use tresen::{Receipt, Result, Scan, Terminals, Tresen};

const LONG: Duration = Duration::from_secs(30);

fn printer(name: &str) -> DeviceId {
    DeviceId::new(Class::Printer, name)
}

fn receipt(text: &str) -> Receipt {
    Receipt::new().text(text).cut()
}

/// A printer that begins what it is asked for and ends it when told: its first print fails with nothing on paper.
#[derive(Clone)]
struct Gate {
    begun: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
    prints: Arc<AtomicUsize>,
    /// How the first print fails.
    fails: fn() -> Error,
}

impl Gate {
    fn new() -> Self {
        let shut = || Arc::new(Semaphore::new(0));
        let fails = || Error::new(Kind::Busy, "the cutter is stuck");
        Self { begun: shut(), go_on: shut(), prints: Arc::default(), fails }
    }

    fn plan(&self) -> Plan<dyn Printer> {
        let gate = self.clone();
        Plan::new("a slow printer", move |_context| {
            let driver = Slow { gate: gate.clone(), capabilities: Capabilities::new(Dots(240), 40) };
            async move { Ok(Box::new(driver) as Box<dyn Printer>) }
        })
    }

    /// The protocol `slow`, for configurations.
    fn drivers(&self) -> Drivers {
        let (gate, mut drivers) = (self.clone(), Drivers::standard());
        let slow = Protocol::new::<Printers>("slow", move |_| Ok(gate.plan()));
        drivers.register(slow.options(|_| vec!["speed"])).expect("a free name");
        drivers
    }

    async fn pass(&self) {
        self.begun.add_permits(1);
        self.go_on.acquire().await.expect("open").forget();
    }

    async fn has_begun(&self) {
        within("begun", self.begun.acquire()).await.expect("open").forget();
    }

    fn open(&self) {
        self.go_on.add_permits(1000);
    }
}

struct Slow {
    gate: Gate,
    capabilities: Capabilities,
}

impl Driver for Slow {
    type Event = Status;
    fn event(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(std::future::pending())
    }
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Printer for Slow {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn print<'a>(&'a mut self, _job: &'a Job) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            self.gate.pass().await;
            match self.gate.prints.fetch_add(1, Ordering::Relaxed) {
                0 => Outcome::Failed { error: (self.gate.fails)(), safe_to_retry: true },
                _ => Outcome::Accepted,
            }
        })
    }
    fn kick_drawer(&mut self, _pin: DrawerPin) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.gate.pass().await;
            Ok(())
        })
    }
}

/// A till with two slow printers, and a route over the first.
async fn slow_kitchen(counter: &Counter, gate: &Gate) -> (Tresen, Config) {
    let text = "[printers.a]\naddress = 'slow+tcp://10.0.0.1:1'\n[printers.b]\naddress = 'slow+tcp://10.0.0.2:1'\n\
                [routes]\nkitchen = ['a']\n";
    let drivers = gate.drivers();
    let mut config = Config::parse(text, "till.toml", &drivers).expect("right");
    config.till.store = counter.db();
    let till = Tresen::builder().drivers(drivers).with(config.clone()).await.expect("opens");
    (till, config)
}

/// Asks for a change and leaves at once.
async fn asked(change: impl Future) {
    let mut change = pin!(change);
    poll_fn(|cx| Poll::Ready(change.as_mut().poll(cx).is_ready())).await;
}

/// Lets every other task run until it waits.
async fn others() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_that_fails_while_its_route_changes_is_printed_by_the_changed_route() {
    let (counter, gate) = (Counter::new(), Gate::new());
    let (till, mut config) = slow_kitchen(&counter, &gate).await;
    let job = till.printer("kitchen").expect("a route").submit(&receipt("2 Soup")).await.expect("stored");
    gate.has_begun().await;
    config.routes.insert("kitchen".into(), ["a", "b"].into());
    till.reload_with(config, LONG).await.expect("right");
    gate.open();
    assert_eq!(job.outcome(DEADLINE).await.expect("read"), Print::Accepted { on: "a".into() });
    assert_eq!(gate.prints.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_a_printer_can_never_print_its_replacement_may() {
    let (counter, mut gate) = (Counter::new(), Gate::new());
    gate.fails = || Error::new(Kind::Unsupported, "no pictures").with_retry(tresen::Retry::Never);
    gate.open();
    let (till, mut config) = slow_kitchen(&counter, &gate).await;
    let mut events = till.events();
    let job = till.printer("a").expect("a printer").submit(&receipt("logo")).await.expect("stored");
    // One job later the worker has put that one aside.
    let next = till.printer("a").expect("a printer").print(&receipt("2 Soup")).await;
    assert!(matches!(next, Ok(Print::Accepted { .. })), "{next:?}");
    assert!(matches!(job.now().await, Ok(Print::Waiting { .. })));
    let a = config.devices.get_mut(&printer("a")).expect("configured");
    a.options.insert("speed".into(), tresen::config::OptionValue::Number(2));
    assert_eq!(till.reload_with(config, LONG).await.expect("right").replaced, [printer("a")]);
    event(&mut events, |_, kind| matches!(kind, EventKind::Printed { job: id, .. } if id == job.id()).then_some(()))
        .await;
}

#[tokio::test]
async fn a_job_that_fails_when_its_route_is_gone_is_told_of() {
    let (counter, gate) = (Counter::new(), Gate::new());
    let (till, mut config) = slow_kitchen(&counter, &gate).await;
    let job = till.printer("kitchen").expect("a route").submit(&receipt("2 Soup")).await.expect("stored");
    gate.has_begun().await;
    config.routes.clear();
    till.reload_with(config, LONG).await.expect("right");
    let mut events = till.events();
    gate.open();
    let stranded = |_: &str, kind| match kind {
        EventKind::PrintStranded { job } => Some(job),
        _ => None,
    };
    assert_eq!(event(&mut events, stranded).await, job.id());
    assert_eq!(gate.prints.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_job_for_a_printer_that_is_gone_says_so() {
    let (counter, gate) = (Counter::new(), Gate::new());
    let till = counter.open().await;
    let id = till.attach::<Printers>("bar", vec![gate.plan()]).await.expect("new");
    let bar = till.printer("bar").expect("attached");
    till.detach(&id, LONG).await.expect("attached");
    let mut events = till.events();
    let job = bar.submit(&receipt("Table 5")).await.expect("stored");
    let stranded = |route: &str, kind: EventKind| {
        matches!(kind, EventKind::PrintStranded { job: id } if route == "bar" && id == job.id()).then_some(())
    };
    event(&mut events, stranded).await;
    let Print::Waiting { why, .. } = job.now().await.expect("read") else { panic!("nothing prints it") };
    assert!(why.contains("not configured"), "{why}");
}

#[tokio::test]
async fn a_reload_reads_the_file_when_its_turn_comes() {
    let mut counter = Counter::new();
    let _receipt = counter.printer("receipt").await;
    let till = Tresen::open(counter.write()).await.expect("opens");
    let gate = Gate::new();
    let id = till.attach::<Printers>("bar", vec![gate.plan()]).await.expect("new");
    let bar = till.printer("bar").expect("attached");
    let kick = tokio::spawn(async move { bar.kick_drawer(DrawerPin::Two).await });
    gate.has_begun().await;
    let first = tokio::spawn({
        let till = till.clone();
        async move { till.detach(&id, LONG).await }
    });
    others().await;
    let reload = tokio::spawn({
        let till = till.clone();
        async move { till.reload(LONG).await }
    });
    others().await;
    let _kitchen = counter.printer("kitchen").await;
    counter.write();
    gate.open();
    first.await.expect("runs").expect("attached");
    kick.await.expect("runs").expect("finished before the printer went");
    let reloaded = within("reloaded", reload).await.expect("runs").expect("right");
    assert_eq!(reloaded.attached, [printer("kitchen")]);
}

#[tokio::test]
async fn a_detach_that_nobody_waits_for_is_finished_all_the_same() {
    let (counter, gate) = (Counter::new(), Gate::new());
    let till = counter.open().await;
    let id = till.attach::<Printers>("bar", vec![gate.plan()]).await.expect("new");
    let mut events = till.events();
    asked(till.detach(&id, LONG)).await;
    event(&mut events, |name, kind| (name == "bar" && kind == EventKind::Detached).then_some(())).await;
    others().await;
    assert!(till.printer("bar").is_err(), "its route is gone, too");
}

#[tokio::test]
async fn closing_a_till_closes_a_device_that_is_being_detached() {
    let (counter, gate) = (Counter::new(), Gate::new());
    let till = counter.open().await;
    let id = till.attach::<Printers>("bar", vec![gate.plan()]).await.expect("new");
    let bar = till.printer("bar").expect("attached");
    let phase = bar.phase();
    let kick = tokio::spawn(async move { bar.kick_drawer(DrawerPin::Two).await });
    gate.has_begun().await;
    let leaving = till.clone();
    let detach = tokio::spawn(async move { leaving.detach(&id, LONG).await });
    others().await;
    // The gate stays shut: what runs is broken off.
    within("closed", till.close(Duration::ZERO)).await.expect("written");
    assert_eq!(*phase.borrow(), tresen::Phase::Closed, "when the till is closed, so are its devices");
    kick.await.expect("runs").expect_err("broken off");
    // The till was closed meanwhile, and its database.
    detach.await.expect("runs").ok();
}

#[tokio::test]
async fn handles_to_a_device_that_is_replaced_serve_the_new_one() {
    let mut counter = Counter::new();
    let scanner = counter.serve("scanners.hand", "scanner", "", Scanner::new(Settings::default())).await;
    let receipts = counter.printer("receipt").await;
    let till = counter.open_ready(&["hand", "receipt"]).await;
    let hand = till.scanner("hand").expect("configured");
    let (bar, mut phase) = (till.printer("receipt").expect("configured"), hand.phase());
    let waits = tokio::spawn({
        let hand = hand.clone();
        async move { hand.next().await }
    });
    let mut next = counter.config();
    for device in next.devices.values_mut() {
        device.options.insert("connect-timeout".into(), tresen::config::OptionValue::Number(3));
    }
    phase.mark_unchanged();
    assert_eq!(till.reload_with(next, LONG).await.expect("right").replaced.len(), 2);
    within("it changes", phase.changed()).await.expect("a till");
    ready(phase).await;
    scanner.with(|s| s.scan("4006381333931", tresen::scanners::Symbology::Ean13));
    let scan: Scan = within("scanned", waits).await.expect("runs").expect("ours");
    assert_eq!(scan.text, "4006381333931");
    let asked = hand.beep(true).await;
    assert!(!asked.is_err_and(|e| e.kind() == Kind::Cancelled), "the handle reaches the new device");
    ready(bar.phase()).await;
    assert!(matches!(within("paper", bar.print(&receipt("still"))).await, Ok(Print::Printed { .. })));
    assert!(common::paper(&receipts).contains("still"));

    // Gone for good, they say so; back under that name, they serve it again.
    let id = hand.id();
    let plan = till.drivers().plan::<tresen::Scanners>(&counter.config().devices[&id].address[0]).expect("right");
    till.detach(&id, LONG).await.expect("attached");
    let refused = hand.beep(true).await.expect_err("detached");
    assert!(refused.to_string().contains("detached"), "{refused}");
    till.attach::<tresen::Scanners>("hand", vec![plan]).await.expect("free again");
    ready(hand.phase()).await;
    scanner.with(|s| s.scan("96385074", tresen::scanners::Symbology::Ean8));
    assert_eq!(within("scanned", hand.next()).await.expect("ours").text, "96385074");
}

#[tokio::test]
async fn a_payment_in_the_middle_of_which_its_terminal_is_detached_is_settled_when_it_is_back() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile { commit: tresen::payment::zvt::Commit::Keeps, ..Profile::default() }).await;
    let till = counter.open_ready(&["counter"]).await;
    let terminal = till.terminal("counter").expect("configured");
    sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
    let (_keep, abort) = tokio::sync::watch::channel(false);
    let request = Request::new("lunch", Amount::eur(12_50));
    let paying = terminal.pay_as(request, abort);
    let leaving = async {
        common::until("approved", || sim.with(|s| s.ledger().entries().len()) == 1).await;
        till.detach(&terminal.id(), Duration::ZERO).await.expect("attached");
    };
    let (_, ()) = within("detached", async { tokio::join!(paying, leaving) }).await;
    sim.with(|s| s.behave());
    let address = counter.config().devices[&terminal.id()].address[0].clone();
    let plan = till.drivers().plan::<Terminals>(&address).expect("right");
    till.attach::<Terminals>("counter", vec![plan]).await.expect("free again");
    ready(terminal.phase()).await;
    assert!(till.open_payments("counter").await.expect("read").is_empty());
    let payments = till.store().payments().await.expect("read").rows;
    let charged = payments.iter().filter(|p| p.payment.as_ref().is_some_and(is_charged)).count();
    assert_eq!((payments.len(), charged, sim.with(|s| s.ledger().stored().count())), (1, 1, 1));
}

#[tokio::test]
async fn a_device_has_one_name() {
    let mut counter = Counter::new();
    let _receipt = counter.printer("receipt").await;
    let till = counter.open_ready(&["receipt"]).await;
    let config = counter.config();
    let plan = till.drivers().plan::<Printers>(&config.devices[&printer("receipt")].address[0]).expect("right");
    let taken = till.attach::<Printers>("again", vec![plan.clone()]).await.expect_err("another name's");
    assert!(taken.kind() == Kind::Config && taken.to_string().contains("printer receipt"), "{taken}");
    let nameless = till.attach::<Printers>(" ", vec![Gate::new().plan()]).await.expect_err("no name");
    assert_eq!(nameless.kind(), Kind::Config);

    till.detach(&printer("receipt"), LONG).await.expect("attached");
    till.attach::<Printers>("mine", vec![plan]).await.expect("free now");
    let taken = till.reload_with(config, LONG).await.expect_err("the program's");
    assert!(taken.kind() == Kind::Config && taken.to_string().contains("printer mine"), "{taken}");
    assert_eq!(till.devices().len(), 1, "nothing has changed");
}

/// When it was, and which devices were ready.
type Seen = (Timestamp, Vec<DeviceId>);

/// A clock that calls back when it is asked: each event asks it as it is told.
struct Watching {
    system: SystemRuntime,
    asked: AtomicI64,
    look: OnceLock<Box<dyn Fn(Timestamp) + Send + Sync>>,
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watching")
    }
}

impl Clock for Watching {
    fn now(&self) -> Instant {
        self.system.now()
    }
    fn wall(&self) -> Timestamp {
        let at = Timestamp::from_microsecond(self.asked.fetch_add(1, Ordering::Relaxed)).expect("soon after 1970");
        self.look.get().into_iter().for_each(|look| look(at));
        at
    }
}

impl Runtime for Watching {
    fn random(&self) -> u64 {
        self.system.random()
    }
    fn new_id(&self) -> String {
        self.system.new_id()
    }
    fn offload(&self, work: Work) {
        self.system.offload(work);
    }
    fn worker(&self, name: &str) -> Result<Worker> {
        self.system.worker(name)
    }
}

#[tokio::test]
async fn whoever_hears_that_a_device_is_connected_and_looks_finds_it_ready() {
    let mut counter = Counter::new();
    let _receipt = counter.printer("receipt").await;
    let _counter = counter.terminal(Profile::default()).await;
    let _hand = counter.serve("scanners.hand", "scanner", "", Scanner::new(Settings::default())).await;
    let config = counter.config();
    let runtime = Arc::new(Watching { system: SystemRuntime::new(), asked: AtomicI64::new(0), look: OnceLock::new() });
    let mut empty = Config::default();
    empty.till.store = counter.db();
    let till = Tresen::builder().runtime(runtime.clone()).with(empty.clone()).await.expect("opens");
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let (looks, notes) = (till.clone(), seen.clone());
    let look = move |at| {
        let ready = looks.devices().into_iter().filter(|d| d.phase.is_ready()).map(|d| d.id).collect();
        notes.lock().expect("whole").push((at, ready));
    };
    runtime.look.set(Box::new(look)).ok().expect("once");
    let mut events = till.events();
    let mut full = empty;
    full.devices = config.devices;
    till.reload_with(full, LONG).await.expect("right");
    let mut connected = 0;
    while connected < 3 {
        let event = within("connected", events.next()).await.expect("the till is open");
        if let (EventKind::Connected { .. }, Some(device)) = (&event.kind, event.source.device()) {
            let seen = seen.lock().expect("whole");
            let (_, ready) = seen.iter().find(|(at, _)| *at == event.at).expect("it asked for the time");
            assert!(ready.contains(device), "{device} was told as connected while a snapshot said that it is not");
            connected += 1;
        }
    }
}

#[tokio::test]
async fn a_recording_of_a_plan_of_the_programs_own_is_masked_like_others() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile { password: None, ..Profile::default() }).await;
    let capture = counter.dir.path().join("day.capture");
    let at = &counter.config().devices[&DeviceId::new(Class::Terminal, "counter")].address[0];
    let address = at.clone().with("password", "246813").with("record", capture.to_str().expect("text"));
    let options = zvt::Options::from_address(&address).expect("right");
    let plan = Plan::at(&address, move |link, context: Context| {
        let options = options.clone();
        async move {
            let journal = context.journal.expect("a till has one");
            let terminal = zvt::open(link, options, journal, context.runtime).await?;
            Ok(Box::new(terminal) as Box<dyn tresen::payment::Terminal>)
        }
    });
    let mut config = Config::default();
    config.till.store = counter.db();
    let till = Tresen::with(config).await.expect("opens");
    let id = till.attach::<Terminals>("counter", vec![plan]).await.expect("new");
    ready(till.phase(&id).expect("attached")).await;
    till.close(LONG).await.expect("closes");
    assert!(sim.with(|s| s.received(0x0600)) > 0, "it was registered, with its password");
    let recorded = std::fs::read_to_string(capture).expect("recorded").replace(' ', "");
    assert!(recorded.contains("0600") && !recorded.contains("246813"), "{recorded}");
}

#[tokio::test]
async fn a_till_can_be_closed_again() {
    let till = Counter::new().open().await;
    till.close(LONG).await.expect("closes");
    till.close(LONG).await.expect("is closed");
    assert_eq!(till.open_jobs().await.expect_err("closed").kind(), Kind::Storage);
}

/// A driver that has an event at every look.
struct Chatty(Capabilities);

impl Driver for Chatty {
    type Event = Status;
    fn event(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async {
            let mut status = Status::default();
            status.online = Known::Yes;
            Ok(status)
        })
    }
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Printer for Chatty {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }
    fn print<'a>(&'a mut self, _job: &'a Job) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Accepted })
    }
}

#[test]
fn a_driver_that_never_stops_talking_leaves_the_others_their_turn() {
    let (done, waits) = std::sync::mpsc::channel();
    // A thread of its own: if nobody else gets a turn there, this test still ends.
    std::thread::spawn(move || {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        threads.block_on(async {
            let till = Counter::new().open().await;
            let plan = Plan::new("a chatty printer", |_context| async {
                Ok(Box::new(Chatty(Capabilities::new(Dots(240), 40))) as Box<dyn Printer>)
            });
            till.attach::<Printers>("bar", vec![plan]).await.expect("new");
            let bar = till.printer("bar").expect("attached");
            ready(bar.phase()).await;
            let printed = bar.print(&receipt("Table 4")).await;
            till.close(LONG).await.expect("closes");
            done.send(printed).ok();
        });
    });
    let printed = waits.recv_timeout(DEADLINE).expect("the others get their turn");
    assert!(matches!(printed, Ok(Print::Accepted { .. })));
}
