use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tresen::{Error, Kind, Result, Tresen};
use tresen_remote::attach::wire::Attached;
use tresen_remote::attach::{Offer, Standing};
use tresen_remote::client::{Client, Connection, Options};
use tresen_remote::trust::{Credentials, Identity};

use crate::interrupts::Interrupts;
use crate::out::Out;

/// Offer this machine's devices to a till, where they appear as devices of its own
///
/// Connects, and again whenever the connection is lost, until Ctrl-C. The client's certificate is renewed in time. The devices
/// go on serving this machine. A printer `belt` of the station `handheld 7` is `belt.7` at the till.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen attach wss://192.0.2.10:7443 --config handheld.toml --identity till-1
  tresen attach wss://192.0.2.10:7443 --config handheld.toml --json      one line a change, for scripts")]
pub(crate) struct Args {
    /// The till's address, such as wss://192.0.2.10:7443
    url: String,

    /// The configuration of this machine's devices
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// The folder that `tresen join` has made; default: `<database>.client`, such as handheld.db.client
    #[arg(long, value_name = "FOLDER")]
    identity: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let mut interrupts = Interrupts::new();
    let here = Tresen::open(&args.config).await?;
    let attached = tokio::select! {
        biased;
        () = interrupts.next() => Ok(()),
        done = attach(&args, &here, out) => done,
    };
    let closed = here.close(CLOSE).await;
    attached.and(closed)
}

/// Ends only when this program may not offer anything.
async fn attach(args: &Args, here: &Tresen, out: &Out) -> Result<()> {
    let folder = args.identity.clone().unwrap_or_else(|| Credentials::folder(here.store().path()));
    let identity = Identity::open(&folder)?;
    let offer = Offer::of(here);
    let mut standing = offer.standing();
    let options = Options::new(here.runtime().clone()).offer(offer);
    let client = Client::lazy(identity.dial(&args.url)?, options)?;
    let mut state = client.state();
    loop {
        connection(&mut state, out);
        if let Standing::Replaced { .. } = offered(&mut standing, out) {
            let error = Error::new(Kind::Busy, "another program offers the devices of this identity now").at(&args.url);
            return Err(error.hint("each program that attaches devices needs an identity of its own: `tresen join`"));
        }
        tokio::select! {
            biased;
            changed = state.changed() => if changed.is_err() { return Ok(()) },
            changed = standing.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

/// Shows whether the till is there, if that has changed.
fn connection(state: &mut watch::Receiver<Connection>, out: &Out) {
    if !state.has_changed().unwrap_or(false) {
        return;
    }
    match &*state.borrow_and_update() {
        Connection::Connected(till) => {
            let facts = json!({ "connected": { "till": till.till, "name": till.name, "you": till.you } });
            out.answer(&facts, format_args!("connected to {} as {}", till.name, till.you));
        }
        Connection::Away { why } => out.answer(&json!({ "away": why }), format_args!("away: {why}")),
        _ => {}
    }
}

/// Shows what became of the offer, if that has changed.
fn offered(standing: &mut watch::Receiver<Standing>, out: &Out) -> Standing {
    let changed = standing.has_changed().unwrap_or(false);
    let now = standing.borrow_and_update().clone();
    if changed && let Standing::Attached { devices } = &now {
        for attached in devices {
            let Attached { device, name, refused } = attached;
            match (name, refused) {
                (_, Some(why)) => out.row(attached, format_args!("{device} was not taken: {why}")),
                (Some(name), None) => out.row(attached, format_args!("{device} is {name} at the till")),
                (None, None) => {}
            }
        }
    }
    now
}

/// How long running calls may take at the end.
const CLOSE: Duration = Duration::from_secs(10);
