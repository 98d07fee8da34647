//! ZVT over a serial line (PA00P015, "Transport protocol"): `DLE STX apdu DLE ETX crc-lo crc-hi`, each answered ACK or NAK.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tresen_hal::link::memory::{self, Memory};
use tresen_hal::{Amount, BoxFuture, Clock, Error, Kind, Link, Result};
use tresen_payment::zvt::serial::Timing;
use tresen_payment::zvt::{self, Framed, Options};
use tresen_payment::{Host, Request, Terminal as _};

use super::stage::{Till, how};

const PRICE: Amount = Amount::eur(5_00);
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;

/// CRC-16/KERMIT over the APDU and ETX, bit by bit.
fn crc(bytes: &[u8]) -> u16 {
    let mut sum = 0_u16;
    for byte in bytes.iter().chain(&[0x03]) {
        sum ^= u16::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x8408 } else { sum >> 1 };
        }
    }
    sum
}

/// A frame. DLE inside is doubled.
fn frame(apdu: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x10, 0x02];
    for byte in apdu {
        frame.extend(std::iter::repeat_n(*byte, if *byte == 0x10 { 2 } else { 1 }));
    }
    frame.extend([0x10, 0x03]);
    frame.extend(crc(apdu).to_le_bytes());
    frame
}

/// What the till says: an ACK, a NAK, or the APDU of a frame. The input it takes is left out.
fn take(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let first = *input.first()?;
    if first != 0x10 {
        return Some(input.drain(..1).collect());
    }
    let (mut at, mut apdu) = (2, Vec::new());
    loop {
        match input.get(at..at + 2)? {
            [0x10, 0x10] => {
                apdu.push(0x10);
                at += 2;
            }
            [0x10, _] => break,
            [byte, _] => {
                apdu.push(*byte);
                at += 1;
            }
            _ => return None,
        }
    }
    input.get(at + 3)?;
    input.drain(..at + 4);
    Some(apdu)
}

/// How the terminal treats the till.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    None,
    /// It cannot read any command that moves money, however often it is sent; and did so at the last time.
    NakStorm,
    /// Each of its frames comes three times.
    Thrice,
    /// Its approval has the right checksum, and a length that is not its own.
    WrongLength,
    /// Between its frames it sends ENQ, 40 at a time.
    Enquires,
    /// Each frame comes once with a wrong checksum first.
    Damaged,
    /// It acknowledges each frame twice.
    AcksTwice,
}

/// A terminal that has charged as often as it says, with 417 as its last receipt before.
async fn serve(link: Memory, harm: Harm, payments: Arc<AtomicUsize>) {
    let mut input = Vec::new();
    let mut naks = 0;
    let approval = |number: u8, cents: u8| {
        vec![
            0x04, 0x0f, 0x18, 0x27, 0x00, 0x04, 0, 0, 0, 0, cents, 0x00, 0x29, 0x60, 0, 0, 0x01, 0x87, 0x04, number,
            0x0b, 0, 0x04, number, 0x49, 0x09, 0x78,
        ]
    };
    let mut plan: std::collections::VecDeque<Vec<u8>> = std::collections::VecDeque::new();
    loop {
        while let Some(said) = take(&mut input) {
            let mut out = Vec::new();
            let next = match said[..] {
                [ACK | NAK] => continue,
                [0x80, 0x00, ..] | [0x84, ..] => {
                    out.push(ACK);
                    plan.pop_front()
                }
                [class, instr, ..] => {
                    if harm == Harm::NakStorm && (class, instr) == (0x06, 0x01) {
                        naks += 1;
                        if naks == 3 {
                            payments.fetch_add(1, SeqCst);
                        }
                        link.send(&[NAK]).await.ok();
                        continue;
                    }
                    out.push(ACK);
                    if harm == Harm::AcksTwice {
                        out.push(ACK);
                    }
                    out.extend(frame(&[0x80, 0, 0]));
                    plan = match (class, instr) {
                        (0x06, 0x00) => [vec![0x06, 0x0f, 0]].into(),
                        (0x05, 0x01) => [vec![0x06, 0x0f, 5, 0xf0, 0xf0, 0xf1, b'A', 0]].into(),
                        (0x06, 0x20) => {
                            let number = 0x17 + u8::try_from(payments.load(SeqCst)).expect("few");
                            [approval(number, 0x05), vec![0x06, 0x0f, 0]].into()
                        }
                        (0x06, 0x01) => {
                            payments.fetch_add(1, SeqCst);
                            let mut approval = approval(0x18, 0x05);
                            if harm == Harm::WrongLength {
                                approval[2] += 3;
                            }
                            [approval, vec![0x06, 0x0f, 0]].into()
                        }
                        _ => Default::default(),
                    };
                    plan.pop_front()
                }
                _ => continue,
            };
            if harm == Harm::Enquires {
                out.extend([0x05; 40]);
                if link.send(&out).await.is_err() {
                    return;
                }
                out.clear();
                // The line has to be silent before a frame is one.
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            let times = if harm == Harm::Thrice { 3 } else { 1 };
            for _ in 0..times {
                let Some(apdu) = &next else { break };
                if harm == Harm::Damaged {
                    let mut wrong = frame(apdu);
                    *wrong.last_mut().expect("a checksum") ^= 0x40;
                    link.send(&wrong).await.ok();
                    tokio::time::sleep(Duration::from_millis(400)).await;
                }
                out.extend(frame(apdu));
            }
            if link.send(&out).await.is_err() {
                return;
            }
        }
        if link.recv(&mut input).await.is_err() {
            return;
        }
    }
}

async fn open(till: &Till, harm: Harm, payments: &Arc<AtomicUsize>) -> Result<zvt::Terminal> {
    let (near, far) = memory::pair();
    tokio::spawn(serve(far, harm, payments.clone()));
    zvt::open(Box::new(near), options(), till.journal.clone(), till.clock()).await
}

fn options() -> Options {
    let mut options = Options::new("counter");
    options.framing = Framed::Serial(Timing::default());
    options
}

#[test]
fn the_checksum_is_that_of_the_field() {
    // 80 00 00, and the registration that `ecrterm` is tested with.
    assert_eq!(frame(&[0x80, 0, 0]), [0x10, 0x02, 0x80, 0, 0, 0x10, 0x03, 0xf5, 0x1f]);
    let registration = [0x06, 0x00, 0x06, 0x12, 0x34, 0x56, 0xba, 0x09, 0x78];
    assert!(frame(&registration).ends_with(&[0x10, 0x03, 0x24, 0xc3]));
}

#[tokio::test(start_paused = true)]
async fn a_hostile_line_charges_once_and_is_told_truly() {
    for (harm, ends) in [
        (Harm::None, &["charged"][..]),
        (Harm::NakStorm, &["unknown"]),
        (Harm::Thrice, &["charged", "unknown"]),
        (Harm::WrongLength, &["unknown"]),
        (Harm::Enquires, &["charged", "unknown"]),
        (Harm::Damaged, &["charged", "unknown"]),
        (Harm::AcksTwice, &["charged", "unknown"]),
    ] {
        let (till, payments) = (Till::new(), Arc::new(AtomicUsize::new(0)));
        let mut terminal = match open(&till, harm, &payments).await {
            Ok(terminal) => terminal,
            Err(error) => panic!("{harm:?}: {error}"),
        };
        let begun = tokio::time::Instant::now();
        let payment = match terminal.pay(Request::new("sale", PRICE), Host::none()).await {
            Ok(payment) => payment,
            Err(error) => panic!("{harm:?}: {error}"),
        };
        assert!(ends.contains(&how(&payment)), "{harm:?}: {payment:?}");
        assert!(begun.elapsed() < Duration::from_secs(600), "{harm:?}: {:?}", begun.elapsed());
        drop(terminal);
        let mut terminal = open(&till, Harm::None, &payments).await.expect("registers");
        terminal.recover().await.expect("asks");
        let stands = till.stands("sale").expect("concluded");
        assert_ne!(how(&stands), "not charged", "{harm:?}: {stands:?}");
        assert_eq!(payments.load(SeqCst), 1, "{harm:?}");
    }
}

/// A clock that passes a millisecond at each look.
#[derive(Debug)]
struct Ticking(Instant, AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Instant {
        self.0 + Duration::from_millis(self.1.fetch_add(1, SeqCst))
    }
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// A converter on a network that has an ENQ at every look, and never pauses.
#[derive(Debug)]
struct Flood(AtomicUsize);

impl Link for Flood {
    fn send<'a>(&'a self, _: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn recv<'a>(&'a self, buffer: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async {
            // So that a till that never looks at its clock ends this test, too.
            if self.0.fetch_add(1, SeqCst) > 1_000_000 {
                return Err(Error::new(Kind::Closed, "the flood is over"));
            }
            buffer.push(0x05);
            Ok(1)
        })
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Noise that never pauses must not keep the till from seeing that its time is over.
#[tokio::test]
async fn a_flood_without_a_pause_ends_in_time() {
    let clock = Arc::new(Ticking(Instant::now(), AtomicU64::new(0)));
    let till = Till::new();
    let opened = zvt::open(Box::new(Flood(AtomicUsize::new(0))), options(), till.journal.clone(), clock.clone()).await;
    let Err(error) = opened else { panic!("nobody answers") };
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(clock.1.load(SeqCst) < 120_000, "{:?}", clock.1);
}
