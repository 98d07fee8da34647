//! Binds the decoder to a link.

use std::sync::Arc;
use std::time::Duration;

use tresen_hal::{Address, BoxFuture, Clock, Driver, Error, Kind, Link, Result};

use super::layout::Layout;
use super::wire::{Counters, Decoder, Source};
use crate::listener::Listener;
use crate::serial::{Framing, Suffix};
use crate::{Capabilities, Scan, Scanner};

/// The options that [`WedgeScanner::from_address`] reads, besides those of the link.
pub const OPTIONS: [&str; 9] = ["layout", "prefix", "suffix", "quiet", "gap", "aim", "code-id", "upc-e", "max"];

/// The silence that ends a code whose Enter did not come. Between two keys of one code pass about 10 ms with
/// Honeywell's scanners, 80 ms with Zebra's and up to 100 ms at times: three times that is no pause in a code,
/// and nobody scans the next article sooner.
const GAP: Duration = Duration::from_millis(300);

/// The silence after Enter that makes it the end of a code that may contain line breaks: longer than the pause
/// between two keys.
const QUIET: Duration = Duration::from_millis(250);

/// A scanner in keyboard mode.
///
/// It cannot be told anything, so while it is disabled its scans are dropped.
#[derive(Debug)]
pub struct WedgeScanner {
    listener: Listener<Decoder>,
    layout: Layout,
    framing: Framing,
    capabilities: Capabilities,
}

/// Checks the values of an address's options, as far as that goes without the device.
///
/// # Errors
/// [`Kind::Address`] names the option, its value and what is allowed.
pub fn check(address: &Address) -> Result<()> {
    settings(address).map(drop)
}

/// Reads the options of an address: `layout` (`us`, `de`, `fr`, `gb`, `ch`), `suffix` (`enter`, `tab`, `none`),
/// `gap` in milliseconds, `prefix` (percent-encoded text), `aim` (`true`, `false`) and `max` in bytes.
fn settings(address: &Address) -> Result<(Layout, Framing)> {
    let suffix = match address.option("suffix") {
        None | Some("enter") => "\r",
        Some("tab") => "\t",
        Some("none") => "none",
        Some(other) => {
            let why = format!("option `suffix={other}`: allowed are enter, tab, none");
            return Err(Error::new(Kind::Address, why).at(address.label()));
        }
    };
    let layout = address.option_as("layout")?.unwrap_or_default();
    let mut framing = Framing::from_address(&address.clone().with("suffix", suffix))?;
    if address.option("quiet").is_none() {
        framing.quiet = QUIET;
    }
    let given = address.option_as::<u64>("gap")?.map(Duration::from_millis);
    framing.gap = match given {
        None => Some(GAP),
        // Without a suffix nothing else ends a code.
        Some(Duration::ZERO) => (framing.suffix == Suffix::None).then_some(GAP),
        given => given,
    };
    Ok((layout, framing))
}

impl WedgeScanner {
    /// A scanner on an open link, enabled. Its scans and errors carry `name`. Enter is CR and Tab is TAB to
    /// `framing`.
    pub fn new(link: Box<dyn Link>, name: impl Into<String>, source: Source, layout: Layout, framing: Framing) -> Self {
        let capabilities = Capabilities { symbology: framing.aim, ..Capabilities::default() };
        let decoder = Decoder::new(source, layout, framing.clone());
        Self { listener: Listener::new(link, name.into(), decoder), layout, framing, capabilities }
    }

    /// A scanner on an open link with Linux input events, as the options of `address` describe it:
    ///
    /// | option | is | without it |
    /// |---|---|---|
    /// | `layout` | the scanner's keyboard layout: `us`, `de`, `fr`, `gb`, `ch` | `us` |
    /// | `suffix` | what it types after a code: `enter`, `tab`, `none` | `enter` |
    /// | `quiet` | the silence after its Enter that ends a code with line breaks in it, in milliseconds | 250 |
    /// | `gap` | the silence that ends a code too, in milliseconds; 0 for never | 300 |
    /// | `prefix` | what it types before a code, percent-encoded | nothing |
    /// | `aim` | whether `]cm` in front is an AIM identifier | `true` |
    /// | `code-id` | the vendor's identifier in front: `honeywell`, `zebra`, `datalogic` | none |
    /// | `upc-e` | UPC-E without identifier: `8` digits, `6` digits, `none` | refused where ambiguous |
    /// | `max` | the longest code, in bytes | 8192 |
    ///
    /// # Errors
    /// [`Kind::Address`] names the option and what is allowed.
    pub fn from_address(link: Box<dyn Link>, name: impl Into<String>, address: &Address) -> Result<Self> {
        let (layout, framing) = settings(address)?;
        Ok(Self::new(link, name, Source::Evdev, layout, framing))
    }

    /// The same scanner, of which the link carries `source`.
    #[must_use]
    pub fn with_source(mut self, source: Source) -> Self {
        self.listener.decoder = Decoder::new(source, self.layout, self.framing.clone());
        self
    }

    /// The same scanner with its timestamps from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.listener.clock = clock;
        self
    }

    fn deaf(&self, what: &str) -> Error {
        Error::new(Kind::Unsupported, what)
            .at(&self.listener.name)
            .hint("set the scanner to HID POS mode by the code in its manual")
    }

    /// What was thrown away because it was wrong.
    pub fn counters(&self) -> Counters {
        self.listener.decoder.counters()
    }

    /// Scans that came while it was disabled.
    pub fn dropped(&self) -> u64 {
        self.listener.dropped
    }
}

impl Driver for WedgeScanner {
    type Event = Scan;

    fn event(&mut self) -> BoxFuture<'_, Result<Scan>> {
        Box::pin(self.listener.next())
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.listener.link.close()
    }
}

impl Scanner for WedgeScanner {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn set_enabled(&mut self, enabled: bool) -> BoxFuture<'_, Result<()>> {
        self.listener.set_enabled(enabled);
        Box::pin(std::future::ready(Ok(())))
    }

    fn beep(&mut self, _good: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Err(self.deaf("in keyboard mode it cannot be told to beep"))))
    }

    fn trigger(&mut self, _on: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Err(self.deaf("in keyboard mode it cannot be triggered"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Symbology;
    use crate::wedge::sim::{End, Fault as SimFault, Form, Settings, WedgeSim};
    use crate::wedge::wire::KeyReport;
    use tokio::time::Instant;
    use tresen_hal::ManualClock;
    use tresen_hal::link::fault::{Fault, Plan};
    use tresen_hal::link::memory;
    use tresen_hal::sim::{Shared, link as serve};

    /// A driver, bound to a simulator over a link that breaks as `plan` says.
    fn bound(settings: Settings, options: &str, plan: Plan) -> (WedgeScanner, Shared<WedgeSim>) {
        let (near, far) = memory::pair();
        let source = match settings.form {
            Form::Evdev => Source::Evdev,
            Form::Reports => Source::Reports(KeyReport::BOOT),
        };
        let sim = Shared::new(WedgeSim::new(settings));
        let served = sim.clone();
        tokio::spawn(async move { serve(&far, &served).await });
        let clock = ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
        let address = format!("scanner+hid://05e0:1200?{options}").parse().expect("an address");
        let link = Box::new(Fault::new(near, plan));
        let scanner = WedgeScanner::from_address(link, "till", &address).expect("good").with_source(source);
        (scanner.with_clock(Arc::new(clock)), sim)
    }

    fn usual() -> (WedgeScanner, Shared<WedgeSim>) {
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

    /// What a scanner types comes out again: every layout, both forms, keys and Alt codes.
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
                // Reports keep their borders on every link; events do not need to.
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
                assert_eq!(scanned(None, "012").await.as_deref(), Some("012"), "its Enter cannot be seen: the gap");
                assert_eq!(scanned(None, "345").await.as_deref(), Some("345"));
                let lost = scanned(Some(SimFault::Lost), "678901").await;
                match form {
                    Form::Evdev => assert_eq!((lost, scanner.counters().interrupted), (None, 1)),
                    // Nothing tells that a report is missing: only a check digit finds this.
                    Form::Reports => assert_eq!(lost.as_deref(), Some("67801")),
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_loses_nothing() {
        let (near, far) = memory::pair();
        let address = "scanner+hid://05e0:1200".parse().expect("an address");
        let mut scanner = WedgeScanner::from_address(Box::new(near), "till", &address).expect("good");
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

    #[test]
    fn reads_its_address() {
        let read = |options: &str| settings(&format!("scanner+hid://05e0:1200?{options}").parse().expect("an address"));
        let (layout, framing) = read("").expect("good");
        assert_eq!((layout, &framing.suffix, framing.gap), (Layout::Us, &Suffix::Bytes(b"\r".into()), Some(GAP)));
        let (layout, framing) = read("layout=ch&suffix=none&gap=0&prefix=%02&aim=false&max=50").expect("good");
        assert_eq!((layout, &framing.suffix, framing.gap), (Layout::Ch, &Suffix::None, Some(GAP)));
        assert_eq!((framing.prefix, framing.aim, framing.max), (vec![2], false, 50));
        assert_eq!(read("gap=0").expect("good").1.gap, None);
        for bad in ["layout=qwerty", "suffix=cr", "gap=soon", "max=0"] {
            let error = read(bad).expect_err(bad);
            assert!(error.kind() == Kind::Address && error.to_string().contains(bad), "{error}");
        }
    }
}
