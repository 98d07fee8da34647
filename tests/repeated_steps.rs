//! A client that has lost the reply repeats each step of a sale with the revision that it knew, each payment and each print:
//! nothing happens twice, and a repetition that is refused says how it stands.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tresen::payment::zvt::sim::Misbehaviour;
use tresen::testing::Counter;
use tresen::{Effect, Kind, Tresen};

const TILL: &str = "
    [printers.receipt]
    address = 'escpos+tcp://10.0.0.20'
    [printers.grill]
    address = 'escpos+usb://04b8:0e15'
    [routes.kitchen]
    printers = ['grill']
    [terminals.counter]
    address = 'zvt+tcp://10.0.0.30'
    password = '000000'
";

struct Shop {
    _folder: TempDir,
    counter: Counter,
    till: Tresen,
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let counter = Counter::parse(TILL, folder.path()).expect("right");
        let till = counter.open().await.expect("opens");
        let mut phase = till.printer("receipt").expect("there").phase();
        phase.wait_for(|phase| phase.is_ready()).await.expect("open");
        let mut phase = till.terminal("counter").expect("there").phase();
        phase.wait_for(|phase| phase.is_ready()).await.expect("open");
        Self { _folder: folder, counter, till }
    }

    async fn ask(&self, name: &str, with: Value) -> Value {
        self.till.ask_json(name, with.clone()).await.unwrap_or_else(|error| panic!("{name} {with}: {error}"))
    }

    /// A sale of 7.60 EUR, after these steps.
    async fn sale(&self, before: &[(&str, Value)]) -> Value {
        let sale = self.ask("sale.open", json!({})).await;
        self.step(&sale, "sale.add", &json!({ "line": coffee() })).await;
        for (name, with) in before {
            self.step(&sale, name, with).await;
        }
        self.now(&sale).await
    }

    /// A refund of 3.80 EUR of a closed sale of 15.20 EUR.
    async fn refund(&self) -> Value {
        let paid = [
            ("sale.add", json!({ "line": coffee() })),
            ("sale.pay-cash", json!({ "given": "20.00 EUR" })),
            ("sale.close", json!({ "printer": "receipt" })),
        ];
        let original = self.sale(&paid).await["ticket"]["id"].clone();
        self.ask("sale.open-refund", json!({ "original": original, "lines": [one(0)] })).await
    }

    async fn step(&self, sale: &Value, name: &str, with: &Value) -> Value {
        self.ask(name, at(sale, with)).await
    }

    async fn now(&self, sale: &Value) -> Value {
        self.ask("sale.find", json!({ "sale": sale["ticket"]["id"] })).await
    }

    /// What the terminal has charged, and all paper.
    fn outside(&self) -> (i64, String) {
        let turnover = self.counter.terminal("counter").expect("there").with(|device| device.ledger().turnover());
        let paper = |name| self.counter.printer(name).expect("there").with(|printer| printer.roll().text().to_owned());
        (turnover, paper("receipt") + &paper("grill"))
    }

    /// Takes a step, and again as it was.
    async fn twice(&self, sale: &Value, name: &str, with: Value) -> Value {
        let mut with = at(sale, &with);
        with["rev"] = sale["rev"].clone();
        self.ask(name, with.clone()).await;
        let (once, outside) = (self.now(sale).await, self.outside());
        assert_ne!(once["rev"], sale["rev"], "{name} did something");
        let error = self.till.ask_json(name, with).await.expect_err(name);
        assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{name}: {error}");
        assert_eq!(self.now(sale).await, once, "{name}: the sale is as it was");
        assert_eq!(self.outside(), outside, "{name}: no money and no paper");
        once
    }
}

fn at(sale: &Value, with: &Value) -> Value {
    let mut with = with.clone();
    with["sale"] = sale["ticket"]["id"].clone();
    with
}

/// One piece of a line.
fn one(line: usize) -> Value {
    json!({ "line": line, "quantity": { "pieces": 1 } })
}

fn coffee() -> Value {
    json!({ "name": "Flat white", "quantity": { "pieces": 2 }, "unit_price": "3.80 EUR", "vat": 1900,
        "total": "7.60 EUR", "group": "kitchen" })
}

#[tokio::test(start_paused = true)]
async fn each_change_of_a_basket_is_made_once() {
    let shop = Shop::open().await;
    for (before, name, with) in [
        (vec![], "sale.add", json!({ "line": coffee() })),
        (vec![("sale.add", json!({ "line": coffee() }))], "sale.remove", json!({ "at": 0 })),
        (vec![], "sale.add-tip", json!({ "tip": { "amount": "1.00 EUR" } })),
        (
            vec![
                ("sale.add-tip", json!({ "tip": { "amount": "1.00 EUR" } })),
                ("sale.add-tip", json!({ "tip": { "amount": "2.00 EUR" } })),
            ],
            "sale.remove-tip",
            json!({ "at": 0 }),
        ),
        (vec![], "sale.park", json!({ "name": "table 12" })),
        (vec![("sale.park", json!({ "name": "table 12" }))], "sale.resume-parked", json!({})),
        (vec![], "sale.order", json!({})),
        (vec![], "sale.set-note", json!({ "note": "for Bo" })),
        (vec![], "sale.void", json!({ "why": "left" })),
    ] {
        let sale = shop.sale(&before).await;
        shop.twice(&sale, name, with).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_payment_is_taken_and_given_back_once() {
    let shop = Shop::open().await;
    let part = |amount: &str| json!({ "terminal": "counter", "amount": amount });
    let cash = || ("sale.pay-cash", json!({ "given": "2.00 EUR" }));
    for (before, name, with, turnover) in [
        // A part: the same amount would still fit.
        (vec![], "sale.pay-card", part("2.00 EUR"), 2_00),
        (
            vec![("sale.pay-card", part("2.00 EUR"))],
            "sale.reverse-card",
            json!({ "terminal": "counter", "attempt": 1 }),
            0,
        ),
        (vec![], "sale.pay-cash", json!({ "given": "2.00 EUR" }), 0),
        (vec![], "sale.pay-other", json!({ "name": "Voucher", "amount": "2.00 EUR", "reference": "V-4711" }), 0),
        (vec![cash(), cash()], "sale.give-back", json!({ "attempt": 1 }), 0),
    ] {
        let earlier = shop.outside().0;
        let sale = shop.sale(&before).await;
        shop.twice(&sale, name, with).await;
        assert_eq!(shop.outside().0 - earlier, turnover, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_sale_is_closed_and_printed_once() {
    let shop = Shop::open().await;
    let check_out = json!({ "terminal": "counter", "printer": "receipt", "drawer": "two" });
    let sale = shop.sale(&[]).await;
    let closed = shop.twice(&sale, "sale.check-out", check_out).await;
    assert_eq!((&closed["state"], shop.outside().0), (&json!("closed"), 7_60));
    let sale = shop.sale(&[("sale.pay-cash", json!({ "given": "10.00 EUR" }))]).await;
    let closed = shop.twice(&sale, "sale.close", json!({ "printer": "receipt" })).await;
    assert_eq!(closed["state"], "closed");
    // Without the revision, a closed sale's receipt is looked up and not printed again.
    let outside = shop.outside();
    shop.step(&sale, "sale.close", &json!({ "printer": "receipt" })).await;
    assert_eq!(shop.outside(), outside);
}

#[tokio::test(start_paused = true)]
async fn each_return_is_made_and_paid_out_once() {
    let shop = Shop::open().await;
    let refund = shop.refund().await;
    let refund = shop.twice(&refund, "sale.return-line", json!({ "line": one(1) })).await;
    assert_eq!(refund["due"], "-7.60 EUR");
    let refund = shop.twice(&refund, "sale.pay-out", json!({})).await;
    assert_eq!(refund["due"], "0.00 EUR");
}

#[tokio::test(start_paused = true)]
async fn a_sale_is_opened_once_under_its_id_also_after_a_restart() {
    let shop = Shop::open().await;
    let open = json!({ "id": "handheld 7/a-17" });
    let sale = shop.ask("sale.open", open.clone()).await;
    let sale = shop.twice(&sale, "sale.add", json!({ "line": coffee() })).await;
    shop.step(&sale, "sale.pay-cash", &json!({ "given": "10.00 EUR" })).await;
    shop.step(&sale, "sale.close", &json!({ "printer": "receipt" })).await;
    let refund = json!({ "id": "handheld 7/a-18", "original": "handheld 7/a-17", "lines": [one(0)] });
    let given_back = shop.ask("sale.open-refund", refund.clone()).await;
    let Shop { _folder, counter, till } = shop;
    till.close(Duration::from_secs(10)).await.expect("closed");
    drop(till);
    let till = counter.open().await.expect("opens again");
    let shop = Shop { _folder, counter, till };
    let again = shop.ask("sale.open", open).await;
    assert_eq!(
        (&again["ticket"]["id"], &again["state"]),
        (&json!("handheld 7/a-17"), &json!("closed")),
        "as it is now"
    );
    assert_eq!(shop.ask("sale.open-refund", refund).await, given_back);
    let open_now = shop.ask("sale.list-open", json!({})).await;
    assert_eq!(open_now.as_array().map(Vec::len), Some(1), "{open_now}");
    // The id of another sale.
    for (name, with) in [
        ("sale.open", json!({ "id": "handheld 7/a-18" })),
        ("sale.open-refund", json!({ "id": "handheld 7/a-17", "original": "handheld 7/a-17" })),
        ("sale.open", json!({ "id": "" })),
    ] {
        let error = shop.till.ask_json(name, with).await.expect_err(name);
        assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{error}");
    }
}

/// The till stops and opens again; the devices go on.
async fn restarted(shop: Shop) -> Shop {
    let Shop { _folder, counter, till } = shop;
    till.close(Duration::from_secs(10)).await.expect("closed");
    drop(till);
    let till = counter.open().await.expect("opens again");
    let mut phase = till.terminal("counter").expect("there").phase();
    phase.wait_for(|phase| phase.is_ready()).await.expect("open");
    Shop { _folder, counter, till }
}

#[tokio::test(start_paused = true)]
async fn a_step_is_taken_once_under_its_key_also_after_a_restart() {
    let mut shop = Shop::open().await;
    let (card, cash) = (json!({ "terminal": "counter", "amount": "2.00 EUR" }), json!({ "given": "2.00 EUR" }));
    let voucher = json!({ "name": "Voucher", "amount": "2.00 EUR", "reference": "V-4711" });
    let paid = |name: &'static str, with: &Value| vec![(name, with.clone())];
    // The same step would be possible again, so that nothing but the key tells.
    for (n, (before, name, with, other)) in [
        (
            vec![],
            "sale.add",
            json!({ "line": coffee() }),
            json!({ "line": { "name": "Tea", "quantity": { "pieces": 1 },
            "unit_price": "1.00 EUR", "vat": 1900, "total": "1.00 EUR" } }),
        ),
        (
            vec![],
            "sale.add-tip",
            json!({ "tip": { "amount": "1.00 EUR" } }),
            json!({ "tip": { "amount": "1.01 EUR" } }),
        ),
        (vec![], "sale.pay-card", card.clone(), json!({ "terminal": "counter", "amount": "2.01 EUR" })),
        // The open amount is another one afterwards.
        (
            vec![],
            "sale.pay-card",
            json!({ "terminal": "counter" }),
            json!({ "terminal": "counter", "amount": "7.60 EUR" }),
        ),
        (
            paid("sale.pay-card", &card),
            "sale.reverse-card",
            json!({ "terminal": "counter", "attempt": 1 }),
            json!({ "terminal": "counter", "attempt": 2 }),
        ),
        (vec![], "sale.pay-cash", cash.clone(), json!({ "given": "2.50 EUR" })),
        (vec![], "sale.pay-cash", json!({ "given": "10.00 EUR" }), json!({ "given": "10.01 EUR" })),
        (vec![], "sale.pay-other", voucher.clone(), json!({ "name": "Voucher", "amount": "2.00 EUR" })),
        (paid("sale.pay-other", &voucher), "sale.give-back", json!({ "attempt": 1 }), json!({ "attempt": 2 })),
    ]
    .into_iter()
    .enumerate()
    {
        let sale = shop.sale(&before).await;
        let mut with = at(&sale, &with);
        with["key"] = json!(format!("handheld 7/{n}"));
        let first = shop.ask(name, with.clone()).await;
        let (once, outside) = (shop.now(&sale).await, shop.outside());
        assert_eq!(shop.ask(name, with.clone()).await, first, "{name}: at once");
        shop = restarted(shop).await;
        // Whatever it knew of the sale.
        with["rev"] = sale["rev"].clone();
        assert_eq!(shop.ask(name, with.clone()).await, first, "{name}: after a restart");
        assert_eq!(shop.now(&sale).await, once, "{name}: the sale is as it was");
        assert_eq!(shop.outside(), outside, "{name}: no money and no paper");
        let mut other = at(&sale, &other);
        other["key"] = with["key"].clone();
        let another = shop.sale(&before).await;
        for with in [other, at(&another, &with)] {
            let error = shop.till.ask_json(name, with).await.expect_err(name);
            assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{error}");
            assert!(error.what().contains(&format!("`handheld 7/{n}`")), "{error}");
        }
        with["key"] = json!("another");
        with["rev"] = Value::Null;
        let again = shop.till.ask_json(name, with).await;
        assert!(again.is_err() || shop.now(&sale).await != once, "{name}: another key is another step");
        shop.till.ask_json("sale.park", at(&sale, &json!({ "name": "x" }))).await.ok();
    }
}

#[tokio::test(start_paused = true)]
async fn a_return_is_made_and_paid_out_once_under_its_key() {
    let mut shop = Shop::open().await;
    let refund = shop.refund().await;
    for (name, with, due) in [
        ("sale.return-line", json!({ "line": one(1), "key": "a" }), "-7.60 EUR"),
        ("sale.pay-out", json!({ "key": "b" }), "0.00 EUR"),
    ] {
        let first = shop.step(&refund, name, &with).await;
        shop = restarted(shop).await;
        assert_eq!(shop.step(&refund, name, &with).await, first);
        assert_eq!(shop.now(&refund).await["due"], due);
    }
    // Nothing is open any more, and the reply says what was paid out.
    assert_eq!(shop.step(&refund, "sale.pay-out", &json!({ "key": "b" })).await["back"], "7.60 EUR");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_not_sent_is_made_anew_under_its_key() {
    let shop = Shop::open().await;
    let sale = shop.sale(&[]).await;
    let pay = at(&sale, &json!({ "terminal": "counter", "amount": "2.00 EUR", "key": "a" }));
    let terminal = shop.counter.terminal("counter").expect("there");
    terminal.unplug();
    let mut phase = shop.till.terminal("counter").expect("there").phase();
    phase.wait_for(|phase| !phase.is_ready()).await.expect("open");
    for _ in 0..2 {
        let error = shop.till.ask_json("sale.pay-card", pay.clone()).await.expect_err("away");
        assert_eq!(error.effect(), Effect::None, "{error}");
    }
    let shop = restarted_later(shop, &terminal).await;
    // Two at the same time: one attempt.
    let (one, other) = tokio::join!(
        shop.till.ask_json("sale.pay-card", pay.clone()),
        shop.till.ask_json("sale.pay-card", pay.clone())
    );
    let charged: Vec<_> = [one, other].into_iter().filter_map(Result::ok).collect();
    assert!(!charged.is_empty() && charged.iter().all(|paid| paid["payment"]["charged"].is_object()), "{charged:?}");
    assert_eq!((shop.outside().0, &shop.now(&sale).await["due"]), (2_00, &json!("5.60 EUR")));
    shop.ask("sale.pay-card", pay).await;
    assert_eq!(shop.outside().0, 2_00);
}

/// What a repeated question is told is how the payment stands, also where asking is refused: nobody takes it for not charged.
#[tokio::test(start_paused = true)]
async fn a_payment_is_told_as_it_stands_where_the_terminal_cannot_be_asked_any_more() {
    let shop = Shop::open().await;
    let sale = shop.sale(&[]).await;
    let pay = at(&sale, &json!({ "terminal": "counter", "amount": "2.00 EUR", "key": "pay" }));
    let back = at(&sale, &json!({ "terminal": "counter", "attempt": 1, "key": "back" }));
    let paid = shop.ask("sale.pay-card", pay.clone()).await;
    let reversed = shop.ask("sale.reverse-card", back.clone()).await;
    assert!(paid["payment"]["charged"].is_object() && reversed["payment"]["charged"].is_object(), "{paid} {reversed}");
    let device = json!({ "class": "terminal", "name": "counter" });
    shop.ask("till.detach", json!({ "device": device })).await;

    assert_eq!(shop.ask("sale.pay-card", pay.clone()).await["payment"], paid["payment"]);
    assert_eq!(shop.ask("sale.reverse-card", back).await["payment"], reversed["payment"]);
    let mut another = pay;
    another["key"] = json!("another");
    let error = shop.till.ask_json("sale.pay-card", another).await.expect_err("there is no terminal");
    assert_eq!(error.effect(), Effect::None, "{error}");
}

/// As with steps of sales, so with payments and prints of their own.
#[tokio::test(start_paused = true)]
async fn a_payment_and_a_print_are_told_as_they_stand_where_the_device_is_away_or_gone() {
    let shop = Shop::open().await;
    let terminal = shop.counter.terminal("counter").expect("there");
    let pay = |key: &str| json!({ "terminal": "counter", "amount": "2.00 EUR", "key": key });
    let content = json!({ "v": 1, "receipt": { "items": [{ "type": "text", "text": "Table 4" }] } });
    let print = json!({ "printer": "receipt", "content": content, "id": "paper" });
    let charged = shop.ask("terminal.pay", pay("charged")).await;
    let printed = shop.ask("printer.print", print.clone()).await;
    assert!(charged["charged"].is_object() && !printed["printed"].is_null(), "{charged} {printed}");
    // The terminal has approved, and is away before it says more.
    terminal.with(|device| device.misbehave(Misbehaviour::MuteAfterApproval));
    let away = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        terminal.unplug();
    };
    let (lost, ()) = tokio::join!(shop.ask("terminal.pay", pay("lost")), away);
    assert!(lost["unknown"].is_object(), "{lost}");

    for device in ["away", "gone"] {
        if device == "gone" {
            for (class, name) in [("terminal", "counter"), ("printer", "receipt")] {
                shop.ask("till.detach", json!({ "device": { "class": class, "name": name } })).await;
            }
        }
        assert_eq!(shop.ask("terminal.pay", pay("charged")).await, charged, "{device}");
        let again = shop.ask("terminal.pay", pay("lost")).await;
        assert_eq!(again["unknown"]["intent"], lost["unknown"]["intent"], "{device}: {again}");
        assert_eq!(shop.ask("printer.print", print.clone()).await, printed, "{device}");
        assert_eq!(shop.ask("printer.submit", print.clone()).await["job"], "paper", "{device}");
        let new = shop.till.ask_json("terminal.pay", pay("new")).await.expect_err("nobody to ask");
        assert_eq!(new.effect(), Effect::None, "{device}: {new}");
        let mut other = pay("lost");
        other["amount"] = json!("3.00 EUR");
        let other = shop.till.ask_json("terminal.pay", other).await.expect_err("another payment");
        assert!(other.to_string().contains("another transaction"), "{device}: {other}");
        let mut other = print.clone();
        other["content"]["receipt"]["items"][0]["text"] = json!("Table 5");
        shop.till.ask_json("printer.print", other).await.expect_err("other paper");
    }
    assert_eq!((shop.outside().0, shop.outside().1.matches("Table 4").count()), (2_00, 1));
}

/// The till is opened again, and then the terminal is back.
async fn restarted_later(shop: Shop, terminal: &tresen::testing::SimulatedTerminal) -> Shop {
    let Shop { _folder, counter, till } = shop;
    till.close(Duration::from_secs(10)).await.expect("closed");
    drop(till);
    let till = counter.open().await.expect("opens again");
    terminal.plug_in();
    let mut phase = till.terminal("counter").expect("there").phase();
    phase.wait_for(|phase| phase.is_ready()).await.expect("open");
    Shop { _folder, counter, till }
}
