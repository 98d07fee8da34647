//! A parsed address, ready to open the device any number of times.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tresen_hal::address::LinkKind;
use tresen_hal::link::{self, record::Redactor};
use tresen_hal::{Address, BoxFuture, Effect, Error, Kind, Language, Link, Result, Runtime, SystemRuntime};
use tresen_payment::Journal;

/// What a driver may need besides its link.
#[derive(Clone)]
#[non_exhaustive]
pub struct Context {
    /// The device's logical name, attached to scans and to payments in the journal.
    pub name: String,
    /// Time, ids, randomness and threads.
    pub runtime: Arc<dyn Runtime>,
    /// Where payments are journalled; terminals cannot be opened without it.
    pub journal: Option<Arc<dyn Journal>>,
    /// The language of texts that the library itself prints.
    pub language: Language,
}

impl Context {
    /// The device `name` with the system's runtime, without a journal, in English.
    pub fn new(name: impl Into<String>) -> Self {
        let runtime = Arc::new(SystemRuntime::new());
        Self { name: name.into(), runtime, journal: None, language: Language::English }
    }

    /// The same with a journal, for terminals.
    #[must_use]
    pub fn with_journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// The same with another runtime.
    #[must_use]
    pub fn with_runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = runtime;
        self
    }
}

type LinkOpener = Arc<dyn Fn() -> BoxFuture<'static, Result<Box<dyn Link>>> + Send + Sync>;
type DriverMaker<D> = Arc<dyn Fn(Box<dyn Link>, Context) -> BoxFuture<'static, Result<Box<D>>> + Send + Sync>;
type Opener<D> = Arc<dyn Fn(Context) -> BoxFuture<'static, Result<Box<D>>> + Send + Sync>;
pub(super) type RedactorMaker = Arc<dyn Fn() -> Box<dyn Redactor> + Send + Sync>;

/// How to open one device at one location. Clones are cheap.
///
/// `D` is the driver trait of its class: `Plan<dyn tresen::printers::Printer>`.
pub struct Plan<D: ?Sized> {
    label: String,
    /// The device's location, if known: used for hot-plug, and to keep two names from sharing one device.
    address: Option<Address>,
    within: Duration,
    how: How<D>,
    /// Where there is none, the protocol of the address has one.
    redactor: Option<RedactorMaker>,
}

enum How<D: ?Sized> {
    /// On the link of the plan's address.
    Addressed(DriverMaker<D>),
    /// On a link provided by the caller.
    Linked(LinkOpener, DriverMaker<D>),
    /// Opened by the caller's own function.
    Own(Opener<D>),
}

impl<D: ?Sized + 'static> Plan<D> {
    /// Default time limit for opening, see [`Plan::within`]: 10 s, or 60 s for Bluetooth, which searches for the device
    /// first and may wait for a person to press a button.
    pub const WITHIN: Duration = Duration::from_secs(10);
    const WITHIN_BLUETOOTH: Duration = Duration::from_secs(60);

    /// A driver on the link of `address`.
    pub fn at<F>(address: &Address, make: impl Fn(Box<dyn Link>, Context) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Box<D>>> + Send + 'static,
    {
        let make: DriverMaker<D> = Arc::new(move |link, context| Box::pin(make(link, context)));
        Self::with(address.label(), How::Addressed(make)).reached_at(address)
    }

    /// A driver on a link provided by the caller. `label` identifies it in messages and events.
    pub fn over<L, F>(
        label: impl Into<String>,
        link: impl Fn() -> L + Send + Sync + 'static,
        make: impl Fn(Box<dyn Link>, Context) -> F + Send + Sync + 'static,
    ) -> Self
    where
        L: Future<Output = Result<Box<dyn Link>>> + Send + 'static,
        F: Future<Output = Result<Box<D>>> + Send + 'static,
    {
        let make: DriverMaker<D> = Arc::new(move |link, context| Box::pin(make(link, context)));
        Self::with(label.into(), How::Linked(Arc::new(move || Box::pin(link())), make))
    }

    /// A driver opened by the caller's own function.
    pub fn new<F>(label: impl Into<String>, open: impl Fn(Context) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Box<D>>> + Send + 'static,
    {
        Self::with(label.into(), How::Own(Arc::new(move |context| Box::pin(open(context)))))
    }

    fn with(label: String, how: How<D>) -> Self {
        Self { label, address: None, within: Self::WITHIN, how, redactor: None }
    }

    /// Sets the device's location: it is opened as soon as it is plugged in there.
    #[must_use]
    pub fn reached_at(mut self, address: &Address) -> Self {
        if matches!(address.link(), LinkKind::Ble { .. } | LinkKind::Spp { .. }) {
            self.within = Self::WITHIN_BLUETOOTH;
        }
        self.address = Some(address.clone());
        self
    }

    /// Sets the time limit for opening; the next address and waiting calls are delayed by at most that long.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// What masks card data and passwords when the link of its address is recorded; a new one for each link. Without it,
    /// a plan that is attached to a till has that of the protocol which its address names.
    #[must_use]
    pub fn redactor(self, redactor: impl Fn() -> Box<dyn Redactor> + Send + Sync + 'static) -> Self {
        Self { redactor: Some(Arc::new(redactor)), ..self }
    }

    /// The same with this redactor, if it has none.
    pub(super) fn redacted(mut self, redactor: &RedactorMaker) -> Self {
        self.redactor.get_or_insert_with(|| redactor.clone());
        self
    }

    /// The name used in messages and events: the address without options.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The device's location, if known.
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Whether a recording stands in for the device.
    pub(crate) fn is_recording(&self) -> bool {
        self.address.as_ref().is_some_and(|a| matches!(a.link(), LinkKind::Replay { .. }))
    }

    /// Whether the driver needs the address's link.
    pub(super) fn uses_link(&self) -> bool {
        matches!(self.how, How::Addressed(_))
    }

    /// Opens the device.
    ///
    /// # Errors
    /// It cannot be reached, or not in time; the error names it. Nothing that moves money or paper was sent.
    pub async fn open(&self, context: Context) -> Result<Box<D>> {
        let open = async {
            match &self.how {
                How::Addressed(make) => {
                    let address = self.address.as_ref().ok_or_else(|| Error::new(Kind::Config, "has no address"))?;
                    let plain = || Box::new(link::record::Plain) as Box<dyn Redactor>;
                    let redactor = self.redactor.as_ref().map_or_else(plain, |redactor| redactor());
                    let link = link::open_redacted(address, redactor).await?;
                    make(link, context).await
                }
                How::Linked(link, make) => make(link().await?, context).await,
                How::Own(open) => open(context).await,
            }
        };
        let late = || Error::new(Kind::Timeout, "did not open in time").with_effect(Effect::None);
        let opened = timeout(self.within, open).await.unwrap_or_else(|_| Err(late()));
        opened.map_err(|e| e.at(&self.label))
    }
}

impl<D: ?Sized> Clone for Plan<D> {
    fn clone(&self) -> Self {
        let how = match &self.how {
            How::Addressed(make) => How::Addressed(make.clone()),
            How::Linked(link, make) => How::Linked(link.clone(), make.clone()),
            How::Own(open) => How::Own(open.clone()),
        };
        Self {
            label: self.label.clone(),
            address: self.address.clone(),
            within: self.within,
            how,
            redactor: self.redactor.clone(),
        }
    }
}

impl<D: ?Sized> fmt::Debug for Plan<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plan").field(&self.label).finish()
    }
}
