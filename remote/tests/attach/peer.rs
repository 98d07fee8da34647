//! A handheld written by hand from the documentation of the messages.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tresen::payment::Request;
use tresen::testing::Counter;
use tresen::{Amount, Payment, Terminal, Tresen};
use tresen_remote::attach::{Attachment, Hub};

use super::described::Dialogue;
use super::world::principal;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// One connection of a handheld that speaks JSON and shares no code with ours.
pub(crate) struct Peer {
    pub(crate) attachment: Attachment,
    messages: mpsc::Receiver<String>,
    dialogue: Dialogue,
}

impl Peer {
    pub(crate) fn connect(hub: &Arc<Hub>, name: &str, rights: &str) -> Self {
        let (out, messages) = mpsc::channel(64);
        Self { attachment: hub.connect(principal(name, rights), out), messages, dialogue: Dialogue::default() }
    }

    pub(crate) fn says(&self, message: Value) -> tresen::Result<()> {
        self.attachment.take(serde_json::from_str(&message.to_string()).expect("is a message"))
    }

    pub(crate) async fn hears(&mut self) -> Value {
        let text = timeout(10 * MINUTE, self.messages.recv()).await.expect("something comes").expect("is open");
        let message = serde_json::from_str(&text).expect("is JSON");
        self.dialogue.till_says(&message);
        message
    }

    /// The next call other than a request for the status, which is answered.
    pub(crate) async fn asked(&mut self) -> (u64, String, Value) {
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

    pub(crate) fn answers(&self, id: u64, reply: Value) {
        self.says(json!({"answer": {"id": id, "reply": reply}})).expect("is right");
    }
}

pub(crate) fn belt() -> Value {
    let known = ["cutter", "drawer", "status", "process_id", "urgent_drawer", "qr", "barcodes"];
    let mut capabilities: Value =
        known.iter().map(|key| ((*key).to_owned(), json!("unknown"))).collect::<serde_json::Map<_, _>>().into();
    capabilities["width"] = json!(384);
    capabilities["columns"] = json!(32);
    json!({"class": "printer", "name": "belt", "capabilities": capabilities})
}

pub(crate) fn terminal(journal: &str) -> Value {
    let capabilities = json!({"operations": {"pay": "yes"}, "abort": "yes"});
    json!({"class": "terminal", "name": "terminal", "capabilities": capabilities, "journal": journal})
}

pub(crate) fn offer(run: &str, devices: &[Value]) -> Value {
    json!({"offer": {"run": run, "devices": devices}})
}

pub(crate) struct Shop {
    pub(crate) till: Tresen,
    pub(crate) hub: Arc<Hub>,
    _folder: tempfile::TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with("").await
    }

    /// With this configuration.
    pub(crate) async fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let till = Counter::parse(text, folder.path()).expect("right").open().await.expect("opens");
        Self { hub: Hub::new(&till), till, _folder: folder }
    }

    /// A handheld whose devices are attached.
    pub(crate) async fn peer(&self, devices: &[Value]) -> Peer {
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

    pub(crate) async fn terminal(&self) -> Terminal {
        let terminal = self.till.terminal("terminal.7").expect("attached");
        let ready = timeout(MINUTE, terminal.phase().wait_for(|phase| phase.is_ready())).await.is_ok();
        assert!(ready);
        terminal
    }
}

pub(crate) fn pay(terminal: &Terminal, key: &str) -> JoinHandle<tresen::Result<Payment>> {
    let (terminal, request) = (terminal.clone(), Request::new(key, Amount::eur(12_50)));
    tokio::spawn(async move { terminal.pay_as(request, watch::channel(false).1).await })
}

pub(crate) fn charged(key: &str, minor: i64) -> Value {
    let charge = tresen::payment::Charge::new(tresen::payment::IntentId(key.into()), Amount::eur(minor));
    json!({"payment": {"charged": charge}})
}
