mod capture;
mod redact;
mod sections;

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tresen::{Clock, Config, Error, Result, Store, SystemClock, SystemRuntime};

use self::redact::Redactor;
use super::doctor;
use super::running;
use super::status::bytes;
use crate::devices;
use crate::out::Out;

/// Write one file for support: configuration, versions, status, last events and errors, recordings, redacted
///
/// The file is plain text with a table of contents: read it before you send it. Left out are passwords, card
/// numbers and tracks, slips, what was printed or scanned, and names of people; of recordings only times,
/// lengths and command codes are shown. A running till is asked; the checks of `tresen doctor` are included.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen support-bundle till.toml
  tresen support-bundle till.toml -o problem.txt --capture kitchen.capture
  tresen support-bundle till.toml --no-checks -o -     to standard output, without touching a device")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    #[arg(default_value = "till.toml")]
    file: PathBuf,

    /// Write to this file, which must not exist; `-` is standard output [default: tresen-support-TIME.txt]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Include this recording as well as those that the configuration names; may be repeated
    #[arg(long, value_name = "FILE")]
    capture: Vec<PathBuf>,

    /// Leave out the checks: no device is opened
    #[arg(long)]
    no_checks: bool,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let now = SystemClock.wall();
    let text = bundle(&args, now, *out).await?;
    let path = match args.output {
        Some(path) if path.as_os_str() == "-" => {
            write!(std::io::stdout().lock(), "{text}").ok();
            return Ok(());
        }
        Some(path) => path,
        None => format!("tresen-support-{}.txt", now.strftime("%Y%m%dT%H%M%SZ")).into(),
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Error::file(&path, error))?;
    out.answer(
        &json!({ "written": path, "bytes": text.len() }),
        format_args!("{} written, {}: read it before you send it", path.display(), bytes(text.len() as u64)),
    );
    Ok(())
}

async fn bundle(args: &Args, now: jiff::Timestamp, out: Out) -> Result<String> {
    let mut redactor = Redactor::default();
    let is_config = args.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    let (config, problems) = if is_config {
        let text = std::fs::read(&args.file).map_err(|error| Error::file(&args.file, error))?;
        redactor.learn_text(&String::from_utf8_lossy(&text));
        let checked = Config::check_file(&args.file, devices::drivers())?;
        redactor.learn_config(&checked.config);
        (Some(checked.config), checked.problems)
    } else {
        (None, Vec::new())
    };
    let place = match &config {
        Some(config) => config.till.store.clone(),
        None => running::store(&args.file)?,
    };
    let client = running::till(&place).await.unwrap_or_else(|error| {
        out.failed(&error);
        None
    });
    // Readable while the till runs; what it cannot tell is left out.
    let store = Store::open_read_only(&place, Arc::new(SystemRuntime::new())).await;
    let mut all: Vec<(&str, String)> = vec![("system", sections::system())];
    if let Some(config) = &config {
        all.push(("configuration", sections::configuration(config, &problems)));
    }
    if !args.no_checks {
        all.push(("checks", doctor::report(&args.file).await));
    }
    sections::till(client.as_ref(), store.as_ref(), &mut all).await;
    all.push(("connected devices", sections::connected().await));
    let recorded = config.iter().flat_map(|config| config.devices.values()).flat_map(|device| device.addresses());
    let recorded = recorded.filter_map(|address| address.option("record").map(PathBuf::from));
    let mut recordings = String::new();
    for path in recorded.chain(args.capture.iter().cloned()) {
        writeln!(recordings, "{}\n{}", path.display(), capture::summary(&path)).ok();
    }
    if !recordings.is_empty() {
        all.push(("recordings", recordings));
    }
    Ok(redactor.clean(&document(&args.file.display().to_string(), now, &all)))
}

/// The sections behind a preface and a table of contents.
fn document(file: &str, now: jiff::Timestamp, all: &[(&str, String)]) -> String {
    let mut text = format!(
        "tresen support bundle\n\nof {file}, made {now:.0} by tresen {}\n\n\
         Please read this file before you send it: it is plain text. Left out are passwords, card numbers and\n\
         tracks, slips, what was printed or scanned, and names of people. {} stands for a removed value.\n\nContents\n",
        env!("CARGO_PKG_VERSION"),
        redact::REMOVED,
    );
    for (n, (title, _)) in all.iter().enumerate() {
        writeln!(text, "{:>4}  {title}", n + 1).ok();
    }
    for (n, (title, body)) in all.iter().enumerate() {
        let title = format!("{}  {title}", n + 1);
        writeln!(text, "\n\n{title}\n{}\n\n{}", "=".repeat(title.chars().count()), body.trim_end()).ok();
    }
    text
}
