//! A till with simulated devices that serves, and ways to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use tresen::Tresen;
use tresen::testing::Counter;
use tresen_hal::barcode::Symbology;
use tresen_hal::{BoxFuture, Error, Kind, Result, Runtime, SimulatedRuntime};
use tresen_remote::client::{Client, Dial, Options, Stream};
use tresen_remote::server::{self, Server};
use tresen_remote::trust::memory::Guests;
use tresen_remote::trust::{By, Principal};

use super::frames::{head, parse};

const TILL: &str = "
    [till]
    name = 'Corner shop'
    [printers.receipt]
    address = 'escpos+tcp://10.0.0.20'
    [terminals.counter]
    address = 'zvt+tcp://10.0.0.30'
    [scanners.hand]
    address = 'scanner+serial:///dev/ttyACM0'
";

pub(crate) struct Shop {
    pub(crate) counter: Counter,
    pub(crate) till: Tresen,
    pub(crate) gate: Arc<Guests>,
    pub(crate) server: Arc<Server>,
    _folder: TempDir,
}

pub(crate) fn principal(name: &str, rights: &str) -> Principal {
    let (grants, by) = (rights.parse().expect("rights"), By::Token { id: name.into() });
    Principal { name: name.into(), station: None, grants, expires: None, by }
}

pub(crate) const ALL: &str = "watch sell print drawer scan camera pay refund settle configure attach";

impl Shop {
    /// `anna` has all rights; her token is her name.
    pub(crate) async fn open() -> Self {
        Self::with(server::Options::default()).await
    }

    pub(crate) async fn with(options: server::Options) -> Self {
        Self::of("", options).await
    }

    /// With further devices.
    pub(crate) async fn of(more: &str, options: server::Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let counter = Counter::parse(&format!("{TILL}{more}"), folder.path()).expect("right");
        let till = counter.open().await.expect("opens");
        let gate = Arc::new(Guests::default());
        gate.admit("anna", principal("anna", ALL));
        let server = Arc::new(Server::start(&till, gate.clone(), options).expect("starts"));
        Self { counter, till, gate, server, _folder: folder }
    }

    /// A stream to the server, in memory.
    pub(crate) fn stream(&self) -> DuplexStream {
        stream(&self.server).expect("there is room")
    }

    pub(crate) async fn client(&self, token: &str) -> Client {
        Client::connect(Memory(self.server.clone()), options(token)).await.expect("let in")
    }

    pub(crate) fn scan(&self, data: &str) {
        self.counter.scanner("hand").expect("there").with(|scanner| scanner.scan(data, Symbology::Ean13));
    }

    /// The turnover of the terminal in cents, and how many transactions it has booked.
    pub(crate) fn charged(&self) -> i64 {
        self.counter.terminal("counter").expect("there").with(|terminal| terminal.ledger().turnover())
    }

    pub(crate) fn paper(&self) -> String {
        self.counter.printer("receipt").expect("there").with(|printer| printer.roll().text().to_owned())
    }
}

fn stream(server: &Server) -> Result<DuplexStream> {
    let (near, far) = duplex(64 << 10);
    server.serve(far, "memory", None)?;
    Ok(near)
}

pub(crate) fn options(token: &str) -> Options {
    let wall: Timestamp = "2026-01-02T08:00:00Z".parse().expect("a time");
    let runtime: Arc<dyn Runtime> = Arc::new(SimulatedRuntime::new(42, wall));
    Options::new(runtime).token(token)
}

/// In memory.
pub(crate) struct Memory(pub(crate) Arc<Server>);

impl Dial for Memory {
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(stream(&self.0)?) as Box<dyn Stream>) })
    }

    fn host(&self) -> &str {
        "127.0.0.1:7480"
    }
}

/// Which messages pass before the link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// After so many of the client's.
    ToTill(usize),
    /// After so many of the till's.
    ToClient(usize),
}

/// In memory, through a relay that cuts the first connection after some message and lets the later ones be. One message
/// is on its way when the link is cut, and is lost.
pub(crate) struct Cutting {
    pub(crate) server: Arc<Server>,
    pub(crate) cut: Arc<Mutex<Option<Cut>>>,
}

impl Dial for Cutting {
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let far = stream(&self.server)?;
            let (near, here) = duplex(64 << 10);
            tokio::spawn(relay(here, far, self.cut.clone()));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }

    fn host(&self) -> &str {
        "127.0.0.1:7480"
    }
}

/// Carries whole messages both ways until the cut; the plan is taken by the first cut.
async fn relay(client: DuplexStream, till: DuplexStream, plan: Arc<Mutex<Option<Cut>>>) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_till, mut to_till) = tokio::io::split(till);
    let limit = |towards_till: bool| match (*plan.lock().expect("sound"), towards_till) {
        (Some(Cut::ToTill(n)), true) | (Some(Cut::ToClient(n)), false) => Some(n),
        _ => None,
    };
    tokio::select! {
        biased;
        _ = carry(&mut from_client, &mut to_till, limit(true)) => {}
        _ = carry(&mut from_till, &mut to_client, limit(false)) => {}
    }
    // Both ends see the end of the stream now.
    let _ = limit;
    if let Ok(mut plan) = plan.lock() {
        *plan = None;
    }
}

/// Carries messages; ends with the stream, or when the message after `limit` of them has come.
async fn carry(
    from: &mut tokio::io::ReadHalf<DuplexStream>,
    to: &mut tokio::io::WriteHalf<DuplexStream>,
    limit: Option<usize>,
) -> Option<()> {
    let (mut bytes, mut passed, mut upgraded) = (Vec::new(), 0, false);
    loop {
        while let Some(len) = if upgraded { parse(&bytes).map(|(_, _, len)| len) } else { head(&bytes) } {
            let message: Vec<u8> = bytes.drain(..len).collect();
            if upgraded {
                if limit.is_some_and(|limit| passed >= limit) {
                    return None;
                }
                passed += 1;
            }
            upgraded = true;
            to.write_all(&message).await.ok()?;
        }
        if from.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// What `work` returns within `within` of virtual time.
pub(crate) async fn soon<T>(within: Duration, work: impl Future<Output = T>) -> Result<T> {
    timeout(within, work).await.map_err(|_| Error::new(Kind::Timeout, "it took too long"))
}
