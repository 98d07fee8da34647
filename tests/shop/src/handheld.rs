//! Somebody with a handheld: sells through commands over a radio, walks out of range, drops it.
//!
//! A handheld that hears nothing asks what became of its command before it says it again, as a program has to: the sale
//! by its id, a print job by its key.

use std::sync::Arc;
use std::time::Duration;

use tresen::api::{Command, lease, printer, sale};
use tresen::lease::{Grant, Key, Target, Turn};
use tresen::payment::Payment;
use tresen::printers::Content;
use tresen::sale::{Line, Sold, Vat};
use tresen::{Amount, Class, DeviceId, Kind, Receipt, SaleState, SaleView};

use crate::cashier::{AT_ONCE, PAYMENT, PRINT, SECONDS_61, note_line, note_print, offered};
use crate::counter::{Actor, Counter, Shift};
use crate::dice::Dice;
use crate::invariants::{foot, head};
use crate::notebook::{LeaseNote, SaleNote};
use crate::plan::Plan;
use crate::radio::{Answer, Radio};
use crate::world::{LEASE, TERMINALS};

/// Somebody with a handheld.
pub struct Handheld {
    radio: Arc<Radio>,
    dice: Dice,
    /// The terminal that it uses.
    terminal: &'static str,
    /// It queues for the terminal; others try until it is free.
    queues: bool,
    /// The last lease of it that it has heard of.
    lease: Option<Key>,
    /// One that it has let go, and the till knows.
    old: Option<Key>,
    /// The sale that it is at.
    mine: Option<String>,
    articles: u32,
    jobs: u32,
}

impl Handheld {
    /// The `n`th handheld; it uses the terminals in turn.
    pub fn new(n: usize, radio: Arc<Radio>, plan: &Plan, mut dice: Dice) -> Self {
        let (terminal, queues) = (TERMINALS[n % TERMINALS.len()], !plan.has_faults() || dice.percent(70));
        Self { radio, dice, terminal, queues, lease: None, old: None, mine: None, articles: 0, jobs: 0 }
    }

    async fn work(&mut self, counter: &Counter) {
        loop {
            let world = &counter.world;
            if let Some(id) = self.mine.clone() {
                // From before the till died, or parked by somebody.
                match self.find(counter, &id).await {
                    Some(view) => self.finish(counter, view).await,
                    None => self.mine = None,
                }
            } else if world.customers.next(world.story.time()) {
                self.serve(counter).await;
            } else if !world.is_open() {
                return;
            } else {
                let parked = if self.dice.percent(20) { world.notebook().parked.pop_front() } else { None };
                if parked.is_some() {
                    self.mine = parked;
                    continue;
                }
                if self.dice.percent(30) {
                    self.comes_late(counter).await;
                }
                let due = world.customers.due().unwrap_or(world.plan.length).saturating_sub(world.story.time());
                let pause = due.clamp(Duration::from_secs(1), Duration::from_secs(300)) + self.dice.millis(0, 3_000);
                counter.pause(pause).await;
            }
        }
    }

    /// A table: a new sale, from the first article on.
    async fn serve(&mut self, counter: &Counter) {
        let Some(view) = self.ask(counter, sale::Open::default(), AT_ONCE).await.reply() else { return };
        let id = view.ticket.id().to_owned();
        counter.world.notebook().begun(SaleNote::of(&id));
        self.mine = Some(id);
        let mut view = view;
        for _ in 0..=self.dice.below(3) {
            let Some(next) = self.add(counter, view).await else { return };
            view = next;
            counter.pause(self.dice.millis(200, 6_000)).await;
        }
        if self.dice.percent(40) {
            self.order(counter).await;
        }
        if self.dice.percent(15) {
            counter.world.story.tell(self.radio.name(), "leaves the sale to others");
            counter.world.notebook().parked.extend(self.mine.take());
            return;
        }
        self.finish(counter, view).await;
    }

    async fn add(&mut self, counter: &Counter, view: SaleView) -> Option<SaleView> {
        self.articles += 1;
        let name = format!("Dish {}-{}", self.radio.name(), self.articles);
        let (pieces, price) = (1 + self.dice.below(3) as i64, Amount::eur(1 + self.dice.below(30_00) as i64));
        let line = Line::pieces(&*name, pieces, price, Vat::percent(19)).expect("it fits");
        let id = view.ticket.id().to_owned();
        for _ in 0..3 {
            note_line(counter, &id, &name, false);
            let add = sale::Add { sale: id.clone(), rev: Some(view.rev), by: None, line: line.clone() };
            let answer = self.ask(counter, add, AT_ONCE).await;
            let heard = matches!(answer, Answer::Silence);
            if let Some(view) = answer.reply() {
                note_line(counter, &id, &name, true);
                return Some(view);
            }
            let view = self.find(counter, &id).await?;
            let has_it = view.ticket.lines().iter().any(|line| line.name == name);
            if has_it || !heard || view.state != SaleState::Open {
                return Some(view);
            }
        }
        self.find(counter, &id).await
    }

    /// Paper for the kitchen or the bar; said again under the same key until it is heard.
    async fn order(&mut self, counter: &Counter) {
        self.jobs += 1;
        let id = format!("order-{}-{}", self.radio.name().replace(' ', "-"), self.jobs);
        let dishes = (0..self.dice.below(30)).fold(Receipt::new().text(head(&id)), |r, n| r.text(format!("{n} Soup")));
        let content = Content::Receipt(dishes.text(foot(&id)).cut());
        let printer = ["bons", "belt", "front"][self.dice.index(3)].to_owned();
        for _ in 0..3 {
            counter.world.notebook().job(&id, false);
            let submit = printer::Submit { printer: printer.clone(), content: content.clone(), id: Some(id.clone()) };
            match self.ask(counter, submit, AT_ONCE).await {
                Answer::Reply(_) => return counter.world.notebook().job(&id, true),
                Answer::Refused(_) => return,
                Answer::Silence => {}
            }
        }
    }

    /// Takes the money and closes.
    async fn finish(&mut self, counter: &Counter, mut view: SaleView) {
        for _ in 0..8 {
            if view.state != SaleState::Open {
                break;
            }
            if view.pending {
                counter.pause(self.dice.millis(1_000, 20_000)).await;
            } else if view.due.minor() > 0 {
                self.pay(counter, &view).await;
            } else {
                self.close(counter, &view).await;
            }
            let Some(next) = self.refresh(counter, view.ticket.id()).await else { return self.give_up(counter) };
            view = next;
        }
        match view.state {
            SaleState::Open => self.give_up(counter),
            _ => self.mine = None,
        }
    }

    /// Somebody else may go on with it.
    fn give_up(&mut self, counter: &Counter) {
        counter.world.notebook().parked.extend(self.mine.take());
    }

    async fn pay(&mut self, counter: &Counter, view: &SaleView) {
        let (id, rev, due) = (view.ticket.id().to_owned(), Some(view.rev), view.due.minor());
        let part = Amount::eur(1 + self.dice.below(due as u64) as i64);
        match self.dice.below(10) {
            0..=5 => {
                let amount = if self.dice.percent(20) { Some(part) } else { None };
                if self.queues && !self.wait_for_terminal(counter).await {
                    return;
                }
                let terminal = self.terminal.to_owned();
                let pay = sale::PayCard { sale: id, rev, by: None, terminal, amount };
                let sent = counter.world.story.time();
                let answer = self.radio.ask(counter, self.lease.clone(), pay, PAYMENT).await;
                match answer {
                    Answer::Reply(paid) => {
                        note_use(counter, self.terminal, self.radio.name(), sent);
                        counter.world.notebook().count(match paid.payment {
                            Payment::Charged(_) => "charged",
                            Payment::Partial(_) => "charged in part",
                            Payment::NotCharged(_) => "not charged",
                            _ => "unknown",
                        });
                    }
                    Answer::Refused(_) => counter.pause(self.dice.millis(1_000, 8_000)).await,
                    Answer::Silence => {}
                }
                self.leave_terminal(counter).await;
            }
            6 => {
                offered(counter, &id);
                let (name, reference) = ("Voucher".to_owned(), Some("V-1".to_owned()));
                let pay = sale::PayOther { sale: id.clone(), rev, by: None, name, amount: part, reference };
                if let Answer::Reply(view) = self.ask(counter, pay, AT_ONCE).await {
                    note_tender(counter, &view);
                }
            }
            _ => {
                offered(counter, &id);
                let given = if self.dice.percent(20) { part } else { Amount::eur(due + 7_00) };
                let pay = sale::PayCash { sale: id.clone(), rev, by: None, given };
                if let Answer::Reply(paid) = self.ask(counter, pay, AT_ONCE).await {
                    note_tender(counter, &paid.sale);
                }
            }
        }
    }

    /// Queues for the terminal; false if that comes to nothing.
    async fn wait_for_terminal(&mut self, counter: &Counter) -> bool {
        let (target, name) = (terminal(self.terminal), self.radio.name().to_owned());
        let came = counter.world.story.time();
        let mut within = None;
        for _ in 0..40 {
            let queue = lease::Queue { target: target.clone(), within };
            match self.ask(counter, queue, QUEUE + AT_ONCE).await {
                Answer::Reply(Turn::Granted(grant)) => {
                    note_grant(counter, self.terminal, &grant, came);
                    let waited = counter.world.story.time() - came;
                    counter.world.notebook().waits.entry(name).or_default().push(waited);
                    self.lease = Some(grant.key);
                    return true;
                }
                Answer::Reply(_) => {
                    let now = counter.world.story.time();
                    let mut notebook = counter.world.notebook();
                    let queue = notebook.queues.entry(self.terminal.to_owned()).or_default();
                    if !queue.iter().any(|(waiting, _)| *waiting == name) {
                        queue.push((name.clone(), now));
                    }
                }
                Answer::Refused(_) => counter.pause(Duration::from_secs(5)).await,
                Answer::Silence => {}
            }
            within = Some(QUEUE);
        }
        self.ask(counter, lease::Leave { target }, AT_ONCE).await;
        self.leaves_queue(counter);
        false
    }

    fn leaves_queue(&self, counter: &Counter) {
        let mut notebook = counter.world.notebook();
        notebook.queues.values_mut().for_each(|queue| queue.retain(|(waiting, _)| waiting != self.radio.name()));
    }

    async fn leave_terminal(&mut self, counter: &Counter) {
        let Some(key) = self.lease.take() else { return };
        {
            let mut notebook = counter.world.notebook();
            let note = notebook.leases.get_mut(self.terminal).filter(|note| note.token == key.token);
            note.into_iter().for_each(|note| note.released = true);
        }
        let release = lease::Release { target: key.target.clone() };
        if let Answer::Reply(_) = self.radio.ask(counter, Some(key.clone()), release, AT_ONCE).await {
            self.old = Some(key);
        }
    }

    /// A call that the dropped handheld had begun comes late, under its old lease.
    async fn comes_late(&mut self, counter: &Counter) {
        let (key, released) = match (self.lease.take(), self.old.take()) {
            (Some(key), _) => (key, false),
            (None, Some(key)) => (key, true),
            _ => return,
        };
        let newer = |counter: &Counter| {
            counter.world.notebook().leases.get(self.terminal).is_some_and(|note| note.token > key.token)
        };
        let overtaken = released || newer(counter);
        let status = tresen::api::terminal::Status { terminal: self.terminal.to_owned() };
        let answer = self.radio.ask(counter, Some(key.clone()), status, SECONDS_61).await;
        counter.world.notebook().count("late calls");
        if overtaken && matches!(answer, Answer::Reply(_)) {
            counter.world.violated(format!("a late call under lease {} of {} was served", key.token, self.terminal));
        }
    }

    async fn close(&mut self, counter: &Counter, view: &SaleView) {
        let sale = view.ticket.id().to_owned();
        if view.ticket.lines().is_empty() {
            let void = sale::Void { sale: sale.clone(), rev: Some(view.rev), by: None, why: "nothing was sold".into() };
            if let Answer::Reply(_) = self.ask(counter, void, AT_ONCE).await
                && let Some(note) = counter.world.notebook().sale(&sale)
            {
                note.voided = true;
            }
            return;
        }
        let printer = if self.dice.percent(30) { "belt" } else { "receipt" };
        let close = sale::Close { sale: sale.clone(), rev: None, by: None, printer: printer.into(), drawer: None };
        if let Answer::Reply(closed) = self.ask(counter, close, PRINT).await
            && let Sold::Closed { print, .. } = &closed.sold
        {
            note_print(counter, &format!("receipt-{sale}"), print);
            if let Some(note) = counter.world.notebook().sale(&sale) {
                note.number = closed.sale.ticket.number();
            }
        }
    }

    /// The sale as it is now; none if it cannot be heard.
    async fn refresh(&self, counter: &Counter, id: &str) -> Option<SaleView> {
        self.repeatedly(counter, || sale::Refresh { sale: id.to_owned() }).await
    }

    async fn find(&self, counter: &Counter, id: &str) -> Option<SaleView> {
        let found = self.repeatedly(counter, || sale::Find { sale: id.to_owned() }).await?;
        if found.is_none() {
            counter.world.violated(format!("sale {id} was begun and is not found again"));
        }
        found
    }

    /// Asks what changes nothing, until it is heard.
    async fn repeatedly<C: Command + std::fmt::Debug>(
        &self,
        counter: &Counter,
        question: impl Fn() -> C,
    ) -> Option<C::Reply> {
        for _ in 0..4 {
            match self.ask(counter, question(), AT_ONCE).await {
                Answer::Reply(reply) => return Some(reply),
                Answer::Refused(error) if error.kind() != Kind::Storage => return None,
                _ => counter.pause(Duration::from_secs(2)).await,
            }
        }
        None
    }

    async fn ask<C: Command + std::fmt::Debug>(
        &self,
        counter: &Counter,
        command: C,
        bound: Duration,
    ) -> Answer<C::Reply> {
        self.radio.ask(counter, None, command, bound).await
    }
}

impl Actor for Handheld {
    fn shift<'a>(&'a mut self, counter: &'a Counter) -> Shift<'a> {
        Box::pin(async move {
            let radio = self.radio.clone();
            // A lease of a device ends with the till.
            (self.lease, self.old) = (None, None);
            self.leaves_queue(counter);
            // It was dropped just before the till died.
            radio.replaced(counter).await;
            loop {
                tokio::select! {
                    biased;
                    () = radio.dropped() => {}
                    () = self.work(counter) => return,
                }
                // Whoever finds the sale goes on with it.
                self.give_up(counter);
                self.leaves_queue(counter);
                radio.replaced(counter).await;
                self.comes_late(counter).await;
            }
        })
    }
}

fn terminal(name: &str) -> Target {
    Target::Device(DeviceId::new(Class::Terminal, name))
}

fn note_use(counter: &Counter, terminal: &str, holder: &str, sent: Duration) {
    if let Some(note) = counter.world.notebook().leases.get_mut(terminal).filter(|note| note.holder == holder) {
        note.used = note.used.max(sent);
    }
}

/// A lease was granted to somebody who came at this time: nobody else has it, its number is new, and, where nothing goes
/// wrong, nobody who came earlier still waits.
fn note_grant(counter: &Counter, terminal: &str, grant: &Grant, came: Duration) {
    let world = &counter.world;
    let (now, mut notebook) = (world.story.time(), world.notebook());
    let mut wrong = None;
    if let Some(before) = notebook.leases.get(terminal).filter(|before| before.token != grant.key.token) {
        if before.token > grant.key.token {
            wrong = Some(format!("lease {} of {terminal} came after lease {}", grant.key.token, before.token));
        } else if !before.released && before.holder != grant.holder && now < before.used + LEASE {
            wrong = Some(format!("{} got {terminal} while {} had leased it", grant.holder, before.holder));
        }
    }
    let queue = notebook.queues.entry(terminal.to_owned()).or_default();
    queue.retain(|(name, _)| *name != grant.holder);
    if let Some((other, since)) = queue.iter().find(|(_, since)| *since < came)
        && !world.plan.has_faults()
    {
        wrong = Some(format!(
            "{} came at {came:?} and got {terminal} before {other}, who waits since {since:?}",
            grant.holder
        ));
    }
    let note = LeaseNote { holder: grant.holder.clone(), token: grant.key.token, used: came, released: false };
    notebook.leases.insert(terminal.to_owned(), note);
    notebook.count("leases");
    drop(notebook);
    wrong.into_iter().for_each(|wrong| world.violated(wrong));
}

fn note_tender(counter: &Counter, view: &SaleView) {
    let Some(last) = view.tenders.last() else { return };
    if let Some(note) = counter.world.notebook().sale(view.ticket.id()) {
        note.taken.insert(last.key.clone(), last.taken.minor());
    }
}

/// How long a handheld waits for its turn before it asks again.
const QUEUE: Duration = Duration::from_secs(20);
