//! Somebody with a handheld: sells through commands over a radio, walks out of range, drops it.
//!
//! A handheld that hears nothing asks what became of its command before it says it again, as a program has to: the sale
//! by its id, a print job by its key.

use std::sync::Arc;
use std::time::Duration;

use tresen::api::{Command, sale};
use tresen::lease::Key;
use tresen::{Amount, Kind, SaleState, SaleView};

use crate::checkout::{AT_ONCE, PAYMENT, PRINT, offered, with_drawer};
use crate::counter::{Actor, Counter, Shift};
use crate::dice::Dice;
use crate::offers::{self, Want};
use crate::plan::Plan;
use crate::radio::{Answer, Radio};
use crate::world::TERMINALS;

mod learnt;
mod queue;
mod table;

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
                offers::asked(counter, &terminal, Want::Payment);
                let pay = sale::PayCard { sale: id, rev, by: None, terminal, amount, key: None };
                let sent = counter.world.story.time();
                let of = pay.sale.clone();
                let answer = self.radio.ask(counter, self.lease.clone(), pay, PAYMENT).await;
                match answer {
                    Answer::Reply(paid) => {
                        queue::note_use(counter, self.terminal, self.radio.name(), sent);
                        learnt::note_paid(counter, &paid);
                    }
                    Answer::Refused(error) => {
                        learnt::note_not_paid(counter, of, sent, &error);
                        counter.pause(self.dice.millis(1_000, 8_000)).await;
                    }
                    Answer::Silence => {}
                }
                self.leave_terminal(counter).await;
            }
            6 => {
                offered(counter, &id);
                let (name, reference) = ("Voucher".to_owned(), Some("V-1".to_owned()));
                let pay = sale::PayOther { sale: id.clone(), rev, by: None, name, amount: part, reference, key: None };
                if let Answer::Reply(view) = self.ask(counter, pay, AT_ONCE).await {
                    note_tender(counter, &view);
                }
            }
            _ => {
                offered(counter, &id);
                let given = if self.dice.percent(20) { part } else { Amount::eur(due + 7_00) };
                let pay = sale::PayCash { sale: id.clone(), rev, by: None, given, key: None };
                if let Answer::Reply(paid) = self.ask(counter, pay, AT_ONCE).await {
                    note_tender(counter, &paid.sale);
                }
            }
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
        let drawer = with_drawer(counter, &sale, &view.tenders);
        let close = sale::Close { sale: sale.clone(), rev: None, by: None, printer: printer.into(), drawer };
        if let Answer::Reply(closed) = self.ask(counter, close, PRINT).await {
            learnt::note_closed(counter, &sale, &closed.sold, &closed.sale);
        }
    }

    /// The sale as it is now; none if it cannot be heard.
    async fn refresh(&self, counter: &Counter, id: &str) -> Option<SaleView> {
        self.repeatedly(counter, || sale::Refresh { sale: id.to_owned() }).await
    }

    async fn find(&self, counter: &Counter, id: &str) -> Option<SaleView> {
        let found = self.repeatedly(counter, || sale::Find { sale: id.to_owned() }).await?;
        if found.is_none() && !counter.world.notebook().lost.contains(id) {
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
                    () = async {
                        self.resumes(counter).await;
                        self.work(counter).await;
                    } => return,
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

fn note_tender(counter: &Counter, view: &SaleView) {
    let Some(last) = view.tenders.last() else { return };
    if let Some(note) = counter.world.notebook().sale(view.ticket.id()) {
        note.taken.insert(last.key.clone(), last.taken.minor());
    }
}
