use std::io::{ErrorKind, Stdout, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tresen::export::{Export, Exported, Format, Mapping, What, columns};
use tresen::{Error, Kind, Result, Store, SystemRuntime};

use super::{listed, running};
use crate::out::Out;

/// Export what a till has stored as CSV, fixed-width text or JSON; works while the till is running
///
/// Reads only. A mapping file sets separators, decimal mark, encoding, time zone, and the columns with their
/// order and names. Without one, all columns are written, in UTF-8, with times in UTC. Exit status: 1 also if a
/// stored record cannot be read; the others are exported.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's database or configuration, such as till.db or till.toml
    #[arg(required_unless_present = "columns")]
    file: Option<PathBuf>,

    /// What to export: tickets, lines, taxes, payments, jobs, journal; default that of the mapping
    #[arg(long, value_name = "WHAT")]
    what: Option<What>,

    /// csv, txt (columns of fixed width) or json (one object per line); default that of the mapping, or csv
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// From this date or time on: 2026-01-02, 2026-01-02T14:00, 2026-01-02T14:00:00Z
    ///
    /// Without an offset, in the time zone of the mapping, or else of this machine.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// To this date, included, or before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// The mapping file
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// Tickets, lines and taxes: sales that are still open, too
    #[arg(long)]
    open: bool,

    /// Write to a file, which is replaced when the new one is complete; default standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// List the columns of an export, with their meaning
    #[arg(long, conflicts_with_all = ["file", "map", "from", "to", "output"])]
    columns: bool,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let mapping = args.map.map(Mapping::load).transpose()?.unwrap_or_default();
    let what = args.what.or(mapping.what()).ok_or_else(|| {
        Error::new(Kind::Input, "what is to be exported?").hint("add `--what`, or `what` in the mapping")
    })?;
    let Some(file) = args.file else {
        for column in columns(what) {
            out.answer(
                &column,
                format_args!("{:<14} {:<10} {}", column.name, listed::word(&column.kind), column.about),
            );
        }
        return Ok(ExitCode::SUCCESS);
    };
    let format = args.format.or(mapping.format()).unwrap_or_default();
    let export = Export::new(what, format).mapping(mapping).open(args.open);
    let export = export.range(args.from.as_deref(), args.to.as_deref())?;
    let store = Store::open_read_only(&running::store(&file)?, Arc::new(SystemRuntime::new())).await?;
    let done = match args.output {
        Some(path) => {
            let done = store.export_file(export, &path).await?;
            out.answer(&done, format_args!("{}: {} rows", path.display(), done.rows));
            done
        }
        None => store.export(export, Piped(std::io::stdout())).await?.1,
    };
    Ok(missed(&done, *out))
}

/// Reports the records that could not be read.
fn missed(done: &Exported, out: Out) -> ExitCode {
    listed::unreadable(&done.problems, out);
    let more = done.unreadable - done.problems.len() as u64;
    if more > 0 {
        out.failed(&Error::new(Kind::Storage, format!("{more} more records cannot be read")));
    }
    if done.unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Standard output, whose reader may have exited (`tresen export … | head`); that is not an error.
struct Piped(Stdout);

impl Write for Piped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.write(bytes) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.0.flush() {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}
