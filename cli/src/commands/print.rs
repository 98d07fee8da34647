use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::json;
use tresen::hal::{Error, Kind};
use tresen::printers::document::Image;
use tresen::printers::{Content, DrawerPin, Job, Outcome, Profile, Proof};
use tresen::{Address, Printers, Receipt, Result, new_key};

use crate::devices;
use crate::out::Out;

/// Print a file and report the outcome
///
/// The file extension decides: .txt text, .png picture, .json receipt document, .bin ESC/POS bytes sent
/// unchanged. `-` reads text from standard input. The outcome is the best proof the printer provides: printed,
/// accepted, or unknown.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The printer, such as escpos+tcp://10.0.0.20 or escpos+serial:///dev/ttyUSB0?baud=38400
    #[arg(value_parser = devices::address)]
    address: Address,

    /// The file, or - for standard input
    file: PathBuf,

    /// Treat the file as ESC/POS bytes, whatever its extension
    #[arg(long)]
    raw: bool,

    /// Do not cut the paper at the end
    #[arg(long)]
    no_cut: bool,

    /// Open the drawer afterwards
    #[arg(long)]
    drawer: bool,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let content = read(&args.file, args.raw)?;
    let name = args.address.label();
    let mut printer = devices::open::<Printers>(&args.address).await?;
    let content = match content {
        Content::Receipt(receipt) => {
            // A printer that does not answer is reported by the print itself.
            let model = printer.identity().await.ok().and_then(|identity| identity.model);
            let mut profile = profile_of(&args.address, model.as_deref());
            (profile.width, profile.columns) = (printer.capabilities().width, printer.capabilities().columns);
            for problem in receipt.check(&profile) {
                out.answer(&json!({ "note": problem }), format_args!("note: {problem}"));
            }
            if args.no_cut { receipt } else { receipt.cut() }.into()
        }
        raw => raw,
    };
    let printed = told(printer.print(&Job::new(new_key(), content)).await, &name, *out);
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
                format_args!("printed on {name}, confirmed by the printer: {}", in_words(&proof)),
            );
            Ok(())
        }
        Outcome::Accepted => {
            out.answer(
                &json!({ "outcome": "accepted" }),
                format_args!("{name} accepted the job; it cannot report whether it is on paper"),
            );
            Ok(())
        }
        Outcome::Unknown(error) => Err(error.hint("check the paper before printing again")),
        Outcome::Failed { error, safe_to_retry: true } => Err(error),
        Outcome::Failed { error, .. } => Err(error.hint("part of it was printed; discard that and print again")),
        other => Err(Error::new(Kind::Protocol, format!("{other:?}"))),
    }
}

fn in_words(proof: &Proof) -> String {
    match proof {
        Proof::ProcessId(id) => format!("process ID `{id}` returned after printing"),
        Proof::BufferDone => "its buffer is empty".into(),
        _ => "the job was confirmed".into(),
    }
}

fn read(file: &Path, raw: bool) -> Result<Content> {
    let failed = |e: std::io::Error| Error::from(e).at(file.display());
    let bad = |what: String| Error::new(Kind::Input, what).at(file.display());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|e| bad(format!("is not UTF-8 text ({e})")));
    let stdin = file == Path::new("-");
    let bytes = if stdin {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(failed)?;
        bytes
    } else {
        std::fs::read(file).map_err(failed)?
    };
    if raw {
        return Ok(Content::escpos(bytes));
    }
    let ending = file.extension().filter(|_| !stdin).and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    match ending.as_deref() {
        Some("bin") => Ok(Content::escpos(bytes)),
        Some("png") => Ok(Receipt::new().image(Image::png(&bytes).map_err(|e| e.at(file.display()))?).into()),
        Some("json") => serde_json::from_str(&text(bytes)?)
            .map(Content::Receipt)
            .map_err(|e| bad(format!("is not a receipt document: {e}"))),
        Some("txt") | None => Ok(Receipt::new().text(text(bytes)?.trim_end()).into()),
        Some(other) => Err(bad(format!("`.{other}` files cannot be printed"))
            .hint("print .txt, .png, .json or .bin; --raw sends any file unchanged")),
    }
}

/// The profile to print with: the one named in the address, or that of the printer's model.
fn profile_of(address: &Address, model: Option<&str>) -> Profile {
    let named = address.option("profile").and_then(Profile::named);
    named.or_else(|| model.and_then(Profile::for_model)).unwrap_or_default()
}
