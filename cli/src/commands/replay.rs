use std::path::PathBuf;

use serde_json::json;
use tresen::Result;
use tresen::hal::link::{relay, replay::Replay, tcp::Tcp};

use super::sim::bind;
use crate::out::Out;

/// Stand in for a device, using a recording of it
///
/// Sends the recorded answers as long as the till sends the same bytes as in the recording, and reports the
/// first byte that differs. Each connection starts at the beginning. Within tresen a recording can be used
/// directly as an address: escpos+replay:///FILE.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The recording
    file: PathBuf,

    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "HOST:PORT")]
    listen: String,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    // A file that is not a recording is refused before anyone connects.
    Replay::open(&args.file)?;
    let listener = bind(&args.listen).await?;
    let at = listener.local_addr()?;
    out.answer(&json!({ "listening": at }), format_args!("{} answers at {at}; Ctrl-C stops", args.file.display()));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        tokio::select! {
            passed = async { relay(&Tcp::new(stream)?, &Replay::open(&args.file)?).await } => match passed {
                Ok(()) => out.say(format_args!("{peer} disconnected")),
                Err(error) => out.failed(&error),
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
