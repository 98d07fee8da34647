//! Kitchen tickets: split by group, only what is new, and neither lost nor doubled.

use std::time::Duration;

use serde_json::json;
use tresen::sale::{KitchenTicket, Line, Sale, Sold, Vat};
use tresen::{Amount, Effect, Kind, Print, Tresen};

use super::shop::Shop;

const KITCHEN: &str = "language = 'german'
[routes.kitchen]
printers = ['kitchen']
prints = ['kitchen']
[routes.bar]
printers = ['bar', 'kitchen']
groups = ['drinks', 'coffee']
[routes.pass]
printers = ['kitchen']
groups = ['grill']
[routes.grill]
printers = ['grill']
groups = ['grill']
copies = 2
";

fn line(name: &str, count: i64, group: &str) -> Line {
    let line = Line::pieces(name, count, Amount::eur(5_00), Vat::percent(19)).expect("fits");
    if group.is_empty() { line } else { line.group(group) }
}

fn shop() -> Shop {
    Shop::new(&["bar", "grill", "kitchen"], KITCHEN)
}

fn told(tickets: &[KitchenTicket]) -> Vec<String> {
    let told = tickets.iter().map(|ticket| {
        let lines: Vec<_> = ticket.lines.iter().map(|line| format!("{} {}", line.count, line.article.name)).collect();
        format!("{}{}: {}", if ticket.cancels { "cancel " } else { "" }, ticket.route, lines.join(", "))
    });
    told.collect()
}

async fn order(till: &Tresen, sale: &mut Sale) -> Vec<String> {
    told(&till.order(sale).await.expect("ordered"))
}

/// Waits until every job is on paper.
async fn all_printed(till: &Tresen) {
    for _ in 0..600 {
        if till.open_jobs().await.expect("readable").is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", till.open_jobs().await);
}

#[tokio::test(start_paused = true)]
async fn one_order_is_split_by_group_and_only_what_is_new_is_printed() {
    let shop = shop();
    let till = shop.open().await.on_behalf_of("handheld 7");
    let mut sale = till.open_sale().await.expect("opens");
    for new in [line("Suppe", 2, "kitchen"), line("Steak", 1, "grill"), line("Wasser", 3, "drinks")] {
        sale.add(new).await.expect("added");
    }
    sale.set_note("Tisch 12").await.expect("noted");
    let first = order(&till, &mut sale).await;
    assert_eq!(first, ["bar: 3 Wasser", "grill: 1 Steak", "kitchen: 2 Suppe", "pass: 1 Steak"]);
    all_printed(&till).await;
    // Bar, grill, kitchen.
    assert_eq!((shop.times_wide("3 x Wasser"), shop.times_wide("2 x Suppe")), (vec![1, 0, 0], vec![0, 0, 1]));
    assert_eq!(shop.times_wide("1 x Steak"), [0, 2, 1], "two copies at the grill, one at the pass");
    assert_eq!(shop.times("Ausfertigung 2 von 2"), [0, 1, 0]);
    assert_eq!(shop.times_wide(&format!("Bestellung {}", sale.ticket().label())), [1, 2, 2]);
    assert_eq!((shop.times("handheld 7"), shop.times("Tisch 12")), (vec![1, 2, 2], vec![1, 2, 2]));

    assert_eq!(order(&till, &mut sale).await, [""; 0], "nothing is new");
    sale.add(line("Wasser", 1, "drinks")).await.expect("added");
    sale.add(line("Kaffee", 1, "coffee")).await.expect("added");
    assert_eq!(order(&till, &mut sale).await, ["bar: 1 Wasser, 1 Kaffee"]);

    // The guest changes his mind: two of three waters and the steak are not wanted any more.
    sale.remove(2).await.expect("there");
    sale.remove(1).await.expect("there");
    sale.add(line("Wasser", 1, "drinks")).await.expect("added");
    assert_eq!(
        order(&till, &mut sale).await,
        ["cancel bar: 2 Wasser", "cancel grill: 1 Steak", "cancel pass: 1 Steak"]
    );
    all_printed(&till).await;
    assert_eq!(
        (shop.times_wide("STORNO"), shop.times_wide("-2 x Wasser"), shop.times_wide("-1 x Steak")),
        (vec![1, 2, 1], vec![1, 0, 0], vec![0, 2, 1])
    );
    let numbers: Vec<_> = till.orders(sale.id()).await.expect("readable").iter().map(|ticket| ticket.number).collect();
    assert_eq!(numbers, [1, 1, 1, 1, 2, 3, 3, 3]);
    assert_eq!(
        shop.times_wide("Bestellung").iter().sum::<usize>(),
        4 + 1 + 1 + 3 + 1,
        "each ticket once, the grill's twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_voided_sale_is_cancelled_and_a_closed_one_can_be_ordered() {
    let shop = shop();
    let till = shop.open().await;
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(line("Suppe", 2, "")).await.expect("added");
    assert_eq!(order(&till, &mut sale).await, ["kitchen: 2 Suppe"], "no group goes where the other groups go");
    sale.void("left").await.expect("voided");
    assert_eq!(order(&till, &mut sale).await, ["cancel kitchen: 2 Suppe"]);
    assert_eq!(order(&till, &mut sale).await, [""; 0]);

    let mut sale = till.open_sale().await.expect("opens");
    sale.add(line("Wasser", 1, "drinks")).await.expect("added");
    sale.pay_cash(Amount::eur(5_00)).await.expect("paid");
    let sold = till.checkout("kitchen").expect("a route").close(&mut sale).await;
    sold.map(drop).expect("closed");
    assert_eq!(order(&till, &mut sale).await, ["bar: 1 Wasser"], "paid first, made afterwards");
    all_printed(&till).await;
    let number = sale.ticket().number().expect("closed");
    assert_eq!(shop.times_wide(&format!("Bestellung {number}")), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_a_route_is_refused_before_anything_is_stored() {
    let shop = Shop::new(&["bar"], "[routes.bar]\nprinters = ['bar']\ngroups = ['drinks', 'coffee']\n");
    let till = shop.open().await;
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(line("Wasser", 1, "drinks")).await.expect("added");
    sale.add(line("Zeitung", 1, "")).await.expect("added");
    sale.add(line("Suppe", 1, "soups")).await.expect("added");
    let rev = sale.rev();
    let error = till.order(&mut sale).await.expect_err("nowhere to go");
    assert_eq!((error.kind(), error.effect()), (Kind::Config, Effect::None));
    assert!(error.to_string().contains("`soups`") && error.to_string().contains("coffee, drinks"), "{error}");
    assert_eq!((till.open_jobs().await.expect("readable").len(), sale.rev()), (0, rev));
    sale.remove(2).await.expect("there");
    assert_eq!(order(&till, &mut sale).await, ["bar: 1 Wasser"], "what has no group needs no kitchen");
}

#[tokio::test(start_paused = true)]
async fn two_stations_that_order_at_once_order_once() {
    let shop = shop();
    let till = shop.open().await;
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(line("Suppe", 2, "")).await.expect("added");
    let mut other = till.sale(sale.id()).await.expect("readable").expect("there");
    let (one, two) = tokio::join!(till.order(&mut sale), till.order(&mut other));
    let (ordered, refused) = if one.is_ok() { (one, two) } else { (two, one) };
    assert_eq!(told(&ordered.expect("one of them")), ["kitchen: 2 Suppe"]);
    let error = refused.expect_err("an older revision");
    assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{error}");
    other.refresh().await.expect("readable");
    assert_eq!(order(&till, &mut other).await, [""; 0]);
    all_printed(&till).await;
    assert_eq!(shop.times_wide("2 x Suppe"), [0, 0, 1]);
}

/// The till ends between the order and its paper, without closing anything.
#[test]
fn a_crash_after_the_order_neither_loses_nor_doubles_a_ticket() {
    let shop = shop();
    let life =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("threads");
    let first = life();
    let id = first.block_on(async {
        let till = shop.open().await;
        for printer in ["bar", "kitchen"] {
            shop.printer(printer).away(true);
        }
        let mut sale = till.open_sale().await.expect("opens");
        sale.add(line("Suppe", 2, "")).await.expect("added");
        sale.add(line("Wasser", 1, "drinks")).await.expect("added");
        assert_eq!(order(&till, &mut sale).await, ["bar: 1 Wasser", "kitchen: 2 Suppe"]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        sale.id().to_owned()
    });
    drop(first);
    assert_eq!(shop.times_wide("Bestellung"), [0, 0, 0]);
    for printer in ["bar", "kitchen"] {
        shop.printer(printer).away(false);
    }
    life().block_on(async {
        let till = shop.open().await;
        let mut sale = till.sale(&id).await.expect("readable").expect("stored");
        assert_eq!(order(&till, &mut sale).await, [""; 0], "it was ordered before");
        all_printed(&till).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!((shop.times_wide("2 x Suppe"), shop.times_wide("1 x Wasser")), (vec![0, 0, 1], vec![1, 0, 0]));
    });
}

#[tokio::test(start_paused = true)]
async fn an_order_is_a_command_and_a_line_of_the_journal() {
    let shop = shop();
    let till = shop.open().await.on_behalf_of("handheld 7");
    let sale = till.ask_json("sale.open", json!({})).await.expect("opens");
    let id = sale["ticket"]["id"].as_str().expect("an id").to_owned();
    let line = serde_json::to_value(line("Suppe", 2, "kitchen")).expect("JSON");
    till.ask_json("sale.add", json!({ "sale": id, "line": line })).await.expect("added");
    let ordered = till.ask_json("sale.order", json!({ "sale": id })).await.expect("ordered");
    assert_eq!(ordered["tickets"][0]["lines"], json!([{ "name": "Suppe", "group": "kitchen", "count": 2 }]));
    let job = ordered["tickets"][0]["job"].as_str().expect("a job");
    let stored = till.store().job(job).await.expect("readable").expect("queued");
    assert_eq!((stored.route.as_str(), stored.origin.station.as_deref()), ("kitchen", Some("handheld 7")));
    let all = till.ask_json("sale.orders", json!({ "sale": id })).await.expect("readable");
    assert_eq!(all, ordered["tickets"]);
    let journal = till.store().journal().await.expect("readable").rows;
    let entry = journal.iter().find(|entry| entry.kind == "ordered").expect("journalled");
    assert_eq!((entry.key.as_str(), entry.origin.station.as_deref()), (id.as_str(), Some("handheld 7")));
}

/// The program closes a paid sale and dies before anything of it is on paper.
#[test]
fn a_sale_that_is_ordered_when_it_is_closed_loses_no_ticket_in_a_crash() {
    let shop = Shop::new(&["bar", "counter"], "[routes.bar]\nprinters = ['bar']\ngroups = ['drinks']\n");
    let life =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("threads");
    let first = life();
    let id = first.block_on(async {
        let till = shop.open().await;
        for printer in ["bar", "counter"] {
            shop.printer(printer).away(true);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut sale = till.open_sale().await.expect("opens");
        sale.add(line("Wasser", 1, "drinks")).await.expect("added");
        sale.add(line("Suppe", 1, "soups")).await.expect("added");
        sale.pay_cash(Amount::eur(10_00)).await.expect("paid");
        let sold = till.checkout("counter").expect("a printer").order().close(&mut sale).await.expect("closed");
        assert!(matches!(&sold, Sold::Closed { print: Print::Waiting { .. }, .. }), "{sold:?}");
        sale.id().to_owned()
    });
    drop(first);
    for printer in ["bar", "counter"] {
        shop.printer(printer).away(false);
    }
    life().block_on(async {
        let till = shop.open().await;
        let mut sale = till.sale(&id).await.expect("readable").expect("stored");
        let sold = till.checkout("counter").expect("a printer").order().close(&mut sale).await.expect("closed");
        assert!(matches!(&sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{sold:?}");
        all_printed(&till).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        // What has no route is printed where the receipt is.
        assert_eq!((shop.times_wide("1 x Wasser"), shop.times_wide("1 x Suppe")), (vec![1, 0], vec![0, 1]));
        let error = till.order(&mut sale).await.expect_err("the group has no route");
        assert_eq!(error.kind(), Kind::Config, "{error}");
    });
}

#[tokio::test(start_paused = true)]
async fn a_parked_sale_is_ordered_once_it_is_resumed() {
    let shop = shop();
    let till = shop.open().await;
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(line("Soup", 1, "kitchen")).await.expect("kept");
    sale.park("table 7").await.expect("parked");
    let error = till.order(&mut sale).await.expect_err("no other step is taken");
    assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{error}");
    sale.resume().await.expect("resumed");
    assert_eq!(order(&till, &mut sale).await, ["kitchen: 1 Soup"]);
}
