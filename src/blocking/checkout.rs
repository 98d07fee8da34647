//! The checkout. It may hold functions of the program, so its steps are not commands.

use tresen_hal::Result;

use super::{Abort, On, PrintJob, Sale};
use crate::sale::{self, Sold};

/// The checkout, as [`sale::Checkout`].
#[derive(Clone)]
pub struct Checkout(pub(super) On<sale::Checkout>);

impl Checkout {
    /// Sets up the checkout: `with(|c| c.drawer(DrawerPin::Two))`.
    #[must_use]
    pub fn with(self, change: impl FnOnce(sale::Checkout) -> sale::Checkout) -> Self {
        let On { inner, till, threads } = self.0;
        Self(On { inner: change(inner), till, threads })
    }

    /// Pays the open amount, signs, closes and prints.
    ///
    /// # Errors
    /// As [`sale::Checkout::run`].
    pub fn run(&self, sale: &mut Sale, terminal: &str, abort: &Abort) -> Result<Sold> {
        self.0.wait(self.0.inner.run(&mut sale.0.inner, terminal, abort.0.subscribe()))
    }

    /// Signs, closes and prints a paid sale.
    ///
    /// # Errors
    /// As [`sale::Checkout::close`].
    pub fn close(&self, sale: &mut Sale) -> Result<Sold> {
        self.0.wait(self.0.inner.close(&mut sale.0.inner))
    }

    /// Queues a copy of a closed sale's receipt and returns at once.
    ///
    /// # Errors
    /// As [`sale::Checkout::reprint`].
    pub fn reprint(&self, sale: &Sale) -> Result<PrintJob> {
        let job = self.0.wait(self.0.inner.reprint(&sale.0.inner))?;
        Ok(PrintJob(self.0.beside(job)))
    }

    /// Resumes the sales that an earlier run of this till left open.
    ///
    /// # Errors
    /// As [`sale::Checkout::resume`].
    pub fn resume(&self) -> Result<Vec<(Sale, Result<Sold>)>> {
        let resumed = self.0.wait(self.0.inner.resume())?;
        Ok(resumed.into_iter().map(|(sale, sold)| (Sale(self.0.beside(sale)), sold)).collect())
    }
}
