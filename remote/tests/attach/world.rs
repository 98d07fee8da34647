//! A till, a handheld with simulated devices, and the line between them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tresen::api::PROTOCOL;
use tresen::payment::{IntentId, Journal};
use tresen::testing::Counter;
use tresen::{Class, DeviceId, Payment, Print, Receipt, Store, Tresen};
use tresen_hal::barcode::Symbology;
use tresen_remote::attach::wire::{FromHandheld, FromTill};
use tresen_remote::attach::{Hub, Offer, Standing};
use tresen_remote::trust::{By, Principal};
use tresen_remote::wire::Welcome;

use super::described::Dialogue;

const TILL: &str = "
    [till]
    name = 'Till 1'
    [remote]
    [stations.'handheld 7']
    terminal = 'terminal.7'
    printer = 'belt.7'
    scanner = 'scanner.7'
";

const HANDHELD: &str = "
    [till]
    name = 'Handheld 7'
    [printers.belt]
    address = 'escpos+tcp://10.0.0.20'
    [terminals.terminal]
    address = 'zvt+tcp://10.0.0.30'
    [scanners.scanner]
    address = 'scanner+serial:///dev/ttyACM0'
";

pub(crate) fn principal(name: &str, rights: &str) -> Principal {
    let (grants, by) = (rights.parse().expect("rights"), By::Token { id: name.into() });
    Principal { name: name.into(), station: None, grants, expires: None, by }
}

/// A program with a database: the till, or the handheld.
pub(crate) struct Side {
    pub(crate) counter: Counter,
    pub(crate) till: Tresen,
    _folder: Option<TempDir>,
}

impl Side {
    pub(crate) async fn open(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let counter = Counter::parse(text, folder.path()).expect("right");
        let till = counter.open().await.expect("opens");
        Self { counter, till, _folder: Some(folder) }
    }

    /// Ends the program as it stands, and starts it again beside its devices.
    pub(crate) async fn restart(&mut self) {
        self.till.close(Duration::ZERO).await.ok();
        self.till = self.counter.open().await.expect("opens");
    }

    /// Ends the program, puts a backup back, and starts it again.
    pub(crate) async fn restore(&mut self, backup: &Path) {
        let (runtime, database) = (self.till.runtime().clone(), self.till.store().path().to_owned());
        self.till.close(Duration::ZERO).await.ok();
        Store::restore(backup, &database, runtime).await.expect("restored");
        self.till = self.counter.open().await.expect("opens");
    }
}

pub(crate) struct World {
    pub(crate) shop: Side,
    pub(crate) hub: Arc<Hub>,
    pub(crate) handheld: Side,
    pub(crate) offer: Offer,
    /// The run of the till's server.
    pub(crate) run: u32,
    line: Option<JoinHandle<()>>,
}

impl World {
    pub(crate) async fn open() -> Self {
        Self::with("").await
    }

    /// The handheld has these devices as well.
    pub(crate) async fn with(devices: &str) -> Self {
        Self::made(TILL, &format!("{HANDHELD}{devices}")).await
    }

    /// With this configuration of the till.
    pub(crate) async fn at(till: &str) -> Self {
        Self::made(till, HANDHELD).await
    }

    async fn made(till: &str, handheld: &str) -> Self {
        let (shop, handheld) = (Side::open(till).await, Side::open(handheld).await);
        let (hub, offer) = (Hub::new(&shop.till), Offer::of(&handheld.till));
        Self { shop, hub, handheld, offer, run: 1, line: None }
    }

    /// Connected, with all devices ready at the till.
    pub(crate) async fn connected() -> Self {
        let mut world = Self::open().await;
        world.connect(None);
        world.ready().await;
        world
    }

    pub(crate) fn welcome(&self) -> Welcome {
        Welcome {
            tresen: "0".into(),
            protocol: PROTOCOL,
            till: self.shop.till.store().till().to_owned(),
            name: "Till 1".into(),
            run: self.run.to_string(),
            you: "handheld 7".into(),
            rights: "attach".parse().expect("rights"),
            expires: None,
        }
    }

    /// Connects, and again 1 s after each cut.
    pub(crate) fn connect(&mut self, plan: Option<Cut>) -> Arc<Mutex<Option<Cut>>> {
        self.disconnect();
        let plan = Arc::new(Mutex::new(plan));
        let (hub, offer, welcome, cut) = (self.hub.clone(), self.offer.clone(), self.welcome(), plan.clone());
        self.line = Some(tokio::spawn(async move {
            loop {
                carry(&hub, &offer, &welcome, &cut).await;
                sleep(Duration::from_secs(1)).await;
            }
        }));
        plan
    }

    pub(crate) fn disconnect(&mut self) {
        if let Some(line) = self.line.take() {
            line.abort();
        }
    }

    /// Waits until the till can use all devices.
    pub(crate) async fn ready(&self) {
        self.offer
            .standing()
            .wait_for(|standing| matches!(standing, Standing::Attached { .. }))
            .await
            .expect("answers");
        for (class, name) in
            [(Class::Printer, "belt.7"), (Class::Terminal, "terminal.7"), (Class::Scanner, "scanner.7")]
        {
            let mut phase = self.shop.till.phase(&DeviceId::new(class, name)).expect("is attached");
            let ready = timeout(Duration::from_secs(120), phase.wait_for(|phase| phase.is_ready())).await;
            assert!(ready.is_ok(), "{name} is not ready");
        }
    }

    pub(crate) fn scan(&self, data: &str) {
        self.handheld.counter.scanner("scanner").expect("there").with(|scanner| scanner.scan(data, Symbology::Ean13));
    }

    /// The turnover of the terminal, in cents.
    pub(crate) fn charged(&self) -> i64 {
        self.handheld.counter.terminal("terminal").expect("there").with(|terminal| terminal.ledger().turnover())
    }

    pub(crate) fn paper(&self) -> String {
        self.handheld.counter.printer("belt").expect("there").with(|printer| printer.roll().text().to_owned())
    }

    /// Prints something at the handheld.
    pub(crate) async fn till_prints(&self, text: &str) {
        let printer = self.shop.till.printer("belt.7").expect("attached");
        let printed = printer.print(&Receipt::new().text(text)).await.expect("stored");
        assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
        assert_eq!(self.paper().matches(text).count(), 1);
    }

    /// How a payment stands in the till's journal and in the handheld's; `None` where it is not known.
    pub(crate) async fn journals(&self, key: &str) -> (Option<Payment>, Option<Payment>) {
        let here = Journal::find(self.shop.till.store(), &IntentId(key.into())).await.expect("readable");
        let there = IntentId(format!("{}/{key}", self.shop.till.store().till()));
        let there = Journal::find(self.handheld.till.store(), &there).await.expect("readable");
        (here.and_then(|entry| entry.outcome()), there.and_then(|entry| entry.outcome()))
    }

    /// Waits until the till knows how a payment ended.
    pub(crate) async fn decided(&self, key: &str) -> Payment {
        for _ in 0..600 {
            if let (Some(payment), _) = self.journals(key).await
                && payment.is_decided()
            {
                return payment;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("`{key}` stays undecided: {:?}", self.journals(key).await);
    }

    /// What the till says of a payment is what the handheld says, and what the terminal has booked.
    pub(crate) async fn agrees(&self, key: &str, what: &str) {
        let here = self.decided(key).await;
        let (_, there) = self.journals(key).await;
        match (&here, there) {
            (Payment::Charged(here), Some(Payment::Charged(there))) => {
                assert_eq!((here.amount, &here.reference), (there.amount, &there.reference), "{what}");
                assert_eq!(self.charged(), here.amount.minor(), "{what}");
            }
            (Payment::NotCharged(_), None | Some(Payment::NotCharged(_))) => assert_eq!(self.charged(), 0, "{what}"),
            (here, there) => panic!("{what}: the till says {here:?}, the handheld {there:?}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Where the line is cut: at this message, which has or has not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) to_till: bool,
    pub(crate) message: usize,
    pub(crate) arrives: bool,
}

/// Carries messages as text, each compared with the schema, until the cut; the plan is taken by the first cut.
pub(crate) async fn carry(hub: &Arc<Hub>, offer: &Offer, welcome: &Welcome, plan: &Mutex<Option<Cut>>) {
    let (out, mut to_handheld) = mpsc::channel(64);
    let attachment = hub.connect(principal("handheld 7", "attach"), out);
    let mut port = offer.connect(welcome);
    let mut passed = [0, 0];
    let mut dialogue = Dialogue::default();
    loop {
        let (to_till, text) = tokio::select! {
            biased;
            text = port.next() => (true, text),
            text = to_handheld.recv() => (false, text),
        };
        let Some(text) = text else { return };
        let json = serde_json::from_str(&text).expect("is JSON");
        if to_till {
            dialogue.client_says(&json);
        } else {
            dialogue.till_says(&json);
        }
        let at = passed[usize::from(to_till)];
        passed[usize::from(to_till)] += 1;
        let cut = {
            let mut plan = plan.lock().expect("sound");
            plan.take_if(|cut| cut.to_till == to_till && cut.message == at)
        };
        if cut.is_none_or(|cut| cut.arrives) {
            if to_till {
                let message: FromHandheld = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
                attachment.take(message).expect("is right");
            } else {
                let message: FromTill = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
                port.take(message);
            }
        }
        if cut.is_some() {
            return;
        }
    }
}
