use serde_json::json;
use tresen::printers::DrawerPin;
use tresen::{Address, Printers, Result};

use super::diagnose::diagnosed;
use crate::devices;
use crate::out::Out;

/// Open the cash drawer at a printer
///
/// Nothing is printed. Whether the drawer opened, no printer says for sure: look at it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The printer that the drawer is plugged into, such as escpos+tcp://10.0.0.20
    #[arg(value_parser = devices::address)]
    address: Address,

    /// The pin that opens it; a second drawer on a splitter cable has the other one
    #[arg(long, default_value = "2", value_parser = ["2", "5"])]
    pin: String,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let pin = if args.pin == "5" { DrawerPin::Five } else { DrawerPin::Two };
    let name = args.address.label();
    let mut printer = match devices::open::<Printers>(&args.address).await {
        Ok(opened) => opened,
        Err(error) => return Err(diagnosed(&args.address, error).await),
    };
    let kicked = printer.kick_drawer(pin).await;
    printer.close().await;
    kicked?;
    out.answer(&json!({ "drawer": "kicked", "pin": args.pin }), format_args!("told {name} to open the drawer"));
    Ok(())
}
