//! A handheld offers its devices to a till over TLS, each in a process of its own, and either is killed in the middle of a
//! job and of a payment. Paper, the terminal's ledger and both journals agree afterwards, and nothing is done twice.
#![cfg(unix)]

mod common;

use std::net::{SocketAddr, TcpListener as Port};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::{Running, start, tresen, until};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tresen::api::{Client, Command, printer, socket, terminal};
use tresen::hal::sim::{self, Server, Shared};
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Profile, Simulator};
use tresen::payment::{IntentId, Journal};
use tresen::printers::Profile as PrinterProfile;
use tresen::printers::escpos::sim::{Line, Simulator as PrinterSimulator};
use tresen::{Amount, Content, JobState, Payment, Print, Receipt, Result, Store, SystemRuntime};

/// A till, a handheld that has joined it, and the handheld's devices, which no kill concerns.
struct World {
    on: Runtime,
    dir: TempDir,
    url: String,
    belt: Shared<PrinterSimulator>,
    terminal: Shared<Simulator>,
    _servers: [Server; 2],
}

impl World {
    /// The handheld has joined; the till runs.
    fn new(commit: Commit) -> (Self, Running) {
        let on = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let belt = Shared::new(PrinterSimulator::new(PrinterProfile::epson_tm_m30()));
        let pace = Duration::from_millis(300);
        let terminal = Shared::new(Simulator::new(Profile { commit, pace, ..Profile::default() }));
        let (servers, [belt_at, terminal_at]) = on.block_on(async {
            let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let (paper, belt_at) = sim::tcp(bind().await, belt.clone()).expect("served");
            let (money, terminal_at) = sim::tcp(bind().await, terminal.clone()).expect("served");
            ([paper, money], [belt_at, terminal_at])
        });
        // The till has to be found again after a restart.
        let listen: SocketAddr = Port::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
        let dir = tempfile::tempdir().expect("a folder");
        let world = Self { on, dir, url: format!("wss://{listen}"), belt, terminal, _servers: servers };
        let till = format!(
            "[till]\nname = 'Corner shop'\n[remote]\nlisten = '{listen}'\n[printers.'belt.7']\nfrom = 'handheld 7'\n\
             [terminals.'terminal.7']\nfrom = 'handheld 7'\n"
        );
        let handheld = format!(
            "[till]\nname = 'Handheld 7'\nstore = 'handheld.db'\n[printers.belt]\naddress = 'escpos+tcp://{belt_at}'\n\
             [terminals.terminal]\naddress = 'zvt+tcp://{terminal_at}?exclusive=true&grace=0'\n"
        );
        std::fs::write(world.path("till.toml"), till).expect("written");
        std::fs::write(world.path("handheld.toml"), handheld).expect("written");
        assert!(tresen(["check-config", &world.text("till.toml")]).well().out.contains("offered by handheld 7"));

        let serving = world.serve();
        let enrol = ["enrol", &world.text("till.toml"), "handheld 7", "--rights", "attach"];
        let shown = tresen(enrol).well().out;
        let code = shown.lines().find(|line| line.starts_with("wss://")).expect("the QR code's text");
        tresen(["join", code, "--into", &world.text("identity")]).well();
        (world, serving)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    fn serve(&self) -> Running {
        let mut serving = start(["serve", &self.text("till.toml"), "--json"]);
        assert_eq!(serving.json()["addresses"][0], self.url);
        serving
    }

    /// The handheld's program, once its devices are the till's.
    fn attach(&self) -> Running {
        let (config, identity) = (self.text("handheld.toml"), self.text("identity"));
        let attach = ["attach", &self.url, "--config", &config, "--identity", &identity, "--json"];
        let attached = start(attach);
        self.ready();
        attached
    }

    /// Waits until the till can use both devices.
    fn ready(&self) {
        until("both devices are ready", || {
            self.call(tresen::api::till::Snapshot {}).is_ok_and(|now| {
                now.devices.len() == 2 && now.devices.iter().all(|device| device.phase == tresen::Phase::Ready)
            })
        });
    }

    /// Asks the running till.
    fn call<C: Command>(&self, command: C) -> Result<C::Reply> {
        self.on.block_on(async { Client::connect(&socket::path(&self.path("till.db"))).await?.call(command).await })
    }

    /// The same beside what the test goes on to do.
    fn beside<C: Command + Send + Sync + 'static>(&self, command: C) -> JoinHandle<Result<C::Reply>>
    where
        C::Reply: Send,
    {
        let path = socket::path(&self.path("till.db"));
        self.on.spawn(async move { Client::connect(&path).await?.call(command).await })
    }

    fn print(id: &str, text: &str) -> printer::Print {
        let content = Content::Receipt(Receipt::new().text(text).cut());
        printer::Print { printer: "belt.7".into(), content, id: Some(id.into()), within: None }
    }

    fn pay(key: &str) -> terminal::Pay {
        terminal::Pay { terminal: "terminal.7".into(), amount: Amount::eur(12_50), key: Some(key.into()) }
    }

    fn paper(&self, text: &str) -> usize {
        self.belt.with(|belt| belt.roll().text().matches(text).count())
    }

    fn charged(&self) -> Vec<Amount> {
        self.terminal.with(|terminal| terminal.ledger().stored().map(|stored| stored.amount).collect())
    }

    /// Waits until the till knows how a payment ended; `None` if it has never begun.
    fn decided(&self, key: &str) -> Option<Payment> {
        let mut decided = None;
        until("the payment is decided", || {
            let Ok(entry) = self.call(terminal::Find { key: IntentId(key.into()) }) else { return false };
            let Some(entry) = entry else { return true };
            decided = entry.outcome().filter(Payment::is_decided);
            decided.is_some()
        });
        decided
    }

    /// What the handheld's journal has of a payment of the till.
    fn theirs(&self, key: &str) -> Option<Payment> {
        self.on.block_on(async {
            let open = async |name: &str| {
                Store::open_read_only(&self.path(name), Arc::new(SystemRuntime::new())).await.expect("a database")
            };
            let (till, store) = (open("till.db").await.till().to_owned(), open("handheld.db").await);
            let entry = Journal::find(&store, &IntentId(format!("{till}/{key}"))).await.expect("readable");
            entry.and_then(|entry| entry.outcome())
        })
    }

    /// Both journals and the ledger say the same of the only payment; whether it was charged.
    fn agree(&self, key: &str) -> bool {
        let ours = self.decided(key);
        let charged = matches!(ours, Some(Payment::Charged(_)));
        until("the terminal has decided", || self.charged().len() == usize::from(charged));
        let theirs = self.theirs(key);
        assert_eq!(matches!(theirs, Some(Payment::Charged(_))), charged, "{ours:?}, {theirs:?}");
        assert!(self.terminal.with(|terminal| terminal.received(0x0601)) <= 1, "asked for once");
        charged
    }
}

#[test]
fn a_handheld_prints_and_pays_for_the_till() {
    let (world, serving) = World::new(Commit::Keeps);
    let waiting = world.beside(World::print("job-0", "before it came"));
    let attached = world.attach();
    let printed = world.on.block_on(waiting).expect("ends");
    assert!(matches!(printed, Ok(Print::Printed { .. })), "{printed:?}");
    let printed = world.call(World::print("job-1", "Flat white"));
    assert!(matches!(printed, Ok(Print::Printed { .. })), "{printed:?}");
    assert_eq!((world.paper("before it came"), world.paper("Flat white")), (1, 1));
    let paid = world.call(World::pay("sale-1")).expect("answered");
    assert!(matches!(paid, Payment::Charged(_)), "{paid:?}");
    assert!(world.agree("sale-1"));
    // It is revoked: its program is not let in any more.
    tresen(["revoke", &world.text("till.toml"), "handheld 7", "--why", "lost on Friday"]).well();
    until("its devices are away", || {
        world
            .call(tresen::api::till::Snapshot {})
            .is_ok_and(|now| now.devices.iter().all(|device| device.phase.is_away()))
    });
    attached.interrupt();
    attached.end();
    serving.interrupt();
    assert_eq!(serving.end().code, Some(0));
}

/// 2 s of paper.
fn long() -> String {
    (0..40).map(|line| format!("line {line:02} of a long receipt\n")).collect::<String>() + "the last line"
}

#[test]
fn a_job_in_the_middle_of_which_either_is_killed_is_in_doubt_and_the_next_is_printed() {
    for till_dies in [false, true] {
        let (world, mut serving) = World::new(Commit::Keeps);
        let mut attached = world.attach();
        world.belt.with(|belt| belt.faults.line = Some(Line { bytes_per_second: 500, buffer: 64 }));
        let printing = world.beside(World::print("job-1", &long()));
        until("it prints", || world.paper("line 03") == 1);
        if till_dies {
            serving.kill();
            world.on.block_on(printing).expect("ends").expect_err("the till is gone");
            serving = world.serve();
            world.ready();
        } else {
            attached.kill();
            attached = world.attach();
        }
        world.belt.with(|belt| belt.faults.line = None);
        until("it is in doubt", || {
            let job = world.call(printer::Find { job: "job-1".into() });
            job.is_ok_and(|job| job.is_some_and(|job| job.state == JobState::Unknown))
        });
        let next = world.call(World::print("job-2", "the next receipt"));
        assert!(matches!(next, Ok(Print::Printed { .. })), "till: {till_dies}: {next:?}");
        assert_eq!(world.paper("the next receipt"), 1, "till: {till_dies}");
        assert!(world.paper("the last line") <= 1, "till: {till_dies}: printed twice");
        assert_eq!(world.paper("line 03 of"), 1, "till: {till_dies}: printed twice");
        drop((attached, serving));
    }
}

#[test]
fn a_payment_in_the_middle_of_which_either_is_killed_is_charged_once_or_not_at_all() {
    for (till_dies, commit) in
        [(false, Commit::Keeps), (false, Commit::Reverses), (true, Commit::Keeps), (true, Commit::Reverses)]
    {
        let (world, mut serving) = World::new(commit);
        let mut attached = world.attach();
        let paying = world.beside(World::pay("sale-1"));
        until("the terminal was asked", || world.terminal.with(|terminal| terminal.received(0x0601)) == 1);
        if till_dies {
            serving.kill();
            world.on.block_on(paying).expect("ends").expect_err("the till is gone");
            serving = world.serve();
            world.ready();
        } else {
            attached.kill();
            attached = world.attach();
        }
        let charged = world.agree("sale-1");
        // A till that was killed leaves the handheld to finish what it began.
        assert!(charged || !till_dies, "{commit:?}");
        // The same key again is the same payment.
        let again = world.call(World::pay("sale-1")).expect("answered");
        assert_eq!(matches!(again, Payment::Charged(_)), charged, "{again:?}");
        assert_eq!(world.agree("sale-1"), charged);
        let next = world.call(World::pay("sale-2")).expect("answered");
        assert!(matches!(next, Payment::Charged(_)), "till: {till_dies}, {commit:?}: {next:?}");
        drop((attached, serving));
    }
}
