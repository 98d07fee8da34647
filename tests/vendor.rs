//! A vendor's tests of a shop's bad moments, on the till's own configuration: a declined card, an empty roll, a missing
//! device. Simulated devices, tokio's paused clock: minutes of a shop take milliseconds.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use tresen::hal::barcode::Symbology;
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::Misbehaviour;
use tresen::sale::{Line, Sale, Sold, Vat};
use tresen::testing::Counter;
use tresen::{Amount, Payment, Print, Tresen};

const TILL: &str = "
    [till]
    name = 'Corner shop'
    [printers.receipt]
    address = 'escpos+tcp://10.0.0.20'
    [printers.kitchen]
    address = 'escpos+usb://04b8:0e15'
    [terminals.counter]
    address = 'zvt+tcp://10.0.0.30'
    password = '000000'
    exclusive = true
    [scanners.hand]
    address = 'scanner+serial:///dev/ttyACM0'
";

/// The code under test: one screen of a till.
async fn sell(till: &Tresen, sale: &mut Sale) -> tresen::Result<Sold> {
    till.checkout("receipt")?.run(sale, "counter", tokio::sync::watch::channel(false).1).await
}

async fn basket(till: &Tresen) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Flat white", 2, Amount::eur(3_80), Vat::percent(19)).expect("fits")).await.expect("kept");
    sale
}

fn counter() -> (TempDir, Counter) {
    let folder = tempfile::tempdir().expect("a folder");
    let counter = Counter::parse(TILL, folder.path()).expect("right");
    (folder, counter)
}

#[tokio::test(start_paused = true)]
async fn a_declined_card_leaves_the_sale_open_and_cash_pays_it() {
    let (_folder, counter) = counter();
    let till = counter.open().await.expect("opens");
    // ZVT, result code 6C: aborted by the customer or declined.
    counter.terminal("counter").expect("there").with(|device| device.misbehave(Misbehaviour::Decline(0x6c)));
    let mut sale = basket(&till).await;
    let sold = sell(&till, &mut sale).await.expect("answered");
    let Sold::Open { due, payment: Some(Payment::NotCharged(why)) } = sold else { panic!("{sold:?}") };
    assert_eq!(due, Amount::eur(7_60), "{why:?}");
    assert!(counter.printer("receipt").expect("there").with(|printer| printer.roll().is_empty()), "no receipt");

    sale.pay_cash(Amount::eur(10_00)).await.expect("taken");
    let sold = till.checkout("receipt").expect("configured").close(&mut sale).await.expect("closed");
    assert!(matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{sold:?}");
    let paper = counter.printer("receipt").expect("there").with(|printer| printer.roll().text().to_owned());
    assert!(paper.contains("Flat white") && paper.contains("7.60"), "{paper}");
    let ledger = counter.terminal("counter").expect("there").with(|device| device.ledger().turnover());
    assert_eq!(ledger, 0, "the card was not charged");
}

#[tokio::test(start_paused = true)]
async fn with_an_empty_roll_the_customer_goes_and_the_receipt_comes_with_the_next_roll() {
    let (_folder, counter) = counter();
    let printer = counter.printer("receipt").expect("there");
    printer.with(|printer| printer.remove_paper());
    let till = counter.open().await.expect("opens");
    let mut sale = basket(&till).await;
    let began = Instant::now();
    let sold = sell(&till, &mut sale).await.expect("answered");
    let Sold::Closed { print, .. } = sold else { panic!("{sold:?}") };
    assert!(!print.is_done(), "{print:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?} of virtual time", began.elapsed());
    // Half an hour later somebody has found a new roll.
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert!(printer.with(|printer| printer.roll().is_empty()));
    printer.with(|printer| printer.load_paper());
    let job = till.store().jobs().await.expect("readable").first().expect("the receipt").id.clone();
    let printed = till.print_job(&job).outcome(Duration::from_secs(120)).await.expect("readable");
    assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
    assert_eq!(printer.with(|printer| printer.roll().text().matches("Flat white").count()), 1, "once");
}

#[tokio::test(start_paused = true)]
async fn a_missing_terminal_is_said_at_once_and_found_again_by_itself() {
    let (_folder, counter) = counter();
    let terminal = counter.terminal("counter").expect("there");
    terminal.unplug();
    let till = counter.open().await.expect("a till opens without its devices");
    let mut sale = basket(&till).await;
    let began = Instant::now();
    let error = sell(&till, &mut sale).await.expect_err("nothing can be sent");
    assert_eq!(error.effect(), tresen::Effect::None, "{error}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?} of virtual time", began.elapsed());

    terminal.plug_in();
    let mut phase = till.terminal("counter").expect("configured").phase();
    phase.wait_for(|phase| phase.is_ready()).await.expect("the till is open");
    let sold = sell(&till, &mut sale).await.expect("answered");
    assert!(matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{sold:?}");
    assert_eq!(terminal.with(|device| device.ledger().turnover()), 7_60, "charged once");
}

#[tokio::test(start_paused = true)]
async fn a_cable_that_is_pulled_during_a_payment_and_a_till_that_starts_anew_charge_once() {
    let (_folder, counter) = counter();
    let terminal = counter.terminal("counter").expect("there");
    let till = counter.open().await.expect("opens");
    // A terminal that books an approval even if the till never confirms it.
    terminal.with(|device| device.profile_mut().commit = Commit::Keeps);
    terminal.with(|device| device.misbehave(Misbehaviour::MuteAfterApproval));
    let mut sale = basket(&till).await;
    let id = sale.id().to_owned();
    let selling = sell(&till, &mut sale);
    let pulled = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        terminal.unplug();
    };
    let (sold, ()) = tokio::join!(biased; selling, pulled);
    let Ok(Sold::Open { payment: Some(Payment::Unknown(_)), .. }) = sold else { panic!("{sold:?}") };
    till.close(Duration::from_secs(1)).await.expect("closed");
    drop(till);

    terminal.plug_in();
    let till = counter.open().await.expect("opens");
    let checkout = till.checkout("receipt").expect("configured");
    for _ in 0..100 {
        checkout.resume().await.expect("resumed");
        if till.open_sales().await.expect("readable").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let sale = till.sale(&id).await.expect("readable").expect("there");
    assert_eq!(sale.state(), tresen::SaleState::Closed, "{:?}", till.open_payments("counter").await);
    assert_eq!(terminal.with(|device| device.ledger().turnover()), 7_60, "charged once");
}

#[tokio::test(start_paused = true)]
async fn a_scan_arrives_and_ids_repeat_themselves() {
    let ids = async || {
        let (_folder, counter) = counter();
        let till = counter.open().await.expect("opens");
        let scanner = counter.scanner("hand").expect("there");
        scanner.with(|scanner| scanner.scan("4006381333931", Symbology::Ean13));
        let scan = till.scanner("hand").expect("configured").next().await.expect("its scans are ours");
        (scan.text.clone(), till.new_id())
    };
    let first = ids().await;
    assert_eq!(first.0, "4006381333931");
    assert_eq!(first, ids().await);
}
