//! Hot-plug: looks again whenever the system says that something changed, and now and then in any case.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Found, Listing, look, platform::Detail};

/// How often to look where the system announces changes: announcements can be lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// How often to look where it does not.
const LOOK_ONLY: Duration = Duration::from_secs(2);

/// A device that came, went or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It was plugged in.
    Arrived(Found),
    /// It was unplugged.
    Left(Found),
    /// It is the same, but something about it is not: mostly its permissions.
    Changed(Found),
}

impl Event {
    /// The device.
    pub fn found(&self) -> &Found {
        match self {
            Self::Arrived(found) | Self::Left(found) | Self::Changed(found) => found,
        }
    }
}

/// Where the news come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// udevd, after it has set permissions.
    Udev,
    /// The kernel itself, since no udevd runs here.
    Kernel,
    /// The system's own notifications.
    System,
    /// Nobody announces anything, for the reason given: a look every 2 s.
    Look(String),
}

/// Watches what is plugged in.
#[derive(Debug)]
pub struct Watch {
    announcements: Announcements,
    source: Source,
    known: Option<BTreeMap<String, Found>>,
    events: VecDeque<Event>,
    looking: Option<JoinHandle<Listing>>,
    next_look: Instant,
}

/// Starts watching. What is there already is not announced; [`super::list`] tells. Needs a tokio runtime.
pub fn watch() -> Watch {
    let (announcements, source) = Announcements::open();
    tracing::debug!(?source, "watching for devices");
    if let Source::Look(why) = &source {
        tracing::warn!("no hot-plug events: {why}; looking every {} s instead", LOOK_ONLY.as_secs());
    }
    let looking = Some(tokio::spawn(look(Detail::Quick)));
    Watch { announcements, source, known: None, events: VecDeque::new(), looking, next_look: Instant::now() }
}

impl Watch {
    /// Where the news come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The next device that comes, goes or changes. Cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Some(looking) = &mut self.looking {
                let listing = looking.await.unwrap_or_default();
                self.looking = None;
                let every = if matches!(self.source, Source::Look(_)) { LOOK_ONLY } else { LOOK_ANYWAY };
                self.next_look = Instant::now() + every;
                self.compare(listing.found);
                continue;
            }
            tokio::select! {
                () = self.announcements.changed() => {}
                () = tokio::time::sleep_until(self.next_look) => {}
            }
            self.looking = Some(tokio::spawn(look(Detail::Quick)));
        }
    }

    fn compare(&mut self, found: Vec<Found>) {
        let now: BTreeMap<String, Found> = found.into_iter().map(|f| (f.instance.clone(), f)).collect();
        if let Some(before) = self.known.replace(now.clone()) {
            self.events.extend(differences(before, now));
        }
    }
}

fn differences(mut before: BTreeMap<String, Found>, now: BTreeMap<String, Found>) -> Vec<Event> {
    let mut later = Vec::new();
    for (instance, found) in now {
        match before.remove(&instance) {
            None => later.push(Event::Arrived(found)),
            Some(old) if old != found => later.push(Event::Changed(found)),
            Some(_) => {}
        }
    }
    // A device that was replugged between two looks first leaves, then arrives.
    before.into_values().map(Event::Left).chain(later).collect()
}

#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Announcements(Option<super::uevent::Uevents>);

#[cfg(target_os = "linux")]
impl Announcements {
    fn open() -> (Self, Source) {
        match super::uevent::open() {
            Ok((uevents, source)) => (Self(Some(uevents)), source),
            Err(why) => (Self(None), Source::Look(why)),
        }
    }

    async fn changed(&mut self) {
        match &self.0 {
            Some(uevents) => uevents.changed().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(target_os = "linux"))]
use super::other::Announcements;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::LinkKind;
    use crate::discovery::Access;

    fn port(path: &str, instance: &str) -> (String, Found) {
        let mut found = Found::new(LinkKind::Serial { path: path.into() }, "serial port");
        found.instance = instance.to_owned();
        (instance.to_owned(), found)
    }

    #[test]
    fn tells_what_came_went_and_changed() {
        let before = BTreeMap::from([port("/dev/ttyS0", "a"), port("/dev/ttyUSB0", "b 4"), port("/dev/ttyACM0", "c")]);
        let mut now = before.clone();
        now.remove("b 4");
        now.extend([port("/dev/ttyUSB0", "b 5")]);
        now.get_mut("c").expect("there").access = Access::Held { by: None };
        let events = differences(before.clone(), now.clone());
        assert_eq!(
            events,
            [Event::Left(before["b 4"].clone()), Event::Arrived(now["b 5"].clone()), Event::Changed(now["c"].clone()),],
            "a replug shows although the path is the same"
        );
        assert_eq!(differences(now.clone(), now), []);
    }
}
