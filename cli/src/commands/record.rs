use std::path::PathBuf;

use serde_json::json;
use tresen::hal::link::{Link, record::Record, relay, tcp::Tcp};
use tresen::{Address, Kind, Result};

use super::sim::bind;
use crate::out::Out;

/// Write down what passes between a till and its device
///
/// Stands between the two: point the till at HOST:PORT, and everything is passed on to the device and
/// written down, with times, in text that a person can read and `tresen replay` can play back. Card
/// data of payment terminals is masked. Without --listen, what the device says by itself is written
/// down: a scanner's codes, a printer's status.
///
/// A till that uses tresen needs no one in between: add the option `record=FILE` to the address.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The device, such as zvt+tcp://10.0.0.30 or scanner+serial:///dev/ttyACM0
    address: Address,

    /// Where it is written down; a file that is there already is not overwritten
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Where the till connects to
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let label = args.address.label();
    let open = async || -> Result<Record<Box<dyn Link>>> {
        let link = tresen::hal::link::open(&args.address).await?;
        Record::to_file(link, &args.output, &label, tresen::redaction(&args.address))
    };
    let Some(listen) = &args.listen else {
        let link = open().await?;
        out.say(format_args!("writing what {label} says to {}; Ctrl-C ends", args.output.display()));
        let mut chunk = Vec::new();
        loop {
            tokio::select! {
                got = link.recv(&mut chunk) => {
                    got.map_err(|e| e.at(&label))?;
                }
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
            out.answer(&json!({ "received": chunk.len() }), format_args!("{} bytes", chunk.len()));
            chunk.clear();
        }
    };
    // The device must be there before a till is invited.
    let mut first = Some(open().await?);
    let listener = bind(listen).await?;
    let at = listener.local_addr()?;
    out.answer(
        &json!({ "listening": at }),
        format_args!("point the till at {at}; it is passed on to {label}; Ctrl-C ends"),
    );
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let device = match first.take() {
            Some(device) => device,
            None => open().await?,
        };
        out.say(format_args!("{peer} connected"));
        let till = Tcp::new(stream)?;
        tokio::select! {
            passed = relay(&till, &device) => match passed {
                Ok(()) => out.say(format_args!("{peer} ended")),
                Err(error) if error.kind() == Kind::Cancelled => return Ok(()),
                Err(error) => out.failed(&error),
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
