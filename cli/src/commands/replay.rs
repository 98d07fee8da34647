use std::path::PathBuf;

use serde_json::json;
use tresen::Result;
use tresen::hal::link::{relay, replay::Replay, tcp::Tcp};

use super::sim::bind;
use crate::out::Out;

/// Be the device of a recording
///
/// Answers what was answered when `tresen record` listened, as long as the till sends what was sent
/// then; says at which byte it does not. Each connection starts at the beginning. Within tresen the
/// recording itself is an address: escpos+replay:///FILE.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The recording
    file: PathBuf,

    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "HOST:PORT")]
    listen: String,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    // A file that is no recording is said so before anyone connects.
    Replay::open(&args.file)?;
    let listener = bind(&args.listen).await?;
    let at = listener.local_addr()?;
    out.answer(&json!({ "listening": at }), format_args!("{} answers at {at}; Ctrl-C ends", args.file.display()));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        tokio::select! {
            passed = async { relay(&Tcp::new(stream)?, &Replay::open(&args.file)?).await } => match passed {
                Ok(()) => out.say(format_args!("{peer} ended")),
                Err(error) => out.failed(&error),
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
