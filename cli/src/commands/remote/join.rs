use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tresen::remote::OneTimeCode;
use tresen::{Error, Kind, Result, Runtime, SystemRuntime};
use tresen_remote::trust;

use crate::out::Out;

/// Join a till by the one-time code that it shows, and get a certificate
///
/// The folder then holds this device's key and certificate and the till's authority, for its user only. The till is
/// trusted only after it has proved that it knows the code.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen join wss://192.0.2.10:7443 --into till-1
  tresen join \"wss://192.0.2.10:7443/#K7QF-02ZM-9XTA\" --into till-1       as the QR code has it")]
pub(crate) struct Args {
    /// The till's address, such as wss://192.0.2.10:7443
    url: String,

    /// The code; without it, it is asked for
    #[arg(long, value_name = "CODE")]
    code: Option<String>,

    /// The folder to be made
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let (url, scanned) = match args.url.split_once('#') {
        Some((url, code)) => (url.trim_end_matches('/').to_owned(), Some(code.to_owned())),
        None => (args.url, None),
    };
    let code: OneTimeCode = match args.code.or(scanned) {
        Some(code) => code.parse()?,
        None => ask()?.parse()?,
    };
    if args.into.join("till.json").exists() {
        let error = Error::new(Kind::Input, "the folder holds the credentials for a till already");
        return Err(error.at(args.into.display()).hint("choose another folder, or delete this one"));
    }
    let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::new());
    let credentials = trust::join(&url, &code, &runtime).await?;
    credentials.save(&args.into)?;
    let facts = json!({
        "till": credentials.till(),
        "name": credentials.name(),
        "you": credentials.you(),
        "url": credentials.url(),
        "folder": args.into,
    });
    let (name, you) = (credentials.name(), credentials.you());
    out.answer(&facts, format_args!("joined {name} as {you}; the certificate is in {}", args.into.display()));
    Ok(())
}

/// Asks for the code on the terminal: on the command line, other users of the machine could read it.
fn ask() -> Result<String> {
    let failed = |e: std::io::Error| Error::new(Kind::Io, "standard input cannot be read").because(e);
    write!(std::io::stderr().lock(), "code: ").ok();
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(line)
}
