//! Printers that announce themselves by multicast DNS (DNS-SD, RFC 6763; keys of the TXT record from
//! Apple's Bonjour Printing Specification 1.2.1, section 9).

use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent};
use tokio::time::Instant;

use crate::{Error, Kind, Result};

/// The raw stream of port 9100.
const RAW: &str = "_pdl-datastream._tcp.local.";
/// LPD and IPP: printers with these often have the raw port, too.
const OTHERS: [&str; 2] = ["_printer._tcp.local.", "_ipp._tcp.local."];
/// The usual raw port.
const RAW_PORT: u16 = 9100;
/// The most services to accept, far more than any shop has printers.
const MOST: usize = 256;

/// One printer that announced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) ip: IpAddr,
    /// The port of the raw stream, announced or presumed.
    pub(super) port: u16,
    /// `TM-m30.local`
    pub(super) host: String,
    /// Its own name.
    pub(super) name: String,
}

/// Ends the daemon's thread.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.shutdown().ok();
    }
}

/// Listens for `limit`.
///
/// # Errors
/// The system does not support multicast DNS.
pub(super) async fn browse(limit: Duration) -> Result<Vec<Announced>> {
    let fault = |e: mdns_sd::Error| {
        Error::new(Kind::Unsupported, "multicast DNS does not work here")
            .because(e)
            .hint("does a firewall forbid UDP port 5353?")
    };
    let daemon = Daemon(ServiceDaemon::new().map_err(fault)?);
    collect(&daemon.0, limit).await.map_err(fault)
}

async fn collect(daemon: &ServiceDaemon, limit: Duration) -> Result<Vec<Announced>, mdns_sd::Error> {
    let raw = daemon.browse(RAW)?;
    let (lpd, ipp) = (daemon.browse(OTHERS[0])?, daemon.browse(OTHERS[1])?);
    let until = Instant::now() + limit;
    let mut printers: Vec<Announced> = Vec::new();
    while printers.len() < MOST {
        let event = tokio::select! {
            event = raw.recv_async() => event,
            event = lpd.recv_async() => event,
            event = ipp.recv_async() => event,
            () = tokio::time::sleep_until(until) => break,
        };
        match event {
            Ok(ServiceEvent::ServiceResolved(service)) => add(&mut printers, &service),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(printers)
}

/// Adds a service, unless the printer is known already. The data of the raw service takes precedence.
fn add(printers: &mut Vec<Announced>, service: &ResolvedService) {
    let is_raw = service.ty_domain == RAW;
    // A link-local IPv6 address is of no use without its interface.
    let usable = service.addresses.iter().map(|a| a.to_ip_addr()).filter(|ip| match ip {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_unspecified() && !v6.is_multicast(),
    });
    let Some(ip) = usable.min_by_key(|ip| (ip.is_loopback(), *ip)) else { return };
    let port = if is_raw { service.port } else { RAW_PORT };
    if port == 0 {
        return;
    }
    let text = |key| service.txt_properties.get_property_val_str(key).map(str::trim).filter(|v| !v.is_empty());
    let model = text("ty").map(str::to_owned).or_else(|| {
        // Ghostscript's way to write the product: in parentheses.
        text("product").map(|p| p.trim_matches(['(', ')']).to_owned())
    });
    let instance = service.fullname.strip_suffix(&service.ty_domain).unwrap_or(&service.fullname);
    let name = model.unwrap_or_else(|| instance.trim_end_matches('.').to_owned());
    let host = service.host.trim_end_matches('.').to_owned();
    let printer = Announced { ip, port, host, name };
    // By name, too, since a printer may be on Ethernet and Wi-Fi. The address found first is kept.
    let same = |p: &Announced| p.port == port && (p.ip == ip || (!printer.host.is_empty() && p.host == printer.host));
    match printers.iter_mut().find(|p| same(p)) {
        None => printers.push(printer),
        Some(known) if is_raw => *known = Announced { ip: known.ip, ..printer },
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdns_sd::ServiceInfo;

    fn service(kind: &str, instance: &str, ips: &str, port: u16, txt: &[(&str, &str)]) -> ResolvedService {
        at("TM-m30", kind, instance, ips, port, txt)
    }

    fn at(host: &str, kind: &str, instance: &str, ips: &str, port: u16, txt: &[(&str, &str)]) -> ResolvedService {
        ServiceInfo::new(kind, instance, &format!("{host}.local."), ips, port, txt)
            .expect("a service")
            .as_resolved_service()
    }

    #[test]
    fn reads_what_a_printer_announces() {
        let mut printers = Vec::new();
        add(&mut printers, &service(OTHERS[1], "Bar", "10.0.0.20", 631, &[("product", "(EPSON TM-m30)")]));
        assert_eq!(printers[0].name, "EPSON TM-m30");
        add(&mut printers, &service(RAW, "Bar", "10.0.0.20", 9100, &[("ty", "EPSON TM-m30II")]));
        add(&mut printers, &service(OTHERS[0], "Bar", "10.0.0.20", 515, &[]));
        add(&mut printers, &service(RAW, "Kitchen printer", "10.0.0.21", 9101, &[("ty", "")]));
        let expected = |ip: &str, port, name: &str| Announced {
            ip: ip.parse().expect("an address"),
            port,
            host: "TM-m30.local".into(),
            name: name.into(),
        };
        assert_eq!(
            printers,
            [expected("10.0.0.20", 9100, "EPSON TM-m30II"), expected("10.0.0.21", 9101, "Kitchen printer")]
        );
    }

    #[test]
    fn prefers_addresses_that_work_everywhere() {
        let mut printers = Vec::new();
        add(&mut printers, &at("a", RAW, "a", "127.0.0.1,fe80::1,fd00::20,10.0.0.22", 9100, &[]));
        add(&mut printers, &at("b", RAW, "b", "fe80::1,fd00::20", 9100, &[]));
        add(&mut printers, &at("c", RAW, "c", "fe80::1", 9100, &[]));
        add(&mut printers, &at("d", RAW, "d", "10.0.0.23", 0, &[]));
        // The same printer by its other network card.
        add(&mut printers, &at("a", RAW, "a", "10.0.0.99", 9100, &[]));
        let ips: Vec<String> = printers.iter().map(|p| p.ip.to_string()).collect();
        assert_eq!(ips, ["10.0.0.22", "fd00::20"]);
    }
}
