//! The same through a server, its WebSocket and the client.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::duplex;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tresen::{Amount, Payment};
use tresen::{Class, DeviceId, Phase, Runtime};
use tresen_hal::{BoxFuture, Result, SimulatedRuntime};
use tresen_remote::attach::Standing;
use tresen_remote::client::{Client, Dial, Options, Stream};
use tresen_remote::server::{self, Server};
use tresen_remote::trust::memory::Guests;
use tresen_remote::trust::{Audit, Gate, Principal};

use super::world::{World, principal};

struct Memory(Arc<Server>);

impl Dial for Memory {
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (near, far) = duplex(64 << 10);
            self.0.serve(far, "memory", None)?;
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }

    fn host(&self) -> &str {
        "127.0.0.1:7480"
    }
}

#[tokio::test(start_paused = true)]
async fn a_handheld_offers_its_devices_over_a_websocket() {
    let world = World::open().await;
    let gate = Arc::new(Guests::default());
    gate.admit("seven", principal("handheld 7", "attach watch"));
    let server = Arc::new(Server::start(&world.shop.till, gate.clone(), server::Options::default()).expect("starts"));
    let wall: Timestamp = "2026-01-02T08:00:00Z".parse().expect("a time");
    let runtime: Arc<dyn Runtime> = Arc::new(SimulatedRuntime::new(7, wall));
    let options = Options::new(runtime).token("seven").offer(world.offer.clone());
    let client = Client::connect(Memory(server.clone()), options).await.expect("let in");
    world.ready().await;
    world.till_prints("over a socket").await;
    let terminal = world.shop.till.terminal("terminal.7").expect("attached");
    assert!(matches!(terminal.pay(Amount::eur(12_50)).await, Ok(Payment::Charged(_))));
    world.scan("4006381333931");
    let scanner = world.shop.till.scanner("scanner.7").expect("attached");
    assert_eq!(scanner.next().await.expect("the caller's").text, "4006381333931");
    let mut offered = gate.record().into_iter().filter(|note| note.action == "offer").filter_map(|note| note.device);
    assert_eq!(offered.next_back().as_deref(), Some("printer belt, terminal terminal, scanner scanner"));

    // It is revoked: its devices are taken away.
    gate.revoke("handheld 7");
    sleep(Duration::from_secs(5)).await;
    let belt = DeviceId::new(Class::Printer, "belt.7");
    assert!(world.shop.till.phase(&belt).is_err());
    gate.admit("seven", principal("handheld 7", "attach watch"));
    sleep(Duration::from_secs(120)).await;
    world.ready().await;
    world.till_prints("let in again").await;
    // The same while it is away.
    let mut phase = world.shop.till.phase(&belt).expect("attached");
    assert!(phase.borrow().is_ready());
    assert!(matches!(&*world.offer.standing().borrow(), Standing::Attached { .. }));
    drop(client);
    timeout(Duration::from_secs(5), phase.wait_for(Phase::is_away)).await.expect("in time").expect("lives");
    gate.revoke("handheld 7");
    sleep(Duration::from_secs(5)).await;
    assert!(world.shop.till.phase(&belt).is_err());
}

/// A gate whose answers about names take as long as the test wants.
struct Slow {
    guests: Guests,
    /// Answers that are on their way.
    asked: Semaphore,
    /// Answers that may arrive.
    may: Semaphore,
}

impl Gate for Slow {
    fn by_certificate(&self, der: &[u8]) -> BoxFuture<'_, Result<Principal>> {
        self.guests.by_certificate(der)
    }

    fn by_token(&self, token: &str, origin: Option<&str>) -> BoxFuture<'_, Result<Principal>> {
        self.guests.by_token(token, origin)
    }

    fn is_known(&self, name: &str) -> BoxFuture<'_, Result<bool>> {
        let known = self.guests.is_known(name);
        Box::pin(async move {
            let known = known.await;
            self.asked.add_permits(1);
            self.may.acquire().await.expect("open").forget();
            known
        })
    }

    fn revoked(&self) -> watch::Receiver<u64> {
        self.guests.revoked()
    }

    fn note(&self, entry: Audit) -> BoxFuture<'_, ()> {
        self.guests.note(entry)
    }

    fn begin(&self, entry: &Audit) -> BoxFuture<'_, Result<i64>> {
        self.guests.begin(entry)
    }

    fn end(&self, begun: i64, entry: Audit) -> BoxFuture<'_, ()> {
        self.guests.end(begun, entry)
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_under_the_name_of_a_revoked_one_keeps_what_it_offers_meanwhile() {
    let world = World::open().await;
    let (asked, may) = (Semaphore::new(0), Semaphore::new(0));
    let gate = Arc::new(Slow { guests: Guests::default(), asked, may });
    gate.guests.admit("first", principal("handheld 7", "attach watch"));
    let server = Arc::new(Server::start(&world.shop.till, gate.clone(), server::Options::default()).expect("starts"));
    let wall: Timestamp = "2026-01-02T08:00:00Z".parse().expect("a time");
    let client = async |token: &str| {
        let runtime: Arc<dyn Runtime> = Arc::new(SimulatedRuntime::new(7, wall));
        let options = Options::new(runtime).token(token).offer(world.offer.clone());
        Client::connect(Memory(server.clone()), options).await.expect("let in")
    };
    let first = client("first").await;
    world.ready().await;
    drop(first);
    let belt = DeviceId::new(Class::Printer, "belt.7");
    let mut phase = world.shop.till.phase(&belt).expect("attached");
    phase.wait_for(Phase::is_away).await.expect("lives");
    // The gate is asked about the revoked one, and its answer is late.
    gate.guests.revoke("handheld 7");
    gate.asked.acquire().await.expect("open").forget();
    gate.guests.admit("second", principal("handheld 7", "attach watch"));
    let _second = client("second").await;
    world.ready().await;
    gate.may.add_permits(2);
    gate.asked.acquire().await.expect("open").forget();
    world.till_prints("its own").await;
    assert!(world.shop.till.phase(&belt).expect("still attached").borrow().is_ready());
}
