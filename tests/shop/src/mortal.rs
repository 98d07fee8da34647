//! The runtime of a till that may die at any call.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tresen::hal::runtime::{SimulatedRuntime, Work, Worker};
use tresen::{Clock, Result, Runtime};

use crate::world::World;

/// A simulated runtime under which the till may die at any call. Its time goes on from one life to the next.
pub struct Mortal {
    inner: SimulatedRuntime,
    world: Arc<World>,
}

impl Mortal {
    /// For a life that begins now; its ids and random numbers come from `seed`.
    pub fn new(seed: u64, world: &Arc<World>) -> Arc<Self> {
        let wall: Timestamp = OPENED.parse().expect("a time");
        Arc::new(Self { inner: SimulatedRuntime::new(seed, wall + world.story.time()), world: world.clone() })
    }
}

impl Clock for Mortal {
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn wall(&self) -> Timestamp {
        self.world.called();
        self.inner.wall()
    }
}

impl fmt::Debug for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Runtime for Mortal {
    fn random(&self) -> u64 {
        self.world.called();
        self.inner.random()
    }
    fn new_id(&self) -> String {
        self.world.called();
        self.inner.new_id()
    }
    fn offload(&self, work: Work) {
        self.inner.offload(work);
    }
    fn worker(&self, name: &str) -> Result<Worker> {
        self.inner.worker(name)
    }
}

/// When the shop opens.
pub const OPENED: &str = "2026-03-02T07:00:00Z";
