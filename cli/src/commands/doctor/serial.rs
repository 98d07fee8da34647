//! A serial printer that does not answer: is it the baud rate?

use std::time::Duration;

use tokio::time::timeout;
use tresen::Address;
use tresen::hal::address::LinkKind;
use tresen::hal::probe::{Heard, Probe as _};
use tresen::hal::{Link, link};
use tresen::printers::escpos;

use super::finding::Finding;
use crate::commands::doctor::device::with;

/// The rates that receipt printers and scanners have, the most frequent first.
pub(super) const RATES: [u32; 8] = [9600, 115_200, 19_200, 38_400, 57_600, 4800, 2400, 1200];
/// At 1200 baud three bytes and one back take 35 ms; slow printers take longer to answer.
const ANSWER: Duration = Duration::from_millis(700);

/// The rates to try: all but the one of the address.
pub(super) fn others(address: &Address) -> impl Iterator<Item = u32> {
    let now = address.option("baud").and_then(|rate| rate.parse().ok()).unwrap_or(9600);
    RATES.into_iter().filter(move |rate| *rate != now)
}

/// Asks a printer for its status at the usual rates, and tells at which it answered.
pub(super) async fn rates(address: &Address, finding: Finding) -> Finding {
    let mut tried = Vec::new();
    for rate in others(address) {
        let other = with(address, "baud", &rate.to_string());
        match asked(&other).await {
            Some(true) => {
                return finding
                    .seen(format!("at {rate} baud it answers like an ESC/POS printer"))
                    .hint(format!("set the rate: {}", shown(&other)));
            }
            Some(false) => tried.push(format!("{rate}: answers, but not like a printer")),
            None => tried.push(rate.to_string()),
        }
    }
    finding
        .seen(format!("no answer at the other rates either: {}", tried.join(", ")))
        .hint("is it switched on, and is the cable the right one (crossed or straight)? its self-test shows its rate")
}

/// Whether a device answers a request for its status like a printer. `None`: it says nothing, or the port cannot be
/// opened.
async fn asked(address: &Address) -> Option<bool> {
    let link = link::open(address).await.ok()?;
    let mut heard = Vec::new();
    let sent = link.send(&escpos::Probe.question("").bytes).await;
    if sent.is_ok() {
        timeout(ANSWER, link.recv(&mut heard)).await.ok();
    }
    link.close().await;
    (!heard.is_empty()).then(|| matches!(escpos::Probe.hear(&heard), Heard::Answer { .. }))
}

/// The address as it is written, without secrets: serial ports have none.
fn shown(address: &Address) -> String {
    debug_assert!(matches!(address.link(), LinkKind::Serial { .. }));
    address.to_string()
}
