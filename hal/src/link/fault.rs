//! Injects faults into a link: at planned places, or by a seed.
//!
//! Chunks are counted from 0 in each direction: the argument of a `send`, the result of a `recv` of the inner link.
//! Times are tokio's, so a test with a paused clock does not wait.
//!
//! ```
//! use std::time::Duration;
//! use tresen_hal::link::fault::{Damage, Fault, Plan};
//! use tresen_hal::link::memory;
//!
//! let (near, far) = memory::pair();
//! let plan = Plan::default()
//!     .sent(2, Damage::Duplicate)
//!     .received(0, Damage::Delay(Duration::from_secs(6)))
//!     .received(3, Damage::Late(1));
//! let link = Fault::new(near, plan);
//! ```

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::record::Direction;
use crate::random::splitmix;
use crate::{BoxFuture, Error, Kind, Link, Result};

/// Which faults to inject, and where.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The link is cut instead of this send (0 is the first), of which nothing arrives.
    pub cut_before_send: Option<usize>,
    /// The link is cut after this send (0 is the first) has arrived; the sender learns of it from `recv`.
    pub cut_after_send: Option<usize>,
    /// The link is cut instead of this received chunk, which is lost.
    pub cut_before_recv: Option<usize>,
    /// The link is cut after this many bytes were sent; the rest of that send is lost.
    pub cut_after_sent_bytes: Option<usize>,
    /// Received chunks are split into pieces of random length, by this seed.
    pub split: Option<u64>,
    /// Damage to single chunks. Several for one chunk apply in this order.
    pub damages: Vec<(Direction, usize, Damage)>,
    /// Random damage, in both directions.
    pub noise: Option<Noise>,
}

impl Plan {
    /// Adds damage to the `nth` sent chunk.
    #[must_use]
    pub fn sent(mut self, nth: usize, damage: Damage) -> Self {
        self.damages.push((Direction::Sent, nth, damage));
        self
    }

    /// Adds damage to the `nth` received chunk.
    #[must_use]
    pub fn received(mut self, nth: usize, damage: Damage) -> Self {
        self.damages.push((Direction::Received, nth, damage));
        self
    }

    /// Adds random damage.
    #[must_use]
    pub fn noisy(mut self, noise: Noise) -> Self {
        self.noise = Some(noise);
        self
    }
}

/// Damage to one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It is delayed, and so are the chunks behind it; a `send` takes that much longer.
    Delay(Duration),
    /// From this chunk on nothing passes in this direction, as with a device that accepts nothing or has fallen silent.
    /// The link stays open.
    Stall,
    /// One byte is changed: `xor` is applied to the byte at `at`, modulo the length of the chunk.
    Corrupt {
        /// Which byte.
        at: usize,
        /// The bits to flip.
        xor: u8,
    },
    /// It arrives twice.
    Duplicate,
    /// `count` bytes from `at` on are lost, as far as the chunk has them.
    LoseBytes {
        /// The first of them.
        at: usize,
        /// How many.
        count: usize,
    },
    /// It is lost.
    Lose,
    /// It arrives after this many of the following chunks; with 1 the two swap places.
    Late(usize),
}

/// Random damage. The same seed has the same effect on the same chunks.
#[derive(Debug, Clone)]
pub struct Noise {
    /// Determines the chunks, and the places in them.
    pub seed: u64,
    /// How many of a thousand chunks are damaged.
    pub per_mille: u16,
    /// The kinds of damage, each equally likely. The seed also determines the places in `Corrupt` and `LoseBytes`.
    pub damages: Vec<Damage>,
}

/// A link with the faults of a [`Plan`].
#[derive(Debug)]
pub struct Fault<L> {
    inner: L,
    plan: Plan,
    state: Mutex<State>,
    cut: tokio::sync::watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    sent_bytes: usize,
    /// Determines the pieces of received chunks.
    seed: u64,
    /// The rest of the chunk that is being received in pieces.
    held: Vec<u8>,
    sent: Lane,
    received: Lane,
}

/// The chunks in transit in one direction.
#[derive(Debug, Default)]
struct Lane {
    /// How many chunks there have been.
    count: usize,
    seed: u64,
    /// Nothing passes anymore.
    stalled: bool,
    /// Damaged chunks in the order of arrival, each with the time from which it may arrive.
    ready: VecDeque<(Instant, Vec<u8>)>,
    /// Chunks that arrive after this many others.
    late: Vec<(usize, Vec<u8>)>,
}

impl<L: Link> Fault<L> {
    /// Adds the faults of `plan` to `inner`.
    pub fn new(inner: L, plan: Plan) -> Self {
        let seed = plan.noise.as_ref().map_or(0, |noise| noise.seed);
        let lane = |salt| Lane { seed: seed ^ salt, ..Lane::default() };
        let (sent, received) = (lane(0), lane(u64::MAX));
        let state = State { seed: plan.split.unwrap_or_default(), sent, received, ..State::default() };
        let cut = tokio::sync::watch::Sender::new(false);
        Self { inner, plan, state: Mutex::new(state), cut }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    async fn cut<T>(&self) -> Result<T> {
        self.inner.close().await;
        self.cut.send_replace(true);
        Err(Error::new(Kind::Closed, "the link was cut"))
    }

    fn is_cut(&self) -> bool {
        *self.cut.borrow()
    }

    async fn until_cut(&self) {
        self.cut.subscribe().wait_for(|cut| *cut).await.ok();
    }

    fn damage(&self, direction: Direction, chunk: Vec<u8>) {
        let state = &mut *self.state();
        let lane = match direction {
            Direction::Sent => &mut state.sent,
            Direction::Received => &mut state.received,
        };
        let mut damages: Vec<Damage> =
            self.plan.damages.iter().filter(|d| (d.0, d.1) == (direction, lane.count)).map(|d| d.2).collect();
        damages.extend(self.plan.noise.as_ref().and_then(|noise| noise.next(&mut lane.seed)));
        lane.count += 1;
        lane.take(chunk, &damages);
    }
}

impl Lane {
    fn take(&mut self, mut chunk: Vec<u8>, damages: &[Damage]) {
        let mut due = self.ready.back().map_or_else(Instant::now, |(due, _)| (*due).max(Instant::now()));
        let (mut twice, mut late) = (false, None);
        for damage in damages {
            match *damage {
                Damage::Delay(by) => due += by,
                Damage::Stall => self.stalled = true,
                Damage::Corrupt { .. } if chunk.is_empty() => {}
                Damage::Corrupt { at, xor } => {
                    let at = at % chunk.len();
                    chunk[at] ^= xor;
                }
                Damage::Duplicate => twice = true,
                Damage::LoseBytes { at, count } => {
                    let end = at.saturating_add(count).min(chunk.len());
                    chunk.drain(at.min(end)..end);
                }
                Damage::Lose => chunk.clear(),
                Damage::Late(by) => late = Some(by),
            }
        }
        if self.stalled {
            return;
        }
        match late {
            Some(by) if by > 0 => self.late.push((by, chunk)),
            _ => {
                if twice {
                    self.arrive(due, chunk.clone());
                }
                self.arrive(due, chunk);
            }
        }
    }

    /// Lets chunks arrive that were waiting for others; `false` if there are none.
    fn give_up_waiting(&mut self) -> bool {
        let waiting = std::mem::take(&mut self.late);
        let any = !waiting.is_empty();
        self.ready.extend(waiting.into_iter().filter(|(_, chunk)| !chunk.is_empty()).map(|(_, c)| (Instant::now(), c)));
        any
    }

    /// A chunk arrives, followed by those that have waited for it.
    fn arrive(&mut self, due: Instant, chunk: Vec<u8>) {
        if !chunk.is_empty() {
            self.ready.push_back((due, chunk));
        }
        self.late.iter_mut().for_each(|(by, _)| *by -= 1);
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(|(by, _)| *by == 0);
        self.late = later;
        self.ready.extend(now.into_iter().filter(|(_, chunk)| !chunk.is_empty()).map(|(_, chunk)| (due, chunk)));
    }
}

impl Noise {
    fn next(&self, seed: &mut u64) -> Option<Damage> {
        if self.damages.is_empty() || splitmix(seed) % 1000 >= u64::from(self.per_mille) {
            return None;
        }
        let damage = self.damages[splitmix(seed) as usize % self.damages.len()];
        let place = splitmix(seed) as usize;
        Some(match damage {
            Damage::Corrupt { xor, .. } => Damage::Corrupt { at: place, xor },
            Damage::LoseBytes { count, .. } => Damage::LoseBytes { at: place % 16, count },
            other => other,
        })
    }
}

impl<L: Link> Link for Fault<L> {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if bytes.is_empty() {
                return Ok(());
            }
            let (n, before) = {
                let mut state = self.state();
                let before = state.sent_bytes;
                state.sent_bytes += bytes.len();
                (state.sent.count, before)
            };
            if self.is_cut() || self.plan.cut_before_send == Some(n) {
                return self.cut().await;
            }
            let limit = self.plan.cut_after_sent_bytes.filter(|limit| before + bytes.len() > *limit);
            self.damage(Direction::Sent, limit.map_or(bytes, |limit| &bytes[..limit - before]).to_vec());
            if self.state().sent.stalled {
                self.until_cut().await;
                return self.cut().await;
            }
            loop {
                let next = self.state().sent.ready.pop_front();
                let Some((due, chunk)) = next else { break };
                tokio::select! {
                    biased;
                    () = self.until_cut() => return self.cut().await,
                    () = sleep_until(due) => {}
                }
                self.inner.send(&chunk).await?;
            }
            if limit.is_some() {
                return self.cut().await;
            }
            if self.plan.cut_after_send == Some(n) {
                _ = self.cut::<()>().await;
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            loop {
                if self.is_cut() {
                    return self.cut().await;
                }
                if let Some(taken) = self.take_piece(into) {
                    return Ok(taken);
                }
                let (due, stalled, n) = {
                    let received = &self.state().received;
                    (received.ready.front().map(|(due, _)| *due), received.stalled, received.count)
                };
                let mut chunk = Vec::new();
                let got = tokio::select! {
                    biased;
                    () = self.until_cut() => continue,
                    () = until(due), if due.is_some() => continue,
                    got = self.inner.recv(&mut chunk), if due.is_none() && !stalled => got,
                    () = std::future::pending() => continue,
                };
                match got {
                    Ok(_) if self.plan.cut_before_recv == Some(n) => return self.cut().await,
                    Ok(_) => self.damage(Direction::Received, chunk),
                    // Chunks that were waiting for others, which never came, arrive now.
                    Err(error) if !self.state().received.give_up_waiting() => return Err(error),
                    Err(_) => {}
                }
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

impl<L: Link> Fault<L> {
    /// Appends the received chunk that is due, or a piece of it, to `into`.
    fn take_piece(&self, into: &mut Vec<u8>) -> Option<usize> {
        let state = &mut *self.state();
        if state.held.is_empty() {
            state.received.ready.front().filter(|(due, _)| *due <= Instant::now())?;
            state.held = state.received.ready.pop_front()?.1;
        }
        let all = state.held.len();
        let take = if self.plan.split.is_some() { 1 + splitmix(&mut state.seed) as usize % all } else { all };
        into.extend(state.held.drain(..take));
        Some(take)
    }
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory;

    async fn all(link: &impl Link) -> Vec<u8> {
        let mut got = Vec::new();
        while link.recv(&mut got).await.is_ok() {}
        got
    }

    #[tokio::test]
    async fn cuts_where_the_plan_says() {
        for (plan, arrives) in [
            (Plan { cut_before_send: Some(1), ..Plan::default() }, "one"),
            (Plan { cut_after_send: Some(1), ..Plan::default() }, "onetwo"),
            (Plan { cut_after_sent_bytes: Some(4), ..Plan::default() }, "onet"),
        ] {
            let (near, far) = memory::pair();
            let link = Fault::new(near, plan.clone());
            for text in ["one", "two", "six"] {
                link.send(text.as_bytes()).await.ok();
            }
            assert_eq!(all(&far).await, arrives.as_bytes(), "{plan:?}");
            assert_eq!(link.recv(&mut Vec::new()).await.expect_err("cut").kind(), Kind::Closed);
        }
    }

    #[tokio::test]
    async fn loses_the_chunk_it_is_cut_at() {
        let (near, far) = memory::pair();
        let link = Fault::new(near, Plan { cut_before_recv: Some(1), ..Plan::default() });
        far.send(b"one").await.expect("open");
        far.send(b"two").await.expect("open");
        assert_eq!(all(&link).await, b"one");
        assert_eq!(all(&far).await, b"", "the far end sees the cut");
    }

    #[tokio::test]
    async fn splits_the_same_way_for_the_same_seed() {
        let mut sizes = Vec::new();
        for _ in 0..2 {
            let (near, far) = memory::pair();
            let link = Fault::new(near, Plan { split: Some(7), ..Plan::default() });
            far.send(&[0; 100]).await.expect("open");
            far.close().await;
            let (mut got, mut run) = (Vec::new(), Vec::new());
            while let Ok(n) = link.recv(&mut got).await {
                run.push(n);
            }
            assert_eq!(got.len(), 100);
            assert!(run.len() > 3, "{run:?}");
            sizes.push(run);
        }
        assert_eq!(sizes[0], sizes[1]);
    }

    /// What arrives of three chunks in each direction.
    async fn both_ways(damages: &[(usize, Damage)]) -> [String; 2] {
        let mut plan = Plan::default();
        for (nth, damage) in damages {
            plan = plan.sent(*nth, *damage).received(*nth, *damage);
        }
        let (near, far) = memory::pair();
        let link = Fault::new(near, plan);
        for chunk in ["one ", "two ", "three "] {
            far.send(chunk.as_bytes()).await.expect("open");
            link.send(chunk.as_bytes()).await.expect("open");
        }
        far.close().await;
        let received = all(&link).await;
        link.close().await;
        [all(&far).await, received].map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn damages_single_chunks_in_both_directions() {
        for (damage, arrives) in [
            (Damage::Corrupt { at: 5, xor: 0x20 }, "one tWo three "),
            (Damage::Duplicate, "one two two three "),
            (Damage::LoseBytes { at: 0, count: 1 }, "one wo three "),
            (Damage::LoseBytes { at: 2, count: 99 }, "one twthree "),
            (Damage::Lose, "one three "),
            (Damage::Late(1), "one three two "),
            (Damage::Delay(Duration::from_secs(7)), "one two three "),
        ] {
            assert_eq!(both_ways(&[(1, damage)]).await, [arrives; 2], "{damage:?}");
        }
        let both = [(1, Damage::LoseBytes { at: 0, count: 1 }), (1, Damage::Duplicate), (0, Damage::Late(2))];
        assert_eq!(both_ways(&both).await[0], "wo wo one three ");
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_holds_up_what_follows_and_nothing_else() {
        const LATE: Duration = Duration::from_secs(6);
        let (near, far) = memory::pair();
        let link = Fault::new(near, Plan::default().received(0, Damage::Delay(LATE)).sent(1, Damage::Delay(LATE)));
        far.send(b"answer").await.expect("open");
        far.send(b"more").await.expect("open");
        let start = Instant::now();
        let mut got = Vec::new();
        // A dropped `recv` loses nothing.
        assert!(tokio::time::timeout(LATE / 2, link.recv(&mut got)).await.is_err());
        link.send(b"sent meanwhile").await.expect("open");
        assert_eq!(start.elapsed(), LATE / 2);
        link.recv(&mut got).await.expect("late");
        assert_eq!((start.elapsed(), &got[..]), (LATE, &b"answer"[..]));
        link.recv(&mut got).await.expect("behind it");
        assert_eq!(start.elapsed(), LATE);
        link.send(b"delayed").await.expect("open");
        assert_eq!(start.elapsed(), 2 * LATE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_direction_leaves_the_other_alone() {
        let (near, far) = memory::pair();
        let link = Fault::new(near, Plan::default().received(1, Damage::Stall));
        for chunk in [b"one", b"two"] {
            far.send(chunk).await.expect("open");
        }
        let mut got = Vec::new();
        link.recv(&mut got).await.expect("the first");
        assert!(tokio::time::timeout(Duration::from_secs(900), link.recv(&mut got)).await.is_err(), "silence");
        link.send(b"still").await.expect("open");
        far.recv(&mut got).await.expect("open");
        assert_eq!(got, b"onestill");

        let (near, far) = memory::pair();
        let link = Fault::new(near, Plan::default().sent(0, Damage::Stall));
        assert!(tokio::time::timeout(Duration::from_secs(900), link.send(b"x")).await.is_err(), "taken by nobody");
        far.send(b"heard").await.expect("open");
        got.clear();
        link.recv(&mut got).await.expect("open");
        assert_eq!(got, b"heard");
    }

    #[tokio::test(start_paused = true)]
    async fn noise_is_the_same_for_the_same_seed() {
        let run = async |seed| {
            let damages = vec![
                Damage::Corrupt { at: 0, xor: 0x01 },
                Damage::Duplicate,
                Damage::LoseBytes { at: 0, count: 1 },
                Damage::Lose,
                Damage::Late(1),
                Damage::Delay(Duration::from_secs(1)),
            ];
            let (near, far) = memory::pair();
            let link = Fault::new(near, Plan::default().noisy(Noise { seed, per_mille: 300, damages }));
            for n in 0..100u8 {
                far.send(&[n; 4]).await.expect("open");
                link.send(&[n; 4]).await.expect("open");
            }
            far.close().await;
            let received = all(&link).await;
            link.close().await;
            (all(&far).await, received)
        };
        let (sent, received) = run(7).await;
        assert_eq!(run(7).await, (sent.clone(), received.clone()));
        assert_ne!(run(8).await, (sent.clone(), received.clone()));
        assert_ne!(sent, received, "each direction has its own");
        let quiet: Vec<u8> = (0..100u8).flat_map(|n| [n; 4]).collect();
        assert!(sent != quiet && received != quiet);
    }
}
