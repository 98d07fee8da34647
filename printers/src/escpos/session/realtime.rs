//! Real-time statuses (`DLE EOT` 1 to 4): matches answers with requests.
//!
//! Answers are single bytes without a number, so only their order identifies them. One request is sent at a time. If
//! its answer is missing, status 1, which every printer with a status supports, is requested behind it: two answers mean
//! that the first was late; one means that the printer does not support the status, or that the answer was lost. An
//! answer that was given up and comes after all is noticed as one too many; then everything received since is
//! discarded, and all statuses are requested again with more patience.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The bytes that answer `DLE EOT` 1 to 4.
pub(super) type Answers = [Option<u8>; 4];

/// An answer that takes longer is given up, however slow the printer has been so far.
const LONGEST: Duration = Duration::from_secs(3);
/// A missing status is requested again after this time, then after twice as long, and so on.
const AGAIN: Duration = Duration::from_secs(30);
const AGAIN_AT_MOST: Duration = Duration::from_secs(600);
/// How often a round starts over because of unexpected answers.
const RESTARTS: u8 = 3;

/// What to do next in a round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Send `DLE EOT n`.
    Ask(u8),
    /// Wait until then, or for input.
    Wait(Instant),
    /// The round is over; `None` if the printer did not even answer the first request.
    Over(Option<Answers>),
}

#[derive(Debug, Default)]
pub(super) struct Realtime {
    /// Requests not yet answered, oldest first.
    open: VecDeque<(u8, Instant)>,
    /// The longest time that an answer has taken.
    latency: Duration,
    /// When the last request was sent whose answer was given up.
    given_up: Option<Instant>,
    /// Missing statuses: when to request them again, and the pause before that.
    away: [Option<(Instant, Duration)>; 4],
    round: Option<Round>,
}

#[derive(Debug, Default)]
struct Round {
    answers: Answers,
    left: VecDeque<u8>,
    waiting: Waiting,
    tried_first: bool,
    restarts: u8,
}

#[derive(Debug, Default)]
enum Waiting {
    #[default]
    Nothing,
    /// For the answer to this request.
    Answer(u8),
    /// For the answers to this request and to status 1 behind it; with the first that came.
    Sentinel(u8, Option<(u8, Instant)>),
}

impl Realtime {
    /// How long to wait for an answer: `answer`, or longer if this printer has taken longer before.
    pub(super) fn patience(&self, answer: Duration) -> Duration {
        answer.max((self.latency * 2).min(LONGEST))
    }

    /// Begins a round of all statuses that this printer is not known to leave unanswered.
    pub(super) fn start(&mut self, now: Instant) {
        let left = self.due(now);
        self.round = Some(Round { left, ..Round::default() });
    }

    /// Begins a round of status 1 alone.
    pub(super) fn start_with_first(&mut self) {
        self.round = Some(Round { left: [1].into(), ..Round::default() });
    }

    /// A request outside a round was sent.
    pub(super) fn asked(&mut self, n: u8, now: Instant) {
        self.open.push_back((n, now));
    }

    /// The last request has left: its time starts now.
    pub(super) fn sent(&mut self, now: Instant) {
        if let Some((_, at)) = self.open.back_mut() {
            *at = now;
        }
    }

    /// Gives up all outstanding answers.
    pub(super) fn forget(&mut self) {
        self.given_up = self.open.front().map(|(_, at)| *at).or(self.given_up);
        self.open.clear();
    }

    /// Handles an answer. False if it is one too many.
    pub(super) fn handle_answer(&mut self, byte: u8, now: Instant) -> bool {
        if let Some(Round { waiting: waiting @ Waiting::Sentinel(..), answers, .. }) = &mut self.round {
            let Waiting::Sentinel(n, first) = waiting else { unreachable!("matched above") };
            match first {
                None => *first = Some((byte, now)),
                Some((late, _)) => {
                    answers[usize::from(*n) - 1] = Some(*late);
                    answers[0] = Some(byte);
                    *waiting = Waiting::Nothing;
                    self.learn(self.open.front().map(|(_, at)| *at), now);
                    self.open.clear();
                }
            }
            return true;
        }
        let Some((n, at)) = self.open.pop_front() else {
            let asked = self.given_up.take();
            self.learn(asked, now);
            let left = self.due(now);
            if let Some(round) = self.round.as_mut().filter(|r| r.restarts < RESTARTS) {
                *round = Round { left, restarts: round.restarts + 1, ..Round::default() };
            }
            return false;
        };
        self.learn(Some(at), now);
        self.away[usize::from(n) - 1] = None;
        if let Some(round) = &mut self.round {
            round.answers[usize::from(n) - 1] = Some(byte);
        }
        true
    }

    /// What to do next at `now`.
    pub(super) fn turn(&mut self, answer: Duration, now: Instant) -> Turn {
        let patience = self.patience(answer);
        let grace = (answer / 4).max(self.latency);
        let Some(round) = &mut self.round else { return Turn::Over(None) };
        loop {
            let latest = self.open.back().map(|(_, at)| *at + patience);
            match &mut round.waiting {
                Waiting::Nothing => {
                    // An outstanding answer would be taken for the next one.
                    if let Some(until) = latest {
                        if now < until {
                            return Turn::Wait(until);
                        }
                        self.given_up = self.open.front().map(|(_, at)| *at);
                        self.open.clear();
                    }
                    let Some(n) = round.left.pop_front() else {
                        let answers = round.answers;
                        self.round = None;
                        return Turn::Over(Some(answers));
                    };
                    round.waiting = Waiting::Answer(n);
                    self.open.push_back((n, now));
                    return Turn::Ask(n);
                }
                Waiting::Answer(n) if round.answers[usize::from(*n) - 1].is_some() => round.waiting = Waiting::Nothing,
                Waiting::Answer(n) => {
                    if let Some(until) = latest.filter(|until| now < *until) {
                        return Turn::Wait(until);
                    }
                    if *n != 1 {
                        round.waiting = Waiting::Sentinel(*n, None);
                    } else if round.tried_first {
                        self.round = None;
                        return Turn::Over(None);
                    }
                    round.tried_first = true;
                    self.open.push_back((1, now));
                    return Turn::Ask(1);
                }
                Waiting::Sentinel(_, None) => {
                    if let Some(until) = latest.filter(|until| now < *until) {
                        return Turn::Wait(until);
                    }
                    self.round = None;
                    return Turn::Over(None);
                }
                Waiting::Sentinel(n, Some((byte, at))) => {
                    let until = *at + grace;
                    if now < until {
                        return Turn::Wait(until);
                    }
                    let away = &mut self.away[usize::from(*n) - 1];
                    let pause = away.map_or(AGAIN, |(_, pause)| (pause * 2).min(AGAIN_AT_MOST));
                    *away = Some((now + pause, pause));
                    round.answers[0] = Some(*byte);
                    round.waiting = Waiting::Nothing;
                    self.given_up = self.open.front().map(|(_, at)| *at);
                    self.open.clear();
                }
            }
        }
    }

    fn due(&self, now: Instant) -> VecDeque<u8> {
        (1..=4).filter(|n| self.away[usize::from(*n) - 1].is_none_or(|(at, _)| at <= now)).collect()
    }

    fn learn(&mut self, asked: Option<Instant>, now: Instant) {
        if let Some(asked) = asked {
            self.latency = self.latency.max(now.saturating_duration_since(asked)).min(LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Duration = Duration::from_secs(1);

    /// Plays a printer that answers `DLE EOT n` with byte n after `delay(n)`, in order; `None` is never.
    fn play(realtime: &mut Realtime, start: Instant, delay: impl Fn(u8, usize) -> Option<u64>) -> Option<Answers> {
        let (mut now, mut coming, mut count) = (start, Vec::<(Instant, u8)>::new(), 0);
        realtime.start(now);
        loop {
            match realtime.turn(ANSWER, now) {
                Turn::Ask(n) => {
                    if let Some(ms) = delay(n, count) {
                        let behind = coming.last().map_or(now, |(at, _)| *at);
                        coming.push((behind.max(now + Duration::from_millis(ms)), n));
                    }
                    count += 1;
                }
                Turn::Wait(until) => {
                    now = until.max(now);
                    if coming.first().is_some_and(|(at, _)| *at <= until) {
                        let (at, n) = coming.remove(0);
                        now = at;
                        realtime.handle_answer(n, now);
                    }
                }
                Turn::Over(answers) => {
                    for (at, n) in coming {
                        realtime.handle_answer(n, at);
                    }
                    return answers;
                }
            }
        }
    }

    const ALL: Option<Answers> = Some([Some(1), Some(2), Some(3), Some(4)]);

    #[test]
    fn answers_keep_to_their_questions_however_late_they_are() {
        let start = Instant::now();
        for ms in [0, 999, 1300, 1900] {
            let mut realtime = Realtime::default();
            assert_eq!(play(&mut realtime, start, |_, _| Some(ms)), ALL, "{ms} ms");
        }
    }

    #[test]
    fn one_late_answer_shifts_nothing_and_is_waited_for() {
        let start = Instant::now();
        for late in 0..5 {
            let mut realtime = Realtime::default();
            let answers = play(&mut realtime, start, |_, i| Some(if i == late { 1100 } else { 1 }));
            assert_eq!(answers, ALL, "the answer to question {late}");
            assert_eq!(play(&mut realtime, start + ANSWER * 60, |_, _| Some(1)), ALL);
        }
    }

    #[test]
    fn a_status_that_stays_away_is_asked_for_again_later() {
        let start = Instant::now();
        let mut realtime = Realtime::default();
        let without = Some([Some(1), None, Some(3), Some(4)]);
        assert_eq!(play(&mut realtime, start, |n, _| (n != 2).then_some(1)), without);
        assert_eq!(play(&mut realtime, start + ANSWER * 10, |_, _| Some(1)), without, "not asked at once");
        assert_eq!(play(&mut realtime, start + ANSWER * 60, |_, _| Some(1)), ALL, "but not given up for good");
    }

    #[test]
    fn one_answer_too_many_starts_the_round_over() {
        let now = Instant::now();
        let mut realtime = Realtime::default();
        assert!(!realtime.handle_answer(0x12, now), "nobody asked");
        realtime.start(now);
        assert_eq!(realtime.turn(ANSWER, now), Turn::Ask(1));
        assert!(realtime.handle_answer(1, now));
        assert!(!realtime.handle_answer(9, now));
        assert_eq!(realtime.turn(ANSWER, now), Turn::Ask(1), "from the start");
    }

    #[test]
    fn a_silent_printer_is_asked_twice() {
        let mut realtime = Realtime::default();
        assert_eq!(play(&mut realtime, Instant::now(), |_, _| None), None);
    }
}
