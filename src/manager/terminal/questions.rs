//! What a terminal asks of the till while an operation runs, and who answers.
//!
//! A question is an event, and whoever follows the events may answer it. If nobody follows them, or the caller of the
//! operation has left, its default stands at once; else when its time is over. No terminal waits longer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tresen_hal::{Effect, Error, Kind, Result};
use tresen_payment::{Answer, Asked, Host, IntentId, Progress, Question};

use super::{SharedTerminal, Terminals};
use crate::event::EventKind;
use crate::manager::device::{Device, Shared};
use crate::manager::lock;

/// A question of a terminal that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OpenQuestion {
    /// Its id: [`Terminal::answer`](crate::Terminal::answer).
    pub id: String,
    /// The transaction that asks it; `None` if the operation moves no money.
    pub intent: Option<IntentId>,
    /// The question.
    pub question: Question,
}

/// A question, and where its answer goes.
pub(super) struct Waiting {
    open: OpenQuestion,
    answer: oneshot::Sender<Answer>,
}

impl Device<Terminals> {
    /// The terminal's questions that wait for an answer, oldest first. Each was an event when it came:
    /// [`EventKind::Question`].
    pub fn questions(&self) -> Vec<OpenQuestion> {
        lock(&self.shared.state).questions.iter().map(|waiting| waiting.open.clone()).collect()
    }

    /// Answers a question of the terminal. The first answer stands.
    ///
    /// # Errors
    /// [`Kind::NotFound`]: no such question is open; it was answered, or its time is over. [`Kind::Input`]: it wants
    /// another kind of answer; it stays open.
    pub fn answer(&self, question: &str, answer: Answer) -> Result<()> {
        let here = |error: Error| Err(error.with_effect(Effect::None).at(self.owned.name()));
        let mut state = lock(&self.shared.state);
        let Some(at) = state.questions.iter().position(|waiting| waiting.open.id == question) else {
            let what = format!("no question `{question}` is open");
            return here(Error::new(Kind::NotFound, what).hint("it was answered, or its time is over"));
        };
        if !state.questions[at].open.question.wanted.takes(&answer) {
            let what = format!("`{question}` wants another answer: {:?}", state.questions[at].open.question.wanted);
            return here(Error::new(Kind::Input, what));
        }
        let waiting = state.questions.remove(at);
        // A question that has just been withdrawn needs no answer.
        waiting.answer.send(answer).ok();
        Ok(())
    }

    /// The host of an operation: its progress and questions are published on the event bus. Its caller holds the
    /// second value; once it is dropped, the defaults of questions stand.
    pub(super) fn host(&self, intent: Option<&IntentId>, abort: watch::Receiver<bool>) -> (Host, watch::Sender<()>) {
        let (progress, mut steps) = mpsc::channel::<Progress>(Host::KEPT);
        let (questions, mut asked) = mpsc::channel::<Asked>(WAITING);
        let (here, caller) = watch::channel(());
        let (shared, runtime, intent) = (self.shared.clone(), self.till.runtime.clone(), intent.cloned());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    step = steps.recv() => match step {
                        Some(step) => shared.common.reporter.publish(EventKind::Payment(step)),
                        None => return,
                    },
                    Some(asked) = asked.recv() => {
                        if shared.common.reporter.is_followed() && caller.has_changed().is_ok() {
                            let open = OpenQuestion {
                                id: runtime.new_id(),
                                intent: intent.clone(),
                                question: asked.question.clone(),
                            };
                            tokio::spawn(wait(shared.clone(), open, asked, caller.clone()));
                        }
                    }
                }
            }
        });
        (Host::with(progress, abort).answered_by(questions), here)
    }
}

/// Keeps a question open until it is answered or withdrawn, or the caller has left.
async fn wait(shared: Arc<SharedTerminal>, open: OpenQuestion, mut asked: Asked, mut caller: watch::Receiver<()>) {
    let (answer, mut given) = oneshot::channel();
    let id = open.id.clone();
    lock(&shared.state).questions.push(Waiting { open: open.clone(), answer });
    shared.common().reporter.publish(EventKind::Question(Box::new(open)));
    tokio::select! {
        biased;
        given = &mut given => if let Ok(given) = given {
            asked.answer(given);
        },
        () = asked.withdrawn() => {}
        _ = caller.changed() => {}
    }
    lock(&shared.state).questions.retain(|waiting| waiting.open.id != id);
    shared.common().reporter.publish(EventKind::QuestionClosed { id });
}

/// Questions that an operation may have open at a time.
const WAITING: usize = 8;
