//! Binds the decoder to a link.

use std::sync::Arc;

use tresen_hal::{Address, BoxFuture, Clock, Driver, Error, Kind, Link, Result};

use super::wire::{Counters, Decoder, Framing};
use crate::listener::Listener;
use crate::{Capabilities, Scan, Scanner};

/// The options that [`SerialScanner::from_address`] reads, besides those of the link.
pub const OPTIONS: [&str; 9] = ["prefix", "suffix", "quiet", "gap", "aim", "code-id", "upc-e", "max", "commands"];

/// Which commands a scanner understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Commands {
    /// None that we know of.
    #[default]
    None,
    /// Honeywell's serial trigger: SYN T CR and SYN U CR.
    Honeywell,
}

/// A scanner that sends lines.
///
/// It cannot be told to stop, so while it is disabled its scans are dropped.
#[derive(Debug)]
pub struct SerialScanner {
    listener: Listener<Decoder>,
    commands: Commands,
    capabilities: Capabilities,
}

impl SerialScanner {
    /// A scanner on an open link, enabled. Its scans and errors carry `name`.
    pub fn new(link: Box<dyn Link>, name: impl Into<String>, framing: Framing) -> Self {
        let capabilities = Capabilities { symbology: framing.aim, ..Capabilities::default() };
        let listener = Listener::new(link, name.into(), Decoder::new(framing));
        Self { listener, commands: Commands::None, capabilities }
    }

    /// A scanner on an open link, as the options of `address` describe it: those of
    /// [`Framing::from_address`], and `commands` (`none`, `honeywell`).
    ///
    /// # Errors
    /// [`Kind::Address`] names the option and what is allowed.
    pub fn from_address(link: Box<dyn Link>, name: impl Into<String>, address: &Address) -> Result<Self> {
        let framing = Framing::from_address(address)?;
        let commands = match address.option("commands") {
            None | Some("none") => Commands::None,
            Some("honeywell") => Commands::Honeywell,
            Some(other) => {
                let why = format!("option `commands={other}`: allowed are none, honeywell");
                return Err(Error::new(Kind::Address, why).at(address.label()));
            }
        };
        Ok(Self::new(link, name, framing).with_commands(commands))
    }

    /// The same scanner with its timestamps from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.listener.clock = clock;
        self
    }

    /// The same scanner, which understands `commands`.
    #[must_use]
    pub fn with_commands(mut self, commands: Commands) -> Self {
        self.commands = commands;
        self.capabilities.trigger = commands != Commands::None;
        self
    }

    /// Codes that were thrown away because of their framing.
    pub fn counters(&self) -> Counters {
        self.listener.decoder.counters()
    }

    /// Scans that came while it was disabled.
    pub fn dropped(&self) -> u64 {
        self.listener.dropped
    }
}

impl Driver for SerialScanner {
    type Event = Scan;

    fn event(&mut self) -> BoxFuture<'_, Result<Scan>> {
        Box::pin(self.listener.next())
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.listener.link.close()
    }
}

impl Scanner for SerialScanner {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn set_enabled(&mut self, enabled: bool) -> BoxFuture<'_, Result<()>> {
        self.listener.set_enabled(enabled);
        Box::pin(std::future::ready(Ok(())))
    }

    fn beep(&mut self, _good: bool) -> BoxFuture<'_, Result<()>> {
        let error = Error::new(Kind::Unsupported, "it cannot be told to beep").at(&self.listener.name);
        Box::pin(std::future::ready(Err(error)))
    }

    fn trigger(&mut self, on: bool) -> BoxFuture<'_, Result<()>> {
        let command: Result<&[u8]> = match (self.commands, on) {
            (Commands::Honeywell, true) => Ok(b"\x16T\r"),
            (Commands::Honeywell, false) => Ok(b"\x16U\r"),
            (Commands::None, _) => Err(Error::new(Kind::Unsupported, "no command for its trigger is known")
                .hint("set `commands` in its address if it understands any")),
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
    use crate::Symbology;
    use crate::serial::sim::{Fault as SimFault, ScannerSim, Settings};
    use std::time::Duration;
    use tokio::time::Instant;
    use tresen_hal::ManualClock;
    use tresen_hal::link::fault::{Fault, Plan};
    use tresen_hal::link::memory;
    use tresen_hal::sim::{Shared, link as serve};

    /// A driver, bound to a simulator over a link that breaks as `plan` says.
    fn bound(sim: ScannerSim, framing: Framing, plan: Plan) -> (SerialScanner, Shared<ScannerSim>) {
        let (near, far) = memory::pair();
        let sim = Shared::new(sim);
        let served = sim.clone();
        tokio::spawn(async move { serve(&far, &served).await });
        let clock = ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
        let scanner = SerialScanner::new(Box::new(Fault::new(near, plan)), "till", framing).with_clock(Arc::new(clock));
        (scanner, sim)
    }

    fn usual() -> (SerialScanner, Shared<ScannerSim>) {
        bound(ScannerSim::new(Settings::default()), Framing::default(), Plan::default())
    }

    #[tokio::test(start_paused = true)]
    async fn scans_carry_symbology_device_and_time() {
        let (mut scanner, sim) = usual();
        sim.with(|s| s.scan("4006381333931", Symbology::Ean13));
        let scan = scanner.event().await.expect("a scan");
        assert_eq!((scan.text.as_str(), scan.symbology), ("4006381333931", Symbology::Ean13));
        assert_eq!((scan.device.as_str(), scan.at.to_string()), ("till", "2026-01-02T08:00:00Z".into()));
        assert!(scanner.capabilities().symbology);
    }

    #[tokio::test(start_paused = true)]
    async fn survives_splitting_and_faults_of_the_scanner() {
        for seed in 0..20 {
            let plan = Plan { split: Some(seed), ..Plan::default() };
            let (mut scanner, sim) = bound(ScannerSim::new(Settings::default()), Framing::default(), plan);
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
        let (mut scanner, sim) = bound(ScannerSim::new(settings), framing, Plan::default());
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
        let (scanner, sim) = bound(ScannerSim::new(settings), Framing::default(), Plan::default());
        let mut scanner = scanner.with_commands(Commands::Honeywell);
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
        let (mut scanner, sim) = bound(ScannerSim::new(Settings::default()), Framing::default(), plan);
        sim.with(|s| {
            s.scan("1", Symbology::Qr);
            s.scan("2", Symbology::Qr);
        });
        assert_eq!(scanner.event().await.expect("the first").text, "1");
        let error = scanner.event().await.expect_err("cut");
        assert_eq!((error.kind(), error.device()), (Kind::Closed, Some("till")));
    }

    #[tokio::test]
    async fn reads_its_address() {
        let (near, _far) = memory::pair();
        let address = "scanner+serial:///dev/ttyS0?commands=honeywell&suffix=%03".parse().expect("an address");
        let scanner = SerialScanner::from_address(Box::new(near), "till", &address).expect("good");
        assert_eq!(scanner.commands, Commands::Honeywell);
        let (near, _far) = memory::pair();
        let address = "scanner+serial:///dev/ttyS0?commands=zebra".parse().expect("an address");
        let error = SerialScanner::from_address(Box::new(near), "till", &address).expect_err("unknown");
        assert!(error.to_string().contains("honeywell"), "{error}");
    }
}
