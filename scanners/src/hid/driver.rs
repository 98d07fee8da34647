//! The driver: a decoder on a link.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tresen_hal::{BoxFuture, Clock, Driver, Error, Kind, Link, Result};

use super::layout::{Command, Layout};
use super::wire::{Code, Counters, Decoder};
use crate::{Capabilities, Scan};

/// A scanner in HID point-of-sale mode. Each chunk of its link is one report.
///
/// The device stays disabled when its link is closed: if another program may have disabled it, call
/// [`set_enabled`](crate::Scanner::set_enabled) after opening. [`Driver::close`] enables it again.
///
/// If the descriptor declares no control to prevent reading, scans are dropped while it is disabled.
#[derive(Debug)]
pub struct Scanner {
    link: Box<dyn Link>,
    name: String,
    clock: Arc<dyn Clock>,
    decoder: Decoder,
    input: Vec<u8>,
    settle: Duration,
    /// When reports stop being stale; set by the first call of `event`.
    settled: Option<Instant>,
    stale: u64,
    enabled: bool,
    triggered: bool,
    dropped: u64,
    capabilities: Capabilities,
}

impl Scanner {
    /// A scanner on an open link, enabled, whose reports have this layout. Reports that arrive within `settle` of the
    /// first call of `event` are discarded as stale. `name` is the device of its scans and errors; `clock` dates its
    /// scans.
    pub fn new(
        link: Box<dyn Link>,
        name: impl Into<String>,
        layout: Layout,
        settle: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let capabilities = Capabilities {
            enable: layout.knows(Command::PreventRead).into(),
            beep: (layout.knows(Command::GoodBeep) || bad_beep(&layout).is_some()).into(),
            trigger: layout.knows(Command::InitiateRead).into(),
            symbology: layout.has_aim().into(),
        };
        Self {
            link,
            name: name.into(),
            clock,
            decoder: Decoder::new(layout),
            input: Vec::new(),
            settle,
            settled: None,
            stale: 0,
            enabled: true,
            triggered: false,
            dropped: 0,
            capabilities,
        }
    }

    /// How much was discarded as invalid.
    pub fn counters(&self) -> Counters {
        self.decoder.counters()
    }

    /// Reports discarded as stale.
    pub fn stale(&self) -> u64 {
        self.stale
    }

    /// Scans dropped while it was disabled.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Sends the report that sets or clears `command`. Prevent Read and Initiate Read keep their state, even if they
    /// share that report.
    async fn command(&mut self, command: Command, on: bool) -> Result<()> {
        let mut held = Vec::new();
        if !self.enabled {
            held.push(Command::PreventRead);
        }
        if self.triggered {
            held.push(Command::InitiateRead);
        }
        let layout = self.decoder.layout();
        let report = if on { layout.output(command, &held) } else { layout.release(command, &held) };
        let Some(report) = report else {
            return Err(Error::new(Kind::Unsupported, format!("its report descriptor has no {}", name(command)))
                .at(&self.name)
                .hint("configure it with the codes in its manual"));
        };
        tracing::trace!(device = %self.name, bytes = ?report, "sent");
        self.link.send(&report).await.map_err(|e| e.at(&self.name))
    }

    fn scan(&self, code: Code) -> Scan {
        let at = self.clock.wall();
        let scan = match code.aim {
            Some(aim) => Scan::reported(aim, code.data, at),
            None => Scan::plain(code.data, at),
        };
        scan.from_device(&self.name)
    }
}

/// The beep for a bad scan: Error, or else Not On File.
fn bad_beep(layout: &Layout) -> Option<Command> {
    [Command::ErrorBeep, Command::NotOnFileBeep].into_iter().find(|c| layout.knows(*c))
}

fn name(command: Command) -> &'static str {
    match command {
        Command::PreventRead => "control to prevent reading",
        Command::InitiateRead => "trigger",
        Command::ErrorBeep | Command::NotOnFileBeep => "beep for a bad scan",
        Command::GoodBeep => "beep for a good scan",
    }
}

impl Driver for Scanner {
    type Event = Scan;

    fn event(&mut self) -> BoxFuture<'_, Result<Scan>> {
        Box::pin(async move {
            let settled = *self.settled.get_or_insert_with(|| Instant::now() + self.settle);
            loop {
                if !self.input.is_empty() {
                    tracing::trace!(device = %self.name, bytes = self.input.len(), "received");
                    let now = Instant::now();
                    if now < settled {
                        self.stale += 1;
                        tracing::debug!(device = %self.name, "discarded a stale report");
                    } else {
                        self.decoder.feed(&self.input, now.into_std());
                    }
                    self.input.clear();
                }
                while let Some(code) = self.decoder.next_code() {
                    // The scanner releases its trigger after a read.
                    self.triggered = false;
                    if self.enabled {
                        return Ok(self.scan(code));
                    }
                    self.dropped += 1;
                    tracing::debug!(device = %self.name, "dropped a scan while disabled");
                }
                self.link.recv(&mut self.input).await.map_err(|e| e.at(&self.name))?;
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if !self.enabled && self.capabilities.enable.is_yes() {
                self.enabled = true;
                if let Err(error) = self.command(Command::PreventRead, false).await {
                    tracing::debug!(%error, "cannot enable it again");
                }
            }
            self.link.close().await;
        })
    }
}

impl crate::Scanner for Scanner {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn set_enabled(&mut self, enabled: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if enabled && !self.enabled {
                // The rest of a code that began while disabled is not a code.
                self.decoder.discard();
            }
            self.enabled = enabled;
            self.triggered &= enabled;
            if self.capabilities.enable.is_yes() { self.command(Command::PreventRead, !enabled).await } else { Ok(()) }
        })
    }

    fn beep(&mut self, good: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let bad = bad_beep(self.decoder.layout()).unwrap_or(Command::ErrorBeep);
            self.command(if good { Command::GoodBeep } else { bad }, true).await
        })
    }

    fn trigger(&mut self, on: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.triggered = on;
            self.command(Command::InitiateRead, on).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hid::sim::{DESCRIPTOR, Fault as SimFault, Simulator};
    use crate::{Scanner as _, Symbology};
    use tresen_hal::link::fault::{Fault, Plan};
    use tresen_hal::link::memory;
    use tresen_hal::sim::{Shared, link as serve};
    use tresen_hal::{Known, ManualClock, SystemClock};

    /// A driver and its simulator, over a link with the faults of `plan`.
    fn bound(sim: Simulator, plan: Plan) -> (Scanner, Shared<Simulator>) {
        settling(sim, plan, Duration::ZERO)
    }

    fn settling(sim: Simulator, plan: Plan, settle: Duration) -> (Scanner, Shared<Simulator>) {
        let (near, far) = memory::pair();
        let sim = Shared::new(sim);
        let served = sim.clone();
        tokio::spawn(async move { serve(&far, &served).await });
        let clock = ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
        let layout = Layout::from_descriptor(DESCRIPTOR).expect("good");
        let link = Box::new(Fault::new(near, plan));
        let scanner = Scanner::new(link, "till", layout, settle, Arc::new(clock));
        (scanner, sim)
    }

    fn usual() -> (Scanner, Shared<Simulator>) {
        bound(Simulator::new(), Plan::default())
    }

    /// A scanner without descriptor.
    fn standard(link: memory::Memory) -> Scanner {
        Scanner::new(Box::new(link), "till", Layout::standard(), Duration::ZERO, Arc::new(SystemClock))
    }

    /// Lets the simulator process what was sent to it.
    async fn served() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn scans_carry_symbology_device_and_time() {
        let (mut scanner, sim) = usual();
        let long = "0123456789".repeat(20);
        sim.with(|s| {
            s.scan("4006381333931", Symbology::Ean13);
            s.scan(&long, Symbology::Qr);
            s.scan("x", Symbology::Unknown);
        });
        let scan = scanner.event().await.expect("a scan");
        assert_eq!((scan.text.as_str(), scan.symbology), ("4006381333931", Symbology::Ean13));
        assert_eq!((scan.device.as_str(), scan.at.to_string()), ("till", "2026-01-02T08:00:00Z".into()));
        assert_eq!(scanner.event().await.expect("of four reports").text, long);
        assert_eq!(scanner.event().await.expect("without identifier").aim, None);
        assert_eq!(scanner.counters(), Counters::default());
    }

    #[tokio::test(start_paused = true)]
    async fn survives_faults_of_the_scanner() {
        let (mut scanner, sim) = usual();
        sim.with(|s| {
            for fault in [SimFault::Overlong, SimFault::Truncated, SimFault::Unended] {
                s.fault_next(fault);
                s.scan("0123456789".repeat(12), Symbology::Qr);
                s.scan("4006381333931", Symbology::Ean13);
            }
        });
        for _ in 0..3 {
            assert_eq!(scanner.event().await.expect("a scan").text, "4006381333931");
        }
        let counters = scanner.counters();
        assert_eq!((counters.invalid, counters.abandoned), (2, 1));
    }

    /// HID links do not split reports. If one did, codes would be lost, never wrong.
    #[tokio::test(start_paused = true)]
    async fn split_reports_make_no_wrong_codes() {
        for seed in 0..20 {
            let (mut scanner, sim) = bound(Simulator::new(), Plan { split: Some(seed), ..Plan::default() });
            for _ in 0..20 {
                sim.with(|s| s.scan("4006381333931", Symbology::Ean13));
            }
            while let Ok(scan) = tokio::time::timeout(Duration::from_secs(1), scanner.event()).await {
                assert_eq!(scan.expect("a scan").text, "4006381333931");
            }
            assert!(scanner.counters().invalid + scanner.counters().unknown > 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_loses_nothing() {
        let (near, far) = memory::pair();
        let mut scanner = standard(near);
        for (piece, more) in [([b'1'; 56], 1), ([b'2'; 56], 1)] {
            let report = [&b"\x02\x38]Q1"[..], &piece, &[0, 0, more]].concat();
            far.send(&report).await.expect("open");
            tokio::time::timeout(Duration::from_millis(3), scanner.event()).await.expect_err("more is to come");
        }
        let report = [&b"\x02\x01]Q13"[..], &[0; 58]].concat();
        far.send(&report).await.expect("open");
        let expected = ["1".repeat(56), "2".repeat(56), "3".into()].concat();
        assert_eq!(scanner.event().await.expect("a scan").text, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_stale_is_dropped() {
        let (mut scanner, sim) = settling(Simulator::new(), Plan::default(), Duration::from_millis(250));
        sim.with(|s| s.scan("old", Symbology::Code128));
        tokio::time::timeout(Duration::from_millis(249), scanner.event()).await.expect_err("it is stale");
        assert_eq!(scanner.stale(), 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
        sim.with(|s| s.scan("new", Symbology::Code128));
        assert_eq!(scanner.event().await.expect("a scan").text, "new");
    }

    #[tokio::test(start_paused = true)]
    async fn is_disabled_enabled_and_beeps() {
        let (mut scanner, sim) = usual();
        scanner.set_enabled(false).await.expect("sent");
        scanner.beep(false).await.expect("sent");
        served().await;
        assert!(!sim.with(|s| s.is_enabled()), "a beep does not let it read");
        sim.with(|s| s.scan("1", Symbology::Code128));
        scanner.set_enabled(true).await.expect("sent");
        scanner.beep(true).await.expect("sent");
        served().await;
        sim.with(|s| s.scan("2", Symbology::Code128));
        assert_eq!(scanner.event().await.expect("a scan").text, "2");
        assert_eq!(sim.with(|s| s.beeps().to_vec()), [Command::ErrorBeep, Command::GoodBeep]);
        assert_eq!((sim.with(|s| s.missed()), scanner.dropped()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_trigger_makes_it_read() {
        let (mut scanner, sim) = bound(Simulator::triggered(), Plan::default());
        sim.with(|s| s.scan("1", Symbology::Code128));
        tokio::time::timeout(Duration::from_secs(1), scanner.event()).await.expect_err("its trigger is not pressed");
        scanner.trigger(true).await.expect("sent");
        assert_eq!(scanner.event().await.expect("a scan").text, "1");
        scanner.trigger(true).await.expect("sent");
        scanner.trigger(false).await.expect("sent");
        served().await;
        assert!(!sim.with(|s| s.is_triggered()));
    }

    #[tokio::test(start_paused = true)]
    async fn closing_lets_it_read_again() {
        let (mut scanner, sim) = usual();
        scanner.set_enabled(false).await.expect("sent");
        scanner.close().await;
        served().await;
        assert!(sim.with(|s| s.is_enabled()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_controls_it_drops_and_says_so() {
        let (near, far) = memory::pair();
        let mut scanner = standard(near);
        let Capabilities { enable, beep, trigger, symbology } = scanner.capabilities().clone();
        assert_eq!((enable, beep, trigger, symbology), (Known::No, Known::No, Known::No, Known::Yes));
        let report = |data: u8| [&b"\x02\x01]C0"[..], &[data], &[0; 58]].concat();
        scanner.set_enabled(false).await.expect("always");
        far.send(&report(b'1')).await.expect("open");
        tokio::time::timeout(Duration::from_secs(1), scanner.event()).await.expect_err("no event");
        assert_eq!(scanner.dropped(), 1);
        scanner.set_enabled(true).await.expect("always");
        far.send(&report(b'2')).await.expect("open");
        assert_eq!(scanner.event().await.expect("a scan").text, "2");
        for error in [scanner.beep(true).await, scanner.beep(false).await, scanner.trigger(true).await] {
            let error = error.expect_err("not declared");
            assert_eq!((error.kind(), error.device()), (Kind::Unsupported, Some("till")));
            assert!(error.next_step().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_link_names_the_scanner() {
        let (mut scanner, sim) = bound(Simulator::new(), Plan { cut_before_recv: Some(1), ..Plan::default() });
        sim.with(|s| {
            s.scan("1", Symbology::Code128);
            s.scan("2", Symbology::Code128);
        });
        assert_eq!(scanner.event().await.expect("the first").text, "1");
        let error = scanner.event().await.expect_err("cut");
        assert_eq!((error.kind(), error.device()), (Kind::Closed, Some("till")));
    }
}
