//! One run: a shop, its people and its weather, by a seed, from the first life of the till to the last.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::cashier::Cashier;
use crate::checkout::resume;
use crate::closing::close_the_shop;
use crate::counter::{Actor, Counter, Shift};
use crate::dice::Dice;
use crate::disaster;
use crate::handheld::Handheld;
use crate::invariants::{self, Books, doubts, events, leases};
use crate::manager::Manager;
use crate::plan::Plan;
use crate::remote::{Air, Door, TURN};
use crate::story::Story;
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
    world.all_trouble(trouble);
    let mut actors: Vec<Box<dyn Actor>> = vec![
        Box::new(Cashier::new("anna", "hand", dice.fork())),
        Box::new(Cashier::new("ben", "belt", dice.fork())),
        Box::new(Manager::new(dice.fork())),
    ];
    if plan.has_faults() {
        actors.push(Box::new(Weather::new(plan, dice.fork())));
    }
    // Of dice of its own, so that the others fall the same with and without it.
    let mut ether = Dice::new(seed ^ AIR);
    let air = (plan.remote && !world.radios.is_empty() && ether.percent(70)).then(|| Air::new(ether.bits()));
    if let Some(air) = &air {
        world.connect(&air.handle(), &mut ether);
    }
    for (n, radio) in world.radios.iter().enumerate() {
        actors.push(Box::new(Handheld::new(n, radio.clone(), plan, dice.fork())));
    }
    let branch = World::branch(&world, &mut dice);
    let mut branch_actors: Vec<Box<dyn Actor>> = Vec::new();
    if let Some(branch) = &branch {
        branch_actors.push(Box::new(Cashier::new("dora", "hand", dice.fork())));
        if plan.has_faults() {
            branch.all_trouble(trouble);
            branch_actors.push(Box::new(Weather::new(&branch.plan, dice.fork())));
        }
    }
    let mut shop = Shop { world: world.clone(), branch, actors, branch_actors };
    let lives = dice.below(u64::from(plan.lives) + 1);
    let share = (plan.length / (lives as u32 + 1)).as_millis() as u64;
    for _ in 0..lives {
        let after = dice.millis(0, 2 * share);
        let fuse = match dice.below(3) {
            0 => Fuse::Call(after, dice.below(200)),
            1 => Fuse::Chunk(after, dice.below(250)),
            _ => Fuse::Time(after),
        };
        shop.live(air.as_ref(), dice.bits(), fuse, false);
        if shop.violation().is_some() {
            break;
        }
        world.notebook().count("lives");
        if plan.has_faults() && dice.percent(25) && !world.notebook().backups.is_empty() {
            shop.lose_the_disk(&mut dice);
        }
        if let Some(air) = &air {
            // Somebody has to start the till again.
            let pause = if ether.percent(50) { ether.millis(0, 60_000) } else { Duration::ZERO };
            let until = world.story.time() + pause;
            world.story.pass(until);
            air.until(&world.story, until);
        }
    }
    if shop.violation().is_none() {
        shop.live(air.as_ref(), dice.bits(), Fuse::Never, true);
    }
    let violation = shop.violation();
    let closed = |world: &World| world.notebook().sales().iter().filter(|note| note.number.is_some()).count() as u64;
    let branch_sales = shop.branch.as_deref().map_or(0, closed);
    let sales = closed(&world) + branch_sales;
    let mut notebook = world.notebook();
    notebook.counts.insert("sales", sales);
    notebook.counts.insert("sales at the second till", branch_sales);
    Run {
        seed,
        option: plan.option,
        lines: world.story.lines(),
        digest: world.story.digest(),
        violation,
        story: world.story.last(STORY),
        counts: std::mem::take(&mut notebook.counts),
        waits: std::mem::take(&mut notebook.waits),
        took: world.story.time(),
    }
}

/// A till with what is around it, and on some seeds a second one with a file, printers and a terminal of its own at the
/// same server. Both are killed at once, as by a power cut.
struct Shop {
    world: Arc<World>,
    branch: Option<Arc<World>>,
    actors: Vec<Box<dyn Actor>>,
    branch_actors: Vec<Box<dyn Actor>>,
}

impl Shop {
    fn worlds(&self) -> impl Iterator<Item = &Arc<World>> {
        std::iter::once(&self.world).chain(&self.branch)
    }

    fn violation(&self) -> Option<String> {
        self.worlds().find_map(|world| world.violation())
    }

    /// One life of the tills, on a runtime of its own, which is dropped with all that is left of it.
    fn live(&mut self, air: Option<&Air>, seed: u64, fuse: Fuse, last: bool) {
        let mut builder = Builder::new_current_thread();
        // After each task the main future is polled: so the till dies between two of them.
        builder.enable_time().start_paused(true).event_interval(1);
        // Chance within tokio: the order in which the receivers of one `watch` wake.
        #[cfg(tokio_unstable)]
        builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
        let runtime = builder.build().expect("a runtime");
        let worlds: Vec<_> = self.worlds().cloned().collect();
        let past = self.world.story.time();
        let story = self.world.story.clone();
        let inside = runtime.enter();
        let mut life = Box::pin(async {
            let began = tokio::time::Instant::now();
            // The worlds tell one story.
            self.world.story.begin();
            for world in &worlds {
                world.begin(past);
                free_disk(world);
            }
            self.world.story.tell("THE TILL", format_args!("starts, {fuse:?}"));
            until_dead(&worlds, self.work(seed, fuse, last)).await;
            let lived = began.elapsed();
            // What the weather does to one of them is no reason for the other to go on.
            if worlds.iter().any(|world| world.is_dead()) {
                worlds.iter().for_each(|world| world.kill());
            }
            self.world.story.end();
            lived
        });
        let lived = match air {
            None => runtime.block_on(&mut life),
            Some(air) => in_turns(&runtime, &mut life, air, &story, past),
        };
        drop((life, inside));
        drop(runtime);
        worlds.iter().for_each(|world| world.bury(lived));
    }

    fn lose_the_disk(&self, dice: &mut Dice) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let lasted = runtime.block_on(async {
            let began = tokio::time::Instant::now();
            let past = self.world.story.time();
            self.world.story.begin();
            self.world.begin(past);
            disaster::strike(&self.world, dice).await;
            self.world.story.end();
            began.elapsed()
        });
        drop(runtime);
        self.world.bury(lasted);
    }

    async fn work(&mut self, seed: u64, fuse: Fuse, last: bool) {
        let main = life(&self.world, seed, fuse, &mut self.actors);
        let Some(branch) = &self.branch else {
            if let Some(counter) = main.await
                && last
            {
                close_the_shop(&counter).await;
                accounts_are_settled(&counter);
            }
            return;
        };
        let other = life(branch, seed ^ OTHER, Fuse::Never, &mut self.branch_actors);
        let (main, other) = tokio::join!(biased; main, other);
        if let (Some(main), Some(other)) = (main, other)
            && last
        {
            close_the_shop(&other).await;
            close_the_shop(&main).await;
            accounts_are_settled(&main);
        }
    }
}

/// Runs a life of the till in turns with those who outlive it.
fn in_turns<T>(
    runtime: &Runtime,
    life: &mut (impl Future<Output = T> + Unpin),
    air: &Air,
    story: &Story,
    past: Duration,
) -> T {
    for turn in 1.. {
        let lived = runtime.block_on(async {
            tokio::select! {
                biased;
                lived = &mut *life => Some(lived),
                () = tokio::time::sleep(TURN) => None,
            }
        });
        if let Some(lived) = lived {
            return lived;
        }
        air.until(story, past + TURN * turn);
    }
    unreachable!("a life ends before the turns do")
}

/// What people do in one life of a till.
async fn life(world: &Arc<World>, seed: u64, fuse: Fuse, actors: &mut [Box<dyn Actor>]) -> Option<Counter> {
    let burning = world.clone();
    tokio::spawn(async move { burning.light(fuse).await });
    let till = match till::open(world, seed).await {
        Ok(till) => till,
        Err(error) => {
            world.violated(format!("the till does not open: {error}"));
            return None;
        }
    };
    tokio::spawn(events::are_heard_without_gaps(world.clone(), till.events()));
    if world.is_remote() {
        Door::open(world, &till);
    }
    let books = match Books::open(world) {
        Ok(books) => Arc::new(tokio::sync::Mutex::new(books)),
        Err(_) if world.is_dead() => return None,
        Err(error) => {
            world.violated(format!("the books cannot be opened: {error}"));
            return None;
        }
    };
    let counter = Counter { world: world.clone(), till, books };
    let watched = counter.clone();
    tokio::spawn(async move { leases::end_in_time(&watched).await });
    let watched = counter.clone();
    tokio::spawn(async move { doubts::are_told(&watched).await });
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
    Some(counter)
}

/// Polls `life` until it ends, a till dies or something is violated.
async fn until_dead(worlds: &[Arc<World>], life: impl Future<Output = ()>) {
    let mut life = std::pin::pin!(life);
    poll_fn(|cx| {
        worlds.iter().for_each(|world| world.wakes(cx.waker()));
        let over = || worlds.iter().any(|world| world.is_dead() || world.violation().is_some());
        if over() {
            return Poll::Ready(());
        }
        let ended = life.as_mut().poll(cx);
        if over() { Poll::Ready(()) } else { ended }
    })
    .await;
}

/// Once all tills are at rest, nothing of an account is reserved.
fn accounts_are_settled(counter: &Counter) {
    if let Err(violation) = invariants::server::accounts_are_settled(counter) {
        counter.world.violated(violation);
    }
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
/// Tells the dice of the handhelds' clients from the others.
const AIR: u64 = 0x6a09_e667_f3bc_c908;
/// Tells the ids of the second till from those of the first.
const OTHER: u64 = 0x9e37_79b9_7f4a_7c15;
