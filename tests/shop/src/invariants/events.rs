//! Events: a listener that keeps up hears all of them.

use std::sync::Arc;

use tresen::{EventKind, Events};

use crate::world::World;

/// Listens for as long as the till lives: numbers follow each other from the first that is heard.
pub async fn are_heard_without_gaps(world: Arc<World>, mut events: Events) {
    let mut last = None;
    while let Some(event) = events.next().await {
        world.story.trace(format_args!("event {} {} {:?}", event.seq, event.source, event.kind));
        if let Some(last) = last
            && event.seq != last + 1
        {
            world.violated(format!("event {} came after event {last}", event.seq));
        }
        last = Some(event.seq);
        let mut notebook = world.notebook();
        *notebook.heard.entry(event.source.to_string()).or_default() += 1;
        if let EventKind::PaymentInDoubt { intent, .. } = event.kind {
            notebook.count("people told of a doubt");
            notebook.told.insert(intent.0);
        }
    }
}
