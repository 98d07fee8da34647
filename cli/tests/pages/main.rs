//! The pages of `tresen serve till.toml` in a headless Chromium, with `tresen token` and the devices of `tresen sim`:
//! `cargo test --features chromium`.
#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the tests of the pages use the rest of it")]
#[path = "../../../remote/tests/chromium/devtools.rs"]
mod devtools;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use common::{Running, Sim, start, tresen, until};
use devtools::{Browser, Page};
use tempfile::TempDir;

/// A till's folder with its configuration, and its simulated devices.
struct Shop {
    folder: TempDir,
    terminal: Sim,
    _printer: Sim,
    /// The same after a restart, so that a page finds the till again.
    plain: u16,
    tls: u16,
}

impl Shop {
    /// Each step of the terminal takes `pace`, in ms. It keeps approvals that the till does not acknowledge.
    fn open(pace: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let terminal = Sim::start(&["terminal", "--pace", pace, "--unacknowledged", "keeps"]);
        let paper = folder.path().join("paper");
        let printer = Sim::start(&["printer", "--out", paper.to_str().expect("text")]);
        let (plain, tls) = (free_port(), free_port());
        let text = format!(
            "[till]\nname = 'Corner shop'\nreconnect = {{ first = '100ms', at-most = '500ms' }}\n\
             [remote]\nlisten = '127.0.0.1:{tls}'\nplain = '127.0.0.1:{plain}'\n\
             [printers.receipt]\naddress = '{}'\n[terminals.counter]\naddress = '{}'\npassword = '000000'\n",
            printer.address, terminal.address
        );
        std::fs::write(folder.path().join("till.toml"), text).expect("written");
        Self { folder, terminal, _printer: printer, plain, tls }
    }

    fn file(&self) -> String {
        self.folder.path().join("till.toml").to_str().expect("text").to_owned()
    }

    /// `tresen serve`, once it listens.
    fn serve(&self) -> Running {
        let mut serve = start(["serve", &self.file(), "--json"]);
        let facts = serve.json();
        assert_eq!(facts["plain"], format!("http://127.0.0.1:{}", self.plain));
        serve
    }

    /// A one-time code of `tresen token`.
    fn code(&self, name: &str, rights: &str) -> String {
        let said = tresen(["token", &self.file(), name, "--rights", rights, "--json"]).well();
        said.json()["code"].as_str().expect("a code").to_owned()
    }

    /// The receipts that came out, as text.
    fn receipts(&self) -> Vec<String> {
        let paper = std::fs::read_dir(self.folder.path().join("paper")).expect("a folder");
        let sheets = paper.map(|entry| entry.expect("readable").path());
        let texts = sheets.filter(|path| path.extension().is_some_and(|kind| kind == "txt"));
        texts.map(|path| std::fs::read_to_string(path).expect("text")).collect()
    }

    /// The terminal's ledger: the state of each entry.
    fn ledger(&mut self) -> BTreeMap<u64, String> {
        self.terminal.type_in("ledger");
        self.terminal.type_in("busy");
        let mut entries = BTreeMap::new();
        loop {
            let line = self.terminal.line();
            if line["fault"] == "busy" {
                return entries;
            }
            let state = line["state"].as_str().expect("a state").to_owned();
            entries.insert(line["entry"].as_u64().expect("a number"), state);
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

async fn sign_in(page: &mut Page, code: &str) {
    page.until("document.activeElement.id === 'code'").await;
    page.write(code).await;
    page.press("Enter").await;
}

#[tokio::test]
async fn a_till_that_is_killed_in_the_middle_of_a_kiosks_payment_charges_once() {
    let mut shop = Shop::open("500");
    let serve = shop.serve();
    let browser = Browser::start().await;
    let mut page = browser.page().await;
    page.device((1280, 800), "en", false).await;
    page.go(&format!("http://127.0.0.1:{}/kiosk/", shop.plain)).await;
    sign_in(&mut page, &shop.code("kiosk", "watch sell pay:counter print:receipt")).await;
    page.click(".articles button", "Espresso").await;
    page.click("button", "Pay by card").await;
    // The terminal has approved it; the till does not know that yet.
    let approved = shop.terminal.line();
    assert_eq!((&approved["amount"], &approved["entry"]), (&"2.40 EUR".into(), &0.into()), "{approved}");
    serve.kill();
    page.see("#link", "no connection").await;
    let serve = shop.serve();
    page.see("h2", "Thank you!").await;
    page.see("#receipt", "Please take your receipt.").await;
    assert_eq!(shop.ledger(), BTreeMap::from([(0, "Stored".to_owned())]));
    until("the receipt's file", || !shop.receipts().is_empty());
    let receipts = shop.receipts();
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    assert!(receipts[0].contains("Espresso"), "{receipts:?}");
    assert_eq!(page.complaints(), Vec::<String>::new());
    serve.interrupt();
    assert_eq!(serve.end().code, Some(0));
}

#[tokio::test]
async fn over_tls_a_browser_that_trusts_the_tills_authority_is_let_in() {
    let shop = Shop::open("0");
    let serve = shop.serve();
    let url = format!("https://localhost:{}/dashboard/", shop.tls);
    let stranger = Browser::start().await;
    let mut page = stranger.page().await;
    page.go(&url).await;
    page.see("body", "ERR_CERT_AUTHORITY_INVALID").await;
    let browser = Browser::trusting(&authority(shop.folder.path())).await;
    let mut page = browser.page().await;
    page.device((1280, 800), "en", false).await;
    page.go(&url).await;
    sign_in(&mut page, &shop.code("office", "watch")).await;
    page.see("#link", "connected, signed in as office").await;
    page.see("#devices .name", "counter").await;
    assert_eq!(page.run("isSecureContext && location.protocol").await, "https:");
    assert_eq!(page.complaints(), Vec::<String>::new());
    serve.interrupt();
    assert_eq!(serve.end().code, Some(0));
}

/// The certificate that `docs/remote.md` has installed.
fn authority(folder: &Path) -> std::path::PathBuf {
    let found: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path()).collect();
    let secrets = found.iter().find(|path| path.extension().is_some_and(|kind| kind == "remote"));
    secrets.unwrap_or_else(|| panic!("no authority in {found:?}")).join("ca.pem")
}
