//! The events of a till at a handheld: what is missing between two of them was told.

use std::sync::Arc;

use tresen_remote::Client;
use tresen_remote::client::News;

use crate::dice::Dice;
use crate::world::World;

/// Listens for as long as the handheld works, and is slow now and then.
pub async fn listen(world: Arc<World>, name: String, client: Client, mut dice: Dice) {
    // A client lives as long as one of its handles: this one shall not keep it.
    let following = client.follow().await;
    drop(client);
    let Ok(mut following) = following else { return };
    let mut heard = Heard::default();
    while let Some(news) = following.next().await {
        world.story.trace(format_args!("{name} hears {}", brief(&news)));
        if let Err(gap) = heard.take(&news) {
            return world.broken(format!("{name} {gap}"));
        }
        match news {
            News::Event(_) => world.notebook().count("events heard by handhelds"),
            News::Missed(_) => world.notebook().count("gaps told to handhelds"),
            News::State(state) if state.missed.is_some() => world.notebook().count("gaps told to handhelds"),
            _ => {}
        }
        if dice.percent(1) {
            let pause = dice.millis(0, 90_000);
            tokio::time::sleep(pause).await;
        }
    }
}

fn brief(news: &News) -> String {
    match news {
        News::Event(event) => format!("event {} {}", event.seq, event.source),
        News::State(state) => format!("the state at {}, missed {:?}", state.snapshot.seq, state.missed),
        News::Missed(missed) => format!("that {missed:?} are missing"),
        _ => "something else".to_owned(),
    }
}

/// The number of the last event that was heard, or named as missing.
#[derive(Debug, Default)]
struct Heard(Option<u64>);

impl Heard {
    fn take(&mut self, news: &News) -> Result<(), String> {
        match news {
            News::State(state) => match (state.missed, self.0) {
                // Another run of the server has numbers of its own.
                (Some(missed), _) if missed.from == 0 => self.0 = Some(missed.to),
                (Some(missed), _) => self.skips(missed.from, missed.to)?,
                (None, None) => self.0 = Some(state.snapshot.seq),
                (None, Some(_)) => {}
            },
            News::Missed(missed) => self.skips(missed.from, missed.to)?,
            News::Event(event) => self.skips(event.seq, event.seq)?,
            _ => {}
        }
        Ok(())
    }

    fn skips(&mut self, from: u64, to: u64) -> Result<(), String> {
        let Some(last) = self.0.replace(to) else { return Err(format!("hears of event {from} before it follows")) };
        if from != last + 1 {
            return Err(format!("hears of event {from} after event {last}, and nothing was told in between"));
        }
        Ok(())
    }
}
