use std::path::PathBuf;

use tresen::Result;
use tresen::remote::Callers;

use super::super::running::{self, Till};
use crate::out::Out;

/// List who may call a till from outside: clients with a certificate, open sessions
///
/// Works on a running till and on the database of one that is closed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// Also clients that were revoked
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let store = running::store(&args.file)?;
    let callers = match running::open(&store, *out).await? {
        Till::Running(client) => client.call(tresen::api::remote::Clients {}).await?,
        Till::Closed(store) => Callers::of(&store).await?,
    };
    let clients: Vec<_> = callers.clients.iter().filter(|client| args.all || client.revoked.is_none()).collect();
    for client in &clients {
        let station = client.station.as_deref().map(|station| format!(" at {station}")).unwrap_or_default();
        let end = match &client.revoked {
            Some((at, why)) => format!("revoked {at:.0}: {why}"),
            None => format!("certificate until {:.0}", client.expires),
        };
        out.row(client, format_args!("{}{station}: {}; {end}", client.name, client.rights));
    }
    for session in &callers.sessions {
        let station = session.station.as_deref().map(|station| format!(" at {station}")).unwrap_or_default();
        let page = session.origin.as_deref().unwrap_or("a program without a page");
        let line = format!("{}{station}: {}; session of {page}", session.name, session.rights);
        out.row(session, format_args!("{line}, token until {:.0}", session.expires));
    }
    if clients.is_empty() && callers.sessions.is_empty() {
        out.say("nobody may call this till from outside");
    }
    Ok(())
}
