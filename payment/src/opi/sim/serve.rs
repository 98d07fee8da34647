//! Gives a [`Simulator`] connections: accepts tills on channel 0, and connects to one on channel 1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tresen_hal::link::{Connect, Listen, Reached};
use tresen_hal::sim::Shared;
use tresen_hal::{Address, Result};

use super::{Action, Conn, Simulator};
pub use crate::serving::Server;
use crate::serving::{self, Device};

/// Serves `device` on `listener`; its channel 1 goes to the till at `till`, `HOST:PORT`, if there is one.
///
/// # Errors
/// The listener has no local address, or `till` is none.
pub fn tcp(listener: TcpListener, till: Option<&str>, device: Shared<Simulator>) -> Result<(Server, SocketAddr)> {
    let at = listener.local_addr()?;
    let address = till.map(|till| format!("opi+tcp://{till}").parse::<Address>()).transpose()?;
    let till = address.map(|address| Arc::new(Reached::new(address)) as Arc<dyn Connect>);
    Ok((Server::new(Box::new(listener), till, device), at))
}

/// Serves `device` until nobody can connect any more.
pub async fn serve(listen: Box<dyn Listen>, till: Option<Arc<dyn Connect>>, device: Shared<Simulator>) {
    serving::serve(listen, till, device).await;
}

impl Device for Simulator {
    fn accepted(&mut self) -> Conn {
        Self::accepted(self)
    }
    fn dialled(&mut self, conn: Conn, reached: bool, now: Instant) {
        Self::dialled(self, conn, reached, now);
    }
    fn input(&mut self, conn: Conn, bytes: &[u8], now: Instant) {
        Self::input(self, conn, bytes, now);
    }
    fn gone(&mut self, conn: Conn, now: Instant) {
        Self::gone(self, conn, now);
    }
    fn deadline(&self) -> Option<Instant> {
        Self::deadline(self)
    }
    fn timeout(&mut self, now: Instant) {
        Self::timeout(self, now);
    }
    fn next_action(&mut self) -> Option<Action> {
        Self::next_action(self)
    }
}
