//! A whole till: its configuration, its database, and its devices, asked by the till if it is running.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;

use tresen::api::{Client, listing};
use tresen::config::Severity;
use tresen::hal::address::LinkKind;
use tresen::health::{DeviceHealth, Health};
use tresen::{Address, Attention, Class, Config, DeviceId, Kind, Phase, Store, SystemRuntime};

use super::finding::Finding;
use super::{clock, device, reach, scanner, store};
use crate::commands::running;
use crate::commands::when::long;
use crate::devices;

/// Checks everything that `file`, a configuration or a database, tells of a till.
pub(super) async fn check(file: &Path, findings: &mut Vec<Finding>) {
    let name = file.display().to_string();
    let config = if file.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml")) || !file.exists() {
        match configuration(file, &name, findings) {
            Some(config) => config,
            None => return,
        }
    } else {
        match running::store(file) {
            Ok(place) => {
                let mut config = Config::default();
                config.till.store = place;
                config
            }
            Err(error) => return findings.push(Finding::of(name, &error)),
        }
    };
    let place = &config.till.store;
    let running = match running::till(place).await {
        Ok(running) => running,
        Err(error) => {
            findings.push(Finding::of("till", &error));
            None
        }
    };
    findings.extend(store::check(place, running.is_some()).await);
    findings.extend(aliases(&config).await);
    if let Some(till) = running {
        match asked(&till, &config, findings).await {
            Ok(()) => return,
            Err(error) => findings.push(Finding::of("till", &error)),
        }
    } else {
        findings.extend(stored(place).await);
    }
    // What a handheld offers is checked there.
    let devices = config.devices.iter().filter(|(_, device)| device.from.is_none());
    let checks: Vec<_> =
        devices.map(|(id, device)| tokio::spawn(device::check(id.to_string(), device.addresses()))).collect();
    for task in checks {
        match task.await {
            Ok(finding) => findings.push(finding),
            Err(error) => findings.push(Finding::failed("a device", format!("its check panicked: {error}"))),
        }
    }
}

/// The configuration, unless it has errors, which are findings.
fn configuration(file: &Path, name: &str, findings: &mut Vec<Finding>) -> Option<Config> {
    let checked = match Config::check_file(file, devices::drivers()) {
        Ok(checked) => checked,
        Err(error) => {
            findings.push(Finding::of(name, &error));
            return None;
        }
    };
    for problem in &checked.problems {
        let line = problem.line.map_or(String::new(), |line| format!(":{line}"));
        let key = if problem.key.is_empty() { String::new() } else { format!("key `{}`: ", problem.key) };
        let (subject, what) = (format!("{name}{line}"), format!("{key}{}", problem.what));
        let finding = match problem.severity {
            Severity::Error => Finding::failed(subject, what),
            _ => Finding::warning(subject, what),
        };
        findings.push(Finding { hint: problem.hint.clone(), ..finding });
    }
    if checked.problems.is_empty() {
        findings.push(Finding::ok(name, "OK"));
    }
    checked.problems.iter().all(|p| p.severity != Severity::Error).then_some(checked.config)
}

/// Devices with two names: addresses that lead to one place under different spellings.
async fn aliases(config: &Config) -> Vec<Finding> {
    let all: Vec<(DeviceId, Address)> = config
        .devices
        .iter()
        .flat_map(|(id, device)| device.addresses().into_iter().map(|address| (id.clone(), address)))
        .collect();
    let found = tokio::task::spawn_blocking(move || {
        let mut places: BTreeMap<String, (DeviceId, String)> = BTreeMap::new();
        let mut findings = Vec::new();
        for (id, address) in all {
            let Some(place) = place(&address) else { continue };
            match places.get(&place) {
                Some((other, label)) if *other != id => findings.push(
                    Finding::warning(id.to_string(), format!("{} is also the {other}", address.label()))
                        .seen(format!("{} and {label} both lead to {place}", address.label()))
                        .hint("a device serves one name at a time: use one name for both, or a route"),
                ),
                Some(_) => {}
                None => _ = places.insert(place, (id, address.label())),
            }
        }
        findings
    });
    found.await.unwrap_or_default()
}

/// Where an address leads in the end.
fn place(address: &Address) -> Option<String> {
    match address.link() {
        LinkKind::Tcp { host, port: Some(port) }
        | LinkKind::Https { host, port: Some(port) }
        | LinkKind::Tls { host, port: Some(port) } => {
            Some((host.as_str(), *port).to_socket_addrs().ok()?.next()?.to_string())
        }
        LinkKind::Serial { path } => Some(std::fs::canonicalize(path).ok()?.display().to_string()),
        _ => None,
    }
}

/// What a database tells that no till has open: payments and jobs to decide, clocks of terminals.
async fn stored(place: &Path) -> Vec<Finding> {
    // That it cannot be read was found before.
    let Ok(store) = Store::open_read_only(place, Arc::new(SystemRuntime::new())).await else { return Vec::new() };
    let health = store.health().await;
    let mut findings = clock::terminals(&store).await;
    let open: u64 = health.payments.iter().map(|at| at.open).sum();
    if open > 0 {
        findings.push(
            Finding::warning("payments", format!("{open} not decided")).hint(
                "they are settled when the till runs and the terminal is back; `tresen payments --open` lists them",
            ),
        );
    }
    findings.extend(parked(health.queues.iter().map(|queue| queue.parked).sum()));
    findings
}

fn parked(jobs: u64) -> Option<Finding> {
    let hint = "`tresen jobs --state unknown` lists them; decide each with `tresen reprint` or `tresen cancel`";
    (jobs > 0).then(|| Finding::warning("print jobs", format!("{jobs} may be on paper or not")).hint(hint))
}

/// What the running till says of itself and its devices. Only devices that it cannot reach are probed.
async fn asked(till: &Client, config: &Config, findings: &mut Vec<Finding>) -> tresen::Result<()> {
    let health: Health = till.call(listing::Health {}).await?;
    let about = &health.till;
    let what = format!("running as process {}, for {}; it was asked", about.process, long(about.uptime));
    findings.push(Finding::ok("till", what));
    for alert in &health.alerts {
        let finding = Finding::warning(alert.source.to_string(), &alert.why).seen(format!("since {:.0}", alert.since));
        findings.push(finding.hint(alert.alert.next_step()));
    }
    if let Some((at, why)) = &about.store.last_failure {
        let what = format!("{} writes failed, the last at {at:.0}: {why}", about.store.failed);
        findings.push(Finding::warning("store", what).hint("check the medium and its free space"));
    }
    findings.extend(parked(about.store.queues.iter().map(|queue| queue.parked).sum()));
    for device in &health.devices {
        findings.push(known(device, config).await);
    }
    Ok(())
}

/// What the till knows of a device.
async fn known(device: &DeviceHealth, config: &Config) -> Finding {
    let state = &device.state;
    let (subject, place) = (state.id.to_string(), state.address.clone().unwrap_or_default());
    let mut finding = match &state.phase {
        Phase::Ready => ready(device, subject, &place),
        Phase::Away { since, .. } if config.devices.get(&state.id).is_some_and(|device| device.from.is_some()) => {
            Finding::warning(subject, "its handheld does not offer it now")
                .seen(format!("away since {since:.0}"))
                .hint("`tresen attach` on the handheld connects it")
        }
        Phase::Away { why, since } => {
            let last = device.errors.last();
            let what = last.map_or(why, |last| &last.what);
            let mut finding = Finding::failed(&subject, what).seen(format!("away since {since:.0}"));
            finding.hint = last.and_then(|last| last.hint.clone());
            return probed(&state.id, config, finding).await;
        }
        Phase::Faulted { why } => {
            Finding::failed(subject, why).hint("this is a defect: please report it with `tresen support-bundle`")
        }
        Phase::Ended { why } => Finding::warning(subject, why),
        _ => Finding::warning(subject, "not open yet"),
    };
    if device.reconnects >= FLAPPING {
        finding = finding.seen(format!("connected again {} times", device.reconnects));
        finding.hint.get_or_insert_with(|| "check its cable, its power supply and the Wi-Fi".to_owned());
    }
    finding
}

fn ready(device: &DeviceHealth, subject: String, place: &str) -> Finding {
    let state = &device.state;
    let needs = state.attention.iter().find_map(|what| {
        let (what, hint) = match what {
            Attention::PaperOut => ("out of paper", "insert a new roll and close the cover"),
            Attention::CoverOpen => ("the cover is open", "close it"),
            Attention::PrinterError => ("the printer reports an error", "check its lights; switch it off and on"),
            Attention::Offline => ("the printer is offline", "press its online or feed button"),
            _ => return None,
        };
        Some(Finding::failed(subject.clone(), format!("{place}: {what}")).hint(hint))
    });
    if let Some(needs) = needs {
        return needs;
    }
    if let Some(off) = device.clock.and_then(|offset| clock::off(subject.clone(), offset)) {
        return off;
    }
    if state.attention.contains(&Attention::PaperNearEnd) {
        return Finding::warning(subject, format!("{place}: paper nearly empty")).hint("have a new roll at hand");
    }
    if state.attention.contains(&Attention::Unsettled) {
        return Finding::warning(subject, format!("{place}: payments are not decided"))
            .hint("`tresen payments --open` lists them; `tresen settle` decides one by hand");
    }
    let busy = state.busy_with.as_ref().map_or(String::new(), |with| format!(", busy with {with}"));
    Finding::ok(subject, format!("{place}: ready{busy}"))
}

/// Adds what can be found out about a device that the till cannot reach.
async fn probed(id: &DeviceId, config: &Config, mut finding: Finding) -> Finding {
    let Some(device) = config.devices.get(id) else { return finding };
    for address in device.addresses() {
        finding = reach::explained(&address, Kind::Closed, finding).await;
        if id.class == Class::Scanner {
            finding = scanner::other_modes(&address, finding).await;
        }
    }
    finding
}

/// A device that was connected again this often has a bad connection.
const FLAPPING: u64 = 10;
