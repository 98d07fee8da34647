use std::process::ExitCode;

use tresen::Result;

use super::terminal::{EXIT, FollowUp, Texts};
use crate::out::Out;

/// Add a tip to a payment
///
/// RECEIPT is that of the payment, AMOUNT the tip alone.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    of: FollowUp,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let texts = Texts { what: "tip", done: "charged", not_done: "not charged", unknown: "not known whether charged" };
    let tip = async |terminal: &tresen::Terminal, of, request, abort| terminal.tip_as(&of, request, abort).await;
    args.of.run(&texts, out, tip).await
}
