use std::sync::Arc;

use serde_json::json;
use tresen::hal::{Driver, Error, Kind};
use tresen::payment::MemoryJournal;
use tresen::printers::Known;
use tresen::{Address, Result, SystemClock, protocols};

use crate::out::Out;

/// Ask a device who it is, how it is and what it can do
///
/// Nothing is printed and no money moves. A printer is asked for its identity and status, a
/// terminal is registered at and asked for its state, a scanner or camera is opened.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The device, such as escpos+tcp://10.0.0.20
    address: Address,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let address = args.address;
    let class = protocols().iter().find(|p| p.name == address.protocol()).map(|p| p.class);
    match class {
        Some("printers") => printer(&address, *out).await,
        Some("terminals") => terminal(&address, *out).await,
        Some("scanners") => {
            let (mut scanner, _) = tresen::open_scanner(&address, "info", Arc::new(SystemClock)).await?;
            out.answer(
                &json!({ "opened": true, "capabilities": scanner.capabilities() }),
                "opened; `tresen scan` shows what it reads",
            );
            scanner.close().await;
            Ok(())
        }
        Some(_) => {
            let (mut camera, _) = tresen::open_camera(&address, "info", Arc::new(SystemClock)).await?;
            out.answer(&json!({ "opened": true }), "opened; `tresen scan` shows what it reads");
            camera.close().await;
            Ok(())
        }
        None => {
            let known: Vec<_> = protocols().iter().map(|p| p.name).collect();
            Err(Error::new(Kind::Address, format!("`{}` is no protocol known here", address.protocol()))
                .at(address.label())
                .hint(format!("protocols are {}", known.join(", "))))
        }
    }
}

async fn printer(address: &Address, out: Out) -> Result<()> {
    let (mut printer, _) = tresen::open_printer(address).await?;
    let identity = printer.identity().await?;
    let status = printer.status().await?;
    let can = printer.capabilities().clone();
    printer.close().await;
    let said = |what: &Option<String>| what.clone().unwrap_or_else(|| "not said".into());
    let lines = [
        format!("maker      {}", said(&identity.maker)),
        format!("model      {}", said(&identity.model)),
        format!("firmware   {}", said(&identity.firmware)),
        format!("serial no. {}", said(&identity.serial)),
        format!("online     {}", known(status.online)),
        format!("paper      {:?}", status.paper).to_lowercase(),
        format!("cover open {}", known(status.cover_open)),
        format!("error      {}", known(status.error)),
        format!("width      {}, {} columns", can.width, can.columns),
        format!("cutter     {}", known(can.cutter)),
        format!("drawer     {}", known(can.drawer)),
        format!("QR codes   {}", known(can.qr)),
        format!(
            "proof      {}",
            if can.process_id.is_yes() { "job number after printing" } else { "buffer worked off, at best" }
        ),
    ];
    out.answer(&json!({ "identity": identity, "status": status, "capabilities": can }), lines.join("\n"));
    Ok(())
}

async fn terminal(address: &Address, out: Out) -> Result<()> {
    let journal = Arc::new(MemoryJournal::new());
    let (mut terminal, name) = tresen::open_terminal(address, &address.label(), journal, Arc::new(SystemClock)).await?;
    let status = terminal.status().await?;
    let can = terminal.capabilities().clone();
    terminal.close().await;
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    let lines = [
        format!("terminal   {name}"),
        format!("id         {}", status.terminal_id.clone().unwrap_or_else(|| "not said".into())),
        format!("software   {}", status.software.clone().unwrap_or_else(|| "not said".into())),
        format!("ready      {}, {}", yes(status.ready), status.text),
        format!("reversal   {}", yes(can.reversal)),
        format!("refund     {}", yes(can.refund)),
        format!("abort      {}", yes(can.abort)),
        format!("slip text  {}", yes(can.receipt_text)),
    ];
    out.answer(&json!({ "status": status, "capabilities": can }), lines.join("\n"));
    Ok(())
}

fn known(known: Known) -> &'static str {
    match known {
        Known::Yes => "yes",
        Known::No => "no",
        Known::Unknown => "not known",
    }
}
