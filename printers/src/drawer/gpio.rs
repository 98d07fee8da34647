//! A cash drawer on a GPIO pin, over embedded-hal 1.0.
//!
//! The pin drives a transistor or relay, never the coil itself: a drawer's solenoid takes up to 1 A at 12 or 24 V.
//! A coil that stays energised burns out, so a pulse has a checked length ([`Pulse`]), the pin is released when the
//! future of a kick is dropped, and the coil rests between two pulses. A process that is killed in the middle of a
//! pulse, or an executor that is blocked, leaves the pin as it is: a board that may be on its own needs a monostable.

use std::fmt;
use std::time::Duration;

use embedded_hal::digital::{InputPin, OutputPin, PinState};
use tokio::time::{Instant, sleep, sleep_until};
use tresen_hal::{BoxFuture, Error, Kind, Known, Result};

use super::{CashDrawer, Polarity};

/// A drawer whose solenoid is switched by a GPIO pin.
///
/// On Linux, `linux-embedded-hal` and `gpiocdev-embedded-hal` have such pins.
///
/// ```
/// use embedded_hal::digital::{ErrorType, OutputPin, PinState};
/// use tresen_printers::drawer::{CashDrawer, GpioDrawer, Pulse};
///
/// struct Pin;
///
/// impl ErrorType for Pin {
///     type Error = std::convert::Infallible;
/// }
/// impl OutputPin for Pin {
///     fn set_low(&mut self) -> Result<(), Self::Error> {
///         Ok(())
///     }
///     fn set_high(&mut self) -> Result<(), Self::Error> {
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let mut drawer = GpioDrawer::new(Pin, PinState::High, Pulse::default())?;
/// drawer.kick().await?;
/// # Ok::<(), tresen_hal::Error>(())
/// # }).unwrap();
/// ```
pub struct GpioDrawer<P> {
    pin: P,
    active: PinState,
    pulse: Pulse,
    sense: Option<(ReadPin, Polarity)>,
    /// The coil may be energised again from here on.
    rested: Option<Instant>,
}

/// Whether the level is high.
type ReadPin = Box<dyn FnMut() -> Result<bool> + Send>;

impl<P: OutputPin + Send> GpioDrawer<P> {
    /// A drawer whose coil is energised while `pin` is at the level `active`. Releases the pin at once.
    ///
    /// # Errors
    /// [`Kind::Io`]: the pin cannot be driven.
    pub fn new(mut pin: P, active: PinState, pulse: Pulse) -> Result<Self> {
        pin.set_state(!active).map_err(|e| failed("drive the drawer's pin", &e))?;
        Ok(Self { pin, active, pulse, sense: None, rested: None })
    }

    /// Adds the drawer's switch. `polarity` says which level means open.
    #[must_use]
    pub fn with_sense(mut self, mut pin: impl InputPin + Send + 'static, polarity: Polarity) -> Self {
        let read = move || pin.is_high().map_err(|e| failed("read the drawer's switch", &e));
        self.sense = Some((Box::new(read), polarity));
        self
    }
}

impl<P: OutputPin + Send> CashDrawer for GpioDrawer<P> {
    /// Energises the coil for one pulse; returns when the pin is released. Right after another pulse it waits until
    /// the coil has rested. Dropping the future releases the pin.
    ///
    /// # Errors
    /// [`Kind::Io`]: the pin cannot be driven.
    fn kick(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if let Some(at) = self.rested {
                sleep_until(at).await;
            }
            let begun = Instant::now();
            self.rested = Some(begun + self.pulse.with_rest());
            let coil = Coil::energise(&mut self.pin, self.active)?;
            sleep(self.pulse.0).await;
            let released = coil.release();
            // A busy executor may have come back late: the longer the pulse was, the longer the rest.
            self.rested = Some(Instant::now() + begun.elapsed() * Pulse::REST);
            released
        })
    }

    /// [`Known::Unknown`] without a switch ([`GpioDrawer::with_sense`]) or polarity.
    ///
    /// # Errors
    /// [`Kind::Io`]: the pin cannot be read.
    fn is_open(&mut self) -> BoxFuture<'_, Result<Known>> {
        Box::pin(async move {
            let Some((read, polarity)) = &mut self.sense else { return Ok(Known::Unknown) };
            Ok(polarity.is_open(read()?.into()))
        })
    }
}

impl<P> fmt::Debug for GpioDrawer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let polarity = self.sense.as_ref().map(|(_, polarity)| polarity);
        f.debug_struct("GpioDrawer")
            .field("active", &self.active)
            .field("pulse", &self.pulse)
            .field("sense", &polarity)
            .finish_non_exhaustive()
    }
}

/// How long a drawer's coil is energised. 100 ms by default, the shortest pulse of `DLE DC4` function 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pulse(Duration);

impl Pulse {
    /// The shortest: 10 ms, that of Star's `ESC BEL n1 n2` with n1 = 1 (STAR Line Mode Command Specifications, 3.3.12).
    pub const MIN: Duration = Duration::from_millis(10);
    /// The longest: 510 ms, which drawers are rated for (Citizen CT-S801II, drawer kick-out connector: 24 V, 1 A, not
    /// to exceed 510 ms) and the most that `ESC p` can say.
    pub const MAX: Duration = Duration::from_millis(510);
    /// The coil rests for this many times its pulse: on ÷ (on + off) is at most 0.2 (Citizen iDP3551, `ESC p`).
    pub const REST: u32 = 4;

    /// A pulse of this length.
    ///
    /// # Errors
    /// [`Kind::Input`]: shorter than [`Pulse::MIN`] or longer than [`Pulse::MAX`].
    pub fn new(length: Duration) -> Result<Self> {
        if !(Self::MIN..=Self::MAX).contains(&length) {
            let (min, max) = (Self::MIN.as_millis(), Self::MAX.as_millis());
            let what = format!("a drawer's pulse of {length:?}; expected {min} to {max} ms");
            return Err(Error::new(Kind::Input, what));
        }
        Ok(Self(length))
    }

    /// Its length.
    pub fn length(self) -> Duration {
        self.0
    }

    fn with_rest(self) -> Duration {
        self.0 * (1 + Self::REST)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Duration::from_millis(100))
    }
}

/// An energised coil. Dropping it releases the pin.
struct Coil<'a, P: OutputPin> {
    pin: &'a mut P,
    idle: PinState,
    released: bool,
}

impl<'a, P: OutputPin> Coil<'a, P> {
    fn energise(pin: &'a mut P, active: PinState) -> Result<Self> {
        // Built first: a pin that reports an error may have changed its level all the same.
        let coil = Self { pin, idle: !active, released: false };
        coil.pin.set_state(active).map_err(|e| failed("drive the drawer's pin", &e))?;
        Ok(coil)
    }

    fn release(mut self) -> Result<()> {
        self.pin.set_state(self.idle).map_err(|e| {
            failed("release the drawer's pin", &e)
                .hint("switch the drawer's power off: its coil may still be energised")
        })?;
        self.released = true;
        Ok(())
    }
}

impl<P: OutputPin> Drop for Coil<'_, P> {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        if let Err(error) = self.pin.set_state(self.idle) {
            tracing::error!(?error, "cannot release the drawer's pin: its coil may still be energised");
        }
    }
}

fn failed(what: &str, error: &impl fmt::Debug) -> Error {
    Error::new(Kind::Io, format!("cannot {what}: {error:?}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use embedded_hal::digital::{ErrorKind, ErrorType};
    use tresen_hal::Effect;

    use super::*;

    /// A pin that writes down its levels and when they were set, in milliseconds.
    #[derive(Debug, Clone)]
    struct Pin(Arc<Mutex<State>>);

    #[derive(Debug)]
    struct State {
        start: Instant,
        levels: Vec<(u128, PinState)>,
        is_high: bool,
        /// Sets that fail, counted from the next one.
        failing: Vec<bool>,
    }

    impl Pin {
        fn new() -> Self {
            let start = Instant::now();
            Self(Arc::new(Mutex::new(State { start, levels: Vec::new(), is_high: false, failing: Vec::new() })))
        }
        fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
            f(&mut self.0.lock().expect("one test"))
        }
        fn levels(&self) -> Vec<(u128, PinState)> {
            self.with(|s| s.levels.clone())
        }
    }

    impl ErrorType for Pin {
        type Error = ErrorKind;
    }

    impl OutputPin for Pin {
        fn set_low(&mut self) -> Result<(), ErrorKind> {
            self.set_state(PinState::Low)
        }
        fn set_high(&mut self) -> Result<(), ErrorKind> {
            self.set_state(PinState::High)
        }
        fn set_state(&mut self, level: PinState) -> Result<(), ErrorKind> {
            self.with(|s| {
                if !s.failing.is_empty() && s.failing.remove(0) {
                    return Err(ErrorKind::Other);
                }
                s.levels.push((s.start.elapsed().as_millis(), level));
                Ok(())
            })
        }
    }

    impl InputPin for Pin {
        fn is_high(&mut self) -> Result<bool, ErrorKind> {
            self.with(|s| if s.failing.is_empty() { Ok(s.is_high) } else { Err(ErrorKind::Other) })
        }
        fn is_low(&mut self) -> Result<bool, ErrorKind> {
            self.is_high().map(|high| !high)
        }
    }

    fn drawer(active: PinState) -> (Pin, GpioDrawer<Pin>) {
        let pin = Pin::new();
        let pulse = Pulse::new(Duration::from_millis(200)).expect("within bounds");
        (pin.clone(), GpioDrawer::new(pin, active, pulse).expect("a pin"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pulse_that_a_busy_executor_prolongs_is_followed_by_a_longer_rest() {
        let (pin, mut drawer) = drawer(PinState::High);
        {
            let mut kick = drawer.kick();
            std::future::poll_fn(|cx| std::task::Poll::Ready(kick.as_mut().poll(cx).is_ready())).await;
            tokio::time::advance(Duration::from_millis(500)).await;
            kick.await.expect("drives");
        }
        drawer.kick().await.expect("drives");
        let times: Vec<_> = pin.levels().into_iter().skip(1).map(|(at, _)| at).collect();
        assert_eq!(times, [0, 500, 2500, 2700], "on for at most a fifth of the time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pulse_is_as_long_as_it_says_and_ends_released() {
        for active in [PinState::High, PinState::Low] {
            let (pin, mut drawer) = drawer(active);
            drawer.kick().await.expect("drives");
            assert_eq!(pin.levels(), [(0, !active), (0, active), (200, !active)]);
        }
    }

    /// Citizen CT-S801II, user's manual, drawer kick-out connector: "not to exceed 510 ms".
    #[test]
    fn a_pulse_is_within_what_a_coil_stands() {
        let pulse = |ms| Pulse::new(Duration::from_millis(ms));
        for ms in [10, 100, 510] {
            assert_eq!(pulse(ms).expect("within bounds").length().as_millis(), u128::from(ms));
        }
        for ms in [0, 9, 511, 60_000] {
            let error = pulse(ms).expect_err("out of bounds");
            assert_eq!(error.kind(), Kind::Input);
            assert!(error.to_string().contains("10 to 510 ms"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kick_that_is_dropped_half_way_releases_the_pin_at_once() {
        let (pin, mut drawer) = drawer(PinState::High);
        tokio::time::timeout(Duration::from_millis(50), drawer.kick()).await.expect_err("dropped");
        assert_eq!(pin.levels(), [(0, PinState::Low), (0, PinState::High), (50, PinState::Low)]);
    }

    /// Citizen iDP3551, `ESC p`: on ÷ (on + off) at most 0.2, so 200 ms in each second.
    #[tokio::test(start_paused = true)]
    async fn the_coil_rests_between_two_pulses() {
        let (pin, mut drawer) = drawer(PinState::High);
        tokio::time::timeout(Duration::from_millis(150), drawer.kick()).await.expect_err("dropped");
        drawer.kick().await.expect("drives");
        drawer.kick().await.expect("drives");
        let on: Vec<_> = pin.levels().into_iter().filter(|(_, level)| *level == PinState::High).collect();
        assert_eq!(on.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1000, 2000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pin_that_fails_is_an_error_and_is_released_again() {
        let (pin, mut drawer) = drawer(PinState::High);
        pin.with(|s| s.failing = vec![true]);
        let error = drawer.kick().await.expect_err("no pulse");
        assert_eq!((error.kind(), error.effect()), (Kind::Io, Effect::Unknown));
        assert_eq!(pin.levels().last(), Some(&(0, PinState::Low)), "released nevertheless");
        pin.with(|s| s.failing = vec![false, true]);
        let error = drawer.kick().await.expect_err("not released at first");
        assert!(error.to_string().contains("switch the drawer's power off"), "{error}");
        assert_eq!(pin.levels().last(), Some(&(1200, PinState::Low)), "at the second try");
        pin.with(|s| s.failing = vec![true]);
        assert_eq!(GpioDrawer::new(pin, PinState::High, Pulse::default()).expect_err("no pin").kind(), Kind::Io);
    }

    #[tokio::test(start_paused = true)]
    async fn its_switch_says_whether_it_is_open() {
        let (_, mut without) = drawer(PinState::High);
        assert_eq!(without.is_open().await.expect("no switch"), Known::Unknown);
        assert_eq!(without.closed().await.expect_err("nobody knows").kind(), Kind::Unsupported);
        let (_, drawer) = drawer(PinState::High);
        let switch = Pin::new();
        let mut drawer = drawer.with_sense(switch.clone(), Polarity::OpenIsLow);
        assert_eq!(drawer.is_open().await.expect("reads"), Known::Yes);
        let cashier = switch.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(3)).await;
            cashier.with(|s| s.is_high = true);
        });
        drawer.closed().await.expect("the cashier closes it");
        assert_eq!(drawer.is_open().await.expect("reads"), Known::No);
        switch.with(|s| s.failing = vec![true]);
        assert_eq!(drawer.is_open().await.expect_err("unreadable").kind(), Kind::Io);
    }
}
