//! A till that serves, with simulated devices on real connections.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tresen::api::remote::Token;
use tresen::hal::sim::{self, Shared};
use tresen::payment::zvt;
use tresen::payment::zvt::sim::{Kind, Profile};
use tresen::printers::escpos;
use tresen::{Config, Drivers, Tresen};
use tresen_remote::server::{Options, Server};
use tresen_remote::trust::{self, Trust};
use tresen_remote::web;

pub(crate) struct Shop {
    pub(crate) till: Tresen,
    pub(crate) printer: Shared<escpos::sim::Simulator>,
    pub(crate) terminal: Shared<zvt::sim::Simulator>,
    /// Dropping it switches the terminal off.
    pub(crate) terminal_power: Option<zvt::sim::Server>,
    pub(crate) url: String,
    server: Server,
    _trust: Arc<Trust>,
    _printer_power: sim::Server,
    folder: TempDir,
}

impl Shop {
    /// A terminal that takes `pace` for each step, a printer, a camera.
    pub(crate) async fn open(pace: Duration) -> Self {
        Self::with(Profile { pace, ..Profile::default() }).await
    }

    pub(crate) async fn with(terminal: Profile) -> Self {
        Self::for_pages(terminal, &[]).await
    }

    /// Pages of these origins may call.
    pub(crate) async fn for_pages(terminal: Profile, origins: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        picture(&folder.path().join("frames"));
        let printer = Shared::new(escpos::sim::Simulator::new(escpos_profile()));
        let (printer_power, printer_at) = sim::tcp(local().await, printer.clone()).expect("served");
        let terminal = Shared::new(zvt::sim::Simulator::new(terminal));
        let listener = local().await;
        let terminal_at = listener.local_addr().expect("an address");
        let terminal_power = zvt::sim::over(Box::new(listener), terminal.clone());
        let frames = folder.path().join("frames");
        let text = format!(
            "[till]\nname = 'Café Mitte'\nstore = '{}'\nsocket = false\nreconnect = {{ first = '100ms', at-most = '200ms' }}\n\
             [printers.receipt]\naddress = 'escpos+tcp://{printer_at}'\n\
             [terminals.counter]\naddress = 'zvt+tcp://{terminal_at}?partial=true'\npassword = '000000'\n\
             [cameras.door]\naddress = 'camera+file://{}?loop=true'\n",
            folder.path().join("till.db").display(),
            frames.display(),
        );
        let config = Config::parse(&text, "till.toml", &Drivers::standard()).expect("a configuration");
        let till = Tresen::with(config).await.expect("the till opens");
        let trust = Trust::open(&till, &[]).await.expect("an authority");
        let mut options = Options::default();
        let plain = local().await;
        let url = format!("http://{}", plain.local_addr().expect("an address"));
        options.plain = Some(plain);
        options.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        options.routes = trust::routes(trust.clone()).merge(web::routes());
        let server = Server::start(&till, Arc::new(trust.gate()), options).expect("it serves");
        let (terminal_power, _printer_power) = (Some(terminal_power), printer_power);
        Self { till, printer, terminal, terminal_power, url, server, _trust: trust, _printer_power, folder }
    }

    /// A one-time code for a page.
    pub(crate) async fn code(&self, station: &str, rights: &str) -> String {
        let with = serde_json::json!({ "name": station, "station": station, "rights": rights });
        let token: Token = serde_json::from_value(with).expect("the fields of a token");
        let invited = self.till.ask(token).await.expect("a code");
        invited.code.to_string()
    }

    /// The receipts that came out, as text.
    pub(crate) fn receipts(&self) -> Vec<String> {
        self.printer.with(|printer| printer.sheets().iter().map(|sheet| sheet.text().to_owned()).collect())
    }

    /// How many payments stand in the terminal's books.
    pub(crate) fn charged(&self) -> usize {
        self.terminal.with(|terminal| terminal.ledger().stored().filter(|entry| entry.kind == Kind::Payment).count())
    }

    pub(crate) async fn close(self) {
        self.server.close(Duration::from_secs(5)).await;
        self.till.close(Duration::from_secs(5)).await.expect("closed");
        drop(self.folder);
    }
}

async fn local() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

fn escpos_profile() -> tresen::printers::Profile {
    tresen::printers::Profile::epson_tm_m30()
}

/// What the camera sees: a door with a sign.
fn picture(folder: &Path) {
    std::fs::create_dir(folder).expect("a folder");
    let (width, height) = (640u16, 480u16);
    let colour = |x: u16, y: u16| match (x, y) {
        (220..420, 120..480) => [120, 72, 40],
        (200..440, 100..480) => [70, 70, 76],
        (40..180, 160..260) => [230, 220, 190],
        (_, 440..) => [150, 150, 150],
        _ => [200 - (y / 8) as u8, 205 - (y / 8) as u8, 210 - (y / 8) as u8],
    };
    let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y))).collect();
    let file = folder.join("door.jpg");
    let encoder = jpeg_encoder::Encoder::new_file(file, 90).expect("a file");
    encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).expect("a picture");
}

/// Waits for something that another task or program does.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let waited = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), waited).await.expect("it happens");
}
