use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::json;
use tempfile::TempDir;
use tresen_hal::{Amount, Effect, Retry, SimulatedRuntime};
use tresen_payment::{Charge, Decision, Entry, Intent, IntentId, Payment, Reference, Settled, Transaction};
use tresen_printers::{Content, Receipt};
use tresen_scanners::Scan;

use super::*;
use crate::config::{Config, Device};
use crate::sale::{Line, Vat};
use crate::store::Origin;
use crate::{Class, DeviceId};

/// A till with an unreachable scanner and printer. Its time is tokio's.
pub(super) async fn till() -> (TempDir, Tresen) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    for (class, address) in
        [(Class::Scanner, "scanner+tcp://127.0.0.1:9"), (Class::Printer, "escpos+tcp://127.0.0.1:10")]
    {
        config = config.with(class, "counter", Device::at(address.parse().expect("an address")));
    }
    config.till.store = dir.path().join("till.db");
    config.till.socket = false;
    let runtime = SimulatedRuntime::new(7, "2026-01-02T08:00:00Z".parse().expect("a time"));
    let till = Tresen::builder().runtime(std::sync::Arc::new(runtime)).with(config).await.expect("opens");
    (dir, till)
}

/// A command's fields and its reply, as JSON.
pub(super) struct Example {
    pub(super) with: Value,
    pub(super) reply: Value,
}

/// The JSON exchanged, by command.
#[derive(Default)]
pub(super) struct Seen(pub(super) BTreeMap<&'static str, Example>);

impl Seen {
    /// Checks that a command as written by a client, and its reply, both survive a round trip.
    #[track_caller]
    fn both<C: Command>(&mut self, with: Value, reply: C::Reply) {
        let command: C = read(with.clone()).unwrap_or_else(|error| panic!("{error}"));
        let mut again = serde_json::to_value(&command).expect("JSON");
        let fields = again.as_object_mut().expect("fields");
        fields.retain(|_, value| !value.is_null());
        assert_eq!(again, with, "{}", C::NAME);
        let told = serde_json::to_value(&reply).expect("JSON");
        let heard: C::Reply =
            serde_json::from_value(told.clone()).unwrap_or_else(|e| panic!("{}: {e}: {told}", C::NAME));
        assert_eq!(serde_json::to_value(&heard).expect("JSON"), told, "{}", C::NAME);
        let example = Example { with, reply: told };
        assert!(self.0.insert(C::NAME, example).is_none(), "{} is a name twice", C::NAME);
    }
}

/// A value deserialised from JSON.
#[track_caller]
fn of<T: DeserializeOwned + Debug>(json: Value) -> T {
    serde_json::from_value(json).expect("its JSON")
}

#[tokio::test(start_paused = true)]
async fn each_command_and_reply_comes_out_of_json_as_it_went_in() {
    let (_dir, till) = till().await;
    let seen = examples(&till).await;
    let mut known: Vec<_> = commands().collect();
    known.sort_unstable();
    assert_eq!(known, seen.0.keys().copied().collect::<Vec<_>>(), "each is seen here, and no name stands for two");
    // The format that other programs depend on.
    let sale = &seen.0["sale.add"].reply;
    assert_eq!((&sale["due"], &sale["pending"], &sale["state"]), (&json!("0.00 EUR"), &json!(false), &json!("open")));
    assert_eq!(seen.0["terminal.pay"].reply["charged"]["amount"], "12.50 EUR");
    assert_eq!(seen.0["sale.resume"].reply[0]["error"]["effect"], "partial");
}

/// Every command with a reply of each; all of them survived a round trip.
pub(super) async fn examples(till: &Tresen) -> Seen {
    let mut sale = till.open_sale_by(Origin::new().operator("anna")).await.expect("opens");
    let line = Line::pieces("Flat white", 2, Amount::eur(3_80), Vat::percent(19)).expect("fits").article("17");
    sale.add(line.clone()).await.expect("added");
    sale.pay_cash(Amount::eur(10_00)).await.expect("paid");
    let view = sale.view().clone();
    let at: jiff::Timestamp = "2026-01-02T08:00:00Z".parse().expect("a time");
    let intent = Intent::new(IntentId("a/1".into()), "counter", Transaction::Payment, Amount::eur(12_50), at, None);
    let reference = Reference::new("zvt").with("receipt", "0417");
    let mut charge = Charge::new(intent.id.clone(), Amount::eur(12_50));
    charge.reference = Some(reference.clone());
    let payment = Payment::Charged(Box::new(charge));
    let unknown = Payment::unknown(&intent.id, "the link was cut");
    let settled = Settled::new(intent.clone(), payment.clone(), "receipt 0417");
    let content = Content::Receipt(Receipt::new().text("Tee"));
    let receipt = serde_json::to_value(&content).expect("JSON");
    let printed: crate::Print = of(json!({ "accepted": { "on": "bar" } }));
    let job = printer::Submit { printer: "counter".into(), content, id: Some("j".into()) };
    till.on_behalf_of("handheld 7").ask(job).await.expect("queued");
    let spooled = till.store().job("j").await.expect("read").expect("there");
    assert_eq!(spooled.origin, Origin::new().station("handheld 7"), "for whom");
    let stored = crate::StoredPayment {
        seq: 3,
        entry: Entry::new(intent.clone(), None, Some(payment.clone()))
            .with_decision(Some(Decision::not_charged("bo", "no slip"))),
        original: None,
        reversed_by: Some(IntentId("b".into())),
        origin: Origin::new().station("bar"),
    };
    let scan = Scan::plain("4006381333931", at).from_device("hand");
    let sold = crate::sale::Sold::Open { due: Amount::eur(1_00), payment: Some(unknown.clone()) };
    let error = Error::new(Kind::Timeout, "late").at("bar").with_effect(Effect::Partial).with_retry(Retry::Never);
    let device = json!({ "class": "scanner", "name": "counter" });
    let away: crate::Phase = of(json!({ "away": { "why": "refused", "since": at } }));
    let step = |more: Value| {
        let mut step = json!({ "sale": "s", "rev": 3, "by": { "operator": "anna" } });
        let fields = step.as_object_mut().expect("fields");
        fields.extend(more.as_object().expect("fields").clone());
        step
    };

    let mut seen = Seen::default();
    let print = json!({ "printer": "bar", "content": receipt, "id": "j", "within_ms": 1500 });
    seen.both::<printer::Print>(print, printed.clone());
    seen.both::<printer::Submit>(json!({ "printer": "bar", "content": receipt }), printer::Queued { job: "j".into() });
    seen.both::<printer::Outcome>(json!({ "job": "j", "within_ms": 0 }), crate::Print::Cancelled);
    seen.both::<printer::Find>(json!({ "job": "j" }), Some(spooled.clone()));
    seen.both::<printer::Reprint>(json!({ "job": "j" }), printed);
    seen.both::<printer::Adopt>(json!({ "printer": "bar", "job": "j" }), printer::Queued { job: "j".into() });
    seen.both::<printer::Cancel>(json!({ "job": "j" }), ());
    seen.both::<printer::Status>(json!({ "printer": "bar" }), Default::default());
    seen.both::<printer::Identity>(json!({ "printer": "bar" }), Default::default());
    let paper = || tresen_printers::preview(&Content::Receipt(Receipt::new().text("Tee")), None).expect("rendered");
    seen.both::<printer::Preview>(json!({ "printer": "bar", "content": receipt }), paper());
    seen.both::<printer::Picture>(json!({ "job": "j", "printer": "bar" }), paper());
    let two = serde_json::to_value(tresen_printers::DrawerPin::Two).expect("JSON");
    seen.both::<printer::KickDrawer>(json!({ "printer": "bar", "pin": two }), ());
    seen.both::<printer::Capabilities>(json!({ "printer": "bar" }), None);
    seen.both::<printer::Phase>(json!({ "printer": "bar" }), away.clone());
    seen.both::<printer::Reset>(json!({ "printer": "bar" }), ());

    let pay = json!({ "terminal": "counter", "amount": "12.50 EUR", "key": "a/1" });
    seen.both::<terminal::Pay>(pay.clone(), payment.clone());
    seen.both::<terminal::TryPay>(pay.clone(), unknown.clone());
    seen.both::<terminal::Refund>(pay.clone(), payment.clone());
    let reverse = json!({ "terminal": "counter", "amount": "12.50 EUR", "reference": reference });
    seen.both::<terminal::Reverse>(reverse.clone(), payment.clone());
    seen.both::<terminal::PreAuthorise>(pay.clone(), payment.clone());
    seen.both::<terminal::Increment>(reverse.clone(), payment.clone());
    seen.both::<terminal::Book>(reverse.clone(), payment.clone());
    seen.both::<terminal::Release>(reverse.clone(), payment.clone());
    seen.both::<terminal::Tip>(reverse, payment.clone());
    let load = json!({ "terminal": "counter", "amount": "15.00 EUR", "product": "0012" });
    seen.both::<terminal::TopUp>(load, payment.clone());
    let card = of(json!({ "name": "girocard", "masked_pan": "672676******2002", "token": null }));
    seen.both::<terminal::ReadCard>(json!({ "terminal": "counter", "within_ms": 1500 }), card);
    let shown = json!({ "terminal": "counter", "text": "Bitte warten", "within_ms": 5000 });
    seen.both::<terminal::Display>(shown, ());
    let digits = json!({ "number": { "min": 5, "max": 5, "masked": false } });
    let asked = json!({ "text": "PLZ?", "wanted": digits, "default": "declined", "within": "30s" });
    let entered = of(json!({ "text": "12345" }));
    seen.both::<terminal::Input>(json!({ "terminal": "counter", "question": asked }), entered);
    seen.both::<terminal::Print>(json!({ "terminal": "counter", "text": "Tisch 7" }), ());
    let age = json!({ "terminal": "counter", "years": 18, "within_ms": 30000 });
    seen.both::<terminal::AgeCheck>(age, of(json!("reached")));
    seen.both::<terminal::Abort>(json!({ "terminal": "counter", "key": "a/1" }), true);
    seen.both::<terminal::Serving>(json!({ "terminal": "counter" }), Some(intent.id.clone()));
    let question = json!({ "text": "Unterschrift ok?", "wanted": "signature", "default": "no", "within": "30s" });
    let question = of(json!({ "id": "q", "intent": "a/1", "question": question }));
    seen.both::<terminal::Questions>(json!({ "terminal": "counter" }), vec![question]);
    seen.both::<terminal::Answer>(json!({ "terminal": "counter", "question": "q", "answer": "yes" }), ());
    seen.both::<terminal::Find>(json!({ "key": "a/1" }), Some(stored));
    seen.both::<terminal::Open>(json!({ "terminal": "counter" }), vec![intent.clone()]);
    seen.both::<terminal::Recover>(json!({ "terminal": "counter" }), vec![settled]);
    let decision = json!({ "charged": "12.50 EUR", "reference": null, "by": "bo", "reason": "slip 0417" });
    let settle: terminal::Settle = of(json!({ "key": "a/1", "decision": decision, "terminal": "counter" }));
    seen.both::<terminal::Settle>(
        json!({ "key": "a/1", "decision": settle.decision, "terminal": "counter" }),
        payment.clone(),
    );
    seen.both::<terminal::EndOfDay>(
        json!({ "terminal": "counter" }),
        of(json!({ "total": "1.00 EUR", "receipt": ["a"] })),
    );
    let cards = json!([{ "card": "girocard", "count": 1, "total": "1.00 EUR" }]);
    let totals = json!({ "total": "1.00 EUR", "receipts": ["0001", "0002"], "cards": cards, "receipt": ["a"] });
    seen.both::<terminal::Totals>(json!({ "terminal": "counter" }), of(totals));
    seen.both::<terminal::Diagnose>(json!({ "terminal": "counter" }), vec!["a".into()]);
    seen.both::<terminal::Initialise>(json!({ "terminal": "counter" }), Vec::new());
    seen.both::<terminal::RepeatReceipt>(json!({ "terminal": "counter" }), vec!["a".into()]);
    seen.both::<terminal::Status>(json!({ "terminal": "counter" }), Default::default());
    seen.both::<terminal::Capabilities>(json!({ "terminal": "counter" }), Some(Default::default()));

    seen.both::<scanner::Next>(json!({ "scanner": "hand", "within_ms": 200 }), Some(scan.clone()));
    seen.both::<scanner::Discard>(json!({ "scanner": "hand" }), 2);
    seen.both::<scanner::SetEnabled>(json!({ "scanner": "hand", "enabled": false }), ());
    seen.both::<scanner::Beep>(json!({ "scanner": "hand", "good": true }), ());
    seen.both::<scanner::Trigger>(json!({ "scanner": "hand", "on": true }), ());
    seen.both::<scanner::Capabilities>(json!({ "scanner": "hand" }), Some(Default::default()));
    seen.both::<camera::Capabilities>(json!({ "camera": "door" }), Some(Default::default()));
    let picture = of(json!({ "jpeg": "/9j/2Q==", "sequence": 7, "at": at }));
    seen.both::<camera::Frame>(json!({ "camera": "door" }), picture);
    seen.both::<camera::Next>(json!({ "camera": "door" }), Some(scan));
    seen.both::<camera::Discard>(json!({ "camera": "door" }), 0);

    let paid = sale::CardPaid { payment, sale: view.clone() };
    let cash = sale::CashPaid { back: Amount::eur(2_40), sale: view.clone() };
    let closed = sale::CheckedOut { sold: sold.clone(), sale: view.clone() };
    let gone = sale::Resumed { sale: view.clone(), sold: None, error: Some(error) };
    seen.both::<sale::Open>(json!({ "by": { "station": "bar" } }), view.clone());
    seen.both::<sale::OpenRefund>(json!({ "original": "s" }), view.clone());
    seen.both::<sale::Find>(json!({ "sale": "s" }), Some(view.clone()));
    seen.both::<sale::ByNumber>(json!({ "number": 17 }), None);
    seen.both::<sale::Since>(json!({ "number": 0, "limit": 10 }), vec![view.clone()]);
    seen.both::<sale::ListOpen>(json!({}), vec![view.clone()]);
    seen.both::<sale::ListParked>(json!({}), vec![view.clone()]);
    let filter = json!({ "after": 7, "from": at, "to": null, "limit": 20 });
    let page = crate::SalePage { sales: vec![view.clone()], unreadable: Vec::new(), next: Some(8) };
    seen.both::<sale::ListClosed>(json!({ "filter": filter }), page);
    let left = crate::sale::Returnable::new(0, line.clone());
    seen.both::<sale::Returnable>(json!({ "original": "s" }), vec![left]);
    let copy = json!({ "number": 17, "epoch": 2, "printer": "bar", "within_ms": 0 });
    seen.both::<sale::Reprint>(copy, crate::Print::Cancelled);
    let tip = crate::sale::Tip::new(Amount::eur(2_00));
    seen.both::<sale::AddTip>(step(json!({ "tip": { "amount": "2.00 EUR", "recipient": "anna" } })), view.clone());
    seen.both::<sale::RemoveTip>(step(json!({ "at": 0 })), sale::TipRemoved { tip, sale: view.clone() });
    let part = json!({ "line": { "line": 0, "quantity": { "pieces": 1 } } });
    seen.both::<sale::ReturnOne>(step(part), view.clone());
    seen.both::<sale::Park>(step(json!({ "name": "table 12" })), view.clone());
    seen.both::<sale::ResumeParked>(step(json!({})), view.clone());
    seen.both::<sale::Refresh>(json!({ "sale": "s" }), view.clone());
    seen.both::<sale::Add>(step(json!({ "line": line })), view.clone());
    seen.both::<sale::Remove>(step(json!({ "at": 0 })), sale::Removed { line, sale: view.clone() });
    seen.both::<sale::SetNote>(step(json!({ "note": "for Bo" })), view.clone());
    seen.both::<sale::PayCard>(step(json!({ "terminal": "counter", "amount": "1.00 EUR" })), paid.clone());
    seen.both::<sale::ReverseCard>(step(json!({ "terminal": "counter", "attempt": 1 })), paid);
    seen.both::<sale::PayCash>(step(json!({ "given": "10.00 EUR" })), cash.clone());
    seen.both::<sale::PayOut>(step(json!({})), cash);
    let voucher = json!({ "name": "Voucher", "amount": "5.00 EUR", "reference": "V-4711" });
    seen.both::<sale::PayOther>(step(voucher), view.clone());
    let ticket = of(json!({ "number": 1, "route": "kitchen", "job": "order-s-1-kitchen", "cancels": false,
        "lines": [{ "name": "Soup", "group": "grill", "count": 2 }] }));
    let ordered = sale::OrderedSale { tickets: vec![ticket], sale: view.clone() };
    seen.both::<sale::Orders>(json!({ "sale": "s" }), ordered.tickets.clone());
    seen.both::<sale::Order>(step(json!({})), ordered);
    let owed = of(json!({ "owed": { "balance": "1.00 EUR" } }));
    let account = sale::AccountPaid { paid: owed, sale: view.clone() };
    seen.both::<sale::PayAccount>(step(json!({ "account": "4711", "amount": "5.00 EUR" })), account);
    seen.both::<sale::GiveBack>(step(json!({ "attempt": 1 })), view.clone());
    seen.both::<sale::Void>(step(json!({ "why": "left" })), view);
    seen.both::<sale::CheckOut>(
        step(json!({ "terminal": "counter", "printer": "bar", "drawer": two })),
        closed.clone(),
    );
    seen.both::<sale::Close>(step(json!({ "printer": "bar" })), closed);
    seen.both::<sale::Resume>(json!({ "printer": "bar" }), vec![gone]);

    let bar = json!({ "device": { "class": "terminal", "name": "bar" } });
    let target = json!({ "target": bar });
    let grant = json!({ "target": bar, "token": 7, "holder": "anna", "since": at, "until": at });
    let grant: crate::lease::Grant = of(grant);
    let view = json!({
        "target": { "sale": "s" }, "holder": "anna", "nature": "leased", "since": at, "until": at,
        "ending": { "taken-over": { "by": "bo", "why": "late" } },
        "asked": [{ "by": "bo", "why": "", "at": at }], "waiting": [{ "name": "bo", "since": at, "until": at }],
    });
    let view: crate::lease::View = of(view);
    let waiting = json!({ "waiting": { "place": 1, "since": at, "until": at, "lease": view } });
    seen.both::<lease::Acquire>(target.clone(), grant.clone());
    seen.both::<lease::Queue>(json!({ "target": bar, "within_ms": 10 }), of(waiting));
    seen.both::<lease::Leave>(target.clone(), true);
    seen.both::<lease::Renew>(target.clone(), grant.clone());
    seen.both::<lease::Release>(target, true);
    seen.both::<lease::Ask>(json!({ "target": bar, "why": "a guest waits" }), view.clone());
    seen.both::<lease::TakeOver>(json!({ "target": bar, "why": "late" }), crate::lease::Turn::Granted(grant));
    seen.both::<lease::List>(json!({}), vec![view]);

    seen.both::<till::Info>(json!({}), till.ask(till::Info {}).await.expect("told"));
    seen.both::<till::Commands>(json!({}), vec!["till.info".into()]);
    seen.both::<till::Snapshot>(json!({}), till.ask(till::Snapshot {}).await.expect("told"));
    seen.both::<till::Capabilities>(json!({}), till.capabilities());
    seen.both::<till::SetTender>(json!({ "name": "account", "now": "no", "why": "the server is away" }), ());
    seen.both::<till::Phase>(json!({ "device": device }), away);
    seen.both::<till::Reset>(json!({ "device": device }), ());
    seen.both::<till::Detach>(json!({ "device": device, "within_ms": 10 }), ());
    let reloaded = crate::Reloaded { attached: vec![DeviceId::new(Class::Printer, "bar")], ..Default::default() };
    seen.both::<till::Reload>(json!({ "within_ms": 10 }), reloaded);
    seen.both::<till::PrinterFor>(json!({ "paper": "receipt" }), "counter".into());
    seen.both::<till::OpenJobs>(json!({}), vec![spooled]);
    let backup = json!({ "path": "/b/till.db", "taken_at": at, "till": "0198", "epoch": 1, "journal": 9, "number": 4,
        "bytes": 4096 });
    seen.both::<till::Backup>(json!({ "to": "/b" }), of(backup));
    let export = json!({ "what": "lines", "format": "csv", "from": "2026-01-02", "open": true,
        "mapping": "[csv]\nseparator = ';'\n", "after": "17", "limit": 100 });
    let page = json!({ "text": "a;b", "rows": 1, "unreadable": 1, "next": "18",
        "problems": [{ "seq": 3, "id": "s", "why": "damaged" }] });
    seen.both::<till::Export>(export, of(page));
    seen.both::<till::NewId>(json!({}), "0198".into());
    seen.both::<listing::Health>(json!({}), till.health().await);
    seen.both::<listing::RecentEvents>(json!({}), till.recent_events());
    let mut jobs = listing::Jobs::default().of(till.store()).await.expect("listed");
    jobs.next = Some(1);
    let page = json!({ "after": 3, "limit": 10, "states": ["unknown"], "route": "bar", "since": at });
    seen.both::<listing::Jobs>(page, jobs);
    let page = json!({ "after": 3, "limit": 10, "open": true, "terminal": "bar", "since": at });
    seen.both::<listing::Payments>(page, Default::default());
    let page = json!({ "after": 0, "key": "a/1" });
    seen.both::<listing::Journal>(page, listing::Journal::default().of(till.store()).await.expect("listed"));

    let invited = json!({
        "name": "handheld 7",
        "code": "K7QF-02ZM-9XTA",
        "expires": at,
        "at": ["wss://192.0.2.10:7443"],
        "authority": "ab",
    });
    let invitation = json!({ "name": "handheld 7", "station": "bar", "rights": "watch print:bar" });
    seen.both::<remote::Enrol>(invitation, of(invited.clone()));
    let page = json!({ "name": "kiosk", "rights": "watch", "origin": "https://kiosk.example" });
    seen.both::<remote::Token>(page, of(invited));
    let client = json!({
        "id": 1,
        "name": "handheld 7",
        "station": "bar",
        "rights": "watch",
        "enrolled": at,
        "expires": at,
        "revoked": [at, "lost"],
    });
    let session = json!({
        "id": 1,
        "name": "kiosk",
        "station": null,
        "rights": "watch",
        "origin": "https://kiosk.example",
        "opened": at,
        "expires": at,
    });
    seen.both::<remote::Clients>(json!({}), of(json!({ "clients": [client], "sessions": [session] })));
    seen.both::<remote::Revoke>(json!({ "name": "handheld 7", "why": "lost" }), ());
    let note =
        json!({ "principal": "handheld 7", "action": "terminal.refund", "refused": "right `refund` is missing" });
    let audit = json!([{ "seq": 1, "at": at, "note": note, "end": "at-once" }]);
    seen.both::<remote::Audit>(json!({ "before": 2, "limit": 10 }), of(audit));
    seen.both::<server::Sync>(json!({}), till.sync().await.expect("read"));
    seen.both::<server::AcceptGap>(json!({}), of(json!({ "epoch": 1, "after": 17, "before": 40 })));
    let local = json!({ "state": { "local": { "since": at, "why": "refused" } }, "tables": [] });
    seen.both::<server::RefreshReference>(json!({}), of(local));
    let row = json!({ "id": "17", "body": { "price": 380 } });
    let table = json!({ "name": "articles", "version": 3, "received_at": at });
    let page = json!({ "table": table, "rows": [row], "next": "17" });
    seen.both::<server::Reference>(json!({ "table": "articles", "after": "16", "limit": 1 }), of(page));
    seen.both::<server::FindReference>(json!({ "table": "articles", "id": "17" }), of(row));
    let unbooked = json!({
        "key": "s/1", "server_key": "s/1/o", "sale": "s", "account": "4711", "amount": "5.00 EUR", "state": "unbooked", "reserved": false,
        "why": "the balance is 1.00 EUR", "at": at,
    });
    seen.both::<server::Unbooked>(json!({}), of(json!([unbooked])));
    seen.both::<server::AccountsInDoubt>(json!({}), of(json!([unbooked])));
    let decision = json!({ "charged": "5.00 EUR", "reference": null, "by": "Anna", "reason": "the statement" });
    seen.both::<server::SettleAccount>(json!({ "key": "s/1", "decision": decision }), of(unbooked));
    seen
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_used_names_the_command_and_the_field() {
    let (_dir, till) = till().await;
    for (name, with, said) in [
        ("terminal.pay", json!({ "terminal": "counter" }), ["`terminal.pay`", "`amount`"]),
        ("terminal.pay", json!({ "terminal": "counter", "amount": "12,5x" }), ["`terminal.pay`", "`amount`"]),
        ("terminal.pay", json!({ "terminal": "counter", "amout": 1 }), ["`terminal.pay`", "`amout`"]),
        ("sale.add", json!({ "sale": "s", "line": { "name": 7 } }), ["`sale.add`", "`line.name`"]),
        (
            "printer.print",
            json!({ "printer": "bar", "content": null, "within_ms": -1 }),
            ["`printer.print`", "`content"],
        ),
        ("till.reload", json!({ "within_ms": -1 }), ["`till.reload`", "`within_ms`"]),
        ("till.export", json!({ "what": "sums" }), ["`till.export`", "`what`"]),
        (
            "till.export",
            json!({ "what": "lines", "mapping": "[csv]\nsep = 1" }),
            ["`mapping`", "mapping:2: key `csv.sep`"],
        ),
        ("till.info", json!([7]), ["`till.info`", "length"]),
    ] {
        let error = till.ask_json(name, with).await.expect_err(name);
        assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{error}");
        assert!(said.iter().all(|part| error.what().contains(part)), "{error}");
    }
    let error = till.ask_json("printer.burn", Value::Null).await.expect_err("unknown");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("`printer.burn`") && error.to_string().contains("printer.print"), "{error}");
    let told = till.ask_json("till.info", Value::Null).await.expect("no fields are needed");
    assert_eq!(told["currency"], "EUR");
}

#[tokio::test(start_paused = true)]
async fn a_sale_that_another_station_has_changed_is_left_alone() {
    let (_dir, till) = till().await;
    let seen = till.on_behalf_of("bar").ask(sale::Open::default()).await.expect("opens");
    assert_eq!(seen.origin, Origin::new().station("bar"));
    let add = |rev, name: &str| sale::Add {
        sale: seen.ticket.id().to_owned(),
        rev,
        by: None,
        line: Line::pieces(name, 1, Amount::eur(1_00), Vat::percent(7)).expect("fits"),
        key: None,
    };
    let now = till.ask(add(Some(seen.rev), "Tea")).await.expect("added");
    let error = till.ask(add(Some(seen.rev), "Milk")).await.expect_err("an older revision");
    assert_eq!((error.kind(), error.effect(), error.retry()), (Kind::Busy, Effect::None, Retry::Now), "{error}");
    let now = till.ask(add(Some(now.rev), "Milk")).await.expect("read again");
    let names: Vec<_> = now.ticket.lines().iter().map(|line| line.name.as_str()).collect();
    assert_eq!((names, now.due), (vec!["Tea", "Milk"], Amount::eur(2_00)));
    let now = till.ask(add(None, "Salt")).await.expect("whatever is there");
    assert_eq!(now.due, Amount::eur(3_00));
}
