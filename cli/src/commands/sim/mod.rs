//! Simulated devices for other software.

#[cfg(feature = "tls")]
mod certificate;
mod line;
mod nexo;
mod opi;
mod panel;
mod paytec;
mod place;
mod printer;
mod scanner;
mod terminal;
mod traced;
mod zvt;

use std::io::BufRead;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tresen::Result;
use tresen::hal::Error;

use crate::out::Out;

/// Simulate a device for other software
///
/// A simulator speaks the device's real protocol and misbehaves on request. While running it accepts
/// commands on standard input; `help` lists them.
#[derive(clap::Subcommand)]
pub(crate) enum Args {
    Printer(printer::Args),
    Scanner(scanner::Args),
    Terminal(terminal::Args),
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    match args {
        Args::Printer(args) => printer::run(args, *out).await,
        Args::Scanner(args) => scanner::run(args, *out).await,
        Args::Terminal(args) => terminal::run(args, *out).await,
    }
}

/// Listens at `HOST:PORT`; the host may be a name.
pub(super) async fn bind(listen: &str) -> Result<TcpListener> {
    let hint = "write HOST:PORT, such as 127.0.0.1:9100; is another program listening there?";
    TcpListener::bind(listen).await.map_err(|e| Error::from(e).at(listen).hint(hint))
}

/// Lines of standard input, read on a separate thread.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (to, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
            if to.send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line. Never returns once standard input has ended.
async fn next(lines: &mut mpsc::UnboundedReceiver<String>) -> String {
    match lines.recv().await {
        Some(line) => line,
        None => std::future::pending().await,
    }
}
