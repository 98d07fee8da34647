use std::path::PathBuf;

use serde_json::json;
use tresen::Result;
use tresen::api::remote;

use super::code;
use crate::out::Out;

/// Revoke a client's certificate, or end a session, at a running till
///
/// Its connections are cut at once. A transaction that runs for it goes on to its end. The reason is written to the audit
/// table.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen revoke till.toml \"handheld 7\" --why \"lost on Friday\"")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// The name of the client or session: see `tresen clients`
    name: String,

    /// The reason
    #[arg(long, value_name = "TEXT")]
    why: String,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let Args { file, name, why } = args;
    let till = code::till(&file).await?;
    till.call(remote::Revoke { name: name.clone(), why: why.clone() }).await?;
    out.answer(&json!({ "revoked": name, "why": why }), format_args!("{name} is revoked"));
    Ok(())
}
