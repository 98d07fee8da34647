use std::process::ExitCode;

use serde_json::json;
use tresen::Result;
use tresen::probe::{Answer, Limits, Probed, Progress, target};

use super::diagnose;
use crate::devices;
use crate::out::Out;

/// Find out what stands at a network address: protocol, port, and how to address it
///
/// Asks at the port, or at the usual ports of all protocols in turn: ZVT, OPI, nexo, PayTec, ESC/POS, TLS, web and
/// others. No question moves money, registers a till, prints, or leaves a device in another state. A terminal that
/// another till is connected to stays silent; do not probe one that serves a customer. Exit status: 0 if a device was
/// recognised, 1 if not.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The host, with or without a port
    #[arg(value_name = "HOST[:PORT]")]
    target: String,
}

pub(crate) async fn run(args: Args, out: Out) -> Result<ExitCode> {
    let (host, port) = target(&args.target)?;
    let found = devices::drivers().probe(&host, port, Limits::default(), |step| match step {
        Progress::Asking { port, left } => out.note(format_args!("asking at port {port}, {left} to go")),
        Progress::Found(probed) => tell(probed, port.is_some(), out),
    });
    let found = tokio::select! {
        biased;
        found = found => found?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::FAILURE),
    };
    let devices = found.iter().filter(|probed| matches!(probed.answer, Answer::Device { .. })).count();
    if devices > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let open = found.iter().filter(|probed| probed.is_open()).count();
    out.say(match open {
        0 if port.is_some() => format!("{}: nothing answers; is it switched on, and the port right?", args.target),
        0 => format!("{host}: no usual port is open; is it switched on, and the address right? its menu shows it"),
        _ => format!("{host}: no device was recognised"),
    });
    Ok(ExitCode::FAILURE)
}

fn tell(probed: &Probed, asked_for: bool, out: Out) {
    let next = probed.next_step();
    let mut value = json!(probed);
    value["next"] = json!(next);
    value["profiles"] = json!(profiles(probed));
    if !probed.is_open() && !asked_for {
        return out.only_json(&value);
    }
    let mut text = format!("{:>5}  {probed}", probed.port);
    if let Answer::Device { address, .. } = &probed.answer {
        text += &format!("\n       {address}");
    }
    let profiles = profiles(probed);
    let profiles = (!profiles.is_empty()).then(|| format!("profiles for it: {}", profiles.join(", ")));
    let seen = probed.evidence.iter().map(|seen| format!("· {seen}"));
    for line in seen.chain(profiles.map(|line| format!("· {line}"))).chain(next.map(|next| format!("→ {next}"))) {
        text += &format!("\n       {line}");
    }
    out.answer(&value, text);
}

/// The profiles that such a device may have.
fn profiles(probed: &Probed) -> Vec<&'static str> {
    let Answer::Device { protocol, .. } = &probed.answer else { return Vec::new() };
    diagnose::profiles(protocol, probed.port)
}
