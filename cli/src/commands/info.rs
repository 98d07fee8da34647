use std::sync::Arc;

use serde_json::json;
use tresen::hal::{Error, Kind, Known};
use tresen::payment::{MemoryJournal, OperationKind, profiles};
use tresen::printers::{Identity, Paper, Profile, Status};
use tresen::{Address, Cameras, Class, Context, Printers, Result, Retry, Scanners, Terminals};

use super::diagnose::diagnosed;
use crate::devices;
use crate::out::Out;

/// Show a device's identity, status and capabilities
///
/// Nothing is printed and no money moves. A printer is asked for its identity and status; a terminal is
/// registered with and asked for its status; a scanner or camera is opened. Exit status: 1 if the device does
/// not answer, or needs attention before it works: paper, cover, an error.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The device, such as escpos+tcp://10.0.0.20
    #[arg(required_unless_present_any = ["profiles", "profile"], value_parser = devices::address)]
    address: Option<Address>,

    /// List the profiles of printers and terminals that an address or a configuration can name
    #[arg(long, conflicts_with = "address")]
    profiles: bool,

    /// Show what a terminal's profile says, and where that comes from: a name, or FILE.toml
    #[arg(long, value_name = "NAME", conflicts_with_all = ["address", "profiles"])]
    profile: Option<String>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    if let Some(name) = args.profile {
        return profile(&name, *out);
    }
    let Some(address) = args.address else {
        profiles(*out);
        return Ok(());
    };
    match device(&address, *out).await {
        Ok(()) => Ok(()),
        Err(error) => Err(diagnosed(&address, error).await),
    }
}

async fn device(address: &Address, out: Out) -> Result<()> {
    match devices::drivers().class_of(address)? {
        Class::Printer => {
            let (lines, value, state) = printer(address).await?;
            out.answer(&value, lines.join("\n"));
            state
        }
        Class::Terminal => {
            let (lines, value, state) = terminal(address).await?;
            out.answer(&value, lines.join("\n"));
            state
        }
        Class::Scanner => {
            let mut scanner = devices::open::<Scanners>(address).await?;
            out.answer(
                &json!({ "opened": true, "capabilities": scanner.capabilities() }),
                "opened; `tresen scan` shows what it reads",
            );
            scanner.close().await;
            Ok(())
        }
        _ => {
            let mut camera = devices::open::<Cameras>(address).await?;
            out.answer(
                &json!({ "opened": true, "capabilities": camera.capabilities() }),
                "opened; `tresen scan` shows what it reads",
            );
            camera.close().await;
            Ok(())
        }
    }
}

/// A device's answers, as lines and as JSON, and whether it needs attention.
pub(super) type Answers = (Vec<String>, serde_json::Value, Result<()>);

pub(super) async fn printer(address: &Address) -> Result<Answers> {
    let mut printer = devices::open::<Printers>(address).await?;
    let identity = printer.identity().await;
    let status = printer.status().await;
    let can = printer.capabilities().clone();
    printer.close().await;
    let (identity, status): (Identity, Status) = (identity?, status?);
    if identity == Identity::default() && status == Status::default() && address.option("status") != Some("no") {
        return Err(Error::new(Kind::Timeout, "the printer accepts the connection but does not answer")
            .with_effect(tresen::Effect::None)
            .at(address.label())
            .hint("another till may be connected, the baud rate may be wrong, or the printer needs a power cycle"));
    }
    let said = |what: &Option<String>| what.clone().unwrap_or_else(|| "not reported".into());
    let lines = vec![
        format!("maker      {}", said(&identity.maker)),
        format!("model      {}", said(&identity.model)),
        format!("firmware   {}", said(&identity.firmware)),
        format!("serial no. {}", said(&identity.serial)),
        format!("online     {}", known(status.online)),
        format!("paper      {}", paper(status.paper)),
        format!("cover open {}", known(status.cover_open)),
        format!("error      {}", known(status.error)),
        format!("width      {}, {} columns", can.width, can.columns),
        format!("cutter     {}", known(can.cutter)),
        format!("drawer     {}", known(can.drawer)),
        format!("QR codes   {}", known(can.qr)),
        format!(
            "proof      {}",
            if can.process_id.is_yes() { "job number after printing" } else { "empty buffer, at best" }
        ),
        format!("profiles   {}", names().join(", ")),
    ];
    let value = json!({ "identity": identity, "status": status, "capabilities": can, "profiles": names() });
    Ok((lines, value, ready(&status).map_err(|e| e.at(address.label()))))
}

/// Whether the printer is ready to print, as far as it reports.
fn ready(status: &Status) -> Result<()> {
    let needs = |what: &str, hint: &str| {
        Err(Error::new(Kind::Operator, what).with_retry(Retry::AfterOperator).hint(hint.to_owned()))
    };
    if status.cover_open.is_yes() {
        return needs("the cover is open", "close it");
    }
    if status.paper == Paper::Out {
        return needs("out of paper", "insert a new roll and close the cover");
    }
    if status.error.is_yes() {
        return needs("the printer reports an error", "check its indicator lights; switch it off and on");
    }
    if status.online == Known::No {
        return needs("the printer is offline", "press its online or feed button");
    }
    Ok(())
}

pub(super) async fn terminal(address: &Address) -> Result<Answers> {
    let journal = Arc::new(MemoryJournal::new());
    let name = address.label();
    let context = Context::new(&name).with_journal(journal);
    let mut terminal = devices::drivers().open::<Terminals>(address, context).await?;
    let asked = terminal.status().await;
    let can = terminal.capabilities().clone();
    terminal.close().await;
    let status = asked?;
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    let lines = vec![
        format!("terminal   {name}"),
        format!("id         {}", status.terminal_id.clone().unwrap_or_else(|| "not reported".into())),
        format!("software   {}", status.software.clone().unwrap_or_else(|| "not reported".into())),
        format!("ready      {}, {}", yes(status.ready), status.text),
        format!("reversal   {}", known(can.of(OperationKind::Reversal))),
        format!("refund     {}", known(can.of(OperationKind::Refund))),
        format!("abort      {}", known(can.abort)),
        format!("partial    {}", known(can.partial)),
        format!("slip text  {}", known(can.receipt_text)),
    ];
    let state = if status.ready {
        Ok(())
    } else {
        Err(Error::new(Kind::Operator, format!("the terminal is not ready: {}", status.text)).at(name))
    };
    Ok((lines, json!({ "status": status, "capabilities": can }), state))
}

fn profiles(out: Out) {
    for profile in Profile::all() {
        out.answer(
            &json!({ "profile": profile.name, "width": profile.width, "columns": profile.columns, "dpi": profile.dpi }),
            format_args!("{:<16} {}, {} columns", profile.name, profile.width, profile.columns),
        );
    }
    for profile in profiles::all() {
        let options: Vec<_> = profile.options.iter().map(|(name, said)| format!("{name}={}", said.value)).collect();
        let shown = if options.is_empty() { "facts only".to_owned() } else { options.join(" ") };
        let address = format!("{}+…?profile={}", profile.protocol, profile.name);
        out.answer(&json!(profile), format_args!("{address:<42} {}: {shown}", profile.title));
    }
}

/// A terminal's profile with its sources.
fn profile(name: &str, out: Out) -> Result<()> {
    let profile = profiles::named(name)?;
    let mut lines = vec![profile.title.clone()];
    if !profile.models.is_empty() {
        lines.push(format!("models: {}", profile.models.join(", ")));
    }
    for (option, statement) in &profile.options {
        lines.push(format!("{option}={}\n    {}", statement.value, statement.source));
    }
    lines.extend(profile.facts.iter().map(|fact| format!("{}\n    {}", fact.says, fact.source)));
    out.answer(&profile, lines.join("\n"));
    Ok(())
}

fn names() -> Vec<String> {
    Profile::all().into_iter().map(|p| p.name.into_owned()).collect()
}

fn paper(paper: Paper) -> &'static str {
    match paper {
        Paper::Ok => "enough",
        Paper::NearEnd => "nearly empty",
        Paper::Out => "out",
        Paper::Unknown => "not reported",
    }
}

fn known(known: Known) -> &'static str {
    match known {
        Known::Yes => "yes",
        Known::No => "no",
        Known::Unknown => "not reported",
    }
}
