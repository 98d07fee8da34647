//! Where handhelds run while the till lives and while it does not.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, sleep_until};

use crate::story::Story;

/// The runtime of the handhelds and of what is between them and the till. It runs in turns with that of the till, each
/// for a [`TURN`] of virtual time, so that both clocks agree to within one.
#[derive(Debug)]
pub struct Air {
    runtime: Runtime,
    began: Instant,
}

impl Air {
    /// At the beginning of a run.
    pub fn new(seed: u64) -> Self {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true);
        #[cfg(tokio_unstable)]
        builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
        #[cfg(not(tokio_unstable))]
        let _ = seed;
        let runtime = builder.build().expect("a runtime");
        let began = {
            let _inside = runtime.enter();
            Instant::now()
        };
        Self { runtime, began }
    }

    /// Where handhelds start their tasks.
    pub fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// Runs until this time of the run.
    pub fn until(&self, story: &Story, time: Duration) {
        story.airs(Some(self.began));
        let until = self.began + time;
        self.runtime.block_on(async move { sleep_until(until).await });
        story.airs(None);
    }
}

/// How long each of the two runs before the other one.
pub const TURN: Duration = Duration::from_millis(10);
