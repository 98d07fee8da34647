//! The driver: a decoder on a link.

use std::sync::Arc;

use tresen_hal::{BoxFuture, Clock, Driver, Error, Kind, Link, Result};

use super::options::Options;
use super::wire::{Counters, Decoder, Source};
use crate::listener::Listener;
use crate::{Capabilities, Scan};

/// Starts a scanner on an open link that carries `source`, enabled. `name` is the device of its scans and errors;
/// `clock` dates its scans.
///
/// # Errors
/// [`Kind::Config`]: with this framing no code would ever be complete.
pub fn open(
    link: Box<dyn Link>,
    name: impl Into<String>,
    options: Options,
    clock: Arc<dyn Clock>,
    source: Source,
) -> Result<Scanner> {
    let name = name.into();
    let Options { layout, framing } = options;
    framing.check().map_err(|e| e.at(&name))?;
    let sends_identifiers = framing.aim || framing.code_id.is_some();
    Ok(Scanner(Listener::new(link, name, clock, Decoder::new(source, layout, framing), sends_identifiers)))
}

/// A scanner in keyboard mode. It accepts no commands, so while it is disabled its scans are dropped.
#[derive(Debug)]
pub struct Scanner(Listener<Decoder>);

impl Scanner {
    fn unsupported(&self, what: &str) -> Error {
        Error::new(Kind::Unsupported, what)
            .at(&self.0.name)
            .hint("set the scanner to HID POS mode by the code in its manual")
    }

    /// How much was discarded, by reason.
    pub fn counters(&self) -> Counters {
        self.0.decoder.counters()
    }

    /// Scans dropped while it was disabled.
    pub fn dropped(&self) -> u64 {
        self.0.dropped
    }
}

impl Driver for Scanner {
    type Event = Scan;

    fn event(&mut self) -> BoxFuture<'_, Result<Scan>> {
        Box::pin(self.0.next())
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.0.link.close()
    }
}

impl crate::Scanner for Scanner {
    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    fn set_enabled(&mut self, enabled: bool) -> BoxFuture<'_, Result<()>> {
        self.0.set_enabled(enabled);
        Box::pin(std::future::ready(Ok(())))
    }

    fn beep(&mut self, _good: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Err(self.unsupported("keyboard mode has no beep command"))))
    }

    fn trigger(&mut self, _on: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Err(self.unsupported("keyboard mode has no trigger command"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wedge::sim::{End, Fault as SimFault, Form, Settings, Simulator};
    use crate::wedge::{KeyReport, Layout};
    use crate::{Scanner as _, Symbology};
    use std::time::Duration;
    use tokio::time::Instant;
    use tresen_hal::link::fault::{Fault, Plan};
    use tresen_hal::link::memory;
    use tresen_hal::sim::{Shared, link as serve};
    use tresen_hal::{Address, Known, ManualClock, SystemClock};

    /// A driver and its simulator, over a link with the faults of `plan`.
    fn bound(settings: Settings, options: &str, plan: Plan) -> (Scanner, Shared<Simulator>) {
        let (near, far) = memory::pair();
        let source = match settings.form {
            Form::Evdev => Source::Evdev,
            Form::Reports => Source::Reports(KeyReport::BOOT),
        };
        let sim = Shared::new(Simulator::new(settings));
        let served = sim.clone();
        tokio::spawn(async move { serve(&far, &served).await });
        let clock = ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
        let address: Address = format!("scanner+hid://05e0:1200?{options}").parse().expect("an address");
        let options = Options::from_address(&address).expect("good");
        let scanner = open(Box::new(Fault::new(near, plan)), "till", options, Arc::new(clock), source);
        (scanner.expect("good"), sim)
    }

    fn usual() -> (Scanner, Shared<Simulator>) {
        bound(Settings::default(), "", Plan::default())
    }

    #[tokio::test(start_paused = true)]
    async fn scans_carry_symbology_device_and_time() {
        let (mut scanner, sim) = bound(Settings { aim: true, ..Settings::default() }, "", Plan::default());
        sim.with(|s| s.scan("4006381333931", Symbology::Ean13));
        let scan = scanner.event().await.expect("a scan");
        assert_eq!((scan.text.as_str(), scan.symbology), ("4006381333931", Symbology::Ean13));
        assert_eq!((scan.device.as_str(), scan.at.to_string()), ("till", "2026-01-02T08:00:00Z".into()));
    }

    /// What a scanner types is read back: every layout, both formats, keys and Alt codes.
    #[tokio::test(start_paused = true)]
    async fn any_layout_types_any_code() {
        let codes: [&[u8]; 5] = [
            b"4006381333931",
            b"]d2010400638133393110AB\x1d21~^`|",
            "Müsli 5€ \"Käse\" @{[\\]}".as_bytes(),
            b"\x01\x02\x1b\x1c\x1d\x1e\x1f M\xfcsli\x00\xff",
            b"https://example.com/?a=b&c=d#e",
        ];
        for form in [Form::Evdev, Form::Reports] {
            for layout in Layout::ALL {
                for alt in [false, true] {
                    let settings = Settings { form, layout, alt, ..Settings::default() };
                    let options = format!("layout={layout}&aim=false");
                    let (mut scanner, sim) = bound(settings, &options, Plan::default());
                    for code in codes {
                        sim.with(|s| s.scan(code, Symbology::Unknown));
                        let scan = scanner.event().await.expect("a scan");
                        assert_eq!(scan.bytes.escape_ascii().to_string(), code.escape_ascii().to_string(), "{layout}");
                    }
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn survives_splitting_and_faults_of_the_scanner() {
        for form in [Form::Evdev, Form::Reports] {
            for seed in 0..10 {
                // Every link keeps reports whole; events may be split.
                let split = (form == Form::Evdev).then_some(seed);
                let settings = Settings { form, ..Settings::default() };
                let (mut scanner, sim) = bound(settings, "", Plan { split, ..Plan::default() });
                let mut scanned = async |fault: Option<SimFault>, code: &str| {
                    sim.with(|s| {
                        fault.into_iter().for_each(|f| s.fault_next(f));
                        s.scan(code, Symbology::Code128);
                    });
                    let waited = tokio::time::timeout(Duration::from_secs(2), scanner.event()).await;
                    waited.ok().map(|scan| scan.expect("a scan").text)
                };
                assert_eq!(scanned(Some(SimFault::Repeated), "123").await.as_deref(), Some("123"));
                assert_eq!(scanned(Some(SimFault::MissingEnter), "456").await.as_deref(), Some("456"));
                assert_eq!(scanned(Some(SimFault::NeverReleased), "789").await.as_deref(), Some("789"));
                assert_eq!(
                    scanned(None, "012").await.as_deref(),
                    Some("012"),
                    "its Enter is hidden, so the gap ends it"
                );
                assert_eq!(scanned(None, "345").await.as_deref(), Some("345"));
                let lost = scanned(Some(SimFault::Lost), "678901").await;
                match form {
                    Form::Evdev => assert_eq!((lost, scanner.counters().interrupted), (None, 1)),
                    // A missing report goes unnoticed; only a check digit could reveal it.
                    Form::Reports => assert_eq!(lost.as_deref(), Some("67801")),
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_loses_nothing() {
        let (near, far) = memory::pair();
        let clock = Arc::new(SystemClock);
        let mut scanner = open(Box::new(near), "till", Options::default(), clock, Source::Evdev).expect("good");
        // KEY_4 (5) down, half an event, the other half: KEY_0 (11) down.
        for piece in [&[1, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[1, 0, 11], &[0, 1, 0, 0, 0]] {
            far.send(piece).await.expect("open");
            tokio::time::timeout(Duration::from_millis(3), scanner.event()).await.expect_err("Enter is to come");
        }
        far.send(&[1, 0, 28, 0, 1, 0, 0, 0]).await.expect("open");
        assert_eq!(scanner.event().await.expect("a scan").text, "40");
    }

    #[tokio::test(start_paused = true)]
    async fn tab_or_nothing_may_end_a_code() {
        let settings = Settings { end: End::Tab, ..Settings::default() };
        let (mut scanner, sim) = bound(settings, "suffix=tab", Plan::default());
        sim.with(|s| s.scan("1\r2", Symbology::Code128));
        assert_eq!(scanner.event().await.expect("a scan").text, "1\r2");
        let settings = Settings { end: End::None, ..Settings::default() };
        let (mut scanner, sim) = bound(settings, "suffix=none&gap=150", Plan::default());
        let start = Instant::now();
        sim.with(|s| s.scan("12", Symbology::Code128));
        assert_eq!(scanner.event().await.expect("a scan").text, "12");
        assert_eq!(start.elapsed(), Duration::from_millis(150));
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
        assert_eq!((scanner.capabilities().enable, scanner.capabilities().beep), (Known::No, Known::No));
        let error = scanner.beep(true).await.expect_err("cannot");
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("HID POS"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_link_names_the_scanner() {
        let plan = Plan { cut_before_recv: Some(3), ..Plan::default() };
        let (mut scanner, sim) = bound(Settings::default(), "", plan);
        sim.with(|s| s.scan("12", Symbology::Code128));
        let error = scanner.event().await.expect_err("cut");
        assert_eq!((error.kind(), error.device()), (Kind::Closed, Some("till")));
    }
}
