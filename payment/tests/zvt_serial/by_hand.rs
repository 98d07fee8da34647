//! A till written by hand, with frames that `ecrterm` is tested with (tests/test_encoding.py), at the simulator.

use std::time::Duration;

use tokio::time::timeout;
use tresen_hal::link::memory::{self, Memory};
use tresen_hal::sim::{self, Shared};
use tresen_hal::{Amount, Link};
use tresen_payment::zvt::Framed;
use tresen_payment::zvt::serial::Timing;
use tresen_payment::zvt::sim::{Commit, Profile, Simulator, State};
use tresen_peers::zvt::serial::{Heard, take};

const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
/// Password 123456, config BA, euro.
const REGISTRATION: [u8; 15] =
    [0x10, 0x02, 0x06, 0x00, 0x06, 0x12, 0x34, 0x56, 0xba, 0x09, 0x78, 0x10, 0x03, 0x24, 0xc3];
/// 110.00 euro: the amount has a 10, which is doubled.
const PAYMENT: [u8; 20] = [
    0x10, 0x02, 0x06, 0x01, 0x0a, 0x04, 0x00, 0x00, 0x00, 0x01, 0x10, 0x10, 0x00, 0x49, 0x09, 0x78, 0x10, 0x03, 0xf2,
    0xff,
];
const STATUS_ENQUIRY: [u8; 12] = [0x10, 0x02, 0x05, 0x01, 0x03, 0x12, 0x34, 0x56, 0x10, 0x03, 0xe0, 0x43];
const POSITIVE: [u8; 9] = [0x10, 0x02, 0x80, 0x00, 0x00, 0x10, 0x03, 0xf5, 0x1f];
const BUSY: [u8; 9] = [0x10, 0x02, 0x84, 0x9c, 0x00, 0x10, 0x03, 0xc3, 0x41];

struct Till {
    link: Memory,
    raw: Vec<u8>,
    sim: Shared<Simulator>,
}

impl Till {
    fn new(commit: Commit) -> Self {
        let profile = Profile { framing: Framed::Serial(Timing::default()), commit, ..Profile::default() };
        let (sim, (near, far)) = (Shared::new(Simulator::new(profile)), memory::pair());
        let served = sim.clone();
        tokio::spawn(async move { sim::link(&far, &served).await });
        Self { link: near, raw: Vec::new(), sim }
    }

    async fn says(&self, bytes: &[u8]) {
        self.link.send(bytes).await.expect("the terminal is there");
    }

    /// The next thing that the terminal says within `seconds`.
    async fn hears_within(&mut self, seconds: u64) -> Option<Heard> {
        timeout(Duration::from_secs(seconds), async {
            loop {
                if let Some(heard) = take(&mut self.raw) {
                    return heard;
                }
                self.link.recv(&mut self.raw).await.expect("the terminal is there");
            }
        })
        .await
        .ok()
    }

    async fn hears(&mut self) -> Heard {
        self.hears_within(30).await.expect("the terminal says something")
    }

    /// Sends a command and sees it through; the codes of what the terminal said, and how often it said each.
    async fn commands(&mut self, frame: &[u8]) -> Vec<u16> {
        self.says(frame).await;
        assert_eq!(self.hears().await, Heard::Ack);
        let mut codes = Vec::new();
        loop {
            match self.hears().await {
                Heard::Message(message) => {
                    let code = u16::from_be_bytes([message[0], message[1]]);
                    codes.push(code);
                    self.says(&[ACK]).await;
                    if code != 0x8000 {
                        self.says(&POSITIVE).await;
                        assert_eq!(self.hears().await, Heard::Ack);
                    }
                    if matches!(code, 0x060f | 0x061e) {
                        return codes;
                    }
                }
                other => panic!("{other:?} after {codes:04x?}"),
            }
        }
    }

    fn stored(&self) -> Vec<Amount> {
        self.sim.with(|s| s.ledger().stored().map(|t| t.amount).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn a_till_with_published_frames_pays() {
    let mut till = Till::new(Commit::Reverses);
    assert_eq!(till.commands(&REGISTRATION).await, [0x8000, 0x060f]);
    assert_eq!(till.commands(&STATUS_ENQUIRY).await, [0x8000, 0x060f]);
    let said = till.commands(&PAYMENT).await;
    assert_eq!((said[0], said.contains(&0x040f), *said.last().expect("an end")), (0x8000, true, 0x060f));
    assert_eq!(till.stored(), [Amount::eur(110_00)]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_came_twice_is_one_payment() {
    let mut till = Till::new(Commit::Reverses);
    till.commands(&REGISTRATION).await;
    till.says(&PAYMENT).await;
    assert_eq!(till.hears().await, Heard::Ack);
    // The till took the ACK for a NAK. What the terminal says next waits for an ACK of the till.
    till.says(&PAYMENT).await;
    let mut acks = 0;
    while acks == 0 {
        acks += usize::from(till.hears().await == Heard::Ack);
    }
    assert_eq!(till.sim.with(|s| s.received(0x0601)), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_frame_is_refused_and_taken_when_it_comes_again() {
    let mut till = Till::new(Commit::Reverses);
    till.commands(&REGISTRATION).await;
    let mut broken = PAYMENT;
    broken[8] ^= 0x01;
    till.says(&broken).await;
    assert_eq!(till.hears().await, Heard::Nak);
    till.says(&PAYMENT[..9]).await;
    assert_eq!(till.hears_within(1).await, Some(Heard::Nak), "T1: the rest did not come");
    till.commands(&PAYMENT).await;
    assert_eq!(till.stored(), [Amount::eur(110_00)]);
}

#[tokio::test(start_paused = true)]
async fn the_terminal_says_again_what_is_not_acknowledged() {
    let mut till = Till::new(Commit::Reverses);
    till.says(&REGISTRATION).await;
    assert_eq!(till.hears().await, Heard::Ack);
    let positive = Heard::Message(vec![0x80, 0x00, 0x00]);
    assert_eq!(till.hears().await, positive);
    till.says(&[NAK]).await;
    assert_eq!(till.hears_within(1).await, Some(positive.clone()), "after a NAK at once");
    assert_eq!(till.hears_within(4).await, None);
    assert_eq!(till.hears_within(2).await, Some(positive), "after T2");
    assert_eq!(till.hears_within(30).await, None, "and no more than that");
    // The line is free for a new till.
    assert_eq!(till.commands(&REGISTRATION).await, [0x8000, 0x060f]);
}

#[tokio::test(start_paused = true)]
async fn a_till_that_falls_silent_after_the_approval() {
    for (commit, stands) in [(Commit::Reverses, 0), (Commit::Keeps, 1)] {
        let mut till = Till::new(commit);
        till.commands(&REGISTRATION).await;
        till.says(&PAYMENT).await;
        assert_eq!(till.hears().await, Heard::Ack);
        loop {
            match till.hears().await {
                Heard::Message(message) if message.starts_with(&[0x04, 0x0f]) => break till.says(&[ACK]).await,
                Heard::Message(message) => {
                    till.says(&[ACK]).await;
                    if message[0] != 0x80 {
                        till.says(&POSITIVE).await;
                    }
                }
                _ => {}
            }
        }
        // The frame is acknowledged, the approval is not.
        till.says(&STATUS_ENQUIRY).await;
        assert_eq!(till.hears().await, Heard::Ack);
        assert_eq!(till.hears().await, Heard::Message(BUSY[2..5].to_vec()));
        till.says(&[ACK]).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(till.stored().len(), stands, "{commit:?}");
        assert!(till.sim.with(|s| s.ledger().entries().iter().all(|t| t.state != State::Authorised)));
    }
}
