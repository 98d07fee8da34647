use serde_json::json;
use tresen::printers::DrawerPin;
use tresen::{Address, Printers, Result};

use super::diagnose::diagnosed;
use crate::devices;
use crate::out::Out;

/// Open the cash drawer connected to a printer
///
/// Nothing is printed. No printer reports reliably whether the drawer opened: check it yourself.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The printer that the drawer is connected to, such as escpos+tcp://10.0.0.20
    #[arg(value_parser = devices::address)]
    address: Address,

    /// The pin to pulse; the second drawer of a splitter cable is on the other one
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
    out.answer(&json!({ "drawer": "kicked", "pin": args.pin }), format_args!("sent the drawer pulse to {name}"));
    Ok(())
}
