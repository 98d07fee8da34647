//! A simulated terminal that speaks PayTec: on a TCP port, with TLS or without, or on a serial line.

use std::time::Duration;

use serde_json::json;
use tresen::Result;
use tresen::hal::sim;
use tresen::hal::{Clock as _, SystemClock};
use tresen::payment::paytec::sim::{Fault, Misbehaviour, Profile, Side, Simulator, Transaction, Unconfirmed};

use super::panel::{Panel, operate};
use super::terminal::Args;
use super::traced::Traced;
use super::{line, place};
use crate::out::Out;

pub(super) async fn run(args: Args, out: Out) -> Result<()> {
    let listen = args.listen.as_deref().unwrap_or("127.0.0.1:8307");
    let serial = line::is_one(listen);
    let profile = Profile {
        serial,
        pace: Duration::from_millis(args.pace),
        unconfirmed: if args.unacknowledged == "keeps" { Unconfirmed::Kept } else { Unconfirmed::Undone },
        time: Some(SystemClock.wall().to_zoned(jiff::tz::TimeZone::system()).datetime()),
        heartbeat: Some(Duration::from_secs(10)),
        ..Profile::default()
    };
    let link = if serial { "paytec+serial:///dev/ttyS0" } else { "paytec+tcp://localhost:1" };
    let traced = Traced::new(Simulator::new(profile), link.parse()?).told_by(args.teller(link, out));
    let device = sim::Shared::new(traced);
    let terminal = Terminal { device: device.clone(), declines: args.decline };
    terminal.keep_declining();
    let said = |address: &str| {
        out.answer(&json!({ "address": address }), format_args!("{address}; Ctrl-C stops, `help` lists the commands"));
    };
    if serial {
        let (_served, address) = line::open("paytec", ("baud", "115200"), listen, &device).await?;
        said(&address);
        return operate(terminal, out).await;
    }
    let (listen, address) = place::listen("paytec", listen).await?;
    let _server = sim::over(listen, device);
    said(&address);
    operate(terminal, out).await
}

struct Terminal {
    device: sim::Shared<Traced<Simulator>>,
    declines: Option<u8>,
}

impl Panel for Terminal {
    const HELP: &'static str = "decline [CODE] | refer | cancel | task | refuse | disturb | part AMOUNT | tip AMOUNT | \
        busy SECONDS | hang up | lose answer | restart | drop | twice | half | split | chunked | garbage | unreadable | error | \
        late SECONDS | behave | ledger | quit";

    fn ledger(&self) -> Vec<Transaction> {
        self.device.with(|d| d.device.ledger().entries().to_vec())
    }

    fn command(&self, words: &[&str]) -> bool {
        let fault = fault(words);
        fault.into_iter().for_each(|fault| self.device.with(|d| d.device.misbehave(fault)));
        fault.is_some()
    }

    fn keep_declining(&self) {
        if let Some(code) = self.declines {
            self.device.with(|d| d.device.misbehave(Misbehaviour::Decline(code.into())));
        }
    }

    fn behave(&self) {
        self.device.with(|d| d.device.behave());
    }
}

/// The fault named by the operator, if there is one of that name.
fn fault(words: &[&str]) -> Option<Misbehaviour> {
    let answer = |how| Some(Misbehaviour::At { side: Side::ToTill, message: 0, how });
    let seconds = |text: &str| text.parse::<u16>().ok().map(|seconds| Duration::from_secs(seconds.into()));
    match words {
        ["decline"] => Some(Misbehaviour::Decline(1_000)),
        ["decline", code] => Some(Misbehaviour::Decline(code.parse().ok()?)),
        ["refer"] => Some(Misbehaviour::Refer),
        ["cancel"] => Some(Misbehaviour::Cancel),
        ["task"] => Some(Misbehaviour::TaskPending),
        ["refuse"] => Some(Misbehaviour::Refuse),
        ["disturb"] => Some(Misbehaviour::Disturb),
        ["part", amount] => Some(Misbehaviour::Part(amount.parse().ok()?)),
        ["tip", amount] => Some(Misbehaviour::Tip(amount.parse().ok()?)),
        ["busy", time] => Some(Misbehaviour::BusyFor(seconds(time)?)),
        ["hang", "up"] => Some(Misbehaviour::At { side: Side::FromTill, message: 0, how: Fault::HangUp }),
        ["lose", "answer"] => answer(Fault::HangUp),
        ["restart"] => answer(Fault::Restart),
        ["drop"] => answer(Fault::Drop),
        ["twice"] => answer(Fault::Twice),
        ["half"] => answer(Fault::Half),
        ["split"] => answer(Fault::Split),
        ["chunked"] => answer(Fault::Chunked),
        ["garbage"] => answer(Fault::Garbage),
        ["unreadable"] => answer(Fault::Unreadable),
        ["error"] => answer(Fault::Error),
        ["late", time] => answer(Fault::Late(seconds(time)?)),
        _ => None,
    }
}
