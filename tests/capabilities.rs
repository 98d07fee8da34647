//! What a till says it can do, before anything is offered: per tender, route and scanner, now and at all.

mod common;

use std::time::Duration;

use common::desk::{Desk, event, pass, ready};
use common::epson;
use tokio::sync::watch;
use tresen::capabilities::{Answer, TillCapabilities};
use tresen::payment::zvt::sim::Profile;
use tresen::payment::{OperationKind, Request};
use tresen::printers::escpos::sim::Simulator as Printer;
use tresen::printers::{Paper, Profile as PrinterProfile};
use tresen::sale::{Line, TenderState, Vat};
use tresen::{Amount, Class, DeviceId, Effect, EventKind, Kind, Known, Origin, Payment, Tresen};

const PRICE: Amount = Amount::eur(12_50);

fn no_abort() -> watch::Receiver<bool> {
    watch::channel(false).1
}

#[track_caller]
fn says(answer: &Answer, now: Known, can: Known, why: &str) {
    assert_eq!((answer.now, answer.can), (now, can), "{answer:?}");
    assert!(answer.why.as_deref().unwrap_or_default().contains(why), "{why} in {answer:?}");
    assert!(answer.now != Known::Yes || answer.why.is_none(), "{answer:?}");
}

/// Waits until the published capabilities are as `holds` says.
async fn until(till: &Tresen, holds: impl Fn(&TillCapabilities) -> bool) -> TillCapabilities {
    let mut published = till.watch_capabilities();
    let wait = published.wait_for(holds);
    let found = tokio::time::timeout(Duration::from_secs(600), wait).await.expect("in time").expect("open").clone();
    assert_eq!(found, till.capabilities(), "what is published is what is so");
    found
}

const DECLARED: &str = "
[terminals.counter.can]
reversal = true
methods = ['girocard', 'visa', 'giropay']
provider = 'Bank'
[terminals.counter.methods.giropay]
reversal = false
provider = 'Paydirekt'
[tenders.cash]
refund = false
[tenders.voucher]
tip = false
";

#[tokio::test(start_paused = true)]
async fn a_kiosk_knows_each_tender_before_it_offers_it() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    desk.scanner("hand");
    desk.terminal("counter", Profile::default());
    desk.configure(DECLARED);
    let till = desk.open().await;
    for (class, name) in [(Class::Printer, "receipt"), (Class::Terminal, "counter"), (Class::Scanner, "hand")] {
        ready(&till, class, name).await;
    }
    let all = until(&till, |all| all.terminal("counter").is_some_and(|t| t.pay.now.is_yes())).await;
    let terminal = all.terminal("counter").expect("configured");
    says(&terminal.refund, Known::Unknown, Known::Unknown, "does not tell");
    says(&terminal.reversal, Known::Yes, Known::Yes, "");
    says(&terminal.partial, Known::Yes, Known::Yes, "");
    says(&terminal.tip, Known::Yes, Known::Yes, "");
    let names: Vec<_> = terminal.methods.iter().map(|m| (m.name.as_str(), m.provider.as_deref())).collect();
    assert_eq!(names, [("girocard", Some("Bank")), ("visa", Some("Bank")), ("giropay", Some("Paydirekt"))]);
    says(&terminal.methods[0].reversal, Known::Yes, Known::Yes, "");
    let giropay = "declared by configuration: giropay (provider Paydirekt) cannot reverse payments";
    says(&terminal.methods[2].reversal, Known::No, Known::No, giropay);
    says(&terminal.methods[2].pay, Known::Yes, Known::Yes, "");
    let cash = all.tender("cash").expect("always");
    says(&cash.pay, Known::Yes, Known::Yes, "");
    says(&cash.refund, Known::No, Known::No, "declared by configuration: cash cannot give money back");
    says(&all.tender("voucher").expect("configured").tip, Known::No, Known::No, "cannot pay tips");
    says(&all.scanner(&DeviceId::new(Class::Scanner, "hand")).expect("there").scan, Known::Yes, Known::Yes, "");
    let route = all.route("receipt").expect("configured");
    says(&route.print, Known::Yes, Known::Yes, "");
    assert_eq!((route.on.as_deref(), route.printers[0].paper), (Some("receipt"), Paper::Ok));

    // A sale changes none of it: nobody has to redraw.
    let mut events = till.events();
    while events.try_next().is_some() {}
    let terminal = till.terminal("counter").expect("configured");
    assert!(matches!(terminal.pay(PRICE).await, Ok(Payment::Charged(_))));
    pass(Duration::from_secs(60)).await;
    let changed = std::iter::from_fn(|| events.try_next()).filter(|e| e.kind == EventKind::CapabilitiesChanged);
    assert_eq!(changed.count(), 0);

    // The vendor's own tender, whose server goes away.
    till.set_tender("account", Known::No, Some("the server does not answer"));
    let told = event(&mut events, |source, kind| (kind == EventKind::CapabilitiesChanged).then(|| source.to_owned()));
    assert_eq!(told.await, "till");
    says(&till.capabilities().tender("account").expect("told").pay, Known::No, Known::Yes, "does not answer");
    till.set_tender("account", Known::Yes, None);
    says(&till.capabilities().tender("account").expect("told").pay, Known::Yes, Known::Yes, "");
}

#[tokio::test(start_paused = true)]
async fn what_a_device_can_do_is_kept_while_it_is_away_also_over_a_restart() {
    let mut desk = Desk::new();
    let printer = desk.printer("receipt", "", epson());
    let counter = desk.terminal("counter", Profile::default());
    let till = desk.open().await;
    ready(&till, Class::Printer, "receipt").await;
    ready(&till, Class::Terminal, "counter").await;
    let mut events = till.events();
    until(&till, |all| all.terminal("counter").is_some_and(|t| t.pay.now.is_yes())).await;
    counter.plugged_in(false);
    printer.plugged_in(false);
    let is_away = |all: &TillCapabilities| {
        all.terminal("counter").is_some_and(|t| t.pay.now.is_no())
            && all.route("receipt").is_some_and(|r| r.print.now.is_no())
    };
    let check = |all: &TillCapabilities| {
        let terminal = all.terminal("counter").expect("configured");
        assert!(terminal.remembered, "{terminal:?}");
        says(&terminal.pay, Known::No, Known::Yes, "terminal counter is away since 2026-01-02T08:");
        says(&terminal.partial, Known::No, Known::Yes, "is away since");
        says(&terminal.refund, Known::No, Known::Unknown, "is away since");
        let route = all.route("receipt").expect("configured");
        says(&route.print, Known::No, Known::Yes, "printer receipt is away since");
        assert_eq!((route.on.as_deref(), route.printers[0].paper), (None, Paper::Unknown));
        says(&route.printers[0].drawer, Known::No, Known::Yes, "is away since");
    };
    check(&until(&till, is_away).await);
    event(&mut events, |_, kind| (kind == EventKind::CapabilitiesChanged).then_some(())).await;
    till.close(Duration::from_secs(5)).await.expect("closed");
    drop(till);

    let till = desk.open().await;
    check(&until(&till, is_away).await);
    // Another terminal is there now: what it tells counts.
    counter.plugged_in(true);
    let all = until(&till, |all| all.terminal("counter").is_some_and(|t| t.pay.now.is_yes())).await;
    assert!(!all.terminal("counter").expect("configured").remembered);
}

#[tokio::test(start_paused = true)]
async fn what_is_excluded_is_refused_before_anything_is_sent() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let terminal = desk.terminal("counter", Profile { card_name: "GIROPAY".into(), ..Profile::default() });
    desk.configure(DECLARED);
    let till = desk.open().await;
    ready(&till, Class::Printer, "receipt").await;
    ready(&till, Class::Terminal, "counter").await;
    let card = till.terminal("counter").expect("configured");
    let count = |code| terminal.with(|t| t.received(code));
    let pay = async |key: &str| card.pay_as(Request::new(key, PRICE), no_abort()).await;
    let Ok(Payment::Charged(paid)) = pay("a").await else { panic!("not charged") };
    let reference = paid.reference.expect("ZVT gives one");
    let error = card.reverse(&reference, PRICE).await.expect_err("paid by giropay");
    assert_eq!((error.kind(), error.effect(), error.device()), (Kind::Unsupported, Effect::None, Some("counter")));
    assert!(error.to_string().contains("giropay (provider Paydirekt) cannot be reversed"), "{error}");
    assert!(error.next_step().is_some() && count(0x0630) == 0);
    // Paid by another method, it can.
    terminal.with(|t| t.profile_mut().card_name = "girocard".into());
    let Ok(Payment::Charged(paid)) = pay("b").await else { panic!("not charged") };
    let reference = paid.reference.expect("ZVT gives one");
    assert!(matches!(card.reverse(&reference, PRICE).await, Ok(Payment::Charged(_))));
    assert_eq!(count(0x0630), 1);

    // The contract ends while the till is open: no reopening, and what was paid stays known under its key.
    let mut config = desk.config();
    let can = &mut config.declared.get_mut("counter").expect("declared").can;
    can.operations.extend([OperationKind::Pay, OperationKind::Refund].map(|kind| (kind, Known::No)));
    let reloaded = till.reload_with(config, Duration::from_secs(1)).await.expect("right");
    assert!(reloaded.replaced.is_empty(), "{reloaded:?}");
    until(&till, |all| all.terminal("counter").is_some_and(|t| t.pay.can.is_no())).await;
    assert!(matches!(pay("a").await, Ok(Payment::Charged(_))), "the same key is the same payment");
    let journal = till.store().journal().await.expect("readable").len();
    assert_eq!(pay("c").await.expect_err("excluded").kind(), Kind::Unsupported);
    assert_eq!(card.refund(PRICE).await.expect_err("excluded").kind(), Kind::Unsupported);
    assert_eq!((count(0x0601), count(0x0631)), (2, 0));
    assert_eq!(till.store().journal().await.expect("readable").len(), journal, "nothing is journalled");

    // In a sale it is a refused attempt, and the rest of the sale goes on.
    let mut sale = till.open_sale_by(Origin::new()).await.expect("opens");
    sale.add(Line::pieces("Menu", 1, PRICE, Vat::percent(19)).expect("fits")).await.expect("kept");
    sale.pay_card(&card, no_abort()).await.map(drop).expect_err("excluded");
    sale.refresh().await.expect("readable");
    assert_eq!((sale.tenders()[0].state, sale.is_pending()), (TenderState::Refused, false));
    sale.pay_cash(PRICE).await.expect("taken");
}

#[tokio::test(start_paused = true)]
async fn paper_is_known_as_soon_as_a_printer_is_connected() {
    let mut desk = Desk::new();
    let mut empty = epson();
    empty.remove_paper();
    desk.printer("empty", "", empty);
    let mut asked = epson();
    asked.faults.no_automatic_status = true;
    asked.near_end(true);
    desk.printer("asked", "", asked);
    let mut mute = Printer::new(PrinterProfile::generic_80());
    mute.faults.mute = true;
    desk.printer("mute", "?profile=generic-80mm&status=no", mute);
    desk.configure("[routes]\nboth = ['empty', 'asked']\nquiet = ['empty', 'mute']\nnone = ['empty']");
    let till = desk.open().await;
    let mut events = till.events();
    for name in ["empty", "asked", "mute"] {
        ready(&till, Class::Printer, name).await;
    }
    // Nothing was printed: connecting is enough.
    let told = event(&mut events, |source, kind| match kind {
        EventKind::Printer(status) if source == "empty" => Some(status.paper),
        _ => None,
    });
    assert_eq!(told.await, Paper::Out);
    let all = until(&till, |all| all.route("both").is_some_and(|r| r.on.as_deref() == Some("asked"))).await;
    says(&all.route("empty").expect("a route of its own").print, Known::No, Known::Yes, "empty: out of paper");
    let asked = all.route("asked").expect("a route of its own");
    says(&asked.print, Known::Yes, Known::Yes, "");
    assert_eq!(asked.printers[0].paper, Paper::NearEnd, "it is asked, since it reports nothing by itself");
    let quiet = all.route("quiet").expect("configured");
    says(&quiet.print, Known::Unknown, Known::Yes, "mute does not report its state");
    assert_eq!((quiet.on.as_deref(), quiet.printers[1].paper), (Some("mute"), Paper::Unknown));
    says(&all.route("none").expect("configured").print, Known::No, Known::Yes, "out of paper");
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_should_answer_and_does_not_is_held_by_another_host() {
    let mut desk = Desk::new();
    let mut held = epson();
    held.faults.mute = true;
    desk.printer("held", "", held);
    let till = desk.open().await;
    let all = until(&till, |all| all.route("held").is_some_and(|r| r.print.now.is_no())).await;
    says(&all.route("held").expect("a route of its own").print, Known::No, Known::Yes, "does not answer");
}

#[tokio::test(start_paused = true)]
async fn paper_that_is_put_in_is_noticed_without_a_print_job() {
    let mut desk = Desk::new();
    let printer = desk.printer("receipt", "", epson());
    let till = desk.open().await;
    ready(&till, Class::Printer, "receipt").await;
    let prints = |all: &TillCapabilities| all.route("receipt").is_some_and(|route| route.print.now.is_yes());
    until(&till, prints).await;
    printer.with(Printer::remove_paper);
    let all = until(&till, |all| !prints(all)).await;
    says(&all.route("receipt").expect("configured").print, Known::No, Known::Yes, "receipt: out of paper");
    printer.with(Printer::load_paper);
    until(&till, prints).await;
}
