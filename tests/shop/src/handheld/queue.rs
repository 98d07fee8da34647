//! Terminals that handhelds share: queueing for one, letting it go, and calls that come late.

use std::time::Duration;

use tresen::api::lease;
use tresen::lease::{Grant, Target, Turn};
use tresen::{Class, DeviceId};

use super::Handheld;
use crate::checkout::{AT_ONCE, SECONDS_61};
use crate::counter::Counter;
use crate::notebook::LeaseNote;
use crate::radio::Answer;
use crate::world::LEASE;

impl Handheld {
    /// Queues for the terminal; false if that comes to nothing.
    pub(super) async fn wait_for_terminal(&mut self, counter: &Counter) -> bool {
        let (target, name) = (terminal(self.terminal), self.radio.name().to_owned());
        let came = counter.world.story.time();
        let mut within = None;
        for _ in 0..40 {
            let queue = lease::Queue { target: target.clone(), within };
            match self.ask(counter, queue, QUEUE + AT_ONCE).await {
                Answer::Reply(Turn::Granted(grant)) => {
                    note_grant(counter, self.terminal, &grant, came);
                    let waited = counter.world.story.time() - came;
                    counter.world.notebook().waits.entry(name).or_default().push(waited);
                    self.lease = Some(grant.key);
                    return true;
                }
                Answer::Reply(_) => {
                    let now = counter.world.story.time();
                    let mut notebook = counter.world.notebook();
                    let queue = notebook.queues.entry(self.terminal.to_owned()).or_default();
                    if !queue.iter().any(|(waiting, _)| *waiting == name) {
                        queue.push((name.clone(), now));
                    }
                }
                Answer::Refused(_) => counter.pause(Duration::from_secs(5)).await,
                Answer::Silence => {}
            }
            within = Some(QUEUE);
        }
        self.ask(counter, lease::Leave { target }, AT_ONCE).await;
        self.leaves_queue(counter);
        false
    }

    pub(super) fn leaves_queue(&self, counter: &Counter) {
        let mut notebook = counter.world.notebook();
        notebook.queues.values_mut().for_each(|queue| queue.retain(|(waiting, _)| waiting != self.radio.name()));
    }

    pub(super) async fn leave_terminal(&mut self, counter: &Counter) {
        let Some(key) = self.lease.take() else { return };
        {
            let mut notebook = counter.world.notebook();
            let note = notebook.leases.get_mut(self.terminal).filter(|note| note.token == key.token);
            note.into_iter().for_each(|note| note.released = true);
        }
        let release = lease::Release { target: key.target.clone() };
        if let Answer::Reply(_) = self.radio.ask(counter, Some(key.clone()), release, AT_ONCE).await {
            self.old = Some(key);
        }
    }

    /// A call that the dropped handheld had begun comes late, under its old lease.
    pub(super) async fn comes_late(&mut self, counter: &Counter) {
        let (key, released) = match (self.lease.take(), self.old.take()) {
            (Some(key), _) => (key, false),
            (None, Some(key)) => (key, true),
            _ => return,
        };
        let newer = |counter: &Counter| {
            counter.world.notebook().leases.get(self.terminal).is_some_and(|note| note.token > key.token)
        };
        let overtaken = released || newer(counter);
        let status = tresen::api::terminal::Status { terminal: self.terminal.to_owned() };
        let answer = self.radio.ask(counter, Some(key.clone()), status, SECONDS_61).await;
        counter.world.notebook().count("late calls");
        if overtaken && matches!(answer, Answer::Reply(_)) {
            counter.world.violated(format!("a late call under lease {} of {} was served", key.token, self.terminal));
        }
    }
}

fn terminal(name: &str) -> Target {
    Target::Device(DeviceId::new(Class::Terminal, name))
}

pub(super) fn note_use(counter: &Counter, terminal: &str, holder: &str, sent: Duration) {
    if let Some(note) = counter.world.notebook().leases.get_mut(terminal).filter(|note| note.holder == holder) {
        note.used = note.used.max(sent);
    }
}

/// A lease was granted to somebody who came at this time: nobody else has it, its number is new, and, where nothing goes
/// wrong, nobody who came earlier still waits.
fn note_grant(counter: &Counter, terminal: &str, grant: &Grant, came: Duration) {
    let world = &counter.world;
    let (now, mut notebook) = (world.story.time(), world.notebook());
    let mut wrong = None;
    if let Some(before) = notebook.leases.get(terminal).filter(|before| before.token != grant.key.token) {
        if before.token > grant.key.token {
            wrong = Some(format!("lease {} of {terminal} came after lease {}", grant.key.token, before.token));
        } else if !before.released && before.holder != grant.holder && now < before.used + LEASE {
            wrong = Some(format!("{} got {terminal} while {} had leased it", grant.holder, before.holder));
        }
    }
    let queue = notebook.queues.entry(terminal.to_owned()).or_default();
    queue.retain(|(name, _)| *name != grant.holder);
    if let Some((other, since)) = queue.iter().find(|(_, since)| *since < came)
        && !world.plan.has_faults()
    {
        wrong = Some(format!(
            "{} came at {came:?} and got {terminal} before {other}, who waits since {since:?}",
            grant.holder
        ));
    }
    let note = LeaseNote { holder: grant.holder.clone(), token: grant.key.token, used: came, released: false };
    notebook.leases.insert(terminal.to_owned(), note);
    notebook.count("leases");
    drop(notebook);
    wrong.into_iter().for_each(|wrong| world.violated(wrong));
}

/// How long a handheld waits for its turn before it asks again.
const QUEUE: Duration = Duration::from_secs(20);
