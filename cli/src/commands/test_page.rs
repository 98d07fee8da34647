use serde_json::json;
use tresen::printers::document::{Barcode, Qr};
use tresen::printers::{Job, Outcome, Profile};
use tresen::{Address, Error, Kind, Printers, Receipt, Result, SystemClock, new_key};

use super::diagnose::diagnosed;
use crate::devices;
use crate::out::Out;

/// Print a test page: width, characters, codes, cut
///
/// The page itself describes what it should look like. If a line is wrapped or cut off, the profile or the
/// width is wrong; if letters are wrong, the code page is.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The printer, such as escpos+tcp://10.0.0.20 or escpos+serial:///dev/ttyUSB0?baud=38400
    #[arg(value_parser = devices::address)]
    address: Address,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let name = args.address.label();
    let mut printer = match devices::open::<Printers>(&args.address).await {
        Ok(opened) => opened,
        Err(error) => return Err(diagnosed(&args.address, error).await),
    };
    let columns = printer.capabilities().columns;
    let profile =
        args.address.option("profile").and_then(Profile::named).map_or("as reported by the printer", |_| "as named");
    let job = Job::new(new_key(), page(&name, columns, profile)?);
    let outcome = printer.print(&job).await;
    printer.close().await;
    match outcome {
        Outcome::Printed(proof) => {
            let value = json!({ "outcome": "printed", "proof": proof });
            out.answer(&value, format_args!("printed on {name}, confirmed by the printer ({proof:?})"));
            Ok(())
        }
        Outcome::Accepted => {
            let line = format_args!("{name} accepted the page but cannot report whether it is on paper: check it");
            out.answer(&json!({ "outcome": "accepted" }), line);
            Ok(())
        }
        Outcome::Unknown(error) => Err(error.hint("check the paper")),
        Outcome::Failed { error, .. } => Err(error),
        other => Err(Error::new(Kind::Protocol, format!("unexpected outcome: {other:?}"))),
    }
}

fn page(name: &str, columns: usize, profile: &str) -> Result<Receipt> {
    use tresen::hal::Clock;
    let ruler: String = (1..=columns).map(|n| if n % 10 == 0 { '|' } else { '.' }).collect();
    Ok(Receipt::new()
        .text("TEST PAGE")
        .text(name)
        .row("Printed", SystemClock.wall().to_string().chars().take(19).collect::<String>())
        .row("Profile", profile)
        .row("Columns", columns.to_string())
        .rule()
        .text("One full line, every tenth a bar:")
        .text(ruler)
        .rule()
        .text("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        .text("abcdefghijklmnopqrstuvwxyz")
        .text("0123456789 .,:;!?%&/()=+-*#")
        .text("ÄÖÜ äöü ß  éèà ç ñ  £ €")
        .rule()
        .text("EAN-13 4006381333931:")
        .barcode(Barcode::ean13("4006381333931")?)
        .text("QR code:")
        .qr(Qr::new("tresen test page")?)
        .rule()
        .text("The paper is cut below.")
        .cut())
}
