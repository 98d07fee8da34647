//! The program on a handheld: it serves customers until it is told to finish. What it does for each of them follows from
//! its seed; what it has done stands in its notes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;
use tresen::api::{Command, lease, printer, sale, scanner, terminal};
use tresen::lease::{Key, Target, Turn};
use tresen::sale::{Line, Vat};
use tresen::{Amount, Class, DeviceId, Effect, Error, Kind, Receipt, Result, Runtime, SaleView, SystemRuntime, Tresen};
use tresen_remote::attach::Offer;
use tresen_remote::client::{Client, Options};
use tresen_remote::trust::Credentials;

use crate::dice::Dice;
use crate::notes::Notes;
use crate::shop::{GROUPS, TERMINALS};

/// Who a handheld is: `handheld.json` in its folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Me {
    pub(crate) number: u64,
    pub(crate) seed: u64,
    /// The till's address, as the network has it.
    pub(crate) url: String,
    /// It has a printer on its belt and a scanner, which it offers to the till.
    pub(crate) devices: bool,
}

impl Me {
    /// Its name at the till.
    pub(crate) fn name(&self) -> String {
        format!("handheld {}", self.number)
    }
}

/// Files in the folder of a handheld.
pub(crate) const ME: &str = "handheld.json";
pub(crate) const NOTES: &str = "notes";
pub(crate) const CONFIG: &str = "handheld.toml";
pub(crate) const CERTIFICATE: &str = "till";
/// Told by the test: serve nobody any more.
pub(crate) const FINISH: &str = "finish";
/// Told by the handheld: everybody is served.
pub(crate) const DONE: &str = "done";
/// Told by the test: end.
pub(crate) const LEAVE: &str = "leave";

/// Plays the handheld of a folder.
pub(crate) async fn work(folder: &Path) -> Result<()> {
    let me: Me = serde_json::from_slice(&std::fs::read(folder.join(ME))?).expect("written by the test");
    let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::new());
    let credentials = Credentials::load(&folder.join(CERTIFICATE))?;
    let here = if me.devices { Some(Tresen::open(folder.join(CONFIG)).await?) } else { None };
    let mut options = Options::new(runtime);
    if let Some(here) = &here {
        options = options.offer(Offer::of(here));
    }
    let client = Client::lazy(credentials.dial(&me.url)?, options)?;
    let notes = Notes::open(&folder.join(NOTES));
    let mut handheld = Handheld { me, folder: folder.to_owned(), client, notes };
    handheld.serve_all().await?;
    std::fs::write(folder.join(DONE), "")?;
    while !folder.join(LEAVE).exists() {
        sleep(LOOK).await;
    }
    drop(handheld);
    match here {
        Some(here) => here.close(Duration::from_secs(10)).await,
        None => Ok(()),
    }
}

struct Handheld {
    me: Me,
    folder: PathBuf,
    client: Client,
    notes: Notes,
}

impl Handheld {
    async fn serve_all(&mut self) -> Result<()> {
        loop {
            let customer = self.notes.last_served() + 1;
            let begun = self.notes.steps().contains_key(&self.first_key(customer));
            if !begun && self.folder.join(FINISH).exists() {
                return Ok(());
            }
            let mut dice = Dice::new(self.me.seed ^ (self.me.number << 32) ^ customer);
            self.serve(customer, &mut dice).await?;
            self.notes.served(customer);
            sleep(dice.millis(20, 500)).await;
        }
    }

    /// What belongs to a customer is named after it: `h07-00012`.
    fn id(&self, customer: u64) -> String {
        format!("h{:02}-{customer:05}", self.me.number)
    }

    fn first_key(&self, customer: u64) -> String {
        format!("{}/1", self.id(customer))
    }

    async fn serve(&mut self, customer: u64, dice: &mut Dice) -> Result<()> {
        let (id, first) = (self.id(customer), self.first_key(customer));
        match dice.below(100) {
            0..10 => self.slip(&id, &first, dice).await,
            10..22 => self.charge(&first, dice).await,
            22..30 if self.me.devices => self.scan(&first).await,
            _ => self.sell(&id, &first, dice).await,
        }
    }

    /// Prints a piece of paper: on the belt, or at the till.
    async fn slip(&mut self, id: &str, key: &str, dice: &mut Dice) -> Result<()> {
        let belt = format!("belt.{}", self.me.number);
        let printer = if self.me.devices && dice.percent(60) { belt } else { "back".to_owned() };
        let paper = Receipt::new().text(format!("Slip {id}.s"));
        let paper = (0..dice.below(20)).fold(paper, |paper, n| paper.text(format!("{n} bottles")));
        let content = paper.text(format!("End {id}.e")).cut().into();
        self.step(key, || printer::Submit { printer, content, id: None }, |queued| json!(queued.job)).await
    }

    /// Takes a payment that belongs to no sale.
    async fn charge(&mut self, key: &str, dice: &mut Dice) -> Result<()> {
        let amount = Amount::eur(1_00 + dice.below(50_00) as i64);
        let terminal = TERMINALS[dice.index(TERMINALS.len())].to_owned();
        let pay = terminal::Pay { terminal: terminal.clone(), amount, key: None };
        self.at_terminal(key, &terminal, pay, |paid| json!(paid), dice).await
    }

    async fn scan(&mut self, key: &str) -> Result<()> {
        let scanner = format!("scanner.{}", self.me.number);
        let within = Some(Duration::from_millis(1_500));
        let text = |scan: &Option<tresen::Scan>| json!(scan.as_ref().map(|scan| &scan.text));
        self.step(key, || scanner::Next { scanner, within }, text).await
    }

    async fn sell(&mut self, id: &str, first: &str, dice: &mut Dice) -> Result<()> {
        let sale = id.to_owned();
        self.step(first, || sale::Open { by: None, id: Some(sale.clone()) }, |_| Value::Null).await?;
        let orders_at_once = dice.percent(50);
        for n in 1..=1 + dice.below(4) {
            let (price, group) = (Amount::eur(50 + dice.below(20_00) as i64), dice.index(GROUPS.len() + 1));
            let mut line = Line::pieces(format!("Dish {id}.{n}"), 1, price, Vat::percent(19))?;
            if let Some(group) = GROUPS.get(group) {
                line = line.group(*group);
            }
            let add = || sale::Add { sale: sale.clone(), rev: None, by: None, line, key: None };
            self.step(&format!("{id}/line{n}"), add, |_| Value::Null).await?;
            if orders_at_once {
                self.order(&sale, &format!("{id}/order{n}")).await?;
            }
            sleep(dice.millis(0, 60)).await;
        }
        self.order(&sale, &format!("{id}/order")).await?;
        self.pay(&sale, dice).await?;
        let close = || sale::Close { sale: sale.clone(), rev: None, by: None, printer: "receipt".into(), drawer: None };
        self.step(&format!("{id}/close"), close, |closed| json!(closed.sold)).await
    }

    async fn order(&mut self, sale: &str, key: &str) -> Result<()> {
        let order = || sale::Order { sale: sale.to_owned(), rev: None, by: None };
        self.step(key, order, |ordered| json!(ordered.tickets.len())).await
    }

    /// Pays what is open: by card, in parts, in cash.
    async fn pay(&mut self, sale: &str, dice: &mut Dice) -> Result<()> {
        for attempt in 1.. {
            let (key, mut dice) = (format!("{sale}/pay{attempt}"), dice.fork());
            let known = self.notes.step(&key).cloned();
            if known.as_ref().is_some_and(|step| step.reply.is_some()) {
                continue;
            }
            let view = self.decided(sale).await?;
            let due = view.due.minor();
            if known.is_none() && due == 0 {
                return Ok(());
            }
            let by_card = match &known {
                Some(step) => step.command == sale::PayCard::NAME,
                None => attempt < 6 && dice.percent(70),
            };
            let part = (due > 2 && dice.percent(20)).then(|| Amount::eur(1 + dice.below(due as u64 - 1) as i64));
            let (sale, terminal) = (sale.to_owned(), TERMINALS[dice.index(TERMINALS.len())].to_owned());
            if by_card {
                let pay =
                    sale::PayCard { sale, rev: None, by: None, terminal: terminal.clone(), amount: part, key: None };
                self.at_terminal(&key, &terminal, pay, |paid| json!(paid.payment), &mut dice).await?;
            } else {
                let given = part.unwrap_or(Amount::eur(due + 3_00));
                let pay = || sale::PayCash { sale, rev: None, by: None, given, key: None };
                self.step(&key, pay, |paid| json!(paid.back)).await?;
            }
        }
        unreachable!("the attempts do not end")
    }

    /// The sale as soon as no payment of it is running or in doubt.
    async fn decided(&self, sale: &str) -> Result<SaleView> {
        for _ in 0..TRIES {
            let view = self.patiently(None, sale::Refresh { sale: sale.to_owned() }).await?;
            if !view.pending {
                return Ok(view);
            }
            sleep(PAUSE).await;
        }
        Err(Error::new(Kind::Timeout, "a payment stays undecided").at(sale))
    }

    /// Makes a call to a terminal under a lease of it.
    async fn at_terminal<C: Command + Clone>(
        &mut self,
        key: &str,
        terminal: &str,
        call: C,
        keep: impl Fn(&C::Reply) -> Value,
        dice: &mut Dice,
    ) -> Result<()> {
        // The terminal of a call that was made before is in the notes.
        let noted = self.notes.step(key).and_then(|step| Some(step.with.get("terminal")?.as_str()?.to_owned()));
        let terminal = noted.unwrap_or_else(|| terminal.to_owned());
        let target = Target::Device(DeviceId::new(Class::Terminal, &terminal));
        loop {
            let lease = self.lease(&target).await?;
            let leases = std::slice::from_ref(&lease);
            match self.keyed(key, leases, || call.clone(), &keep).await {
                // It has expired on the way.
                Err(error) if error.kind() == Kind::Cancelled && error.effect() == Effect::None => continue,
                done => done?,
            }
            // Some forget it: it expires.
            if dice.percent(85) {
                match self.patiently(Some(&lease), lease::Release { target: target.clone() }).await {
                    Err(error) if error.kind() != Kind::Cancelled => return Err(error),
                    _ => {}
                }
            }
            return Ok(());
        }
    }

    async fn lease(&self, target: &Target) -> Result<Key> {
        for _ in 0..TRIES {
            let queue = lease::Queue { target: target.clone(), within: Some(Duration::from_secs(2)) };
            if let Turn::Granted(grant) = self.patiently(None, queue).await? {
                return Ok(grant.key);
            }
        }
        Err(Error::new(Kind::Timeout, "the lease does not come").at(target))
    }

    /// Makes a call once in the life of this handheld, and notes it. `keep` says what of the reply is noted.
    async fn step<C: Command>(
        &mut self,
        key: &str,
        call: impl FnOnce() -> C,
        keep: impl Fn(&C::Reply) -> Value,
    ) -> Result<()> {
        self.keyed(key, &[], call, &keep).await
    }

    async fn keyed<C: Command>(
        &mut self,
        key: &str,
        leases: &[Key],
        call: impl FnOnce() -> C,
        keep: &impl Fn(&C::Reply) -> Value,
    ) -> Result<()> {
        let with = match self.notes.step(key) {
            Some(step) if step.reply.is_some() => return Ok(()),
            Some(step) => step.with.clone(),
            None => {
                let with = serde_json::to_value(call()).expect("JSON");
                self.notes.call(key, C::NAME, with.clone());
                with
            }
        };
        let mut tries = 0;
        let reply = loop {
            match self.client.with_leases(leases).call_json(key, C::NAME, with.clone()).await {
                Ok(reply) => break reply,
                Err(error) => self.again(&mut tries, key, error, !leases.is_empty()).await?,
            }
        };
        let reply: C::Reply = serde_json::from_value(reply).expect("a reply of this command");
        self.notes.reply(key, keep(&reply));
        Ok(())
    }

    /// Asks for what may be asked for again under another key.
    async fn patiently<C: Command + Clone>(&self, lease: Option<&Key>, call: C) -> Result<C::Reply> {
        let leases: Vec<Key> = lease.cloned().into_iter().collect();
        let mut tries = 0;
        loop {
            match self.client.with_leases(leases.clone()).call(call.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => self.again(&mut tries, C::NAME, error, lease.is_some()).await?,
            }
        }
    }

    /// Waits before a call is made again, unless the error says that this is no use.
    async fn again(&self, tries: &mut u32, what: &str, error: Error, leased: bool) -> Result<()> {
        *tries += 1;
        eprintln!("{what}: {error:#} ({:?}, {:?})", error.kind(), error.effect());
        let useless = matches!(error.kind(), Kind::Input | Kind::Permission | Kind::Unsupported | Kind::Protocol)
            || leased && error.kind() == Kind::Cancelled && error.effect() == Effect::None;
        if useless || *tries > TRIES {
            return Err(error);
        }
        sleep(PAUSE).await;
        Ok(())
    }
}

const LOOK: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(300);
const TRIES: u32 = 300;
