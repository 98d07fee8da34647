//! A terminal's questions, asked on the console if a person sits there.

use std::io::{BufRead as _, IsTerminal as _, stdin};

use tokio::sync::mpsc;
use tresen::payment::{Answer, Question, Wanted};
use tresen::{OpenQuestion, Terminal};

use crate::out::Out;

/// Asks one question at a time. Without a console the default answers at once.
pub(super) struct Console {
    out: Out,
    terminal: Terminal,
    /// Lines that are typed, once something was asked.
    lines: Option<mpsc::UnboundedReceiver<String>>,
    open: Option<OpenQuestion>,
}

impl Console {
    pub(super) fn new(terminal: Terminal, out: Out) -> Self {
        Self { out, terminal, lines: None, open: None }
    }

    /// Puts a question to whoever sits at the console.
    pub(super) fn ask(&mut self, asked: OpenQuestion) {
        let question = &asked.question;
        let hidden = matches!(&question.wanted, Wanted::Number(length) | Wanted::Text(length) if length.masked);
        if self.open.is_some() || hidden || self.out.is_json() || !stdin().is_terminal() {
            self.out.say(format_args!("  {}: {}", question.text, words(question, &question.default)));
            let default = question.default.clone();
            return self.answer(&asked, default);
        }
        self.out.note(prompt(question));
        let lines = self.lines.get_or_insert_with(typed);
        // What was typed before the question answers nothing.
        while lines.try_recv().is_ok() {}
        self.open = Some(asked);
    }

    /// The next line that somebody types; never without an open question.
    pub(super) async fn typed(&mut self) -> String {
        match &mut self.lines {
            Some(lines) if self.open.is_some() => match lines.recv().await {
                Some(line) => line,
                None => std::future::pending().await,
            },
            _ => std::future::pending().await,
        }
    }

    /// Takes a typed line as the answer to the open question, or asks again.
    pub(super) fn take(&mut self, line: &str) {
        let Some(asked) = self.open.take() else { return };
        match read(&asked.question, line) {
            Some(answer) => self.answer(&asked, answer),
            None => {
                self.out.note(prompt(&asked.question));
                self.open = Some(asked);
            }
        }
    }

    /// The question is not open any more.
    pub(super) fn closed(&mut self, id: &str) {
        self.open.take_if(|open| open.id == id);
    }

    fn answer(&self, asked: &OpenQuestion, answer: Answer) {
        if let Err(error) = self.terminal.answer(&asked.id, answer) {
            tracing::debug!(%error, "the answer came too late");
        }
    }
}

/// Lines from the console, read by a thread that ends with the program: a read cannot be interrupted.
fn typed() -> mpsc::UnboundedReceiver<String> {
    let (lines, typed) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in stdin().lock().lines() {
            let Ok(line) = line else { return };
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    typed
}

fn prompt(question: &Question) -> String {
    let default = words(question, &question.default);
    let how = match &question.wanted {
        Wanted::Number(length) => format!("{} to {} digits", length.min, length.max),
        Wanted::Text(length) => format!("{} to {} characters", length.min, length.max),
        Wanted::Choice { of } => {
            let choices = of.iter().enumerate().map(|(at, choice)| format!("{} {choice}", at + 1));
            choices.collect::<Vec<_>>().join(", ")
        }
        Wanted::Acknowledgement => "press Enter".to_owned(),
        _ => "yes or no".to_owned(),
    };
    let within = question.within.as_secs();
    format!("{} [{how}; {default} if nothing is entered within {within} s]", question.text)
}

/// An answer in words.
fn words(question: &Question, answer: &Answer) -> String {
    match (answer, &question.wanted) {
        (Answer::Yes, _) => "yes".to_owned(),
        (Answer::No, _) => "no".to_owned(),
        (Answer::Text(text), _) => text.clone(),
        (Answer::Choice(at), Wanted::Choice { of }) => of.get(*at).cloned().unwrap_or_default(),
        _ => "no answer".to_owned(),
    }
}

/// What a typed line answers; nothing typed is the default. `None` if it is no answer.
fn read(question: &Question, line: &str) -> Option<Answer> {
    let line = line.trim();
    if line.is_empty() {
        return Some(question.default.clone());
    }
    let answer = match &question.wanted {
        Wanted::Number(_) | Wanted::Text(_) => Answer::Text(line.to_owned()),
        Wanted::Choice { .. } => Answer::Choice(line.parse::<usize>().ok()?.checked_sub(1)?),
        _ => match line.to_lowercase().as_str() {
            "y" | "yes" | "j" | "ja" => Answer::Yes,
            "n" | "no" | "nein" => Answer::No,
            _ => return None,
        },
    };
    question.wanted.takes(&answer).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tresen::payment::Length;

    #[test]
    fn a_line_is_an_answer_of_the_kind_that_is_wanted() {
        let yes_or_no = Question::new("Unterschrift ok?", Wanted::Signature, Answer::No);
        let number = Question::new("Tisch?", Wanted::Number(Length::new(1, 3)), Answer::Declined);
        let of = vec!["Debit".to_owned(), "Kredit".to_owned()];
        let choice = Question::new("Karte?", Wanted::Choice { of }, Answer::Choice(0));
        for (question, line, answer) in [
            (&yes_or_no, " Ja \n", Some(Answer::Yes)),
            (&yes_or_no, "", Some(Answer::No)),
            (&yes_or_no, "vielleicht", None),
            (&number, "12", Some(Answer::Text("12".into()))),
            (&number, "1234", None),
            (&number, "x", None),
            (&choice, "2", Some(Answer::Choice(1))),
            (&choice, "0", None),
            (&choice, "3", None),
        ] {
            assert_eq!(read(question, line), answer, "{line}");
        }
        assert_eq!(prompt(&choice), "Karte? [1 Debit, 2 Kredit; Debit if nothing is entered within 30 s]");
    }
}
