//! A browser, driven over the [DevTools protocol](https://chromedevtools.github.io/devtools-protocol/).

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Far longer than anything takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// A headless Chromium with a profile of its own. Ends when dropped.
pub(crate) struct Browser {
    process: Child,
    port: u16,
    _profile: TempDir,
}

impl Browser {
    /// Starts `chromium`, as Debian packages it.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts it with more options.
    pub(crate) async fn with(options: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), options).await
    }

    /// Starts it for a user who has installed this authority, as `docs/remote.md` says for Linux.
    pub(crate) async fn trusting(authority: &Path) -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let database = profile.path().join(".pki/nssdb");
        std::fs::create_dir_all(&database).expect("a folder");
        let database = format!("sql:{}", database.display());
        let certutil = |arguments: &[&str]| {
            let mut command = Command::new("certutil");
            let status = command.args(["-d", &database]).args(arguments).status();
            assert!(status.expect("Debian's package libnss3-tools is installed").success());
        };
        certutil(&["-N", "--empty-password"]);
        certutil(&["-A", "-t", "C,,", "-n", "till-1", "-i", authority.to_str().expect("text")]);
        Self::start_in(profile, &[]).await
    }

    async fn start_in(profile: TempDir, options: &[&str]) -> Self {
        let process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--force-color-profile=srgb", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(options)
            .arg("about:blank")
            // Certificates that were installed are in the home folder's `.pki/nssdb`.
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's package chromium is installed");
        // Chromium writes its port here once it listens.
        let file = profile.path().join("DevToolsActivePort");
        let listens = async {
            loop {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                match text.lines().next().map(str::parse) {
                    Some(Ok(port)) if text.lines().count() > 1 => return port,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let port = tokio::time::timeout(PATIENCE, listens).await.expect("Chromium listens");
        Self { process, port, _profile: profile }
    }

    /// A new tab.
    pub(crate) async fn page(&self) -> Page {
        let mut http = TcpStream::connect(("127.0.0.1", self.port)).await.expect("Chromium listens");
        let request = "PUT /json/new?about:blank HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        http.write_all(request.as_bytes()).await.expect("sent");
        // The connection stays open behind the answer: its end is where the JSON ends.
        let mut answer = Vec::new();
        let read = async {
            loop {
                http.read_buf(&mut answer).await.expect("readable");
                let body = String::from_utf8_lossy(&answer);
                let body = body.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                if let Ok(tab) = serde_json::from_str::<Value>(body) {
                    return tab;
                }
            }
        };
        let tab = tokio::time::timeout(PATIENCE, read).await.expect("Chromium answers");
        let url = tab["webSocketDebuggerUrl"].as_str().expect("a URL").to_owned();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("Chromium listens");
        let (socket, _) = client_async(url, stream).await.expect("a WebSocket");
        let mut page = Page { socket, id: 0, complaints: VecDeque::new() };
        for domain in ["Page", "Runtime", "Log"] {
            page.ask(&format!("{domain}.enable"), json!({})).await;
        }
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A tab.
pub(crate) struct Page {
    socket: WebSocketStream<TcpStream>,
    id: u64,
    complaints: VecDeque<String>,
}

impl Page {
    /// Loads a page.
    pub(crate) async fn go(&mut self, url: &str) {
        self.ask("Page.navigate", json!({ "url": url })).await;
        self.until("document.readyState === 'complete'").await;
    }

    /// The button "back" of the browser.
    pub(crate) async fn back(&mut self) {
        let history = self.ask("Page.getNavigationHistory", json!({})).await;
        let at = history["currentIndex"].as_u64().expect("a place") as usize - 1;
        self.ask("Page.navigateToHistoryEntry", json!({ "entryId": history["entries"][at]["id"] })).await;
        self.until("document.readyState === 'complete'").await;
    }

    /// The user lets pages of this origin do what they would be asked for, such as `loopbackNetwork`.
    pub(crate) async fn allow(&mut self, origin: &str, permission: &str) {
        self.ask("Browser.grantPermissions", json!({ "origin": origin, "permissions": [permission] })).await;
    }

    /// Loads the page again; the tab's memory stays.
    pub(crate) async fn reload(&mut self) {
        self.run("window.beforeReload = true").await;
        self.ask("Page.reload", json!({})).await;
        self.until("!window.beforeReload && document.readyState === 'complete'").await;
    }

    /// The value of an expression.
    pub(crate) async fn run(&mut self, expression: &str) -> Value {
        let with = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let done = self.ask("Runtime.evaluate", with).await;
        assert!(done.get("exceptionDetails").is_none(), "{expression}: {done:#}");
        done["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, expression: &str) {
        let waited = async {
            loop {
                // A page that is being loaded has no context to ask in for a moment.
                let with = json!({ "expression": expression, "returnByValue": true });
                let done = self.ask("Runtime.evaluate", with).await;
                if done["result"]["value"] == true {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waited).await.is_err() {
            let text = self.run("document.body.innerText").await;
            panic!("never true: {expression}\n{}\n{:?}", text.as_str().unwrap_or_default(), self.complaints);
        }
    }

    /// Waits until an element is there, enabled and visible, and shows this text.
    pub(crate) async fn see(&mut self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.until(&format!(
            "[...document.querySelectorAll({selector})].some(e => e.checkVisibility() && e.textContent.includes({text}))"
        ))
        .await;
    }

    /// Clicks into the middle of the first element that shows this text, as a mouse does.
    pub(crate) async fn click(&mut self, selector: &str, text: &str) {
        let find = format!(
            "[...document.querySelectorAll({})].find(e => e.checkVisibility() && !e.disabled && e.textContent.includes({}))",
            json!(selector),
            json!(text)
        );
        self.until(&format!("Boolean({find})")).await;
        let at = self
            .run(&format!(
                "(() => {{ const e = {find}; e.scrollIntoView({{ block: 'center' }}); \
                 const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
            ))
            .await;
        for kind in ["mousePressed", "mouseReleased"] {
            let with = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", with).await;
        }
    }

    /// Types a text into the element that has the focus.
    pub(crate) async fn write(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, `ArrowDown`.
    pub(crate) async fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            "Escape" => (27, None),
            "Space" => (32, Some(" ")),
            "ArrowDown" => (40, None),
            _ => panic!("{key} is not known here"),
        };
        let name = if key == "Space" { " " } else { key };
        let mut down = json!({ "type": "keyDown", "key": name, "code": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            down["text"] = json!(text);
        }
        self.ask("Input.dispatchKeyEvent", down).await;
        let up = json!({ "type": "keyUp", "key": name, "code": key, "windowsVirtualKeyCode": code });
        self.ask("Input.dispatchKeyEvent", up).await;
    }

    /// The size of the window in CSS pixels, the languages of the browser, and whether the user prefers dark pages.
    pub(crate) async fn device(&mut self, (width, height): (u32, u32), languages: &str, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        let agent = json!({ "userAgent": "Chromium", "acceptLanguage": languages });
        self.ask("Emulation.setUserAgentOverride", agent).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", media).await;
    }

    /// A picture of the page, if the variable `SCREENSHOTS` names a folder for it.
    pub(crate) async fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        let shot = self.ask("Page.captureScreenshot", json!({ "format": "png" })).await;
        let data = shot["data"].as_str().expect("a picture");
        let path = Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(&path, base64(data)).expect("written");
    }

    /// What the browser complained about: errors of scripts, refusals of the content security policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.iter().cloned().collect()
    }

    async fn ask(&mut self, method: &str, with: Value) -> Value {
        self.id += 1;
        let message = json!({ "id": self.id, "method": method, "params": with }).to_string();
        self.socket.send(Message::text(message)).await.expect("sent");
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("Chromium answers");
            let Message::Text(text) = next.expect("open").expect("readable") else { continue };
            let message: Value = serde_json::from_str(&text).expect("JSON");
            if message["id"] == self.id {
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let told = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(&told["exceptionDetails"]["exception"]["description"]),
            // A request that the till refused is on purpose where a test does it.
            Some("Log.entryAdded") if told["entry"]["level"] == "error" && told["entry"]["source"] != "network" => {
                Some(&told["entry"]["text"])
            }
            _ => None,
        };
        self.complaints.extend(complaint.map(Value::to_string));
    }
}

/// RFC 4648, section 4.
fn base64(text: &str) -> Vec<u8> {
    let value = |byte| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text.bytes().filter(|byte| *byte != b'=').map(|byte| u32::from(value(byte))).collect();
    let group = |group: &[u32]| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
