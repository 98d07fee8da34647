//! A simulated terminal that speaks nexo: with TLS where this build has it, under a certificate made for the occasion.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tresen::hal::link::{Connect, Reached};
use tresen::hal::sim::Shared;
use tresen::hal::{Clock as _, SystemClock};
use tresen::payment::nexo::crypto::Key;
use tresen::payment::nexo::sim::{Enters, Fault, Misbehaviour, Profile, Server, Side, Simulator, Transaction};
use tresen::{Address, Result};

use super::bind;
use super::panel::{Panel, operate};
use super::terminal::Args;
use super::traced::{Teller, Told};
use crate::out::Out;

pub(super) async fn run(args: Args, out: Out) -> Result<()> {
    let key = Key::derive("sim", 1, &args.passphrase)?;
    let profile = Profile {
        poi: args.poi.clone(),
        key: Some(key),
        pace: Duration::from_millis(args.pace),
        tells: args.till.is_some(),
        time: SystemClock.wall(),
        ..Profile::default()
    };
    let device = Shared::new(Simulator::new(profile));
    let listener = bind(args.listen.as_deref().unwrap_or("127.0.0.1:8443")).await?;
    let at = listener.local_addr()?;
    let (_server, scheme, trust) =
        served(listener, &args.poi, args.teller("nexo+tcp://localhost", out), till(&args)?, device.clone())?;
    let Args { poi, passphrase, .. } = &args;
    let address = format!("nexo+{scheme}://{at}?poi={poi}&key=sim&passphrase={passphrase}{trust}");
    out.answer(&json!({ "address": address }), format_args!("{address}; Ctrl-C stops, `help` lists the commands"));
    let terminal = Terminal { device, declines: args.decline.is_some() };
    terminal.keep_declining();
    operate(terminal, out).await
}

/// With TLS, and the fingerprint that a till has to trust.
#[cfg(feature = "tls")]
fn served(
    listener: TcpListener,
    poi: &str,
    teller: Option<Teller>,
    till: Option<Arc<dyn Connect>>,
    device: Shared<Simulator>,
) -> Result<(Server, &'static str, String)> {
    let (inner, fingerprint) = super::certificate::listen(listener, &format!("{poi}.test.terminal.adyen.com"))?;
    let trust = format!("&fingerprint={fingerprint}");
    Ok((tresen::payment::nexo::sim::over(Box::new(Told { inner, teller }), till, device), "https", trust))
}

/// This build has no TLS.
#[cfg(not(feature = "tls"))]
fn served(
    inner: TcpListener,
    _: &str,
    teller: Option<Teller>,
    till: Option<Arc<dyn Connect>>,
    device: Shared<Simulator>,
) -> Result<(Server, &'static str, String)> {
    let server = tresen::payment::nexo::sim::over(Box::new(Told { inner, teller }), till, device);
    Ok((server, "tcp", String::new()))
}

/// Where the till listens.
fn till(args: &Args) -> Result<Option<Arc<dyn Connect>>> {
    let address = args.till.as_ref().map(|till| format!("nexo+tcp://{till}").parse::<Address>()).transpose()?;
    Ok(address.map(|address| Arc::new(Reached::new(address)) as Arc<dyn Connect>))
}

struct Terminal {
    device: Shared<Simulator>,
    declines: bool,
}

impl Panel for Terminal {
    const HELP: &'static str = "decline | cancel | part AMOUNT | tip AMOUNT | busy | unreachable | hang up | lose answer | \
        restart | drop | garbage | unsealed | other key | foreign | reject | status CODE | half | split | chunked | \
        late SECONDS | enter yes | enter no | enter TEXT | choose NUMBER | cancel input | behave | ledger | quit";

    fn ledger(&self) -> Vec<Transaction> {
        self.device.with(|d| d.ledger().entries().to_vec())
    }

    fn command(&self, words: &[&str]) -> bool {
        if let Some(enters) = enters(words) {
            self.device.with(|d| d.profile_mut().enters = enters);
            return true;
        }
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

/// What the customer enters from now on, if the operator says so.
fn enters(words: &[&str]) -> Option<Enters> {
    Some(match words {
        ["enter", "yes"] => Enters::Yes,
        ["enter", "no"] => Enters::No,
        ["enter", text @ ..] if !text.is_empty() => Enters::Text(text.join(" ")),
        ["choose", number] => Enters::Entry(number.parse::<usize>().ok()?.checked_sub(1)?),
        ["cancel", "input"] => Enters::Nothing,
        _ => return None,
    })
}

/// The fault named by the operator, if there is one of that name.
fn fault(words: &[&str]) -> Option<Misbehaviour> {
    let answer = |how| Some(Misbehaviour::At { side: Side::ToTill, message: 0, how });
    match words {
        ["decline"] => Some(Misbehaviour::Decline),
        ["cancel"] => Some(Misbehaviour::Cancel),
        ["busy"] => Some(Misbehaviour::Busy),
        ["part", amount] => Some(Misbehaviour::Part(amount.parse().ok()?)),
        ["tip", amount] => Some(Misbehaviour::Tip(amount.parse().ok()?)),
        ["unreachable"] => Some(Misbehaviour::Unreachable { charged: false }),
        ["hang", "up"] => Some(Misbehaviour::At { side: Side::FromTill, message: 0, how: Fault::HangUp }),
        ["lose", "answer"] => answer(Fault::HangUp),
        ["restart"] => answer(Fault::Restart),
        ["drop"] => answer(Fault::Drop),
        ["garbage"] => answer(Fault::Garbage),
        ["unsealed"] => answer(Fault::Unsealed),
        ["other", "key"] => answer(Fault::OtherKey),
        ["foreign"] => answer(Fault::Foreign),
        ["reject"] => answer(Fault::Reject),
        ["status", code] => answer(Fault::Status(code.parse().ok()?)),
        ["half"] => answer(Fault::Half),
        ["split"] => answer(Fault::Split),
        ["chunked"] => answer(Fault::Chunked),
        ["late", seconds] => {
            let seconds: u16 = seconds.parse().ok()?;
            answer(Fault::Late(Duration::from_secs(seconds.into())))
        }
        _ => None,
    }
}
