use std::path::PathBuf;

use serde_json::json;
use tresen::{Config, Result};

use crate::out::Out;

/// Check a till's configuration without touching a device
///
/// Every key, address, option and route is checked. A fault is named with file, line, key and what
/// is allowed there.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The configuration, such as till.toml
    file: PathBuf,
}

pub(crate) fn run(args: &Args, out: &Out) -> Result<()> {
    let config = Config::load(&args.file)?;
    let devices = [
        ("printer", &config.printers),
        ("terminal", &config.terminals),
        ("scanner", &config.scanners),
        ("camera", &config.cameras),
    ];
    for (class, named) in devices {
        for (name, device) in named {
            let addresses: Vec<_> = device.address.iter().map(|a| a.label()).collect();
            out.answer(
                &json!({ "class": class, "name": name, "addresses": addresses }),
                format_args!("{class} {name}: {}", addresses.join(", ")),
            );
        }
    }
    for (route, printers) in &config.routes {
        out.answer(
            &json!({ "class": "route", "name": route, "printers": printers }),
            format_args!("route {route}: {}", printers.join(", then ")),
        );
    }
    out.say(format_args!("{} is right", args.file.display()));
    Ok(())
}
