//! What is shown and asked during and between commands, in both directions.

use std::time::Duration;

use tresen_hal::{Error, Kind, Result};

use super::super::commands::display::{self, Prompt};
use super::super::session::Flow;
use super::Terminal;
use super::dialog::{End, Task, refused};
use crate::host::{Answer, Host, Question, Wanted};
use crate::pan;
use crate::waiting::abort_wanted;

impl Terminal {
    /// Passes an input that the terminal asks for on to whoever answers, and answers with it. Without an answer the
    /// terminal is refused with 6C, aborted: it decides what becomes of the command.
    pub(super) async fn pass_on(&mut self, code: u16, data: &[u8], task: &mut Task) {
        let input = match Prompt::parse(code, data) {
            Some(prompt) => self.input(code, data, prompt, task).await,
            None => None,
        };
        let now = self.now();
        match input {
            Some(input) => self.session.reply(&display::answer(&self.charset.encode(&input)), now),
            None => self.session.refuse(ABORTED, now),
        }
    }

    async fn input(&self, code: u16, data: &[u8], prompt: Prompt, task: &mut Task) -> Option<String> {
        let words = display::text(code, data, self.charset).map(|text| pan::mask_line(&text, &[]));
        let none = self.language().pick("the terminal asks for an input", "das Terminal verlangt eine Eingabe");
        let wanted = if prompt.digits { Wanted::Number(prompt.length) } else { Wanted::Text(prompt.length) };
        let mut question = Question::new(words.unwrap_or_else(|| none.to_owned()), wanted, Answer::Declined);
        question.within = prompt.within.unwrap_or(Question::WITHIN).min(Question::WITHIN);
        let mut pending = task.host.as_ref()?.ask(question);
        tokio::select! {
            biased;
            () = abort_wanted(&mut task.host, task.aborts_wanted) => {
                task.aborts_wanted += 1;
                None
            }
            answer = pending.answer() => match answer {
                Answer::Text(text) => Some(text),
                _ => None,
            },
        }
    }

    /// 06 E0: the terminal shows a text.
    pub(super) async fn show(&mut self, text: &str, within: Duration, host: Host) -> Result<Vec<String>> {
        self.check_within(within)?;
        let mut command = Vec::new();
        display::show(&mut command, text, within, self.charset);
        self.completed("the text", command, host).await.map(|_| Vec::new())
    }

    /// 06 E2: the terminal takes digits.
    pub(super) async fn ask_there(&mut self, question: Question, host: Host) -> Result<Answer> {
        let Wanted::Number(length) = question.wanted else {
            let what = "this terminal can be asked for digits only";
            return Err(Error::new(Kind::Unsupported, what).at(&self.options.name));
        };
        self.check_within(question.within)?;
        let mut command = Vec::new();
        display::ask(&mut command, &question.text, length, question.within, self.charset);
        self.owe_nothing().await?;
        let mut task = Task { host: Some(host), ..Task::default() };
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        match end {
            End::Completed(data) => {
                let entered = display::entered(&data).map(Answer::Text).filter(|answer| question.wanted.takes(answer));
                entered.ok_or_else(|| {
                    Error::new(Kind::Protocol, "the terminal answered with no input that can be read")
                        .at(&self.options.name)
                        .hint("how terminals answer 06 E2 is not documented in public; record the dialogue")
                })
            }
            // Nobody has entered anything.
            End::Aborted { code: Some(ABORTED), .. } => Ok(question.default),
            end => Err(refused("the question", &end).at(&self.options.name)),
        }
    }

    /// Longer than T4 the terminal would be taken for silent.
    fn check_within(&self, within: Duration) -> Result<()> {
        let most = self.options.timeouts.t4.min(LONGEST);
        if within < most {
            return Ok(());
        }
        let what = format!("a text cannot be shown for {within:?}");
        Err(Error::new(Kind::Input, what).at(&self.options.name).hint(format!("less than {most:?}")))
    }
}

/// Aborted by key or timeout.
const ABORTED: u8 = 0x6c;
/// The longest time that BMP F0 can say, and one second.
const LONGEST: Duration = Duration::from_secs(256);
