//! Leases: each target has one holder at most, and a holder that does nothing any more loses it in time.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;

use crate::counter::Counter;
use crate::world::LEASE;

/// Looks at all leases now and then, for as long as the till lives.
pub async fn end_in_time(counter: &Counter) {
    loop {
        counter.pause(LOOK).await;
        let Ok(leases) = counter.till.leases().await else { continue };
        let (now, wall) = (counter.world.story.time(), counter.till.runtime().wall());
        let mut targets = BTreeSet::new();
        for view in leases {
            let what = format!("the lease of {} by {}", view.target, view.holder);
            if !targets.insert(view.target.clone()) {
                counter.world.violated(format!("{what} is listed beside another one"));
            }
            // In use: it ends with the transaction, or with the call.
            let Some(until) = view.until else { continue };
            let left = until.duration_since(wall);
            if left < -SignedDuration::from_secs(1) {
                counter.world.violated(format!("{what} is over and still listed"));
            }
            let Some(radio) = counter.world.radios.iter().find(|radio| radio.name() == view.holder) else { continue };
            // Whoever waited and has left has it from when it was passed on.
            let granted = now.saturating_sub(Duration::try_from(wall.duration_since(view.since)).unwrap_or_default());
            let active = radio.active(now).max(granted);
            let latest = (active + LEASE).saturating_sub(now) + Duration::from_secs(1);
            if Duration::try_from(left).unwrap_or_default() > latest {
                counter.world.violated(format!(
                    "{what} lasts {left:?} longer, its holder did nothing, and was given nothing, since {active:?}"
                ));
            }
        }
    }
}

/// How often.
const LOOK: Duration = Duration::from_secs(7);
