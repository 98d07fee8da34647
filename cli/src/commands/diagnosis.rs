use tresen::Result;

use super::terminal::{At, administer};
use crate::out::Out;

/// Have a terminal call its network operator
///
/// No money moves. `tresen doctor` looks at the till's side.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    administer(args.at, out, "the diagnosis is done", async |terminal| terminal.diagnose().await).await
}
