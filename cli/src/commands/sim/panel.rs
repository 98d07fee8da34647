//! Operates a simulated terminal from standard input, and tells what it stores.

use std::time::Duration;

use serde_json::json;
use tresen::Result;
use tresen::payment::zvt::sim::Transaction;

use super::{commands, next};
use crate::out::Out;

/// What an operator can do with a terminal.
pub(super) trait Panel {
    /// The commands besides `ledger` and `quit`.
    const HELP: &'static str;

    /// What it has stored.
    fn ledger(&self) -> Vec<Transaction>;

    /// Does what the words say; false if there is no such command.
    fn command(&self, words: &[&str]) -> bool;

    /// The next transaction is declined, too, if all are to be.
    fn keep_declining(&self);

    /// Nothing goes wrong any more.
    fn behave(&self);
}

/// Runs until `quit`, Ctrl-C or an error.
pub(super) async fn operate<P: Panel>(panel: P, out: Out) -> Result<()> {
    let mut lines = commands();
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut seen: Vec<Transaction> = Vec::new();
    loop {
        tokio::select! {
            _ = look.tick() => {
                let ledger = panel.ledger();
                for (at, entry) in ledger.iter().enumerate().filter(|(at, entry)| seen.get(*at) != Some(entry)) {
                    tell(at, entry, out);
                    if at >= seen.len() {
                        panel.keep_declining();
                    }
                }
                seen = ledger;
            }
            line = next(&mut lines) => {
                match line.as_str() {
                    "" => {}
                    "quit" => return Ok(()),
                    "ledger" => seen.iter().enumerate().for_each(|(at, entry)| tell(at, entry, out)),
                    "behave" => panel.behave(),
                    other if panel.command(&other.split_whitespace().collect::<Vec<_>>()) => {
                        out.answer(&json!({ "fault": other }), format_args!("once: {other}"));
                    }
                    _ => out.say(P::HELP),
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

fn tell(at: usize, entry: &Transaction, out: Out) {
    let value = json!({
        "entry": at, "kind": format!("{:?}", entry.kind), "amount": entry.amount,
        "receipt": entry.receipt, "trace": entry.trace, "state": format!("{:?}", entry.state), "code": entry.code,
    });
    out.answer(
        &value,
        format_args!("receipt {:04}: {:?} of {}, {:?}", entry.receipt, entry.kind, entry.amount, entry.state),
    );
}
