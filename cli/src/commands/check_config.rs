use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use tresen::config::Severity;
use tresen::{Config, Result};

use crate::devices;
use crate::out::Out;

/// Check a till's configuration without opening any device
///
/// Checks every key, address, option and route, and reports each problem with file, line, key and the
/// allowed values. Exit status: 0 if the till would open, with or without warnings; 1 if not.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The configuration, such as till.toml
    file: PathBuf,
}

pub(crate) fn run(args: &Args, out: &Out) -> Result<ExitCode> {
    let checked = Config::check_file(&args.file, devices::drivers())?;
    let count = |severity| checked.problems.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors == 0 {
        tell(&checked.config, *out);
    }
    for problem in &checked.problems {
        out.problem(problem);
    }
    let file = args.file.display();
    if errors > 0 {
        out.say(format_args!("{file}: {}", counted(errors, warnings)));
        return Ok(ExitCode::FAILURE);
    }
    match warnings {
        0 => out.say(format_args!("{file}: OK")),
        _ => out.say(format_args!("{file}: OK, {}", counted(0, warnings))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the devices and routes, one per line.
fn tell(config: &Config, out: Out) {
    for (id, device) in &config.devices {
        let addresses: Vec<_> = device.address.iter().map(|a| a.label()).collect();
        out.answer(
            &json!({ "class": id.class, "name": id.name, "addresses": addresses }),
            format_args!("{id}: {}", addresses.join(", ")),
        );
    }
    for (route, printers) in &config.routes {
        out.answer(
            &json!({ "class": "route", "name": route, "printers": printers }),
            format_args!("route {route}: {}", printers.join(", then ")),
        );
    }
}

/// `2 errors, 1 warning`
pub(super) fn counted(errors: usize, warnings: usize) -> String {
    let some = |n: usize, what: &str| match n {
        0 => None,
        1 => Some(format!("1 {what}")),
        n => Some(format!("{n} {what}s")),
    };
    [some(errors, "error"), some(warnings, "warning")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
