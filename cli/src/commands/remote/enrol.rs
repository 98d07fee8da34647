use std::path::PathBuf;

use tresen::Result;
use tresen::api::{Grants, remote};

use super::code;
use crate::out::Out;

/// Show a one-time code by which a handheld or another program joins a running till
///
/// The client runs `tresen join` and gets a certificate of its own. The code also shows the client that the till is the
/// till. The till has to be served: `tresen serve`.
#[derive(clap::Args)]
#[command(after_long_help = "Rights, each for all devices or, after a colon, for some:
  watch sell print drawer scan camera pay refund settle configure attach

Examples:
  tresen enrol till.toml \"handheld 7\" --rights \"watch sell print:bar,kitchen pay:counter\"
  tresen enrol till.toml \"handheld 7\" --station bar --rights \"watch print\"")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// The client's name, such as "handheld 7"
    name: String,

    /// The station that it works as; its name, if absent
    #[arg(long, value_name = "NAME")]
    station: Option<String>,

    /// What it may do, such as "watch print:bar pay"
    #[arg(long, value_name = "RIGHTS")]
    rights: Grants,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let Args { file, name, station, rights } = args;
    let invited = code::till(&file).await?.call(remote::Enrol { name, station, rights }).await?;
    code::show(out, &invited, "On the client: tresen join {at} --code {code} --into FOLDER");
    Ok(())
}
