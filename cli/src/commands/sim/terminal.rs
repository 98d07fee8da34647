use tresen::Result;
use tresen::payment::zvt::Password;

use super::traced::Teller;
use crate::out::Out;

/// A payment terminal on a TCP port, with TLS or without, or on a serial line
///
/// Approves every payment with the same simulated card unless told otherwise, and keeps a
/// ledger. With -vv every frame is shown, card data and passwords masked. Commands: decline, decline CODE,
/// part AMOUNT (approve at most that), busy, cut (disconnect after the next approval), mute (stop sending after the
/// next approval), hang up (disconnect at the next message), garbage, wrong length, late SECONDS (delay the next
/// answer), lose, corrupt, twice (the next frame, ACK or NAK on a serial line), behave, ledger, quit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The protocol to speak
    #[arg(long, default_value = "zvt", value_parser = ["zvt", "opi", "nexo", "paytec"])]
    protocol: String,

    /// Where to listen; by default at the protocol's usual port of 127.0.0.1. ZVT and PayTec also take pty (a new
    /// pseudo-terminal), serial:///dev/ttyUSB0?baud=115200 and tls://HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) listen: Option<String>,

    /// Where the till listens; with OPI for channel 1, without which nothing is printed or shown, with nexo for what the
    /// terminal tells while a transaction runs
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) till: Option<String>,

    /// OPI: the dialect
    #[arg(long, default_value = "german", value_parser = ["german", "swiss", "ifsf"])]
    pub(super) dialect: String,

    /// nexo: its POIID
    #[arg(long, default_value = "V400m-123456789")]
    pub(super) poi: String,

    /// nexo: the passphrase of its key, which is called `sim`
    #[arg(long, default_value = "simulated", value_name = "PASSPHRASE")]
    pub(super) passphrase: String,

    /// Duration of each step, in milliseconds
    #[arg(long, default_value_t = 400, value_name = "MS")]
    pub(super) pace: u64,

    /// What happens to an approval that the till does not acknowledge; with PayTec: confirm
    #[arg(long, default_value = "reverses", value_parser = ["reverses", "keeps"])]
    pub(super) unacknowledged: String,

    /// The password it requires; any is accepted if not given
    #[arg(long, value_name = "PASSWORD")]
    pub(super) password: Option<Password>,

    /// ZVT: forget a till's registration when it disconnects, rather than when it logs off
    #[arg(long)]
    pub(super) forget: bool,

    /// Decline every payment, with ZVT with this result code
    #[arg(long, value_name = "CODE")]
    pub(super) decline: Option<u8>,

    /// Print every message in words, as `tresen trace` does; card data and passwords are masked
    #[arg(long)]
    pub(super) trace: bool,
}

impl Args {
    /// What tells the traffic of a simulator at `address`, if that is wanted.
    pub(super) fn teller(&self, address: &str, out: Out) -> Option<Teller> {
        self.trace.then(|| Teller::new(address, out))
    }
}

pub(crate) async fn run(args: Args, out: Out) -> Result<()> {
    match &*args.protocol {
        "opi" => super::opi::run(args, out).await,
        "nexo" => super::nexo::run(args, out).await,
        "paytec" => super::paytec::run(args, out).await,
        _ => super::zvt::run(args, out).await,
    }
}
