use std::ffi::OsString;

use tresen::{Error, Kind, Result};

use crate::out::Out;

/// Set up the PostgreSQL server of a shop's tills, and show what they sent; needs another build of this command
///
/// This command was built without the feature `postgres`. To install it with it:
/// cargo install tresen-cli --features postgres
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whatever the command takes in a build that has it
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    rest: Vec<OsString>,
}

/// # Errors
/// Always: this build cannot talk to a server.
pub(crate) async fn run(args: Args, _: &Out) -> Result<()> {
    let what = match args.rest.first() {
        Some(command) => format!("`tresen server {}`", command.display()),
        None => "`tresen server`".to_owned(),
    };
    let error =
        Error::new(Kind::Unsupported, format!("{what} needs the feature `postgres`, without which this was built"));
    Err(error.hint("install it with `cargo install tresen-cli --features postgres`"))
}
