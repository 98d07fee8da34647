//! The till as people use it: every call is told, bounded, and answered only while the till lives.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tresen::{Result, Tresen};

use crate::invariants::{self, Books};
use crate::world::World;

/// The till in one of its lives.
#[derive(Clone)]
pub struct Counter {
    /// The shop around it.
    pub world: Arc<World>,
    /// The till.
    pub till: Tresen,
    /// What the till's database holds, as of the last check.
    pub books: Arc<tokio::sync::Mutex<Books>>,
}

/// What an actor does in one life of the till.
pub type Shift<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Somebody, or something, that acts at the counter: a cashier, somebody with a handheld, a manager, the weather.
/// What it knows outlives the till.
pub trait Actor {
    /// Acts until its shift is over. When the till dies, the future is dropped at whatever await it has reached, and
    /// the next life begins with a new one.
    fn shift<'a>(&'a mut self, counter: &'a Counter) -> Shift<'a>;
}

impl Counter {
    /// A call to the till that has to return within `bound`.
    pub async fn call<T: fmt::Debug>(
        &self,
        who: &str,
        what: impl fmt::Display,
        bound: Duration,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.world.alive().await;
        self.world.story.tell(who, &what);
        let Ok(result) = tokio::time::timeout(bound, call).await else {
            self.world.violated(format!("a call did not return within {bound:?}: {who} {what}"));
            return std::future::pending().await;
        };
        self.world.alive().await;
        match &result {
            Ok(value) => self.world.story.tell(who, format_args!("{what}: {}", brief(value))),
            Err(error) => self.world.story.tell(who, format_args!("{what}: error: {error}")),
        }
        self.check().await;
        result
    }

    /// The same, but the caller leaves after `patience`: none if it has.
    pub async fn call_briefly<T: fmt::Debug>(
        &self,
        who: &str,
        what: impl fmt::Display,
        patience: Duration,
        call: impl Future<Output = Result<T>>,
    ) -> Option<Result<T>> {
        self.world.alive().await;
        self.world.story.tell(who, format_args!("{what}, for {patience:?} at most"));
        let result = tokio::time::timeout(patience, call).await.ok();
        self.world.alive().await;
        match &result {
            Some(Ok(value)) => self.world.story.tell(who, format_args!("{what}: {}", brief(value))),
            Some(Err(error)) => self.world.story.tell(who, format_args!("{what}: error: {error}")),
            None => self.world.story.tell(who, format_args!("{what}: left")),
        }
        self.check().await;
        result
    }

    /// Checks all that must hold at any moment.
    pub async fn check(&self) {
        self.world.notebook().count("checks");
        // At one moment: a check that yields in the middle would compare two moments.
        match tokio::task::coop::unconstrained(invariants::at_any_time(self)).await {
            Ok(()) => {}
            Err(_) if self.world.is_dead() => {}
            Err(violation) => {
                self.world.violated(violation);
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits.
    pub async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.world.alive().await;
    }
}

/// The beginning of a value in words.
fn brief(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    let text = text.split("record: ").last().unwrap_or_default();
    text.chars().take(140).collect()
}
