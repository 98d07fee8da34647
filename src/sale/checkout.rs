//! Everything after the basket, in order: payment, signature, number and receipt, drawer.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tresen_hal::{Amount, Error, Kind, Result};
use tresen_payment::Payment;
use tresen_printers::document::Style;
use tresen_printers::{Content, DrawerPin, Receipt};

use super::process::Sale;
use super::sign::{Signer, Signing};
use crate::language::Printed;
use crate::spool::{Print, PrintJob, without_drawer};
use crate::store::{NewJob, Origin, SaleState};
use crate::tresen::Tresen;

/// Composes the receipt of a sale that is about to be closed.
type Compose = Arc<dyn Fn(&Sale) -> Receipt + Send + Sync>;

/// Takes a sale from its last line to its receipt.
///
/// It holds no state: each step is stored before the next begins, and an interrupted sale resumes where it was, here or
/// after a restart ([`Checkout::resume`]). The sale's id is the key of its receipt, `<id>/<attempt>` that of each
/// payment: nothing is charged or printed twice.
#[derive(Clone)]
pub struct Checkout {
    till: Tresen,
    printer: String,
    compose: Compose,
    drawer: Option<DrawerPin>,
    signer: Option<Arc<dyn Signer>>,
    sign_within: Duration,
    patience: Option<Duration>,
    orders: bool,
}

/// The result of a checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[must_use]
#[serde(rename_all = "kebab-case")]
pub enum Sold {
    /// Paid, numbered and closed.
    Closed {
        /// The state of the receipt.
        print: Print,
        /// Why the drawer did not open, if it should have.
        drawer: Option<String>,
    },
    /// Not paid, not fully paid, or the outcome is unknown; the sale stays open.
    Open {
        /// The amount still to be paid; negative where the customer gets money back.
        due: Amount,
        /// The outcome of the last card payment, if any.
        payment: Option<Payment>,
    },
}

impl Checkout {
    pub(crate) fn new(till: Tresen, printer: &str) -> Self {
        let (language, name) = (till.language(), till.config().till.name.clone());
        let compose: Compose = Arc::new(move |sale| {
            let head = Receipt::new().styled(name.clone(), Style::new().bold().centre());
            head.append(sale.ticket().settled(sale.tenders(), sale.signing(), language)).cut()
        });
        Self {
            till,
            printer: printer.to_owned(),
            compose,
            drawer: None,
            signer: None,
            sign_within: SIGN_WITHIN,
            patience: None,
            orders: false,
        }
    }

    /// Sets how the receipt is composed: with a logo, a code, the shop's texts. `compose` is given the sale with its
    /// number and closing time.
    #[must_use]
    pub fn compose(mut self, compose: impl Fn(&Sale) -> Receipt + Send + Sync + 'static) -> Self {
        self.compose = Arc::new(compose);
        self
    }

    /// Opens the drawer, once per sale: at the printer that printed the receipt, or at the first of the route if none
    /// has.
    #[must_use]
    pub fn drawer(mut self, pin: DrawerPin) -> Self {
        self.drawer = Some(pin);
        self
    }

    /// Has each sale signed by a fiscal device after payment and before closing.
    #[must_use]
    pub fn signer(mut self, signer: impl Signer + 'static) -> Self {
        self.signer = Some(Arc::new(signer));
        self
    }

    /// Time limit for signing before it is recorded as an outage; default 10 s.
    #[must_use]
    pub fn sign_within(mut self, within: Duration) -> Self {
        self.sign_within = within;
        self
    }

    /// Sets how long a paid customer waits for the receipt; default 10 s, or the till's `patience` if that is less. If no
    /// printer can print it now, it is over after about a second. The receipt is printed anyway, however long that takes:
    /// [`Tresen::print_job`] follows it.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Orders what is new in the sale when it is closed, in the same commit: for shops where guests pay first. As
    /// [`Tresen::order`], but a group that has no route does not keep a paid sale open: its ticket is printed where the
    /// receipt is.
    #[must_use]
    pub fn order(mut self) -> Self {
        self.orders = true;
        self
    }

    /// How long a customer waits for the receipt.
    fn waits(&self) -> Duration {
        self.patience.unwrap_or_else(|| self.till.config().till.patience.min(PATIENCE))
    }

    /// On whose behalf the sale is closed: whose own printer prints the receipt.
    fn caller(&self, sale: &Sale) -> Origin {
        self.till.origin().unwrap_or_else(|| sale.origin().clone())
    }

    /// Pays the open amount at `terminal`, signs, closes, prints. Set `abort` to ask the terminal to stop waiting for
    /// the customer. Calling it again with the same sale continues: after a decline it requests another payment, after
    /// a partial approval the rest, and for a closed sale it returns the state of the receipt.
    ///
    /// If the customer gets money back (`due` is negative) nothing is sent: choose between [`Sale::pay_card`] and
    /// [`Sale::pay_out`], then call [`Checkout::close`].
    ///
    /// # Errors
    /// Before payment: nothing was sent. After it: the database cannot be written; the payment is in the journal, and
    /// calling again continues from there.
    pub async fn run(&self, sale: &mut Sale, terminal: &str, abort: watch::Receiver<bool>) -> Result<Sold> {
        let terminal = self.till.terminal(terminal)?;
        sale.refresh().await?;
        let mut payment = None;
        if sale.state() == SaleState::Open && !sale.is_pending() && sale.open_amount().minor() > 0 {
            payment = Some(sale.pay_card(&terminal, abort).await?);
        }
        let sold = self.close(sale).await?;
        Ok(match sold {
            Sold::Open { due, .. } => Sold::Open { due, payment },
            closed => closed,
        })
    }

    /// Signs, closes and prints a sale that is paid, by any tenders; a total of zero needs none.
    ///
    /// # Errors
    /// The sale was voided or has no lines ([`Kind::Input`]), was changed at another station ([`Kind::Busy`]), or the
    /// database cannot be written.
    pub async fn close(&self, sale: &mut Sale) -> Result<Sold> {
        let printer = self.till.printer(&self.printer)?;
        sale.refresh().await?;
        match sale.state() {
            SaleState::Voided => {
                return Err(Error::new(Kind::Input, format!("sale `{}` was voided", sale.id())));
            }
            SaleState::Open => {
                if sale.ticket().lines().is_empty() {
                    return Err(Error::new(Kind::Input, format!("sale `{}` has no lines", sale.id())));
                }
                if sale.is_pending() || sale.open_amount().minor() != 0 {
                    return Ok(Sold::Open { due: sale.open_amount(), payment: None });
                }
                self.sign(sale).await?;
                let id = receipt_job(sale);
                let (copies, caller) = (self.till.0.spool.copies(&self.printer), self.caller(sale));
                let compose = |closed: &Sale| {
                    let content = Content::Receipt((self.compose)(closed));
                    NewJob::new(&id, &self.printer, &content, copies, &caller).map(Some)
                };
                let order = self.orders.then(|| {
                    let otherwise = Some(self.printer.clone());
                    (sale.what_is_new(self.till.config(), caller.clone(), otherwise), caller.clone())
                });
                sale.close(compose, order).await?;
                if self.orders {
                    self.till.print_orders(sale.id()).await?;
                }
            }
            SaleState::Closed => {}
        }
        let print = printer.prospect(&receipt_job(sale), self.waits()).await?;
        let drawer = self.open_drawer(sale, &print).await?;
        Ok(Sold::Closed { print, drawer })
    }

    /// Resumes every sale for which an earlier run of this till began payment: paid sales are closed and printed, for
    /// the others the amount due is returned, whoever has a lease. Open sales without a payment attempt and parked ones
    /// are left alone: [`Tresen::open_sales`] and [`Tresen::parked_sales`] list them.
    ///
    /// Call it once after opening the till. An undecided card payment leaves its sale open; once the terminal or a
    /// person has settled it, the till records that with the sale ([`crate::EventKind::SaleSettled`]): call
    /// [`Checkout::close`] then.
    ///
    /// # Errors
    /// The database cannot be used. Errors of single sales are returned with the sales.
    pub async fn resume(&self) -> Result<Vec<(Sale, Result<Sold>)>> {
        let mut resumed = Vec::new();
        for mut sale in self.till.open_sales().await? {
            if sale.tenders().is_empty() || sale.parked().is_some() {
                continue;
            }
            sale.completing(true);
            let sold = self.close(&mut sale).await;
            sale.completing(false);
            resumed.push((sale, sold));
        }
        Ok(resumed)
    }

    /// Queues a copy of a closed sale's receipt at this checkout's printer, marked as such with its number, and returns at
    /// once. The content is that of the receipt's print job, or composed again from the stored sale where that job was
    /// pruned. No drawer opens. The journal records each copy.
    ///
    /// # Errors
    /// [`Kind::Input`]: the sale is not closed. Otherwise the printer is unknown or the database cannot be written; then
    /// nothing is printed.
    pub async fn reprint(&self, sale: &Sale) -> Result<PrintJob> {
        let printer = self.till.printer(&self.printer)?;
        if sale.state() != SaleState::Closed {
            let what = format!("sale `{}` is not closed, so it has no receipt", sale.id());
            return Err(Error::new(Kind::Input, what));
        }
        let store = self.till.store();
        let receipt = match store.job_content(&receipt_job(sale)).await {
            Ok(Some(Content::Receipt(receipt))) => receipt,
            Ok(_) => (self.compose)(sale),
            Err(error) => {
                tracing::warn!(sale = sale.id(), %error, "the receipt's job cannot be read; it is composed again");
                (self.compose)(sale)
            }
        };
        let (language, receipt) = (self.till.language(), without_drawer(&receipt));
        let copy = move |number| {
            let heading = Receipt::new().styled(language.copy_heading(number), Style::new().bold().centre());
            Content::Receipt(heading.append(receipt))
        };
        let origin = self.till.origin().unwrap_or_else(|| sale.origin().clone());
        let job = store.copy_receipt(sale.id(), &self.printer, &origin, copy).await?;
        Ok(printer.follow(&job))
    }

    /// Signs once, unless the sale changes afterwards: the result is stored, even if signing failed.
    async fn sign(&self, sale: &mut Sale) -> Result<()> {
        let Some(signer) = self.signer.as_ref().filter(|_| sale.signing().is_none()) else { return Ok(()) };
        let signing = tokio::time::timeout(self.sign_within, signer.sign(sale.ticket(), sale.tenders())).await;
        let why = match signing {
            Ok(Ok(signature)) => return sale.signed(&Signing::Signed(signature)).await,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.sign_within),
        };
        tracing::warn!(sale = sale.id(), %why, "not signed");
        let at = self.till.store().time();
        sale.signed(&Signing::Outage { at, why }).await
    }

    /// Recorded before the drawer is opened, so that a till that stops in between does not open it again.
    async fn open_drawer(&self, sale: &mut Sale, print: &Print) -> Result<Option<String>> {
        let Some(pin) = self.drawer else { return Ok(None) };
        let store = self.till.store();
        if !store.ask_for_drawer(sale.id()).await? {
            return Ok(None);
        }
        let at = match print {
            Print::Printed { on, .. } | Print::Accepted { on } => on.as_str(),
            _ => &self.printer,
        };
        let opened = match self.till.printer(at) {
            Ok(printer) => printer.kick_drawer(pin).await,
            Err(error) => Err(error),
        };
        let why = opened.err().map(|e| e.to_string());
        store.drawer_ended(sale.id(), why.as_deref().unwrap_or("opened")).await?;
        Ok(why)
    }
}

fn receipt_job(sale: &Sale) -> String {
    format!("receipt-{}", sale.id())
}

const SIGN_WITHIN: Duration = Duration::from_secs(10);
/// How long a paid customer waits for the receipt, unless configured.
const PATIENCE: Duration = Duration::from_secs(10);
