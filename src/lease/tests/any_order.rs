//! What never happens to one target, in any order of calls.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use super::{TTL, at, target, with};

/// A step of somebody.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Acquire(usize),
    Queue(usize),
    Leave(usize),
    Renew(usize, bool),
    Release(usize, bool),
    Ask(usize),
    TakeOver(usize),
    Enter(Option<usize>, Use),
    Begin,
    Exit(usize),
    End(usize),
}

const NAMES: [&str; 4] = ["anna", "bo", "cleo", "dan"];

fn step() -> impl Strategy<Value = Step> {
    let who = 0..NAMES.len();
    let purpose = prop_oneof![Just(Use::Call), Just(Use::Transaction), Just(Use::Listen)];
    prop_oneof![
        4 => (1u64..120).prop_map(Step::Pass),
        2 => who.clone().prop_map(Step::Acquire),
        3 => who.clone().prop_map(Step::Queue),
        1 => who.clone().prop_map(Step::Leave),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, late)| Step::Renew(who, late)),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, late)| Step::Release(who, late)),
        1 => who.clone().prop_map(Step::Ask),
        1 => who.clone().prop_map(Step::TakeOver),
        3 => (prop::option::of(who), purpose).prop_map(|(who, purpose)| Step::Enter(who, purpose)),
        2 => Just(Step::Begin),
        3 => (0usize..8).prop_map(Step::Exit),
        2 => (0usize..8).prop_map(Step::End),
    ]
}

/// What the test knows by itself.
#[derive(Default)]
struct Model {
    now: u64,
    /// When each last used, renewed or got the lease.
    active: BTreeMap<&'static str, u64>,
    /// Calls that wait: who, token, purpose.
    waiting: Vec<(Option<&'static str>, Option<u64>, Use)>,
    /// Running transactions: token, key.
    running: Vec<(Option<u64>, String)>,
    /// Every token ever seen, with its holder.
    tokens: BTreeMap<u64, &'static str>,
    /// The first tokens each had.
    first: BTreeMap<&'static str, u64>,
    keys: u64,
}

fn known(name: &str) -> &'static str {
    NAMES.into_iter().find(|known| *known == name).expect("one of them")
}

impl Model {
    fn take(&mut self, slot: &mut Slot, step: Step) {
        let now = at(self.now);
        let early = |who: usize, late: bool, model: &Self| {
            let token = model.first.get(NAMES[who]).copied().filter(|_| late);
            Claim { name: Some(NAMES[who]), token }
        };
        match step {
            Step::Pass(seconds) => self.now += seconds,
            Step::Acquire(who) => {
                if slot.acquire(NAMES[who], TTL, now).is_ok() {
                    self.active.insert(NAMES[who], self.now);
                }
            }
            Step::Queue(who) => {
                slot.queue(NAMES[who], TTL, now);
                self.active.insert(NAMES[who], self.now);
            }
            Step::Leave(who) => _ = slot.leave(NAMES[who], now),
            Step::Renew(who, late) => {
                if slot.renew(early(who, late, self), now).is_ok() {
                    self.active.insert(NAMES[who], self.now);
                }
            }
            Step::Release(who, late) => _ = slot.release(early(who, late, self), now),
            Step::Ask(who) => _ = slot.ask(NAMES[who], "please", now),
            Step::TakeOver(who) => {
                slot.take_over(NAMES[who], "now", TTL, now);
                self.active.insert(NAMES[who], self.now);
            }
            Step::Enter(who, purpose) => {
                let name = who.map(|who| NAMES[who]);
                if let Ok(token) = slot.enter(Claim { name, token: None }, purpose, TTL, now) {
                    self.waiting.push((name, token, purpose));
                    name.map(|name| self.active.insert(name, self.now));
                }
            }
            Step::Begin => {
                let ready = self.waiting.iter().find(|(.., purpose)| *purpose == Use::Transaction);
                if let Some((name, ..)) = ready {
                    self.keys += 1;
                    let key = format!("pay-{}", self.keys);
                    if let Ok(token) = slot.begin(Claim { name: *name, token: None }, &key, now) {
                        self.running.push((token, key));
                    }
                }
            }
            Step::Exit(which) => {
                if which < self.waiting.len() {
                    let (name, token, _) = self.waiting.remove(which);
                    if let Some(token) = token {
                        slot.exit(token, now);
                        name.map(|name| self.active.insert(name, self.now));
                    }
                }
            }
            Step::End(which) => {
                if which < self.running.len() {
                    let (token, key) = self.running.remove(which);
                    token.map(|token| slot.ended(token, &key, now));
                }
            }
        }
    }

    /// Checks what must always hold; `queue` is the queue before the last step.
    fn check(&mut self, slot: &mut Slot, queue: &[String], jumped: Option<&str>) {
        let now = at(self.now);
        slot.tick(now);
        for change in slot.take_changes() {
            let Change::Leased { holder, token, queued } = change else { continue };
            let highest = self.tokens.last_key_value().map_or(0, |(token, _)| *token);
            assert!(token >= highest, "tokens grow: {token} after {highest}");
            if queued {
                let waits: BTreeSet<_> =
                    slot.view(&target()).into_iter().flat_map(|v| v.waiting).map(|w| w.name).collect();
                let mut order =
                    jumped.into_iter().chain(queue.iter().map(String::as_str).filter(|n| Some(*n) != jumped));
                // Those before it left, or lost their place.
                let passed: Vec<_> = order.by_ref().take_while(|name| *name != holder).collect();
                assert!(passed.iter().all(|name| !waits.contains(*name)), "{holder} was served before {passed:?}");
                self.active.insert(known(&holder), self.now);
            }
        }
        let held = NAMES.into_iter().filter(|name| slot.grant_of(&target(), name).is_some());
        assert!(held.count() <= 1, "two holders");
        let view = slot.view(&target());
        if view.is_none() {
            assert!(NAMES.into_iter().all(|name| slot.turn(&target(), name).is_none()), "waiting for what is free");
        }
        if let Some(view) = &view {
            let name = known(&view.holder);
            let current = slot.columns().0;
            if let Some(before) = self.tokens.insert(current, name) {
                assert_eq!(before, name, "one token, one holder");
            }
            self.first.entry(name).or_insert(current);
            let waits = self.waiting.iter().any(|(_, token, _)| *token == Some(current));
            let runs = self.running.iter().any(|(token, _)| *token == Some(current));
            if !waits && !runs {
                assert!(
                    view.nature != Nature::Transaction,
                    "a transaction that nobody waits for and that is not running"
                );
                assert!(self.now < self.active[name] + TTL.as_secs(), "{name} vanished and kept it");
            }
            for (token, holder) in &self.tokens {
                let checked = slot.check(with(holder, *token), Use::Call, now);
                assert_eq!(checked.is_ok(), *token == current && view.ending.is_none(), "token {token} of {holder}");
            }
        } else {
            for (token, holder) in &self.tokens {
                slot.check(with(holder, *token), Use::Call, now).expect_err("it has ended");
            }
        }
        for (token, key) in &self.running {
            if token.is_some() {
                assert_eq!(*token, Some(slot.columns().0), "{key} was torn from its terminal");
                assert!(view.is_some(), "{key} was torn from its terminal");
            }
        }
        assert!(slot.deadline().is_none_or(|due| due > now), "nothing is overdue");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn in_any_order_of_calls(steps in prop::collection::vec(step(), 1..80)) {
        let (mut slot, mut model) = (Slot::default(), Model::default());
        for step in steps {
            let queue: Vec<_> =
                slot.view(&target()).into_iter().flat_map(|view| view.waiting).map(|waiting| waiting.name).collect();
            let jumped = match &step {
                Step::TakeOver(who) => Some(NAMES[*who]),
                _ => None,
            };
            model.take(&mut slot, step);
            model.check(&mut slot, &queue, jumped);
        }
    }
}
