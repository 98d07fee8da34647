//! One life: K1 is paid under one fault, what stays open is looked up again and again, K1 is paid again
//! under its key, and K2 is the next customer. Then the terminal's ledger, what was said and the journal
//! are compared.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tresen_hal::link::memory::{self, Memory};
use tresen_hal::{Amount, Clock, Link, Result};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::zvt::serial::Timing;
use tresen_payment::zvt::{self, Commit, Framed, Options};
use tresen_payment::{Charge, Decision, Entry, Host, Journal, Payment, Request, Terminal as _};
use tresen_peers::zvt::serial::SerialLine;
use tresen_peers::zvt::{Quirks, Terminal};
use tresen_peers::{Channel, Shared};

/// What every payment of these lives costs, K2's too: nothing but the reference tells them apart.
pub(crate) const PRICE: Amount = Amount::eur(5_00);

/// No call may take longer, by the paused clock. The longest is a flood, which a till bears for ten
/// minutes.
const BOUND: Duration = Duration::from_secs(20 * 60);

/// One fault at one terminal.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) quirks: Quirks,
    /// The last payment that was made before K1.
    pub(crate) before: Before,
    /// What the till was told about the terminal.
    pub(crate) commit: Option<Commit>,
    /// The terminal is this till's alone.
    pub(crate) exclusive: bool,
    /// The terminal may approve less than is asked for.
    pub(crate) partial: bool,
    /// The cashier aborts K1 once the terminal has said so many messages after 06 01.
    pub(crate) abort_after: Option<usize>,
    /// The till of K1 dies after so many steps.
    pub(crate) dies_after: Option<usize>,
    /// Before K1 there was K0, whose till died when the approval came.
    pub(crate) dead_before: bool,
    /// It is connected by a serial line.
    pub(crate) serial: bool,
    /// What K1 may be. A life that ends otherwise is wrong, also when it says Unknown.
    pub(crate) wants: Wants,
    /// K2 finds nothing wrong: it is charged at the first attempt.
    pub(crate) next: Next,
    /// Bytes of a result were changed: its reference need not be right.
    pub(crate) changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    SamePrice,
    OtherPrice,
}

/// What K1 may end as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// As the ledger has it, or Unknown.
    Truth,
    /// As the ledger has it; there is no reason for Unknown.
    Known,
}

/// What K2 may end as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Charged; it may be asked again when the terminal was not ready.
    Charged,
    /// Charged at the first attempt.
    AtOnce,
    /// Asked of the terminal, whatever the terminal makes of it.
    Asked,
}

/// What is wrong with a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Wrong {
    DoubleCharge,
    AskedTwice,
    FalselyCharged,
    FalselyNotCharged,
    ErrorThoughAsked,
    NextRefused,
    NeedlesslyUnknown,
    NotSettled,
    Slips,
    Grows,
    Hangs,
}

/// How a life went.
pub(crate) struct Report {
    pub(crate) wrongs: Vec<(Wrong, String)>,
    /// What the journal says about K1 at the end.
    pub(crate) ended: &'static str,
    /// Messages of the terminal and of the till until K1 was told.
    pub(crate) messages: (usize, usize),
    /// How long each message of the terminal was.
    pub(crate) lengths: Vec<usize>,
    /// What passed, in hexadecimal.
    pub(crate) transcript: Vec<String>,
}

pub(crate) async fn live(case: &Case) -> Report {
    let mut counter = Counter::new(case);
    let mut report =
        Report { wrongs: Vec::new(), ended: "", messages: (0, 0), lengths: Vec::new(), transcript: Vec::new() };
    if case.dead_before {
        counter.dies_at_the_approval("K0").await;
    }
    let first = counter.first(case).await;
    report.messages = counter.peer.with(|t| {
        let till = t.log().iter().filter(|m| m.from_till).count();
        (t.log().len() - till, till)
    });
    if let Some(Err(error)) = &first
        && counter.asked("K1") > 0
    {
        report.wrongs.push((Wrong::ErrorThoughAsked, error.to_string()));
    }
    counter.look_up().await;
    let again = counter.pay("K1", 3).await;
    counter.look_up().await;
    counter.peer.with(Terminal::calm);
    let tries = if case.next == Next::AtOnce { 1 } else { 3 };
    let next = counter.pay("K2", tries).await;
    counter.look_up().await;
    counter.rest().await;

    let told = [("K1", first.as_ref()), ("K1", Some(&again)), ("K2", Some(&next))];
    counter.compare(case, &told, &mut report);
    let refused = match (&next, case.next) {
        (Ok(Payment::Charged(_)), _) => None,
        // Still with the customer before, and it says so.
        (Ok(Payment::NotCharged(not)), Next::Charged) if not.code == Some(0x9c) => None,
        (Ok(_), Next::Asked) if counter.asked("K2") == 1 => None,
        (other, _) => Some(format!("{other:?}")),
    };
    report.wrongs.extend(refused.map(|why| (Wrong::NextRefused, why)));
    report.lengths = counter.peer.with(|t| t.log().iter().filter(|m| !m.from_till).map(|m| m.bytes.len()).collect());
    if let Err(why) = counter.settle().await {
        report.wrongs.push((Wrong::NotSettled, why));
    }
    report.transcript = counter.transcript(&told);
    report
}

struct Counter {
    peer: Shared<Terminal>,
    journal: Arc<FaultyJournal>,
    clock: Arc<Following>,
    options: Options,
    serial: bool,
    serving: Option<JoinHandle<()>>,
    driver: Option<zvt::Terminal>,
    said: Vec<String>,
    hangs: bool,
}

impl Counter {
    fn new(case: &Case) -> Self {
        let wall: jiff::Timestamp = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
        let local = wall.to_zoned(jiff::tz::TimeZone::system());
        let mut terminal = Terminal::new(case.quirks.clone(), 417);
        let second = u64::try_from(local.hour()).expect("an hour") * 3600
            + u64::try_from(local.minute()).expect("a minute") * 60;
        terminal.set_clock(local.month() as u8, local.day() as u8, second);
        match case.before {
            Before::Nothing => {}
            Before::SamePrice => terminal.had(5_00),
            Before::OtherPrice => terminal.had(9_99),
        }
        let mut options = Options::new("counter");
        options.commit = case.commit;
        options.exclusive = case.exclusive;
        options.partial = case.partial;
        if case.serial {
            options.framing = Framed::Serial(Timing::default());
        }
        Self {
            peer: Shared::new(terminal),
            journal: Arc::new(FaultyJournal::default()),
            clock: Arc::new(Following { began: Instant::now(), wall }),
            options,
            serial: case.serial,
            serving: None,
            driver: None,
            said: Vec::new(),
            hangs: false,
        }
    }

    fn asked(&self, key: &str) -> usize {
        self.peer.with(|t| t.asked(key))
    }

    /// A new link, driver and look-up; a few attempts, since links break and terminals are busy.
    async fn open(&mut self) -> Result<()> {
        let mut error = None;
        for attempt in 0..6 {
            self.hang_up().await;
            if attempt > 0 {
                sleep(Duration::from_secs(10)).await;
            }
            let (near, far) = memory::pair();
            let (peer, serial, far) = (self.peer.clone(), self.serial, Far(Some(far)));
            self.serving = Some(tokio::spawn(async move {
                match serial {
                    true => peer.over(SerialLine::new(far)).await,
                    false => peer.over(far).await,
                }
            }));
            let link: Box<dyn Link> = Box::new(near);
            let opening = zvt::open(link, self.options.clone(), self.journal.clone(), self.clock.clone());
            let opened = match self.bounded(opening).await {
                Some(Ok(mut driver)) => {
                    let recovered = self.bounded(driver.recover()).await;
                    match recovered {
                        Some(Ok(settled)) => {
                            for s in settled {
                                self.said.push(format!("settled {}: {:?}; {}", s.intent.id.0, s.payment, s.evidence));
                            }
                            self.driver = Some(driver);
                            return Ok(());
                        }
                        Some(Err(e)) => e,
                        None => continue,
                    }
                }
                Some(Err(e)) => e,
                None => continue,
            };
            self.said.push(format!("opening: {opened}"));
            error = Some(opened);
        }
        Err(error.unwrap_or_else(|| tresen_hal::Error::new(tresen_hal::Kind::Timeout, "it hangs")))
    }

    async fn hang_up(&mut self) {
        self.driver = None;
        if let Some(serving) = self.serving.take() {
            serving.await.expect("the peer does not panic");
        }
    }

    async fn bounded<T>(&mut self, call: impl Future<Output = T>) -> Option<T> {
        let result = timeout(BOUND, call).await.ok();
        self.hangs |= result.is_none();
        result
    }

    /// K1 under its fault. `None` if its till died.
    async fn first(&mut self, case: &Case) -> Option<Result<Payment>> {
        if let Err(error) = self.open().await {
            return Some(Err(error));
        }
        self.peer.with(|t| t.customer("K1"));
        let mut driver = self.driver.take().expect("opened");
        let (stop, abort) = tokio::sync::watch::channel(false);
        let watch = Host::with(Host::none().progress, abort);
        let aborting = case.abort_after.map(|n| tokio::spawn(abort_after(self.peer.clone(), n, stop)));
        let mut left = case.dies_after.unwrap_or(usize::MAX);
        let result = {
            let mut payment = std::pin::pin!(driver.pay(Request::new("K1", PRICE), watch));
            let dying = std::future::poll_fn(|cx| {
                if left == 0 {
                    return std::task::Poll::Ready(None);
                }
                left -= 1;
                payment.as_mut().poll(cx).map(Some)
            });
            self.bounded(dying).await
        };
        if let Some(aborting) = aborting {
            aborting.abort();
        }
        self.said.push(format!("K1: {result:?}"));
        match result {
            None | Some(None) => {
                drop(driver);
                self.hang_up().await;
                None
            }
            Some(Some(result)) => {
                self.keep(driver, &result).await;
                Some(result)
            }
        }
    }

    /// A driver that lost its payment is spent.
    async fn keep(&mut self, driver: zvt::Terminal, result: &Result<Payment>) {
        if matches!(result, Ok(Payment::Charged(_) | Payment::NotCharged(_))) {
            self.driver = Some(driver);
        } else {
            drop(driver);
            self.hang_up().await;
        }
    }

    async fn dies_at_the_approval(&mut self, key: &str) {
        self.open().await.expect("nothing is wrong yet");
        self.peer.with(|t| t.customer(key));
        let mut driver = self.driver.take().expect("opened");
        let (peer, mut sent) = (self.peer.clone(), self.peer.sent());
        let approved = sent.wait_for(|_| peer.with(|t| t.ledger.all().iter().any(|t| t.whose == key)));
        tokio::select! {
            biased;
            _ = approved => {}
            _ = driver.pay(Request::new(key, PRICE), Host::none()) => {}
        }
        drop(driver);
        self.hang_up().await;
    }

    /// Connects again until nothing is open, as a till does.
    async fn look_up(&mut self) {
        for attempt in 0..3 {
            let open = self.journal.open("counter").await.expect("a memory");
            if open.is_empty() {
                return;
            }
            if attempt > 0 {
                sleep(Duration::from_secs(30)).await;
            }
            let _settled = self.open().await;
        }
    }

    async fn pay(&mut self, key: &str, tries: usize) -> Result<Payment> {
        self.peer.with(|t| t.customer(key));
        let mut last = None;
        for attempt in 0..tries {
            if attempt > 0 {
                sleep(Duration::from_secs(20)).await;
            }
            if self.driver.is_none()
                && let Err(error) = self.open().await
            {
                last = Some(error);
                continue;
            }
            let mut driver = self.driver.take().expect("opened");
            let result = self.bounded(driver.pay(Request::new(key, PRICE), Host::none())).await;
            self.said.push(format!("{key}: {result:?}"));
            let Some(result) = result else { continue };
            self.keep(driver, &result).await;
            match result {
                Ok(payment) => return Ok(payment),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| tresen_hal::Error::new(tresen_hal::Kind::Timeout, "it hangs")))
    }

    /// Lets the terminal come to its decisions.
    async fn rest(&mut self) {
        self.hang_up().await;
        for _ in 0..100 {
            if self.peer.with(|t| t.rest(self.peer.now())) {
                return;
            }
            sleep(Duration::from_secs(60)).await;
        }
        panic!("the peer never rests");
    }

    /// A person settles by the terminal's books what is still open. It then stands, and its key is answered
    /// from the journal.
    async fn settle(&mut self) -> std::result::Result<(), String> {
        for intent in self.journal.open("counter").await.expect("a memory") {
            let (key, asked) = (intent.id.0.clone(), self.asked(&intent.id.0));
            let charged = self.peer.with(|t| !t.ledger.stored(&key).is_empty());
            let decision = match charged {
                true => Decision::charged(PRICE, "the cashier", "it is on the terminal's journal"),
                false => Decision::not_charged("the cashier", "it is not on the terminal's journal"),
            };
            self.journal.settle(&intent.id, &decision).await.map_err(|e| e.to_string())?;
            let again = self.pay(&key, 3).await;
            let stands = match &again {
                Ok(Payment::Charged(_)) => charged,
                Ok(Payment::NotCharged(_)) => !charged,
                _ => false,
            };
            if !stands || self.asked(&key) != asked {
                return Err(format!("{key}, settled as {decision:?}, is {again:?}"));
            }
        }
        self.hang_up().await;
        let open = self.journal.open("counter").await.expect("a memory");
        if open.is_empty() { Ok(()) } else { Err(format!("still open: {open:?}")) }
    }

    fn compare(&mut self, case: &Case, told: &[(&str, Option<&Result<Payment>>)], report: &mut Report) {
        let mut wrong = |what, why: String| report.wrongs.push((what, why));
        let entries = self.journal.memory().entries();
        for key in ["K0", "K1", "K2"] {
            let stands = self.peer.with(|t| t.ledger.stored(key).into_iter().cloned().collect::<Vec<_>>());
            let asked = self.asked(key);
            if stands.len() > 1 {
                wrong(Wrong::DoubleCharge, format!("{key}: {stands:?}"));
            }
            if asked > 1 {
                wrong(Wrong::AskedTwice, format!("{key}: 06 01 sent {asked} times"));
            }
            let entry = entries.iter().find(|e| e.intent.id.0 == key);
            let said = told.iter().filter(|(k, _)| *k == key).filter_map(|(_, t)| t.and_then(|t| t.as_ref().ok()));
            let journal = entry.and_then(|e| e.payment.as_ref());
            for payment in said.chain(journal) {
                match payment {
                    Payment::Charged(charge) => {
                        let right = stands.iter().any(|t| {
                            let reference = charge.receipt_number.as_ref().and_then(|n| n.parse::<u16>().ok());
                            let sum = (t.amount, t.currency) == (5_00, 978) && charge.amount == PRICE;
                            sum && (case.changed || reference.is_none_or(|r| r == t.receipt))
                        });
                        if !right {
                            wrong(Wrong::FalselyCharged, format!("{key}: {charge:?}; the ledger has {stands:?}"));
                        }
                        if let Some(why) = exchanged(charge) {
                            wrong(Wrong::Slips, why);
                        }
                        if charge.customer_slip.len() + charge.merchant_slip.len() > 5_000 {
                            wrong(Wrong::Grows, "a slip without end".into());
                        }
                    }
                    Payment::Partial(charge) => {
                        let part = |sum: u64| charge.amount == Amount::eur(sum as i64) && sum < 5_00 && case.partial;
                        if !stands.iter().any(|t| t.currency == 978 && part(t.amount)) {
                            wrong(Wrong::FalselyCharged, format!("{key}: {charge:?}; the ledger has {stands:?}"));
                        }
                    }
                    Payment::NotCharged(_) if !stands.is_empty() => {
                        wrong(Wrong::FalselyNotCharged, format!("{key}: {payment:?}; the ledger has {stands:?}"));
                    }
                    _ => {}
                }
            }
            if key == "K1" {
                report.ended = match journal {
                    None if entry.is_none() => "never asked",
                    None => "unknown",
                    Some(payment) => payment.word(),
                };
                if case.wants == Wants::Known && entry.is_some_and(Entry::is_open) {
                    wrong(Wrong::NeedlesslyUnknown, format!("{entry:?}; the ledger has {stands:?}"));
                }
            }
        }
        let writes = self.journal.writes().len();
        if writes > 100 {
            wrong(Wrong::Grows, format!("{writes} writes to the journal"));
        }
        if self.hangs {
            wrong(Wrong::Hangs, format!("a call took more than {BOUND:?}"));
        }
        report.wrongs.sort();
        report.wrongs.dedup();
    }

    fn transcript(&self, told: &[(&str, Option<&Result<Payment>>)]) -> Vec<String> {
        let mut lines: Vec<_> = self.peer.with(|t| {
            let line = |m: &tresen_peers::zvt::Message| {
                let hex: Vec<_> = m.bytes.iter().take(130).map(|b| format!("{b:02x}")).collect();
                format!("{:>8} {} {}", m.at, if m.from_till { "till" } else { "term" }, hex.join(" "))
            };
            let ledger = t.ledger.all().iter().map(|t| format!("ledger {t:?}"));
            t.log().iter().take(300).map(line).chain(ledger).collect()
        });
        lines.extend(self.said.iter().map(|s| format!("said {s}")));
        lines.extend(told.iter().map(|(k, t)| format!("told {k}: {t:?}")));
        lines
    }
}

/// Slips that are given to the wrong person.
fn exchanged(charge: &Charge) -> Option<String> {
    let has = |slip: &[String], title: &str| slip.iter().any(|line| line.contains(title));
    (has(&charge.customer_slip, "HAENDLERBELEG") || has(&charge.merchant_slip, "KUNDENBELEG"))
        .then(|| format!("customer {:?}, merchant {:?}", charge.customer_slip, charge.merchant_slip))
}

/// Aborts once the terminal has said `n` messages after 06 01.
async fn abort_after(peer: Shared<Terminal>, n: usize, stop: tokio::sync::watch::Sender<bool>) {
    let mut sent = peer.sent();
    let said = |t: &mut Terminal| {
        let start = t.log().iter().position(|m| m.bytes.starts_with(&[0x06, 0x01]));
        start.is_some_and(|start| t.log()[start..].iter().filter(|m| !m.from_till).count() >= n)
    };
    if sent.wait_for(|_| peer.with(said)).await.is_ok() {
        stop.send_replace(true);
        std::future::pending::<()>().await;
    }
}

/// The terminal's end of a memory link.
struct Far(Option<Memory>);

impl Channel for Far {
    async fn recv(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::new();
        self.0.as_ref()?.recv(&mut chunk).await.ok()?;
        Some(chunk)
    }
    async fn send(&mut self, bytes: &[u8]) -> bool {
        match &self.0 {
            Some(link) => link.send(bytes).await.is_ok(),
            None => false,
        }
    }
}

/// The till's clock: the wall follows tokio's.
#[derive(Debug)]
struct Following {
    began: Instant,
    wall: jiff::Timestamp,
}

impl Clock for Following {
    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
    fn wall(&self) -> jiff::Timestamp {
        self.wall + self.began.elapsed()
    }
}
