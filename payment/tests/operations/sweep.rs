//! Something goes wrong at every message and byte of each operation, as in the sweep of payments. Then a new driver recovers
//! at the same terminal. Journal and ledger must agree, or the journal says unknown and why; one command at most was sent, and
//! the next customer can pay.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tresen_hal::link::fault::Plan;
use tresen_hal::{Amount, Result};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::zvt::serial::Timing;
use tresen_payment::zvt::sim::{Commit, Kind, Misbehaviour, OnAbort, Profile, Side, State};
use tresen_payment::zvt::{self, Framed};
use tresen_payment::{Host, Payment, Reference, Request, Terminal};

use super::common::{Counter, PRICE, is_charged};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Refund,
    Reversal,
    PreAuthorisation,
    Booking,
    Release,
    Tip,
    TopUp,
}

const ALL: [Tried; 7] =
    [Tried::Refund, Tried::Reversal, Tried::PreAuthorisation, Tried::Booking, Tried::Release, Tried::Tip, Tried::TopUp];

const HELD: Amount = Amount::eur(50_00);

impl Tried {
    fn code(self) -> u16 {
        match self {
            Self::Refund => 0x0631,
            Self::Reversal => 0x0630,
            Self::PreAuthorisation => 0x0622,
            Self::Booking => 0x0623,
            Self::Release => 0x0625,
            Self::Tip => 0x060c,
            Self::TopUp => 0x0609,
        }
    }

    fn amount(self) -> Amount {
        match self {
            Self::PreAuthorisation | Self::Release => HELD,
            Self::Tip => Amount::eur(2_00),
            _ => PRICE,
        }
    }

    /// What has to stand before, over a good link.
    async fn prepare(self, counter: &mut Counter) -> Option<Reference> {
        let mut terminal = counter.open().await.expect("registers");
        let first = Request::new("first", if matches!(self, Self::Booking | Self::Release) { HELD } else { PRICE });
        let payment = match self {
            Self::Reversal | Self::Tip => terminal.pay(first, Host::none()).await,
            Self::Booking | Self::Release => terminal.pre_authorise(first, Host::none()).await,
            Self::Refund | Self::PreAuthorisation | Self::TopUp => return None,
        };
        payment.expect("an outcome").into_charge().expect("it stands").reference
    }

    async fn run(self, terminal: &mut zvt::Terminal, of: Option<&Reference>, host: Host) -> Result<Payment> {
        let (request, of) = (Request::new("sale", self.amount()), || of.expect("it was prepared").clone());
        match self {
            Self::Refund => terminal.refund(request, host).await,
            Self::Reversal => terminal.reverse(of(), request, host).await,
            Self::PreAuthorisation => terminal.pre_authorise(request, host).await,
            Self::Booking => terminal.book(of(), request, host).await,
            Self::Release => terminal.release(of(), request, host).await,
            Self::Tip => terminal.tip(of(), request, host).await,
            Self::TopUp => terminal.top_up(Some("0012".into()), request, host).await,
        }
    }

    /// Of the terminal's entries those that this operation made and that stand.
    fn stored(self, counter: &Counter) -> usize {
        let made = |kind: Kind| match self {
            Self::Refund => kind == Kind::Refund,
            Self::Reversal => matches!(kind, Kind::Reversal(_)),
            Self::PreAuthorisation => kind == Kind::Reservation,
            Self::Booking => matches!(kind, Kind::Booking(_)),
            Self::Release => matches!(kind, Kind::Release(_)),
            Self::Tip => matches!(kind, Kind::Tip(_)),
            Self::TopUp => kind == Kind::TopUp,
        };
        counter.sim.with(|s| s.ledger().stored().filter(|t| made(t.kind)).count())
    }

    /// What became of the first transaction.
    fn first(self, counter: &Counter) -> Option<State> {
        match self {
            Self::Refund | Self::PreAuthorisation | Self::TopUp => None,
            _ => Some(counter.sim.with(|s| s.ledger().entries()[0].state)),
        }
    }

    /// What has to have become of it.
    fn ended(self, stands: bool) -> Option<State> {
        match self {
            Self::Refund | Self::PreAuthorisation | Self::TopUp => None,
            Self::Reversal if stands => Some(State::Reversed),
            Self::Booking if stands => Some(State::Booked(PRICE)),
            Self::Release if stands => Some(State::Released),
            _ => Some(State::Stored),
        }
    }
}

/// Every kind of terminal that makes a difference after what the sweep of payments has shown, over TCP and a serial line.
fn counters() -> Vec<(String, Counter)> {
    let (tcp, serial) = (Framed::ByLength, Framed::Serial(Timing::default()));
    let mut all = Vec::new();
    for commit in [Commit::Reverses, Commit::Keeps] {
        for (finishes_alone, tells_released, pace, framing) in
            [(false, false, 0, tcp), (true, true, 400, tcp), (false, false, 0, serial)]
        {
            let mut counter = Counter::new(Profile {
                commit,
                finishes_alone,
                tells_released,
                framing,
                pace: Duration::from_millis(pace),
                time: Some(jiff::civil::date(2026, 1, 2).at(8, 0, 0, 0)),
                ..Profile::default()
            });
            counter.options.exclusive = true;
            all.push((format!("{commit:?} alone={finishes_alone} {framing:?}"), counter));
        }
    }
    all
}

/// How lives ended: stands, does not, unknown, never begun.
#[derive(Debug, Default)]
struct Sums([usize; 4]);

impl Sums {
    fn cases(&self) -> usize {
        self.0.iter().sum()
    }

    fn tell(&self, what: &str) {
        let [stands, not, unknown, none] = self.0;
        let cases = self.cases();
        println!("{what}: {cases} cases; {stands} stand, {not} do not, {unknown} unknown, {none} never begun");
        assert!(stands > 20 && not > 20, "{what}: {self:?}");
    }
}

/// Recovers over a good link, and checks that everything fits.
async fn settle_and_check(
    counter: &mut Counter,
    tried: Tried,
    of: Option<&Reference>,
    name: &str,
    told: Option<&Payment>,
    sums: &mut Sums,
) {
    counter.sim.with(|s| s.behave());
    let mut terminal = counter.open().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    let settled = terminal.recover().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(settled.iter().all(|s| !s.evidence.is_empty()), "{name}");
    assert_eq!(counter.undecided(), 0, "{name}: the terminal has decided");
    let (sent, stored) = (counter.received(tried.code()), tried.stored(counter));
    assert!(sent <= 1 && stored <= 1, "{name}: sent {sent} times, {stored} stand");
    assert_eq!(tried.first(counter), tried.ended(stored == 1), "{name}");
    let Some(entry) = counter.entry("sale") else {
        assert_eq!((sent, stored), (0, 0), "{name}: nothing was meant, so nothing was sent");
        sums.0[3] += 1;
        return;
    };
    let payment = entry.payment.clone().unwrap_or_else(|| panic!("{name}: no outcome"));
    match &payment {
        Payment::Unknown(unknown) => {
            let excused = entry.intent.last_before.is_none() || name.contains("shared");
            assert!(excused && unknown.asked && !unknown.why.is_empty(), "{name}: {payment:?} {settled:?}");
            sums.0[2] += 1;
        }
        payment => {
            assert_eq!(usize::from(is_charged(payment)), stored, "{name}: {payment:?} {settled:?}");
            sums.0[usize::from(stored == 0)] += 1;
        }
    }
    if let Payment::Charged(charge) = &payment {
        assert_eq!(charge.amount, tried.amount(), "{name}");
    }
    // What was told at once, other than Unknown, is still true.
    if let Some(told @ (Payment::Charged(_) | Payment::NotCharged(_))) = told {
        assert_eq!(is_charged(told), is_charged(&payment), "{name}");
    }
    // The same key again is the same transaction.
    let again = tried.run(&mut terminal, of, Host::none()).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!((again, counter.received(tried.code())), (payment, sent), "{name}");
    // The terminal is not stuck.
    let next = terminal.pay(Request::new("next", PRICE), Host::none()).await;
    assert!(is_charged(&next.unwrap_or_else(|e| panic!("{name}: {e}"))), "{name}");
}

type Cut = fn(usize) -> Plan;

/// Between messages, after each sent byte, and after each piece of what comes.
const CUTS: [Cut; 6] = [
    |n| Plan { cut_before_send: Some(n), ..Plan::default() },
    |n| Plan { cut_after_send: Some(n), ..Plan::default() },
    |n| Plan { cut_before_recv: Some(n), ..Plan::default() },
    |n| Plan { cut_after_sent_bytes: Some(n), ..Plan::default() },
    |n| Plan { cut_before_recv: Some(n), split: Some(1), ..Plan::default() },
    |n| Plan { cut_before_recv: Some(n), split: Some(2), ..Plan::default() },
];

#[tokio::test(start_paused = true)]
async fn a_cut_between_all_messages_and_bytes() {
    let mut sums = Sums::default();
    for tried in ALL {
        for kind in 0..counters().len() {
            for cut in CUTS {
                for n in 0.. {
                    let (name, mut counter) = counters().swap_remove(kind);
                    let name = format!("{tried:?} {name}: {:?}", cut(n));
                    assert!(n < 600, "{name}: the sweep does not end");
                    let of = tried.prepare(&mut counter).await;
                    let (told, held) = match counter.open_broken(cut(n)).await {
                        Ok(mut terminal) => {
                            let told = tried.run(&mut terminal, of.as_ref(), Host::none()).await.ok();
                            let held = told.as_ref().is_some_and(is_charged) && terminal.status().await.is_ok();
                            (told, held)
                        }
                        Err(_) => (None, false),
                    };
                    settle_and_check(&mut counter, tried, of.as_ref(), &name, told.as_ref(), &mut sums).await;
                    if held {
                        assert!(n > 8, "{name}: the sweep reached the end");
                        break;
                    }
                }
            }
        }
    }
    sums.tell("cuts between messages and bytes");
}

#[tokio::test(start_paused = true)]
async fn the_till_dies_anywhere() {
    let mut sums = Sums::default();
    for tried in ALL {
        for kind in 0..counters().len() {
            for steps in 0.. {
                let (name, mut counter) = counters().swap_remove(kind);
                let name = format!("{tried:?} {name}: dies at step {steps}");
                let of = tried.prepare(&mut counter).await;
                let slow = FaultyJournal::over(counter.journal.clone()).slow();
                let mut terminal = counter.open_with(std::sync::Arc::new(slow)).await.expect("registers");
                let lived = {
                    let mut running = std::pin::pin!(tried.run(&mut terminal, of.as_ref(), Host::none()));
                    let mut left = steps;
                    std::future::poll_fn(|cx| {
                        if left == 0 {
                            return std::task::Poll::Ready(false);
                        }
                        left -= 1;
                        running.as_mut().poll(cx).map(|_| true)
                    })
                    .await
                };
                drop(terminal);
                settle_and_check(&mut counter, tried, of.as_ref(), &name, None, &mut sums).await;
                if lived {
                    assert!(steps > 10, "{name}: the sweep reached the end");
                    break;
                }
            }
        }
    }
    sums.tell("tills that die");
}

type Make = fn(usize) -> Misbehaviour;

/// What a terminal can do wrong at its n-th message.
const WAYS: [Make; 10] = [
    |message| Misbehaviour::HangUp { side: Side::ToTill, message, after: false },
    |message| Misbehaviour::HangUp { side: Side::ToTill, message, after: true },
    |message| Misbehaviour::HangUp { side: Side::FromTill, message, after: false },
    |message| Misbehaviour::HangUp { side: Side::FromTill, message, after: true },
    |message| Misbehaviour::NoAnswer { message },
    |message| Misbehaviour::Garbage { message },
    |message| Misbehaviour::Late { message, by: Duration::from_secs(60) },
    |message| Misbehaviour::Late { message, by: Duration::from_secs(4) },
    |message| Misbehaviour::Twice { message },
    |message| Misbehaviour::Behind { message, others: 2 },
];

#[tokio::test(start_paused = true)]
async fn the_terminal_errs_at_every_message() {
    let mut sums = Sums::default();
    for tried in ALL {
        for kind in 0..counters().len() {
            for way in WAYS {
                for n in 0..14 {
                    let (name, mut counter) = counters().swap_remove(kind);
                    let name = format!("{tried:?} {name}: {:?}", way(n));
                    let of = tried.prepare(&mut counter).await;
                    let mut terminal = counter.open().await.expect("registers");
                    counter.sim.with(|s| s.misbehave(way(n)));
                    let told = tried.run(&mut terminal, of.as_ref(), Host::none()).await.ok();
                    drop(terminal);
                    settle_and_check(&mut counter, tried, of.as_ref(), &name, told.as_ref(), &mut sums).await;
                }
            }
        }
    }
    sums.tell("faults of the terminal");
}

#[tokio::test(start_paused = true)]
async fn the_storage_fails_at_every_write() {
    let mut sums = Sums::default();
    for tried in ALL {
        for kind in 0..counters().len() {
            for lasting in [false, true] {
                for n in 0.. {
                    let (name, mut counter) = counters().swap_remove(kind);
                    let name = format!("{tried:?} {name}: write {n} fails, lasting={lasting}");
                    let of = tried.prepare(&mut counter).await;
                    let to = if lasting { usize::MAX } else { n + 1 };
                    let journal = std::sync::Arc::new(FaultyJournal::over(counter.journal.clone()).failing(n..to));
                    let mut terminal = counter.open_with(journal.clone()).await.expect("registers");
                    let told = tried.run(&mut terminal, of.as_ref(), Host::none()).await.ok();
                    drop(terminal);
                    settle_and_check(&mut counter, tried, of.as_ref(), &name, told.as_ref(), &mut sums).await;
                    if journal.writes().len() <= n {
                        break;
                    }
                }
            }
        }
    }
    sums.tell("failing storage");
}

#[tokio::test(start_paused = true)]
async fn the_cashier_aborts_at_every_step() {
    let mut sums = Sums::default();
    for tried in ALL {
        for kind in 0..counters().len() {
            for on_abort in [OnAbort::Ends, OnAbort::GoesOn, OnAbort::Refuses] {
                for step in 0.. {
                    let (name, mut counter) = counters().swap_remove(kind);
                    let name = format!("{tried:?} {name}: {on_abort:?} at step {step}");
                    let of = tried.prepare(&mut counter).await;
                    counter.sim.with(|s| s.profile_mut().on_abort = on_abort);
                    let mut terminal = counter.open().await.expect("registers");
                    let (abort, wanted) = watch::channel(false);
                    let host = Host::with(mpsc::channel(Host::KEPT).0, wanted);
                    let mut left: usize = step;
                    let told = {
                        let mut running = std::pin::pin!(tried.run(&mut terminal, of.as_ref(), host));
                        std::future::poll_fn(|cx| {
                            if left == 0 && !*abort.borrow() {
                                abort.send_replace(true);
                            }
                            left = left.saturating_sub(1);
                            running.as_mut().poll(cx)
                        })
                        .await
                    };
                    drop(terminal);
                    let told = told.unwrap_or_else(|e| panic!("{name}: {e}"));
                    settle_and_check(&mut counter, tried, of.as_ref(), &name, Some(&told), &mut sums).await;
                    if left > 0 {
                        break;
                    }
                }
            }
        }
    }
    sums.tell("aborts");
}
