//! What the terminal shows, asks and prints for the till (Adyen, "Collect input", "Display data on the terminal", "Print
//! data on the terminal").

use std::time::Duration;

use tresen_hal::{Effect, Error, Kind, Result};

use super::super::results::{Condition, Outcome};
use super::super::session::{Event, clean};
use super::super::wire::device::{
    DisplayOutput, DisplayRequest, InputData, InputRequest, MenuEntry, PrintOutput, PrintRequest,
};
use super::super::wire::{Answer as Responded, Body, Category, Class, Message, OutputContent, OutputText, Predefined};
use super::Terminal;
use super::exchange::leave;
use crate::host::{Answer, Host, Length, Question, Wanted};

impl Terminal {
    /// Shows a text to the customer, for so long at least.
    pub(super) async fn show(&mut self, text: &str, within: Duration) -> Result<()> {
        let seconds = self.seconds(within, LONGEST_SHOWN)?;
        let output = DisplayOutput {
            minimum_display_time: Some(seconds),
            response_required_flag: Some(true),
            ..to_customer(OutputContent { output_text: runs(text), ..plain() })
        };
        let body = Body::Display(DisplayRequest { display_output: vec![output] });
        let request = self.device(Category::Display, body);
        let Body::Displayed(told) = self.ask(&request).await?.body else { return Err(self.odd("a display")) };
        match told.output_result.first() {
            Some(result) => self.done("the text", &result.response),
            None => Err(self.odd("a display")),
        }
    }

    /// Prints a text and waits until it is printed.
    pub(super) async fn print(&mut self, text: &str) -> Result<()> {
        let output = PrintOutput {
            document_qualifier: "Document".into(),
            response_mode: "PrintEnd".into(),
            output_content: OutputContent { output_text: runs(text), ..plain() },
        };
        let request = self.device(Category::Print, Body::Print(PrintRequest { print_output: output }));
        let Body::Printed(told) = self.ask(&request).await?.body else { return Err(self.odd("a print")) };
        self.done("the text", &told.response)
    }

    /// Asks the customer.
    pub(super) async fn ask_there(&mut self, question: Question, host: Host) -> Result<Answer> {
        let seconds = self.seconds(question.within, LONGEST_ASKED)?;
        let Some(request) = asked(&question, seconds) else {
            let what = "a nexo terminal can be asked for yes or no, digits, a text, and one of up to 15 choices";
            return Err(Error::new(Kind::Unsupported, what).with_effect(Effect::None).at(&self.options.name));
        };
        let request = self.device(Category::Input, Body::Input(Box::new(request)));
        let link = self.dial().await?;
        let event = self.exchange(&*link, &request, question.within + self.options.answer, &mut Some(host)).await;
        leave(link);
        let message = match event {
            Event::Answer(message) => message,
            other => return Err(self.unanswered(&other)),
        };
        let Body::Entered(told) = message.body else { return Err(self.odd("an input")) };
        let result = told.input_result;
        match outcome(&result.response) {
            Outcome::Success => {}
            // Nobody has entered anything: the customer cancelled, the time is over, or the till asked to end it.
            Outcome::Failure(Condition::Cancel | Condition::Aborted) => return Ok(question.default),
            _ => return self.done("the question", &result.response).map(|()| question.default),
        }
        let entered = result.input.unwrap_or_default();
        let answer = match &question.wanted {
            Wanted::Confirmation => entered.confirmed_flag.map(Answer::from),
            Wanted::Number(_) => entered.digit_input.map(|digits| Answer::Text(digits.0)),
            Wanted::Text(_) => entered.text_input.map(Answer::Text),
            Wanted::Choice { of } => entered.chosen(of.len()).map(Answer::Choice),
            _ => None,
        };
        answer.filter(|answer| question.wanted.takes(answer)).ok_or_else(|| self.odd("an answer to the question"))
    }

    fn device(&self, category: Category, body: Body) -> Message {
        let mut message = self.message(category, None, body);
        message.header.class = Class::Device;
        message
    }

    /// Whole seconds, up to `most`. A part of a second is one.
    fn seconds(&self, within: Duration, most: u32) -> Result<u32> {
        let seconds = within.as_secs() + u64::from(within.subsec_nanos() > 0);
        u32::try_from(seconds).ok().filter(|seconds| (1..=most).contains(seconds)).ok_or_else(|| {
            let what = format!("a terminal cannot show something for {within:?}");
            Error::new(Kind::Input, what).at(&self.options.name).hint(format!("1 to {most} s"))
        })
    }

    fn done(&self, what: &str, response: &Responded) -> Result<()> {
        let why = match outcome(response) {
            Outcome::Success | Outcome::Partial => return Ok(()),
            Outcome::Failure(condition) => condition.to_string(),
            Outcome::Other(word) => format!("the terminal says `{word}`"),
        };
        let busy = response.error_condition.as_deref() == Some("Busy");
        let kind = if busy { Kind::Busy } else { Kind::Refused };
        let what = format!("the terminal refused {what}: {}", clean(&why));
        Err(Error::new(kind, what).with_effect(Effect::None).at(&self.options.name))
    }
}

fn outcome(response: &Responded) -> Outcome {
    Outcome::of(&response.result, response.error_condition.as_deref())
}

/// The question as nexo asks it; `None` if it cannot.
fn asked(question: &Question, seconds: u32) -> Option<InputRequest> {
    let text = question.text.clone();
    let (title, rest) = text.split_once('\n').map_or((text.clone(), ""), |(title, rest)| (title.to_owned(), rest));
    let (name, command, texts, length) = match &question.wanted {
        // Title, text, and what stands on the buttons.
        Wanted::Confirmation => {
            let texts = vec![title, rest.to_owned(), "X".into(), "OK".into()];
            ("GetConfirmation", "GetConfirmation", texts, None)
        }
        Wanted::Number(length) => ("GetDigit", "DigitString", vec![text], Some(*length)),
        Wanted::Text(length) => ("GetText", "TextString", vec![text], Some(*length)),
        Wanted::Choice { of } if (1..=MOST_CHOICES).contains(&of.len()) => {
            let texts = if rest.is_empty() { vec![title] } else { vec![title, rest.to_owned()] };
            ("MenuButtons", "GetMenuEntry", texts, None)
        }
        _ => return None,
    };
    let choices = if let Wanted::Choice { of } = &question.wanted { &of[..] } else { &[] };
    let entry = |choice: &String| MenuEntry { output_format: "Text".into(), output_text: vec![run(choice)] };
    let content = OutputContent {
        predefined_content: Some(Predefined { reference_id: name.into() }),
        output_text: texts.iter().map(|text| run(text)).collect(),
        ..plain()
    };
    let of_length = |side: fn(&Length) -> usize| length.as_ref().map(side);
    Some(InputRequest {
        display_output: Some(DisplayOutput { menu_entry: choices.iter().map(entry).collect(), ..to_customer(content) }),
        input_data: InputData {
            device: "CustomerInput".into(),
            info_qualify: "Input".into(),
            input_command: command.into(),
            max_input_time: Some(seconds.into()),
            min_length: of_length(|length| length.min),
            max_length: of_length(|length| length.max),
            mask_characters_flag: length.filter(|length| length.masked).map(|_| true),
        },
    })
}

fn to_customer(content: OutputContent) -> DisplayOutput {
    DisplayOutput {
        device: "CustomerDisplay".into(),
        info_qualify: "Display".into(),
        output_content: content,
        ..DisplayOutput::default()
    }
}

fn plain() -> OutputContent {
    OutputContent { output_format: Some("Text".into()), ..OutputContent::default() }
}

fn run(text: &str) -> OutputText {
    OutputText { text: Some(text.to_owned()), end_of_line_flag: None }
}

/// A run for each line.
fn runs(text: &str) -> Vec<OutputText> {
    let ends = |line: &str| OutputText { text: Some(line.to_owned()), end_of_line_flag: Some(true) };
    text.lines().map(ends).collect()
}

/// `MinimumDisplayTime` has three digits.
const LONGEST_SHOWN: u32 = 999;
/// How long a question may stand.
const LONGEST_ASKED: u32 = 600;
/// Adyen, "Ask to select a single answer from a list".
const MOST_CHOICES: usize = 15;
