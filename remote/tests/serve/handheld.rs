//! A handheld written by hand, from the schema and `docs/remote.md`: JSON over the WebSocket, and no code shared with ours.
//! All that it sends and hears fits the schema.

use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tresen::printers::{DrawerPin, Paper};
use tresen::{EventKind, Print, Receipt};

use super::described::Dialogue;
use super::frames::Peer;
use super::shop::{Shop, principal};

struct Handheld {
    peer: Peer<DuplexStream>,
    dialogue: Dialogue,
    /// The calls that it got, but for `status`.
    asked: Vec<Value>,
    /// How the next print job ends.
    ends: Value,
}

impl Handheld {
    async fn connect(shop: &Shop) -> Self {
        shop.gate.admit("seven", principal("handheld 7", "attach"));
        let peer = Peer::upgrade(shop.stream(), "").await;
        let mut handheld = Self { peer, dialogue: Dialogue::default(), asked: Vec::new(), ends: Value::Null };
        handheld.says(json!({ "hello": { "protocol": 1, "token": "seven" } })).await;
        let welcome = handheld.hears().await;
        assert_eq!(welcome["you"], "handheld 7", "{welcome}");
        handheld
    }

    async fn says(&mut self, message: Value) {
        self.dialogue.client_says(&message);
        self.peer.text(&message.to_string()).await;
    }

    async fn hears(&mut self) -> Value {
        let message = self.peer.json().await;
        self.dialogue.till_says(&message);
        message
    }

    /// Hears until a message of this kind comes, and answers calls meanwhile.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hears().await;
            if let Some(found) = message.get(kind) {
                return found.clone();
            }
            self.answers(&message).await;
        }
    }

    /// Answers calls as long as `work` runs.
    async fn serves<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let message = tokio::select! {
                biased;
                done = &mut work => return done,
                message = self.hears() => message,
            };
            self.answers(&message).await;
        }
    }

    async fn answers(&mut self, message: &Value) {
        let Some(ask) = message.get("ask") else { return };
        let reply = match ask["call"].as_str() {
            Some("status") => status("ok"),
            Some("print") => self.ends.clone(),
            _ => Value::Null,
        };
        if ask["call"] != "status" {
            self.asked.push(ask.clone());
        }
        self.says(json!({ "answer": { "id": ask["id"], "reply": reply } })).await;
    }
}

fn status(paper: &str) -> Value {
    json!({ "online": "yes", "cover_open": "no", "paper": paper, "drawer_pin_high": "unknown", "error": "no" })
}

fn device(class: &str, name: &str) -> Value {
    json!({ "class": class, "name": name })
}

fn offer() -> Value {
    let printer = json!({ "width": 384, "columns": 32, "cutter": "yes", "drawer": "yes", "status": "yes",
        "process_id": "yes", "urgent_drawer": "no", "qr": "no", "barcodes": "unknown" });
    let scanner = json!({ "enable": "no", "beep": "no", "trigger": "no", "symbology": "yes" });
    json!({ "offer": { "run": "run 1", "devices": [
        { "class": "printer", "name": "belt", "capabilities": printer },
        { "class": "scanner", "name": "ring", "capabilities": scanner },
    ] } })
}

#[tokio::test(start_paused = true)]
async fn a_printer_of_a_handheld_that_shares_no_code_prints() {
    let shop = Shop::open().await;
    let mut handheld = Handheld::connect(&shop).await;
    handheld.says(offer()).await;
    let attached = handheld.until("attached").await;
    let expected = json!({ "devices": [
        { "device": device("printer", "belt"), "as": "belt.7" },
        { "device": device("scanner", "ring"), "as": "ring.7" },
    ] });
    assert_eq!(attached, expected);

    let printer = shop.till.printer("belt.7").expect("attached");
    handheld.ends = json!({ "printed": { "process-id": "17" } });
    let printed = handheld.serves(printer.print_as("job-1", &Receipt::new().text("Flat white"))).await;
    assert!(matches!(printed, Ok(Print::Printed { .. })), "{printed:?}");
    handheld.ends = json!("accepted");
    let printed = handheld.serves(printer.print_as("job-2", &Receipt::new().text("Tee"))).await;
    assert!(matches!(printed, Ok(Print::Accepted { .. })), "{printed:?}");
    handheld.serves(printer.kick_drawer(DrawerPin::Five)).await.expect("opened");
    let calls: Vec<_> = handheld.asked.iter().map(|ask| (&ask["device"], ask["call"].as_str())).collect();
    let belt = device("printer", "belt");
    assert_eq!(calls, [(&belt, Some("print")), (&belt, Some("print")), (&belt, Some("kick-drawer"))]);
    let with: Vec<_> = handheld.asked.iter().map(|ask| &ask["with"]).collect();
    assert_eq!(with[0]["job"]["content"]["receipt"]["items"][0]["text"], "Flat white", "{}", with[0]);
    assert!(with[0]["key"].is_string() && with[0]["key"] != with[1]["key"], "each attempt has a key of its own");
    assert_eq!(*with[2], json!({ "pin": "five" }));
}

#[tokio::test(start_paused = true)]
async fn what_its_devices_tell_reaches_the_till() {
    let shop = Shop::open().await;
    let mut handheld = Handheld::connect(&shop).await;
    handheld.says(offer()).await;
    handheld.until("attached").await;
    let scanner = shop.till.scanner("ring.7").expect("attached");
    handheld.serves(scanner.phase().wait_for(|phase| phase.is_ready())).await.expect("lives");
    let printer = shop.till.printer("belt.7").expect("attached");
    handheld.serves(printer.phase().wait_for(|phase| phase.is_ready())).await.expect("lives");

    let code = "4006381333931";
    let scan = json!({ "bytes": code.as_bytes(), "text": code, "symbology": "ean-13", "device": "ring",
        "aim": { "id": "]E0", "source": "reported" }, "at": "2026-01-02T08:00:00Z" });
    let event = json!({ "scan": { "number": 1, "scan": scan } });
    handheld.says(json!({ "notice": { "device": device("scanner", "ring"), "event": event } })).await;
    assert_eq!(handheld.until("taken").await, json!({ "device": device("scanner", "ring"), "number": 1 }));
    assert_eq!(scanner.next().await.expect("the caller's").text, code);

    let (_, mut events) = shop.till.follow();
    let told = json!({ "device": device("printer", "belt"), "event": { "status": status("out") } });
    handheld.says(json!({ "notice": told })).await;
    let out = async {
        loop {
            match events.next().await.expect("open").kind {
                EventKind::Printer(status) if status.paper == Paper::Out => return,
                _ => {}
            }
        }
    };
    handheld.serves(out).await;
    handheld.says(json!({ "gone": { "device": device("printer", "belt"), "why": "unplugged" } })).await;
    handheld.serves(printer.phase().wait_for(|phase| phase.is_away())).await.expect("lives");
}
