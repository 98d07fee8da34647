//! Followers of a till's events.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tresen::hal::{Error, Kind};

use crate::answer::Failure;
use crate::till::Core;

/// A queue of events that threads share.
pub(crate) struct Follower {
    feed: Arc<Mutex<Feed>>,
    ended: watch::Sender<bool>,
    core: Arc<Core>,
}

/// Where events come from.
pub(crate) enum Feed {
    /// A till in this process.
    Here(tresen::Events),
    /// A till elsewhere.
    #[cfg(feature = "remote")]
    Away(tresen_remote::client::Following),
}

/// The result of waiting.
pub(crate) enum Next {
    Event(Value),
    Late,
    Ended,
}

impl Follower {
    pub(crate) fn new(core: Arc<Core>, feed: Feed) -> Self {
        Self { feed: Arc::new(Mutex::new(feed)), ended: watch::Sender::new(false), core }
    }

    /// The next event within that time, or without a limit. A wait that ends has taken no event.
    pub(crate) fn next(&self, within: Option<Duration>) -> Result<Next, Failure> {
        let (feed, mut ended) = (self.feed.clone(), self.ended.subscribe());
        let next = async move { feed.lock().await.next().await };
        let next = async move {
            match within {
                // At least one look at the queue, also within no time.
                Some(within) => tokio::time::timeout(within.min(DAY), next).await,
                None => Ok(next.await),
            }
        };
        self.core.run(async move {
            tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => Ok(Next::Ended),
                next = next => match next {
                    Err(_) => Ok(Next::Late),
                    Ok(None) => Ok(Next::Ended),
                    Ok(Some(event)) => event.map(Next::Event),
                },
            }
        })?
    }

    /// Ends all waits, those to come as well.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Feed {
    async fn next(&mut self) -> Option<Result<Value, Failure>> {
        match self {
            Self::Here(events) => Some(json(events.next().await?)),
            #[cfg(feature = "remote")]
            Self::Away(news) => Some(crate::remote::event(news.next().await?)),
        }
    }
}

/// Devices or an event as JSON.
pub(crate) fn json(value: impl serde::Serialize) -> Result<Value, Failure> {
    let unwritable = |error| Error::new(Kind::Protocol, "an event cannot be written as JSON").because(error).into();
    serde_json::to_value(value).map_err(unwritable)
}

/// The longest wait at a time; it can be added to any time.
const DAY: Duration = Duration::from_secs(24 * 3600);
