//! Pairing, as people do it at either end.

use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bluer::agent::{Agent, AgentHandle, ReqError};
use bluer::{AdapterEvent, DiscoveryFilter, DiscoveryTransport};

use super::{PRINTER, Radio, SECOND, TILL, TILLS_SECOND, hci, next};

impl Radio {
    /// Has the printer take part in pairing as one that has neither keys nor display, and agree each time.
    /// Without an agent BlueZ, which is the printer here, refuses.
    ///
    /// # Panics
    /// BlueZ refuses.
    pub async fn agree_to_pair(&self) -> Agreement {
        let asked: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let agree = |asked: &Arc<std::sync::Mutex<Vec<String>>>, adapter: String| -> ReqFuture {
            asked.lock().expect("no holder of this lock panics").push(adapter);
            Box::pin(async { Ok(()) })
        };
        let (authorizing, confirming) = (asked.clone(), asked.clone());
        let agent = Agent {
            request_default: true,
            request_authorization: Some(Box::new(move |request| agree(&authorizing, request.adapter))),
            request_confirmation: Some(Box::new(move |request| agree(&confirming, request.adapter))),
            ..Agent::default()
        };
        let agent = self.session().register_agent(agent).await.expect("an agent");
        // What the agent's abilities have made it, which are for all controllers: 3 is NoInputNoOutput.
        for printer in self.controllers.iter().filter(|name| [PRINTER, SECOND].contains(name)) {
            let index = printer.trim_start_matches("hci");
            let btmgmt = Command::new("btmgmt").args(["--index", index, "io-cap", "3"]).stdin(Stdio::piped()).output();
            let said = String::from_utf8_lossy(&btmgmt.expect("btmgmt, of BlueZ").stdout).into_owned();
            assert!(said.contains("success"), "btmgmt: {said}");
        }
        Agreement { asked, _agent: agent }
    }

    /// Pairs the till with the printer over Bluetooth classic, as a person does with `bluetoothctl`.
    ///
    /// # Panics
    /// The printer is not found, or refuses.
    pub async fn pair(&self) {
        self.pair_with(TILL, PRINTER).await;
    }

    /// The same with the other printer.
    ///
    /// # Panics
    /// As [`Radio::pair`].
    pub async fn pair_second(&self) {
        self.pair_with(TILLS_SECOND, SECOND).await;
    }

    async fn pair_with(&self, till: &str, printer: &str) {
        let (till, printer) = (self.adapter(till), self.adapter(printer).address().await.expect("an address"));
        let classic = DiscoveryFilter { transport: DiscoveryTransport::BrEdr, ..DiscoveryFilter::default() };
        till.set_discovery_filter(classic).await.expect("set");
        let mut found = std::pin::pin!(till.discover_devices().await.expect("discovering"));
        let finding = async {
            while !matches!(next(&mut found).await, Some(AdapterEvent::DeviceAdded(device)) if device == printer) {}
        };
        crate::within("finding the printer", finding).await;
        let pairing = async { till.device(printer).expect("found").pair().await };
        crate::within("pairing", pairing).await.expect("paired");
    }

    /// Has `controller` lose its pairing with the other, and waits for the end of their connection.
    ///
    /// # Panics
    /// It has none.
    pub async fn lose_pairing(&self, controller: &str) {
        let other = if controller == TILL { PRINTER } else { TILL };
        let other = self.adapter(other).address().await.expect("an address");
        self.adapter(controller).remove_device(other).await.expect("it was known");
        let ended = || crate::until("the end of the connection", || hci::connections(TILL).is_empty());
        tokio::task::spawn_blocking(ended).await.expect("it ends");
    }

    /// Whether the till has a pairing with the printer.
    pub async fn is_paired(&self) -> bool {
        let printer = self.adapter(PRINTER).address().await.expect("an address");
        let Ok(printer) = self.adapter(TILL).device(printer) else { return false };
        printer.is_paired().await.unwrap_or(false)
    }
}

type ReqFuture = Pin<Box<dyn Future<Output = std::result::Result<(), ReqError>> + Send>>;

/// The printer agrees to pair as long as this is held.
#[derive(Debug)]
pub struct Agreement {
    asked: Arc<std::sync::Mutex<Vec<String>>>,
    _agent: AgentHandle,
}

impl Agreement {
    /// The controllers on whose side somebody was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no holder of this lock panics"))
    }
}
