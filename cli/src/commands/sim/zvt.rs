//! A simulated terminal that speaks ZVT: over TCP, with TLS or without, or on a serial line.

use std::time::Duration;

use serde_json::json;
use tresen::hal::sim;
use tresen::hal::{Clock as _, SystemClock};
use tresen::payment::zvt::serial::Timing;
use tresen::payment::zvt::sim::{LineFault, Misbehaviour, Profile, Side, Simulator, Transaction, over};
use tresen::payment::zvt::{Commit, Framed};
use tresen::{Address, Result};

use super::panel::{Panel, operate};
use super::terminal::Args;
use super::traced::{Told, Traced};
use super::{line, place};
use crate::out::Out;

pub(super) async fn run(args: Args, out: Out) -> Result<()> {
    let commit = if args.unacknowledged == "keeps" { Commit::Keeps } else { Commit::Reverses };
    let listen = args.listen.as_deref().unwrap_or("127.0.0.1:20007");
    let on_line = line::is_one(listen);
    let device = Simulator::new(Profile {
        pace: Duration::from_millis(args.pace),
        commit,
        password: args.password,
        keeps_registration: !args.forget,
        time: Some(SystemClock.wall().to_zoned(jiff::tz::TimeZone::system()).datetime()),
        framing: if on_line { Framed::Serial(Timing::default()) } else { Framed::ByLength },
        ..Profile::default()
    });
    if on_line {
        let address: Address = "zvt+serial:///dev/ttyS0".parse()?;
        let teller = args.teller(&address.to_string(), out);
        let device = sim::Shared::new(Traced::new(device, address).told_by(teller));
        let (_served, address) = line::open("zvt", ("stop", "2"), listen, &device).await?;
        let terminal = Terminal { device, sim: |traced| &mut traced.device, decline: args.decline };
        return serve(terminal, &address, out).await;
    }
    let device = sim::Shared::new(device);
    let (inner, address) = place::listen("zvt", listen).await?;
    let teller = args.teller("zvt+tcp://localhost", out);
    let _served = over(Box::new(Told { inner, teller }), device.clone());
    serve(Terminal { device, sim: |device| device, decline: args.decline }, &address, out).await
}

async fn serve<D: 'static>(terminal: Terminal<D>, address: &str, out: Out) -> Result<()> {
    out.answer(&json!({ "address": address }), format_args!("{address}; Ctrl-C stops, `help` lists the commands"));
    terminal.keep_declining();
    operate(terminal, out).await
}

struct Terminal<D> {
    device: sim::Shared<D>,
    /// The simulator in the device.
    sim: fn(&mut D) -> &mut Simulator,
    decline: Option<u8>,
}

impl<D> Terminal<D> {
    fn misbehave(&self, fault: Misbehaviour) {
        self.device.with(|d| (self.sim)(d).misbehave(fault));
    }
}

impl<D: 'static> Panel for Terminal<D> {
    const HELP: &'static str = "decline [CODE] | part AMOUNT | busy | cut | mute | hang up | garbage | wrong length | \
        late SECONDS | lose | corrupt | twice | behave | ledger | quit";

    fn ledger(&self) -> Vec<Transaction> {
        self.device.with(|d| (self.sim)(d).ledger().entries().to_vec())
    }

    fn command(&self, words: &[&str]) -> bool {
        let fault = fault(words);
        fault.into_iter().for_each(|fault| self.misbehave(fault));
        fault.is_some()
    }

    fn keep_declining(&self) {
        if let Some(code) = self.decline {
            self.misbehave(Misbehaviour::Decline(code));
        }
    }

    fn behave(&self) {
        self.device.with(|d| (self.sim)(d).behave());
    }
}

/// The fault named by the operator, if there is one of that name.
fn fault(words: &[&str]) -> Option<Misbehaviour> {
    let on_line = |how| Misbehaviour::OnLine { piece: 0, how };
    Some(match words {
        ["busy"] => Misbehaviour::Busy,
        ["cut"] => Misbehaviour::HangUpAfterApproval,
        ["mute"] => Misbehaviour::MuteAfterApproval,
        ["decline"] => Misbehaviour::Decline(5),
        ["part", amount] => Misbehaviour::Part(amount.parse().ok()?),
        ["decline", code] => Misbehaviour::Decline(code.parse().ok()?),
        ["hang", "up"] => Misbehaviour::HangUp { side: Side::FromTill, message: 0, after: false },
        ["garbage"] => Misbehaviour::Garbage { message: 0 },
        ["wrong", "length"] => Misbehaviour::WrongLength { message: 0 },
        ["lose"] => on_line(LineFault::Lose),
        ["corrupt"] => on_line(LineFault::Corrupt),
        ["twice"] => on_line(LineFault::Twice),
        ["late", seconds] => {
            let seconds: u16 = seconds.parse().ok()?;
            Misbehaviour::Late { message: 0, by: Duration::from_secs(seconds.into()) }
        }
        _ => return None,
    })
}
