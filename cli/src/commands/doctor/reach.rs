//! Why a network address does not answer: the name, the way, the port.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tresen::probe::Answer;
use tresen::{Address, Class, Kind};

use super::finding::Finding;
use super::holder;
use crate::commands::diagnose;
use crate::devices;

const CONNECT: Duration = Duration::from_secs(3);
const KNOCK: Duration = Duration::from_secs(1);
const LOOKUP: Duration = Duration::from_secs(5);

/// Adds what the network says of a device that could not be opened.
pub(super) async fn explained(address: &Address, kind: Kind, mut finding: Finding) -> Finding {
    let Some((host, Some(port))) = address.link().server() else { return finding };
    let found = match timeout(LOOKUP, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        Ok(Err(error)) => return unresolved(host, &error.to_string(), finding),
        Err(_) => return unresolved(host, "no answer within 5 s", finding),
    };
    let Some(at) = found.first().copied() else { return unresolved(host, "no address", finding) };
    if host.parse::<IpAddr>().is_err() {
        finding = finding.seen(format!("{host} is {}", at.ip()));
    }
    // Closed at once: such devices serve one connection at a time.
    match timeout(CONNECT, TcpStream::connect(at)).await.map(|opened| opened.map(drop)) {
        Ok(Ok(())) => {
            finding = finding.seen(format!("{at} accepts connections"));
            let silent = matches!(kind, Kind::Timeout | Kind::Closed | Kind::Busy);
            match holder::of_connection(at).filter(|_| silent) {
                Some(by) => finding
                    .seen(format!("{by} is connected to it"))
                    .hint("end that program, or let it have the device: such devices serve one program at a time"),
                None => finding,
            }
        }
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            finding = finding.seen(format!("{} answers, but nothing listens on port {port}", at.ip()));
            ports(address, at, finding).await
        }
        Ok(Err(error)) => {
            finding = finding.seen(format!("{at}: {error}"));
            match source(at.ip()) {
                Some(own) => finding.seen(format!("this machine would ask from {own}")),
                None => finding.hint("this machine has no way to that network: check its cable, Wi-Fi and address"),
            }
        }
        Err(_) => {
            finding = finding.seen(format!("nothing at {} answers within {} s", at.ip(), CONNECT.as_secs()));
            let before = finding.evidence.len();
            finding = ports(address, at, finding).await;
            if finding.evidence.len() > before {
                return finding;
            }
            match source(at.ip()) {
                Some(own) if elsewhere(own, at.ip()) => {
                    finding.seen(format!("this machine asks from {own}, which looks like another network")).hint(
                        "check the device's address: its network print-out or menu shows it; put both in one network",
                    )
                }
                Some(own) => finding.seen(format!("this machine asks from {own}")),
                None => finding.hint("this machine has no way to that network: check its cable, Wi-Fi and address"),
            }
        }
    }
}

fn unresolved(host: &str, why: &str, finding: Finding) -> Finding {
    finding
        .seen(format!("the name `{host}` cannot be resolved: {why}"))
        .hint("check the spelling, or use the device's IP address: its network print-out or menu shows it")
}

/// Knocks at the usual ports of the same host, and asks who answers.
async fn ports(address: &Address, at: SocketAddr, mut finding: Finding) -> Finding {
    let mut knocking = tokio::task::JoinSet::new();
    let usual = devices::drivers().usual_ports();
    for (order, (port, whose)) in usual.into_iter().enumerate().filter(|(_, (port, _))| *port != at.port()) {
        knocking.spawn(async move {
            let there = SocketAddr::new(at.ip(), port);
            let open = timeout(KNOCK, TcpStream::connect(there)).await.is_ok_and(|opened| opened.is_ok());
            open.then_some((order, port, whose))
        });
    }
    let mut open: Vec<_> = knocking.join_all().await.into_iter().flatten().collect();
    open.sort();
    let is_printer = devices::drivers().class_of(address).is_ok_and(|class| class == Class::Printer);
    let class = devices::drivers().class_of(address);
    for (_, port, whose) in open {
        if devices::drivers().protocols().all(|protocol| protocol.name() != whose) {
            finding = finding.seen(format!("port {port} is open, as for {whose}"));
            continue;
        }
        let Some(probed) = diagnose::ask(&at.ip().to_string(), port, None, is_printer).await else { continue };
        finding = finding.seen(format!("port {port} is open: {}", diagnose::sentence(&probed)));
        if let Answer::Device { address: right, .. } = &probed.answer
            && let Ok(found) = right.replace('…', "").parse::<Address>()
            && devices::drivers().class_of(&found).ok() == class.as_ref().ok().copied()
        {
            let profiles = diagnose::profiles(found.protocol(), port);
            if !profiles.is_empty() {
                finding = finding.seen(format!("profiles of such terminals: {}", profiles.join(", ")));
            }
            return finding.hint(format!("the device answers on port {port}: use {right}"));
        }
    }
    finding
}

/// The address from which this machine would ask `there`. Connecting a datagram socket sends nothing.
fn source(there: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if there.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((there, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether two private addresses are in different networks, as far as most small networks are laid out: /24.
fn elsewhere(here: IpAddr, there: IpAddr) -> bool {
    match (here, there) {
        (IpAddr::V4(here), IpAddr::V4(there)) => there.is_private() && here.octets()[..3] != there.octets()[..3],
        _ => false,
    }
}
