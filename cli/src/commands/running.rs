//! Connects to the till that has a database open, if there is one.

use std::path::Path;

use tresen::api::{Client, socket};
use tresen::{Kind, Result};

/// Connects to the running till of a database; `None` if no till is running.
///
/// # Errors
/// The socket belongs to another user, the till does not answer, or it has reached its limit of clients.
pub(super) async fn till(store: &Path) -> Result<Option<Client>> {
    match Client::connect(&socket::path(store)).await {
        Ok(client) => Ok(Some(client.on_behalf_of("the command tresen"))),
        // Without Unix sockets there is no till to connect to.
        Err(error) if error.kind() == Kind::NotFound || cfg!(not(unix)) => Ok(None),
        Err(error) => Err(error),
    }
}
