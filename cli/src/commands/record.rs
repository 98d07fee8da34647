use std::path::PathBuf;

use serde_json::json;
use tresen::hal::link::{Link, record::Record, relay, tcp::Tcp};
use tresen::{Address, Kind, Result};

use super::sim::bind;
use crate::devices;
use crate::out::Out;

/// Record the traffic between a till and its device
///
/// Point the till at HOST:PORT: all traffic is forwarded to the device and recorded with timestamps, as
/// readable text that `tresen replay` can play back. Card data and passwords of payment terminals are
/// masked. Without --listen, only what the device sends unprompted is recorded: a scanner's codes, a
/// printer's status.
///
/// A till that uses tresen needs no proxy: add the option `record=FILE` to the address.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The device, such as zvt+tcp://10.0.0.30 or scanner+serial:///dev/ttyACM0
    #[arg(value_parser = devices::address)]
    address: Address,

    /// The recording; an existing file is not overwritten
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Listen here for the till's connection
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
        out.say(format_args!("recording what {label} sends to {}; Ctrl-C stops", args.output.display()));
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
    // The device must be reachable before the till is asked to connect.
    let mut first = Some(open().await?);
    let listener = bind(listen).await?;
    let at = listener.local_addr()?;
    out.answer(
        &json!({ "listening": at }),
        format_args!("point the till at {at}; traffic is forwarded to {label}; Ctrl-C stops"),
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
                // The device may be back when the till reconnects.
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
                Ok(()) => out.say(format_args!("{peer} disconnected")),
                Err(error) if error.kind() == Kind::Cancelled => return Ok(()),
                Err(error) => out.failed(&error),
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
