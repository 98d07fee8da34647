//! The till's server in one life of the till.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tresen::Tresen;
use tresen_remote::server::{Options, Server};
use tresen_remote::trust::memory::Guests;
use tresen_remote::trust::{By, Principal};

use crate::world::World;

/// Where connections to the till arrive. Who is let in outlives the till, as in its database.
#[derive(Debug, Default)]
pub struct Door {
    guests: Arc<Guests>,
    bell: Mutex<Option<UnboundedSender<Knock>>>,
}

/// What happens at the door.
#[derive(Debug)]
enum Knock {
    /// A connection, from this address.
    Stream(DuplexStream, String),
    /// The server is restarted, in an orderly way or not; the till goes on.
    Restart(bool),
    /// The server ends in an orderly way.
    Close(oneshot::Sender<()>),
}

impl Door {
    /// Lets a handheld in, by its name.
    pub fn admit(&self, name: &str) {
        let grants = RIGHTS.parse().expect("rights");
        let by = By::Token { id: name.to_owned() };
        self.guests.admit(name, Principal { name: name.to_owned(), station: None, grants, expires: None, by });
    }

    /// A connection arrives; false if nobody listens.
    pub fn arrive(&self, stream: DuplexStream, address: String) -> bool {
        self.knock(Knock::Stream(stream, address))
    }

    /// Restarts the server, not the till.
    pub fn restart(&self, orderly: bool) {
        self.knock(Knock::Restart(orderly));
    }

    /// Ends the server, if there is one.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.knock(Knock::Close(done)) {
            closed.await.ok();
        }
    }

    /// A life of the till begins: call it within its runtime.
    pub fn open(world: &Arc<World>, till: &Tresen) {
        let (bell, knocks) = unbounded_channel();
        *world.door.bell.lock().unwrap_or_else(PoisonError::into_inner) = Some(bell);
        tokio::spawn(serve(world.clone(), till.clone(), knocks));
    }

    fn knock(&self, knock: Knock) -> bool {
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        bell.as_ref().is_some_and(|bell| bell.send(knock).is_ok())
    }
}

/// Serves until the till dies or the shop closes.
async fn serve(world: Arc<World>, till: Tresen, mut knocks: UnboundedReceiver<Knock>) {
    loop {
        let server = match Server::start(&till, world.door.guests.clone(), Options::default()) {
            Ok(server) => server,
            Err(error) => return world.violated(format!("the till does not serve: {error}")),
        };
        world.story.trace(format_args!("the server runs as {}", server.run()));
        let orderly = loop {
            match knocks.recv().await {
                Some(Knock::Stream(stream, address)) => {
                    if let Err(error) = server.serve(stream, address, None) {
                        world.violated(format!("the server takes no connection: {error}"));
                    }
                }
                Some(Knock::Restart(orderly)) => break orderly,
                Some(Knock::Close(done)) => {
                    server.close(WITHIN).await;
                    done.send(()).ok();
                    return;
                }
                None => return,
            }
        };
        if orderly {
            server.close(WITHIN).await;
        }
    }
}

const RIGHTS: &str = "watch sell print drawer scan camera pay refund settle configure attach";
/// How long a server that ends waits for what runs.
const WITHIN: Duration = Duration::from_secs(10);
