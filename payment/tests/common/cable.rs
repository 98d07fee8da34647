//! A serial cable between tills and one simulated terminal. Neither side notices when the other one leaves: what it
//! says then is lost.

use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tresen_hal::Link;
use tresen_hal::link::memory::{self, Memory};
use tresen_hal::sim::{self, Shared};
use tresen_payment::zvt::sim::Simulator;

/// Ends with everything on it when it is dropped.
pub(crate) struct Cable {
    ends: Arc<Ends>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Ends {
    till: Mutex<Option<Arc<Memory>>>,
    terminal: Mutex<Option<Arc<Memory>>>,
}

impl Cable {
    /// A terminal that hangs up is one that restarts.
    pub(crate) fn new(terminal: Shared<Simulator>) -> Self {
        let (ends, mut tasks) = (Arc::new(Ends::default()), JoinSet::new());
        let both = ends.clone();
        tasks.spawn(async move {
            loop {
                let (near, far) = memory::pair();
                let near = Arc::new(near);
                *both.terminal.lock().expect("whole") = Some(near.clone());
                let serving = async {
                    sim::link(&far, &terminal).await;
                    drop(far);
                };
                tokio::join!(serving, carry(&near, &both.till));
            }
        });
        Self { ends, tasks }
    }

    /// The till's end, for a new till.
    pub(crate) async fn plug_in(&mut self) -> Memory {
        let (near, far) = memory::pair();
        let far = Arc::new(far);
        *self.ends.till.lock().expect("whole") = Some(far.clone());
        let both = self.ends.clone();
        self.tasks.spawn(async move { carry(&far, &both.terminal).await });
        // The terminal is there.
        tokio::task::yield_now().await;
        near
    }
}

/// Carries what comes from one end to whoever is at the other, until the first one is gone.
async fn carry(from: &Memory, to: &Mutex<Option<Arc<Memory>>>) {
    let mut chunk = Vec::new();
    while from.recv(&mut chunk).await.is_ok() {
        let to = to.lock().expect("whole").clone();
        if let Some(to) = to {
            to.send(&chunk).await.ok();
        }
        chunk.clear();
    }
}
