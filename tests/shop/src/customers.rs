//! Customers who come in over the day; whoever is free serves the one who has waited longest.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::dice::Dice;
use crate::plan::Plan;

/// The customers who are still to come.
#[derive(Debug, Default)]
pub struct Customers(Mutex<VecDeque<Duration>>);

impl Customers {
    /// As many as the plan wants: two thirds at any time, the others at a rush hour.
    pub fn of(plan: &Plan, dice: &mut Dice) -> Self {
        let length = plan.length.as_millis() as u64;
        let mut times: Vec<_> = (0..plan.sales)
            .map(|n| match n % 3 {
                0 => length * 2 / 5 + dice.below(length / 5),
                _ => dice.below(length),
            })
            .map(Duration::from_millis)
            .collect();
        times.sort();
        Self(Mutex::new(times.into()))
    }

    /// Takes the next customer, if one waits at this time of the run.
    pub fn next(&self, now: Duration) -> bool {
        let mut coming = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = coming.front().is_some_and(|at| *at <= now);
        if waits {
            coming.pop_front();
        }
        waits
    }

    /// When the next customer comes; none if nobody does any more.
    pub fn due(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).front().copied()
    }
}
