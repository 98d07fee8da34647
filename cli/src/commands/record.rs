use std::path::PathBuf;

use serde_json::json;
use tresen::hal::link::{Link, record::Record, relay, tcp::Tcp};
use tresen::{Address, Kind, Result};

use super::sim::bind;
use crate::devices;
use crate::out::Out;

/// Record what passes between a till and its device
///
/// Point the till at HOST:PORT: everything is passed on to the device and recorded, with times, as text
/// that a person can read and `tresen replay` can play back. Card data and passwords of payment terminals
/// are masked. Without --listen, only what the device sends by itself is recorded: a scanner's codes, a
/// printer's status.
///
/// A till that uses tresen needs nothing in between: add the option `record=FILE` to the address.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The device, such as zvt+tcp://10.0.0.30 or scanner+serial:///dev/ttyACM0
    #[arg(value_parser = devices::address)]
    address: Address,

    /// The recording; an existing file is not overwritten
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
        Record::to_file(link, &args.output, &label, devices::drivers().redactor(&args.address))
    };
    let Some(listen) = &args.listen else {
        let link = open().await?;
        out.say(format_args!("recording what {label} sends to {}; Ctrl-C ends", args.output.display()));
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
            None => match open().await {
                Ok(device) => device,
                // It may be back when the till connects again.
                Err(error) => {
                    out.failed(&error);
                    continue;
                }
            },
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
