use tresen::{Error, Kind, Result, api};

use super::manual::write;

/// Print the JSON schema of all commands, replies, events and errors
///
/// Other languages generate their types from it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// As TypeScript types
    #[arg(long, conflicts_with = "markdown")]
    typescript: bool,

    /// As a reference in Markdown
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let text = match args {
        Args { typescript: true, .. } => api::typescript(),
        Args { markdown: true, .. } => api::markdown(),
        Args { .. } => {
            let failed = |error| Error::new(Kind::Protocol, "the schema cannot be written as JSON").because(error);
            serde_json::to_string_pretty(&api::schema()).map_err(failed)? + "\n"
        }
    };
    write(text.as_bytes())
}
