//! The receipt of a whole sale on another printer's paper: paid by card, with a logo, the tax table, the card slip and
//! a QR code.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tresen::hal::sim::{self, Server, Shared};
use tresen::payment::zvt;
use tresen::printers::document::{Image, Qr, Style};
use tresen::printers::{DrawerPin, Profile, escpos};
use tresen::sale::{Line, Sold, Vat};
use tresen::{Amount, Phase, Print, Receipt, Tresen};
use tresen_foreign::{BarcodeFormat, scan};

#[tokio::test]
async fn a_receipt_as_sold_is_readable_on_another_printers_paper() {
    let dir = tempfile::tempdir().expect("a folder");
    let printer = Shared::new(escpos::sim::Simulator::new(Profile::epson_tm_m30()));
    let (_printing, printer_at) = sim::tcp(port().await, printer.clone()).expect("served");
    let (_terminal, terminal_at) = terminal().await;
    let config = dir.path().join("till.toml");
    let text = format!(
        "[printers.receipt]\naddress = 'escpos+tcp://{printer_at}'\n\
         [terminals.counter]\naddress = 'zvt+tcp://{terminal_at}?password=000000'\n"
    );
    std::fs::write(&config, text).expect("written");
    let till = Tresen::open(&config).await.expect("opens");
    let phases = [till.printer("receipt").expect("named").phase(), till.terminal("counter").expect("named").phase()];
    for mut phase in phases {
        let ready = phase.wait_for(|p| *p == Phase::Ready);
        tokio::time::timeout(Duration::from_secs(40), ready).await.expect("in time").expect("the till is open");
    }

    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Cold brew 0.33 l", 2, Amount::eur(3_90), Vat::percent(19)).expect("fits"))
        .await
        .expect("kept");
    sale.add(Line::weighed("Käse", 456, Amount::eur(24_90), Vat::percent(7)).expect("fits")).await.expect("kept");
    let link = format!("https://example.com/r/{}", sale.id());
    let qr = Qr::new(&link).expect("short");
    let logo = Image::grey(128, 64, (0..128 * 64).map(|i| (i % 128) as u8 * 2).collect()).expect("pixels");
    let language = till.language();
    let checkout = till.checkout("receipt").expect("named").drawer(DrawerPin::Two).compose(move |sale| {
        Receipt::new()
            .image(logo.clone())
            .styled("Café Tresen", Style::new().bold().centre().size(2, 2))
            .append(sale.ticket().settled(sale.tenders(), sale.signing(), language))
            .qr(qr.clone())
            .cut()
    });
    let sold = checkout.run(&mut sale, "counter", watch::channel(false).1).await.expect("stored");
    assert!(matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{sold:?}");

    let bytes = printer.with(|p| p.raw().to_vec());
    let ids = escpost_profiles::resolver::available_ids().expect("profiles");
    let id = ids.iter().find(|i| i.contains("TM-T88V")).expect("a common printer");
    let profile = escpost_profiles::resolver::resolve(id).expect("listed");
    let rendered = escpost_render::render(job(&bytes), profile).expect("it understands all of it");
    let sheet = &rendered.sheets.last().expect("a sheet").surface;
    let read = scan(sheet.width(), sheet.height(), |x, y| sheet.is_printed(x, y), BarcodeFormat::QR_CODE);
    assert_eq!(read.as_deref(), Some(&*link));
}

/// The job without its dialogue, of which that printer knows nothing: it begins behind `GS a` and ends before
/// `GS ( H`.
fn job(bytes: &[u8]) -> &[u8] {
    let find = |what: &[u8]| bytes.windows(what.len()).rposition(|w| w == what).expect("a dialogue");
    &bytes[find(b"\x1da\x0f") + 3..find(b"\x1d(H")]
}

async fn terminal() -> (Server, std::net::SocketAddr) {
    let terminal = zvt::sim::Simulator::new(zvt::sim::Profile::default());
    sim::tcp(port().await, Shared::new(terminal)).expect("served")
}

async fn port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}
