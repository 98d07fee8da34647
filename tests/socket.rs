//! The socket of a running till, with clients that are written here by hand: bytes on a Unix socket.
#![cfg(unix)]

mod common;

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Counter, event, until, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tresen::api::{CLIENTS, Client, lease, printer, sale, socket, terminal, till};
use tresen::lease::Turn;
use tresen::payment::zvt::sim::{OnAbort, Profile};
use tresen::{Amount, EventKind, Kind, Payment, Printers, Tresen};

/// A program beside the till.
struct Wire {
    lines: Lines<BufReader<OwnedReadHalf>>,
    to: OwnedWriteHalf,
}

impl Wire {
    async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.expect("it listens");
        let (from, to) = stream.into_split();
        Self { lines: BufReader::new(from).lines(), to }
    }

    async fn greeted(socket: &Path) -> Self {
        let mut wire = Self::connect(socket).await;
        let greeting = wire.line().await;
        assert_eq!(greeting["protocol"], 1, "{greeting}");
        wire
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.to.write_all(bytes).await.expect("it listens");
    }

    async fn line(&mut self) -> Value {
        self.next().await.expect("a line")
    }

    async fn next(&mut self) -> Option<Value> {
        let line = within("a line", self.lines.next_line()).await.expect("readable")?;
        Some(serde_json::from_str(&line).expect("JSON"))
    }
}

fn socket_of(counter: &Counter) -> PathBuf {
    counter.dir.path().join("till.db.sock")
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_gone_with_the_till() {
    let mut counter = Counter::new();
    let _away = counter.away("printers.receipt", "escpos");
    let till = counter.open().await;
    let path = socket_of(&counter);
    assert_eq!(path, socket::path(&counter.db()));
    let file = path.symlink_metadata().expect("there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(file.uid(), counter.dir.path().metadata().expect("there").uid());
    assert!(!counter.dir.path().join("till.db.sock.new").exists(), "nothing is left of its making");
    let mut wire = Wire::greeted(&path).await;
    till.close(Duration::from_secs(5)).await.expect("closes");
    assert!(!path.exists());
    assert_eq!(wire.next().await, None, "its clients are let go");

    // One that is dropped instead.
    let till = counter.open().await;
    let mut wire = Wire::greeted(&path).await;
    drop(till);
    assert!(!path.exists());
    assert_eq!(wire.next().await, None);

    let mut config = counter.config();
    config.till.socket = false;
    let till = within("the database is free", Tresen::with(config)).await.expect("opens");
    assert!(!path.exists(), "turned off");
    drop(till);
}

#[tokio::test]
async fn two_requests_cross_and_a_payment_is_aborted_from_beside() {
    let mut counter = Counter::new();
    let customer = Profile { on_abort: OnAbort::Ends, pace: Duration::from_millis(500), ..Profile::default() };
    counter.terminal(customer).await;
    let till = counter.open_ready(&["counter"]).await;
    let mut wire = Wire::greeted(&socket_of(&counter)).await;
    wire.send(b"{\"id\":1,\"command\":\"terminal.pay\",\"with\":{\"terminal\":\"counter\",").await;
    wire.send(b"\"amount\":\"12.50 EUR\",\"key\":\"a\"},\"caller\":\"anna\"}\n").await;
    until("the payment runs", || till.devices()[0].busy_with.is_some()).await;
    assert_eq!(till.devices()[0].busy_with.as_deref(), Some("a payment of anna"));
    wire.send(b"{\"id\":2,\"command\":\"terminal.serving\",\"with\":{\"terminal\":\"counter\"}}\n").await;
    assert_eq!(wire.line().await, json!({ "id": 2, "reply": "a" }), "the payment is still running");
    // Another program stops it.
    let other = Client::connect(&socket_of(&counter)).await.expect("connects");
    let stop = |key: &str| terminal::Abort { terminal: "counter".into(), key: of(key) };
    assert!(!other.call(stop("b")).await.expect("asked"), "there is no such payment");
    assert!(other.call(stop("a")).await.expect("asked"));
    let answer = wire.line().await;
    assert_eq!(answer["id"], 1);
    let ended: Payment = serde_json::from_value(answer["reply"].clone()).expect("a payment");
    let stored = other.call(terminal::Find { key: of("a") }).await.expect("asked").expect("in the journal");
    assert!(matches!(ended, Payment::NotCharged(_)), "{ended:?}");
    assert_eq!(stored.outcome(), Some(ended));
    assert!(!other.call(stop("a")).await.expect("asked"), "it has ended");
}

/// Leases by name and key, over the socket and from within the till.
#[tokio::test]
async fn a_late_call_of_an_old_holder_is_refused_over_the_socket_too() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["counter"]).await;
    let path = socket_of(&counter);
    let mut anna = Wire::greeted(&path).await;
    let bo = Client::connect(&path).await.expect("connects").on_behalf_of("bo");
    let device = json!({ "device": { "class": "terminal", "name": "counter" } });
    let ask = |id: u64, command: &str, with: Value, leases: Value| {
        let request = json!({ "id": id, "command": command, "with": with, "caller": "anna", "leases": leases });
        format!("{request}\n").into_bytes()
    };
    let mut call = async |id: u64, command: &str, with: Value, leases: Value| {
        anna.send(&ask(id, command, with, leases)).await;
        let answer = anna.line().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    };
    let pay = |key: &str| json!({ "terminal": "counter", "amount": "1.00 EUR", "key": key });
    let leased = call(1, "lease.acquire", json!({ "target": device }), json!([])).await;
    let key = json!([{ "target": device, "token": leased["reply"]["token"] }]);
    assert_eq!(leased["reply"]["holder"], "anna");
    let paid = call(2, "terminal.pay", pay("a"), key.clone()).await;
    assert!(paid["reply"]["charged"].is_object(), "{paid}");
    let busy = bo.call(terminal::Pay { terminal: "counter".into(), amount: Amount::eur(1_00), key: None }).await;
    assert!(busy.expect_err("anna has it").to_string().contains("leased by `anna`"));
    let target: tresen::lease::Target = serde_json::from_value(device.clone()).expect("a target");
    let waiting = bo.call(lease::Queue { target: target.clone(), within: None }).await.expect("a place");
    assert!(matches!(&waiting, Turn::Waiting { place: 1, lease, .. } if lease.holder == "anna"), "{waiting:?}");
    // Bo waits for his turn in one request, and gets it as soon as anna lets go.
    let queued = bo.call(lease::Queue { target: target.clone(), within: Some(Duration::from_secs(30)) });
    let (turn, released) =
        tokio::join!(within("a turn", queued), call(3, "lease.release", json!({ "target": device }), key.clone()));
    let Turn::Granted(grant) = turn.expect("his turn") else { panic!("not his turn") };
    assert_eq!((grant.holder.as_str(), released["reply"].as_bool()), ("bo", Some(true)));
    let late = call(4, "terminal.pay", pay("late"), key.clone()).await;
    assert_eq!((&late["error"]["kind"], &late["error"]["effect"]), (&json!("cancelled"), &json!("none")), "{late}");
    let bo = bo.with_lease(grant.key);
    assert!(bo.call(lease::Release { target }).await.expect("his"));
    let late = call(5, "terminal.pay", pay("late"), key).await;
    assert_eq!(late["error"]["kind"], "cancelled", "nobody has it, but anna's lease has ended: {late}");
    assert_eq!(sim.with(|s| s.received(0x0601)), 1);
    assert_eq!(till.leases().await.expect("readable"), []);
}

fn of(key: &str) -> tresen::payment::IntentId {
    tresen::payment::IntentId(key.to_owned())
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_payment_abandons_the_answer_only() {
    let mut counter = Counter::new();
    let customer = Profile { pace: Duration::from_millis(100), ..Profile::default() };
    let sim = counter.terminal(customer).await;
    let till = counter.open_ready(&["counter"]).await;
    let mut wire = Wire::greeted(&socket_of(&counter)).await;
    let pay = "{\"id\":1,\"command\":\"terminal.pay\",\
               \"with\":{\"terminal\":\"counter\",\"amount\":\"12.50 EUR\",\"key\":\"a\"}}\n";
    wire.send(pay.as_bytes()).await;
    until("the payment runs", || till.devices()[0].busy_with.is_some()).await;
    drop(wire);
    until("it is paid", || sim.with(|s| s.ledger().stored().count() == 1)).await;
    // Who comes back asks for the same again.
    let mut wire = Wire::greeted(&socket_of(&counter)).await;
    wire.send(pay.as_bytes()).await;
    let answer = wire.line().await;
    let stored = till.store().payment(&of("a")).await.expect("readable").expect("in the journal");
    let ended: Payment = serde_json::from_value(answer["reply"].clone()).unwrap_or_else(|_| panic!("{answer}"));
    assert!(common::is_charged(&ended), "{ended:?}");
    assert_eq!(stored.outcome(), Some(ended));
    assert_eq!(sim.with(|s| s.received(0x0601)), 1, "it was asked for once");
}

#[tokio::test]
async fn a_sale_is_sold_over_the_socket_and_followed_without_a_gap() {
    let mut counter = Counter::new();
    let printer = counter.printer("receipt").await;
    counter.terminal(Profile::default()).await;
    let _till = counter.open_ready(&["receipt", "counter"]).await;
    let path = socket_of(&counter);
    let desk = Client::connect(&path).await.expect("connects").on_behalf_of("handheld 7");
    let mut follows = Wire::greeted(&path).await;
    follows.send(b"{\"id\":1,\"command\":\"follow\"}\n").await;
    let snapshot = follows.line().await;
    let mut seq = snapshot["reply"]["seq"].as_u64().expect("a number");
    assert_eq!(snapshot["reply"]["devices"].as_array().map(Vec::len), Some(2));

    let view = desk.call(sale::Open::default()).await.expect("opens");
    assert_eq!(view.origin.station.as_deref(), Some("handheld 7"));
    let id = view.ticket.id().to_owned();
    let vat = tresen::sale::Vat::percent(19);
    let line = tresen::sale::Line::pieces("Flat white", 2, Amount::eur(3_80), vat).expect("fits");
    let view =
        desk.call(sale::Add { sale: id.clone(), rev: Some(view.rev), by: None, line, key: None }).await.expect("added");
    assert_eq!(view.due, Amount::eur(7_60));
    let all = sale::CheckOut {
        sale: id.clone(),
        rev: Some(view.rev),
        by: None,
        terminal: "counter".into(),
        printer: "receipt".into(),
        drawer: None,
    };
    let out = within("checked out", desk.call(all)).await.expect("paid and closed");
    assert_eq!((out.sale.ticket.number(), out.sale.due), (Some(1), Amount::eur(0)));
    assert!(common::paper(&printer).contains("Flat white"));
    let found = desk.call(sale::ByNumber { number: 1, epoch: None }).await.expect("asked").expect("there");
    assert_eq!(found.ticket, out.sale.ticket);

    // Everything that happened, one after the other, until the paper.
    loop {
        let told = follows.line().await;
        seq += 1;
        assert_eq!(told["event"]["seq"], seq, "{told}");
        if told["event"]["kind"]["printed"]["job"] == format!("receipt-{id}") {
            break;
        }
    }
    let error = desk.call(printer::Cancel { job: "none".into() }).await.expect_err("there is none");
    assert_eq!((error.kind(), error.effect()), (Kind::Input, tresen::Effect::None));
}

#[tokio::test]
async fn an_error_crosses_the_socket_as_it_is() {
    let mut counter = Counter::new();
    let _away = counter.away("printers.receipt", "escpos");
    let till = counter.open().await;
    let mut phase = till.printer("receipt").expect("configured").phase();
    within("away", phase.wait_for(|phase| phase.is_away())).await.expect("open");
    let desk = Client::connect(&socket_of(&counter)).await.expect("connects");
    let told = desk.call(printer::Status { printer: "receipt".into() }).await.expect_err("it is away");
    let ours = till.printer("receipt").expect("configured").status().await.expect_err("it is away");
    assert_eq!(
        (told.kind(), told.effect(), told.retry(), told.device(), told.next_step()),
        (ours.kind(), ours.effect(), ours.retry(), ours.device(), ours.next_step())
    );
    let names = desk.call(till::Commands {}).await.expect("asked");
    assert!(names.iter().any(|name| name == "terminal.pay"));
}

#[tokio::test]
async fn garbage_and_floods_end_no_one_else() {
    let mut counter = Counter::new();
    let _away = counter.away("printers.receipt", "escpos");
    let _till = counter.open().await;
    let path = socket_of(&counter);
    // Somebody who writes without an end, and reads nothing of it.
    let mut flood = Wire::connect(&path).await;
    let flooding = tokio::spawn(async move { while flood.to.write_all(&[b'x'; 65536]).await.is_ok() {} });
    let mut wire = Wire::greeted(&path).await;
    wire.send(b"\x00\xff\x1b@\n{\"id\":4,\"command\":\"till.info\"}\n").await;
    let wrong = wire.line().await;
    assert_eq!((&wrong["id"], &wrong["error"]["kind"]), (&json!(null), &json!("input")));
    assert_eq!(wire.line().await["id"], 4);
    within("it is not listened to for ever", flooding).await.expect("ended");
    // As many as there may be, and one more.
    let mut clients = vec![wire];
    while clients.len() < CLIENTS {
        let mut client = Wire::connect(&path).await;
        // The one who wrote without an end may just be leaving.
        if client.line().await["protocol"] == 1 {
            clients.push(client);
        }
    }
    let mut more = Wire::connect(&path).await;
    assert_eq!(more.line().await["error"]["kind"], "busy");
    assert_eq!(more.next().await, None);
    let error = Client::connect(&path).await.expect_err("there is no place");
    assert_eq!(error.kind(), Kind::Busy);
    clients.pop();
    within("there is a place again", async { while Wire::connect(&path).await.line().await["protocol"] != 1 {} }).await;
}

#[tokio::test]
async fn a_file_in_the_way_leaves_the_till_without_a_socket() {
    let mut counter = Counter::new();
    let _away = counter.away("printers.receipt", "escpos");
    std::fs::write(socket_of(&counter), "mine").expect("written");
    let till = counter.open().await;
    let why = event(&mut till.events(), |_, kind| match kind {
        EventKind::SocketFailed { why } => Some(why),
        _ => None,
    })
    .await;
    assert!(why.contains("till.db.sock") && why.contains("in the way"), "{why}");
    till.open_jobs().await.expect("all else works");
    drop(till);
    assert_eq!(std::fs::read(socket_of(&counter)).expect("there"), b"mine");
}

/// Names the configuration's folder for the other program.
const OTHER: &str = "TRESEN_TEST_SOCKET";

/// This program, started again, with a till of its own.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_second_till_leaves_the_socket_and_the_next_one_replaces_that_of_a_dead_one() {
    if let Some(path) = std::env::var_os(OTHER) {
        let mut counter = Counter::new();
        let _away = counter.away("printers.receipt", "escpos");
        let mut config = counter.config();
        config.till.store = path.into();
        let _till = Tresen::with(config).await.expect("opens");
        std::future::pending::<()>().await;
    }
    let mut counter = Counter::new();
    let _away = counter.away("printers.receipt", "escpos");
    let path = socket_of(&counter);
    let name = "a_second_till_leaves_the_socket_and_the_next_one_replaces_that_of_a_dead_one";
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture"])
        .env(OTHER, counter.db())
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let other = Other(child);
    until("it listens", || path.exists()).await;
    let before = path.symlink_metadata().expect("there").ino();
    let error = Tresen::with(counter.config()).await.expect_err("it is open elsewhere");
    assert_eq!(error.kind(), Kind::Busy);
    let theirs = Client::connect(&path).await.expect("it still listens");
    let theirs = theirs.call(till::Info {}).await.expect("asked");
    // kill -9: its socket stays behind, and nobody listens there.
    drop(other);
    assert!(path.exists());
    let error = Client::connect(&path).await.expect_err("it is dead");
    assert_eq!((error.kind(), error.device()), (Kind::NotFound, path.to_str()), "{error}");
    let till = within("it is free", Tresen::with(counter.config())).await.expect("opens");
    assert_ne!(path.symlink_metadata().expect("there").ino(), before);
    let ours = Client::connect(&path).await.expect("it listens");
    let ours = ours.call(till::Info {}).await.expect("asked");
    assert_eq!((&ours.till, till.store().till()), (&theirs.till, theirs.till.as_str()), "the same database");
}

#[tokio::test]
async fn a_device_that_the_program_attached_is_asked_like_the_others() {
    let counter = Counter::new();
    let till = counter.open().await;
    let plan = till.drivers().plan::<Printers>(&"escpos+tcp://127.0.0.1:9".parse().expect("an address"));
    till.attach::<Printers>("belt", vec![plan.expect("a plan")]).await.expect("attached");
    let mut wire = Wire::greeted(&socket_of(&counter)).await;
    wire.send(
        b"{\"id\":1,\"command\":\"till.phase\",\"with\":{\"device\":{\"class\":\"printer\",\"name\":\"belt\"}}}\n",
    )
    .await;
    assert!(!wire.line().await["reply"].is_null());
    // A client that only stops to write still gets its answers.
    wire.send(b"{\"id\":2,\"command\":\"till.info\"}\n").await;
    wire.to.shutdown().await.expect("half closed");
    let mut rest = String::new();
    wire.lines.into_inner().read_to_string(&mut rest).await.expect("text");
    let answer: Value = serde_json::from_str(&rest).expect("one line, and then it ends");
    assert_eq!(answer["reply"]["till"], till.store().till());
}
