//! One device that no till holds: opened, asked, and, if that fails, found out why.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use tresen::hal::address::LinkKind;
use tresen::hal::discovery::{self, Access};
use tresen::hal::link;
use tresen::{Address, Cameras, Class, Error, Kind, Result, Scanners};

use super::finding::{Finding, State};
use super::{holder, reach, scanner, serial};
use crate::commands::diagnose::diagnosed;
use crate::commands::info;
use crate::devices;

/// Time limit per device. A terminal that is serving a customer may exceed it and is then reported as not answering.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tries the addresses in order: the first that answers, or why none does.
pub(super) async fn check(subject: String, addresses: Vec<Address>) -> Finding {
    let mut failed: Vec<Finding> = Vec::new();
    for address in addresses {
        // A diagnostic connection is not worth recording.
        let address = without(&address, "record");
        let label = address.label();
        let finding = match timeout(PATIENCE, ask(&address)).await {
            Ok(Ok(finding)) if failed.is_empty() => return Finding { subject, ..finding },
            Ok(Ok(finding)) => {
                let before: Vec<_> = failed.iter().map(|f| f.what.as_str()).collect();
                let what = format!("{}; but {}", finding.what, before.join("; "));
                let hint = failed.pop().and_then(|f| f.hint);
                let evidence = failed.into_iter().flat_map(|f| f.evidence).collect();
                return Finding { state: State::Warning, subject, what, evidence, hint };
            }
            Ok(Err(error)) => why(&subject, &address, error).await,
            Err(_) => {
                let what = format!("no answer within {} s", PATIENCE.as_secs());
                let hint = "is it serving a customer or printing? otherwise switch it off and on";
                why(&subject, &address, Error::new(Kind::Timeout, what).at(&label).hint(hint)).await
            }
        };
        failed.push(finding);
    }
    let what: Vec<_> = failed.iter().map(|f| f.what.clone()).collect();
    let hint = failed.iter().rev().find_map(|f| f.hint.clone());
    let evidence = failed.into_iter().flat_map(|f| f.evidence).collect();
    Finding { state: State::Failed, subject, what: what.join("; "), evidence, hint }
}

/// Opens the device and queries its status.
async fn ask(address: &Address) -> Result<Finding> {
    let label = address.label();
    let ok = |what: String| Finding::ok("", format!("{label}: {what}"));
    match devices::drivers().class_of(address)? {
        Class::Printer => {
            let (_, value, state) = info::printer(address).await?;
            state?;
            let name = value["identity"]["model"].as_str().unwrap_or("a printer").to_owned();
            if value["status"]["paper"] == "near-end" {
                let low = Finding::warning("", format!("{label}: {name}, paper nearly empty"));
                return Ok(low.hint("have a new roll at hand"));
            }
            Ok(ok(name))
        }
        Class::Terminal => {
            let (_, value, state) = info::terminal(address).await?;
            state?;
            let id = value["status"]["terminal_id"].as_str().unwrap_or("not reported").to_owned();
            Ok(ok(format!("terminal {id}, ready")))
        }
        Class::Scanner => {
            devices::open::<Scanners>(address).await?.close().await;
            Ok(ok("opened".to_owned()))
        }
        _ => {
            devices::open::<Cameras>(address).await?.close().await;
            Ok(ok("opened".to_owned()))
        }
    }
}

/// Finds out why a device could not be asked.
pub(super) async fn why(subject: &str, address: &Address, error: Error) -> Finding {
    let error = diagnosed(address, error).await;
    let (kind, label) = (error.kind(), address.label());
    let mut finding = Finding::of(subject, &error);
    if label == subject {
        finding.what = error.what().to_owned();
    }
    match address.link() {
        // It answers and says what it needs.
        _ if kind == Kind::Operator => finding,
        LinkKind::Tcp { .. } | LinkKind::Https { .. } | LinkKind::Tls { .. } => {
            reach::explained(address, kind, finding).await
        }
        LinkKind::Serial { path } => match kind {
            // Another program has it, unless it can be opened: then it is the device that does not answer.
            Kind::Busy if link::open(address).await.is_err() => held(finding, holder::of_file(Path::new(path))),
            Kind::Permission => whose(Path::new(path), finding),
            Kind::NotFound => connected(address, scanner::other_modes(address, finding).await).await,
            Kind::Timeout | Kind::Protocol | Kind::Closed | Kind::Busy if is_printer(address) => {
                serial::rates(address, finding).await
            }
            _ => finding,
        },
        LinkKind::Usb(_) | LinkKind::Hid(_) | LinkKind::Evdev(_) | LinkKind::V4l2 { .. } => {
            let finding = if kind == Kind::NotFound { scanner::other_modes(address, finding).await } else { finding };
            connected(address, finding).await
        }
        _ => finding,
    }
}

fn is_printer(address: &Address) -> bool {
    devices::drivers().class_of(address).is_ok_and(|class| class == Class::Printer)
}

fn held(finding: Finding, by: Option<String>) -> Finding {
    match by {
        Some(by) => finding.seen(format!("{by} has it open")).hint("end that program, or let it have the device"),
        // The system tells one's own programs only.
        None => finding
            .seen("a program of another user has it open")
            .hint("run this with `sudo` to learn which one; end that program, or let it have the device"),
    }
}

/// What the system lists of a device that is connected here.
async fn connected(address: &Address, finding: Finding) -> Finding {
    let listed = discovery::list().await.found;
    let Some(found) = listed.iter().find(|found| found.fits(address)) else {
        let same = |found: &&discovery::Found| found.link.scheme() == address.link().scheme();
        return listed
            .iter()
            .filter(same)
            .fold(finding, |finding, found| finding.seen(format!("connected is: {found}")));
    };
    match &found.access {
        Access::Held { by } => held(finding, by.clone()),
        Access::Denied { next_step } => finding.seen("this user may not open it").hint(next_step.clone()),
        _ => finding.seen(format!("the system lists it: {}", found.about)),
    }
}

/// Who may open a device node, and the command that makes this user one of them.
#[cfg(unix)]
fn whose(path: &Path, finding: Finding) -> Finding {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let Ok(data) = std::fs::metadata(path) else { return finding };
    let mode = data.permissions().mode() & 0o777;
    let group = name_of(data.gid(), "/etc/group").unwrap_or_else(|| data.gid().to_string());
    let finding = finding.seen(format!("{} belongs to the group `{group}`, mode {mode:o}", path.display()));
    if mode & 0o060 == 0o060 && group != "root" {
        return finding.hint(format!("sudo usermod -aG {group} $USER, then log in again"));
    }
    finding.hint("give the device a group by a udev rule; `tresen list` prints one")
}

#[cfg(not(unix))]
fn whose(_: &Path, finding: Finding) -> Finding {
    finding
}

/// The name of an id. group(5): `name:password:id:members`.
#[cfg(unix)]
fn name_of(id: u32, file: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let id = id.to_string();
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&id))?;
    Some(line.split(':').next()?.to_owned())
}

/// The same address without the given option.
fn without(address: &Address, option: &str) -> Address {
    let same = Address::new(address.protocol(), address.link().clone());
    address.options().filter(|(name, _)| *name != option).fold(same, |a, (name, value)| a.with(name, value))
}

/// The same address with another value of an option.
pub(super) fn with(address: &Address, option: &str, value: &str) -> Address {
    without(address, option).with(option, value)
}
