//! The demo's devices: simulators, served over real links.

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;
use tresen::hal::sim::{self, Server, Shared};
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Profile as TerminalProfile, Simulator};
use tresen::printers::Profile as PrinterProfile;
use tresen::printers::escpos::sim::Simulator as PrinterSimulator;
use tresen::scanners::serial::sim::{Settings, Simulator as ScannerSim};
use tresen::{Error, Result};

use super::pictures;

/// The devices, with the actions of a person at the counter.
pub(super) struct Counter {
    pub(super) receipt: Shared<PrinterSimulator>,
    pub(super) kitchen: Shared<PrinterSimulator>,
    pub(super) terminal: Shared<Simulator>,
    pub(super) scanner: Shared<ScannerSim>,
    /// Each device's name and address, as in the configuration.
    pub(super) addresses: [(&'static str, String); 5],
    _servers: Vec<Box<dyn Send>>,
}

impl Counter {
    /// Starts the devices; the camera sees `voucher`. `receipts` payments were made in earlier runs.
    pub(super) async fn start(dir: &Path, voucher: &str, receipts: usize) -> Result<Self> {
        let printer = || Shared::new(PrinterSimulator::new(PrinterProfile::epson_tm_m30()));
        let (receipt, kitchen) = (printer(), printer());
        let terminal = Shared::new(Simulator::new(TerminalProfile {
            pace: Duration::from_millis(350),
            commit: Commit::Keeps,
            // A real terminal does not restart at the same receipt number either.
            receipts_from: u16::try_from(416 + receipts % 9000).unwrap_or(416),
            ..TerminalProfile::default()
        }));
        let mut with_aim = Settings::default();
        with_aim.aim = true;
        let scanner = Shared::new(ScannerSim::new(with_aim));

        let mut servers: Vec<Box<dyn Send>> = Vec::new();
        let mut tcp = |(server, at): (Server, std::net::SocketAddr)| {
            servers.push(Box::new(server));
            at
        };
        let receipt_at = tcp(sim::tcp(loopback().await?, receipt.clone())?);
        let kitchen_at = tcp(sim::tcp(loopback().await?, kitchen.clone())?);
        let terminal_at = tcp(sim::tcp(loopback().await?, terminal.clone())?);
        #[cfg(all(unix, feature = "serial"))]
        let scanner_at = {
            let pty = sim::pty(scanner.clone())?;
            let at = format!("scanner+serial://{}?aim=true", pty.path);
            servers.push(Box::new(pty));
            at
        };
        #[cfg(not(all(unix, feature = "serial")))]
        let scanner_at = format!("scanner+tcp://{}?aim=true", tcp(sim::tcp(loopback().await?, scanner.clone())?));

        let frames = dir.join("frames");
        std::fs::create_dir_all(&frames).map_err(|e| Error::from(e).at(frames.display()))?;
        pictures::save(&pictures::frame(voucher)?, &frames.join("voucher.png"))?;
        let frames = frames.canonicalize().map_err(|e| Error::from(e).at(frames.display()))?;
        let camera_at = tresen::Address::new("camera", tresen::hal::address::LinkKind::File { path: frames });

        let addresses = [
            ("printers.receipt", format!("escpos+tcp://{receipt_at}")),
            ("printers.kitchen", format!("escpos+tcp://{kitchen_at}")),
            ("terminals.counter", format!("zvt+tcp://{terminal_at}?password=000000")),
            ("scanners.hand", scanner_at),
            ("cameras.voucher", camera_at.with("fps", "10").with("loop", "true").to_string()),
        ];
        Ok(Self { receipt, kitchen, terminal, scanner, addresses, _servers: servers })
    }

    /// The configuration of a till with these devices.
    pub(super) fn config(&self) -> String {
        let mut text = String::from(
            "# Written by `tresen demo`; the simulated devices are gone when it ends.\n\
             in-store = [\"28PPPPPWWWWWC\"]\n\n[till]\nname = \"Demo\"\nstore = \"till.db\"\n\n\
             [routes]\nreceipt = [\"receipt\", \"kitchen\"]\n",
        );
        for (name, address) in &self.addresses {
            // A literal string: a path on Windows has backslashes.
            text.push_str(&format!("\n[{name}]\naddress = '{address}'\n"));
        }
        text
    }
}

async fn loopback() -> Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await.map_err(|e| Error::from(e).at("127.0.0.1"))
}
