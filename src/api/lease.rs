//! Leases of devices and open sales: see [`lease`](crate::lease). The holder is the request's `caller`. To make a call
//! that is refused once a lease has ended, put its key into the request's `leases`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tresen_hal::Result;

use super::millis::{self, patience};
use super::{Command, Need, Right};
use crate::class::Class;
use crate::lease::{Grant, RENEW_EVERY, Target, Turn, View};
use crate::manager::after;
use crate::tresen::Tresen;

/// Leases a device or an open sale, or renews the caller's own lease: [`Tresen::lease`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Acquire {
    /// The target.
    pub target: Target,
}

impl Command for Acquire {
    const NAME: &'static str = "lease.acquire";
    const RIGHT: Right = Right::Sell;
    const CHANGES: bool = true;
    type Reply = Grant;

    fn device(&self) -> Option<&str> {
        named(&self.target)
    }

    async fn needs(&mut self, _: &Tresen) -> Result<Vec<Need>> {
        Ok(holding(&self.target))
    }

    async fn run(self, till: &Tresen) -> Result<Grant> {
        Ok(till.lease(self.target).await?.grant().clone())
    }
}

/// Queues for a lease, or renews the place: [`Tresen::queue_turn`]. The place is lost if this is not repeated within
/// the time to live; a caller that disconnects keeps it until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// The target.
    pub target: Target,
    /// How long to wait for the lease before the place is the reply; default 0.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Queue {
    const NAME: &'static str = "lease.queue";
    const RIGHT: Right = Right::Sell;
    const CHANGES: bool = false;
    const WAITS: bool = true;
    type Reply = Turn;

    fn device(&self) -> Option<&str> {
        named(&self.target)
    }

    async fn needs(&mut self, _: &Tresen) -> Result<Vec<Need>> {
        Ok(holding(&self.target))
    }

    async fn run(self, till: &Tresen) -> Result<Turn> {
        let deadline = after(patience(self.within, Duration::ZERO));
        let leases = &till.0.leases;
        if let Target::Device(id) = &self.target {
            till.0.registry.any(id)?;
        }
        let (moved, renew) = (leases.moved(&self.target), RENEW_EVERY.min(leases.ttl() / 3));
        loop {
            let news = moved.notified();
            let turn = till.queue_turn(&self.target).await?;
            let now = Instant::now();
            if matches!(turn, Turn::Granted(_)) || now >= deadline {
                return Ok(turn);
            }
            tokio::time::timeout_at(deadline.min(now + renew), news).await.ok();
        }
    }
}

/// Takes a lease from whoever has it: [`Tresen::take_over_turn`]. Where a transaction is running the reply is a place
/// at the head of the queue: continue with `lease.queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TakeOver {
    /// The target.
    pub target: Target,
    /// The reason.
    pub why: String,
}

impl Command for TakeOver {
    const NAME: &'static str = "lease.take-over";
    const RIGHT: Right = Right::Settle;
    const CHANGES: bool = true;
    type Reply = Turn;

    fn device(&self) -> Option<&str> {
        named(&self.target)
    }

    async fn run(self, till: &Tresen) -> Result<Turn> {
        till.take_over_turn(&self.target, &self.why).await
    }
}

/// Asks the holder to let go: [`Tresen::ask_holder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The target.
    pub target: Target,
    /// The reason.
    #[serde(default)]
    pub why: String,
}

impl Command for Ask {
    const NAME: &'static str = "lease.ask";
    const RIGHT: Right = Right::Sell;
    const CHANGES: bool = true;
    type Reply = View;

    fn device(&self) -> Option<&str> {
        named(&self.target)
    }

    async fn needs(&mut self, _: &Tresen) -> Result<Vec<Need>> {
        Ok(holding(&self.target))
    }

    async fn run(self, till: &Tresen) -> Result<View> {
        till.ask_holder(self.target, &self.why).await
    }
}

/// All leases: [`Tresen::leases`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct List {}

impl Command for List {
    const NAME: &'static str = "lease.list";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<View>;

    async fn run(self, till: &Tresen) -> Result<Vec<View>> {
        till.leases().await
    }
}

/// Commands with no argument but the target.
macro_rules! by_target {
    ($($(#[$doc:meta])* $command:ident $name:literal $changes:literal $method:ident -> $reply:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// The target.
            pub target: Target,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            const RIGHT: Right = Right::Sell;
            const CHANGES: bool = $changes;
            type Reply = $reply;

            fn device(&self) -> Option<&str> {
                named(&self.target)
            }

            async fn needs(&mut self, _: &Tresen) -> Result<Vec<Need>> {
                Ok(holding(&self.target))
            }

            async fn run(self, till: &Tresen) -> Result<$reply> {
                till.$method(&self.target).await
            }
        }
    )*};
}

by_target! {
    /// Renews the caller's lease: [`Tresen::renew_lease`].
    Renew "lease.renew" false renew_lease -> Grant;
    /// Ends the caller's lease; false if it had ended before: [`Tresen::release_lease`].
    Release "lease.release" true release_lease -> bool;
    /// Leaves the queue; false if the caller was not in it: [`Tresen::leave_queue`].
    Leave "lease.leave" true leave_queue -> bool;
}

/// What it takes to hold a target: a device is held only by who may use it.
fn holding(target: &Target) -> Vec<Need> {
    let mut needs = vec![Need::all(Right::Sell)];
    if let Target::Device(id) = target {
        let right = match id.class {
            Class::Printer => Right::Print,
            Class::Scanner => Right::Scan,
            Class::Terminal => Right::Pay,
            Class::Camera => Right::Camera,
        };
        needs.push(Need::new(right, Some(&id.name)));
    }
    needs
}

fn named(target: &Target) -> Option<&str> {
    match target {
        Target::Device(id) => Some(&id.name),
        Target::Sale(_) => None,
    }
}
