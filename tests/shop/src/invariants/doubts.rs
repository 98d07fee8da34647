//! Payments in doubt: the sweeper settles them or tells a person in time, and moves no money itself.

use std::time::Duration;

use tresen::payment::zvt::sim::Kind;

use super::Held;
use crate::counter::Counter;
use crate::setup::TELL_AFTER;

/// Looks now and then, for as long as the till lives, whether people were told of what is not decided.
pub async fn are_told(counter: &Counter) {
    loop {
        counter.pause(LOOK).await;
        if counter.world.notebook().doubts.is_empty() {
            continue;
        }
        counter.check().await;
        let open = counter.books.lock().await.open.clone();
        let now = counter.world.story.time();
        let mut notebook = counter.world.notebook();
        notebook.doubts.retain(|key, _| open.contains(key));
        let late = notebook
            .doubts
            .iter()
            .find(|(key, since)| now > **since + TELL_AFTER + LOOKS + SLACK && !notebook.told.contains(*key));
        let late = late.map(|(key, since)| format!("payment {key} is in doubt since {since:?}, and nobody was told"));
        drop(notebook);
        late.into_iter().for_each(|late| counter.world.violated(late));
    }
}

/// Each transaction of a terminal is one that somebody asked for.
///
/// # Errors
/// There are more.
pub(super) fn nobody_else_moves_money(counter: &Counter) -> Held {
    for place in &counter.world.terminals {
        let mut found = [0_u64; 3];
        place.with(|terminal| {
            for transaction in terminal.ledger().entries() {
                match transaction.kind {
                    Kind::Payment => found[0] += 1,
                    Kind::Reversal(_) => found[1] += 1,
                    _ => found[2] += 1,
                }
            }
        });
        let asked = counter.world.notebook().asked.get(place.name()).copied().unwrap_or_default();
        if found.iter().zip(asked).any(|(found, asked)| *found > asked) {
            return Err(format!(
                "the {} has {found:?} payments, reversals and refunds; people asked for {asked:?}",
                place.name()
            ));
        }
    }
    Ok(())
}

const LOOK: Duration = Duration::from_secs(20);
/// The till looks every 30 s, and waits 30 s at least after it has found one.
const LOOKS: Duration = Duration::from_secs(60);
/// It looks again later while the disk is full.
const SLACK: Duration = Duration::from_secs(45);
