//! A simulated terminal that speaks OPI.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tresen::hal::link::{Connect, Reached};
use tresen::hal::sim::Shared;
use tresen::payment::opi::sim::{Misbehaviour, Profile, Side, Simulator, Transaction, serve};
use tresen::payment::opi::{Dialect, dialect};
use tresen::{Address, Result};

use super::bind;
use super::panel::{Panel, operate};
use super::terminal::Args;
use super::traced::Told;
use crate::out::Out;

pub(super) async fn run(args: Args, out: Out) -> Result<()> {
    let dialect = Dialect::named(&args.dialect).unwrap_or(dialect::GERMAN);
    // Without a till that listens there is nobody to print for.
    let (shows, receipts) = (args.till.is_some(), Profile::default().receipts.filter(|_| args.till.is_some()));
    let pace = Duration::from_millis(args.pace);
    let device = Shared::new(Simulator::new(Profile { dialect, pace, shows, receipts, ..Profile::default() }));
    let listen = args.listen.clone().unwrap_or_else(|| format!("127.0.0.1:{}", dialect.port));
    let listener = bind(&listen).await?;
    let (at, teller) = (listener.local_addr()?, args.teller("opi+tcp://localhost", out));
    let till = args.till.as_ref().map(|till| format!("opi+tcp://{till}").parse::<Address>()).transpose()?;
    let till = till.map(|till| Told { inner: Reached::new(till), teller: teller.clone() });
    let till = till.map(|till| Arc::new(till) as Arc<dyn Connect>);
    tokio::spawn(serve(Box::new(Told { inner: listener, teller }), till, device.clone()));
    let address = format!("opi+tcp://{at}?dialect={}", dialect.name);
    out.answer(&json!({ "address": address }), format_args!("{address}; Ctrl-C stops, `help` lists the commands"));
    let terminal = Terminal { device, declines: args.decline.is_some() };
    terminal.keep_declining();
    operate(terminal, out).await
}

struct Terminal {
    device: Shared<Simulator>,
    declines: bool,
}

impl Panel for Terminal {
    const HELP: &'static str = "decline | part AMOUNT | busy | hang up | restart | drop | garbage | wrong length | twice | \
        split | late SECONDS | behave | ledger | quit";

    fn ledger(&self) -> Vec<Transaction> {
        self.device.with(|d| d.ledger().entries().to_vec())
    }

    fn command(&self, words: &[&str]) -> bool {
        let fault = fault(words);
        fault.into_iter().for_each(|fault| self.device.with(|d| d.misbehave(fault)));
        fault.is_some()
    }

    fn keep_declining(&self) {
        if self.declines {
            self.device.with(|d| d.misbehave(Misbehaviour::Decline));
        }
    }

    fn behave(&self) {
        self.device.with(Simulator::behave);
    }
}

/// The fault named by the operator, if there is one of that name.
fn fault(words: &[&str]) -> Option<Misbehaviour> {
    let message = 0;
    Some(match words {
        ["decline"] => Misbehaviour::Decline,
        ["part", amount] => Misbehaviour::Part(amount.parse().ok()?),
        ["busy"] => Misbehaviour::Busy,
        ["hang", "up"] => Misbehaviour::HangUp { side: Side::FromTill, message, after: true },
        ["restart"] => Misbehaviour::Restart { side: Side::ToTill, message },
        ["drop"] => Misbehaviour::Drop { message },
        ["garbage"] => Misbehaviour::Garbage { message },
        ["wrong", "length"] => Misbehaviour::WrongLength { message },
        ["twice"] => Misbehaviour::Twice { message },
        ["split"] => Misbehaviour::Split { message },
        ["late", seconds] => {
            let seconds: u16 = seconds.parse().ok()?;
            Misbehaviour::Late { message, by: Duration::from_secs(seconds.into()) }
        }
        _ => return None,
    })
}
