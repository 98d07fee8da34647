//! Printers on the network: found by multicast DNS and by Epson's broadcast, then confirmed.
//!
//! Other software uses port 9100, too (node_exporter, for one), so only devices that answered in a printer's protocol
//! are reported. This crate has no protocols: the caller asks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Found, Identity, Listing, epson, mdns};
use crate::address::LinkKind;
use crate::{Address, BoxFuture};

/// How long one device may take to identify itself, including connecting.
pub const CONFIRM: Duration = Duration::from_secs(5);
/// How many devices are asked at the same time.
const AT_ONCE: usize = 16;

/// Looks for printers on the network for `limit`, then calls `confirm` for each that is not `in_use`. That takes at
/// most another [`CONFIRM`] for every 16 devices.
///
/// `in_use` is asked for a device's IP address and each of its names, as addresses with the protocol `printer`, since
/// the real one is not known yet: compare the links. `confirm` connects, asks in the protocols it knows, and
/// returns the device with [`Found::protocol`] and whatever it learned, or `None` if it is not a
/// printer.
///
/// ```no_run
/// # async fn look(owned: Vec<tresen_hal::Address>) {
/// use std::time::Duration;
/// use tresen_hal::discovery;
///
/// let in_use = |address: &tresen_hal::Address| owned.iter().any(|o| o.link() == address.link());
/// let listing = discovery::network(Duration::from_secs(3), in_use, |mut found| {
///     Box::pin(async move {
///         let _link = tresen_hal::link::open(&found.address_for("escpos")).await.ok()?;
///         // … ask for its model over the link …
///         found.protocol = Some("escpos".into());
///         Some(found)
///     })
/// })
/// .await;
/// # }
/// ```
pub async fn network(
    limit: Duration,
    in_use: impl Fn(&Address) -> bool,
    confirm: impl Fn(Found) -> BoxFuture<'static, Option<Found>>,
) -> Listing {
    let mut listing = Listing::default();
    let (announced, answered) = tokio::join!(mdns::browse(limit), epson::ask(limit));
    let announced = announced.unwrap_or_else(|e| {
        listing.problems.push(e);
        Vec::new()
    });
    let answered = answered.unwrap_or_else(|e| {
        listing.problems.push(e.at("Epson's discovery"));
        BTreeMap::new()
    });
    listing.found = ask(candidates(announced, answered), in_use, confirm).await;
    let neighbours = neighbours();
    for found in &mut listing.found {
        let LinkKind::Tcp { host, .. } = &found.link else { continue };
        if let Some(mac) = neighbours.get(host) {
            found.identities.insert(0, Identity::Mac(mac.clone()));
        }
    }
    listing.found.sort_by_key(Found::to_string);
    listing
}

fn candidates(announced: Vec<mdns::Announced>, answered: BTreeMap<IpAddr, String>) -> Vec<Found> {
    let mut all: BTreeMap<(IpAddr, u16), Found> = BTreeMap::new();
    for printer in announced {
        let mut found = candidate(printer.ip, printer.port, printer.name);
        if !printer.host.is_empty() {
            found.aliases.push(printer.host);
        }
        all.insert((printer.ip, printer.port), found);
    }
    for (ip, name) in answered {
        let found = all.entry((ip, 9100)).or_insert_with(|| candidate(ip, 9100, String::new()));
        if found.name.is_empty() && !name.is_empty() {
            found.name = format!("EPSON {name}");
        }
    }
    all.into_values().collect()
}

fn candidate(ip: IpAddr, port: u16, name: String) -> Found {
    let mut found = Found::new(LinkKind::Tcp { host: ip.to_string(), port: Some(port) }, "network printer");
    found.name = name;
    found
}

/// The devices that are free and confirmed.
async fn ask(
    candidates: Vec<Found>,
    in_use: impl Fn(&Address) -> bool,
    confirm: impl Fn(Found) -> BoxFuture<'static, Option<Found>>,
) -> Vec<Found> {
    let mut asking = JoinSet::new();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    for found in candidates {
        let LinkKind::Tcp { port: Some(port), .. } = found.link else { continue };
        let names = found.aliases.iter().map(|host| Address::tcp("printer", host, port));
        if in_use(&found.address_for("printer")) || names.into_iter().any(|name| in_use(&name)) {
            continue;
        }
        let label = found.address_for("printer").label();
        let (answer, turns) = (confirm(found), turns.clone());
        asking.spawn(async move {
            let _turn = turns.acquire().await;
            let answer = tokio::time::timeout(CONFIRM, answer).await.ok().flatten();
            if answer.is_none() {
                tracing::debug!(device = label, "did not identify itself as a printer");
            }
            answer
        });
    }
    let mut found = Vec::new();
    while let Some(answer) = asking.join_next().await {
        found.extend(answer.ok().flatten());
    }
    found
}

/// Hardware addresses of hosts that were just contacted, as far as the system knows them. It does not for hosts behind
/// a router.
fn neighbours() -> BTreeMap<String, String> {
    let table = if cfg!(target_os = "linux") { std::fs::read_to_string("/proc/net/arp") } else { Ok(String::new()) };
    table.map(|table| parse_arp(&table)).unwrap_or_default()
}

/// proc_net_arp: IP address, HW type, flags, HW address, mask, device. Flag 2: complete.
fn parse_arp(table: &str) -> BTreeMap<String, String> {
    let rows = table.lines().skip(1).filter_map(|row| {
        let mut columns = row.split_whitespace();
        let (ip, _, flags, mac) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        (flags & 2 != 0 && mac != "00:00:00:00:00:00").then(|| (ip.to_owned(), mac.to_ascii_uppercase()))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn announced(last: u8, host: &str, name: &str) -> mdns::Announced {
        mdns::Announced { ip: ip(last), port: 9100, host: host.into(), name: name.into() }
    }

    #[test]
    fn one_printer_is_one_candidate_however_it_was_found() {
        let found = candidates(
            vec![announced(20, "tm.local", "EPSON TM-m30"), announced(21, "", "")],
            BTreeMap::from([(ip(20), "TM-m30".into()), (ip(21), "TM-T88V".into()), (ip(22), String::new())]),
        );
        let names: Vec<String> = found.iter().map(Found::to_string).collect();
        assert_eq!(
            names,
            [
                "?+tcp://10.0.0.20:9100  network printer EPSON TM-m30",
                "?+tcp://10.0.0.21:9100  network printer EPSON TM-T88V",
                "?+tcp://10.0.0.22:9100  network printer"
            ]
        );
        assert_eq!(found[0].aliases, ["tm.local"]);
    }

    #[tokio::test(start_paused = true)]
    async fn asks_none_that_is_in_use_and_reports_none_that_does_not_answer() {
        let all = candidates((1..=40).map(|n| announced(n, &format!("p{n}.local"), "")).collect(), BTreeMap::new());
        let by_number: Address = "escpos+tcp://10.0.0.1:9100".parse().expect("address");
        let by_name: Address = "escpos+tcp://p2.local:9100".parse().expect("address");
        let in_use = |a: &Address| a.link() == by_number.link() || a.link() == by_name.link();
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let started = tokio::time::Instant::now();
        let confirm = |mut found: Found| -> BoxFuture<'static, Option<Found>> {
            let asked = asked.clone();
            Box::pin(async move {
                let label = found.address_for("x").label();
                asked.lock().expect("unpoisoned").push(label.clone());
                match label.as_str() {
                    "x+tcp://10.0.0.3:9100" => {
                        found.protocol = Some("escpos".into());
                        Some(found)
                    }
                    // node_exporter.
                    "x+tcp://10.0.0.4:9100" => None,
                    // Hangs.
                    _ => std::future::pending().await,
                }
            })
        };
        let found = ask(all, in_use, confirm).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].address().expect("known").to_string(), "escpos+tcp://10.0.0.3:9100");
        let asked = asked.lock().expect("unpoisoned");
        assert_eq!(asked.len(), 38);
        assert!(!asked.iter().any(|a| a.ends_with("//10.0.0.1:9100") || a.ends_with("//10.0.0.2:9100")));
        // 36 that hang, 16 at a time.
        assert!(started.elapsed() <= CONFIRM * 3, "{:?}", started.elapsed());
    }

    #[test]
    fn reads_hardware_addresses() {
        // The layout of proc_net_arp(5).
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.0.0.20        0x1         0x2         64:eb:8c:01:02:03     *        eth0\n\
                     10.0.0.21        0x1         0x0         00:00:00:00:00:00     *        eth0\n\
                     nonsense\n";
        assert_eq!(parse_arp(table), BTreeMap::from([("10.0.0.20".into(), "64:EB:8C:01:02:03".into())]));
    }

    #[tokio::test]
    async fn ends_in_time_whatever_the_network() {
        let started = std::time::Instant::now();
        let listing = network(Duration::from_millis(300), |_| true, |found| Box::pin(async { Some(found) })).await;
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        assert!(listing.found.is_empty(), "all are in use");
    }
}
