use std::time::Duration;

use serde_json::json;
use tresen::Result;
use tresen::hal::sim;
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Misbehaviour, Profile, Simulator, Transaction};

use super::{bind, commands, next};
use crate::out::Out;

/// A payment terminal on a TCP port
///
/// It approves everything with the card that every customer has, unless told otherwise, and keeps a
/// ledger. Commands: decline, decline CODE, busy, cut (hang up after the next approval), mute (say nothing after
/// the next approval), behave, ledger, quit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The protocol it speaks
    #[arg(long, default_value = "zvt", value_parser = ["zvt"])]
    protocol: String,

    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:20007", value_name = "HOST:PORT")]
    listen: String,

    /// How long each step takes, in milliseconds
    #[arg(long, default_value_t = 400, value_name = "MS")]
    pace: u64,

    /// What becomes of an approval that the till does not acknowledge
    #[arg(long, default_value = "reverses", value_parser = ["reverses", "keeps"])]
    unacknowledged: String,

    /// Decline every payment with this result code
    #[arg(long, value_name = "CODE")]
    decline: Option<u8>,
}

const HELP: &str = "decline [CODE] | busy | cut | mute | behave | ledger | quit";

pub(crate) async fn run(args: Args, out: Out) -> Result<()> {
    let commit = if args.unacknowledged == "keeps" { Commit::Keeps } else { Commit::Reverses };
    let profile = Profile { pace: Duration::from_millis(args.pace), commit, ..Profile::default() };
    let device = sim::Shared::new(Simulator::new(profile));
    let (_server, at) = sim::tcp(bind(&args.listen).await?, device.clone())?;
    let address = format!("{}+tcp://{at}", args.protocol);
    out.answer(&json!({ "address": address }), format_args!("{address}; Ctrl-C ends, `help` helps"));
    if let Some(code) = args.decline {
        device.with(|d| d.misbehave(Misbehaviour::Decline(code)));
    }
    let mut lines = commands();
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut seen: Vec<Transaction> = Vec::new();
    loop {
        tokio::select! {
            _ = look.tick() => {
                let ledger = device.with(|d| d.ledger().entries().to_vec());
                for (at, entry) in ledger.iter().enumerate().filter(|(at, entry)| seen.get(*at) != Some(entry)) {
                    tell(at, entry, out);
                    // A fault is used up by one payment; this one goes on.
                    if let Some(code) = args.decline.filter(|_| at >= seen.len()) {
                        device.with(|d| d.misbehave(Misbehaviour::Decline(code)));
                    }
                }
                seen = ledger;
            }
            line = next(&mut lines) => {
                let words: Vec<_> = line.split_whitespace().collect();
                match words[..] {
                    [] => {}
                    ["quit"] => return Ok(()),
                    ["ledger"] => seen.iter().enumerate().for_each(|(at, entry)| tell(at, entry, out)),
                    ["behave"] => device.with(Simulator::behave),
                    ["busy"] => device.with(|d| d.misbehave(Misbehaviour::Busy)),
                    ["cut"] => device.with(|d| d.misbehave(Misbehaviour::HangUpAfterApproval)),
                    ["mute"] => device.with(|d| d.misbehave(Misbehaviour::MuteAfterApproval)),
                    ["decline"] => device.with(|d| d.misbehave(Misbehaviour::Decline(5))),
                    ["decline", code] if code.parse::<u8>().is_ok() => {
                        let code = code.parse().expect("it was just parsed");
                        device.with(|d| d.misbehave(Misbehaviour::Decline(code)));
                    }
                    _ => out.say(HELP),
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
