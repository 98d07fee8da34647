//! A payment, a refund and a reversal over a serial line on which one thing goes wrong: every frame, ACK and NAK is
//! lost, doubled, late, crossed, and changed or cut at every character. The terminal does not notice when the till
//! leaves. Then a new driver settles; journal and ledger must agree.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tresen_hal::link::fault::{Damage, Fault, Plan};
use tresen_hal::link::record::Direction;
use tresen_hal::{Error, Result};
use tresen_payment::zvt::serial::Timing;
use tresen_payment::zvt::sim::{Commit, Kind, Profile};
use tresen_payment::zvt::{Config, Framed};
use tresen_payment::{Host, Payment, Reference, Request, Terminal};

use super::common::{Counter, PRICE, is_charged, next_customer_pays, pay};
use super::tap::{Passed, Tap};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Pay,
    Refund,
    Reverse,
}

impl Doing {
    fn code(self) -> u16 {
        match self {
            Self::Pay => 0x0601,
            Self::Refund => 0x0631,
            Self::Reverse => 0x0630,
        }
    }

    /// How many transactions of this kind stand.
    fn standing(self, counter: &Counter) -> usize {
        let is = |kind: Kind| match self {
            Self::Pay => kind == Kind::Payment,
            Self::Refund => kind == Kind::Refund,
            Self::Reverse => matches!(kind, Kind::Reversal(_)),
        };
        counter.sim.with(|s| s.ledger().stored().filter(|t| is(t.kind)).count())
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

/// A payment that can be taken back, over a good line.
async fn paid_before(counter: &mut Counter) -> Reference {
    let mut terminal = counter.open().await.expect("registers");
    match pay(&mut terminal, "before").await.expect("pays") {
        Payment::Charged(charge) => charge.reference.expect("a receipt number"),
        other => panic!("{other:?}"),
    }
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
    let before = match setting.doing {
        Doing::Reverse => Some(paid_before(&mut counter).await),
        Doing::Pay | Doing::Refund => None,
    };
    let passed: Passed = Arc::new(Mutex::new(Vec::new()));
    let link = Tap { inner: Fault::new(counter.link().await, plan), passed: passed.clone() };
    let told = async {
        let mut terminal = counter.open_over(link).await?;
        terminal.recover().await?;
        let request = Request::new("sale", PRICE);
        match before {
            Some(reference) => terminal.reverse(reference, request, Host::none()).await,
            None if setting.doing == Doing::Refund => terminal.refund(request, Host::none()).await,
            None => terminal.pay(request, Host::none()).await,
        }
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
    let count =
        |is: &dyn Fn(&(Direction, Vec<u8>)) -> bool| passed.lock().expect("whole").iter().filter(|p| is(p)).count();
    let frames = count(&|(direction, piece)| *direction == Direction::Sent && piece.starts_with(&begins));
    let naks = count(&|(direction, piece)| *direction == Direction::Received && piece[..] == [0x15]);
    assert!(frames <= 1 + naks, "{name}: {frames} frames with money, {naks} NAK");
    let before = counter.journal.entries().iter().filter(|e| doing == Doing::Pay && e.intent.id.0 == "before").count();
    let stands = doing.standing(&counter) - before;
    assert!(stands <= 1, "{name}: {stands} stand");
    let Some(entry) = counter.entry("sale") else {
        assert_eq!((frames, stands), (0, 0), "{name}: nothing was meant, so nothing was sent");
        next_customer_pays(&mut counter, terminal).await;
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
    next_customer_pays(&mut counter, terminal).await;
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
