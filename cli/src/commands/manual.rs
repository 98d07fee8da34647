use std::io::Write;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use tresen::{Error, Kind, Result};

use crate::Cli;

/// Print the manual page, or write the pages of all commands to a folder
///
/// To read it: tresen manual | man -l -
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the pages to this folder: tresen.1, tresen-pay.1, …
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let command = Cli::command();
    match &args.out {
        None => {
            let mut page = Vec::new();
            let failed = |e| Error::new(Kind::Io, "the manual cannot be written").because(e);
            clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
            write(&page)
        }
        Some(folder) => pages(command, folder),
    }
}

fn pages(command: clap::Command, folder: &Path) -> Result<()> {
    let failed = |e| Error::file(folder, e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)
}

/// Writes to standard output; a reader that has exited is not an error.
pub(super) fn write(bytes: &[u8]) -> Result<()> {
    match std::io::stdout().lock().write_all(bytes) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Io, "standard output cannot be written").because(e))
        }
        _ => Ok(()),
    }
}
