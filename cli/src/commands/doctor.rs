use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;
use tresen::config::Severity;
use tresen::hal::{Clock, Error};
use tresen::{Address, Cameras, Class, Config, Kind, Result, Scanners, SystemClock};

use super::check_config::counted;
use super::diagnose::diagnosed;
use super::info;
use crate::devices;
use crate::out::Out;

/// Check everything at once: configuration, database, clock, and each device
///
/// Opens each device and queries its status; where another service answers at an address, it is named if it
/// can be identified. Nothing is printed, no drawer opens, no money moves, and nothing is written. Run it while the
/// till is closed: most devices serve one program at a time. Exit status: 1 if any check failed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A till's configuration, or the address of one device such as escpos+tcp://10.0.0.20
    #[arg(default_value = "till.toml", value_name = "FILE|ADDRESS")]
    what: String,
}

/// The result of one check.
#[derive(Serialize)]
struct Finding {
    state: State,
    subject: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Warning,
    Failed,
}

/// Time limit per device. A terminal that is serving a customer may exceed it and is then reported as not answering.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let mut findings = vec![clock()];
    if args.what.contains("://") {
        let address = devices::address(&args.what)?;
        findings.push(device(address.label(), vec![address]).await);
    } else {
        till(&PathBuf::from(&args.what), &mut findings).await;
    }
    let width = findings.iter().map(|f| f.subject.chars().count()).max().unwrap_or_default();
    for finding in &findings {
        tell(finding, width, *out);
    }
    let count = |state| findings.iter().filter(|f| f.state == state).count();
    let (failed, warnings) = (count(State::Failed), count(State::Warning));
    if failed > 0 {
        let what = format!("{} of {} checks failed", failed, findings.len());
        return Err(Error::new(Kind::Config, what).at(&args.what));
    }
    match warnings {
        0 => out.say("no problems found"),
        _ => out.say(format_args!("OK, {}", counted(0, warnings))),
    }
    Ok(())
}

async fn till(file: &Path, findings: &mut Vec<Finding>) {
    let name = file.display().to_string();
    let checked = match Config::check_file(file, devices::drivers()) {
        Ok(checked) => checked,
        Err(error) => return findings.push(Finding::failed(name, &error)),
    };
    for problem in &checked.problems {
        let line = problem.line.map_or(String::new(), |line| format!(":{line}"));
        let key = if problem.key.is_empty() { String::new() } else { format!("key `{}`: ", problem.key) };
        findings.push(Finding {
            state: if problem.severity == Severity::Error { State::Failed } else { State::Warning },
            subject: format!("{name}{line}"),
            what: format!("{key}{}", problem.what),
            hint: problem.hint.clone(),
        });
    }
    let config = checked.config;
    if checked.problems.is_empty() {
        findings.push(Finding::new(State::Ok, name, "OK"));
    }
    if checked.problems.iter().any(|p| p.severity == Severity::Error) {
        return;
    }
    findings.push(store(&config.till.store));
    let devices = config.devices.iter();
    let running: Vec<_> =
        devices.map(|(id, device)| tokio::spawn(self::device(id.to_string(), device.addresses()))).collect();
    for task in running {
        match task.await {
            Ok(finding) => findings.push(finding),
            Err(error) => {
                findings.push(Finding::new(State::Failed, "a device", &format!("its check panicked: {error}")));
            }
        }
    }
}

fn clock() -> Finding {
    let now = SystemClock.wall();
    let made = "2026-01-01T00:00:00Z".parse().expect("a timestamp");
    let text = format!("{now:.0}");
    if now >= made {
        return Finding::new(State::Ok, "clock", &text);
    }
    let finding = Finding::new(State::Failed, "clock", &format!("{text} is before this program's release"));
    Finding { hint: Some("set the clock: receipts, journal and certificates depend on it".into()), ..finding }
}

/// Checks the database file without opening it for writing.
fn store(file: &Path) -> Finding {
    let subject = "store";
    let data = match std::fs::metadata(file) {
        Ok(data) => data,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::new(State::Ok, subject, &format!("{} will be created at the first start", file.display()));
        }
        Err(error) => return Finding::failed(subject, &Error::file(file, error)),
    };
    let mut head = [0; 16];
    let read = std::fs::File::open(file).and_then(|mut f| std::io::Read::read_exact(&mut f, &mut head));
    if let Err(error) = read.or_else(|e| if data.len() == 0 { Ok(()) } else { Err(e) }) {
        return Finding::failed(subject, &Error::file(file, error));
    }
    let size = data.len().div_ceil(1024);
    if data.len() > 0 && head != *b"SQLite format 3\0" {
        return Finding::new(State::Failed, subject, &format!("{} is not a database", file.display()));
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o077 != 0 {
        let finding = Finding::new(State::Warning, subject, &format!("{} can be read by others", file.display()));
        return Finding { hint: Some(format!("chmod 600 {0}*", file.display())), ..finding };
    }
    if data.permissions().readonly() {
        return Finding::new(State::Failed, subject, &format!("{} cannot be written", file.display()));
    }
    Finding::new(State::Ok, subject, &format!("{}, {size} KiB", file.display()))
}

/// Tries the addresses in order: the first that answers, or why none does.
async fn device(subject: String, addresses: Vec<Address>) -> Finding {
    let mut failed: Vec<String> = Vec::new();
    let mut hint = None;
    for address in addresses {
        // A diagnostic connection is not worth recording.
        let address = without(&address, "record");
        let label = address.label();
        match timeout(PATIENCE, ask(&address)).await {
            Ok(Ok(what)) if failed.is_empty() => return Finding::new(State::Ok, subject, &what),
            Ok(Ok(what)) => {
                let what = format!("{what}; but {}", failed.join("; "));
                return Finding { hint, ..Finding::new(State::Warning, subject, &what) };
            }
            Ok(Err(error)) => {
                let error = diagnosed(&address, error).await;
                hint = error.next_step().map(str::to_owned).or(hint);
                let place = if label == subject { String::new() } else { format!("{label}: ") };
                failed.push(format!("{place}{}", error.what()));
            }
            Err(_) => failed.push(format!("{label}: no answer within {} s", PATIENCE.as_secs())),
        }
    }
    Finding { hint, ..Finding::new(State::Failed, subject, &failed.join("; ")) }
}

/// Opens the device and queries its status.
async fn ask(address: &Address) -> Result<String> {
    let label = address.label();
    match devices::drivers().class_of(address)? {
        Class::Printer => {
            let (_, value, state) = info::printer(address).await?;
            state?;
            let name = value["identity"]["model"].as_str().unwrap_or("a printer").to_owned();
            let low = value["status"]["paper"] == "near-end";
            Ok(format!("{label}: {name}{}", if low { ", paper nearly empty" } else { "" }))
        }
        Class::Terminal => {
            let (_, value, state) = info::terminal(address).await?;
            state?;
            let id = value["status"]["terminal_id"].as_str().unwrap_or("not reported").to_owned();
            Ok(format!("{label}: terminal {id}, ready"))
        }
        Class::Scanner => {
            devices::open::<Scanners>(address).await?.close().await;
            Ok(format!("{label}: opened"))
        }
        _ => {
            devices::open::<Cameras>(address).await?.close().await;
            Ok(format!("{label}: opened"))
        }
    }
}

/// The same address without the given option.
fn without(address: &Address, option: &str) -> Address {
    let same = Address::new(address.protocol(), address.link().clone());
    address.options().filter(|(name, _)| *name != option).fold(same, |a, (name, value)| a.with(name, value))
}

fn tell(finding: &Finding, width: usize, out: Out) {
    let state = match finding.state {
        State::Ok => "ok     ",
        State::Warning => "warning",
        State::Failed => "FAILED ",
    };
    let hint = finding.hint.as_ref().map_or(String::new(), |hint| format!("\n{:9}{:width$}  → {hint}", "", ""));
    out.answer(&json!(finding), format_args!("{state}  {:width$}  {}{hint}", finding.subject, finding.what));
}

impl Finding {
    fn new(state: State, subject: impl Into<String>, what: &str) -> Self {
        Self { state, subject: subject.into(), what: what.into(), hint: None }
    }

    fn failed(subject: impl Into<String>, error: &Error) -> Self {
        let subject = subject.into();
        let place = error.device().filter(|device| *device != subject).map_or(String::new(), |d| format!("{d}: "));
        let what = format!("{place}{}", error.what());
        Self { state: State::Failed, subject, what, hint: error.next_step().map(str::to_owned) }
    }
}
