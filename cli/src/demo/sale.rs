//! The sale: scan, kitchen ticket, payment, receipt.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tresen::hal::barcode::check_digit;
use tresen::payment::Progress;
use tresen::payment::zvt::sim::Misbehaviour;
use tresen::printers::DrawerPin;
use tresen::printers::document::{Align, Dither, Image, Qr, Style};
use tresen::sale::{Line, Sale, Sold, Vat};
use tresen::scanners::instore::{Quantity, Templates};
use tresen::scanners::{Code, Gtin, Scan, Symbology};
use tresen::{Amount, Error, EventKind, Kind, Payment, Print, Receipt, Result, Tresen};

use super::counter::Counter;
use super::{Fault, pictures};
use crate::out::Out;

/// The text of the customer's voucher.
pub(super) const VOUCHER: &str = "TRESEN-CUSTOMER:4711";
const DRINK: &str = "4006381333931";
const CHEESE: &str = "12345";
const PATIENCE: Duration = Duration::from_secs(20);
/// Result code 05: declined by the issuer.
const DECLINED: u8 = 5;

/// The finished sale.
pub(super) struct Ended {
    pub(super) sale: Sale,
    pub(super) sold: Sold,
    /// The text of the receipt's QR code.
    pub(super) link: String,
}

pub(super) async fn run(till: &Tresen, counter: &Counter, fault: Option<Fault>, out: Out) -> Result<Ended> {
    let narrator = narrate(till, out);
    let mut sale = till.open_sale().await?;

    out.say(format_args!("\n1  Scan, sale {}", sale.ticket().label()));
    scan(till, counter, &mut sale, out).await?;

    out.say("\n2  Kitchen ticket");
    tell_print(&till.printer("kitchen")?.print(&sale.ticket().kitchen(till.language())).await?, out);

    out.say(format_args!("\n3  Pay {}", sale.ticket().total()));
    match fault {
        Some(Fault::PaperOut) => counter.receipt.with(|p| p.remove_paper()),
        Some(Fault::LinkCut) => counter.terminal.with(|t| t.misbehave(Misbehaviour::HangUpAfterApproval)),
        Some(Fault::Decline) => counter.terminal.with(|t| t.misbehave(Misbehaviour::Decline(DECLINED))),
        None => {}
    }
    let link = format!("https://tresen.example/r/{}", sale.id());
    let qr = Qr::new(&link)?;
    let logo = pictures::logo();
    let logo = Image::grey(pictures::LOGO.0, pictures::LOGO.1, logo.pixels)?
        .dither(Dither::FloydSteinberg)
        .align(Align::Centre);
    let language = till.language();
    let checkout = till.checkout("receipt")?.drawer(DrawerPin::Two).compose(move |sale| {
        Receipt::new()
            .image(logo.clone())
            .styled("Café Tresen", Style::new().bold().centre().size(2, 2))
            .styled("Hauptstraße 1, 10827 Berlin", Style::new().centre())
            .feed(1)
            .append(sale.ticket().settled(sale.tenders(), sale.signing(), language))
            .feed(1)
            .qr(qr.clone())
            .styled("Thank you, see you again!", Style::new().centre())
            .cut()
    });
    let (_keep, abort) = watch::channel(false);
    let sold = checkout.run(&mut sale, "counter", abort).await?;
    // Remaining events are printed before the next step begins.
    narrator.finish().await;
    if let Sold::Closed { print, drawer, .. } = &sold {
        out.say("\n4  Receipt");
        tell_print(print, out);
        out.say(match drawer {
            None => "  the drawer opens".to_owned(),
            Some(why) => format!("  the drawer stays closed: {why}"),
        });
    }
    Ok(Ended { sale, sold, link })
}

/// Three items: an article, a weighed item, and a voucher seen by the camera.
async fn scan(till: &Tresen, counter: &Counter, sale: &mut Sale, out: Out) -> Result<()> {
    let templates = Templates::from(till.config().in_store.iter().map(|t| t.parse()).collect::<Result<Vec<_>>>()?);
    let label = format!("28{CHEESE}00456");
    let label = format!("{label}{}", check_digit(label.as_bytes()));
    for code in [DRINK, &label] {
        counter.scanner.with(|s| s.scan(code, Symbology::Ean13));
        let scan = within(till.scanner("hand")?.next(), "scanner").await??;
        let line = look_up(&scan, &templates)?;
        tell_scan(&scan, &line, out);
        sale.add(line).await?;
    }
    let seen = within(till.camera("voucher")?.next(), "camera").await??;
    let customer = seen.text.strip_prefix("TRESEN-CUSTOMER:").ok_or_else(|| {
        Error::new(Kind::Input, format!("the camera saw `{}`, which is not a customer's voucher", seen.text))
    })?;
    let line = Line::pieces("Welcome voucher", 1, Amount::eur(-1_00), Vat::percent(7))?;
    tell_scan(&seen, &line, out);
    sale.add(line).await?;
    sale.set_note(format!("Customer {customer}")).await
}

fn tell_scan(scan: &Scan, line: &Line, out: Out) {
    let aim = scan.aim.map_or("   ".into(), |a| a.id.to_string());
    out.say(format_args!("  {aim}  {:<22} {:<22} {:>10}", scan.text, line.name, line.total.number('.')));
}

/// The shop's catalogue.
fn look_up(scan: &Scan, templates: &Templates) -> Result<Line> {
    match scan.code(templates)? {
        Code::Article(article) if article == DRINK.parse::<Gtin>()? => {
            Line::pieces("Cold brew 0.33 l", 2, Amount::eur(3_90), Vat::percent(19))
        }
        Code::InStore(label) if label.item == CHEESE => match label.quantity {
            Quantity::Weight { grams } => {
                Line::weighed("Mountain cheese", i64::from(grams), Amount::eur(24_90), Vat::percent(7))
            }
            _ => Err(Error::new(Kind::Input, format!("the label `{}` contains no weight", scan.text))),
        },
        _ => Err(Error::new(Kind::NotFound, format!("unknown article `{}`", scan.text))),
    }
}

async fn within<T>(work: impl Future<Output = T>, device: &str) -> Result<T> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| Error::new(Kind::Timeout, format!("nothing read within {} s", PATIENCE.as_secs())).at(device))
}

fn tell_print(print: &Print, out: Out) {
    out.say(match print {
        Print::Printed { on, proof } => format!("  printed on {on}, confirmed: {proof:?}"),
        Print::Accepted { on } => format!("  accepted by {on}"),
        other => format!("  {other:?}"),
    });
}

/// Prints events as they happen.
struct Narrator {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Narrator {
    async fn finish(self) {
        self.stop.send(()).ok();
        self.task.await.ok();
    }
}

fn narrate(till: &Tresen, out: Out) -> Narrator {
    let mut events = till.events();
    // Events from opening the till are not part of the sale.
    while events.try_next().is_some() {}
    let (stop, mut stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        loop {
            // Queued events come first.
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                _ = &mut stopped => return,
            };
            match event {
                Some(event) => told(event.source.name(), &event.kind, out),
                None => return,
            }
        }
    });
    Narrator { stop, task }
}

fn told(device: &str, what: &EventKind, out: Out) {
    match what {
        EventKind::Payment(Progress::Status { code, text }) => {
            out.say(format_args!("  {device}  04 FF {code:02X}  {text}"));
        }
        EventKind::Payment(Progress::Approved) => out.say(format_args!("  {device}  04 0F     approved")),
        EventKind::Payment(Progress::Receipt { lines, .. }) => {
            lines.iter().for_each(|line| out.say(format_args!("  {device}  slip      {line}")));
        }
        EventKind::Disconnected { why } => out.say(format_args!("  {device}  lost: {why}")),
        EventKind::Connected { address } => out.say(format_args!("  {device}  reconnected: {address}")),
        EventKind::Settled(settled) => {
            let state = match settled.payment {
                Payment::Charged(_) => "charged",
                Payment::Partial(_) => "charged in part",
                Payment::NotCharged(_) => "not charged",
                _ => "still unknown",
            };
            out.say(format_args!("  {device}  recovered: {state}; {}", settled.evidence));
        }
        EventKind::Printed { instead_of: Some(meant), .. } => {
            out.say(format_args!("  {device}  prints instead of {meant}"));
        }
        EventKind::PrintWaits { why, .. } => out.say(format_args!("  {device}  the job is waiting: {why}")),
        _ => {}
    }
}
