//! Hot-plug: lists devices again whenever the system announces a change, and periodically in any case.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Buses, Found, Listing, look, platform::Detail};

/// The period if the system announces changes, since announcements can be lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// The period if it does not.
const LOOK_ONLY: Duration = Duration::from_secs(2);

/// A device that came, went or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It was plugged in.
    Arrived(Found),
    /// It was unplugged.
    Left(Found),
    /// Something about it changed, mostly its permissions.
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

/// The source of hot-plug events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// udevd, after it has set permissions.
    Udev,
    /// The kernel itself, because udevd is not running.
    Kernel,
    /// The system's own notifications.
    System,
    /// No notifications, for this reason: polls every 2 s.
    Look(String),
}

/// Watches what is plugged in.
#[derive(Debug)]
pub struct Watch {
    announcements: Announcements,
    source: Source,
    known: Option<BTreeMap<String, Found>>,
    events: VecDeque<Event>,
    looking: Option<(JoinHandle<Looked>, Buses)>,
    next_look: Instant,
}

/// Starts watching. Devices that are present already are not announced; see [`super::list`]. Needs a tokio runtime.
pub fn watch() -> Watch {
    let (announcements, source) = Announcements::open();
    tracing::debug!(?source, "watching for devices");
    if let Source::Look(why) = &source {
        tracing::warn!("no hot-plug notifications: {why}; polling every {} s instead", LOOK_ONLY.as_secs());
    }
    let looking = Some(start_look(Buses::ALL));
    Watch { announcements, source, known: None, events: VecDeque::new(), looking, next_look: Instant::now() }
}

impl Watch {
    /// The source of hot-plug events.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The next device that comes, goes or changes. Cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Some((looking, buses)) = &mut self.looking {
                let (looked, buses) = (looking.await.and_then(|looked| looked), *buses);
                self.looking = None;
                if buses == Buses::ALL {
                    let every = if matches!(self.source, Source::Look(_)) { LOOK_ONLY } else { LOOK_ANYWAY };
                    self.next_look = Instant::now() + every;
                }
                match looked {
                    Ok(listing) => self.compare(listing.found, buses),
                    // A failed listing does not mean that all devices are gone.
                    Err(error) => {
                        tracing::warn!(%error, "listing devices failed");
                        self.next_look = Instant::now() + LOOK_ONLY;
                    }
                }
                continue;
            }
            // Only the announced buses: searching all takes several times as long.
            let buses = tokio::select! {
                buses = self.announcements.changed() => buses,
                () = tokio::time::sleep_until(self.next_look) => Buses::ALL,
            };
            self.looking = Some(start_look(buses));
        }
    }

    fn compare(&mut self, found: Vec<Found>, buses: Buses) {
        let mut now: BTreeMap<String, Found> = found.into_iter().map(|f| (f.instance.clone(), f)).collect();
        let Some(before) = self.known.take() else {
            self.known = Some(now);
            return;
        };
        let (before, elsewhere): (BTreeMap<_, _>, BTreeMap<_, _>) =
            before.into_iter().partition(|(_, found)| buses.has(Buses::of(&found.link)));
        self.events.extend(differences(before, now.clone()));
        now.extend(elsewhere);
        self.known = Some(now);
    }
}

type Looked = Result<Listing, tokio::task::JoinError>;

fn start_look(buses: Buses) -> (JoinHandle<Looked>, Buses) {
    (tokio::spawn(look(Detail::Quick, buses)), buses)
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
    // A device that was replugged between two listings first leaves, then arrives.
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

    async fn changed(&mut self) -> Buses {
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

    #[tokio::test]
    async fn a_look_at_one_bus_leaves_the_others_as_they_were() {
        let mut watch = watch();
        let usb = |serial: &str| {
            let id = crate::address::UsbId { vendor: 0x04b8, product: 0x0202, serial: Some(serial.into()) };
            Found { instance: format!("usb {serial}"), ..Found::new(LinkKind::Usb(id), "USB printer") }
        };
        let (_, serial) = port("/dev/ttyS0", "tty");
        watch.known = None;
        watch.compare(vec![usb("A"), serial.clone()], Buses::ALL);
        watch.compare(vec![usb("B")], Buses::USB);
        assert_eq!(watch.events, [Event::Left(usb("A")), Event::Arrived(usb("B"))]);
        watch.events.clear();
        watch.compare(vec![usb("B"), serial.clone()], Buses::ALL);
        assert_eq!(watch.events, [], "the serial port was never gone");
        watch.compare(vec![], Buses::SERIAL);
        assert_eq!(watch.events, [Event::Left(serial)]);
    }

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
