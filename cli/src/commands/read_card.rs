use std::time::Duration;

use tresen::Result;

use super::terminal::{At, Desk};
use crate::out::Out;

/// Read a card at a terminal; no money moves
///
/// Prints the type of the card, its masked number, and what stands for it at the provider, as far as the terminal
/// tells.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,

    /// How long the terminal waits for a card
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u16).range(1..=255))]
    within: u16,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let Args { at, within } = args;
    let desk = Desk::open(at, *out).await?;
    let card = desk.ask(async |terminal| terminal.read_card(Duration::from_secs(within.into())).await).await?;
    let parts = [&card.name, &card.masked_pan, &card.token];
    let words: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
    out.answer(&card, if words.is_empty() { "a card".to_owned() } else { words.join(", ") });
    Ok(())
}
