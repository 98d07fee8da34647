//! A network of memory links that breaks at a chosen message.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tresen_hal::link::memory::{Dialer, Port};
use tresen_hal::link::{Connect, Incoming, Listen};
use tresen_hal::{BoxFuture, Error, Kind, Link, Result};

/// What breaks at the planned message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The message is lost, and its connection is cut.
    Before,
    /// The message arrives, and its connection is cut.
    After,
    /// The message is lost, and so is every connection.
    Network,
    /// The message is lost; the connection stays, and nothing passes on it any more in this direction.
    Swallow,
    /// So many bytes of the message arrive, and its connection is cut.
    #[allow(dead_code, reason = "not all tests cut messages")]
    Cut(usize),
}

/// All links of a counter. Each message, on either channel and in either direction, is one send.
#[derive(Debug)]
pub(crate) struct Net {
    state: Mutex<State_>,
    cut: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State_ {
    messages: usize,
    plan: Option<(usize, Break)>,
    broken: bool,
}

impl Default for Net {
    fn default() -> Self {
        Self { state: Mutex::default(), cut: watch::Sender::new(0) }
    }
}

impl Net {
    /// Breaks at the `message`th from now on.
    pub(crate) fn breaks(&self, message: usize, how: Break) {
        let mut state = self.state.lock().expect("whole");
        (state.broken, state.plan) = (false, Some((state.messages + message, how)));
    }

    /// Cuts every connection now.
    #[allow(dead_code, reason = "not all tests cut all")]
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|n| *n += 1);
    }

    /// Whether the planned message was sent; nothing breaks any more.
    pub(crate) fn mended(&self) -> bool {
        let mut state = self.state.lock().expect("whole");
        state.plan = None;
        std::mem::take(&mut state.broken)
    }

    fn next(&self) -> Option<Break> {
        let mut state = self.state.lock().expect("whole");
        let now = state.messages;
        state.messages += 1;
        let (_, how) = state.plan.take_if(|(at, _)| *at == now)?;
        state.broken = true;
        Some(how)
    }
}

/// Ends of links that count and break.
#[derive(Debug)]
pub(crate) struct Wired<T> {
    pub(crate) inner: T,
    pub(crate) net: Arc<Net>,
}

impl<T> Wired<T> {
    fn link(&self, inner: Box<dyn Link>) -> Box<dyn Link> {
        let cut = watch::Sender::new(false);
        Box::new(Cuttable { inner, net: self.net.clone(), cut, swallows: Mutex::new(false) })
    }
}

impl Connect for Wired<Dialer> {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Link>>> {
        Box::pin(async move { Ok(self.link(self.inner.connect().await?)) })
    }
}

impl Listen for Wired<Port> {
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>> {
        Box::pin(async move {
            let incoming = self.inner.accept().await?;
            Ok(Incoming { link: self.link(incoming.link), from: incoming.from })
        })
    }
}

#[derive(Debug)]
struct Cuttable {
    inner: Box<dyn Link>,
    net: Arc<Net>,
    cut: watch::Sender<bool>,
    swallows: Mutex<bool>,
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the link was cut")
}

impl Link for Cuttable {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if *self.cut.borrow() {
                return Err(closed());
            }
            let how = self.net.next();
            if how == Some(Break::Swallow) {
                *self.swallows.lock().expect("whole") = true;
            }
            if *self.swallows.lock().expect("whole") {
                return Ok(());
            }
            match how {
                None | Some(Break::After) => self.inner.send(bytes).await?,
                Some(Break::Cut(at)) => self.inner.send(&bytes[..at.min(bytes.len())]).await?,
                Some(_) => {}
            }
            if let Some(how) = how {
                if how == Break::Network {
                    self.net.cut.send_modify(|n| *n += 1);
                }
                self.inner.close().await;
                self.cut.send_replace(true);
                return Err(closed());
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let (mut cut, mut all) = (self.cut.subscribe(), self.net.cut.subscribe());
            let before = *all.borrow_and_update();
            tokio::select! {
                biased;
                _ = cut.wait_for(|cut| *cut) => Err(closed()),
                _ = all.wait_for(|n| *n > before) => Err(closed()),
                got = self.inner.recv(into) => got,
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
