//! Epson's printers on the network, by their UDP service ENPC on port 3289, sans-IO apart from [`ask`].
//!
//! Source: UB-E02 Technical Reference Guide, Rev. A, 4.7 (packets, functions, result codes); the reply of
//! a TM-T88V in mike42/escpos-php#923. The guide does not specify the reply's data; the name at its offset 5
//! is from that capture, and a reply without one is a printer without a name. Left out: status, reset and time-out,
//! which act on a printer that others may be using.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::Result;

/// Where the printers listen.
const PORT: u16 = 3289;
/// The interval at which to ask again, since packets get lost.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// The most answers to accept, far more than any shop has printers.
const MOST: usize = 256;

/// 4.7.1: `EPSON`, query, device type 3, device number 0, function 0000 "acquires basic information", two fixed
/// zeros, no parameters.
const QUERY: [u8; 14] = *b"EPSONQ\x03\x00\x00\x00\x00\x00\x00\x00";

/// The name in a reply to [`QUERY`], perhaps empty; `None` for anything else.
fn name(packet: &[u8]) -> Option<String> {
    let (head, data) = packet.split_at_checked(14)?;
    // Packet type, device type and number, function, result 0000 "normal end".
    let expected = head.starts_with(b"EPSONq\x03\x00\x00\x00\x00\x00");
    let length = usize::from(u16::from_be_bytes([head[12], head[13]]));
    if !expected || length != data.len() {
        return None;
    }
    let name = data.get(5..).unwrap_or_default();
    let name = name.split(|&b| b == 0).next().unwrap_or_default();
    let clean = name.iter().all(|b| matches!(b, b' '..=b'~'));
    Some(if clean { String::from_utf8_lossy(name).trim().to_owned() } else { String::new() })
}

/// Asks on every network of this computer for `limit`, and returns the addresses and names of those that answered.
///
/// # Errors
/// No network accepts the request.
pub(super) async fn ask(limit: Duration) -> Result<BTreeMap<IpAddr, String>> {
    // The limited broadcast leaves by one interface only, so each gets its own.
    let mut targets: Vec<SocketAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| !interface.is_loopback())
        .filter_map(|interface| match interface.addr {
            if_addrs::IfAddr::V4(v4) => v4.broadcast,
            if_addrs::IfAddr::V6(_) => None,
        })
        .map(|to| SocketAddr::from((to, PORT)))
        .collect();
    targets.sort_unstable();
    targets.dedup();
    ask_at(&targets, limit).await
}

async fn ask_at(targets: &[SocketAddr], limit: Duration) -> Result<BTreeMap<IpAddr, String>> {
    let mut answers = BTreeMap::new();
    if targets.is_empty() {
        return Ok(answers);
    }
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.set_broadcast(true)?;
    let until = Instant::now() + limit;
    let mut packet = [0; 1500];
    while Instant::now() < until && answers.len() < MOST {
        let mut refused = None;
        let mut asked = false;
        for target in targets {
            match socket.send_to(&QUERY, target).await {
                Ok(_) => asked = true,
                Err(e) => refused = Some(e),
            }
        }
        if let (false, Some(error)) = (asked, refused) {
            return Err(error.into());
        }
        let again = until.min(Instant::now() + ASK_AGAIN);
        while let Ok(received) = tokio::time::timeout_at(again, socket.recv_from(&mut packet)).await {
            match received {
                Ok((n, from)) if answers.len() < MOST => {
                    if let Some(name) = name(&packet[..n]) {
                        answers.insert(from.ip(), name);
                    }
                }
                Ok(_) => break,
                // An ICMP "port unreachable".
                Err(error) => tracing::debug!(%error, "asking for Epson printers"),
            }
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TM-T88V's reply (mike42/escpos-php#923): 147 bytes, all zero after the name.
    fn tm_t88v() -> Vec<u8> {
        let mut packet = b"EPSONq\x03\x00\x00\x00\x00\x00\x00\x85\x00\x05\x20\x02\x64TM-T88V".to_vec();
        packet.resize(147, 0);
        packet
    }

    #[test]
    fn asks_as_the_guide_says() {
        assert_eq!(QUERY, [0x45, 0x50, 0x53, 0x4f, 0x4e, 0x51, 3, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn reads_a_captured_reply() {
        assert_eq!(name(&tm_t88v()).as_deref(), Some("TM-T88V"));
    }

    #[test]
    fn takes_nothing_else_for_a_printer() {
        let good = tm_t88v();
        for cut in 0..good.len() {
            assert_eq!(name(&good[..cut]), None, "cut at {cut}");
        }
        assert_eq!(name(&[&good[..], b"\0"].concat()), None, "longer than it says");
        // Our own question, a refusal (FFFF "function requested are not supported"), another device type.
        assert_eq!(name(&QUERY), None);
        for (at, value) in [(10, 0xff), (6, 0x02), (5, b'c'), (9, 0x10)] {
            let mut other = good.clone();
            other[at] = value;
            assert_eq!(name(&other), None, "byte {at}");
        }
    }

    #[test]
    fn a_name_that_is_none_stays_empty() {
        assert_eq!(name(b"EPSONq\x03\x00\x00\x00\x00\x00\x00\x00").as_deref(), Some(""));
        assert_eq!(name(b"EPSONq\x03\x00\x00\x00\x00\x00\x00\x07\x00\x05\x20\x02\x64\xff\x1b").as_deref(), Some(""));
    }

    #[tokio::test]
    async fn collects_answers_and_asks_again() {
        let printer = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let at = printer.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut packet = [0; 100];
            let (n, _) = printer.recv_from(&mut packet).await.expect("the first question, which is lost");
            assert_eq!(packet[..n], QUERY);
            let (_, host) = printer.recv_from(&mut packet).await.expect("the second question");
            printer.send_to(b"what?", host).await.expect("sent");
            printer.send_to(&tm_t88v(), host).await.expect("sent");
        });
        let answers = ask_at(&[at], Duration::from_millis(900)).await.expect("asked");
        task.await.expect("both questions came");
        assert_eq!(answers, BTreeMap::from([(at.ip(), "TM-T88V".to_owned())]));
        assert!(ask_at(&[], Duration::from_secs(5)).await.expect("no network").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_reply_panics_and_names_are_printable(data in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut packet = b"EPSONq\x03\x00\x00\x00\x00\x00".to_vec();
            packet.extend((data.len() as u16).to_be_bytes());
            packet.extend(&data);
            let name = name(&packet).expect("a reply");
            proptest::prop_assert!(name.bytes().all(|b| (b' '..=b'~').contains(&b)));
            super::name(&data);
        }
    }
}
