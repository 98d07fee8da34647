//! A table: what is ordered in rounds, taken back, and sent to kitchen, bar and grill.

use tresen::api::{printer, sale};
use tresen::printers::Content;
use tresen::sale::{Line, Vat};
use tresen::{Amount, Receipt, SaleState, SaleView};

use super::Handheld;
use crate::checkout::{AT_ONCE, note_line};
use crate::counter::Counter;
use crate::invariants::{foot, head};
use crate::notebook::SaleNote;
use crate::radio::Answer;
use crate::setup::GROUPS;

impl Handheld {
    /// A table: a new sale, and what its guests order in several rounds.
    pub(super) async fn serve(&mut self, counter: &Counter) {
        let Some(mut view) = self.ask(counter, sale::Open::default(), AT_ONCE).await.reply() else { return };
        let id = view.ticket.id().to_owned();
        counter.world.notebook().begun(SaleNote::of(&id));
        self.mine = Some(id);
        for _ in 0..=self.dice.below(3) {
            for _ in 0..=self.dice.below(2) {
                let Some(next) = self.add(counter, view).await else { return };
                view = next;
                counter.pause(self.dice.millis(200, 6_000)).await;
            }
            if view.ticket.lines().len() > 1 && self.dice.percent(20) {
                let Some(next) = self.take_out(counter, view).await else { return };
                view = next;
            }
            if self.dice.percent(70) {
                let Some(next) = self.order(counter, view).await else { return };
                view = next;
            }
        }
        if self.dice.percent(15) {
            self.print(counter).await;
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
        // Short enough for one line of a kitchen ticket.
        let number = self.radio.name().rsplit(' ').next().unwrap_or_default();
        let name = format!("Dish {number}-{}", self.articles);
        let group = GROUPS[self.dice.index(GROUPS.len())];
        counter.world.notebook().groups.insert(name.clone(), group);
        let (pieces, price) = (1 + self.dice.below(3) as i64, Amount::eur(1 + self.dice.below(30_00) as i64));
        let line = Line::pieces(&*name, pieces, price, Vat::percent(19)).expect("it fits").group(group);
        let id = view.ticket.id().to_owned();
        for _ in 0..3 {
            note_line(counter, &id, &name, false);
            let add = sale::Add { sale: id.clone(), rev: Some(view.rev), by: None, line: line.clone(), key: None };
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

    /// The guest does not want something any more.
    async fn take_out(&mut self, counter: &Counter, view: SaleView) -> Option<SaleView> {
        let at = self.dice.index(view.ticket.lines().len());
        let (id, name) = (view.ticket.id().to_owned(), view.ticket.lines()[at].name.clone());
        note_line(counter, &id, &name, false);
        let remove = sale::Remove { sale: id.clone(), rev: Some(view.rev), by: None, at };
        if let Answer::Reply(removed) = self.ask(counter, remove, AT_ONCE).await {
            let mut notebook = counter.world.notebook();
            notebook.count("dishes taken out");
            if let Some(note) = notebook.sale(&id) {
                note.lines.remove(&name);
                note.removed.insert(name);
            }
            return Some(removed.sale);
        }
        self.find(counter, &id).await
    }

    /// Sends what is new to those who make it; said again until it is heard, which orders nothing twice.
    async fn order(&mut self, counter: &Counter, view: SaleView) -> Option<SaleView> {
        let id = view.ticket.id().to_owned();
        for _ in 0..3 {
            let order = sale::Order { sale: id.clone(), rev: None, by: None };
            match self.ask(counter, order, AT_ONCE).await {
                Answer::Reply(ordered) => {
                    note_order(counter, &ordered.sale);
                    return Some(ordered.sale);
                }
                Answer::Refused(_) => break,
                Answer::Silence => {}
            }
        }
        self.find(counter, &id).await
    }

    /// A piece of paper; said again under the same key until it is heard.
    async fn print(&mut self, counter: &Counter) {
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
}

/// Notes that the till said that it has ordered what the sale has now, and cancelled what it had before.
fn note_order(counter: &Counter, view: &SaleView) {
    let mut notebook = counter.world.notebook();
    notebook.count("orders");
    let has = |name: &str| view.ticket.lines().iter().any(|line| line.name == name);
    let grouped = view.ticket.lines().iter().filter(|line| line.group.is_some());
    let names: Vec<String> = grouped.map(|line| line.name.clone()).collect();
    if let Some(note) = notebook.sale(view.ticket.id()) {
        note.cancelled.extend(note.ordered.iter().filter(|name| !has(name)).cloned());
        note.ordered.extend(names);
    }
}
