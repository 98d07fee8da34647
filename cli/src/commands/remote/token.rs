use std::path::PathBuf;

use tresen::Result;
use tresen::api::{Grants, remote};

use super::code;
use crate::out::Out;

/// Show a one-time code by which a browser or a script begins a session at a running till
///
/// The page asks for the code and gets a token that is good for 15 minutes, for its own origin only; it renews it as long
/// as it is open. A new session ends the one of the same name. The till has to be served: `tresen serve`.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen token till.toml kiosk --rights \"watch sell print:receipt pay:counter\"
  tresen token till.toml kiosk --rights watch --origin https://kiosk.example

A script:
  curl --cacert till.db.remote/ca.pem https://localhost:7443/v1/session -d '{\"code\":\"K7QF-02ZM-9XTA\"}'")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// The session's name, such as kiosk
    name: String,

    /// The station that it works as; its name, if absent
    #[arg(long, value_name = "NAME")]
    station: Option<String>,

    /// What it may do, such as "watch print:bar pay"
    #[arg(long, value_name = "RIGHTS")]
    rights: Grants,

    /// The only page that may use the code, such as `https://kiosk.example`
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let Args { file, name, station, rights, origin } = args;
    let invited = code::till(&file).await?.call(remote::Token { name, station, rights, origin }).await?;
    code::show(out, &invited, "Type it into the page.");
    Ok(())
}
