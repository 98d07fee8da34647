//! The till's side of a running operation: what the terminal wants shown, printed and answered.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::slips::Slip;

/// How a caller follows, answers and aborts a running operation.
///
/// Nothing of it holds up the terminal: what does not fit into a channel is dropped, and a question without an
/// answer gets its default.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Host {
    /// Where progress goes. What does not fit into the channel is dropped; the outcome has the slips.
    pub progress: mpsc::Sender<Progress>,
    /// Where questions go. `None` if nobody answers.
    pub questions: Option<mpsc::Sender<Asked>>,
    /// Becomes `true` when the caller wants to abort. A request only: the outcome tells. Sent as
    /// `true` once more, it asks the terminal again; the third time a terminal that has fallen silent
    /// is left after a few seconds, with an unknown outcome.
    pub abort: watch::Receiver<bool>,
}

impl Host {
    /// A host whose progress goes to `progress` and which aborts when `abort` says so. Nobody answers questions.
    pub fn with(progress: mpsc::Sender<Progress>, abort: watch::Receiver<bool>) -> Self {
        Self { progress, questions: None, abort }
    }

    /// A host without a listener that never aborts.
    pub fn none() -> Self {
        Self::with(mpsc::channel(1).0, watch::channel(false).1)
    }

    /// A host and the other end of its progress, which keeps up to [`Host::KEPT`] steps for a listener.
    pub fn new(abort: watch::Receiver<bool>) -> (Self, mpsc::Receiver<Progress>) {
        let (progress, steps) = mpsc::channel(Self::KEPT);
        (Self::with(progress, abort), steps)
    }

    /// The same with somebody who answers: questions come out of the other end of `questions`.
    #[must_use]
    pub fn answered_by(mut self, questions: mpsc::Sender<Asked>) -> Self {
        self.questions = Some(questions);
        self
    }

    /// Tells what happens. Returns at once.
    pub fn tell(&self, progress: Progress) {
        // A missing or slow listener does not hold up the payment.
        self.progress.try_send(progress).ok();
    }

    /// Asks a question. Returns at once; the answer comes out of [`Pending::answer`].
    pub fn ask(&self, question: Question) -> Pending {
        let (answer, heard) = oneshot::channel();
        let pending = Pending { question: question.clone(), heard, until: Instant::now() + question.within };
        if let Some(questions) = &self.questions {
            // Dropped with its `answer` if nobody takes it: the default stands at once.
            questions.try_send(Asked { question, answer }).ok();
        }
        pending
    }

    /// Steps that wait for a slow listener: more than a whole dialogue has.
    pub const KEPT: usize = 1024;
}

/// What happens while an operation runs. `Debug` does not show what is printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// What the terminal shows or wants shown: its code, and the text in words.
    Status {
        /// The protocol's code.
        code: u8,
        /// In words.
        text: String,
    },
    /// A text that the terminal wants shown, in its own words.
    Display(String),
    /// The terminal has an approval; it stands once acknowledged.
    Approved,
    /// A whole receipt; card numbers in it are masked.
    Receipt {
        /// Whose it is, if the terminal says so.
        slip: Option<Slip>,
        /// Its lines.
        lines: Vec<String>,
    },
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { code, text } => write!(f, "Status({code:02x}, {text:?})"),
            Self::Display(text) => write!(f, "Display({} characters)", text.chars().count()),
            Self::Approved => f.write_str("Approved"),
            Self::Receipt { slip, lines } => write!(f, "Receipt({slip:?}, {} lines)", lines.len()),
        }
    }
}

/// A question of the terminal to the cashier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Question {
    /// The terminal's words; card numbers in it are masked.
    pub text: String,
    /// What kind of answer it wants.
    pub wanted: Wanted,
    /// The answer that stands if none is given.
    pub default: Answer,
    /// How long an answer is waited for: `30s`.
    #[serde(with = "friendly")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub within: Duration,
}

impl Question {
    /// A question that waits for [`Question::WITHIN`].
    pub fn new(text: impl Into<String>, wanted: Wanted, default: Answer) -> Self {
        Self { text: text.into(), wanted, default, within: Self::WITHIN }
    }

    /// How long an answer is waited for unless the terminal's options say otherwise: 30 s. A customer waits meanwhile.
    pub const WITHIN: Duration = Duration::from_secs(30);
}

/// What kind of answer a [`Question`] wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Yes or no.
    Confirmation,
    /// Yes if the signature on the slip is the cardholder's, else no.
    Signature,
    /// Yes if the customer has reached this age, else no.
    Age {
        /// In years.
        years: u8,
    },
    /// Yes once it was read.
    Acknowledgement,
    /// Digits.
    Number(Length),
    /// A text.
    Text(Length),
    /// One of these, by its place, counted from 0.
    Choice {
        /// The choices in words.
        of: Vec<String>,
    },
}

/// How long an entered number or text has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AnswerLength"))]
#[non_exhaustive]
pub struct Length {
    /// Characters at least.
    pub min: usize,
    /// Characters at most.
    pub max: usize,
    /// It is not to be shown while it is entered.
    pub masked: bool,
}

impl Length {
    /// From `min` to `max` characters, shown while they are entered.
    pub fn new(min: usize, max: usize) -> Self {
        Self { min, max, masked: false }
    }

    fn takes(self, text: &str) -> bool {
        (self.min..=self.max).contains(&text.chars().count())
    }
}

impl Wanted {
    /// Whether `answer` is one to this kind of question. Declining to answer always is.
    pub fn takes(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (_, Answer::Declined) => true,
            (Self::Acknowledgement, Answer::Yes) => true,
            (Self::Confirmation | Self::Signature | Self::Age { .. }, Answer::Yes | Answer::No) => true,
            (Self::Number(length), Answer::Text(text)) => {
                length.takes(text) && text.bytes().all(|byte| byte.is_ascii_digit())
            }
            (Self::Text(length), Answer::Text(text)) => length.takes(text) && !text.chars().any(char::is_control),
            (Self::Choice { of }, Answer::Choice(at)) => *at < of.len(),
            _ => false,
        }
    }
}

/// The answer to a [`Question`]. `Debug` does not show what was typed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "QuestionAnswer"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// The digits or the text.
    Text(String),
    /// The choice at this place, counted from 0.
    Choice(usize),
    /// No answer: the terminal is told that nobody answers.
    Declined,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("Yes"),
            Self::No => f.write_str("No"),
            Self::Text(text) => write!(f, "Text({} characters)", text.chars().count()),
            Self::Choice(at) => write!(f, "Choice({at})"),
            Self::Declined => f.write_str("Declined"),
        }
    }
}

/// A question on its way to whoever answers. Dropping it leaves the default.
#[derive(Debug)]
#[non_exhaustive]
pub struct Asked {
    /// The question.
    pub question: Question,
    answer: oneshot::Sender<Answer>,
}

impl Asked {
    /// Answers it. An answer that the question does not [take](Wanted::takes) leaves its default. False if the question
    /// is not open any more.
    pub fn answer(self, answer: Answer) -> bool {
        let answer = if self.question.wanted.takes(&answer) { answer } else { self.question.default.clone() };
        self.answer.send(answer).is_ok()
    }

    /// Waits until the question is not open any more: its time is over, or the terminal withdrew it. Cancel-safe.
    pub fn withdrawn(&mut self) -> impl Future<Output = ()> + '_ {
        self.answer.closed()
    }
}

/// A question that waits for its answer. Dropping it withdraws the question.
#[derive(Debug)]
pub struct Pending {
    question: Question,
    heard: oneshot::Receiver<Answer>,
    until: Instant,
}

impl Pending {
    /// The answer, or the default once the time limit has passed or nobody is left who could answer. Cancel-safe;
    /// not to be called again once it has returned.
    pub async fn answer(&mut self) -> Answer {
        tokio::select! {
            biased;
            answer = &mut self.heard => answer.unwrap_or_else(|_| self.question.default.clone()),
            () = tokio::time::sleep_until(self.until) => self.question.default.clone(),
        }
    }

    /// The default, which stands if the question is withdrawn.
    pub fn default(&self) -> &Answer {
        &self.question.default
    }
}

/// A duration as text: `30s`.
mod friendly {
    use std::time::Duration;

    use jiff::SignedDuration;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let value = SignedDuration::try_from(*value).unwrap_or(SignedDuration::MAX);
        serializer.collect_str(&format_args!("{value:#}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value: SignedDuration = text.parse().map_err(D::Error::custom)?;
        Duration::try_from(value).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question::new("Unterschrift ok?", Wanted::Signature, Answer::No)
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_ends_by_its_answer_or_its_default_and_in_time() {
        let begun = Instant::now();
        assert_eq!(Host::none().ask(question()).answer().await, Answer::No, "nobody is there");
        assert_eq!(begun.elapsed(), Duration::ZERO);

        let (questions, mut asked) = mpsc::channel(1);
        let host = Host::none().answered_by(questions);
        let mut pending = host.ask(question());
        let mut full = host.ask(question());
        assert_eq!(full.answer().await, Answer::No, "nobody takes more than one");
        assert!(asked.recv().await.expect("asked").answer(Answer::Yes));
        assert_eq!(pending.answer().await, Answer::Yes);
        assert_eq!(begun.elapsed(), Duration::ZERO);

        let mut pending = host.ask(question());
        let mut late = asked.recv().await.expect("asked");
        assert_eq!(pending.answer().await, Answer::No, "its time is over");
        assert_eq!(begun.elapsed(), Question::WITHIN);
        drop(pending);
        late.withdrawn().await;
        assert!(!late.answer(Answer::Yes), "too late");

        let mut pending = host.ask(question());
        drop(asked.recv().await);
        assert_eq!(pending.answer().await, Answer::No, "whoever could answer has gone");

        let mut pending = host.ask(question());
        assert!(asked.recv().await.expect("asked").answer(Answer::Choice(1)));
        assert_eq!(pending.answer().await, Answer::No, "no answer to this question");
    }

    #[test]
    fn a_kind_of_question_takes_its_kind_of_answers() {
        let digits = Wanted::Number(Length::new(2, 4));
        let text = |text: &str| Answer::Text(text.to_owned());
        let choice = Wanted::Choice { of: vec!["Debit".into(), "Kredit".into()] };
        for (wanted, answer, takes) in [
            (&Wanted::Confirmation, Answer::Yes, true),
            (&Wanted::Age { years: 18 }, Answer::No, true),
            (&Wanted::Acknowledgement, Answer::No, false),
            (&Wanted::Confirmation, Answer::Choice(0), false),
            (&digits, text("12"), true),
            (&digits, text("1"), false),
            (&digits, text("12345"), false),
            (&digits, text("1x"), false),
            (&Wanted::Text(Length::new(0, 3)), text("äöü"), true),
            (&Wanted::Text(Length::new(0, 3)), text("a\n"), false),
            (&choice, Answer::Choice(1), true),
            (&choice, Answer::Choice(2), false),
            (&choice, Answer::Declined, true),
        ] {
            assert_eq!(wanted.takes(&answer), takes, "{wanted:?} {answer:?}");
        }
        assert!(!format!("{:?}", text("4711")).contains("4711"));
    }

    #[test]
    fn a_question_serialises() {
        let value = serde_json::to_value(question()).expect("serialises");
        let said = serde_json::json!({
            "text": "Unterschrift ok?", "wanted": "signature", "default": "no", "within": "30s"
        });
        assert_eq!(value, said);
        assert_eq!(serde_json::from_value::<Question>(value).expect("reads back"), question());
    }
}
