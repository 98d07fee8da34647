//! A day at a counter over JSON: every request, reply, error and event fits the schema.

use jsonschema::Validator;
use serde_json::{Value, json};
use tresen::hal::barcode::Symbology;
use tresen::payment::zvt::sim::Misbehaviour;
use tresen::testing::Counter;
use tresen::{Tresen, api};

const TILL: &str = "
    [printers.receipt]
    address = 'escpos+tcp://10.0.0.20'
    [printers.kitchen]
    address = 'escpos+usb://04b8:0e15'
    [terminals.counter]
    address = 'zvt+tcp://10.0.0.30'
    password = '000000'
    [scanners.hand]
    address = 'scanner+serial:///dev/ttyACM0'
";

/// A caller that checks what it sends and hears.
struct Caller {
    till: Tresen,
    schema: Value,
    error: Validator,
    asked: Vec<String>,
}

impl Caller {
    fn new(till: Tresen) -> Self {
        let schema = api::schema();
        Self { till, error: part(&schema, &schema["error"]), schema, asked: Vec::new() }
    }

    /// The reply to a command.
    async fn ask(&mut self, name: &str, with: Value) -> Value {
        let reply = self.try_ask(name, with.clone()).await;
        reply.unwrap_or_else(|error| panic!("{name} {with}: {error}"))
    }

    async fn try_ask(&mut self, name: &str, with: Value) -> Result<Value, Value> {
        let command = &self.schema["commands"][name];
        fits(&part(&self.schema, &command["with"]), name, &with);
        self.asked.push(name.to_owned());
        match self.till.ask_json(name, with).await {
            Ok(reply) => {
                fits(&part(&self.schema, &command["reply"]), name, &reply);
                Ok(reply)
            }
            Err(error) => {
                let error = serde_json::to_value(&error).expect("JSON");
                fits(&self.error, name, &error);
                Err(error)
            }
        }
    }
}

fn part(schema: &Value, part: &Value) -> Validator {
    let mut whole = part.clone();
    whole.as_object_mut().expect("an object").insert("$defs".into(), schema["$defs"].clone());
    jsonschema::draft202012::new(&whole).expect("a schema")
}

#[track_caller]
fn fits(validator: &Validator, what: &str, value: &Value) {
    let errors: Vec<_> = validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {}\n{value:#}", errors.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_day_at_a_counter_fits_the_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let counter = Counter::parse(TILL, folder.path()).expect("right");
    let till = counter.open().await.expect("opens");
    let (_, mut events) = till.follow();
    let mut ask = Caller::new(till.on_behalf_of("anna"));
    for device in ["receipt", "kitchen"] {
        let mut phase = till.printer(device).expect("there").phase();
        phase.wait_for(|phase| phase.is_ready()).await.expect("open");
    }
    for name in ["till.info", "till.snapshot", "till.capabilities", "till.health", "lease.list", "till.sync"] {
        ask.ask(name, json!({})).await;
    }
    ask.ask("printer.capabilities", json!({ "printer": "receipt" })).await;
    ask.ask("printer.status", json!({ "printer": "receipt" })).await;
    ask.ask("terminal.capabilities", json!({ "terminal": "counter" })).await;
    ask.ask("terminal.status", json!({ "terminal": "counter" })).await;

    counter.scanner("hand").expect("there").with(|hand| hand.scan("4006381333931", Symbology::Ean13));
    let scan = ask.ask("scanner.next", json!({ "scanner": "hand", "within_ms": 5000 })).await;
    assert_eq!(scan["text"], "4006381333931");

    let sale = ask.ask("sale.open", json!({ "by": { "operator": "anna" } })).await;
    let id = sale["ticket"]["id"].clone();
    let target = json!({ "target": { "sale": id } });
    ask.ask("sale.add-tip", json!({ "sale": id, "tip": { "amount": "1.00 EUR" } })).await;
    let line = json!({ "name": "Flat white", "quantity": { "pieces": 2 }, "unit_price": "3.80 EUR",
        "vat": 1900, "total": "7.60 EUR" });
    let added = ask.ask("sale.add", json!({ "sale": id, "line": line })).await;
    assert_eq!(added["due"], "8.60 EUR");
    ask.ask("lease.acquire", target.clone()).await;
    ask.ask("lease.release", target).await;
    // ZVT, result code 6C: aborted by the customer or declined.
    counter.terminal("counter").expect("there").with(|device| device.misbehave(Misbehaviour::Decline(0x6c)));
    let declined = ask.ask("sale.pay-card", json!({ "sale": id, "terminal": "counter" })).await;
    assert!(declined["payment"]["not-charged"].is_object(), "{declined:#}");
    let picture = json!({ "v": 1, "receipt": { "items": [{ "type": "text", "text": "Tee" }, { "type": "cut" }] } });
    let shown = ask.ask("printer.preview", json!({ "printer": "receipt", "content": picture })).await;
    assert_eq!(shown["text"].as_str().map(str::trim), Some("Tee"));
    let sold = json!({ "sale": id, "terminal": "counter", "printer": "receipt" });
    let sold = ask.ask("sale.check-out", sold).await;
    assert_eq!(sold["sale"]["state"], "closed", "{sold:#}");

    let job = ask.ask("till.jobs", json!({})).await["rows"][0]["id"].clone();
    let paper = ask.ask("printer.picture", json!({ "job": job })).await;
    assert!(paper["text"].as_str().is_some_and(|text| text.contains("Flat white")), "{paper}");
    ask.ask("printer.find", json!({ "job": job })).await;
    ask.ask("printer.outcome", json!({ "job": job })).await;

    let refund = ask.ask("sale.open-refund", json!({ "original": id })).await;
    let refund = refund["ticket"]["id"].clone();
    ask.ask("sale.pay-out", json!({ "sale": refund })).await;
    ask.ask("sale.close", json!({ "sale": refund, "printer": "kitchen" })).await;
    let parked = ask.ask("sale.open", json!({})).await["ticket"]["id"].clone();
    ask.ask("sale.park", json!({ "sale": parked, "name": "table 12" })).await;
    ask.ask("sale.list-parked", json!({})).await;
    ask.ask("sale.resume-parked", json!({ "sale": parked })).await;
    ask.ask("sale.void", json!({ "sale": parked, "why": "left" })).await;
    for name in ["sale.list-open", "sale.list-closed", "till.payments", "till.journal", "till.open-jobs"] {
        ask.ask(name, json!({})).await;
    }
    ask.ask("terminal.totals", json!({ "terminal": "counter" })).await;
    ask.ask("terminal.end-of-day", json!({ "terminal": "counter" })).await;
    ask.ask("till.export", json!({ "what": "lines" })).await;

    // Errors of several kinds.
    for (name, with, kind) in [
        ("sale.find", json!({ "sale": "none" }), None),
        ("sale.add-tip", json!({ "sale": "none", "tip": { "amount": "1.00 EUR" } }), Some("input")),
        ("printer.reprint", json!({ "job": "none" }), Some("input")),
        ("terminal.abort", json!({ "terminal": "bar", "key": "a" }), Some("config")),
    ] {
        let answer = ask.try_ask(name, with).await;
        assert_eq!(
            answer.as_ref().err().map(|error| error["kind"].as_str().expect("a kind")),
            kind,
            "{name}: {answer:?}"
        );
    }

    let schema = api::schema();
    let event = part(&schema, &schema["event"]);
    let mut kinds = std::collections::BTreeSet::new();
    while let Ok(Some(next)) = tokio::time::timeout(std::time::Duration::from_secs(1), events.next()).await {
        let next = serde_json::to_value(&next).expect("JSON");
        fits(&event, "event", &next);
        let kind = &next["kind"];
        let name = kind.as_str().or_else(|| kind.as_object()?.keys().next().map(String::as_str));
        kinds.insert(name.expect("a name").to_owned());
    }
    for wanted in ["leased", "lease-ended", "payment", "printed", "scanned"] {
        assert!(kinds.contains(wanted), "{wanted} in {kinds:?}");
    }
    assert!(ask.asked.len() > 40, "{}", ask.asked.len());
}
