use std::fmt::Write;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tresen::api::{Client, listing, till};
use tresen::config::Route;
use tresen::health::{ActiveAlert, Alert, DeviceHealth, Health, StoreHealth};
use tresen::sync::SyncState;
use tresen::{Class, Clock, Config, DeviceId, DeviceState, Error, Kind, Phase, Result, Source, SystemClock};

use super::listed::word;
use super::running::{self, Till};
use super::watch;
use super::when::long;
use crate::out::Out;

/// Show how a till is: devices, queues, open payments, database, disk, alerts
///
/// A running till is asked over its socket; if none is running, its database is read, and that is said.
/// `tresen doctor` finds out what is wrong; `tresen watch` follows the events.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen status till.toml
  tresen status till.toml --watch                again whenever something happens
  tresen --json status till.db | jq .health.alerts")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// Keep running: on a terminal show the state again after each event, elsewhere print the events as lines
    #[arg(short, long)]
    watch: bool,
}

/// Events that come this close together are shown together.
const TOGETHER: Duration = Duration::from_millis(200);

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let place = running::store(&args.file)?;
    match running::open(&place, *out).await? {
        Till::Running(till) if args.watch => follow(&till, *out).await,
        Till::Running(till) => {
            let (value, text) = running_till(&till).await?;
            out.answer(&value, text);
            Ok(())
        }
        Till::Closed(_) if args.watch => Err(nobody(&place)),
        Till::Closed(store) => {
            let health = store.health().await;
            if let Some(error) = &health.error {
                return Err(Error::new(Kind::Storage, error.clone()));
            }
            let mut lines = format!("till       {}, epoch {}\n", store.till(), store.epoch());
            writeln!(lines, "read from  {}: no till is running", place.display()).ok();
            self::store(&health, &mut lines);
            let overdue = overdue(&health, &running::config(&args.file)?, SystemClock.wall());
            alerts(&overdue, &mut lines);
            let devices: Option<&[DeviceHealth]> = None;
            let open: u64 = health.payments.iter().map(|at| at.open).sum();
            let value = json!({
                "running": false, "till": store.till(), "epoch": store.epoch(), "open": open, "store": health,
                "devices": devices, "alerts": overdue,
            });
            out.answer(&value, lines.trim_end());
            Ok(())
        }
    }
}

/// What has waited too long in the database of a till that is not running.
fn overdue(health: &StoreHealth, config: &Config, now: Timestamp) -> Vec<ActiveAlert> {
    let age = |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let mut alerts = Vec::new();
    for queue in &health.queues {
        let limit = config.routes.get(&queue.route).map_or(Some(Route::WARN_AFTER), |route| route.warn_after);
        let (Some(oldest), Some(limit)) = (queue.oldest, limit) else { continue };
        if age(oldest) >= limit {
            let waiting = queue.waiting;
            let jobs = if waiting == 1 { "1 print job waits".to_owned() } else { format!("{waiting} print jobs wait") };
            let why = format!("{jobs}, the oldest since {oldest:.0}: no till is running");
            alerts.push(ActiveAlert::new(Source::Route(queue.route.clone()), Alert::PaperOverdue, oldest, why));
        }
    }
    for at in health.payments.iter().filter(|at| age(at.oldest) >= config.till.tell_after) {
        let payments = if at.open == 1 { "1 payment is".to_owned() } else { format!("{} payments are", at.open) };
        let why = format!("{payments} undecided, the oldest since {:.0}: no till is running to ask", at.oldest);
        let source = Source::Device(DeviceId::new(Class::Terminal, &at.terminal));
        alerts.push(ActiveAlert::new(source, Alert::PaymentInDoubt, at.oldest, why));
    }
    alerts
}

/// No till is running at this database, although the command needs one.
pub(super) fn nobody(store: &Path) -> Error {
    let error = Error::new(Kind::NotFound, "no till is running here").at(tresen::api::socket::path(store).display());
    error.hint("is the till running, as this user, and `till.socket` not turned off?")
}

async fn running_till(till: &Client) -> Result<(serde_json::Value, String)> {
    let about = till.call(till::Info {}).await?;
    let health = till.call(listing::Health {}).await?;
    let name = &about.name;
    let mut lines = format!("till       {name}, {}, epoch {}, version {}\n", about.till, about.epoch, about.version);
    lines += &text(&health);
    let open: u64 = health.till.store.payments.iter().map(|at| at.open).sum();
    let value = json!({
        "running": true, "till": about.till, "epoch": about.epoch, "open": open, "devices": health.devices,
        "store": health.till.store, "health": health,
    });
    Ok((value, lines.trim_end().to_owned()))
}

/// Shows the state, and again after each event.
async fn follow(till: &Client, out: Out) -> Result<()> {
    let mut following = till.follow().await?;
    let redraws = std::io::stdout().is_terminal() && !out.is_json();
    loop {
        let (value, text) = running_till(till).await?;
        if redraws {
            out.clear();
        }
        out.answer(&value, text);
        loop {
            let event = tokio::select! {
                event = following.next() => event?,
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            let Some(event) = event else {
                out.say("the till has closed");
                return Ok(());
            };
            if redraws {
                break;
            }
            watch::tell(&event, out);
        }
        while let Ok(event) = tokio::time::timeout(TOGETHER, following.next()).await {
            if event?.is_none() {
                break;
            }
        }
    }
}

/// The health of a running till, a few lines each for the till and its devices.
pub(super) fn text(health: &Health) -> String {
    let (till, mut lines) = (&health.till, String::new());
    writeln!(lines, "running    process {}, open for {}", till.process, long(till.uptime)).ok();
    store(&till.store, &mut lines);
    if till.store.writes > 0 {
        let failed = if till.store.failed > 0 { format!(", {} failed", till.store.failed) } else { String::new() };
        let (writes, p50, p99) = (till.store.writes, long(till.store.p50), long(till.store.p99));
        writeln!(lines, "writes     {writes}, half within {p50}, 99 % within {p99}{failed}").ok();
    }
    if let Some((at, why)) = &till.store.last_failure {
        writeln!(lines, "           last failure {at:.0}: {why}").ok();
    }
    if let Some(outbox) = &till.outbox {
        let state = match &outbox.status.state {
            SyncState::Connected => "connected".to_owned(),
            SyncState::CatchingUp { .. } => "catching up".to_owned(),
            SyncState::Local { since, why } => format!("local since {since:.0}: {why}"),
            _ => "off".to_owned(),
        };
        let behind = outbox.status.behind.unsigned_abs();
        let oldest = outbox.oldest.map_or(String::new(), |at| format!(", the oldest of {at:.0}"));
        writeln!(lines, "server     {state}; {behind} journal lines to send{oldest}").ok();
    }
    alerts(&health.alerts, &mut lines);
    if health.devices.is_empty() {
        writeln!(lines, "devices    none").ok();
    }
    for device in &health.devices {
        writeln!(lines, "{}", self::device(&device.state)).ok();
        past(device, &mut lines);
    }
    lines
}

/// What a person should know of, and what to do.
fn alerts(alerts: &[ActiveAlert], lines: &mut String) {
    for alert in alerts {
        writeln!(lines, "ALERT      {}: {} (since {:.0})", alert.source, alert.why, alert.since).ok();
        writeln!(lines, "           next: {}", alert.alert.next_step()).ok();
    }
}

/// What waits in the database, and its disk.
pub(super) fn store(health: &StoreHealth, lines: &mut String) {
    let open: u64 = health.payments.iter().map(|at| at.open).sum();
    writeln!(lines, "payments   {open} open").ok();
    for at in &health.payments {
        writeln!(lines, "           {} at {}, the oldest of {:.0}", at.open, at.terminal, at.oldest).ok();
    }
    let waiting: u64 = health.queues.iter().map(|queue| queue.waiting + queue.printing + queue.parked).sum();
    writeln!(lines, "print jobs {}", if waiting == 0 { "none waiting".to_owned() } else { format!("{waiting} open") })
        .ok();
    for queue in health.queues.iter().filter(|queue| queue.waiting + queue.printing + queue.parked > 0) {
        let some = |n: u64, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
        let since = queue.oldest.map_or(String::new(), |at| format!(" since {at:.0}"));
        let (printing, parked) = (some(queue.printing, "printing"), some(queue.parked, "to decide"));
        writeln!(lines, "           {}: {} waiting{since}{printing}{parked}", queue.route, queue.waiting).ok();
    }
    if let Some(oldest) = health.oldest_sale {
        writeln!(lines, "sales      {} open, the oldest of {oldest:.0}", health.open_sales).ok();
    }
    let free = match (health.disk_free, health.disk_total) {
        (Some(free), Some(total)) => format!(", {} of {} free on its disk", bytes(free), bytes(total)),
        _ => String::new(),
    };
    writeln!(lines, "database   {}{free}", bytes(health.bytes.unwrap_or_default())).ok();
    if let Some(error) = &health.error {
        writeln!(lines, "           cannot be read: {error}").ok();
    }
}

/// What a device has done.
fn past(device: &DeviceHealth, lines: &mut String) {
    let mut facts = Vec::new();
    if let Some(since) = device.connected_since {
        facts.push(format!("connected since {since:.0}"));
    }
    if device.reconnects > 0 {
        facts.push(counted(device.reconnects, "reconnect"));
    }
    if device.waiting > 0 {
        facts.push(format!("{} waiting", counted(device.waiting, "call")));
    }
    if let Some(paper) = device.paper {
        facts.push(format!("paper {}", word(&paper)));
    }
    if device.scans > 0 {
        facts.push(counted(device.scans, "scan"));
    }
    if let Some(clock) = device.clock.filter(|clock| clock.seconds != 0) {
        facts.push(format!("clock {:+} s", clock.seconds));
    }
    if !facts.is_empty() {
        writeln!(lines, "           {}", facts.join(", ")).ok();
    }
    for call in &device.calls {
        let failed = if call.failed > 0 { format!(", {} failed", call.failed) } else { String::new() };
        let (p50, p99) = (long(call.p50), long(call.p99));
        let calls = counted(call.count, &call.call);
        writeln!(lines, "           {calls}: half within {p50}, 99 % within {p99}{failed}").ok();
    }
    if let Some(error) = device.errors.last() {
        let times = if error.times > 1 { format!(", {}", counted(error.times, "time")) } else { String::new() };
        writeln!(lines, "           last error {:.0}{times}: {}", error.at, error.what).ok();
    }
}

/// `1 scan`, `2 scans`, `2 recoveries`
pub(super) fn counted(n: u64, what: &str) -> String {
    match what.strip_suffix('y') {
        _ if n == 1 => format!("1 {what}"),
        Some(stem) if !what.ends_with("ay") => format!("{n} {stem}ies"),
        _ => format!("{n} {what}s"),
    }
}

/// `12 kB`, `480 MB`
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..10_000_000 => format!("{} kB", n.div_ceil(1000)),
        10_000_000..10_000_000_000 => format!("{} MB", n / 1_000_000),
        _ => format!("{} GB", n / 1_000_000_000),
    }
}

/// The devices of a running till, one per line.
pub(super) fn devices(states: &[DeviceState]) -> String {
    let lines: Vec<_> = states.iter().map(device).collect();
    if lines.is_empty() { "devices    none".to_owned() } else { lines.join("\n") }
}

/// A device and its state, in one line.
pub(super) fn device(state: &DeviceState) -> String {
    let phase = match &state.phase {
        Phase::Opening => "opening".to_owned(),
        Phase::Ready => "ready".to_owned(),
        Phase::Away { why, since } => format!("away since {since:.0}: {why}"),
        Phase::Ended { why } => format!("ended: {why}"),
        Phase::Faulted { why } => format!("faulted: {why}"),
        _ => "closed".to_owned(),
    };
    let busy = state.busy_with.as_ref().map_or(String::new(), |with| format!(", busy with {with}"));
    let attention: String = state.attention.iter().map(|what| format!(", {}", word(what))).collect();
    format!("{:<10} {}: {phase}{busy}{attention}", state.id.class.name(), state.id.name)
}
