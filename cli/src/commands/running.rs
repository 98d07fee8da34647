//! The till that has a database open, if there is one.

use std::path::Path;

use tresen::api::{Client, socket};
use tresen::{Kind, Result};

/// Connects to the running till of a database; none if nobody answers there.
///
/// # Errors
/// It is another user's, does not answer, or has as many clients as it takes.
pub(super) async fn till(store: &Path) -> Result<Option<Client>> {
    match Client::connect(&socket::path(store)).await {
        Ok(client) => Ok(Some(client.on_behalf_of("the command tresen"))),
        // No Unix sockets here: then there is nobody to ask.
        Err(error) if error.kind() == Kind::NotFound || cfg!(not(unix)) => Ok(None),
        Err(error) => Err(error),
    }
}
