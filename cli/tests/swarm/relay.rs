//! The network between handhelds and till: TCP connections that are delayed, stalled, cut, half closed or fall silent,
//! times at which nothing passes at all, and another address for every connection.
//!
//! TCP keeps order and content, so that what is lost is the rest of a connection: each is cut after a number of bytes,
//! in the middle of a TLS record as likely as between two, or after a time.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::dice::Dice;

/// The network.
pub(crate) struct Relay {
    at: SocketAddr,
    weather: Arc<Weather>,
}

struct Weather {
    sky: watch::Sender<Sky>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sky {
    /// Faults as planned.
    Changing,
    /// Nothing passes.
    Gap,
    /// All connections end: the handhelds have roamed.
    Roamed,
    /// No faults any more.
    Calm,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// RST at both ends after so many bytes to the till, or from it.
    Cut { to_till: bool, bytes: u64 },
    /// RST after a time.
    Reset(Duration),
    /// FIN after a time.
    Closed(Duration),
    /// FIN in one direction after a time; the other goes on for a while.
    HalfClosed { to_till: bool, after: Duration },
    /// Open, but nothing passes any more after a time.
    Silent(Duration),
    /// It stays.
    Kept,
}

impl Relay {
    /// Relays to the till at `till`.
    pub(crate) async fn start(till: SocketAddr, mut dice: Dice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("bound");
        let weather = Arc::new(Weather { sky: watch::Sender::new(Sky::Changing), counts: Mutex::default() });
        tokio::spawn(weather.clone().change(dice.fork()));
        let shared = weather.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(shared.clone().carry(client, till, dice.fork()));
            }
        });
        Self { at, weather }
    }

    /// Where handhelds connect.
    pub(crate) fn at(&self) -> SocketAddr {
        self.at
    }

    /// Ends all faults, and the connections that have one.
    pub(crate) fn calm(&self) {
        self.weather.sky.send_replace(Sky::Calm);
    }

    /// How often what happened.
    pub(crate) fn counts(&self) -> String {
        let counts = self.weather.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(what, n)| format!("{n} {what}")).collect::<Vec<_>>().join(", ")
    }
}

impl Weather {
    fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    /// Gaps for all, every few seconds; after some of them, no connection is left.
    async fn change(self: Arc<Self>, mut dice: Dice) {
        loop {
            sleep(dice.millis(3_000, 9_000)).await;
            let length = dice.millis(500, 3_500);
            let roams = dice.percent(40);
            for (sky, time) in [(Sky::Gap, length), (Sky::Roamed, ROAMING), (Sky::Changing, Duration::ZERO)] {
                if sky == Sky::Roamed && !roams {
                    continue;
                }
                let was_calm = self.sky.send_if_modified(|now| {
                    let changes = *now != Sky::Calm;
                    if changes {
                        *now = sky;
                    }
                    changes
                });
                if !was_calm {
                    return;
                }
                match sky {
                    Sky::Gap => self.count("gaps"),
                    Sky::Roamed => self.count("times all roamed"),
                    _ => {}
                }
                sleep(time).await;
            }
        }
    }

    /// Waits until something may pass.
    async fn passes(&self) {
        self.sky.subscribe().wait_for(|sky| !matches!(sky, Sky::Gap)).await.ok();
    }

    async fn carry(self: Arc<Self>, client: TcpStream, till: SocketAddr, mut dice: Dice) {
        self.passes().await;
        // Any address of 127.0.0.0/8 is this machine's.
        let source = Ipv4Addr::new(127, 0, 1 + dice.below(250) as u8, 1 + dice.below(250) as u8);
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("a loopback address");
        let Ok(server) = socket.connect(till).await else { return self.count("connections without a till") };
        self.count("connections");
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("TCP");
        }
        let calm = *self.sky.borrow() == Sky::Calm;
        let fate = if calm { Fate::Kept } else { Fate::of(&mut dice) };
        self.clone().live(client, server, fate, dice).await;
    }

    async fn live(self: Arc<Self>, client: TcpStream, server: TcpStream, fate: Fate, mut dice: Dice) {
        let ((from_client, to_client), (from_till, to_till)) = (client.into_split(), server.into_split());
        let limit = |up: bool| match fate {
            Fate::Cut { to_till, bytes } if to_till == up => Some(bytes),
            _ => None,
        };
        let ends = |up: bool| match fate {
            Fate::HalfClosed { to_till, after } if to_till == up => Some(after),
            _ => None,
        };
        let silent = watch::Sender::new(false);
        let mut pump = |up: bool| {
            let (weather, silent) = (self.clone(), silent.subscribe());
            Pump { weather, dice: dice.fork(), left: limit(up), ends: ends(up), silent }
        };
        let (mut up, mut down) = (pump(true), pump(false));
        let mut sky = self.sky.subscribe();
        let fated = !matches!(fate, Fate::Kept);
        let ((mut from_client, mut to_client), (mut from_till, mut to_till)) =
            ((from_client, to_client), (from_till, to_till));
        let reset = tokio::select! {
            biased;
            // What is cut or silent in calm weather would be a fault.
            () = async { sky.wait_for(|sky| *sky == Sky::Roamed || *sky == Sky::Calm && fated).await.ok(); } => true,
            reset = self.fated(fate, &silent) => reset,
            cut = up.run(&mut from_client, &mut to_till) => { drain(cut, &mut down, &mut from_till, &mut to_client).await },
            cut = down.run(&mut from_till, &mut to_client) => { drain(cut, &mut up, &mut from_client, &mut to_till).await },
        };
        for (from, to) in [(from_client, to_client), (from_till, to_till)] {
            let Ok(stream) = from.reunite(to) else { continue };
            if reset {
                stream.set_zero_linger().ok();
            }
        }
    }

    /// Ends when it is time: true for a reset.
    async fn fated(&self, fate: Fate, silent: &watch::Sender<bool>) -> bool {
        match fate {
            Fate::Reset(after) => {
                sleep(after).await;
                self.count("resets");
                true
            }
            Fate::Closed(after) => {
                sleep(after).await;
                self.count("closes");
                false
            }
            Fate::Silent(after) => {
                sleep(after).await;
                self.count("silences");
                silent.send_replace(true);
                // Both ends have given up by then.
                sleep(SILENCE).await;
                true
            }
            _ => std::future::pending().await,
        }
    }
}

/// One direction has ended: the other may go on for a while if it was a half close.
async fn drain(cut: Ended, other: &mut Pump, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> bool {
    if cut == Ended::Finished {
        tokio::time::timeout(HALF, other.run(from, to)).await.ok();
    }
    cut == Ended::Cut
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Finished,
    Cut,
}

/// One direction of a connection.
struct Pump {
    weather: Arc<Weather>,
    dice: Dice,
    /// How many bytes pass before the cut.
    left: Option<u64>,
    /// When this direction is closed.
    ends: Option<Duration>,
    /// Nothing passes any more.
    silent: watch::Receiver<bool>,
}

impl Pump {
    async fn run(&mut self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> Ended {
        let ends = self.ends.take();
        let close = async {
            match ends {
                Some(after) => sleep(after).await,
                None => std::future::pending().await,
            }
        };
        let weather = self.weather.clone();
        let ended = tokio::select! {
            biased;
            () = close => { weather.count("half closes"); Ended::Finished }
            ended = self.copy(from, to) => ended,
        };
        if ended == Ended::Finished {
            to.shutdown().await.ok();
        }
        ended
    }

    async fn copy(&mut self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> Ended {
        let mut bytes = vec![0; 16 << 10];
        loop {
            let Ok(mut read @ 1..) = from.read(&mut bytes).await else { return Ended::Finished };
            self.linger().await;
            if let Some(left) = &mut self.left {
                read = read.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= read as u64;
            }
            if to.write_all(&bytes[..read]).await.is_err() {
                return Ended::Finished;
            }
            if self.left == Some(0) {
                self.weather.count("cuts");
                return Ended::Cut;
            }
        }
    }

    /// What comes after this is late.
    async fn linger(&mut self) {
        if *self.weather.sky.borrow() != Sky::Calm {
            if self.dice.percent(40) {
                sleep(self.dice.millis(1, 80)).await;
            }
            if self.dice.percent(1) {
                self.weather.count("stalls");
                sleep(self.dice.millis(500, 4_000)).await;
            }
        }
        self.weather.passes().await;
        self.silent.wait_for(|silent| !silent).await.ok();
    }
}

impl Fate {
    fn of(dice: &mut Dice) -> Self {
        let after = dice.millis(200, 9_000);
        match dice.below(100) {
            0..40 => Self::Cut { to_till: dice.percent(50), bytes: 1 + dice.below(24_000) },
            40..55 => Self::Reset(after),
            55..65 => Self::Closed(after),
            65..80 => Self::HalfClosed { to_till: dice.percent(50), after },
            80..88 => Self::Silent(after),
            _ => Self::Kept,
        }
    }
}

const ROAMING: Duration = Duration::from_millis(50);
/// How long the other direction of a half closed connection goes on.
const HALF: Duration = Duration::from_secs(2);
/// Longer than either end waits for the other.
const SILENCE: Duration = Duration::from_secs(40);
