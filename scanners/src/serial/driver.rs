//! The driver: a decoder on a link.

use std::sync::Arc;

use tresen_hal::{BoxFuture, Clock, Driver, Error, Kind, Known, Link, Result};

use super::options::{Commands, Options};
use super::wire::{Counters, Decoder};
use crate::listener::Listener;
use crate::{Capabilities, Scan};

/// Starts a scanner on an open link, enabled. `name` is the device of its scans and errors; `clock` dates its scans.
///
/// # Errors
/// [`Kind::Config`]: with this framing no code would ever be complete.
pub fn open(link: Box<dyn Link>, name: impl Into<String>, options: Options, clock: Arc<dyn Clock>) -> Result<Scanner> {
    let name = name.into();
    options.framing.check().map_err(|e| e.at(&name))?;
    let Options { framing, commands } = options;
    let sends_identifiers = framing.aim || framing.code_id.is_some();
    let mut listener = Listener::new(link, name, clock, Decoder::new(framing), sends_identifiers);
    listener.capabilities.trigger = Known::from(commands != Commands::None);
    Ok(Scanner { listener, commands })
}

/// A scanner that sends lines. It has no command to stop reading, so while it is disabled its scans are dropped.
#[derive(Debug)]
pub struct Scanner {
    listener: Listener<Decoder>,
    commands: Commands,
}

impl Scanner {
    /// Codes that were discarded, by reason.
    pub fn counters(&self) -> Counters {
        self.listener.decoder.counters()
    }

    /// Scans dropped while it was disabled.
    pub fn dropped(&self) -> u64 {
        self.listener.dropped
    }
}

impl Driver for Scanner {
    type Event = Scan;

    fn event(&mut self) -> BoxFuture<'_, Result<Scan>> {
        Box::pin(self.listener.next())
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.listener.link.close()
    }
}

impl crate::Scanner for Scanner {
    fn capabilities(&self) -> &Capabilities {
        &self.listener.capabilities
    }

    fn set_enabled(&mut self, enabled: bool) -> BoxFuture<'_, Result<()>> {
        self.listener.set_enabled(enabled);
        Box::pin(std::future::ready(Ok(())))
    }

    fn beep(&mut self, _good: bool) -> BoxFuture<'_, Result<()>> {
        let error = Error::new(Kind::Unsupported, "no beep command is known for it").at(&self.listener.name);
        Box::pin(std::future::ready(Err(error)))
    }

    fn trigger(&mut self, on: bool) -> BoxFuture<'_, Result<()>> {
        let command: Result<&[u8]> = match (self.commands, on) {
            (Commands::Honeywell, true) => Ok(b"\x16T\r"),
            (Commands::Honeywell, false) => Ok(b"\x16U\r"),
            (Commands::None, _) => Err(Error::new(Kind::Unsupported, "no trigger command is known for it")
                .hint("if it is Honeywell's, add `commands=honeywell` to its address")),
        };
        Box::pin(async move {
            let sent = async { self.listener.link.send(command?).await };
            sent.await.map_err(|e| e.at(&self.listener.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::sim::{Fault as SimFault, Settings, Simulator};
    use crate::serial::{Framing, Suffix};
    use crate::{Scanner as _, Symbology};
    use std::time::Duration;
    use tokio::time::Instant;
    use tresen_hal::link::fault::{Fault, Plan};
    use tresen_hal::link::memory;
    use tresen_hal::sim::{Shared, link as serve};
    use tresen_hal::{ManualClock, SystemClock};

    /// A driver and its simulator, over a link with the faults of `plan`.
    fn bound(sim: Simulator, options: Options, plan: Plan) -> (Scanner, Shared<Simulator>) {
        let (near, far) = memory::pair();
        let sim = Shared::new(sim);
        let served = sim.clone();
        tokio::spawn(async move { serve(&far, &served).await });
        let clock = ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
        let scanner = open(Box::new(Fault::new(near, plan)), "till", options, Arc::new(clock));
        (scanner.expect("good"), sim)
    }

    fn usual() -> (Scanner, Shared<Simulator>) {
        bound(Simulator::new(Settings::default()), Options::default(), Plan::default())
    }

    #[tokio::test(start_paused = true)]
    async fn scans_carry_symbology_device_and_time() {
        let (mut scanner, sim) = usual();
        assert_eq!(scanner.capabilities().symbology, Known::Unknown);
        sim.with(|s| s.scan("4006381333931", Symbology::Ean13));
        let scan = scanner.event().await.expect("a scan");
        assert_eq!((scan.text.as_str(), scan.symbology), ("4006381333931", Symbology::Ean13));
        assert_eq!((scan.device.as_str(), scan.at.to_string()), ("till", "2026-01-02T08:00:00Z".into()));
        assert_eq!(scanner.capabilities().symbology, Known::Yes);
    }

    #[tokio::test(start_paused = true)]
    async fn survives_splitting_and_faults_of_the_scanner() {
        for seed in 0..20 {
            let plan = Plan { split: Some(seed), ..Plan::default() };
            let (mut scanner, sim) = bound(Simulator::new(Settings::default()), Options::default(), plan);
            let mut texts = Vec::new();
            for (code, fault) in [
                ("12345670", Some(SimFault::TwoInOneChunk)),
                ("96385074", None),
                ("33333333", Some(SimFault::Truncated)),
                ("44444444", Some(SimFault::Noise)),
                ("55555555", None),
            ] {
                sim.with(|s| {
                    if let Some(fault) = fault {
                        s.fault_next(fault);
                    }
                    s.scan(code, Symbology::Code128);
                });
                let pause = Duration::from_millis(500);
                while let Ok(scan) = tokio::time::timeout(pause, scanner.event()).await {
                    texts.push(scan.expect("a scan").text);
                }
            }
            // Noise takes its code with it.
            assert_eq!(texts, ["12345670", "96385074", "3333", "55555555"], "seed {seed}");
            assert_eq!(scanner.counters().garbled, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_loses_nothing() {
        let (mut scanner, sim) = usual();
        sim.with(|s| s.fault_next(SimFault::Slow));
        sim.with(|s| s.scan("4006381333931", Symbology::Ean13));
        let mut waits = 0;
        let scan = loop {
            match tokio::time::timeout(Duration::from_millis(3), scanner.event()).await {
                Ok(scan) => break scan.expect("a scan"),
                Err(_) => waits += 1,
            }
        };
        assert!(waits > 3, "it came in pieces, over {waits} waits");
        assert_eq!(scan.text, "4006381333931");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_ends_a_code_without_suffix() {
        let settings = Settings { suffix: Vec::new(), ..Settings::default() };
        let framing = Framing { gap: Some(Duration::from_millis(100)), ..Framing::default() };
        let options = Options { framing, ..Options::default() };
        let (mut scanner, sim) = bound(Simulator::new(settings), options, Plan::default());
        sim.with(|s| s.scan("4006381333931", Symbology::Ean13));
        let start = Instant::now();
        assert_eq!(scanner.event().await.expect("a scan").text, "4006381333931");
        assert_eq!(start.elapsed(), Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn drops_what_comes_while_disabled() {
        let (mut scanner, sim) = usual();
        scanner.set_enabled(false).await.expect("always");
        sim.with(|s| s.scan("1", Symbology::Code128));
        tokio::time::timeout(Duration::from_secs(1), scanner.event()).await.expect_err("no event");
        assert_eq!(scanner.dropped(), 1);
        scanner.set_enabled(true).await.expect("always");
        sim.with(|s| s.scan("2", Symbology::Code128));
        assert_eq!(scanner.event().await.expect("a scan").text, "2");
    }

    #[tokio::test(start_paused = true)]
    async fn the_trigger_makes_it_read() {
        let settings = Settings { triggered: true, ..Settings::default() };
        let options = Options { commands: Commands::Honeywell, ..Options::default() };
        let (mut scanner, sim) = bound(Simulator::new(settings), options, Plan::default());
        assert!(scanner.capabilities().trigger.is_yes());
        sim.with(|s| s.scan("1", Symbology::Code128));
        tokio::time::timeout(Duration::from_secs(1), scanner.event()).await.expect_err("its trigger is not pressed");
        scanner.trigger(true).await.expect("sent");
        assert_eq!(scanner.event().await.expect("a scan").text, "1");
        let (mut plain, _sim) = usual();
        assert_eq!(plain.trigger(true).await.expect_err("unknown").kind(), Kind::Unsupported);
        assert_eq!(plain.beep(true).await.expect_err("cannot").kind(), Kind::Unsupported);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_link_names_the_scanner() {
        let plan = Plan { cut_before_recv: Some(1), ..Plan::default() };
        let (mut scanner, sim) = bound(Simulator::new(Settings::default()), Options::default(), plan);
        sim.with(|s| {
            s.scan("1", Symbology::Qr);
            s.scan("2", Symbology::Qr);
        });
        assert_eq!(scanner.event().await.expect("the first").text, "1");
        let error = scanner.event().await.expect_err("cut");
        assert_eq!((error.kind(), error.device()), (Kind::Closed, Some("till")));
    }

    #[tokio::test]
    async fn refuses_a_framing_that_completes_no_code() {
        let gapless = Framing { suffix: Suffix::None, ..Framing::default() };
        for framing in [gapless, Framing { max: 0, ..Framing::default() }] {
            let (near, _far) = memory::pair();
            let options = Options { framing, ..Options::default() };
            let error = open(Box::new(near), "till", options, Arc::new(SystemClock)).expect_err("useless");
            assert_eq!((error.kind(), error.device()), (Kind::Config, Some("till")));
        }
    }
}
