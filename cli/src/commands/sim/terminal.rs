use std::time::Duration;

use serde_json::json;
use tresen::hal::sim;
use tresen::payment::zvt::sim::{Misbehaviour, Profile, Side, Simulator, Transaction};
use tresen::payment::zvt::{Commit, Password};
use tresen::{Address, Result};

use super::traced::Traced;
use super::{bind, commands, next};
use crate::out::Out;

/// A payment terminal on a TCP port
///
/// Approves every payment with the same simulated card unless told otherwise, and keeps a
/// ledger. With -vv every frame is shown, card data and passwords masked. Commands: decline, decline CODE,
/// part AMOUNT (approve at most that), busy, cut (disconnect after the next approval), mute (stop sending after the
/// next
/// approval), hang up (disconnect at the next message), garbage, wrong length, late SECONDS (delay the next answer),
/// behave, ledger, quit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The protocol to speak
    #[arg(long, default_value = "zvt", value_parser = ["zvt"])]
    protocol: String,

    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:20007", value_name = "HOST:PORT")]
    listen: String,

    /// Duration of each step, in milliseconds
    #[arg(long, default_value_t = 400, value_name = "MS")]
    pace: u64,

    /// What happens to an approval that the till does not acknowledge
    #[arg(long, default_value = "reverses", value_parser = ["reverses", "keeps"])]
    unacknowledged: String,

    /// The password it requires; any is accepted if not given
    #[arg(long, value_name = "PASSWORD")]
    password: Option<Password>,

    /// Decline every payment with this result code
    #[arg(long, value_name = "CODE")]
    decline: Option<u8>,
}

const HELP: &str = "decline [CODE] | part AMOUNT | busy | cut | mute | hang up | garbage | wrong length | late SECONDS | \
     behave | ledger | quit";

pub(crate) async fn run(args: Args, out: Out) -> Result<()> {
    let commit = if args.unacknowledged == "keeps" { Commit::Keeps } else { Commit::Reverses };
    let password = args.password;
    let profile = Profile { pace: Duration::from_millis(args.pace), commit, password, ..Profile::default() };
    let traced = Traced::new(Simulator::new(profile), Address::tcp(&args.protocol, "localhost", 1));
    let device = sim::Shared::new(traced);
    let (_server, at) = sim::tcp(bind(&args.listen).await?, device.clone())?;
    let address = format!("{}+tcp://{at}", args.protocol);
    out.answer(&json!({ "address": address }), format_args!("{address}; Ctrl-C stops, `help` lists the commands"));
    let misbehave = |how| device.with(|d| d.device.misbehave(how));
    if let Some(code) = args.decline {
        misbehave(Misbehaviour::Decline(code));
    }
    let mut lines = commands();
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut seen: Vec<Transaction> = Vec::new();
    loop {
        tokio::select! {
            _ = look.tick() => {
                let ledger = device.with(|d| d.device.ledger().entries().to_vec());
                for (at, entry) in ledger.iter().enumerate().filter(|(at, entry)| seen.get(*at) != Some(entry)) {
                    tell(at, entry, out);
                    // A fault applies to one payment; `--decline` applies to all.
                    if let Some(code) = args.decline.filter(|_| at >= seen.len()) {
                        misbehave(Misbehaviour::Decline(code));
                    }
                }
                seen = ledger;
            }
            line = next(&mut lines) => {
                match line.as_str() {
                    "" => {}
                    "quit" => return Ok(()),
                    "ledger" => seen.iter().enumerate().for_each(|(at, entry)| tell(at, entry, out)),
                    "behave" => device.with(|d| d.device.behave()),
                    other => match fault(other) {
                        Some(how) => {
                            misbehave(how);
                            out.answer(&json!({ "fault": other }), format_args!("once: {other}"));
                        }
                        None => out.say(HELP),
                    },
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// The fault named by the operator, if there is one of that name.
fn fault(words: &str) -> Option<Misbehaviour> {
    let words: Vec<_> = words.split_whitespace().collect();
    Some(match words[..] {
        ["busy"] => Misbehaviour::Busy,
        ["cut"] => Misbehaviour::HangUpAfterApproval,
        ["mute"] => Misbehaviour::MuteAfterApproval,
        ["decline"] => Misbehaviour::Decline(5),
        ["part", amount] => Misbehaviour::Part(amount.parse().ok()?),
        ["decline", code] => Misbehaviour::Decline(code.parse().ok()?),
        ["hang", "up"] => Misbehaviour::HangUp { side: Side::FromTill, message: 0, after: false },
        ["garbage"] => Misbehaviour::Garbage { message: 0 },
        ["wrong", "length"] => Misbehaviour::WrongLength { message: 0 },
        ["late", seconds] => {
            let seconds: u16 = seconds.parse().ok()?;
            Misbehaviour::Late { message: 0, by: Duration::from_secs(seconds.into()) }
        }
        _ => return None,
    })
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
