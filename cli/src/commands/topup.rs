use std::process::ExitCode;

use tresen::Result;

use super::terminal::{EXIT, New, Texts};
use crate::out::Out;

/// Load a prepaid card or account
///
/// The customer pays for it at the till, by another tender.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    new: New,

    /// Which product, as the protocol names it; without it the terminal asks, if it can
    #[arg(long)]
    product: Option<String>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let Args { new, product } = args;
    let texts = Texts { what: "top-up", done: "loaded", not_done: "not loaded", unknown: "not known whether loaded" };
    let top_up = async |terminal: &tresen::Terminal, request, abort| {
        terminal.top_up_as(product.as_deref(), request, abort).await
    };
    new.run(&texts, out, top_up).await
}
