use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tresen::api::{Client, lease, till};
use tresen::lease::{Nature, Target, Turn, View};
use tresen::{Class, DeviceId, Error, Kind, Result};

use super::running;
use crate::out::Out;

/// List who has leased what at a running till, or take a lease over
///
/// A lease that is taken over goes to --to NAME, or else to the first who waits for it, or becomes free. A running
/// transaction ends first. The reason is written to the journal, and its holder is told.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen lease till.toml                         who has what, and who waits
  tresen lease till.toml --take-over bar --why \"handheld 7 is lost\"
  tresen lease till.toml --take-over terminal/bar --to \"handheld 8\" --why \"handheld 7 is lost\"")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// The device, such as bar or terminal/bar, or the id of the sale
    #[arg(long, value_name = "DEVICE", requires = "why")]
    take_over: Option<String>,

    /// The reason
    #[arg(long, value_name = "TEXT", requires = "take_over")]
    why: Option<String>,

    /// Who gets it, such as "handheld 8"
    #[arg(long, value_name = "NAME", requires = "take_over")]
    to: Option<String>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let store = running::store(&args.file)?;
    let no_till = || {
        let error = Error::new(Kind::NotFound, "no till is running, so nothing is leased").at(args.file.display());
        error.hint("leases of devices end with the till; those of open sales go on when it starts")
    };
    let client = running::till(&store).await?.ok_or_else(no_till)?;
    let leases = client.call(lease::List {}).await?;
    let (Some(wanted), Some(why)) = (&args.take_over, &args.why) else {
        for lease in &leases {
            out.row(lease, line(lease));
        }
        if leases.is_empty() {
            out.say("nothing is leased");
        }
        return Ok(());
    };
    let target = target(wanted, &leases, &client).await?;
    let client = match &args.to {
        Some(name) => client.on_behalf_of(name),
        None => client,
    };
    let mut turn = client.call(lease::TakeOver { target: target.clone(), why: why.clone() }).await?;
    while let Turn::Waiting { lease, .. } = &turn {
        out.note(format_args!("{target}: a transaction of {} is running and ends first", lease.holder));
        turn = client.call(lease::Queue { target: target.clone(), within: Some(PATIENCE) }).await?;
    }
    let Turn::Granted(grant) = turn else { return Err(Error::new(Kind::Protocol, "an answer that is not known")) };
    if args.to.is_none() {
        client.call(lease::Release { target: target.clone() }).await?;
    }
    let now = client.call(lease::List {}).await?.into_iter().find(|lease| lease.target == target);
    let holder = now.as_ref().map(|lease| lease.holder.as_str());
    let line = match holder {
        Some(holder) => format!("{target} is taken over, {holder} has it now"),
        None => format!("{target} is taken over and free"),
    };
    out.answer(&json!({ "target": grant.key.target, "holder": holder }), line);
    Ok(())
}

/// `terminal bar: anna since 2026-…, until 2026-…; waiting: bo, cleo; asked by bo: my guest leaves`
fn line(lease: &View) -> String {
    let mut line = format!("{}: {} since {:.0}", lease.target, lease.holder, lease.since);
    line += match lease.nature {
        Nature::Transaction => ", for a transaction",
        Nature::Listener => ", as its listener",
        _ => "",
    };
    if let Some(until) = lease.until {
        line += &format!(", until {until:.0}");
    }
    if let Some(ending) = &lease.ending {
        line += &format!(", ends with the running transaction: {ending}");
    }
    if !lease.waiting.is_empty() {
        let names: Vec<_> = lease.waiting.iter().map(|waiting| waiting.name.as_str()).collect();
        line += &format!("; waiting: {}", names.join(", "));
    }
    for wish in &lease.asked {
        line += &format!("; asked by {}: {}", wish.by, wish.why);
    }
    line
}

/// The target that is meant: a device by name, with its class where the name is not enough, or a sale by id.
async fn target(wanted: &str, leases: &[View], client: &Client) -> Result<Target> {
    let named = |class: Class, name: &str| match wanted.split_once('/') {
        Some((of, rest)) if of == class.name() => rest == name,
        _ => wanted == name,
    };
    let devices = client.call(till::Snapshot {}).await?.devices;
    let known: Vec<DeviceId> = devices.into_iter().map(|device| device.id).collect();
    let mut meant: Vec<_> = known.iter().filter(|id| named(id.class, &id.name)).cloned().map(Target::Device).collect();
    // A name that several devices have means the one that is leased.
    if meant.len() > 1 {
        meant.retain(|target| leases.iter().any(|lease| lease.target == *target));
    }
    meant.extend(leases.iter().map(|lease| &lease.target).filter(|t| **t == Target::Sale(wanted.to_owned())).cloned());
    match meant.as_slice() {
        [target] => Ok(target.clone()),
        [] => {
            let names: Vec<_> = known.iter().map(|id| format!("{}/{}", id.class, id.name)).collect();
            let hint = format!("expected one of {}, or the id of a leased sale", names.join(", "));
            Err(Error::new(Kind::Input, format!("unknown device `{wanted}`")).hint(hint))
        }
        [first, ..] => {
            let error = Error::new(Kind::Input, format!("`{wanted}` is the name of several devices"));
            Err(error.hint(format!("name its class, such as {}", first.to_string().replacen(' ', "/", 1))))
        }
    }
}

/// How long a running transaction is waited for before it is said again.
const PATIENCE: Duration = Duration::from_secs(30);
