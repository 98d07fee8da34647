//! The till's end of one connection of a handheld: asks and their answers.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tresen::{DeviceId, Effect, Error, Kind, Result, Retry};

use crate::attach::bounds;
use crate::attach::wire::{Answered, Ask, FromTill};
use crate::server::lock;
use crate::wire::text;

/// The till's end of one connection of a handheld.
pub(super) struct Wire {
    out: mpsc::Sender<String>,
    asks: Mutex<Asks>,
}

#[derive(Default)]
struct Asks {
    last: u64,
    open: BTreeMap<u64, oneshot::Sender<Result<Value>>>,
    closed: bool,
}

/// Why an ask has no reply.
pub(super) enum Unanswered {
    /// It was not sent, and will not be.
    NotSent,
    /// The connection was lost.
    Lost,
    /// The handheld answered with an error, or not in time.
    Refused(Error),
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent => gone("the handheld is away").with_effect(Effect::None),
            Unanswered::Lost => gone("the connection to the handheld was lost").with_effect(Effect::Unknown),
            Unanswered::Refused(error) => error,
        }
    }
}

impl Wire {
    pub(super) fn new(out: mpsc::Sender<String>) -> Arc<Self> {
        Arc::new(Self { out, asks: Mutex::default() })
    }

    /// Sends an ask and waits for its answer. Dropping the future abandons the answer.
    async fn asked(&self, device: &DeviceId, call: &str, with: Value) -> Result<Value, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut asks = lock(&self.asks);
            if asks.closed {
                return Err(Unanswered::NotSent);
            }
            asks.last += 1;
            let id = asks.last;
            asks.open.insert(id, answer);
            id
        };
        let _forget = Forget { wire: self, id };
        let ask = FromTill::Ask(Ask { id, device: device.clone(), call: call.to_owned(), with });
        self.out.send(text(&ask)).await.map_err(|_| Unanswered::NotSent)?;
        match answered.await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(Unanswered::Refused(error)),
            Err(_) => Err(Unanswered::Lost),
        }
    }

    pub(super) fn ask(
        &self,
        device: &DeviceId,
        call: &str,
        with: Value,
    ) -> impl Future<Output = Result<Value, Unanswered>> + Send {
        self.asked(device, call, with)
    }

    /// Takes in an answer. One that nobody waits for is dropped.
    pub(super) fn answered(&self, Answered { id, reply, error }: Answered) {
        let Some(answer) = lock(&self.asks).open.remove(&id) else {
            tracing::debug!(id, "a handheld answered what it was not asked, or what nobody waits for");
            return;
        };
        let done = match (reply, error) {
            (_, Some(error)) => Err(bounds::error(error)),
            (Some(reply), None) => Ok(reply),
            (None, None) => Ok(Value::Null),
        };
        answer.send(done).ok();
    }

    /// Sends a message that may be lost.
    pub(super) fn try_send(&self, message: &FromTill) {
        self.out.try_send(text(message)).ok();
    }

    /// Nothing is sent any more, and what is not answered is lost.
    pub(super) fn close(&self) {
        let mut asks = lock(&self.asks);
        asks.closed = true;
        asks.open.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.asks).closed
    }
}

/// Forgets an ask that is answered or abandoned.
struct Forget<'a> {
    wire: &'a Wire,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.wire.asks).open.remove(&self.id);
    }
}

pub(super) fn gone(why: impl Into<String>) -> Error {
    Error::new(Kind::Closed, why).with_retry(Retry::AfterReconnect)
}
