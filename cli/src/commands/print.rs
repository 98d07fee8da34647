use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::json;
use tresen::hal::{Error, Kind};
use tresen::printers::document::Image;
use tresen::printers::{DrawerPin, Job, Outcome};
use tresen::{Address, Receipt, Result, new_key};

use crate::out::Out;

/// Print a file and say what became of it
///
/// By its ending: .txt text, .png a picture, .json a receipt document, .bin bytes as they are. With
/// `-` text is read from standard input. The answer is the best proof that the printer gives: printed,
/// accepted, or not known.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The printer, such as escpos+tcp://10.0.0.20 or escpos+serial:///dev/ttyUSB0?baud=38400
    address: Address,

    /// The file, or - for standard input
    file: PathBuf,

    /// Do not cut the paper at the end
    #[arg(long)]
    no_cut: bool,

    /// Open the drawer afterwards
    #[arg(long)]
    drawer: bool,
}

enum Content {
    Receipt(Receipt),
    Bytes(Vec<u8>),
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let content = read(&args.file)?;
    let (mut printer, name) = tresen::open_printer(&args.address).await?;
    let printed = match content {
        Content::Bytes(bytes) => {
            printer.send_raw(&bytes).await?;
            out.answer(
                &json!({ "outcome": "sent", "bytes": bytes.len() }),
                format_args!("sent {} bytes as they are to {name}", bytes.len()),
            );
            Ok(())
        }
        Content::Receipt(receipt) => {
            for problem in receipt.check(&profile_of(&args.address)) {
                out.say(format_args!("note: {problem:?}"));
            }
            let receipt = if args.no_cut { receipt } else { receipt.cut() };
            let job = Job { id: new_key(), receipt, copy: false };
            told(printer.print(&job).await, &name, *out)
        }
    };
    if printed.is_ok() && args.drawer {
        printer.kick_drawer(DrawerPin::Two).await?;
    }
    printer.close().await;
    printed
}

fn told(outcome: Outcome, name: &str, out: Out) -> Result<()> {
    match outcome {
        Outcome::Printed(proof) => {
            out.answer(
                &json!({ "outcome": "printed", "proof": proof }),
                format_args!("printed on {name}, and it said so ({proof:?})"),
            );
            Ok(())
        }
        Outcome::Accepted => {
            out.answer(
                &json!({ "outcome": "accepted" }),
                format_args!("{name} took all of it; it cannot say whether it is on paper"),
            );
            Ok(())
        }
        Outcome::Unknown(error) => Err(error.hint("look at the paper before you print it again")),
        Outcome::Failed { error, safe_to_retry: true } => Err(error),
        Outcome::Failed { error, .. } => Err(error.hint("some of it came out; throw that away and print it again")),
        other => Err(Error::new(Kind::Protocol, format!("{other:?}"))),
    }
}

fn read(file: &Path) -> Result<Content> {
    let failed = |e: std::io::Error| Error::from(e).at(file.display());
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(Content::Receipt(Receipt::new().text(text.trim_end())));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    let bad = |what: String| Error::new(Kind::Input, what).at(file.display());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|e| bad(format!("is not UTF-8 text ({e})")));
    match file.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("bin") => Ok(Content::Bytes(bytes)),
        Some("png") => {
            Ok(Content::Receipt(Receipt::new().image(Image::png(&bytes).map_err(|e| e.at(file.display()))?)))
        }
        Some("json") => serde_json::from_str(&text(bytes)?)
            .map(Content::Receipt)
            .map_err(|e| bad(format!("is no receipt document: {e}"))),
        Some("txt") | None => Ok(Content::Receipt(Receipt::new().text(text(bytes)?.trim_end()))),
        Some(other) => Err(bad(format!("`.{other}` files cannot be printed")).hint("print .txt, .png, .json or .bin")),
    }
}

fn profile_of(address: &Address) -> tresen::printers::Profile {
    address.option("profile").and_then(tresen::printers::Profile::named).unwrap_or_default()
}
