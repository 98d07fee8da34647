//! Both ways to come to a link, for protocols that connect for each request or are connected to by the device.

use std::fmt;
use std::net::IpAddr;

use super::{open, open_redacted, record};
use crate::{Address, BoxFuture, Link, Result};

/// Opens links to one device, as often as it is asked to.
pub trait Connect: Send + Sync + fmt::Debug {
    /// A new link. A dropped call leaves none behind.
    ///
    /// # Errors
    /// The device cannot be reached, or not in time; nothing was sent.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Link>>>;
}

/// Takes the links that devices open to this host.
pub trait Listen: Send + Sync + fmt::Debug {
    /// Waits for the next link. Cancel-safe: a dropped call loses no link.
    ///
    /// # Errors
    /// This one could not be accepted, or nobody can connect any more ([`crate::Kind::Closed`]).
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>>;
}

impl<L: Listen + ?Sized> Listen for Box<L> {
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>> {
        (**self).accept()
    }
}

/// A link that a device has opened.
#[derive(Debug)]
pub struct Incoming {
    /// The link.
    pub link: Box<dyn Link>,
    /// Where it comes from, on a network.
    pub from: Option<IpAddr>,
}

/// What masks the recording of one connection.
type RedactorMaker = fn() -> Box<dyn record::Redactor>;

/// A device at an address. Each connection makes a recording of its own if the address asks for recordings.
#[derive(Debug, Clone)]
pub struct Reached {
    address: Address,
    redactor: Option<RedactorMaker>,
}

impl Reached {
    /// The device at `address`.
    pub fn new(address: Address) -> Self {
        Self { address, redactor: None }
    }

    /// The same with recordings masked by a new redactor for each connection.
    #[must_use]
    pub fn redacted(mut self, redactor: RedactorMaker) -> Self {
        self.redactor = Some(redactor);
        self
    }
}

impl Connect for Reached {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Link>>> {
        Box::pin(async move {
            match self.redactor {
                Some(redactor) => open_redacted(&self.address, redactor()).await,
                None => open(&self.address).await,
            }
        })
    }
}
