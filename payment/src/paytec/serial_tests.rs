//! The frames were computed with Python's `binascii.crc_hqx`, which is CRC-16/XMODEM.

use proptest::prelude::*;

use super::*;

const HEARTBEAT: &str = "100001117b2248656172746265617452657175657374223a7b7d7d0a719b10ff";
/// Sequence number 16 is doubled.
const ANSWERED: &str = "10001010917b22486561727462656174526573706f6e7365223a7b7d7d0a029810ff";
/// So is the first byte of the CRC.
const STATUS: &str = "1000e3117b2253746174757352657175657374223a7b7d7d0a1010ed10ff";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn at(ms: u64) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_millis(ms)
}

fn till() -> Frames {
    Frames::new(End::Till, BAUD)
}

#[test]
fn frames_have_the_bytes_of_the_vendors_library() {
    assert_eq!(crc(b"123456789"), 0x31c3, "the check value of CRC-16/XMODEM");
    let heartbeat = b"{\"HeartbeatRequest\":{}}\n";
    assert_eq!(frame(1, 0x11, heartbeat), bytes(HEARTBEAT));
    assert_eq!(frame(227, 0x11, b"{\"StatusRequest\":{}}\n"), bytes(STATUS));
    let mut frames = till();
    frames.send(heartbeat.to_vec(), true);
    assert_eq!(frames.poll_transmit(at(0)), Some(bytes(HEARTBEAT)), "the first has number 1");
    assert_eq!(frames.poll_transmit(at(0)), None);
}

#[test]
fn a_frame_is_read_at_every_split_and_answered_once() {
    for size in 1..40 {
        let mut frames = till();
        // An acknowledgement may stand inside of a frame.
        let mut stream = bytes(ANSWERED);
        stream.splice(10..10, [0x10, 0x11]);
        stream.splice(0..0, *b"noise");
        for piece in stream.chunks(size) {
            frames.feed(piece);
        }
        assert_eq!(frames.next_payload().as_deref(), Some(&b"{\"HeartbeatResponse\":{}}\n"[..]), "in pieces of {size}");
        assert_eq!((frames.poll_transmit(at(0)), frames.poll_transmit(at(0))), (Some(vec![0x10, 0x11]), None));
        // The same once more is acknowledged and dropped; another one with the same number is refused.
        frames.feed(&bytes(ANSWERED));
        assert_eq!((frames.poll_transmit(at(0)), frames.next_payload()), (Some(vec![0x10, 0x11]), None));
        frames.feed(&frame(16, 0x91, b"{}\n"));
        assert_eq!((frames.poll_transmit(at(0)), frames.next_payload()), (Some(vec![0x10, 0x12]), None));
    }
}

#[test]
fn damage_is_refused_and_an_echo_is_not_heard() {
    let whole = bytes(ANSWERED);
    for damaged in 4..whole.len() - 2 {
        let mut frames = till();
        let mut stream = whole.clone();
        stream[damaged] ^= 0x01;
        frames.feed(&stream);
        assert_eq!(frames.next_payload(), None, "byte {damaged}");
    }
    let mut frames = till();
    frames.feed(&bytes(HEARTBEAT));
    assert_eq!((frames.next_payload(), frames.poll_transmit(at(0))), (None, None));
    frames.feed(&[DLE, START]);
    frames.feed(&vec![b'x'; 3 * LONGEST]);
    assert_eq!(frames.poll_transmit(at(0)), Some(vec![0x10, 0x12]));
    frames.feed(&whole);
    assert!(frames.next_payload().is_some(), "it goes on after a frame without an end");
}

#[test]
fn what_is_not_answered_is_sent_three_times_and_what_moves_money_once() {
    let mut frames = till();
    frames.send(b"a\n".to_vec(), true);
    let first = frames.poll_transmit(at(0)).expect("sent");
    // 350 ms, and ten bits for each byte.
    assert_eq!(frames.poll_timeout(), Some(at(350) + Duration::from_secs(1) * 100 / BAUD));
    frames.handle_timeout(at(349));
    assert_eq!(frames.poll_transmit(at(349)), None);
    frames.handle_timeout(at(400));
    assert_eq!(frames.poll_transmit(at(400)), Some(first.clone()));
    frames.handle_timeout(at(800));
    assert_eq!(frames.poll_transmit(at(800)), Some(first));
    frames.handle_timeout(at(1_200));
    assert!(frames.is_lost() && frames.poll_transmit(at(1_200)).is_none());

    let mut frames = till();
    frames.send(b"money\n".to_vec(), false);
    frames.send(b"b\n".to_vec(), true);
    let money = frames.poll_transmit(at(0)).expect("sent");
    frames.feed(&[DLE, NAK]);
    assert_eq!(frames.poll_transmit(at(10)), Some(money), "it was damaged, so it did not arrive");
    frames.handle_timeout(at(400));
    assert_eq!(frames.poll_transmit(at(400)), Some(frame(2, 0x11, b"b\n")), "the next one");
    assert!(!frames.is_lost());
    frames.feed(&[DLE, ACK]);
    assert_eq!((frames.poll_transmit(at(410)), frames.poll_timeout()), (None, None));
}

proptest! {
    #[test]
    fn any_payload_arrives_at_the_other_end(payload in proptest::collection::vec(any::<u8>(), 1..600), size in 1usize..50) {
        let (mut near, mut far) = (till(), Frames::new(End::Terminal, BAUD));
        near.send(payload.clone(), true);
        let sent = near.poll_transmit(at(0)).expect("sent");
        for piece in sent.chunks(size) {
            far.feed(piece);
        }
        prop_assert_eq!(far.next_payload(), Some(payload));
        near.feed(&far.poll_transmit(at(0)).expect("answered"));
        prop_assert_eq!(near.poll_timeout(), None);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(prop_oneof![Just(DLE), Just(END), any::<u8>()], 0..400)) {
        let mut frames = till();
        frames.feed(&bytes);
        while frames.poll_transmit(at(0)).is_some() {}
        while frames.next_payload().is_some() {}
    }
}
