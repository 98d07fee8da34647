use clap::CommandFactory;
use clap_complete::Shell;
use tresen::Result;

use crate::Cli;

/// Print shell completions
///
/// For bash: tresen completions bash > ~/.local/share/bash-completion/completions/tresen
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tresen", &mut text);
    super::manual::write(&text)
}
