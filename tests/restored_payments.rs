//! Card payments that were under way when a backup was taken, or began after it. A restored till charges nobody again
//! and believes in no payment that did not happen: the terminal is asked, and otherwise a person decides.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::desk::{Desk, Place, event, pass, ready};
use tokio::sync::watch;
use tresen::payment::Decision;
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Profile, Simulator};
use tresen::sale::{Line, Sale, TenderState, Vat};
use tresen::sync::sim::Server;
use tresen::{Amount, Class, EventKind, Payment, Restored, Store, SystemRuntime, Tresen};

const PRICE: Amount = Amount::eur(12_50);
/// The authorisation of the ZVT protocol.
const AUTHORISATION: u16 = 0x0601;

fn no_abort() -> watch::Receiver<bool> {
    watch::channel(false).1
}

/// A terminal that has sold before, and takes its time.
fn used() -> Profile {
    Profile { commit: Commit::Keeps, pace: Duration::from_secs(1), ..Profile::default() }
}

async fn basket(till: &Tresen) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Menu", 1, PRICE, Vat::percent(19)).expect("fits")).await.expect("kept");
    sale
}

async fn pay(till: &Tresen, sale: &mut Sale) {
    let card = till.terminal("counter").expect("configured");
    let payment = sale.pay_card(&card, no_abort()).await.expect("sent");
    assert!(matches!(payment, Payment::Charged(_)), "{payment:?}");
}

/// A till that has sold once by card.
async fn open(desk: &Desk) -> Tresen {
    let till = desk.open().await;
    ready(&till, Class::Terminal, "counter").await;
    pay(&till, &mut basket(&till).await).await;
    till
}

/// The till is open again, and the terminal was asked.
async fn open_again(desk: &Desk) -> Tresen {
    let till = desk.open().await;
    ready(&till, Class::Terminal, "counter").await;
    pass(Duration::from_secs(60)).await;
    till
}

async fn restore(desk: &Desk, backup: &Path) -> Restored {
    Store::restore(backup, &desk.db(), Arc::new(SystemRuntime::new())).await.expect("restored")
}

async fn quit(till: Tresen) {
    till.close(Duration::from_secs(30)).await.expect("closed");
}

/// Pays a new sale, and takes the backup with `take` in the middle of it, before or after the intent is journalled.
async fn pay_around(
    till: &Tresen,
    terminal: &Arc<Place<Simulator>>,
    intent: bool,
    take: impl AsyncFnOnce() -> PathBuf,
) -> (String, PathBuf) {
    let mut sale = basket(till).await;
    let id = sale.id().to_owned();
    // The till asks for the last transaction before it writes the intent: that takes two seconds.
    terminal.with(|t| t.profile_mut().acknowledges_after = Duration::from_secs(2));
    let paying = tokio::spawn({
        let till = till.clone();
        async move { pay(&till, &mut sale).await }
    });
    let has_intent =
        async || till.store().payments().await.expect("read").iter().any(|p| p.intent.id.0.starts_with(&id));
    if intent {
        while !has_intent().await {
            pass(Duration::from_millis(100)).await;
        }
    } else {
        pass(Duration::from_secs(1)).await;
        assert!(!has_intent().await, "it is about to be written");
    }
    let stored = till.sale(&id).await.expect("read").expect("there");
    assert_eq!(stored.tenders()[0].state, TenderState::Begun);
    let backup = take().await;
    paying.await.expect("paid");
    terminal.with(|t| t.profile_mut().acknowledges_after = Duration::ZERO);
    (id, backup)
}

#[tokio::test(start_paused = true)]
async fn a_charge_that_the_backup_does_not_know_is_found_at_the_terminal() {
    for intent in [false, true] {
        let mut desk = Desk::new();
        let terminal = desk.terminal("counter", used());
        let till = open(&desk).await;
        let to = desk.db().with_extension("backup");
        let backup = async || till.backup(&to).await.expect("written").path;
        let (sale, backup) = pay_around(&till, &terminal, intent, backup).await;
        quit(till).await;
        let restored = restore(&desk, &backup).await;
        assert_eq!(restored.in_doubt, 1, "{restored:?}");

        // Before the terminal has been asked the sale is in doubt, not unpaid.
        terminal.plugged_in(false);
        let till = desk.open().await;
        let [_, doubtful] = &till.open_sales().await.expect("read")[..] else { panic!("two") };
        assert_eq!((doubtful.id(), doubtful.tenders()[0].state), (sale.as_str(), TenderState::Unknown));
        assert_eq!((doubtful.open_amount(), doubtful.is_pending()), (Amount::eur(0), true));
        terminal.plugged_in(true);
        ready(&till, Class::Terminal, "counter").await;
        pass(Duration::from_secs(60)).await;

        let stored = till.sale(&sale).await.expect("read").expect("there");
        assert_eq!(stored.tenders()[0].state, TenderState::Taken, "intent {intent}: {:?}", stored.tenders());
        let charge = stored.tenders()[0].charge.clone().expect("charged");
        assert_eq!(charge.receipt_number.as_deref(), Some("0418"));
        assert_eq!(terminal.with(|t| t.received(AUTHORISATION)), 2, "nothing is charged again");
        assert_eq!(terminal.with(|t| t.ledger().turnover()), 25_00);
        quit(till).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_was_not_sent_before_the_restore_is_not_charged_by_the_terminals_word() {
    let mut desk = Desk::new();
    let terminal = desk.terminal("counter", used());
    let till = open(&desk).await;
    let mut sale = basket(&till).await;
    let id = sale.id().to_owned();
    terminal.with(|t| t.profile_mut().acknowledges_after = Duration::from_secs(2));
    let card = till.terminal("counter").expect("configured");
    let paying = tokio::spawn(async move { sale.pay_card(&card, no_abort()).await });
    pass(Duration::from_secs(1)).await;
    let backup = till.backup(desk.db().with_extension("backup")).await.expect("written").path;
    // The plug is pulled before anything is sent that moves money.
    terminal.plugged_in(false);
    paying.await.expect("no panic").expect_err("nothing was sent");
    quit(till).await;
    restore(&desk, &backup).await;
    terminal.with(|t| t.profile_mut().acknowledges_after = Duration::ZERO);
    terminal.plugged_in(true);
    let till = open_again(&desk).await;
    let stored = till.sale(&id).await.expect("read").expect("there");
    assert_eq!(stored.tenders()[0].state, TenderState::Refused, "{:?}", stored.tenders());
    assert_eq!((stored.open_amount(), terminal.with(|t| t.received(AUTHORISATION))), (PRICE, 1));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_has_sold_on_since_cannot_tell_and_a_person_settles_it() {
    for intent in [false, true] {
        let mut desk = Desk::new();
        let terminal = desk.terminal("counter", used());
        let till = open(&desk).await;
        let to = desk.db().with_extension("backup");
        let backup = async || till.backup(&to).await.expect("written").path;
        let (sale, backup) = pay_around(&till, &terminal, intent, backup).await;
        pay(&till, &mut basket(&till).await).await;
        quit(till).await;
        restore(&desk, &backup).await;

        let till = open_again(&desk).await;
        let stored = till.sale(&sale).await.expect("read").expect("there");
        let tender = &stored.tenders()[0];
        let id = tender.intent.clone().expect("a card payment");
        let Some(Payment::Unknown(unknown)) = till.store().payment(&id).await.expect("read").expect("there").outcome()
        else {
            panic!("{stored:?}")
        };
        assert!(unknown.asked && unknown.why.contains("more than one transaction came since"), "{}", unknown.why);
        assert_eq!((tender.state, stored.open_amount()), (TenderState::Unknown, Amount::eur(0)));
        let mut events = till.events();
        let doubt = event(&mut events, |_, kind| match kind {
            EventKind::PaymentInDoubt { intent, sale, .. } => Some((intent, sale)),
            _ => None,
        });
        assert_eq!(doubt.await, (id.clone(), Some(sale.clone())), "a person is told");
        till.settle(&id, Decision::charged(PRICE, "bo", "the slip")).await.map(drop).expect("open");
        pass(Duration::from_secs(1)).await;
        let stored = till.sale(&sale).await.expect("read").expect("there");
        assert_eq!((stored.tenders()[0].state, stored.is_pending()), (TenderState::Taken, false));
        assert_eq!(terminal.with(|t| t.received(AUTHORISATION)), 3, "nothing is charged again");
    }
}

/// Nothing in the backup tells of such a payment. The till charges nothing by itself, and the restore says from when on
/// the terminals have to be compared.
#[tokio::test(start_paused = true)]
async fn a_payment_that_began_after_the_backup_is_known_to_the_terminal_only() {
    let mut desk = Desk::new();
    let terminal = desk.terminal("counter", used());
    let till = open(&desk).await;
    let mut sale = basket(&till).await;
    let taken = till.runtime().wall();
    let backup = till.backup(desk.db().with_extension("backup")).await.expect("written").path;
    pass(Duration::from_secs(10)).await;
    pay(&till, &mut sale).await;
    quit(till).await;
    let restored = restore(&desk, &backup).await;
    assert_eq!((restored.in_doubt, restored.known_until), (0, Some(taken)));
    let till = open_again(&desk).await;
    let stored = till.sale(sale.id()).await.expect("read").expect("there");
    assert_eq!((stored.tenders().len(), stored.open_amount()), (0, PRICE));
    assert_eq!(terminal.with(|t| (t.received(AUTHORISATION), t.ledger().turnover())), (2, 25_00));
}

/// A terminal of which the journal knows no earlier transaction, and which was cleared since.
#[tokio::test(start_paused = true)]
async fn a_terminal_that_shows_nothing_any_more_proves_nothing() {
    for intent in [false, true] {
        let mut desk = Desk::new();
        let new = || Profile { used_before: false, ..used() };
        let terminal = desk.terminal("counter", new());
        let till = desk.open().await;
        ready(&till, Class::Terminal, "counter").await;
        let to = desk.db().with_extension("backup");
        let backup = async || till.backup(&to).await.expect("written").path;
        let (sale, backup) = pay_around(&till, &terminal, intent, backup).await;
        quit(till).await;
        terminal.with(|t| *t = Simulator::new(new()));
        restore(&desk, &backup).await;
        let till = open_again(&desk).await;
        let stored = till.sale(&sale).await.expect("read").expect("there");
        assert_eq!(stored.tenders()[0].state, TenderState::Unknown, "{:?}", stored.tenders());
    }
}

/// The files were copied back with all that would tell of it; only the server knows better.
#[tokio::test(start_paused = true)]
async fn a_restore_that_the_server_reveals_puts_the_attempt_in_doubt_that_was_taken_for_never_sent() {
    let mut desk = Desk::new();
    let (server, terminal) = (Server::new(), desk.terminal("counter", used()));
    desk.server(&server);
    let till = open(&desk).await;
    let saved = tempfile::tempdir().expect("a folder");
    let copy = |from: &Path, to: &Path| {
        for end in ["db", "db-wal", "db.lock"] {
            let (from, to) = (from.join(format!("till.{end}")), to.join(format!("till.{end}")));
            std::fs::remove_file(&to).ok();
            if from.exists() {
                std::fs::copy(from, to).expect("copied");
            }
        }
    };
    let folder = desk.db().parent().expect("a folder").to_owned();
    let take = async || {
        copy(&folder, saved.path());
        saved.path().to_owned()
    };
    let (sale, _) = pay_around(&till, &terminal, false, take).await;
    pass(Duration::from_secs(10)).await;
    quit(till).await;
    copy(saved.path(), &folder);
    server.set_reachable(false);
    let till = open_again(&desk).await;
    let stored = till.sale(&sale).await.expect("read").expect("there");
    assert_eq!((till.store().epoch(), stored.tenders()[0].state), (1, TenderState::Refused), "nobody can know");

    let mut events = till.events();
    server.set_reachable(true);
    event(&mut events, |_, kind| matches!(kind, EventKind::RestoreFound { .. }).then_some(())).await;
    let settled = event(&mut events, |_, kind| match kind {
        EventKind::SaleSettled { sale, due } => Some((sale, due)),
        _ => None,
    });
    assert_eq!(settled.await, (sale.clone(), Amount::eur(0)));
    let stored = till.sale(&sale).await.expect("read").expect("there");
    assert_eq!(stored.tenders()[0].state, TenderState::Taken, "{:?}", stored.tenders());
    assert_eq!(terminal.with(|t| t.received(AUTHORISATION)), 2, "nothing is charged again");
    assert_eq!(till.store().epoch(), 2);
}
