//! What the till knows in the end, compared with what the handhelds have noted, the terminals have stored, and stands on
//! paper.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tresen::api::{Command, listing, printer, sale, scanner, terminal};
use tresen::payment::zvt::sim::Kind;
use tresen::sale::{Sold, TenderKind, TenderState};
use tresen::{JobState, Payment, Print, SaleState, SaleView, SpooledJob, StoredPayment};

use crate::notes::{Notes, Step};
use crate::paper::Times;
use crate::shop::{PRINTERS, Shop};

/// The till's books.
pub(crate) struct Books {
    sales: BTreeMap<String, SaleView>,
    open: Vec<SaleView>,
    payments: BTreeMap<String, StoredPayment>,
    jobs: BTreeMap<String, SpooledJob>,
    numbers: Vec<Option<i64>>,
}

impl Books {
    /// Asks the till for all of them, page by page.
    pub(crate) async fn of(shop: &Shop) -> Self {
        let (mut sales, mut numbers) = (BTreeMap::new(), Vec::new());
        let mut after = Some(0);
        while let Some(number) = after {
            let filter = tresen::SaleFilter::since(number).limit(500);
            let page = shop.ask(sale::ListClosed { filter }).await;
            assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
            numbers.extend(page.sales.iter().map(|sale| sale.ticket.number()));
            sales.extend(page.sales.into_iter().map(|sale| (sale.ticket.id().to_owned(), sale)));
            after = page.next;
        }
        let open = shop.ask(sale::ListOpen {}).await;
        let (mut payments, mut jobs) = (BTreeMap::new(), BTreeMap::new());
        let mut after = Some(0);
        while let Some(from) = after {
            let page = shop.ask(listing::Payments { after: from, limit: Some(1_000), ..Default::default() }).await;
            payments.extend(page.rows.into_iter().map(|row| (unnumbered(&row.entry.intent.id.0), row)));
            after = page.next;
        }
        let mut after = Some(0);
        while let Some(from) = after {
            let page = shop.ask(listing::Jobs { after: from, limit: Some(1_000), ..Default::default() }).await;
            jobs.extend(page.rows.into_iter().map(|row| (row.id.clone(), row)));
            after = page.next;
        }
        Self { sales, open, payments, jobs, numbers }
    }

    /// What does not agree, in words.
    pub(crate) fn compare(&self, shop: &Shop, all: &[(u64, Notes)]) -> Vec<String> {
        let mut compared = Compared { books: self, wrong: Vec::new(), keys: BTreeSet::new(), words: BTreeMap::new() };
        for (number, notes) in all {
            compared.notes(*number, notes);
        }
        compared.nothing_else();
        compared.ledgers(shop);
        compared.paper(shop);
        compared.scans(shop, all);
        compared.wrong
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let charged = self.payments.values().filter(|payment| charged(payment).is_some()).count();
        let (payments, copies) = (self.payments.len(), self.jobs.values().filter(|job| job.copy).count());
        write!(f, "{} sales, {payments} payments begun, {charged} charged, ", self.sales.len())?;
        write!(f, "{} pieces of paper, {copies} of them printed again as a copy", self.jobs.len())
    }
}

/// A comparison that is going on.
struct Compared<'a> {
    books: &'a Books,
    wrong: Vec<String>,
    /// Of payments, sales and jobs that somebody has noted.
    keys: BTreeSet<String>,
    /// The words that have to stand on paper: at one of which printers, and on the paper of which jobs.
    words: BTreeMap<String, Vec<Expected>>,
}

/// A word that has to stand on paper once.
struct Expected {
    printers: Vec<String>,
    /// The ids of the jobs that it may belong to begin like this.
    job: String,
}

impl Compared<'_> {
    fn notes(&mut self, number: u64, notes: &Notes) {
        for (key, step) in notes.steps() {
            if step.reply.is_none() {
                self.wrong.push(format!("{key}: {} was not answered", step.command));
            }
            match step.command.as_str() {
                sale::Open::NAME => self.sale(key, notes),
                terminal::Pay::NAME => self.payment(&format!("handheld {number}/{key}"), step),
                printer::Submit::NAME => self.slip(key, step),
                _ => {}
            }
        }
    }

    /// A sale, by the key of its first step.
    fn sale(&mut self, first: &str, notes: &Notes) {
        let id = first.trim_end_matches("/1").to_owned();
        self.keys.insert(id.clone());
        let Some(sale) = self.books.sales.get(&id) else {
            return self.wrong.push(format!("sale {id} is not among the closed ones"));
        };
        let steps = |kind: &str| -> Vec<&Step> {
            let prefix = format!("{id}/");
            let all = notes.steps().range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
            all.map(|(_, step)| step).filter(|step| step.command == kind).collect()
        };
        let noted: Vec<&str> =
            steps(sale::Add::NAME).iter().filter_map(|add| add.with["line"]["name"].as_str()).collect();
        let booked: Vec<&str> = sale.ticket.lines().iter().map(|line| line.name.as_str()).collect();
        if noted != booked || sale.state != SaleState::Closed {
            self.wrong.push(format!("sale {id} has the lines {booked:?}, its handheld {noted:?}"));
        }
        for at in 1..=sale.ticket.lines().len() {
            let word = format!("{id}.{at}");
            // What has no group is made in the kitchen: its printer is a route of that name.
            let (order, receipt) = (format!("order-{id}-"), format!("receipt-{id}"));
            for (printers, job) in [(["kitchen", "bar"], order), (["receipt", "back"], receipt)] {
                let printers = printers.map(str::to_owned).to_vec();
                self.words.entry(word.clone()).or_default().push(Expected { printers, job });
            }
        }
        self.money(sale, &steps(sale::PayCard::NAME), &steps(sale::PayCash::NAME));
        for close in steps(sale::Close::NAME) {
            let sold = close.reply::<Sold>();
            let lost = |print: &Print| matches!(print, Print::Cancelled | Print::Unreadable { .. });
            if !matches!(&sold, Some(Sold::Closed { print, .. }) if !lost(print)) {
                self.wrong.push(format!("sale {id}: its handheld noted {sold:?}"));
            }
        }
    }

    /// What was taken for a sale is what its handheld has noted, and all of it.
    fn money(&mut self, sale: &SaleView, cards: &[&Step], cash: &[&Step]) {
        let id = sale.ticket.id();
        let taken: Vec<_> = sale.tenders.iter().filter(|tender| tender.state == TenderState::Taken).collect();
        let paid: i64 = taken.iter().map(|tender| tender.taken.minor()).sum();
        if paid != sale.ticket.total().minor() || sale.due.minor() != 0 || sale.pending {
            self.wrong.push(format!("sale {id}: {paid} of {} paid", sale.ticket.total()));
        }
        let by_card: Vec<_> = taken.iter().filter(|t| matches!(t.kind, TenderKind::Card { .. })).collect();
        if taken.len() - by_card.len() != cash.len() {
            self.wrong.push(format!("sale {id}: {} times cash, {} noted", taken.len() - by_card.len(), cash.len()));
        }
        let replies: Vec<Payment> = cards.iter().filter_map(|step| step.reply()).collect();
        let unknown = replies.iter().filter(|payment| matches!(payment, Payment::Unknown(_))).count();
        let noted: Vec<(String, i64)> = replies.iter().filter_map(charge).collect();
        let booked: Vec<(String, i64)> = by_card.iter().map(|t| (t.key.clone(), t.taken.minor())).collect();
        if noted.iter().any(|charge| !booked.contains(charge)) || booked.len() > noted.len() + unknown {
            let and = format!("and {unknown} in doubt");
            self.wrong.push(format!("sale {id}: by card {booked:?}, its handheld noted {noted:?} {and}"));
        }
        for tender in sale.tenders.iter().filter(|t| matches!(t.kind, TenderKind::Card { .. })) {
            self.keys.insert(tender.key.clone());
            let stored = self.books.payments.get(&tender.key).and_then(charged);
            let taken = (tender.state == TenderState::Taken).then(|| tender.taken.minor());
            if stored != taken {
                self.wrong.push(format!("payment {}: {taken:?} in its sale, {stored:?} in the journal", tender.key));
            }
        }
    }

    /// A payment that belongs to no sale.
    fn payment(&mut self, key: &str, step: &Step) {
        self.keys.insert(key.to_owned());
        let stored = self.books.payments.get(key);
        let outcome = stored.and_then(charged);
        let agrees = match step.reply::<Payment>() {
            Some(Payment::Unknown(_)) => stored.is_some(),
            Some(payment) => stored.is_some() && outcome == charge(&payment).map(|(_, minor)| minor),
            None => false,
        };
        if !agrees {
            self.wrong.push(format!("payment {key}: {outcome:?} in the journal, its handheld noted {:?}", step.reply));
        }
    }

    fn slip(&mut self, key: &str, step: &Step) {
        let (id, printer) = (key.trim_end_matches("/1"), step.with["printer"].as_str().unwrap_or_default().to_owned());
        let Some(job) = step.reply::<String>() else { return };
        self.keys.insert(job.clone());
        for end in ["s", "e"] {
            let expected = Expected { printers: vec![printer.clone()], job: job.clone() };
            self.words.entry(format!("{id}.{end}")).or_default().push(expected);
        }
    }

    /// The till has nothing that nobody has noted.
    fn nothing_else(&mut self) {
        let Books { sales, open, payments, jobs, numbers } = self.books;
        if !open.is_empty() {
            let open: Vec<_> = open.iter().map(|sale| sale.ticket.id()).collect();
            self.wrong.push(format!("sales are open: {open:?}"));
        }
        if *numbers != (1..=numbers.len() as i64).map(Some).collect::<Vec<_>>() {
            self.wrong.push(format!("the numbers of sales have gaps: {numbers:?}"));
        }
        for key in sales.keys().chain(payments.keys()) {
            if !self.keys.contains(key) {
                self.wrong.push(format!("nobody has noted {key}"));
            }
        }
        for job in jobs.values() {
            if !matches!(job.state, JobState::Printed | JobState::Accepted) {
                self.wrong.push(format!("job {} is {:?}", job.id, job.state));
            }
            let of_sale = ["receipt-", "order-"].iter().find_map(|prefix| job.id.strip_prefix(prefix));
            let known = match of_sale {
                // `order-h07-00012-1-pass`: the sale's id has nine characters.
                Some(rest) => rest.get(..9).is_some_and(|id| self.keys.contains(id)),
                None => self.keys.contains(&job.id),
            };
            if !known {
                self.wrong.push(format!("nobody has noted job {}", job.id));
            }
        }
    }

    /// What the terminals have stored is what the journal says, receipt by receipt.
    fn ledgers(&mut self, shop: &Shop) {
        for (name, terminal) in shop.terminals() {
            let mut theirs: Vec<(u16, i64)> = terminal.with(|terminal| {
                let stored = terminal.ledger().stored().filter(|stored| stored.kind == Kind::Payment);
                stored.map(|stored| (stored.receipt, stored.amount.minor())).collect()
            });
            let others = terminal.with(|t| t.ledger().stored().filter(|s| s.kind != Kind::Payment).count());
            let ours = self.books.payments.values().filter(|payment| payment.entry.intent.terminal == *name);
            let mut ours: Vec<(u16, i64)> = ours
                .filter_map(|payment| match payment.entry.outcome() {
                    Some(Payment::Charged(charge)) => {
                        let receipt = charge.receipt_number.as_deref().and_then(|number| number.parse().ok());
                        Some((receipt.unwrap_or_default(), charge.amount.minor()))
                    }
                    _ => None,
                })
                .collect();
            theirs.sort_unstable();
            ours.sort_unstable();
            if ours != theirs || others != 0 {
                let only = |these: &[(u16, i64)], those: &[(u16, i64)]| -> Vec<(u16, i64)> {
                    these.iter().filter(|one| !those.contains(one)).copied().collect()
                };
                let (in_journal, at_terminal) = (only(&ours, &theirs), only(&theirs, &ours));
                let counts = format!("{} in the journal, {} at the terminal", ours.len(), theirs.len());
                self.wrong.push(format!(
                    "terminal {name}: {counts}; only in the journal {in_journal:?}, only at the terminal {at_terminal:?}"
                ));
            }
        }
    }

    /// Each word stands once on an original; where somebody had it printed again, on a copy as well.
    fn paper(&mut self, shop: &Shop) {
        let printers = shop.printers();
        let mut sheets = 0;
        for (name, printer) in printers.iter() {
            sheets += printer.sheets();
            for word in printer.words().keys() {
                let expected =
                    self.words.get(word).is_some_and(|all| all.iter().any(|one| one.printers.contains(name)));
                if !expected {
                    self.wrong.push(format!("`{word}` stands on the paper of {name}"));
                }
            }
        }
        if sheets == 0 && !self.books.jobs.is_empty() {
            self.wrong.push(format!("no paper at {PRINTERS:?}"));
        }
        for (word, all) in &self.words {
            for Expected { printers: names, job } in all {
                let found = names.iter().filter_map(|name| printers.get(name)?.words().get(word));
                let Times { original, copied } = found.fold(Times::default(), |sum, times| Times {
                    original: sum.original + times.original,
                    copied: sum.copied + times.copied,
                });
                let mut jobs = self.books.jobs.range(job.clone()..).take_while(|(id, _)| id.starts_with(job));
                let again = jobs.any(|(_, job)| job.copy);
                let right = if again { original <= 1 && original + copied >= 1 } else { (original, copied) == (1, 0) };
                if !right {
                    let where_ = names.join(" or ");
                    self.wrong
                        .push(format!("`{word}` stands {original} times on {where_}, and {copied} times on copies"));
                }
            }
        }
    }

    /// A scan reaches one call of its own handheld, once.
    fn scans(&mut self, shop: &Shop, all: &[(u64, Notes)]) {
        let mut seen = BTreeSet::new();
        for (number, notes) in all {
            let scans = notes.steps().values().filter(|step| step.command == scanner::Next::NAME);
            for code in scans.filter_map(Step::reply::<Option<String>>).flatten() {
                if !shop.scans().contains(&code) || !code.starts_with(&format!("S{number}-")) {
                    self.wrong.push(format!("handheld {number} has got a scan `{code}` that nobody made there"));
                }
                if !seen.insert(code.clone()) {
                    self.wrong.push(format!("the scan `{code}` has come twice"));
                }
            }
        }
    }
}

/// The key of a payment without the number that the till has given to its client: `handheld 7#12/KEY`.
fn unnumbered(key: &str) -> String {
    match key.split_once('/') {
        Some((owner, key)) => format!("{}/{key}", owner.split_once('#').map_or(owner, |(name, _)| name)),
        None => key.to_owned(),
    }
}

/// The key and the amount of a charge.
fn charge(payment: &Payment) -> Option<(String, i64)> {
    match payment {
        Payment::Charged(charge) => Some((unnumbered(&charge.intent.0), charge.amount.minor())),
        _ => None,
    }
}

/// What the journal says was charged.
fn charged(payment: &StoredPayment) -> Option<i64> {
    charge(&payment.entry.outcome()?).map(|(_, minor)| minor)
}
