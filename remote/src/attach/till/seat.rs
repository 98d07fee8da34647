//! One handheld at the till: its connection, its devices, and what has to become of each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tresen::{DeviceId, Error, Offering};

use super::slot::{Slot, Wire};
use crate::attach::wire::{Attached, FromTill};

/// What is known of one handheld.
#[derive(Default)]
pub(super) struct Seat {
    pub(super) current: Option<Current>,
    /// The run of its last offer.
    last: Option<String>,
    /// The number of the connection of its last offer.
    pub(super) generation: u64,
    /// Runs that another run has replaced, latest last.
    replaced: VecDeque<String>,
    pub(super) places: BTreeMap<DeviceId, Place>,
    answer: Option<Answer>,
    /// A task attaches its devices and takes them away.
    pub(super) working: bool,
}

/// The connection of a handheld.
pub(super) struct Current {
    pub(super) generation: u64,
    run: String,
    pub(super) wire: Arc<Wire>,
}

/// A device, and what has to become of it.
pub(super) struct Place {
    pub(super) slot: Arc<Slot>,
    pub(super) wanted: bool,
    state: State,
}

impl Place {
    /// What the till has of it.
    pub(super) fn offering(&self) -> Option<&Offering> {
        match &self.state {
            State::Attached(offering) => Some(offering),
            State::New | State::Changing => None,
        }
    }
}

#[derive(PartialEq, Eq)]
enum State {
    /// The till does not have it.
    New,
    /// It is being attached or taken away.
    Changing,
    Attached(Offering),
}

/// The answer to the last offer, sent when all its devices are attached.
struct Answer {
    wire: Arc<Wire>,
    offered: Vec<DeviceId>,
    refused: BTreeMap<DeviceId, Error>,
}

/// What has to be done next about a handheld's devices.
pub(super) enum Step {
    Attach(Arc<Slot>),
    TakeAway(Arc<Slot>, Offering),
    Answer(Arc<Wire>, FromTill),
    /// Nothing; `Seat::working` is false now.
    Rest,
}

impl Seat {
    /// By which run an offer of `run` over this connection was replaced, if it was.
    pub(super) fn refuses(&self, generation: u64, run: &str) -> Option<String> {
        let current = self.current.as_ref();
        let later = current.filter(|current| current.generation > generation);
        let replaced = self.replaced.iter().any(|replaced| replaced == run);
        match (later, replaced) {
            (Some(later), _) => Some(later.run.clone()),
            (None, true) => Some(current.map(|current| current.run.clone()).unwrap_or_default()),
            (None, false) => None,
        }
    }

    /// This is the handheld's connection from now on; an earlier one is told.
    pub(super) fn seated(&mut self, generation: u64, run: &str, wire: &Arc<Wire>) {
        self.generation = generation;
        let now = Current { generation, run: run.to_owned(), wire: wire.clone() };
        if let Some(before) = self.current.replace(now).filter(|before| before.generation != generation) {
            before.wire.close();
            before.wire.try_send(&FromTill::Replaced { by: run.to_owned() });
        }
        if let Some(before) = self.last.replace(run.to_owned()).filter(|before| before != run) {
            self.replaced.push_back(before);
            if self.replaced.len() > REPLACED {
                self.replaced.pop_front();
            }
        }
    }

    /// A device that the till does not have yet.
    pub(super) fn add(&mut self, slot: Arc<Slot>) {
        self.places.insert(slot.id.clone(), Place { slot, wanted: true, state: State::New });
    }

    /// It is not offered any more. One that the till never had is forgotten at once.
    pub(super) fn unwanted(&mut self, which: impl Fn(&Slot) -> bool) {
        for place in self.places.values_mut().filter(|place| which(&place.slot)) {
            place.wanted = false;
        }
        self.places.retain(|_, place| place.wanted || place.state != State::New);
    }

    /// The last offer is to be answered over this connection.
    pub(super) fn answers(&mut self, wire: Arc<Wire>, offered: Vec<DeviceId>, refused: BTreeMap<DeviceId, Error>) {
        self.answer = Some(Answer { wire, offered, refused });
    }

    /// What to do next. `is_lost` says of an attached device that the till does not have it any more.
    pub(super) fn next(&mut self, is_lost: impl Fn(&Offering) -> bool) -> Step {
        for place in self.places.values_mut() {
            if place.wanted && place.offering().is_some_and(&is_lost) {
                place.state = State::New;
            }
            let step = match (&place.state, place.wanted) {
                (State::Attached(offering), false) => Step::TakeAway(place.slot.clone(), offering.clone()),
                (State::New, true) => Step::Attach(place.slot.clone()),
                _ => continue,
            };
            place.state = State::Changing;
            return step;
        }
        match self.answer.take() {
            Some(answer) => self.answer_to(answer),
            None => {
                self.working = false;
                Step::Rest
            }
        }
    }

    /// It was attached, or could not be.
    pub(super) fn attached(&mut self, device: &DeviceId, done: Result<Offering, Error>) {
        match (self.places.get_mut(device), done) {
            (Some(place), Ok(offering)) => place.state = State::Attached(offering),
            (place, Err(error)) => {
                if place.is_some() {
                    self.places.remove(device);
                }
                if let Some(answer) = &mut self.answer {
                    answer.refused.insert(device.clone(), error);
                }
            }
            (None, Ok(_)) => {}
        }
    }

    /// It was taken away, and may have been offered again meanwhile.
    pub(super) fn taken_away(&mut self, device: &DeviceId) {
        if let Some(place) = self.places.get_mut(device) {
            place.state = State::New;
        }
        self.places.retain(|_, place| place.wanted || place.state != State::New);
    }

    fn answer_to(&self, Answer { wire, offered, mut refused }: Answer) -> Step {
        let devices = offered.into_iter().map(|device| {
            let name = self.places.get(&device).filter(|place| place.wanted).map(|place| place.slot.name.clone());
            let refused = refused.remove(&device);
            Attached { name: name.filter(|_| refused.is_none()), refused, device }
        });
        let mut devices: Vec<_> = devices.collect();
        devices.sort_by(|a, b| a.device.cmp(&b.device));
        Step::Answer(wire, FromTill::Attached { devices })
    }
}

/// Runs of a handheld that are remembered as replaced.
const REPLACED: usize = 16;
