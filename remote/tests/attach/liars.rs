//! A handheld written by hand, which is also one that lies.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tresen::{Amount, Class, DeviceId, Kind, Payment, Print, Receipt};
use tresen_remote::attach::TEXT;

use super::peer::{MINUTE, Peer, Shop, belt, charged, offer, pay, terminal};

#[tokio::test(start_paused = true)]
async fn long_texts_are_cut_before_they_are_events() {
    let shop = Shop::open().await;
    let mut peer = shop.peer(&[belt(), terminal("J")]).await;
    let _terminal = shop.terminal().await;
    let mut events = shop.till.events();
    let long = "x".repeat(1 << 20);
    let device = json!({"class": "terminal", "name": "terminal"});
    peer.says(json!({"notice": {"device": device, "event": {"notice": long}}})).expect("is taken");
    let printer = shop.till.printer("belt.7").expect("attached");
    let kicking = tokio::spawn(async move { printer.kick_drawer(Default::default()).await });
    let (id, call, _) = peer.asked().await;
    assert_eq!(call, "kick-drawer");
    let error = json!({"kind": "io", "effect": "none", "retry": "now", "what": long, "hint": long});
    peer.says(json!({"answer": {"id": id, "error": error}})).expect("is taken");
    let error = kicking.await.expect("ends").expect_err("failed");
    assert!((TEXT..3 * TEXT).contains(&format!("{error:#}").len()), "{}", format!("{error:#}").len());
    peer.says(json!({"gone": {"device": device, "why": long}})).expect("is taken");
    let mut told = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(1), events.next()).await {
        told.push(serde_json::to_string(&event).expect("JSON"));
    }
    assert!(told.iter().any(|event| event.contains("xxx")), "{told:?}");
    assert!(told.iter().all(|event| event.len() < 3 * TEXT), "{:?}", told.iter().map(String::len).max());
}

#[tokio::test(start_paused = true)]
async fn a_handheld_written_by_hand_prints_scans_and_pays() {
    let shop = Shop::open().await;
    let scanner = json!({"class": "scanner", "name": "ring", "capabilities":
        {"enable": "no", "beep": "no", "trigger": "no", "symbology": "yes"}});
    let mut peer = shop.peer(&[belt(), terminal("J"), scanner]).await;
    let printer = shop.till.printer("belt.7").expect("attached");
    let print = tokio::spawn(async move { printer.print_as("job-1", &Receipt::new().text("Flat white")).await });
    let (id, call, with) = peer.asked().await;
    assert_eq!((call.as_str(), with["job"]["id"].as_str()), ("print", Some("job-1")), "{with}");
    assert!(with["key"].is_string());
    peer.answers(id, json!("accepted"));
    assert!(matches!(print.await.expect("ends"), Ok(Print::Accepted { .. })));

    let taker = shop.till.scanner("ring.7").expect("attached");
    let scan = json!({"bytes": b"4006381333931", "text": "4006381333931", "symbology": "ean13", "aim": null,
        "device": "ring", "at": "2026-01-02T08:00:00Z"});
    let symbology = serde_json::to_value(tresen_hal::barcode::Symbology::Ean13).expect("a name");
    let mut scan = scan;
    scan["symbology"] = symbology;
    let device = json!({"class": "scanner", "name": "ring"});
    for _ in 0..2 {
        peer.says(json!({"notice": {"device": device, "event": {"scan": {"number": 1, "scan": scan}}}}))
            .expect("right");
    }
    assert_eq!(taker.next().await.expect("the caller's").text, "4006381333931");
    assert_eq!(peer.hears().await, json!({"taken": {"device": device, "number": 1}}));
    assert!(timeout(MINUTE, taker.next()).await.is_err(), "one number is one scan");

    let terminal = shop.terminal().await;
    let paying = pay(&terminal, "sale-1");
    let (id, call, with) = peer.asked().await;
    assert_eq!(
        (call.as_str(), &with),
        (
            "transact",
            &json!({"operation": "pay", "key": "sale-1",
        "amount": serde_json::to_value(Amount::eur(12_50)).expect("an amount")})
        )
    );
    peer.answers(id, charged("sale-1", 12_50));
    assert!(matches!(paying.await.expect("ends"), Ok(Payment::Charged(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_leaves_the_payment_open() {
    let lies = [
        ("another payment", charged("sale-2", 12_50)),
        ("less", charged("sale-1", 12_49)),
        ("more", charged("sale-1", 99_00)),
        ("another outcome", json!({"done": []})),
        ("another type", json!(17)),
        ("nothing", Value::Null),
    ];
    for (what, lie) in lies {
        let shop = Shop::open().await;
        let mut peer = shop.peer(&[terminal("J")]).await;
        let terminal = shop.terminal().await;
        let paying = pay(&terminal, "sale-1");
        let (id, _, _) = peer.asked().await;
        // Also twice, and to what was not asked.
        peer.answers(id + 1, charged("sale-1", 12_50));
        peer.answers(id, lie);
        peer.answers(id, charged("sale-1", 12_50));
        let answering = async {
            loop {
                let (id, call, _) = peer.asked().await;
                assert_eq!(call, "find", "{what}: nothing is sent twice");
                // Over the connection on which it was sent, this contradicts itself.
                peer.answers(id, json!("never"));
            }
        };
        let ended = tokio::select! {
            biased;
            ended = paying => ended.expect("ends").expect("was begun"),
            _ = answering => unreachable!("it goes on"),
        };
        let Payment::Unknown(_) = ended else { panic!("{what}: {ended:?}") };
        let open = shop.till.open_payments("terminal.7").await.expect("readable");
        assert_eq!(open.len(), 1, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_delivered_is_not_charged_and_another_journal_proves_nothing() {
    for (journal, settles) in [("J", true), ("another", false)] {
        let shop = Shop::open().await;
        let mut peer = shop.peer(&[terminal("J")]).await;
        let paying = pay(&shop.terminal().await, "sale-1");
        peer.asked().await;
        drop(peer);
        sleep(Duration::from_secs(2)).await;
        let mut peer = shop.peer(&[terminal(journal)]).await;
        let answering = async {
            loop {
                let (id, call, with) = peer.asked().await;
                assert_eq!((call.as_str(), with), ("find", json!({"key": "sale-1"})));
                peer.answers(id, json!("never"));
            }
        };
        let ended = tokio::select! {
            biased;
            ended = paying => ended.expect("ends").expect("was begun"),
            _ = answering => unreachable!("it goes on"),
        };
        assert_eq!(matches!(ended, Payment::NotCharged(_)), settles, "{journal}: {ended:?}");
        assert_eq!(matches!(ended, Payment::Unknown(_)), !settles, "{journal}: {ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handheld_that_never_answers_holds_up_nobody_for_ever() {
    let shop = Shop::open().await;
    let peer = shop.peer(&[terminal("J")]).await;
    let terminal = shop.till.terminal("terminal.7").expect("attached");
    let refused = timeout(5 * MINUTE, terminal.status()).await.expect("ends").expect_err("nobody answers");
    assert!(matches!(refused.kind(), Kind::Timeout | Kind::Closed), "{refused}");
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_print_answer_is_in_doubt() {
    for lie in [json!(17), json!({"printed": "yes"}), Value::Null] {
        let shop = Shop::open().await;
        let mut peer = shop.peer(&[belt()]).await;
        let printer = shop.till.printer("belt.7").expect("attached");
        let print = tokio::spawn(async move { printer.print_as("job-1", &Receipt::new().text("a")).await });
        let (id, _, _) = peer.asked().await;
        peer.answers(id, lie.clone());
        let ended = print.await.expect("ends").expect("stored");
        assert!(matches!(ended, Print::Unknown { .. }), "{lie}: {ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_offer_is_refused_and_names_belong_to_their_owner() {
    let shop = Shop::open().await;
    let _owner = shop.peer(&[belt()]).await;
    // Another handheld whose station has the same last word.
    let mut other = Peer::connect(&shop.hub, "tablet 7", "attach");
    other.says(offer("run 9", &[belt()])).expect("is right");
    let told = other.hears().await;
    assert_eq!(told["attached"]["devices"][0]["refused"]["kind"], "config", "{told}");
    let many: Vec<_> = (0..17)
        .map(|n| {
            let mut belt = belt();
            belt["name"] = json!(format!("belt {n}"));
            belt
        })
        .collect();
    for (devices, run) in [(many, "run 9"), (vec![belt(), belt()], "run 9"), (vec![belt()], "")] {
        assert_eq!(other.says(offer(run, &devices)).expect_err("is wrong").kind(), Kind::Input);
    }
    let nobody = Peer::connect(&shop.hub, "guest", "watch print");
    assert_eq!(nobody.says(offer("run 1", &[belt()])).expect_err("lacks the right").kind(), Kind::Permission);
    // A right for some names covers those.
    let mut some = Peer::connect(&shop.hub, "belt 8", "attach:belt.8");
    let mut another = belt();
    another["name"] = json!("kitchen");
    some.says(offer("run 1", &[belt(), another])).expect("is right");
    let told = some.hears().await;
    let devices = told["attached"]["devices"].as_array().expect("a list");
    assert_eq!((&devices[0]["as"], &devices[1]["refused"]["kind"]), (&json!("belt.8"), &json!("permission")), "{told}");
    assert!(shop.till.phase(&DeviceId::new(Class::Printer, "kitchen.8")).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_handheld_is_lost_is_asked_about_at_the_same_run_and_else_in_doubt() {
    for (back, printed) in [(Some("run 1"), true), (Some("run 2"), false), (None, false)] {
        let shop = Shop::open().await;
        let mut peer = shop.peer(&[belt()]).await;
        let printer = shop.till.printer("belt.7").expect("attached");
        let print = tokio::spawn(async move { printer.print_as("job-1", &Receipt::new().text("a")).await });
        let (_, call, first) = peer.asked().await;
        assert_eq!(call, "print");
        drop(peer);
        sleep(Duration::from_secs(10)).await;
        let mut peer = Peer::connect(&shop.hub, "handheld 7", "attach");
        if let Some(run) = back {
            peer.says(offer(run, &[belt()])).expect("is right");
        }
        if printed {
            let (id, call, again) = peer.asked().await;
            assert_eq!((call.as_str(), &again), ("print", &first), "the same attempt, under the same key");
            peer.answers(id, json!("accepted"));
        }
        let ended = print.await.expect("ends").expect("stored");
        assert_eq!(matches!(ended, Print::Accepted { .. }), printed, "{back:?}: {ended:?}");
        assert_eq!(matches!(ended, Print::Unknown { .. }), !printed, "{back:?}: {ended:?}");
        // A person decides: nothing is asked by itself.
        let asked = timeout(MINUTE, peer.asked()).await;
        assert!(asked.is_err(), "{back:?}: {asked:?}");
    }
}
