use super::*;

/// GS ( H function 48 with the id "0001", and its answer, as in Epson's reference.
const ASK_PROOF: [u8; 11] = [0x1d, 0x28, 0x48, 0x06, 0x00, 0x30, 0x30, b'0', b'0', b'0', b'1'];
const PROOF: [u8; 7] = [0x37, 0x22, b'0', b'0', b'0', b'1', 0x00];

/// All that it says until `now`.
fn said(printer: &mut Printer, now: u64) -> Vec<u8> {
    let mut all = Vec::new();
    while let Do::Send(bytes) = printer.next(now) {
        all.extend(bytes);
    }
    all
}

fn told(printer: &mut Printer, bytes: &[u8], now: u64) -> Vec<u8> {
    printer.received(bytes, now);
    said(printer, now)
}

#[test]
fn text_becomes_lines_and_the_process_id_proves_them() {
    for pieces in [1, 3, 100] {
        let mut printer = Printer::new(Habits::default());
        printer.connected(0);
        let job = [b"\x1b@\x1bt\x13Coffee  2.50\nTotal 2.50\n\x1dV\x41\x03", &ASK_PROOF[..]].concat();
        let heard: Vec<u8> = job.chunks(pieces).flat_map(|c| told(&mut printer, c, 0)).collect();
        assert_eq!((printer.lines(), printer.cuts()), (&["Coffee  2.50".into(), "Total 2.50".into()][..], &[2][..]));
        assert_eq!(heard, PROOF, "in pieces of {pieces}");
    }
}

#[test]
fn real_time_status_has_its_fixed_bits_in_every_state() {
    let mut printer = Printer::new(Habits { paper: 1, ..Habits::default() });
    let ask = |printer: &mut Printer| (1..=4).flat_map(|n| told(printer, &[0x10, 0x04, n], 0)).collect::<Vec<_>>();
    assert_eq!(ask(&mut printer), [0x12; 4]);
    printer.cover(true);
    assert_eq!(ask(&mut printer), [0x1a, 0x16, 0x12, 0x12]);
    printer.cover(false);
    printer.received(b"one line\nand one that has no paper\n", 0);
    assert_eq!(ask(&mut printer), [0x1a, 0x32, 0x12, 0x7e]);
    printer.load(9);
    printer.jam(true);
    assert_eq!(ask(&mut printer), [0x1a, 0x52, 0x1a, 0x12]);
    told(&mut printer, &[0x10, 0x05, 0x01], 0);
    assert_eq!((ask(&mut printer), printer.lines().len()), (vec![0x12; 4], 2));
}

#[test]
fn automatic_status_reports_changes_and_may_lose_its_first_byte() {
    let mut printer = Printer::new(Habits { loses_first_byte_of: Some(1), paper: 1, ..Habits::default() });
    assert_eq!(told(&mut printer, &[0x1d, b'a', 0xff], 0), [0x10, 0x00, 0x00, 0x00]);
    assert_eq!(told(&mut printer, b"the last line\n", 0), [0x00, 0x0f, 0x00], "its first byte is 18");
    printer.load(9);
    assert_eq!(said(&mut printer, 0), [0x10, 0x00, 0x00, 0x00]);
    assert_eq!(told(&mut printer, &[0x1b, b'@'], 0), [0u8; 0], "a reset ends it");
    printer.cover(true);
    assert_eq!(said(&mut printer, 0), [0u8; 0]);
}

#[test]
fn it_says_who_it_is_or_nothing() {
    let mut printer = Printer::new(Habits::default());
    assert_eq!(told(&mut printer, &[0x1d, b'I', 66], 0), b"\x5fEPSON\0");
    assert_eq!(told(&mut printer, &[0x1d, b'r', 1], 0), [0x00]);
    let mut mute = Printer::new(Habits { tells_identity: false, ..Habits::default() });
    assert_eq!(told(&mut mute, &[0x1d, b'I', 66, 0x10, 0x04, 0x01], 0), [0x12]);
    let silent = Habits { tells_status: false, tells_identity: false, proves: false, ..Habits::default() };
    let mut silent = Printer::new(silent);
    assert_eq!(told(&mut silent, &[0x1d, b'I', 66, 0x10, 0x04, 0x01], 0), [0u8; 0]);
    assert_eq!(told(&mut silent, &[b"x\n", &ASK_PROOF[..]].concat(), 0), [0u8; 0]);
    assert_eq!(silent.lines(), ["x"]);
}

#[test]
fn one_status_comes_late_and_keeps_its_place() {
    let mut printer = Printer::new(Habits { late_status: Some((1, 1500)), ..Habits::default() });
    assert_eq!(told(&mut printer, &[0x10, 0x04, 0x01], 0), [0x12]);
    assert_eq!(told(&mut printer, &[0x10, 0x04, 0x02], 0), [0u8; 0]);
    assert_eq!(printer.next(0), Do::Wait(1500));
    printer.cover(true);
    assert_eq!(told(&mut printer, &[0x10, 0x04, 0x02], 0), [0u8; 0]);
    assert_eq!(said(&mut printer, 1500), [0x12, 0x16], "what was asked first comes first");
}

#[test]
fn a_slow_one_stops_reading_when_its_buffer_is_full() {
    let mut printer = Printer::new(Habits { speed: Some(1000), buffer: 100, ..Habits::default() });
    let line = [&[b'x'; 99][..], b"\n"].concat();
    printer.received(&line.repeat(2), 0);
    assert!(matches!(printer.next(0), Do::Deaf(_)), "200 bytes in a buffer of 100");
    assert_eq!(told(&mut printer, &ASK_PROOF, 10), [0u8; 0]);
    let mut now = 10;
    let proof = loop {
        match printer.next(now) {
            Do::Wait(until) | Do::Deaf(until) => now = until,
            other => break other,
        }
    };
    assert_eq!((proof, printer.lines().len()), (Do::Send(PROOF.to_vec()), 2));
    assert!((190..=230).contains(&now), "{now} ms for 211 bytes at 1000 a second");
}

#[test]
fn the_drawer_opens_by_pulse_and_waits_for_paper_in_the_buffer() {
    let mut printer = Printer::new(Habits { paper: 0, ..Habits::default() });
    printer.received(&[0x1b, b'p', 0x00, 25, 250], 1000);
    assert_eq!(printer.kicks(), []);
    printer.load(9);
    printer.next(600_000);
    assert_eq!(printer.kicks(), [(600_000, 0)], "ten minutes later");
    printer.received(&[0x10, 0x14, 1, 1, 2], 600_001);
    assert_eq!(printer.kicks().len(), 2);
    printer.cover(true);
    printer.received(b"never printed", 600_002);
    assert_eq!(told(&mut printer, &[0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8], 600_003), [0x37, 0x25, 0x00]);
    assert_eq!(printer.waiting(), 0);
}

#[tokio::test]
async fn a_host_that_holds_it_keeps_the_next_one_waiting() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    let shared = crate::Shared::new(Printer::new(Habits::default()));
    let server = shared.listen(TcpListener::bind("127.0.0.1:0").await.expect("a port")).expect("an address");
    let mut holder = TcpStream::connect(server.at()).await.expect("accepted");
    let mut byte = [0];
    holder.write_all(&[0x10, 0x04, 0x01]).await.expect("sent");
    holder.read_exact(&mut byte).await.expect("answered");
    let mut next = TcpStream::connect(server.at()).await.expect("in the backlog");
    next.write_all(&[0x10, 0x04, 0x02]).await.expect("sent");
    assert_eq!((byte, shared.with(|p| p.hosts())), ([0x12], 1));
    drop(holder);
    next.read_exact(&mut byte).await.expect("answered once the holder has left");
    assert_eq!((byte, shared.with(|p| p.hosts())), ([0x12], 2));
}
