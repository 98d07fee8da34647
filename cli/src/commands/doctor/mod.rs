mod clock;
mod device;
pub(crate) mod finding;
mod holder;
mod reach;
mod scanner;
mod serial;
mod store;
mod till;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tresen::hal::Error;
use tresen::{Kind, Result};

use self::finding::{Finding, State};
use super::check_config::counted;
use crate::devices;
use crate::out::Out;

/// Find out what is wrong, and say the next step: configuration, database, clock, and each device
///
/// For each device it finds out: whether it is reachable; whether the port, the protocol, TLS, the password
/// and the baud rate are right; whether this user may open it, and which program holds it; whether it needs
/// paper; whether its clock is right. If the till is running, the till is asked about the devices that it
/// has, and only those that it cannot reach are probed. Nothing is printed, no drawer opens, no money moves,
/// and nothing is written. Exit status: 1 if any check failed.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen doctor till.toml
  tresen doctor escpos+tcp://10.0.0.20
  tresen doctor 'escpos+serial:///dev/ttyUSB0?baud=9600'   tries the other rates if it does not answer
  tresen doctor scanner+serial:///dev/ttyACM0 --scan       with a code to scan
  tresen --json doctor till.toml | jq 'select(.state != \"ok\")'")]
pub(crate) struct Args {
    /// A till's configuration or database, or the address of one device such as escpos+tcp://10.0.0.20
    #[arg(default_value = "till.toml", value_name = "FILE|ADDRESS")]
    what: String,

    /// Wait this long for somebody to scan a code, to check a scanner's mode and baud rate
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    scan: Option<u64>,
}

/// The findings about a till as text: for a support bundle.
pub(super) async fn report(file: &Path) -> String {
    let mut findings = vec![clock::host().await];
    till::check(file, &mut findings).await;
    let width = width(&findings);
    findings.iter().map(|finding| finding.text(width) + "\n").collect()
}

fn width(findings: &[Finding]) -> usize {
    findings.iter().map(|f| f.subject.chars().count()).max().unwrap_or_default()
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let mut findings = vec![clock::host().await];
    let mut what = args.what;
    if what.contains("://") {
        let address = devices::address(&what)?;
        // Without the address's secrets.
        what = address.label();
        let checked = device::check(what.clone(), vec![address.clone()]).await;
        let opened = checked.state != State::Failed;
        findings.push(checked);
        if let Some(seconds) = args.scan.filter(|_| opened) {
            findings.push(scanner::scanned(&address, Duration::from_secs(seconds), *out).await);
        }
    } else {
        till::check(&PathBuf::from(&what), &mut findings).await;
    }
    let width = width(&findings);
    for finding in &findings {
        finding.tell(width, *out);
    }
    let count = |state| findings.iter().filter(|f| f.state == state).count();
    let (failed, warnings) = (count(State::Failed), count(State::Warning));
    if failed > 0 {
        let checked = format!("{} of {} checks failed", failed, findings.len());
        return Err(Error::new(Kind::Config, checked).at(what));
    }
    match warnings {
        0 => out.say("no problems found"),
        _ => out.say(format_args!("OK, {}", counted(0, warnings))),
    }
    Ok(())
}
