//! tshark reads what our till and our simulated terminal say to each other in ZVT.
//!
//! The bytes of a dialogue are written as a capture file of one TCP connection, one packet for each send of either
//! side. Wants Debian's package `tshark`; `.ci/run` installs it and runs this.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tresen_hal::link::memory::{self, Memory};
use tresen_hal::sim::{self, Shared};
use tresen_hal::{Amount, Driver, Link, SystemClock};
use tresen_payment::zvt::sim::{Misbehaviour, Profile, Simulator};
use tresen_payment::zvt::{self, Options};
use tresen_payment::{Host, MemoryJournal, Operation, Payment, Request, Terminal};

/// What passed: whether the till sent it, and its bytes.
type Passed = Arc<Mutex<Vec<(bool, Vec<u8>)>>>;

async fn pump(from: Arc<Memory>, to: Arc<Memory>, till: bool, passed: Passed) {
    let mut bytes = Vec::new();
    while from.recv(&mut bytes).await.is_ok() {
        passed.lock().expect("no panic").push((till, bytes.clone()));
        if to.send(&bytes).await.is_err() {
            return;
        }
        bytes.clear();
    }
}

/// Registration, payments, a decline, reversal, refund, totals, end of day, receipt, diagnosis, log-off.
async fn dialogue(text_blocks: bool) -> Vec<(bool, Vec<u8>)> {
    let passed = Passed::default();
    let ((till, near), (far, terminal)) = (memory::pair(), memory::pair());
    let (near, far) = (Arc::new(near), Arc::new(far));
    tokio::spawn(pump(near.clone(), far.clone(), true, passed.clone()));
    tokio::spawn(pump(far, near, false, passed.clone()));
    let time = Some(jiff::civil::date(2026, 1, 2).at(7, 59, 1, 0));
    let sim = Shared::new(Simulator::new(Profile { time, ..Profile::default() }));
    let served = sim.clone();
    tokio::spawn(async move { sim::link(&terminal, &served).await });

    let mut options = Options::new("counter");
    options.text_blocks = text_blocks;
    let journal = Arc::new(MemoryJournal::new());
    let mut driver = zvt::open(Box::new(till), options, journal, Arc::new(SystemClock)).await.expect("registers");
    let amount = Amount::eur(12_50);
    let paid = driver.pay(Request::new("a", amount), Host::none()).await.expect("an outcome");
    let of = paid.into_charge().expect("charged").reference.expect("it has a number");
    let reversed = driver.reverse(of, Request::new("b", amount), Host::none()).await.expect("an outcome");
    assert!(matches!(reversed, Payment::Charged(_)), "{reversed:?}");
    let refunded = driver.refund(Request::new("c", amount), Host::none()).await.expect("an outcome");
    assert!(matches!(refunded, Payment::Charged(_)), "{refunded:?}");
    sim.with(|sim| sim.misbehave(Misbehaviour::Decline(0x78)));
    let declined = driver.pay(Request::new("d", amount), Host::none()).await.expect("an outcome");
    assert!(matches!(declined, Payment::NotCharged(_)), "{declined:?}");
    for operation in [Operation::Totals, Operation::Reprint, Operation::Diagnosis, Operation::Initialise] {
        driver.transact(operation, Host::none()).await.map(drop).expect("does it");
    }
    driver.end_of_day(Host::none()).await.expect("closes the day");
    driver.close().await;
    let passed = passed.lock().expect("no panic").clone();
    assert!(passed.len() > 60, "{}", passed.len());
    passed
}

/// A capture file (libpcap format 2.4, link type 101: IP packets) of a TCP connection to port 20007.
fn capture(messages: &[(bool, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x4_0000, 101] {
        file.extend(number.to_le_bytes());
    }
    // The next sequence number of till and terminal.
    let mut next = [1000_u32, 5000];
    let handshake: [_; HANDSHAKE] = [(true, 0x02_u8), (false, 0x12), (true, 0x10)];
    let packets = handshake.iter().map(|(till, flags)| (*till, *flags, &[][..]));
    let packets = packets.chain(messages.iter().map(|(till, bytes)| (*till, 0x18, &bytes[..])));
    for (at, (till, flags, data)) in packets.enumerate() {
        let (ours, theirs) = (usize::from(!till), usize::from(till));
        let (from, to): (u16, u16) = if till { (50_000, 20_007) } else { (20_007, 50_000) };
        let mut tcp = Vec::new();
        tcp.extend(from.to_be_bytes());
        tcp.extend(to.to_be_bytes());
        tcp.extend(next[ours].to_be_bytes());
        tcp.extend(if flags == 0x02 { 0 } else { next[theirs] }.to_be_bytes());
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(data);
        next[ours] += u32::try_from(data.len()).expect("short") + u32::from(flags & 0x02 != 0);
        let length = u16::try_from(20 + tcp.len()).expect("an IP packet");
        let mut packet = vec![0x45, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        let (source, destination) = if till { ([10, 0, 0, 1], [10, 0, 0, 2]) } else { ([10, 0, 0, 2], [10, 0, 0, 1]) };
        packet.extend([source, destination].concat());
        packet.extend(tcp);
        let length = u32::try_from(packet.len()).expect("short");
        for number in [u32::try_from(at).expect("few"), 0, length, length] {
            file.extend(number.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// Packets before the first message.
const HANDSHAKE: usize = 3;

/// What tshark prints for these fields, packet by packet, fields by tabs, several values by commas.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file).args(["-d", "tcp.port==20007,zvt", "-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark runs: `apt install tshark`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn reads_every_message_of_a_day_without_a_malformed_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for text_blocks in [true, false] {
        let messages = dialogue(text_blocks).await;
        let file = folder.path().join("zvt.pcap");
        std::fs::write(&file, capture(&messages)).expect("written");

        // Commands that tshark's table lacks are plain TCP to it: everything else is ZVT.
        let read = tshark(&file, "zvt", &["frame.number"]);
        let read: BTreeSet<usize> = read.iter().map(|number| number.parse().expect("a number")).collect();
        for (at, (till, bytes)) in messages.iter().enumerate() {
            let unknown = *till && matches!(bytes[..2], [0x06, 0x02 | 0x10 | 0x20]);
            assert_eq!(read.contains(&(at + 1 + HANDSHAKE)), !unknown, "{bytes:02x?}");
        }
        for filter in ["_ws.malformed", "_ws.short", "_ws.unreassembled", "zvt.apdu_len.invalid", "tcp.analysis.flags"]
        {
            assert_eq!(tshark(&file, filter, &["frame.number"]), Vec::<String>::new(), "{filter}");
        }

        let named = tshark(&file, "zvt", &["_ws.col.Info"]);
        let named: BTreeSet<&str> = named.iter().flat_map(|info| info.split(", ")).map(str::trim).collect();
        for name in [
            "Registration",
            "Authorisation",
            "Reversal",
            "Refund",
            "End Of Day",
            "Diagnosis",
            "Initialisation",
            "Status Information",
            "Intermediate Status Information",
            "Completion",
            "Abort",
            if text_blocks { "Print Text Block" } else { "Print Line" },
        ] {
            assert!(named.iter().any(|info| info.starts_with(name)), "{name}: {named:?}");
        }

        // Amounts, receipt numbers and ids as tshark reads them out of our messages.
        let values = |field: &str| -> BTreeSet<String> {
            let lines = tshark(&file, field, &[field]);
            lines.iter().flat_map(|line| line.split(',')).map(str::to_owned).collect()
        };
        assert_eq!(values("zvt.terminal_id"), BTreeSet::from(["60000001".to_owned()]));
        assert!(values("zvt.amount").contains("1250"), "{:?}", values("zvt.amount"));
        assert_eq!(values("zvt.card_name"), BTreeSet::from(["girocard".to_owned()]));
    }
}

#[test]
fn tshark_finds_what_is_malformed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("zvt.pcap");
    // An amount that is cut off.
    std::fs::write(&file, capture(&[(true, vec![0x06, 0x01, 0x03, 0x04, 0x00, 0x00])])).expect("written");
    let filter = "_ws.malformed || zvt.apdu_len.invalid";
    assert_eq!(tshark(&file, filter, &["frame.number"]), ["4"]);
}
