//! Closing time: faults have ceased, people see to what is left, new customers are served, the books are compared.

use std::time::Duration;

use tokio::sync::watch;
use tresen::api::till::Info;
use tresen::sale::{Line, Vat};
use tresen::sync::SyncState;
use tresen::{Amount, JobState, Payment, Print, Receipt, SaleState};

use crate::checkout::{AT_ONCE, PAYMENT, PRINT, SECONDS_61, close, note_print, pay_cash, pay_out};
use crate::counter::Counter;
use crate::invariants::{self, foot, head};
use crate::manager::{OLD, reload, reprint, settle};
use crate::notebook::SaleNote;
use crate::offers::{self, Want};
use crate::radio::Answer;
use crate::setup::{Setup, lane, routes};
use crate::weather::clear_up;

/// Brings the shop to rest and checks the books; closes the till.
pub async fn close_the_shop(counter: &Counter) {
    clear_up(&counter.world);
    reload(counter, Setup::Whole).await;
    counter.pause(OLD + Duration::from_secs(20)).await;
    for _ in 0..ROUNDS {
        settle(counter).await;
        reprint(counter).await;
        finish_sales(counter).await;
        counter.pause(Duration::from_secs(60)).await;
        if is_quiet(counter).await {
            break;
        }
    }
    serve_new_customers(counter).await;
    handhelds_reach_the_till(counter).await;
    for _ in 0..5 {
        counter.pause(Duration::from_secs(60)).await;
        if is_quiet(counter).await {
            break;
        }
    }
    if let Err(violation) = invariants::at_the_end(counter).await {
        counter.world.violated(violation);
    }
    let within = Duration::from_secs(10);
    counter.world.story.tell(WHO, "closes the till");
    counter.world.door.close().await;
    let closed = tokio::time::timeout(within + Duration::from_secs(6), counter.till.close(within)).await;
    match closed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => counter.world.violated(format!("the till does not close: {error}")),
        Err(_) => counter.world.violated("closing the till took longer than it may".into()),
    }
}

async fn is_quiet(counter: &Counter) -> bool {
    counter.check().await;
    let books = counter.books.lock().await;
    let settled = books.open.is_empty();
    let printed = books.jobs.values().all(|j| matches!(j.state, JobState::Printed | JobState::Accepted));
    drop(books);
    let sync = counter.till.sync().await;
    let server_has_it = sync.is_ok_and(|sync| sync.state == SyncState::Connected && sync.behind == 0);
    settled && printed && server_has_it && counter.till.open_sales().await.is_ok_and(|open| open.is_empty())
}

/// Goes on with every sale that is open: what is due is paid in cash.
async fn finish_sales(counter: &Counter) {
    let Ok(open) = counter.call(WHO, "looks for open sales", AT_ONCE, counter.till.open_sales()).await else { return };
    for mut sale in open {
        if counter.world.notebook().note(sale.id()).is_none() {
            // The till died before it could say that it had opened it.
            let original = sale.ticket().original().map(str::to_owned);
            let mut note = SaleNote { original, ..SaleNote::of(sale.id()) };
            note.lines.extend(sale.ticket().lines().iter().map(|line| (line.name.clone(), true)));
            counter.world.notebook().begun(note);
        }
        if sale.is_pending() {
            continue;
        }
        if sale.state() == SaleState::Open && sale.open_amount().minor() > 0 {
            let due = sale.open_amount();
            pay_cash(counter, WHO, &mut sale, due).await;
        }
        if sale.state() == SaleState::Open && sale.open_amount().minor() < 0 {
            pay_out(counter, WHO, &mut sale).await;
        }
        close(counter, WHO, &mut sale).await;
    }
}

/// After all that happened, a customer can pay at each terminal and gets paper on each route.
async fn serve_new_customers(counter: &Counter) {
    for terminal in counter.world.terminals.iter().map(|place| place.name()) {
        let Ok(mut sale) = counter.call(WHO, "opens a sale", AT_ONCE, counter.till.open_sale()).await else {
            return counter.world.violated("a new customer cannot be served: no sale opens".into());
        };
        let mut note = SaleNote::of(sale.id());
        note.lines.insert("Bread".into(), false);
        counter.world.notebook().begun(note);
        let line = Line::pieces("Bread", 1, Amount::eur(3_40), Vat::percent(7)).expect("it fits");
        counter.call(WHO, "adds bread", AT_ONCE, sale.add(line)).await.ok();
        let Ok(at) = counter.till.terminal(terminal) else {
            return counter.world.violated(format!("the terminal at the {terminal} is gone"));
        };
        let (_keep, abort) = watch::channel(false);
        offers::asked(counter, terminal, Want::Payment);
        let what = format!("takes the new customer's card at the {terminal}");
        let paid = counter.call(WHO, what, PAYMENT, sale.pay_card(&at, abort)).await;
        if !matches!(paid, Ok(Payment::Charged(_))) {
            return counter.world.violated(format!("a new customer cannot pay at the {terminal}: {paid:?}"));
        }
        close(counter, WHO, &mut sale).await;
    }
    let mut routes: Vec<_> = routes(Setup::Whole).into_iter().map(|route| (route.name.to_owned(), None)).collect();
    routes.extend(counter.world.printers.iter().map(|place| (place.name().to_owned(), None)));
    for radio in &counter.world.radios {
        if counter.world.own_printer(radio.name()).is_some() {
            routes.push(("receipt".into(), Some(radio.name())));
        }
    }
    for (route, station) in routes {
        print_at(counter, &route, station).await;
    }
}

/// Whoever reaches the till through its server can do so again, over a connection that is now good.
async fn handhelds_reach_the_till(counter: &Counter) {
    for radio in counter.world.radios.iter().filter(|radio| radio.handset().is_some()) {
        let answer = radio.ask(counter, None, Info {}, SECONDS_61).await;
        if !matches!(answer, Answer::Reply(_)) {
            return counter.world.violated(format!("{} cannot reach the till again: {answer:?}", radio.name()));
        }
    }
}

/// Everything works: paper comes out at the first printer of its route, also where others stood in for it before.
async fn print_at(counter: &Counter, route: &str, station: Option<&str>) {
    let id = format!("last-{route}{}", station.unwrap_or_default().replace(' ', "-"));
    let receipt = Receipt::new().text(head(&id)).text(foot(&id)).cut();
    let till = station.map_or_else(|| counter.till.clone(), |station| counter.till.on_behalf_of(station));
    let Ok(printer) = till.printer(route) else {
        return counter.world.violated(format!("the route {route} is gone"));
    };
    counter.world.notebook().job(&id, false);
    let print = counter.call(WHO, format_args!("prints {id}"), PRINT, printer.print_as(&id, &receipt)).await;
    let first = lane(&counter.world, Setup::Whole, route, station).into_iter().next();
    match &print {
        Ok(Print::Printed { on, .. } | Print::Accepted { on }) if Some(on) == first.as_ref() => {
            note_print(counter, &id, print.as_ref().expect("it is printed"));
        }
        other => {
            let what = format!("paper of {route} for {station:?} comes out at {other:?}, not at {first:?}");
            counter.world.violated(what);
        }
    }
}

const WHO: &str = "at closing time, somebody";
/// How often people look again; a minute and more each.
const ROUNDS: u32 = 30;
