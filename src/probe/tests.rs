//! One port at a time, on memory links and tokio's paused clock. Bytes of devices stand as their manuals have them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::time::{Instant, sleep};
use tresen_hal::link::memory::{self, Memory};
use tresen_hal::{BoxFuture, Link, sim};
use tresen_payment::{opi, zvt};

use super::network::{Looked, Network};
use super::*;

type Serve = Arc<dyn Fn(Memory) -> BoxFuture<'static, ()> + Send + Sync>;

/// A host whose every port behaves in one way, and what it heard.
struct Fake {
    serve: Serve,
    /// Behind TLS: the name of the certificate, and who answers.
    tls: Option<(&'static str, Serve)>,
    /// Connections so many milliseconds after the one before are refused.
    busy: Option<u64>,
    ended: Arc<Mutex<Option<Instant>>>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl Fake {
    fn new<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(Memory) -> F + Send + Sync + 'static) -> Self {
        let serve: Serve = Arc::new(move |link| Box::pin(serve(link)));
        Self { serve, tls: None, busy: None, ended: Arc::default(), heard: Arc::default() }
    }

    /// Says this to whatever it hears first, and stays.
    fn saying(answer: &'static [u8]) -> Self {
        Self::new(move |link| async move {
            let mut heard = Vec::new();
            if link.recv(&mut heard).await.is_ok() {
                link.send(answer).await.ok();
                while link.recv(&mut heard).await.is_ok() {}
            }
        })
    }

    /// Says this to one question, and nothing to others.
    fn answering(question: &'static [u8], answer: &'static [u8]) -> Self {
        Self::new(move |link| async move {
            let mut heard = Vec::new();
            while link.recv(&mut heard).await.is_ok() {
                if heard.starts_with(question) {
                    link.send(answer).await.ok();
                    heard.clear();
                }
            }
        })
    }

    fn open(&self, serve: &Serve) -> Box<dyn Link> {
        let (near, far) = memory::pair();
        let (tap, inner) = memory::pair();
        let (served, heard, ended) = (serve(inner), self.heard.clone(), self.ended.clone());
        heard.lock().expect("whole").push(Vec::new());
        let at = heard.lock().expect("whole").len() - 1;
        tokio::spawn(async move {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            let passing = async {
                loop {
                    tokio::select! {
                        biased;
                        got = far.recv(&mut up) => {
                            if got.is_err() { return }
                            heard.lock().expect("whole")[at].extend(&up);
                            if tap.send(&std::mem::take(&mut up)).await.is_err() { return }
                        }
                        got = tap.recv(&mut down) => {
                            if got.is_err() || far.send(&std::mem::take(&mut down)).await.is_err() { return }
                        }
                    }
                }
            };
            tokio::select! {
                biased;
                () = passing => {}
                () = async { served.await; sleep(Duration::from_millis(1)).await } => {}
            }
            far.close().await;
            *ended.lock().expect("whole") = Some(Instant::now());
        });
        Box::new(near)
    }

    fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().expect("whole").clone()
    }

    async fn probed(&self, port: u16) -> Probed {
        self.probed_by(&Drivers::standard(), port, Asked::default()).await
    }

    /// What was said last has arrived by the end.
    async fn probed_by(&self, drivers: &Drivers, port: u16, asked: Asked<'_>) -> Probed {
        let probed = port::probe(drivers, self, port, Limits::default(), asked).await;
        sleep(Duration::from_millis(10)).await;
        probed
    }
}

impl Network for Fake {
    fn name(&self) -> &str {
        "10.0.0.30"
    }

    fn connect(&self, _: u16, _: Duration) -> BoxFuture<'_, Result<Box<dyn Link>>> {
        Box::pin(async move {
            let since = self.ended.lock().expect("whole").map(|ended| ended.elapsed().as_millis());
            if let (Some(busy), Some(since)) = (self.busy, since)
                && since < u128::from(busy)
            {
                return Err(Error::new(Kind::Refused, "connection refused"));
            }
            Ok(self.open(&self.serve))
        })
    }

    fn look(&self, _: u16, _: Duration) -> BoxFuture<'_, Option<Result<Looked>>> {
        Box::pin(async move {
            let Some((name, behind)) = &self.tls else {
                return Some(Err(Error::new(Kind::Protocol, "the TLS handshake failed")));
            };
            let certificate = Certificate {
                fingerprint: "ab".repeat(32),
                common_name: Some((*name).to_owned()).filter(|n| !n.is_empty()),
            };
            Some(Ok((self.open(behind), certificate)))
        })
    }
}

fn device(probed: &Probed) -> (&str, bool, &str) {
    match &probed.answer {
        Answer::Device { protocol, certain, address } => (protocol, *certain, address),
        other => panic!("{other:?}"),
    }
}

/// PA00P015: 80 00 00, then 06 0F, which a till acknowledges.
const ZVT: &[u8] = &[0x80, 0, 0, 0x06, 0x0f, 0x08, 0xf0, 0xf0, 0xf4, b'V', b'1', b'.', b'2', 0x00];

#[tokio::test(start_paused = true)]
async fn a_terminal_is_asked_for_its_state_and_nothing_else() {
    for port in [20007, 22000, 7777] {
        let fake = Fake::answering(&[0x05, 0x01, 0x00], ZVT);
        let probed = fake.probed(port).await;
        assert_eq!(device(&probed), ("zvt", true, &*format!("zvt+tcp://10.0.0.30:{port}")));
        assert!(probed.evidence.contains(&"software V1.2".to_owned()), "{:?}", probed.evidence);
        let heard = fake.heard();
        // The completion is acknowledged, so that the terminal's dialogue has ended; nothing readable came before.
        assert_eq!(heard.last().expect("asked"), &[0x05, 0x01, 0x00, 0x80, 0, 0]);
        assert!(heard[..heard.len() - 1].iter().all(|asked| asked == &[0x10, 0x04, 0x01]), "{heard:02x?}");
        assert_eq!(port == 7777, heard.len() > 1, "the usual protocol asks first");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_readable_is_sent_where_printers_listen() {
    for port in [9100, 9101, 9102] {
        let fake = Fake::new(|link| async move { while link.recv(&mut Vec::new()).await.is_ok() {} });
        assert_eq!(fake.probed(port).await.answer, Answer::Silence);
        let heard = fake.heard();
        assert!(heard.len() >= 2 && heard.iter().flatten().all(|byte| *byte < 0x20), "{heard:02x?}");
    }
    let asked = Asked { printer: true, ..Asked::default() };
    let fake = Fake::new(|link| async move { while link.recv(&mut Vec::new()).await.is_ok() {} });
    fake.probed_by(&Drivers::standard(), 4711, asked).await;
    assert!(fake.heard().iter().flatten().all(|byte| *byte < 0x20));
}

#[tokio::test(start_paused = true)]
async fn a_printer_is_known_by_its_status() {
    for port in [9100, 20007, 4100] {
        let fake = Fake::answering(&[0x10, 0x04, 0x01], &[0x12]);
        assert_eq!(device(&fake.probed(port).await), ("escpos", true, &*format!("escpos+tcp://10.0.0.30:{port}")));
    }
}

#[tokio::test(start_paused = true)]
async fn simulated_terminals_are_recognised_and_owe_nothing_afterwards() {
    let terminal = sim::Shared::new(zvt::sim::Simulator::new(zvt::sim::Profile::default()));
    let far = terminal.clone();
    let fake = Fake::new(move |link| {
        let far = far.clone();
        async move { sim::link(&link, &far).await }
    });
    assert_eq!(device(&fake.probed(20007).await).0, "zvt");
    assert!(terminal.with(|t| t.ledger().entries().is_empty()));
    let told = fake.heard();
    assert!(told.iter().all(|asked| matches!(asked[..2], [0x05, 0x01] | [0x10, 0x04])), "{told:02x?}");
    // With a password of its own it refuses, and is a terminal all the same.
    let locked = zvt::sim::Profile { password: Some("739154".parse().expect("six digits")), ..Default::default() };
    let terminal = sim::Shared::new(zvt::sim::Simulator::new(locked));
    let fake = Fake::new(move |link| {
        let far = terminal.clone();
        async move { sim::link(&link, &far).await }
    });
    assert_eq!(device(&fake.probed(22000).await).0, "zvt");
}

#[tokio::test(start_paused = true)]
async fn opi_terminals_are_asked_for_their_last_message() {
    for (port, address) in [
        (20002, "opi+tcp://10.0.0.30:20002?listen=usual"),
        (4100, "opi+tcp://10.0.0.30:4100?dialect=swiss&listen=usual"),
    ] {
        let device_ = sim::Shared::new(opi::sim::Simulator::new(opi::sim::Profile::default()));
        let served = device_.clone();
        let fake = Fake::new(move |link| {
            let served = served.clone();
            async move {
                let (dialer, port) = memory::port();
                tokio::spawn(opi::sim::serve(Box::new(port), None, served));
                let near = tresen_hal::link::Connect::connect(&dialer).await.expect("served");
                tresen_hal::link::relay(&link, &near).await.ok();
            }
        });
        let probed = fake.probed(port).await;
        assert_eq!(device(&probed), ("opi", true, address));
        assert!(device_.with(|t| t.ledger().entries().is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_paytec_terminal_may_take_its_time_to_say_hello() {
    // No row of the table has it before its driver does.
    let mut drivers = Drivers::standard();
    let row = crate::Protocol::new::<crate::Terminals>("paytec", |_| Err(Error::new(Kind::Unsupported, "no driver")));
    if drivers.protocols().all(|p| p.name() != "paytec") {
        drivers.register(row.port(8307).probe(tresen_payment::probe::PayTec)).expect("free");
    }
    let fake = Fake::new(|link| async move {
        // It does not answer heartbeats before the connection is set up, and sends its own after 10 s.
        sleep(Duration::from_secs(10)).await;
        link.send(b"{\"HeartbeatRequest\":{}}\n").await.ok();
        let mut heard = Vec::new();
        while link.recv(&mut heard).await.is_ok() {}
    });
    let probed = fake.probed_by(&drivers, 8307, Asked::default()).await;
    assert_eq!(device(&probed), ("paytec", true, "paytec+tcp://10.0.0.30:8307"));
    assert!(fake.heard()[0].ends_with(b"{\"HeartbeatResponse\":{}}\n"));
}

#[tokio::test(start_paused = true)]
async fn other_services_are_named() {
    for (says, answer) in [
        (
            &b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..],
            Answer::Web { line: "HTTP/1.1 404 Not Found".into() },
        ),
        (b"hello there\r\n", Answer::Text { line: "hello there".into() }),
        // An Ingenico with another protocol: Portalum.Zvt issue 42.
        (&[0x15, 0x03, 0x69], Answer::Bytes { bytes: "15 03 69".into() }),
    ] {
        assert_eq!(Fake::saying(says).probed(7777).await.answer, answer);
    }
    let greeting = Fake::new(|link| async move {
        link.send(b"SSH-2.0-OpenSSH_9.2p1\r\n").await.ok();
        while link.recv(&mut Vec::new()).await.is_ok() {}
    });
    assert_eq!(greeting.probed(22).await.answer, Answer::Text { line: "SSH-2.0-OpenSSH_9.2p1".into() });
    assert!(greeting.heard()[0].is_empty(), "who greets is not asked");
}

/// A server of HTTP refuses what is none: its own question is put to it before it counts as a web server.
#[tokio::test(start_paused = true)]
async fn a_web_server_that_refuses_other_questions_is_asked_its_own() {
    let server = |status: &'static [u8]| {
        Fake::new(move |link| async move {
            let mut heard = Vec::new();
            if link.recv(&mut heard).await.is_ok() {
                let refused = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
                link.send(if heard.starts_with(b"GET /nexo ") { status } else { refused }).await.ok();
            }
        })
    };
    let terminal = server(b"HTTP/1.1 405 Not Allowed\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(
        device(&terminal.probed(7777).await),
        ("nexo", false, "nexo+tcp://10.0.0.30:7777?poi=…&key=…&passphrase=…")
    );
    let web = server(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(web.probed(7777).await.answer, Answer::Web { line: "HTTP/1.1 400 Bad Request".into() });
    assert_eq!(web.heard().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_echo_is_no_device() {
    let echo = || {
        Fake::new(|link| async move {
            let mut heard = Vec::new();
            while link.recv(&mut heard).await.is_ok() {
                link.send(&std::mem::take(&mut heard)).await.ok();
            }
        })
    };
    for port in [7, 20007, 20002, 8307, 8443] {
        let probed = echo().probed(port).await;
        assert!(!matches!(probed.answer, Answer::Device { .. }), "{port}: {probed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn mute_closing_and_flooding_ports_end_in_time() {
    let began = Instant::now();
    let mute = Fake::new(|link| async move { while link.recv(&mut Vec::new()).await.is_ok() {} });
    assert_eq!(mute.probed(7777).await.answer, Answer::Silence);
    let closing = Fake::new(|_| async {});
    assert_eq!(closing.probed(7777).await.answer, Answer::HangUp);
    let flooding = Fake::new(|link| async move { while link.send(&[0x80; 4096]).await.is_ok() {} });
    assert!(matches!(flooding.probed(7777).await.answer, Answer::Bytes { .. }));
    // Acknowledgements without an end: a terminal, however odd.
    let odd = Fake::new(|link| async move { while link.send(&[0x80, 0, 0].repeat(500)).await.is_ok() {} });
    assert_eq!(device(&odd.probed(20007).await).0, "zvt");
    let dripping = Fake::new(|link| async move {
        while link.send(b"{").await.is_ok() {
            sleep(Duration::from_millis(900)).await;
        }
    });
    dripping.probed(7777).await;
    assert!(began.elapsed() < Duration::from_secs(150), "{:?}", began.elapsed());
    let refused =
        Fake { busy: Some(u64::MAX), ended: Arc::new(Mutex::new(Some(Instant::now()))), ..Fake::new(|_| async {}) };
    assert_eq!(refused.probed(20007).await.answer, Answer::Nobody { why: "connection refused".into() });
}

#[tokio::test(start_paused = true)]
async fn slow_answers_and_single_bytes_are_waited_for() {
    let slow = Fake::new(|link| async move {
        let mut heard = Vec::new();
        while link.recv(&mut heard).await.is_ok() {
            if heard.starts_with(&[0x05, 0x01, 0x00]) {
                sleep(Duration::from_millis(1400)).await;
                for byte in ZVT {
                    link.send(&[*byte]).await.ok();
                    sleep(Duration::from_millis(20)).await;
                }
                heard.clear();
            }
        }
    });
    assert_eq!(device(&slow.probed(7777).await).0, "zvt");
    assert!(slow.heard().last().expect("asked").ends_with(&[0x80, 0, 0]));
}

/// A device that serves one connection at a time and needs a second to be ready for the next.
#[tokio::test(start_paused = true)]
async fn a_device_that_is_not_ready_again_is_given_time() {
    let fake = Fake { busy: Some(1000), ..Fake::answering(&[0x10, 0x04, 0x01], &[0x16]) };
    assert_eq!(device(&fake.probed(20007).await).0, "escpos");
    let connections = fake.heard().len();
    assert_eq!(connections, 2, "one at a time");
}

fn over_tls(name: &'static str, behind: Fake) -> Fake {
    // RFC 8446, 6: an alert to what is no handshake, once five bytes of a header are there.
    let plain = Fake::new(|link| async move {
        let mut heard = Vec::new();
        while heard.len() < 5 && link.recv(&mut heard).await.is_ok() {}
        link.send(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a]).await.ok();
    });
    Fake { tls: Some((name, behind.serve)), ..plain }
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_tls_is_found() {
    let print = "ab".repeat(32);
    let fake = over_tls("V400m-346403161.test.terminal.adyen.com", Fake::new(|_| async {}));
    let probed = fake.probed(8443).await;
    let address = format!("nexo+https://10.0.0.30:8443?poi=V400m-346403161&key=…&passphrase=…&fingerprint={print}");
    assert_eq!(device(&probed), ("nexo", true, &*address));
    assert_eq!(fake.heard().len(), 1, "the certificate says it all");
    assert!(probed.next_step().expect("a step").contains("…"));
    for port in [22001, 20007, 7777] {
        let fake = over_tls("", Fake::answering(&[0x05, 0x01, 0x00], ZVT));
        let address = format!("zvt+tcp://10.0.0.30:{port}?tls=true&fingerprint={print}");
        assert_eq!(device(&fake.probed(port).await), ("zvt", true, &*address));
    }
    let web = over_tls("fritz.box", Fake::saying(b"HTTP/1.1 404 Not Found\r\n\r\n"));
    let probed = web.probed(443).await;
    assert_eq!(probed.answer, Answer::Web { line: "HTTP/1.1 404 Not Found".into() });
    assert_eq!(probed.certificate.expect("shown").common_name.as_deref(), Some("fritz.box"));
    let mute = over_tls("", Fake::new(|link| async move { while link.recv(&mut Vec::new()).await.is_ok() {} }));
    assert_eq!(mute.probed(7777).await.answer, Answer::Tls);
}

#[test]
fn targets_are_hosts_with_or_without_ports() {
    for (text, host, port) in [
        ("10.0.0.30", "10.0.0.30", None),
        ("10.0.0.30:20007", "10.0.0.30", Some(20007)),
        ("terminal.local:1", "terminal.local", Some(1)),
        ("[::1]:4100", "::1", Some(4100)),
    ] {
        assert_eq!(target(text).expect(text), (host.to_owned(), port));
    }
    for wrong in ["", "10.0.0.30:", "10.0.0.30:70000", "a b:1", "h?x=1", "zvt+tcp://10.0.0.30"] {
        assert_eq!(target(wrong).expect_err(wrong).kind(), Kind::Address);
    }
}

#[test]
fn the_usual_ports_are_those_of_the_table_once_each() {
    let ports = Drivers::standard().usual_ports();
    let of = |whose: &str| ports.iter().filter(|(_, w)| w == whose).map(|(port, _)| *port).collect::<Vec<_>>();
    assert_eq!((of("escpos"), of("zvt")), (vec![9100, 9101, 9102], vec![20007, 22000, 22001]));
    assert_eq!((of("opi"), of("nexo"), of("SSH")), (vec![20002, 4100, 5577], vec![8443], vec![22]));
    let mut all: VecDeque<_> = ports.iter().map(|(port, _)| *port).collect();
    while let Some(port) = all.pop_front() {
        assert!(!all.contains(&port), "{port} twice");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]

    #[test]
    fn whatever_answers_the_probe_ends(chunks in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 1..40), 0..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let fake = Fake::new(move |link| {
                let chunks = chunks.clone();
                async move {
                    for chunk in chunks {
                        link.send(&chunk).await.ok();
                        sleep(Duration::from_millis(50)).await;
                    }
                    while link.recv(&mut Vec::new()).await.is_ok() {}
                }
            });
            let began = Instant::now();
            fake.probed(20007).await;
            assert!(began.elapsed() <= Limits::default().port + Duration::from_secs(1));
        });
    }
}
