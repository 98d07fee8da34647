use std::path::PathBuf;
use std::time::Duration;

use tresen::{Result, Tresen};
use tresen_remote::serve;

use crate::interrupts::Interrupts;
use crate::out::Out;

/// Open a till and serve it to handhelds, browsers and other programs
///
/// Listens as the section `remote` of the configuration says, until Ctrl-C or SIGTERM: then what runs is finished, the
/// clients are told, and the till is closed. A second Ctrl-C does not wait.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's configuration, such as till.toml
    file: PathBuf,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let mut stop = Stop::new();
    let till = Tresen::open(&args.file).await?;
    let serving = match serve(&till).await {
        Ok(serving) => serving,
        Err(error) => {
            till.close(CLOSE).await.ok();
            return Err(error);
        }
    };
    let name = till.config().till.name.clone();
    let plain = serving.server().plain().map(|at| format!("http://{at}"));
    let facts = serde_json::json!({
        "till": till.store().till(),
        "name": name,
        "run": serving.server().run(),
        "addresses": serving.addresses(),
        "plain": plain,
    });
    let mut lines = format!("{name} is served at");
    for address in serving.addresses().iter().chain(&plain) {
        lines.push_str(&format!("\n  {address}"));
    }
    let file = args.file.display();
    lines.push_str(&format!("\nLet a handheld in:  tresen enrol {file} NAME --rights \"print pay\""));
    lines.push_str(&format!("\nLet a page in:      tresen token {file} NAME --rights \"watch sell\""));
    out.answer(&facts, lines);
    stop.next().await;
    out.note("the till stops; running calls are finished first");
    let ending = async {
        serving.close(FINISH).await;
        till.close(CLOSE).await
    };
    tokio::select! {
        biased;
        ended = ending => ended,
        // Jobs and payments are on disk; the next start goes on with them.
        () = stop.next() => Ok(()),
    }
}

/// Ctrl-C and, on Unix, SIGTERM.
struct Stop {
    interrupts: Interrupts,
    #[cfg(unix)]
    terminations: Option<tokio::signal::unix::Signal>,
}

impl Stop {
    fn new() -> Self {
        Self {
            interrupts: Interrupts::new(),
            #[cfg(unix)]
            terminations: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok(),
        }
    }

    /// Waits for the next one. Cancel-safe.
    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(terminations) = &mut self.terminations {
            tokio::select! {
                biased;
                () = self.interrupts.next() => {}
                _ = terminations.recv() => {}
            }
            return;
        }
        self.interrupts.next().await;
    }
}

/// How long running calls may take when the till stops.
const FINISH: Duration = Duration::from_secs(30);
/// How long devices may take after that.
const CLOSE: Duration = Duration::from_secs(10);
