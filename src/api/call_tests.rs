use serde_json::json;
use tresen_hal::{Amount, Effect};
use tresen_printers::{Content, DrawerPin, Receipt};

use super::super::tests::{examples, till};
use super::super::{commands, printer};
use super::*;
use crate::sale::{Line, Vat};

/// What each command of [`examples`] needs. A right without a name is needed without limit to devices: also where a job
/// or payment is unknown.
const NEEDS: &[(&str, &[&str])] = &[
    (
        "watch",
        &[
            "lease.list",
            "printer.find",
            "printer.outcome",
            "printer.picture",
            "sale.by-number",
            "sale.find",
            "sale.list-closed",
            "sale.list-open",
            "sale.list-parked",
            "sale.orders",
            "sale.returnable",
            "sale.since",
            "terminal.find",
            "till.accounts-in-doubt",
            "till.capabilities",
            "till.commands",
            "till.health",
            "till.info",
            "till.jobs",
            "till.new-id",
            "till.open-jobs",
            "till.payments",
            "till.printer-for",
            "till.recent-events",
            "till.reference",
            "till.reference-row",
            "till.snapshot",
            "till.sync",
            "till.unbooked",
        ],
    ),
    ("watch:bar", &["printer.capabilities", "printer.identity", "printer.phase", "printer.preview", "printer.status"]),
    (
        "watch:counter",
        &[
            "terminal.capabilities",
            "terminal.open",
            "terminal.questions",
            "terminal.serving",
            "terminal.status",
            "terminal.totals",
            "till.phase",
        ],
    ),
    ("watch:door", &["camera.capabilities"]),
    ("watch:hand", &["scanner.capabilities"]),
    ("camera:door", &["camera.discard", "camera.frame", "camera.next"]),
    ("scan:hand", &["scanner.beep", "scanner.discard", "scanner.next", "scanner.set-enabled", "scanner.trigger"]),
    ("print", &["printer.cancel", "printer.reprint"]),
    ("print print:bar", &["printer.adopt"]),
    ("print:bar", &["printer.print", "printer.submit", "sale.reprint"]),
    ("drawer:bar", &["printer.kick-drawer"]),
    (
        "pay:counter",
        &[
            "terminal.abort",
            "terminal.age-check",
            "terminal.answer",
            "terminal.book",
            "terminal.display",
            "terminal.increment",
            "terminal.input",
            "terminal.pay",
            "terminal.pre-authorise",
            "terminal.print",
            "terminal.read-card",
            "terminal.recover",
            "terminal.release",
            "terminal.repeat-receipt",
            "terminal.tip",
            "terminal.top-up",
            "terminal.try-pay",
        ],
    ),
    ("refund:counter", &["terminal.refund", "terminal.reverse"]),
    ("settle", &["terminal.settle", "till.settle-account"]),
    ("settle:bar", &["lease.take-over"]),
    ("settle:counter", &["terminal.end-of-day"]),
    (
        "configure",
        &[
            "remote.audit",
            "remote.clients",
            "remote.enrol",
            "remote.revoke",
            "remote.token",
            "till.accept-gap",
            "till.backup",
            "till.export",
            "till.journal",
            "till.reload",
            "till.set-tender",
        ],
    ),
    ("configure:bar", &["printer.reset"]),
    ("configure:counter", &["terminal.diagnose", "terminal.initialise", "till.detach", "till.reset"]),
    (
        "sell",
        &[
            "sale.add",
            "sale.add-tip",
            "sale.open",
            "sale.order",
            "sale.park",
            "sale.pay-account",
            "sale.pay-cash",
            "sale.pay-other",
            "sale.refresh",
            "sale.remove",
            "sale.remove-tip",
            "sale.resume-parked",
            "sale.set-note",
            "sale.void",
            "till.refresh-reference",
        ],
    ),
    ("sell refund", &["sale.give-back", "sale.open-refund", "sale.pay-out", "sale.return-line"]),
    ("sell refund:counter", &["sale.reverse-card"]),
    ("sell pay:counter", &["sale.pay-card"]),
    ("sell print:bar", &["sale.close", "sale.resume"]),
    ("sell print:bar drawer:bar pay:counter refund:counter", &["sale.check-out"]),
    ("sell pay:bar", &["lease.acquire", "lease.ask", "lease.leave", "lease.queue", "lease.release", "lease.renew"]),
];

/// What it needs, in words.
fn words(needs: &[Need]) -> String {
    let word = |need: &Need| match &need.device {
        Some(device) => format!("{}:{device}", need.right),
        None => need.right.to_string(),
    };
    needs.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn grants(text: &str) -> Grants {
    text.parse().expect("rights")
}

#[tokio::test(start_paused = true)]
async fn each_right_is_required_and_no_other() {
    let (_dir, till) = till().await;
    // The example's job is stored; here those are wanted that nothing is known of.
    let mut seen = examples(&till).await.0;
    let stored = till.store().job("j").await.expect("read").expect("stored");
    for example in seen.values_mut().filter(|example| example.with["job"] == stored.id.as_str()) {
        example.with["job"] = json!("unknown");
    }
    let mut said: Vec<_> =
        NEEDS.iter().flat_map(|(needs, names)| names.iter().map(move |name| (*name, *needs))).collect();
    said.sort_unstable();
    assert_eq!(said.iter().map(|(name, _)| *name).collect::<Vec<_>>(), seen.keys().copied().collect::<Vec<_>>());
    for (name, wanted) in said {
        let mut call = Call::read(name, seen[name].with.clone()).expect(name);
        let needs = call.needs(&till).await.expect(name);
        let (mut found, mut expected): (Vec<_>, Vec<_>) = (needs.iter().collect(), wanted.split(' ').collect());
        found.sort_by_key(|need| words(&[(*need).clone()]));
        expected.sort_unstable();
        let found: Vec<_> = found.into_iter().map(|need| words(std::slice::from_ref(need))).collect();
        assert_eq!(found, expected, "{name}");
        assert!(needs.iter().any(|need| need.right == call.info().right), "{name}");

        call.permit(&till, &grants(wanted)).await.expect(name);
        call.permit(&till, &Grants::all()).await.expect(name);
        for need in &needs {
            // Everything but this right, and this right elsewhere.
            let others = Right::ALL.into_iter().filter(|right| *right != need.right);
            let others: String = others.map(|right| format!("{right} ")).collect();
            for lacking in [others.clone(), format!("{others}{}:elsewhere", need.right)] {
                let error = call.permit(&till, &grants(&lacking)).await.expect_err(name);
                assert_eq!((error.kind(), error.effect()), (Kind::Permission, Effect::None), "{name}: {error}");
                let right = format!("the right `{}`", need.right);
                assert!(error.what().contains(&format!("`{name}` needs {right}")), "{name}: {error}");
            }
        }
        call.permit(&till, &Grants::default()).await.expect_err(name);
    }
}

#[test]
fn what_is_known_of_a_command_is_known_before_it_is_read() {
    let pay = super::super::command("terminal.pay").expect("known");
    assert_eq!((pay.name, pay.right, pay.changes, pay.waits), ("terminal.pay", Right::Pay, true, false));
    let next = super::super::command("scanner.next").expect("known");
    assert_eq!((next.changes, next.waits), (true, true), "a scan is handed out once");
    assert_eq!(super::super::command("terminal.burn"), None);
    for info in commands().filter_map(super::super::command) {
        // Whatever only needs the right to look changes nothing.
        assert!(!(info.changes && info.right == Right::Watch), "{}", info.name);
    }
}

#[tokio::test(start_paused = true)]
async fn the_route_of_a_stored_job_is_looked_up() {
    let (_dir, till) = till().await;
    let content = Content::Receipt(Receipt::new().text("Tee"));
    till.ask(printer::Submit { printer: "counter".into(), content, id: Some("j".into()) }).await.expect("queued");
    for (name, right) in [("printer.cancel", "print"), ("printer.reprint", "print"), ("printer.find", "watch")] {
        let mut call = Call::read(name, json!({ "job": "j" })).expect("read");
        call.permit(&till, &grants(&format!("{right}:counter"))).await.expect(name);
        call.permit(&till, &grants(&format!("{right}:bar"))).await.expect_err(name);
        let mut unknown = Call::read(name, json!({ "job": "k" })).expect("read");
        unknown.permit(&till, &grants(&format!("{right}:counter"))).await.expect_err("it could be any printer's");
    }
    let mut call = Call::read("printer.adopt", json!({ "job": "j", "printer": "bar" })).expect("read");
    call.permit(&till, &grants("print:bar")).await.expect_err("it is not taken from a printer of others");
    call.permit(&till, &grants("print:bar,counter")).await.expect("both");
}

#[tokio::test(start_paused = true)]
async fn money_that_goes_back_needs_the_right_to_refund_even_if_the_amount_is_left_out() {
    let (_dir, till) = till().await;
    let mut bottles = till.open_sale().await.expect("opens");
    let back = Line::pieces("Deposit", -4, Amount::eur(25), Vat::percent(19)).expect("fits");
    bottles.add(back).await.expect("added");
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Tea", 1, Amount::eur(3_80), Vat::percent(19)).expect("fits")).await.expect("added");
    let (pays, gives) = (grants("sell pay"), grants("sell refund"));
    for (name, more) in
        [("sale.pay-card", json!({ "terminal": "counter" })), ("sale.pay-account", json!({ "account": "4711" }))]
    {
        let call = |sale: &str| {
            let mut with = more.clone();
            with["sale"] = json!(sale);
            Call::read(name, with).expect("read")
        };
        call(bottles.id()).permit(&till, &pays).await.expect_err(name);
        call(bottles.id()).permit(&till, &gives).await.expect(name);
        call(sale.id()).permit(&till, &pays).await.expect(name);
    }
    for (amount, grants) in [("-1.00 EUR", &gives), ("3.80 EUR", &pays)] {
        let with = json!({ "sale": "s", "name": "Voucher", "amount": amount });
        Call::read("sale.pay-other", with).expect("read").permit(&till, grants).await.expect(amount);
    }
    let with = json!({ "sale": "s", "name": "Voucher", "amount": "-1.00 EUR" });
    Call::read("sale.pay-other", with).expect("read").permit(&till, &pays).await.expect_err("it is given back");

    // Between the check and the payment the sale becomes one that gives money back.
    let with = json!({ "sale": sale.id(), "terminal": "counter" });
    let mut call = Call::read("sale.pay-card", with).expect("read");
    call.permit(&till, &pays).await.expect("3.80 EUR to pay");
    let back = Line::pieces("Deposit", -40, Amount::eur(25), Vat::percent(19)).expect("fits");
    sale.add(back).await.expect("added");
    let error = call.run(till.clone()).await.expect_err("the sale was changed");
    assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{error}");
}

#[tokio::test(start_paused = true)]
async fn to_check_out_a_sale_that_gives_money_back_is_to_refund() {
    let (_dir, till) = till().await;
    let mut bottles = till.open_sale().await.expect("opens");
    bottles.add(Line::pieces("Deposit", -4, Amount::eur(25), Vat::percent(19)).expect("fits")).await.expect("added");
    let with = json!({ "sale": bottles.id(), "terminal": "counter", "printer": "bar" });
    let mut call = Call::read("sale.check-out", with).expect("read");
    call.permit(&till, &grants("sell print pay")).await.expect_err("it gives money back");
    call.permit(&till, &grants("sell print refund:counter")).await.expect("refunds");
}

#[tokio::test(start_paused = true)]
async fn to_print_what_may_open_the_drawer_is_to_open_it() {
    let (_dir, till) = till().await;
    let contents = [
        (Content::Receipt(Receipt::new().text("Tea")), false),
        (Content::Receipt(Receipt::new().text("Tea").drawer(DrawerPin::Two)), true),
        (Content::escpos(*b"\x1bp\0\x19\xfa"), true),
    ];
    for (content, opens) in contents {
        let content = serde_json::to_value(content).expect("JSON");
        for name in ["printer.print", "printer.submit"] {
            let mut call = Call::read(name, json!({ "printer": "bar", "content": content })).expect("read");
            assert_eq!(call.permit(&till, &grants("print:bar")).await.is_err(), opens, "{name} {content}");
            call.permit(&till, &grants("print:bar drawer:bar")).await.expect(name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn to_print_raw_bytes_again_is_to_open_the_drawer_too() {
    let (_dir, till) = till().await;
    let counter = till.printer("counter").expect("is there");
    counter.submit_content_as("raw", Content::escpos(*b"\x1bp\0\x19\xfa")).await.expect("queued");
    counter
        .submit_content_as("receipt", Content::Receipt(Receipt::new().drawer(DrawerPin::Two)))
        .await
        .expect("queued");
    for (name, to, drawer) in
        [("printer.reprint", Value::Null, "drawer:counter"), ("printer.adopt", "bar".into(), "drawer:bar")]
    {
        for job in ["raw", "receipt"] {
            let mut with = json!({ "job": job });
            if let Value::String(_) = to {
                with["printer"] = to.clone();
            }
            let mut call = Call::read(name, with).expect("read");
            let refused = call.permit(&till, &grants("print")).await.is_err();
            let opens = job == "raw" || name == "printer.adopt";
            assert_eq!(refused, opens, "{name} {job}: a copy opens no drawer, what was never on paper does");
            call.permit(&till, &grants(&format!("print {drawer}"))).await.expect(name);
        }
    }
}

#[test]
fn a_caller_from_outside_names_an_operator_and_no_other_station() {
    let read = |by: Value| Call::read("sale.park", json!({ "sale": "s", "name": "12", "by": by })).expect("read");
    let error = read(json!({ "station": "kiosk" })).as_station("handheld 7").expect_err("another station");
    assert_eq!(error.kind(), Kind::Permission);
    assert!(error.what().contains("`by.station`"), "{error}");
    let mut call = read(json!({ "operator": "anna" }));
    call.as_station("handheld 7").expect("its own");
    let origin = call.command.origin().expect("says who");
    assert_eq!((origin.station.as_deref(), origin.operator.as_deref()), (Some("handheld 7"), Some("anna")));
    read(Value::Null).as_station("handheld 7").expect("says nothing");
}
