//! The sections of a support bundle. Each contains only what is known to be harmless.

use std::collections::VecDeque;
use std::fmt::Write;

use tresen::api::{Client, listing, till};
use tresen::config::Problem;
use tresen::hal::discovery;
use tresen::payment::Payment;
use tresen::{Config, Error, Event, EventKind, JobState, Store};

use super::redact::{REMOVED, is_secret};
use crate::commands::listed::word;
use crate::commands::status::{self, counted};
use crate::commands::when::long;
use crate::devices;

/// How many of the last rows of each listing are shown.
const LAST: usize = 100;

/// Versions and the machine.
pub(super) fn system() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let line = |text: &str, start: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.map_or("not known".to_owned(), |rest| rest.trim_matches(['"', ' ', ':', '\t']).to_owned())
    };
    let mut text = format!("tresen        {}\n", env!("CARGO_PKG_VERSION"));
    let (os, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    writeln!(text, "platform      {os}, {machine}").ok();
    if cfg!(target_os = "linux") {
        writeln!(text, "system        {}", line(&read("/etc/os-release"), "PRETTY_NAME=")).ok();
        writeln!(text, "kernel        {}", read("/proc/sys/kernel/osrelease").trim()).ok();
        writeln!(text, "memory        {}", line(&read("/proc/meminfo"), "MemTotal:")).ok();
        writeln!(text, "free          {}", line(&read("/proc/meminfo"), "MemAvailable:")).ok();
        let up = read("/proc/uptime").split('.').next().and_then(|s| s.parse().ok()).unwrap_or_default();
        writeln!(text, "switched on   {} ago", long(std::time::Duration::from_secs(up))).ok();
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(text, "processors    {processors}").ok();
    let zone = jiff::tz::TimeZone::system();
    writeln!(text, "time zone     {}", zone.iana_name().unwrap_or("not known")).ok();
    text
}

/// The configuration as it was read, and what is wrong with it. Comments are not part of it.
pub(super) fn configuration(config: &Config, problems: &[Problem]) -> String {
    let till = &config.till;
    let mut text = format!(
        "[till]\nname = {:?}\nstore = {:?}\ncurrency = {:?}\nlanguage = {:?}\nsocket = {}\n",
        till.name,
        till.store,
        till.currency.code(),
        till.language,
        till.socket
    );
    for (id, device) in &config.devices {
        writeln!(text, "\n[{}.{:?}]", id.class.section(), id.name).ok();
        if let Some(station) = &device.from {
            writeln!(text, "from = {station:?}").ok();
        }
        for address in &device.address {
            writeln!(text, "address = {:?}", address.label()).ok();
            for (name, value) in address.options() {
                writeln!(text, "  {name} = {}", shown(name, value)).ok();
            }
        }
        for (name, value) in &device.options {
            writeln!(text, "{name} = {}", shown(name, &value.to_string())).ok();
        }
    }
    if !config.in_store.is_empty() {
        writeln!(text, "\nin-store = {:?}", config.in_store).ok();
    }
    if !config.routes.is_empty() {
        writeln!(text, "\n[routes]").ok();
    }
    for (name, route) in &config.routes {
        let (printers, prints, groups) = (&route.printers, &route.prints, &route.groups);
        writeln!(text, "{name:?} = {printers:?}, prints {prints:?}, groups {groups:?}, copies {}", route.copies).ok();
    }
    for (name, station) in &config.stations {
        writeln!(text, "\n[stations.{name:?}]\n{station:?}").ok();
    }
    let health = &config.health;
    let (low, off) = (status::bytes(health.disk_low), long(health.clock_off));
    let every = long(health.look_every);
    writeln!(text, "\n[health]\ndisk-low {low}, clock-off {off}, look-every {every}").ok();
    for problem in problems {
        writeln!(text, "\n{problem}").ok();
    }
    text
}

/// The value of an option, if its name says nothing of a secret.
fn shown(name: &str, value: &str) -> String {
    if is_secret(name) { REMOVED.to_owned() } else { format!("{value:?}") }
}

/// What the till and its database tell.
pub(super) async fn till(
    client: Option<&Client>,
    store: Result<&Store, &Error>,
    all: &mut Vec<(&'static str, String)>,
) {
    let mut status = String::new();
    if let Some(client) = client {
        match client.call(till::Info {}).await {
            Ok(about) => {
                writeln!(
                    status,
                    "till       {}, {}, epoch {}, version {}",
                    about.name, about.till, about.epoch, about.version
                )
                .ok();
            }
            Err(error) => _ = writeln!(status, "the till does not tell who it is: {error}"),
        }
        match client.call(listing::Health {}).await {
            Ok(health) => {
                status += &status::text(&health);
                all.push(("status", status));
                all.push(("errors of devices", errors(&health)));
            }
            Err(error) => {
                writeln!(status, "the till does not tell how it is: {error}").ok();
                all.push(("status", status));
            }
        }
        let events = match client.call(listing::RecentEvents {}).await {
            Ok(events) => events.iter().map(event).collect(),
            Err(error) => format!("the till does not tell them: {error}\n"),
        };
        all.push(("last events", events));
    } else {
        status.push_str("no till is running: read from the database\n");
        match store {
            Ok(store) => {
                writeln!(status, "till       {}, epoch {}", store.till(), store.epoch()).ok();
                status::store(&store.health().await, &mut status);
            }
            Err(error) => _ = writeln!(status, "the database cannot be read: {error}"),
        }
        all.push(("status", status));
    }
    if let Ok(store) = store {
        all.push(("print jobs", jobs(store).await));
        all.push(("payments", payments(store).await));
        all.push(("journal", journal(store).await));
    }
}

fn errors(health: &tresen::health::Health) -> String {
    let mut text = String::new();
    for device in &health.devices {
        for error in &device.errors {
            let (at, kind, times) = (error.at, word(&error.kind), counted(error.times, "time"));
            writeln!(text, "{at:.0}  {}  {kind}, {times}: {}", device.state.id, error.what).ok();
        }
    }
    if text.is_empty() { "none\n".to_owned() } else { text }
}

/// An event without what it says of customers: the content of scans, slips and messages.
fn event(event: &Event) -> String {
    let more = match &event.kind {
        EventKind::Connected { address } => format!(" at {address}"),
        EventKind::Printer(status) => format!(" paper {}, online {}", word(&status.paper), word(&status.online)),
        EventKind::Settled(settled) => format!(" {} {}", settled.intent.id.0, settled.payment.word()),
        EventKind::Printed { job, .. }
        | EventKind::PrintWaits { job, .. }
        | EventKind::PrintUnknown { job, .. }
        | EventKind::PrintUnreadable { job, .. }
        | EventKind::PrintStranded { job } => format!(" {job}"),
        EventKind::AlertRaised { alert, .. } | EventKind::AlertCleared { alert } => format!(" {}", word(alert)),
        _ => String::new(),
    };
    let why = event.kind.why().map_or(String::new(), |why| format!(": {why}"));
    format!("{:>6}  {:.0}  {}  {}{more}{why}\n", event.seq, event.at, event.source, event.kind.name())
}

async fn jobs(store: &Store) -> String {
    let mut last = Last::default();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = match (listing::Jobs { after: from, ..Default::default() }).of(store).await {
            Ok(page) => page,
            Err(error) => return format!("cannot be read: {error}\n"),
        };
        for job in &page.rows {
            let why = job.error.as_ref().map_or(String::new(), |why| format!(": {why}"));
            let on = job.printer.as_ref().map_or(String::new(), |on| format!(" on {on}"));
            let (state, tries) = (word(&job.state), counted(job.attempt.unsigned_abs(), "attempt"));
            let undone = !matches!(job.state, JobState::Printed | JobState::Accepted | JobState::Cancelled);
            let mark = if undone { '*' } else { ' ' };
            let (id, route, queued, changed) = (&job.id, &job.route, job.queued_at, job.changed_at);
            last.push(format!("{mark} {id}  {state}  for {route}{on}, {tries}, {queued:.0} to {changed:.0}{why}"));
        }
        after = page.next;
    }
    last.text()
}

async fn payments(store: &Store) -> String {
    let mut last = Last::default();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = match (listing::Payments { after: from, ..Default::default() }).of(store).await {
            Ok(page) => page,
            Err(error) => return format!("cannot be read: {error}\n"),
        };
        for payment in &page.rows {
            let intent = &payment.intent;
            let how = match payment.outcome() {
                Some(Payment::Unknown(unknown)) => format!("unknown: {}", unknown.why),
                Some(Payment::NotCharged(not)) => format!("not charged: {}", word(&not.reason)),
                Some(outcome) => outcome.word().to_owned(),
                None => "open".to_owned(),
            };
            let by = if payment.decision.is_some() { ", decided by a person" } else { "" };
            let mark = if payment.is_open() { '*' } else { ' ' };
            let (id, what, amount) = (&intent.id.0, intent.operation.name(), intent.amount);
            last.push(format!("{mark} {id}  {what} of {amount} at {}, {:.0}  {how}{by}", intent.terminal, intent.at));
        }
        after = page.next;
    }
    last.text()
}

async fn journal(store: &Store) -> String {
    let mut last = Last::default();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = match (listing::Journal { after: from, ..Default::default() }).of(store).await {
            Ok(page) => page,
            Err(error) => return format!("cannot be read: {error}\n"),
        };
        for line in &page.rows {
            last.push(format!("{:>6}  {:.0}  {:<12} {}", line.seq, line.at, line.kind, line.key));
        }
        after = page.next;
    }
    last.text()
}

/// What the system lists of devices that are plugged in.
pub(super) async fn connected() -> String {
    let listed = discovery::list().await;
    let mut text = String::new();
    for found in listed.found {
        writeln!(text, "{}", devices::drivers().recognised(found)).ok();
    }
    for problem in &listed.problems {
        writeln!(text, "{problem}").ok();
    }
    if text.is_empty() { "none\n".to_owned() } else { text }
}

/// The last lines of many.
#[derive(Default)]
struct Last {
    lines: VecDeque<String>,
    left_out: usize,
}

impl Last {
    fn push(&mut self, line: String) {
        if self.lines.len() >= LAST {
            self.lines.pop_front();
            self.left_out += 1;
        }
        self.lines.push_back(line);
    }

    fn text(self) -> String {
        if self.lines.is_empty() {
            return "none\n".to_owned();
        }
        let mut text = match self.left_out {
            0 => String::new(),
            n => format!("({n} earlier ones are left out)\n"),
        };
        self.lines.iter().for_each(|line| _ = writeln!(text, "{line}"));
        text
    }
}
