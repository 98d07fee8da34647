//! Refusals that repeat: the first is written at once, the others are counted. Sans-IO: time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tresen::AuditNote;

use crate::server::host;

/// The refusals of the last [`WINDOW`], by who was refused what.
///
/// A caller can name as many devices as it likes, and a stranger can have many addresses: [`OF_ONE`] and [`ALL`] limit
/// what is told apart. The rest is counted together, by caller or for all.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Subject, Window>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    who: Who,
    /// Command and device; `None` for those that are counted together.
    what: Option<(String, Option<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Anybody,
    Caller(String),
    Stranger(String),
}

#[derive(Debug)]
struct Window {
    began: Instant,
    repeats: u32,
    /// The last refusal.
    last: AuditNote,
}

impl Refusals {
    /// Takes in a refusal; returns what is to be written now.
    pub(super) fn take(&mut self, now: Instant, note: AuditNote) -> Vec<AuditNote> {
        let mut due = self.due(now);
        let note = note.shortened();
        let subject = self.subject(&note);
        match self.0.get_mut(&subject) {
            Some(window) => {
                window.repeats = window.repeats.saturating_add(1);
                window.last = note;
            }
            None => {
                self.0.insert(subject, Window { began: now, repeats: 0, last: note.clone() });
                due.push(note);
            }
        }
        due
    }

    /// The repeats whose time is over, each as one line.
    pub(super) fn due(&mut self, now: Instant) -> Vec<AuditNote> {
        let over = |window: &Window| now.saturating_duration_since(window.began) >= WINDOW;
        self.0.extract_if(.., |_, window| over(window)).filter_map(line).collect()
    }

    /// All repeats, each as one line: the server ends.
    pub(super) fn drain(&mut self) -> Vec<AuditNote> {
        std::mem::take(&mut self.0).into_iter().filter_map(line).collect()
    }

    /// Which refusals this one counts among.
    fn subject(&self, note: &AuditNote) -> Subject {
        let who = match (&note.principal, &note.address) {
            (Some(principal), _) => Who::Caller(principal.clone()),
            (None, Some(address)) => Who::Stranger(host(address)),
            (None, None) => Who::Stranger(String::new()),
        };
        let whole = Subject { who: who.clone(), what: Some((note.action.clone(), note.device.clone())) };
        if self.0.contains_key(&whole) {
            return whole;
        }
        let rest = Subject { who, what: None };
        let of_one = self.0.range(&rest..).take_while(|(subject, _)| subject.who == rest.who).count();
        match (self.0.len() < ALL, of_one < OF_ONE) {
            (true, true) => whole,
            _ if self.0.contains_key(&rest) => rest,
            (true, false) => rest,
            (false, _) => Subject { who: Who::Anybody, what: None },
        }
    }
}

/// The line of the refusals after the first; `None` if there were none.
fn line((subject, window): (Subject, Window)) -> Option<AuditNote> {
    let Window { repeats, last, .. } = window;
    if repeats == 0 {
        return None;
    }
    let line = AuditNote { key: None, about: Some(REPEATS.into()), times: Some(repeats), ..last };
    let together = "refusals of several kinds within 10 min; the reason is that of the last";
    Some(match subject {
        Subject { what: Some(_), .. } => line,
        Subject { who: Who::Anybody, .. } => {
            AuditNote { principal: None, address: None, action: VARIOUS.into(), device: None, ..line }.about(together)
        }
        Subject { what: None, .. } => AuditNote { action: VARIOUS.into(), device: None, ..line }.about(together),
    })
}

/// How long repeats are counted before they are written: 10 min.
pub(super) const WINDOW: Duration = Duration::from_secs(600);
/// What is recorded about repeats.
pub(super) const REPEATS: &str = "repeats within 10 min";
/// How many refusals of one caller or address are told apart.
pub(super) const OF_ONE: usize = 64;
/// How many refusals are told apart.
pub(super) const ALL: usize = 4_096;
/// What is recorded of refusals that are counted together.
pub(super) const VARIOUS: &str = "various";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(who: &str, device: &str) -> AuditNote {
        let note = AuditNote::new("printer.kick-drawer").by(who).from(Some("10.0.0.7:5000".into())).refused("no right");
        AuditNote { device: Some(device.into()), key: Some("k".into()), ..note }
    }

    fn stranger(address: &str) -> AuditNote {
        AuditNote::new("connect").from(Some(address.into())).refused("unknown")
    }

    #[test]
    fn the_first_is_written_at_once_and_its_repeats_once() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(refusals.take(start, refused("bob", "bar")), [refused("bob", "bar")]);
        for n in 1..600 {
            assert_eq!(refusals.take(start + n * second, refused("bob", "bar")), []);
        }
        assert_eq!(refusals.take(start, refused("bob", "kitchen")).len(), 1, "another device");
        assert_eq!(refusals.take(start, refused("eve", "bar")).len(), 1, "another caller");
        assert_eq!(refusals.due(start + 599 * second), []);
        // The next window begins with a refusal that is written at once, after what was counted.
        let due = refusals.take(start + WINDOW, refused("bob", "bar"));
        let told: Vec<_> =
            due.iter().map(|note| (note.principal.as_deref(), note.times, note.key.as_deref())).collect();
        assert_eq!(told, [(Some("bob"), Some(599), None), (Some("bob"), None, Some("k"))]);
        assert_eq!(due[0].refused.as_deref(), Some("no right"));
        refusals.take(start + WINDOW, refused("bob", "bar"));
        assert_eq!(refusals.drain().iter().map(|note| note.times).collect::<Vec<_>>(), [Some(1)]);
        assert_eq!(refusals.drain(), []);
    }

    #[test]
    fn strangers_are_counted_by_address_whatever_their_port() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let written = |refusals: &mut Refusals, address: &str| refusals.take(now, stranger(address)).len();
        assert_eq!(written(&mut refusals, "10.0.0.7:5000"), 1);
        assert_eq!(written(&mut refusals, "10.0.0.7:5001"), 0);
        assert_eq!(written(&mut refusals, "10.0.0.8:5000"), 1);
        assert_eq!(written(&mut refusals, "[2001:db8::1]:5000"), 1);
        assert_eq!(written(&mut refusals, "[2001:db8::ffff]:5000"), 0, "one network");
        assert_eq!(written(&mut refusals, "[2001:db8:0:1::1]:5000"), 1);
    }

    #[test]
    fn whoever_names_ever_other_devices_fills_neither_memory_nor_disk() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let long = "x".repeat(1 << 20);
        let written: usize = (0..1_000).map(|n| refusals.take(now, refused("bob", &format!("{n} {long}"))).len()).sum();
        assert_eq!(written, OF_ONE + 1);
        assert!(refusals.0.values().all(|window| window.last.device.as_deref().is_none_or(|text| text.len() == 200)));
        assert_eq!(refusals.take(now, refused("eve", "bar")).len(), 1, "others are told apart");
        let lines = refusals.drain();
        assert_eq!(lines.len(), 1);
        let AuditNote { principal, action, device, times, .. } = &lines[0];
        assert_eq!((principal.as_deref(), action.as_str(), device, times), (Some("bob"), VARIOUS, &None, &Some(935)));

        let written: usize = (0..2 * ALL).map(|n| refusals.take(now, stranger(&format!("host {n}"))).len()).sum();
        assert_eq!((written, refusals.0.len()), (ALL + 1, ALL + 1));
        let all: u32 = refusals.drain().iter().filter_map(|note| note.times).sum();
        assert_eq!(all, ALL as u32 - 1);
    }
}
