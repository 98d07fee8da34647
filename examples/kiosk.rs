//! A self-order kiosk's screen: it offers what the till can do now, and says why it does not offer the rest.
//!
//! ```text
//! cargo run --example kiosk                  with simulated devices: the terminal is switched off, and the paper runs out
//! cargo run --example kiosk till.toml        with your own, until Ctrl-C
//! ```

use tokio::sync::watch;
use tresen::capabilities::{TenderName, TillCapabilities};
use tresen::hal::sim;
use tresen::payment::zvt::sim::{Profile, Simulator};
use tresen::printers::escpos;
use tresen::{Known, Result, Tresen};

#[tokio::main]
async fn main() -> Result<()> {
    if let Some(config) = std::env::args().nth(1) {
        let till = Tresen::open(&config).await?;
        let mut now = till.watch_capabilities();
        loop {
            show(&now.borrow_and_update());
            if now.changed().await.is_err() {
                return Ok(());
            }
        }
    }
    let printer = sim::Shared::new(escpos::sim::Simulator::new(tresen::printers::Profile::epson_tm_m30()));
    let bind = || tokio::net::TcpListener::bind("127.0.0.1:0");
    let (_printer, printer_at) = sim::tcp(bind().await?, printer.clone())?;
    let (terminal, terminal_at) = sim::tcp(bind().await?, sim::Shared::new(Simulator::new(Profile::default())))?;
    let dir = std::env::temp_dir().join(format!("tresen-kiosk-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let text = format!(
        "[printers.receipt]\naddress = 'escpos+tcp://{printer_at}'\n\
         [terminals.counter]\naddress = 'zvt+tcp://{terminal_at}'\n\
         [terminals.counter.methods.giropay]\nreversal = false\n\
         [tenders.cash]\npay = false\n"
    );
    std::fs::write(dir.join("till.toml"), text)?;
    // A kiosk opens whatever is away.
    let till = Tresen::open(dir.join("till.toml")).await?;
    let mut now = till.watch_capabilities();
    let card = |now: &TillCapabilities| now.terminal("counter").is_some_and(|terminal| terminal.pay.now.is_yes());
    show(&when(&mut now, |now| card(now) && receipts(now)).await);
    println!("\n-- somebody takes the paper out");
    printer.with(escpos::sim::Simulator::remove_paper);
    show(&when(&mut now, |now| !receipts(now)).await);
    println!("\n-- somebody switches the terminal off");
    drop(terminal);
    show(&when(&mut now, |now| !card(now)).await);
    Ok(())
}

async fn when(now: &mut watch::Receiver<TillCapabilities>, so: impl Fn(&TillCapabilities) -> bool) -> TillCapabilities {
    now.wait_for(so).await.expect("the till is open").clone()
}

fn receipts(now: &TillCapabilities) -> bool {
    now.route("receipt").is_some_and(|route| route.print.now.is_yes())
}

/// The screen: one line for each tender and for the receipt.
fn show(now: &TillCapabilities) {
    for tender in &now.tenders {
        let name = match &tender.tender {
            TenderName::Terminal(name) => format!("card at {name}"),
            other => other.to_string(),
        };
        match (tender.pay.now, &tender.pay.why) {
            (Known::Yes, _) => println!("[{name}]"),
            (_, why) => println!(" {name}: not offered: {}", why.as_deref().unwrap_or_default()),
        }
        for method in tender.methods.iter().filter(|method| method.reversal.can.is_no()) {
            println!(
                "     {}: cannot be taken back: {}",
                method.name,
                method.reversal.why.as_deref().unwrap_or_default()
            );
        }
    }
    for route in &now.routes {
        match (&route.on, &route.print.why) {
            (Some(printer), None) => println!("[receipt at {printer}]"),
            (_, why) => println!(" receipt: {}", why.as_deref().unwrap_or_default()),
        }
    }
}
