//! Breaks a link on purpose: by a plan that names the place, or by a seed.

use std::sync::Mutex;

use crate::random::splitmix;
use crate::{BoxFuture, Error, Kind, Link, Result};

/// What goes wrong, and where. Counted from the opening of the link.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The link is cut instead of this send (0 is the first): nothing of it arrives.
    pub cut_before_send: Option<usize>,
    /// The link is cut after this send (0 is the first) has arrived; the sender learns it from `recv`.
    pub cut_after_send: Option<usize>,
    /// The link is cut instead of this received chunk, which is lost.
    pub cut_before_recv: Option<usize>,
    /// The link is cut after this many bytes were sent; the rest of that send is lost.
    pub cut_after_sent_bytes: Option<usize>,
    /// What is received comes in pieces whose lengths this seed decides.
    pub split: Option<u64>,
}

/// A link that misbehaves as a [`Plan`] says.
#[derive(Debug)]
pub struct Fault<L> {
    inner: L,
    plan: Plan,
    state: Mutex<State>,
    cut: tokio::sync::watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    sends: usize,
    sent_bytes: usize,
    recvs: usize,
    held: Vec<u8>,
    seed: u64,
}

impl<L: Link> Fault<L> {
    /// Breaks `inner` as `plan` says.
    pub fn new(inner: L, plan: Plan) -> Self {
        let state = State { seed: plan.split.unwrap_or_default(), ..State::default() };
        Self { inner, plan, state: Mutex::new(state), cut: tokio::sync::watch::Sender::new(false) }
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
}

impl<L: Link> Link for Fault<L> {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (n, before) = {
                let mut state = self.state();
                state.sends += 1;
                (state.sends - 1, std::mem::replace(&mut state.sent_bytes, 0))
            };
            self.state().sent_bytes = before + bytes.len();
            if self.is_cut() || self.plan.cut_before_send == Some(n) {
                return self.cut().await;
            }
            if let Some(limit) = self.plan.cut_after_sent_bytes.filter(|limit| before + bytes.len() > *limit) {
                self.inner.send(&bytes[..limit - before]).await?;
                return self.cut().await;
            }
            self.inner.send(bytes).await?;
            if self.plan.cut_after_send == Some(n) {
                _ = self.cut::<()>().await;
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            if self.is_cut() {
                return self.cut().await;
            }
            if self.state().held.is_empty() {
                let mut chunk = Vec::new();
                tokio::select! {
                    biased;
                    () = self.until_cut() => return self.cut().await,
                    got = self.inner.recv(&mut chunk) => {
                        got?;
                    }
                }
                let n = {
                    let mut state = self.state();
                    state.held = chunk;
                    state.recvs += 1;
                    state.recvs - 1
                };
                if self.plan.cut_before_recv == Some(n) {
                    return self.cut().await;
                }
            }
            let mut state = self.state();
            let all = state.held.len();
            let take = if self.plan.split.is_some() { 1 + (splitmix(&mut state.seed) as usize) % all } else { all };
            into.extend(state.held.drain(..take));
            Ok(take)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
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
}
