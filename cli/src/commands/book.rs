use std::process::ExitCode;

use tresen::Result;

use super::terminal::{EXIT, FollowUp, Texts};
use crate::out::Out;

/// Charge an amount that is held, or a part of it
///
/// RECEIPT is that of `tresen preauth`, AMOUNT what is finally charged. The rest is released.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    of: FollowUp,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let texts =
        Texts { what: "booking", done: "charged", not_done: "not charged", unknown: "not known whether charged" };
    let book = async |terminal: &tresen::Terminal, of, request, abort| terminal.book_as(&of, request, abort).await;
    args.of.run(&texts, out, book).await
}
