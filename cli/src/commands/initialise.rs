use tresen::Result;

use super::terminal::{At, administer};
use crate::out::Out;

/// Initialise a terminal at its host
///
/// No money moves. A terminal says by `tresen info` when it has to be initialised.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    administer(args.at, out, "the terminal is initialised", async |terminal| terminal.initialise().await).await
}
