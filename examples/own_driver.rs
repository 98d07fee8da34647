//! A custom protocol, as a device like all others: with name, reconnect, spool, journal and events.
//!
//! ```text
//! cargo run --example own_driver                         a journal printer simulated by this program
//! cargo run --example own_driver acme+tcp://10.0.0.9     your own: it accepts lines of text and answers each page with OK
//! ```

use tresen::hal::{BoxFuture, Dots, Driver, Error, Kind, Link, Result, link::tcp::Tcp};
use tresen::printers::{Capabilities, Content, Job, Outcome, Printer, Status, layout};
use tresen::{Class, Config, Drivers, Plan, Printers, Protocol, Receipt, Tresen, config::Device};

/// A journal printer: text, a form feed, and the answer `OK` when the page is printed.
struct Acme(Box<dyn Link>, Capabilities);

impl Driver for Acme {
    type Event = Status;

    fn event(&mut self) -> BoxFuture<'_, Result<Status>> {
        // It sends nothing unsolicited; this only detects when the link is lost.
        Box::pin(async { self.0.recv(&mut Vec::new()).await.map(|_| Status::default()) })
    }
    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

impl Printer for Acme {
    fn capabilities(&self) -> &Capabilities {
        &self.1
    }

    fn print<'a>(&'a mut self, job: &'a Job) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Content::Receipt(receipt) = &job.content else {
                let error = Error::new(Kind::Unsupported, "prints receipts only");
                return Outcome::Failed { error, safe_to_retry: true };
            };
            let page = format!("{}\x0c", layout::preview(receipt, self.1.columns));
            let mut answer = Vec::new();
            match async { self.0.send(page.as_bytes()).await.and(self.0.recv(&mut answer).await) }.await {
                Ok(_) if answer.starts_with(b"OK") => Outcome::Accepted,
                Ok(_) => Outcome::Unknown(Error::new(Kind::Protocol, "the answer is not OK")),
                Err(error) => Outcome::Unknown(error),
            }
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let acme = Protocol::new::<Printers>("acme", |address| {
        Ok(Plan::at(address, |link, _context| async move {
            Ok(Box::new(Acme(link, Capabilities::new(Dots(240), 40))) as Box<dyn Printer>)
        }))
    });
    let mut drivers = Drivers::standard();
    drivers.register(acme.port(4711))?;

    let address = match std::env::args().nth(1) {
        Some(address) => address.parse()?,
        None => tresen::Address::tcp("acme", "127.0.0.1", played().await?),
    };
    let folder = tempfile::tempdir()?;
    let mut config = Config::default().with(Class::Printer, "journal", Device::at(address));
    config.till.store = folder.path().join("till.db");
    let till = Tresen::builder().drivers(drivers).with(config).await?;
    let receipt = Receipt::new().text("Café Tresen").row("2 Flat white", "7.60").rule();
    // A printer that is off does not keep this program waiting; its job stays queued.
    let journal = till.printer("journal")?.with_patience(std::time::Duration::from_secs(5));
    println!("{:?}", journal.print(&receipt).await?);
    till.close(std::time::Duration::from_secs(1)).await
}

/// The simulated device: shows what it prints. Returns its port.
async fn played() -> Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let link = Tcp::new(listener.accept().await?.0)?;
        let mut page = Vec::new();
        while link.recv(&mut page).await.is_ok() {
            if page.ends_with(b"\x0c") {
                print!("{}", String::from_utf8_lossy(&page));
                link.send(b"OK").await?;
                page.clear();
            }
        }
        Ok::<(), Error>(())
    });
    Ok(port)
}
