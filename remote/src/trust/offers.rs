//! Offers of devices: one is written when what a client offers changes, the others are counted. Sans-IO: time is an argument.

use std::collections::BTreeMap;
use std::time::Instant;

use tresen::AuditNote;

use super::refusals::{REPEATS, WINDOW};

/// What an accepted offer is recorded as.
pub(crate) const OFFER: &str = "offer";

/// The last offer of each client since the server began, by name. The till knows the names; nobody makes up others.
#[derive(Debug, Default)]
pub(super) struct Offers(BTreeMap<String, Client>);

#[derive(Debug, Default)]
struct Client {
    /// What it offered last; `None` before its first offer.
    devices: Option<Option<String>>,
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    /// Those that were written at once.
    written: usize,
    counted: u32,
    /// The last that was counted.
    last: AuditNote,
}

impl Offers {
    /// Takes in an offer that was accepted; `device` names all that is offered. Returns what is to be written now.
    pub(super) fn take(&mut self, now: Instant, note: AuditNote) -> Vec<AuditNote> {
        let mut due = self.due(now);
        let client = self.0.entry(note.principal.clone().unwrap_or_default()).or_default();
        let changed = client.devices.replace(note.device.clone()).as_ref() != Some(&note.device);
        let note = note.shortened();
        let first = || Window { began: now, written: 0, counted: 0, last: note.clone() };
        let window = client.window.get_or_insert_with(first);
        if changed && window.written < CHANGES {
            window.written += 1;
            due.push(note);
        } else {
            window.counted = window.counted.saturating_add(1);
            window.last = note;
        }
        due
    }

    /// What was counted and whose time is over, one line for each client.
    pub(super) fn due(&mut self, now: Instant) -> Vec<AuditNote> {
        let over = |window: &mut Window| now.saturating_duration_since(window.began) >= WINDOW;
        self.0.values_mut().filter_map(|client| client.window.take_if(over)).filter_map(line).collect()
    }

    /// All that was counted: the server ends.
    pub(super) fn drain(&mut self) -> Vec<AuditNote> {
        self.0.values_mut().filter_map(|client| client.window.take()).filter_map(line).collect()
    }
}

/// The line of the offers that were counted; `None` if there were none.
fn line(Window { counted, last, .. }: Window) -> Option<AuditNote> {
    (counted > 0).then(|| AuditNote { about: Some(REPEATS.into()), times: Some(counted), ..last })
}

/// How many changes of what a client offers are written at once within [`WINDOW`].
const CHANGES: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn offer(who: &str, devices: &str) -> AuditNote {
        let device = (!devices.is_empty()).then(|| devices.to_owned());
        AuditNote { device, ..AuditNote::new(OFFER).by(who).from(Some("10.0.0.7:5000".into())) }
    }

    /// Device and number of times of each line.
    fn told(notes: &[AuditNote]) -> Vec<(&str, Option<u32>)> {
        notes.iter().map(|note| (note.device.as_deref().unwrap_or_default(), note.times)).collect()
    }

    #[test]
    fn an_offer_is_written_when_it_differs_from_the_last_and_counted_otherwise() {
        let (mut offers, start) = (Offers::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(offers.take(start, offer("7", "belt")), [offer("7", "belt")]);
        assert!((1..=100).all(|n| offers.take(start + n * second, offer("7", "belt")).is_empty()));
        assert_eq!(told(&offers.take(start, offer("8", "belt"))), [("belt", None)], "another client");
        assert_eq!(told(&offers.take(start + 101 * second, offer("7", "belt ring"))), [("belt ring", None)]);
        assert_eq!(told(&offers.take(start + 102 * second, offer("7", ""))), [("", None)], "it has none any more");
        assert_eq!(offers.take(start + 103 * second, offer("7", "")), []);
        assert_eq!(told(&offers.due(start + WINDOW)), [("", Some(101))]);
        // Hours later it connects again, and has what it had.
        let later = start + 20 * WINDOW;
        assert_eq!(offers.take(later, offer("8", "belt")), []);
        assert_eq!(told(&offers.due(later + WINDOW)), [("belt", Some(1))]);
        assert_eq!(offers.take(later + WINDOW, offer("8", "belt")), []);
        assert_eq!(told(&offers.drain()), [("belt", Some(1))]);
        assert_eq!(offers.drain(), []);
    }

    #[test]
    fn whoever_offers_ever_other_devices_does_not_fill_the_disk() {
        let (mut offers, start) = (Offers::default(), Instant::now());
        let written: usize = (0..10_000).map(|n| offers.take(start, offer("7", &format!("belt {n}"))).len()).sum();
        assert_eq!(written, CHANGES);
        assert_eq!(told(&offers.take(start, offer("8", "belt"))), [("belt", None)], "another client is told apart");
        assert_eq!(
            told(&offers.take(start + WINDOW, offer("7", "ring"))),
            [("belt 9999", Some(9_984)), ("ring", None)]
        );
    }
}
