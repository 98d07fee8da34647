//! A handheld written by hand from the documentation of the messages, which is also one that lies.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tresen::payment::Request;
use tresen::testing::Counter;
use tresen::{Amount, Class, Config, DeviceId, Kind, Payment, Print, Receipt, Terminal, Tresen};
use tresen_remote::attach::{Attachment, Hub};

use super::world::principal;

const MINUTE: Duration = Duration::from_secs(60);

/// One connection of a handheld that speaks JSON and shares no code with ours.
struct Peer {
    attachment: Attachment,
    messages: mpsc::Receiver<String>,
}

impl Peer {
    fn connect(hub: &Arc<Hub>, name: &str, rights: &str) -> Self {
        let (out, messages) = mpsc::channel(64);
        Self { attachment: hub.connect(principal(name, rights), out), messages }
    }

    fn says(&self, message: Value) -> tresen::Result<()> {
        self.attachment.take(serde_json::from_str(&message.to_string()).expect("is a message"))
    }

    async fn hears(&mut self) -> Value {
        let text = timeout(10 * MINUTE, self.messages.recv()).await.expect("something comes").expect("is open");
        serde_json::from_str(&text).expect("is JSON")
    }

    /// The next call other than a request for the status, which is answered.
    async fn asked(&mut self) -> (u64, String, Value) {
        loop {
            let message = self.hears().await;
            let Some(ask) = message.get("ask") else { continue };
            let (id, call) = (ask["id"].as_u64().expect("a number"), ask["call"].as_str().expect("a name").to_owned());
            if call == "status" {
                let status =
                    json!({"online": "yes", "cover_open": "no", "paper": "ok", "drawer_pin_high": "no", "error": "no"});
                self.says(json!({"answer": {"id": id, "reply": status}})).expect("is right");
                continue;
            }
            return (id, call, ask["with"].clone());
        }
    }

    fn answers(&self, id: u64, reply: Value) {
        self.says(json!({"answer": {"id": id, "reply": reply}})).expect("is right");
    }
}

fn belt() -> Value {
    let known = ["cutter", "drawer", "status", "process_id", "urgent_drawer", "qr", "barcodes"];
    let mut capabilities: Value =
        known.iter().map(|key| ((*key).to_owned(), json!("unknown"))).collect::<serde_json::Map<_, _>>().into();
    capabilities["width"] = json!(384);
    capabilities["columns"] = json!(32);
    json!({"class": "printer", "name": "belt", "capabilities": capabilities})
}

fn terminal(journal: &str) -> Value {
    let capabilities = json!({"operations": {"pay": "yes"}, "abort": "yes"});
    json!({"class": "terminal", "name": "terminal", "capabilities": capabilities, "journal": journal})
}

fn offer(run: &str, devices: &[Value]) -> Value {
    json!({"offer": {"run": run, "devices": devices}})
}

struct Shop {
    till: Tresen,
    hub: Arc<Hub>,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let till = Counter::of(Config::default(), folder.path()).expect("right").open().await.expect("opens");
        Self { hub: Hub::new(&till), till, _folder: folder }
    }

    /// A handheld whose devices are attached.
    async fn peer(&self, devices: &[Value]) -> Peer {
        let mut peer = Peer::connect(&self.hub, "handheld 7", "attach");
        peer.says(offer("run 1", devices)).expect("is right");
        loop {
            let told = peer.hears().await;
            if let Some(attached) = told.get("attached") {
                let attached = attached["devices"].as_array().expect("a list");
                assert!(attached.iter().all(|device| device["as"].is_string()), "{attached:?}");
                return peer;
            }
        }
    }

    async fn terminal(&self) -> Terminal {
        let terminal = self.till.terminal("terminal.7").expect("attached");
        let ready = timeout(MINUTE, terminal.phase().wait_for(|phase| phase.is_ready())).await.is_ok();
        assert!(ready);
        terminal
    }
}

fn pay(terminal: &Terminal, key: &str) -> JoinHandle<tresen::Result<Payment>> {
    let (terminal, request) = (terminal.clone(), Request::new(key, Amount::eur(12_50)));
    tokio::spawn(async move { terminal.pay_as(request, watch::channel(false).1).await })
}

fn charged(key: &str, minor: i64) -> Value {
    let charge = tresen::payment::Charge::new(tresen::payment::IntentId(key.into()), Amount::eur(minor));
    json!({"payment": {"charged": charge}})
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
