//! A cashier: opens sales, scans, takes money in every way, parks, resumes, closes.

use std::time::Duration;

use tokio::sync::watch;
use tresen::printers::DrawerPin;
use tresen::sale::{Line, Sale, TenderState, Vat};
use tresen::scanners::Symbology;
use tresen::{Amount, Origin, Payment, Receipt, SaleState};

use crate::checkout::{
    AT_ONCE, PAYMENT, PRINT, SECONDS_61, close, note_line, note_print, note_tender, note_voided, offered, pay_cash,
    pay_out,
};
use crate::counter::{Actor, Counter, Shift};
use crate::dice::Dice;
use crate::invariants::server::ACCOUNTS;
use crate::invariants::{foot, head};
use crate::notebook::SaleNote;
use crate::offers::{self, Want};

/// One cashier. Two at one till have two customers at the same time.
pub struct Cashier {
    name: String,
    scanner: &'static str,
    dice: Dice,
    /// The sale that this cashier is at.
    mine: Option<String>,
    articles: u32,
    jobs: u32,
}

impl Cashier {
    /// A cashier with this scanner.
    pub fn new(name: &str, scanner: &'static str, dice: Dice) -> Self {
        Self { name: name.to_owned(), scanner, dice, mine: None, articles: 0, jobs: 0 }
    }

    /// What there is to do besides customers who wait.
    async fn step(&mut self, counter: &Counter) {
        match self.dice.below(7) {
            0 => {
                let parked = counter.world.notebook().parked.pop_front();
                match parked {
                    Some(id) => self.take_up(counter, &id).await,
                    None => self.print(counter).await,
                }
            }
            1 | 2 => self.print(counter).await,
            3 => self.give_back_articles(counter).await,
            4 => self.reprint_receipt(counter).await,
            _ => self.look(counter).await,
        }
    }

    /// A customer, from the first article on.
    async fn serve(&mut self, counter: &Counter) {
        let opened = counter.call(&self.name, "opens a sale", AT_ONCE, counter.till.open_sale()).await;
        let Ok(mut sale) = opened else { return };
        counter.world.notebook().begun(SaleNote::of(sale.id()));
        self.mine = Some(sale.id().to_owned());
        for _ in 0..=self.dice.below(3) {
            self.add(counter, &mut sale).await;
            let pause = self.dice.millis(0, 3_000);
            counter.pause(pause).await;
        }
        if sale.ticket().lines().len() > 1 && self.dice.percent(15) {
            self.take_out(counter, &mut sale).await;
        }
        if self.dice.percent(4) {
            let void = sale.void("the customer has left");
            if counter.call(&self.name, "gives the sale up", AT_ONCE, void).await.is_ok() {
                note_voided(counter, sale.id());
                self.mine = None;
                return;
            }
        }
        if self.dice.percent(20) {
            counter.world.story.tell(&self.name, "parks the sale");
            return self.park(counter);
        }
        self.finish(counter, sale).await;
    }

    async fn add(&mut self, counter: &Counter, sale: &mut Sale) {
        self.articles += 1;
        let name = if self.dice.percent(30) { self.scan(counter).await } else { None };
        let name = name.unwrap_or_else(|| format!("Article {}-{}", self.name, self.articles));
        let (pieces, price) = (1 + self.dice.below(3) as u32, Amount::eur(1 + self.dice.below(40_00) as i64));
        let line = Line::pieces(&*name, pieces.into(), price, Vat::percent(19)).expect("it fits");
        note_line(counter, sale.id(), &name, false);
        if counter.call(&self.name, format_args!("adds {name}"), AT_ONCE, sale.add(line)).await.is_ok() {
            note_line(counter, sale.id(), &name, true);
        }
    }

    /// Holds an article in front of the scanner. It may be away, or slow.
    async fn scan(&mut self, counter: &Counter) -> Option<String> {
        let place = counter.world.scanners.iter().find(|place| place.name() == self.scanner)?;
        let code = format!("{}{:05}", self.name, self.articles);
        counter.world.notebook().scans.insert(code.clone(), false);
        place.with(|device| device.scan(&code, Symbology::Code128));
        let scanner = counter.till.scanner(self.scanner).ok()?;
        let scan = tokio::time::timeout(Duration::from_secs(4), scanner.next()).await.ok().and_then(Result::ok);
        counter.world.alive().await;
        let scan = scan?;
        let text = scan.text;
        let before = counter.world.notebook().scans.insert(text.clone(), true);
        if before != Some(false) {
            let what = if before.is_some() { "was handed out before" } else { "was never in front of a scanner" };
            counter.world.violated(format!("{text:?} {what}"));
        }
        counter.world.story.tell(&self.name, format_args!("scans {text:?}"));
        Some(format!("Scanned {text} as {}", self.articles))
    }

    /// Goes on with a sale that was left open.
    async fn take_up(&mut self, counter: &Counter, id: &str) {
        let found = counter.call(&self.name, format_args!("takes up {id}"), AT_ONCE, counter.till.sale(id)).await;
        match found {
            Ok(Some(sale)) => {
                self.mine = Some(id.to_owned());
                self.finish(counter, sale).await;
            }
            Ok(None) if counter.world.notebook().lost.contains(id) => self.mine = None,
            Ok(None) => counter.world.violated(format!("sale {id} was begun and is not found again")),
            Err(_) => self.park(counter),
        }
    }

    /// Leaves the sale to whoever takes it up.
    fn park(&mut self, counter: &Counter) {
        counter.world.notebook().parked.extend(self.mine.take());
    }

    /// A customer brings something back: a closed sale, in full or in part, in cash or to the card.
    async fn give_back_articles(&mut self, counter: &Counter) {
        let original = {
            let notebook = counter.world.notebook();
            let closed: Vec<_> = notebook.sales().iter().rev().filter(|n| n.number.is_some()).take(30).collect();
            let sold: Vec<_> = closed.into_iter().filter(|note| note.original.is_none()).collect();
            if sold.is_empty() { None } else { Some(sold[self.dice.index(sold.len())].id.clone()) }
        };
        let Some(original) = original else { return };
        let what = format!("takes back {original}");
        let opened = counter.till.open_refund(&original, Origin::new());
        let Ok(mut sale) = counter.call(&self.name, what, AT_ONCE, opened).await else { return };
        counter.world.notebook().count("returns");
        let mut note = SaleNote { original: Some(original), ..SaleNote::of(sale.id()) };
        note.lines.extend(sale.ticket().lines().iter().map(|line| (line.name.clone(), true)));
        counter.world.notebook().begun(note);
        self.mine = Some(sale.id().to_owned());
        if sale.ticket().lines().len() > 1 && self.dice.percent(50) {
            self.take_out(counter, &mut sale).await;
        }
        self.finish(counter, sale).await;
    }

    async fn take_out(&mut self, counter: &Counter, sale: &mut Sale) {
        let at = self.dice.index(sale.ticket().lines().len());
        let name = sale.ticket().lines()[at].name.clone();
        note_line(counter, sale.id(), &name, false);
        if counter.call(&self.name, format_args!("takes out {name}"), AT_ONCE, sale.remove(at)).await.is_ok()
            && let Some(note) = counter.world.notebook().sale(sale.id())
        {
            note.lines.remove(&name);
            note.removed.insert(name);
        }
    }

    /// Takes the money and closes.
    async fn finish(&mut self, counter: &Counter, mut sale: Sale) {
        for _ in 0..4 {
            if counter.call(&self.name, "refreshes", AT_ONCE, sale.refresh()).await.is_err() {
                return self.park(counter);
            }
            if sale.state() != SaleState::Open || sale.is_pending() || sale.open_amount().minor() == 0 {
                break;
            }
            if sale.open_amount().minor() < 0 {
                self.pay_back(counter, &mut sale).await;
                continue;
            }
            self.pay(counter, &mut sale).await;
            if self.dice.percent(5) {
                self.take_back(counter, &mut sale).await;
            }
        }
        if sale.state() == SaleState::Open && (sale.is_pending() || sale.open_amount().minor() != 0) {
            return self.park(counter);
        }
        self.close(counter, &mut sale).await;
    }

    /// The customer gets money.
    async fn pay_back(&mut self, counter: &Counter, sale: &mut Sale) {
        if self.dice.percent(50) {
            return pay_out(counter, &self.name, sale).await;
        }
        let due = sale.open_amount();
        self.pay_by_card(counter, sale, due).await;
    }

    async fn pay(&mut self, counter: &Counter, sale: &mut Sale) {
        let open = sale.open_amount().minor();
        let part = Amount::eur(1 + self.dice.below(open as u64) as i64);
        match self.dice.below(11) {
            10 => self.pay_on_account(counter, sale, part).await,
            0..=4 => self.pay_by_card(counter, sale, Amount::eur(open)).await,
            5 | 6 => self.pay_by_card(counter, sale, part).await,
            7 => self.pay_by_voucher(counter, sale, part).await,
            8 => pay_cash(counter, &self.name, sale, part).await,
            _ => pay_cash(counter, &self.name, sale, Amount::eur(open + 5_00)).await,
        }
    }

    async fn pay_by_card(&mut self, counter: &Counter, sale: &mut Sale, amount: Amount) {
        let at = counter.world.terminals[self.dice.index(counter.world.terminals.len())].name();
        let Ok(terminal) = counter.till.terminal(at) else { return };
        let what = format!("takes {amount} by card at the {at}");
        let want = if amount.minor() < 0 { Want::Refund } else { Want::Payment };
        let offer = offers::of_terminal(counter, at, want);
        let (stop, abort) = watch::channel(false);
        let choice = self.dice.below(10);
        // The customer, or the cashier, leaves.
        if choice < 2 {
            let patience = self.dice.millis(0, 12_000);
            let call = sale.pay_card_part(&terminal, amount, abort);
            counter.call_briefly(&self.name, what, patience, call).await;
            return;
        }
        let mut what = what;
        if choice == 2 {
            let after = self.dice.millis(0, 15_000);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                stop.send(true).ok();
            });
            what = format!("{what}, aborting after {after:?}");
        }
        let ended = counter.call(&self.name, what, PAYMENT, sale.pay_card_part(&terminal, amount, abort)).await;
        self.heard(counter, sale, &ended);
        offer.came_to(counter, &ended).await;
    }

    fn heard(&self, counter: &Counter, sale: &Sale, ended: &tresen::Result<Payment>) {
        let word = match ended {
            Ok(Payment::Charged(_)) => "charged",
            Ok(Payment::Partial(_)) => "charged in part",
            Ok(Payment::NotCharged(_)) => "not charged",
            Ok(_) => "unknown",
            Err(_) => "refused",
        };
        let mut notebook = counter.world.notebook();
        notebook.count(word);
        if matches!(ended, Ok(Payment::Unknown(_)))
            && let Some(tender) = sale.tenders().last()
        {
            notebook.doubts.insert(tender.key.clone(), counter.world.story.time());
        }
    }

    async fn pay_by_voucher(&mut self, counter: &Counter, sale: &mut Sale, amount: Amount) {
        offered(counter, sale.id());
        let what = format!("takes a voucher of {amount}");
        let taken = counter.call(&self.name, what, AT_ONCE, sale.pay_other("Voucher", amount, Some("V-4711"))).await;
        if taken.is_ok() {
            note_tender(counter, sale);
        }
    }

    /// A customer with an account at the server, in local mode against the balance last seen.
    async fn pay_on_account(&mut self, counter: &Counter, sale: &mut Sale, amount: Amount) {
        let Ok(accounts) = counter.till.accounts() else { return };
        let account = ACCOUNTS[self.dice.index(ACCOUNTS.len())];
        offered(counter, sale.id());
        counter.world.notebook().count("on account");
        let what = format!("takes {amount} from the account of {account}");
        let call = sale.pay_account(&accounts, account, amount);
        counter.call(&self.name, what, SECONDS_61, call).await.ok();
    }

    /// The customer wants another way: what was taken goes back.
    async fn take_back(&mut self, counter: &Counter, sale: &mut Sale) {
        let Some(tender) = sale.tenders().iter().find(|t| t.state == TenderState::Taken && t.taken.minor() > 0) else {
            return;
        };
        let (attempt, is_card) = (tender.attempt, tender.charge.is_some());
        if is_card {
            let tresen::sale::TenderKind::Card { terminal } = &tender.kind else { return };
            let Ok(terminal) = counter.till.terminal(terminal) else { return };
            let (_keep, abort) = watch::channel(false);
            let offer = offers::of_terminal(counter, terminal.name(), Want::Reversal);
            let call = sale.reverse_card(&terminal, attempt, abort);
            let ended = counter.call(&self.name, format_args!("reverses attempt {attempt}"), PAYMENT, call).await;
            self.heard(counter, sale, &ended);
            offer.came_to(counter, &ended).await;
        } else {
            offered(counter, sale.id());
            let call = sale.give_back(attempt);
            if counter.call(&self.name, format_args!("gives back attempt {attempt}"), AT_ONCE, call).await.is_ok() {
                note_tender(counter, sale);
            }
        }
    }

    async fn close(&mut self, counter: &Counter, sale: &mut Sale) {
        close(counter, &self.name, sale).await;
        match sale.state() {
            SaleState::Open => self.park(counter),
            _ => self.mine = None,
        }
    }

    /// A piece of paper besides receipts; asked for twice now and then, as programs do that lost the answer.
    async fn print(&mut self, counter: &Counter) {
        if self.jobs == 0 || !self.dice.percent(25) {
            self.jobs += 1;
        }
        let id = format!("bon-{}-{:03}", self.name, self.jobs);
        let route = ["bons", "receipt", "belt"][self.jobs as usize % 3];
        let Ok(printer) = counter.till.printer(route) else { return };
        // Long ones, so that something can happen to them half-way; the same each time.
        let lines = (self.jobs * 7) % 60;
        let dishes = (0..lines).fold(Receipt::new().text(head(&id)), |receipt, n| receipt.text(format!("{n} Soup")));
        let receipt = dishes.text(foot(&id)).cut();
        counter.world.notebook().job(&id, false);
        if self.dice.percent(50) {
            let what = format!("queues {id} for {route}");
            if counter.call(&self.name, what, AT_ONCE, printer.submit_as(&id, &receipt)).await.is_ok() {
                counter.world.notebook().job(&id, true);
            }
            return;
        }
        let what = format!("prints {id} at {route}");
        let offer = offers::of_route(counter, route);
        if let Ok(print) = counter.call(&self.name, what, PRINT, printer.print_as(&id, &receipt)).await {
            counter.world.notebook().job(&id, true);
            note_print(counter, &id, &print);
            offer.printed(counter, &print).await;
        }
    }

    /// A customer wants the receipt of a closed sale once more.
    async fn reprint_receipt(&mut self, counter: &Counter) {
        let closed: Vec<String> = {
            let notebook = counter.world.notebook();
            notebook.sales().iter().filter(|note| note.number.is_some()).map(|note| note.id.clone()).collect()
        };
        if closed.is_empty() {
            return;
        }
        let id = &closed[self.dice.index(closed.len())];
        let Ok(Some(sale)) = counter.till.sale(id).await else { return };
        let Ok(checkout) = counter.till.checkout("receipt") else { return };
        *counter.world.notebook().copies.entry(format!("receipt-{id}")).or_default() += 1;
        let what = format!("prints a copy of the receipt of {id}");
        if let Ok(job) = counter.call(&self.name, what, AT_ONCE, checkout.reprint(&sale)).await {
            let mut notebook = counter.world.notebook();
            notebook.count("receipts copied");
            notebook.job(job.id(), true);
        }
    }

    async fn look(&mut self, counter: &Counter) {
        match self.dice.below(4) {
            0 => {
                if let Ok(terminal) = counter.till.terminal("counter") {
                    counter.call(&self.name, "asks the terminal how it is", SECONDS_61, terminal.status()).await.ok();
                }
            }
            1 => {
                if let Ok(printer) = counter.till.printer("receipt") {
                    counter.call(&self.name, "asks the printer how it is", SECONDS_61, printer.status()).await.ok();
                }
            }
            2 => {
                if let Ok(printer) = counter.till.printer("front") {
                    counter.world.notebook().drawers += 1;
                    let kick = printer.kick_drawer(DrawerPin::default());
                    if counter.call(&self.name, "opens the drawer", SECONDS_61, kick).await.is_ok() {
                        counter.world.notebook().opened += 1;
                    }
                }
            }
            _ => {
                let pause = self.dice.millis(1_000, 20_000);
                counter.pause(pause).await;
            }
        }
    }
}

impl Actor for Cashier {
    fn shift<'a>(&'a mut self, counter: &'a Counter) -> Shift<'a> {
        Box::pin(async move {
            let world = &counter.world;
            loop {
                if let Some(id) = self.mine.clone() {
                    // From before the till died.
                    self.take_up(counter, &id).await;
                } else if world.customers.next(world.story.time()) {
                    self.serve(counter).await;
                } else if world.is_open() {
                    self.step(counter).await;
                    let due = world.customers.due().unwrap_or(world.plan.length).saturating_sub(world.story.time());
                    let pause = due.clamp(Duration::from_secs(1), Duration::from_secs(300));
                    counter.pause(pause + self.dice.millis(0, 4_000)).await;
                } else {
                    return;
                }
            }
        })
    }
}
