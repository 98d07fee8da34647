//! One run: a shop, its people and its weather, by a seed, from the first life of the till to the last.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::cashier::Cashier;
use crate::checkout::resume;
use crate::closing::close_the_shop;
use crate::counter::{Actor, Counter, Shift};
use crate::dice::Dice;
use crate::handheld::Handheld;
use crate::invariants::{Books, events, leases};
use crate::manager::Manager;
use crate::plan::Plan;
use crate::till;
use crate::weather::{Weather, free_disk};
use crate::world::{Fuse, World};

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// What it was made of.
    pub seed: u64,
    /// The option of the command that means its plan.
    pub option: &'static str,
    /// What happened, a line each, if the plan keeps them.
    pub lines: Vec<String>,
    /// How many lines there were, and their digest: two runs that differ in a byte differ in it.
    pub digest: (u64, u64),
    /// What was not as it must be.
    pub violation: Option<String>,
    /// The last steps in words.
    pub story: Vec<String>,
    /// What happened how often.
    pub counts: BTreeMap<&'static str, u64>,
    /// How long each handheld waited for its card payments.
    pub waits: BTreeMap<String, Vec<Duration>>,
    /// Virtual time.
    pub took: Duration,
}

/// Runs a shop by this seed.
pub fn run(seed: u64, plan: &Plan) -> Run {
    let mut dice = Dice::new(seed);
    let world = World::new(plan, &mut dice);
    let trouble = if plan.has_faults() { [0, 20, 60][dice.index(3)] } else { 0 };
    world.printers.iter().for_each(|place| place.trouble(trouble));
    world.terminals.iter().for_each(|place| place.trouble(trouble));
    world.scanners.iter().for_each(|place| place.trouble(trouble));
    let mut actors: Vec<Box<dyn Actor>> = vec![
        Box::new(Cashier::new("anna", "hand", dice.fork())),
        Box::new(Cashier::new("ben", "belt", dice.fork())),
        Box::new(Manager::new(dice.fork())),
    ];
    if plan.has_faults() {
        actors.push(Box::new(Weather::new(plan, dice.fork())));
    }
    for (n, radio) in world.radios.iter().enumerate() {
        actors.push(Box::new(Handheld::new(n, radio.clone(), plan, dice.fork())));
    }
    let lives = dice.below(u64::from(plan.lives) + 1);
    let share = (plan.length / (lives as u32 + 1)).as_millis() as u64;
    for _ in 0..lives {
        let after = dice.millis(0, 2 * share);
        let fuse = match dice.below(3) {
            0 => Fuse::Call(after, dice.below(200)),
            1 => Fuse::Chunk(after, dice.below(250)),
            _ => Fuse::Time(after),
        };
        live(&world, dice.bits(), fuse, &mut actors, false);
        if world.violation().is_some() {
            break;
        }
        world.notebook().count("lives");
    }
    if world.violation().is_none() {
        live(&world, dice.bits(), Fuse::Never, &mut actors, true);
    }
    let mut notebook = world.notebook();
    let closed = notebook.sales().iter().filter(|note| note.number.is_some()).count();
    notebook.counts.insert("sales", closed as u64);
    Run {
        seed,
        option: plan.option,
        lines: world.story.lines(),
        digest: world.story.digest(),
        violation: world.violation(),
        story: world.story.last(STORY),
        counts: std::mem::take(&mut notebook.counts),
        waits: std::mem::take(&mut notebook.waits),
        took: world.story.time(),
    }
}

/// One life of the till, on a runtime of its own, which is dropped with all that is left of it.
fn live(world: &Arc<World>, seed: u64, fuse: Fuse, actors: &mut [Box<dyn Actor>], last: bool) {
    let mut builder = Builder::new_current_thread();
    // After each task the main future is polled: so the till dies between two of them.
    builder.enable_time().start_paused(true).event_interval(1);
    // Chance within tokio: the order in which the receivers of one `watch` wake.
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
    let runtime = builder.build().expect("a runtime");
    let lived = runtime.block_on(async {
        let began = tokio::time::Instant::now();
        world.begin();
        free_disk(world);
        world.story.tell("THE TILL", format_args!("starts, {fuse:?}"));
        until_dead(world, life(world, seed, fuse, actors, last)).await;
        let lived = began.elapsed();
        world.story.end();
        lived
    });
    drop(runtime);
    world.bury(lived);
}

async fn life(world: &Arc<World>, seed: u64, fuse: Fuse, actors: &mut [Box<dyn Actor>], last: bool) {
    let burning = world.clone();
    tokio::spawn(async move { burning.light(fuse).await });
    let till = match till::open(world, seed).await {
        Ok(till) => till,
        Err(error) => {
            world.violated(format!("the till does not open: {error}"));
            return;
        }
    };
    tokio::spawn(events::are_heard_without_gaps(world.clone(), till.events()));
    let books = match Books::open(world) {
        Ok(books) => Arc::new(tokio::sync::Mutex::new(books)),
        Err(_) if world.is_dead() => return,
        Err(error) => {
            world.violated(format!("the books cannot be opened: {error}"));
            return;
        }
    };
    let counter = Counter { world: world.clone(), till, books };
    let watched = counter.clone();
    tokio::spawn(async move { leases::end_in_time(&watched).await });
    counter.check().await;
    resume(&counter).await;
    let mut shifts: Vec<Option<Shift<'_>>> = actors.iter_mut().map(|actor| Some(actor.shift(&counter))).collect();
    poll_fn(|cx| {
        for shift in &mut shifts {
            if world.is_dead() || world.violation().is_some() {
                return Poll::Pending;
            }
            if let Some(future) = shift
                && future.as_mut().poll(cx).is_ready()
            {
                *shift = None;
            }
        }
        if shifts.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    drop(shifts);
    if last {
        close_the_shop(&counter).await;
    }
}

/// Polls `life` until it ends, the till dies or something is violated.
async fn until_dead(world: &World, life: impl Future<Output = ()>) {
    let mut life = std::pin::pin!(life);
    poll_fn(|cx| {
        world.wakes(cx.waker());
        let over = || world.is_dead() || world.violation().is_some();
        if over() {
            return Poll::Ready(());
        }
        let ended = life.as_mut().poll(cx);
        if over() { Poll::Ready(()) } else { ended }
    })
    .await;
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(violation) = &self.violation else {
            return write!(f, "seed {} held: {} lines, {:?}", self.seed, self.digest.0, self.took);
        };
        writeln!(f, "seed {}: {violation}\n\nthe last steps:", self.seed)?;
        self.story.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(
            f,
            "\nits digest is {:016x}; run it again: cargo run --release -p tresen-shop -- {}--seed {} --trace",
            self.digest.1, self.option, self.seed
        )
    }
}

/// How many steps are told of a run that failed.
const STORY: usize = 40;
