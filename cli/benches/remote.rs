//! What the network costs: calls over TLS on this machine beside the same calls in the till's process, and 500 clients that
//! are connected and idle. Prints figures and fails nothing: `cargo bench -p tresen-cli --bench remote`, or `… -- calls`
//! and `… -- idle` for one of the two. `… -- idle N` connects N clients.

use std::path::Path;
use std::process::{Child, ChildStdout, Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tresen::api::{Command, printer, terminal, till};
use tresen::hal::sim::{self, Server, Shared};
use tresen::payment::zvt::sim::{Profile, Simulator as Terminal};
use tresen::printers::Profile as PrinterProfile;
use tresen::printers::escpos::sim::Simulator as Printer;
use tresen::remote::Invitation;
use tresen::{Amount, Payment, Print, Receipt, Result, SystemRuntime, Tresen};
use tresen_remote::client::{Client, Options};
use tresen_remote::trust::{self, Credentials};
use tresen_remote::{Serving, serve};

const CALLS: usize = 500;
const CLIENTS: usize = 500;
const QUIET: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |what: &str| words.is_empty() || words.iter().any(|word| word == what);
    if wants("calls") {
        calls()?;
    }
    if wants("idle") {
        idle(words.iter().find_map(|word| word.parse().ok()).unwrap_or(CLIENTS))?;
    }
    Ok(())
}

/// A till in this process, with a printer and a terminal on simulators over TCP, and served.
struct Shop {
    till: Tresen,
    serving: Serving,
    _devices: [Server; 2],
}

impl Shop {
    async fn open(folder: &Path) -> Result<Self> {
        let bind = async || TcpListener::bind("127.0.0.1:0").await;
        let paper = Shared::new(Printer::new(PrinterProfile::epson_tm_m30()));
        let money = Shared::new(Terminal::new(Profile::default()));
        let (printer, printer_at) = sim::tcp(bind().await?, paper)?;
        let (terminal, terminal_at) = sim::tcp(bind().await?, money)?;
        let config = format!(
            "[remote]\nlisten = '127.0.0.1:0'\n[printers.receipt]\naddress = 'escpos+tcp://{printer_at}'\n\
             [terminals.counter]\naddress = 'zvt+tcp://{terminal_at}'\n"
        );
        std::fs::write(folder.join("till.toml"), config)?;
        let till = Tresen::open(folder.join("till.toml")).await?;
        for device in till.devices() {
            till.phase(&device.id)?.wait_for(tresen::Phase::is_ready).await.ok();
        }
        let serving = serve(&till).await?;
        Ok(Self { till, serving, _devices: [printer, terminal] })
    }

    /// A certificate by the real enrolment.
    async fn join(&self) -> Result<Credentials> {
        let rights = "watch print pay".parse()?;
        let invited = self.till.invite_client(Invitation { name: "handheld 1".into(), station: None, rights }).await?;
        let runtime: Arc<dyn tresen::Runtime> = Arc::new(SystemRuntime::new());
        trust::join(&self.serving.addresses()[0], &invited.code, &runtime).await
    }
}

/// The same calls at the till and over the network, in turn.
fn calls() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at_till = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let afar = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shop = at_till.block_on(Shop::open(folder.path()))?;
    let credentials = afar.block_on(shop.join())?;
    let client = afar.block_on(async {
        let options = Options::new(Arc::new(SystemRuntime::new()));
        Client::connect(credentials.dial(&shop.serving.addresses()[0])?, options).await
    })?;
    println!("{CALLS} calls each, in turn at the till and over TLS on this machine; in microseconds");
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "till p50", "net p50", "more", "till p99", "net p99", "more"
    );
    let beside = Beside { at_till: &at_till, afar: &afar, till: shop.till.on_behalf_of("counter"), client };
    beside.run("till.info: nothing but a call", |_| till::Info {}, |_| true)?;
    let content = || Receipt::new().text("Table 4").row("2 Flat white", "7.60").cut().into();
    let submit = |_| printer::Submit { printer: "receipt".into(), content: content(), id: None };
    beside.run("printer.submit: accepted", submit, |_| true)?;
    let print = |_| printer::Print { printer: "receipt".into(), content: content(), id: None, within: None };
    beside.run("printer.print: on paper", print, |printed| matches!(printed, Print::Printed { .. }))?;
    let pay = |_| terminal::Pay { terminal: "counter".into(), amount: Amount::eur(12_50), key: None };
    beside.run("terminal.pay: charged", pay, |paid| matches!(paid, Payment::Charged(_)))?;
    drop(beside);
    at_till.block_on(async {
        shop.serving.close(Duration::from_secs(5)).await;
        shop.till.close(Duration::from_secs(5)).await
    })
}

struct Beside<'a> {
    at_till: &'a Runtime,
    afar: &'a Runtime,
    till: Tresen,
    client: Client,
}

impl Beside<'_> {
    fn run<C: Command>(&self, what: &str, call: impl Fn(usize) -> C, right: impl Fn(&C::Reply) -> bool) -> Result<()> {
        let (mut local, mut remote) = (Vec::new(), Vec::new());
        for n in 0..CALLS {
            let began = Instant::now();
            let reply = self.at_till.block_on(call(n).run(&self.till))?;
            local.push(began.elapsed());
            assert!(right(&reply), "{what}");
            let began = Instant::now();
            let reply = self.afar.block_on(self.client.call(call(n)))?;
            remote.push(began.elapsed());
            assert!(right(&reply), "{what}");
            // What was submitted is printed before the next is timed.
            if C::NAME == printer::Submit::NAME {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let micros = |took: &mut Vec<Duration>| {
            took.sort();
            [50, 99].map(|percent| took[took.len() * percent / 100].as_micros() as i64)
        };
        let ([till50, till99], [net50, net99]) = (micros(&mut local), micros(&mut remote));
        let more = |till: i64, net: i64| format!("{:+} ({:.1}x)", net - till, net as f64 / till.max(1) as f64);
        println!(
            "{what:<30} {till50:>7} {net50:>9} {:>14} {till99:>9} {net99:>9} {:>14}",
            more(till50, net50),
            more(till99, net99)
        );
        Ok(())
    }
}

/// Clients that have connected, follow the events, and do nothing.
fn idle(clients: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("till.toml");
    std::fs::write(
        &config,
        "[remote]\nlisten = '127.0.0.1:0'\n[printers.receipt]\naddress = 'escpos+tcp://127.0.0.1:9'\n",
    )?;
    let config = config.to_str().expect("text");
    let mut serving = tresen(&["serve", config, "--json"]).spawn()?;
    let facts = first_line(serving.stdout.take().expect("piped"));
    let url = facts["addresses"][0].as_str().expect("an address").to_owned();
    let guard = Killed(serving);
    let mut credentials = Vec::new();
    let identities = clients.div_ceil(CLIENTS_OF_ONE_IDENTITY);
    for n in 0..identities {
        let name = format!("handheld {n}");
        let shown = tresen(&["enrol", config, &name, "--rights", "watch", "--json"]).output()?;
        let code: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        let into = folder.path().join(&name);
        let joined = [&["join", &url, "--code", code["code"].as_str().expect("a code"), "--into"][..], &[text(&into)]];
        assert!(tresen(&joined.concat()).status()?.success());
        credentials.push(Credentials::load(&into)?);
    }
    let pid = guard.0.id();
    let on = Builder::new_current_thread().enable_all().build()?;
    let before = [resident(pid), resident(std::process::id())];
    let connected = on.block_on(async {
        let mut connected = Vec::new();
        for n in 0..clients {
            let options = Options::new(Arc::new(SystemRuntime::new()));
            let client = Client::connect(credentials[n % identities].dial(&url)?, options).await?;
            let following = client.follow().await?;
            connected.push((client, following));
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok::<_, tresen::Error>(connected)
    })?;
    let after = [resident(pid), resident(std::process::id())];
    let (busy, own) = (cpu(pid), cpu(std::process::id()));
    on.block_on(async { tokio::time::sleep(QUIET).await });
    let share = |ticks: u64| ticks as f64 / TICKS / QUIET.as_secs_f64() * 100.0;
    let (till, ours) = (share(cpu(pid) - busy), share(cpu(std::process::id()) - own));
    println!("{clients} clients over TLS that follow and are idle for {} s", QUIET.as_secs());
    let [[till_before, own_before], [till_after, own_after]] = [before, after];
    let each = |before: u64, after: u64| (after.saturating_sub(before)) as f64 / clients as f64;
    println!(
        "till:    {till_before} KiB before, {till_after} KiB with them: {:.1} KiB per client, {till:.2} % of a core",
        each(till_before, till_after)
    );
    println!("clients: {:.1} KiB each, {ours:.2} % of a core for all", each(own_before, own_after));
    drop(connected);
    Ok(())
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn tresen(args: &[&str]) -> Process {
    let mut process = Process::new(env!("CARGO_BIN_EXE_tresen"));
    process.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    process
}

fn first_line(out: ChildStdout) -> serde_json::Value {
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("text");
    serde_json::from_str(&line).expect("JSON")
}

/// Resident memory in KiB: proc(5), `VmRSS`; 0 where there is no such file.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// Time on a processor in clock ticks: proc(5), `utime` and `stime`.
fn cpu(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field, in parentheses, may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a name in UTF-8")
}

/// Clock ticks a second: `USER_HZ`.
const TICKS: f64 = 100.0;
/// How many clients share a certificate; the till limits the connections of one caller.
const CLIENTS_OF_ONE_IDENTITY: usize = 25;
