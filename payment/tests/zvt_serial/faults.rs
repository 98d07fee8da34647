//! A payment, a refund, a reversal, and what holds an amount, books and releases it, over a serial line on which one thing goes wrong: every frame, ACK and NAK is
//! lost, doubled, late, crossed, and changed or cut at every character. The terminal does not notice when the till
//! leaves. Then a new driver settles; journal and ledger must agree.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tresen_hal::link::fault::{Damage, Fault, Plan};
use tresen_hal::link::record::Direction;
use tresen_hal::{Error, Result};
use tresen_payment::zvt::serial::Timing;
use tresen_payment::zvt::sim::{Commit, Kind, Profile};
use tresen_payment::zvt::{self, Config, Framed};
use tresen_payment::{Host, Payment, Reference, Request, Terminal};

use super::common::{Counter, PRICE, is_charged, next_customer_pays};
use super::tap::{Passed, Tap};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Pay,
    Refund,
    Reverse,
    PreAuthorise,
    Book,
    Release,
}

impl Doing {
    fn code(self) -> u16 {
        match self {
            Self::Pay => 0x0601,
            Self::Refund => 0x0631,
            Self::Reverse => 0x0630,
            Self::PreAuthorise => 0x0622,
            Self::Book => 0x0623,
            Self::Release => 0x0625,
        }
    }

    /// How many transactions of this kind stand.
    fn standing(self, counter: &Counter) -> usize {
        let is = |kind: Kind| match self {
            Self::Pay => kind == Kind::Payment,
            Self::Refund => kind == Kind::Refund,
            Self::Reverse => matches!(kind, Kind::Reversal(_)),
            Self::PreAuthorise => kind == Kind::Reservation,
            Self::Book => matches!(kind, Kind::Booking(_)),
            Self::Release => matches!(kind, Kind::Release(_)),
        };
        counter.sim.with(|s| s.ledger().stored().filter(|t| is(t.kind)).count())
    }

    /// What has to stand before, over a good line.
    async fn prepare(self, counter: &mut Counter) -> Option<Reference> {
        let first = Request::new("before", PRICE);
        let payment = match self {
            Self::Reverse => counter.open().await.expect("registers").pay(first, Host::none()).await,
            Self::Book | Self::Release => {
                counter.open().await.expect("registers").pre_authorise(first, Host::none()).await
            }
            Self::Pay | Self::Refund | Self::PreAuthorise => return None,
        };
        let charge = payment.expect("an outcome").into_charge().expect("it stands");
        Some(charge.reference.expect("a receipt number"))
    }

    async fn run(self, terminal: &mut zvt::Terminal, of: Option<Reference>) -> Result<Payment> {
        let (request, host, of) = (Request::new("sale", PRICE), Host::none(), || of.expect("it was prepared"));
        match self {
            Self::Pay => terminal.pay(request, host).await,
            Self::Refund => terminal.refund(request, host).await,
            Self::Reverse => terminal.reverse(of(), request, host).await,
            Self::PreAuthorise => terminal.pre_authorise(request, host).await,
            Self::Book => terminal.book(of(), request, host).await,
            Self::Release => terminal.release(of(), request, host).await,
        }
    }
}

/// A terminal, and whether it hands over receipts.
#[derive(Debug, Clone, Copy)]
struct Setting {
    doing: Doing,
    commit: Commit,
    receipts: bool,
}

/// What a case left behind.
struct Left {
    counter: Counter,
    told: Option<Result<Payment>>,
    passed: Passed,
}

async fn run(setting: Setting, plan: Plan) -> Left {
    let mut counter = Counter::new(Profile {
        commit: setting.commit,
        framing: Framed::Serial(Timing::default()),
        time: Some(jiff::civil::date(2026, 1, 2).at(8, 0, 0, 0)),
        ..Profile::default()
    });
    counter.options.exclusive = true;
    if !setting.receipts {
        (counter.options.config, counter.options.text_blocks) = (Config(0x08), false);
    }
    let before = setting.doing.prepare(&mut counter).await;
    let passed: Passed = Arc::new(Mutex::new(Vec::new()));
    let link = Tap { inner: Fault::new(counter.link().await, plan), passed: passed.clone() };
    let told = async {
        let mut terminal = counter.open_over(link).await?;
        terminal.recover().await?;
        setting.doing.run(&mut terminal, before).await
    };
    let told: Option<Result<Payment, Error>> = Some(told.await);
    Left { counter, told, passed }
}

/// Settles over a good line. Returns how the sale ended.
async fn settle_and_check(setting: Setting, left: Left, name: &str) -> &'static str {
    let (Left { mut counter, told, passed }, doing) = (left, setting.doing);
    let mut terminal = counter.open().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    terminal.recover().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(counter.undecided(), 0, "{name}: the terminal has decided");
    let begins = [&[0x10, 0x02][..], &doing.code().to_be_bytes()].concat();
    let passed = passed.lock().expect("whole").clone();
    let sent = |(direction, piece): &&(Direction, Vec<u8>)| *direction == Direction::Sent && piece.starts_with(&begins);
    let frames = passed.iter().filter(sent).count();
    let nak = |(direction, piece): &&(Direction, Vec<u8>)| *direction == Direction::Received && piece[..] == [0x15];
    let naks = passed.iter().filter(nak).count();
    assert!(frames <= 1 + naks, "{name}: {frames} frames with money, {naks} NAK");
    let stands = doing.standing(&counter);
    assert!(stands <= 1, "{name}: {stands} stand");
    let Some(entry) = counter.entry("sale") else {
        assert_eq!((frames, stands), (0, 0), "{name}: nothing was meant, so nothing was sent");
        next_customer_pays(&mut counter, terminal, name).await;
        return "never begun";
    };
    let payment = entry.payment.clone().unwrap_or_else(|| panic!("{name}: no outcome"));
    match &payment {
        Payment::Unknown(unknown) => {
            assert!(
                entry.intent.last_before.is_none() && unknown.asked && !unknown.why.is_empty(),
                "{name}: {payment:?}"
            );
        }
        payment => assert_eq!(usize::from(is_charged(payment)), stands, "{name}: {payment:?}"),
    }
    if let Some(Ok(told @ (Payment::Charged(_) | Payment::NotCharged(_)))) = &told {
        assert_eq!(is_charged(told), is_charged(&payment), "{name}: what was told is still true");
    }
    next_customer_pays(&mut counter, terminal, name).await;
    let next = usize::from(doing == Doing::Pay);
    assert!(
        counter.received(doing.code()) <= frames.min(1) + next,
        "{name}: a frame that came again was a new command"
    );
    payment.word()
}

/// What goes wrong with one piece of this length.
fn damages(length: usize) -> Vec<Damage> {
    let seconds = Duration::from_secs;
    let mut all = vec![
        Damage::Lose,
        Damage::Duplicate,
        Damage::Late(1),
        Damage::Late(2),
        Damage::Delay(seconds(3)),
        Damage::Delay(seconds(7)),
        Damage::Delay(seconds(30)),
        Damage::Stall,
    ];
    // 13 makes an ACK a NAK.
    let masks: &[u8] = if length == 1 { &[0x01, 0x13, 0xff] } else { &[0x01] };
    for at in 0..length {
        all.extend(masks.iter().map(|xor| Damage::Corrupt { at, xor: *xor }));
        all.push(Damage::LoseBytes { at, count: 1 });
        all.push(Damage::LoseBytes { at, count: usize::MAX });
    }
    all
}

async fn sweep(setting: Setting) {
    let clean = run(setting, Plan::default()).await;
    assert!(clean.told.as_ref().is_some_and(|told| told.as_ref().is_ok_and(is_charged)), "{:?}", clean.told);
    let pieces = clean.passed.lock().expect("whole").clone();
    let (mut cases, mut ended) = (0, std::collections::BTreeMap::<&str, usize>::new());
    for direction in [Direction::Sent, Direction::Received] {
        let lengths = pieces.iter().filter(|(d, _)| *d == direction).map(|(_, piece)| piece.len());
        for (nth, length) in lengths.enumerate() {
            for damage in damages(length) {
                let plan = Plan { damages: vec![(direction, nth, damage)], ..Plan::default() };
                let left = run(setting, plan).await;
                let name = format!("{setting:?}: {direction:?} {nth} {damage:?}, told {:?}", left.told);
                *ended.entry(settle_and_check(setting, left, &name).await).or_default() += 1;
                cases += 1;
            }
        }
    }
    println!("serial, {setting:?}: {} pieces, {cases} cases, {ended:?}", pieces.len());
    assert!(cases > 1000 && ended["charged"] > 500, "{cases} {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_payment_with_receipts() {
    for commit in [Commit::Reverses, Commit::Keeps] {
        sweep(Setting { doing: Doing::Pay, commit, receipts: true }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_without() {
    for commit in [Commit::Reverses, Commit::Keeps] {
        sweep(Setting { doing: Doing::Pay, commit, receipts: false }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund() {
    for commit in [Commit::Reverses, Commit::Keeps] {
        sweep(Setting { doing: Doing::Refund, commit, receipts: false }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reversal() {
    for commit in [Commit::Reverses, Commit::Keeps] {
        sweep(Setting { doing: Doing::Reverse, commit, receipts: false }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pre_authorisation() {
    for commit in [Commit::Reverses, Commit::Keeps] {
        sweep(Setting { doing: Doing::PreAuthorise, commit, receipts: false }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_booking() {
    for commit in [Commit::Reverses, Commit::Keeps] {
        sweep(Setting { doing: Doing::Book, commit, receipts: false }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_release() {
    for commit in [Commit::Reverses, Commit::Keeps] {
        sweep(Setting { doing: Doing::Release, commit, receipts: false }).await;
    }
}
