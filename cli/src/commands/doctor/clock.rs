//! The clock of this machine, and those of terminals as their last payments told them.

use std::process::{Command, Stdio};
use std::time::Duration;

use tresen::api::listing;
use tresen::health::ClockOffset;
use tresen::{Clock, Store, SystemClock};

use super::finding::Finding;
use crate::commands::when::long;

/// The clock of this machine.
pub(super) async fn host() -> Finding {
    let now = SystemClock.wall();
    let made = "2026-01-01T00:00:00Z".parse().expect("a timestamp");
    let text = format!("{now:.0}");
    if now < made {
        return Finding::failed("clock", format!("{text} is before this program's release"))
            .hint("set the clock: receipts, journal and certificates depend on it");
    }
    match tokio::task::spawn_blocking(synchronised).await.ok().flatten() {
        Some(true) => Finding::ok("clock", format!("{text}, synchronised with a time server")),
        Some(false) => Finding::warning("clock", format!("{text}, not synchronised with any time server"))
            .seen("`timedatectl show --property=NTPSynchronized` says no")
            .hint("turn it on: `sudo timedatectl set-ntp true`, or install chrony"),
        None => Finding::ok("clock", text),
    }
}

/// Whether the kernel's clock is kept by a time service; `None` if the system does not tell.
fn synchronised() -> Option<bool> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).stderr(Stdio::null());
    let said = command.output().ok().filter(|said| said.status.success())?;
    match said.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// The finding for a clock that is off, of the subject `terminal counter`.
pub(super) fn off(subject: String, offset: ClockOffset) -> Option<Finding> {
    if offset.distance() < LIMIT {
        return None;
    }
    let side = if offset.seconds < 0 { "behind" } else { "ahead of" };
    let what = format!("its clock is {} {side} this machine's", long(offset.distance()));
    let finding = Finding::warning(subject, what).seen(format!("compared at {:.0}", offset.at));
    // Time zones differ by quarters of an hour.
    let quarters = (offset.seconds.unsigned_abs() + 120) % 900;
    Some(finding.hint(if quarters < 240 {
        "is the time zone or daylight saving set wrong? set the terminal's clock in its menu, or this machine's"
    } else {
        "set the terminal's clock in its menu or by an end of day, or this machine's"
    }))
}

/// The clocks of terminals by the last payment of each, read from the database.
pub(super) async fn terminals(store: &Store) -> Vec<Finding> {
    let mut last: Vec<(String, ClockOffset)> = Vec::new();
    let mut after = Some(0);
    while let Some(from) = after {
        let Ok(page) = (listing::Payments { after: from, ..Default::default() }).of(store).await else { break };
        for payment in &page.rows {
            let charge = payment.outcome().and_then(tresen::Payment::into_charge);
            let Some(there) = charge.and_then(|charge| charge.at) else { continue };
            let mut offset = ClockOffset::between(there, payment.intent.at);
            // The customer took that long, as far as anybody knows.
            offset.seconds -= offset.seconds.clamp(0, SERVED);
            let terminal = &payment.intent.terminal;
            match last.iter_mut().find(|(name, _)| name == terminal) {
                Some((_, known)) => *known = offset,
                None => last.push((terminal.clone(), offset)),
            }
        }
        after = page.next;
    }
    last.into_iter().filter_map(|(name, offset)| off(format!("terminal {name}"), offset)).collect()
}

/// From this difference on a clock is off.
const LIMIT: Duration = Duration::from_secs(120);
/// How long a customer may take, in seconds.
const SERVED: i64 = 600;
