use serde_json::json;
use tresen::hal::sim::{self, Shared};
use tresen::scanners::Symbology;
use tresen::scanners::serial::sim::{Fault, Settings, Simulator};
use tresen::{Address, Result};

use super::traced::Traced;
use super::{bind, commands, next};
use crate::out::Out;

/// A barcode scanner on a TCP port, or on a pseudo-terminal as a serial scanner
///
/// Type codes on standard input as `scan CODE`. EAN, UPC and QR are recognised by the
/// code; everything else is Code 128. Commands: scan CODE, half CODE (the rest is lost), noise CODE (as with
/// a wrong baud rate), slow CODE (byte by byte), joined CODE (held back and sent with the next one),
/// quit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:4001", value_name = "HOST:PORT")]
    listen: String,

    /// Simulate a serial port instead
    #[cfg(all(unix, feature = "serial"))]
    #[arg(long, conflicts_with = "listen")]
    pty: bool,

    /// Send no AIM identifiers
    #[arg(long)]
    no_aim: bool,

    /// Send no terminator after a code
    #[arg(long)]
    no_suffix: bool,
}

const HELP: &str = "scan CODE | half CODE | noise CODE | slow CODE | joined CODE | quit";

pub(crate) async fn run(args: Args, out: Out) -> Result<()> {
    let mut settings = Settings::default();
    settings.aim = !args.no_aim;
    if args.no_suffix {
        settings.suffix.clear();
    }
    let traced = Traced::new(Simulator::new(settings), Address::tcp("scanner", "localhost", 1));
    let device = Shared::new(traced);
    let _served = serve(&args, &device, out).await?;
    let mut lines = commands();
    loop {
        let line = tokio::select! {
            line = next(&mut lines) => line,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match line.split_once(' ').map_or((line.as_str(), ""), |(word, code)| (word, code.trim())) {
            ("", _) => {}
            ("quit", _) => return Ok(()),
            (word, code) if !code.is_empty() && obey(&device, word, code) => {
                out.answer(&json!({ "scanned": code }), format_args!("scanned {code}"));
            }
            _ => out.say(HELP),
        }
    }
}

/// Keeps the simulator served.
enum Served {
    Tcp {
        _server: sim::Server,
    },
    #[cfg(all(unix, feature = "serial"))]
    Pty {
        _pty: sim::Pty,
    },
}

async fn serve(args: &Args, device: &Shared<Traced<Simulator>>, out: Out) -> Result<Served> {
    let told = |address: String| {
        out.answer(&json!({ "address": address }), format_args!("{address}; Ctrl-C stops, `help` lists the commands"));
    };
    #[cfg(all(unix, feature = "serial"))]
    if args.pty {
        let pty = sim::pty(device.clone())?;
        told(format!("scanner+serial://{}", pty.path));
        return Ok(Served::Pty { _pty: pty });
    }
    let (server, at) = sim::tcp(bind(&args.listen).await?, device.clone())?;
    told(format!("scanner+tcp://{at}"));
    Ok(Served::Tcp { _server: server })
}

/// Executes an operator's command; false if it is unknown.
fn obey(device: &Shared<Traced<Simulator>>, word: &str, code: &str) -> bool {
    let fault = match word {
        "scan" => None,
        "half" => Some(Fault::Truncated),
        "noise" => Some(Fault::Noise),
        "slow" => Some(Fault::Slow),
        "joined" => Some(Fault::TwoInOneChunk),
        _ => return false,
    };
    device.with(|d| {
        if let Some(fault) = fault {
            d.device.fault_next(fault);
        }
        d.device.scan(code, symbology(code));
    });
    true
}

/// The symbology usually used for such a code.
fn symbology(code: &str) -> Symbology {
    let digits = code.bytes().all(|b| b.is_ascii_digit());
    match code.len() {
        13 if digits => Symbology::Ean13,
        12 if digits => Symbology::UpcA,
        8 if digits => Symbology::Ean8,
        _ if code.contains("://") => Symbology::Qr,
        _ => Symbology::Code128,
    }
}
