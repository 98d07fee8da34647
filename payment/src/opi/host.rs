//! What the till does and answers when a terminal asks something of it.

use super::options::Options;
use super::recovery::clean;
use super::results::OverallResult;
use super::wire::Header;
use super::wire::device::{DeviceRequest, DeviceResponse, Entered, Output, Target};
use crate::host::{Answer, Question, Wanted};
use crate::slips::Slip;

/// What becomes of a request.
#[derive(Debug)]
pub(super) struct Decision {
    /// The till's answer. If there is a question it holds the question's default, until [`Decision::enter`].
    pub(super) response: DeviceResponse,
    /// What the till has to do.
    pub(super) wishes: Vec<Wish>,
    /// What somebody has to answer first.
    pub(super) question: Option<Question>,
}

/// What a request means for the till.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To be shown.
    Show(String),
    /// A line to be printed, and whether the receipt ends with it. `Debug` of the request does not show it.
    Print { slip: Slip, text: String, ends: bool },
}

/// What the till answers, and what it has to do for it.
///
/// Left out: inputs of numbers, texts and choices (`GetDecimals`, `GetChar`, `GetAmount`, `GetMenu`). No public source
/// shows the shape of their answers, so they are answered `DeviceUnavailable`.
pub(super) fn decide(request: &DeviceRequest, options: &Options) -> Decision {
    let header = Header { sender: None, ..request.header.clone() };
    let response =
        DeviceResponse { header, result: OverallResult::Success, outputs: Vec::new(), input: None, original: None };
    let mut decision = Decision { response, wishes: Vec::new(), question: None };
    let Decision { response, wishes, question } = &mut decision;
    // Nothing can be shown, asked or entered in secret here.
    if request.header.is("SecureInput") || request.header.is("SecureOutput") {
        response.result = OverallResult::DeviceUnavailable;
        return decision;
    }
    for output in &request.outputs {
        let result = put(output, wishes);
        if result != OverallResult::Success {
            response.result = result.clone();
        }
        response.outputs.push((output.target.clone(), result));
    }
    if let Some(input) = request.input.as_ref().filter(|_| request.header.is("Input") || request.header.is("Output")) {
        let text = clean(&request.outputs.iter().map(text).collect::<Vec<_>>().join(" "));
        *question = match input.command.to_ascii_lowercase().as_str() {
            "getconfirmation" => Some(Question::new(text, Wanted::Confirmation, options.confirm.into())),
            "getanykey" => Some(Question::new(text, Wanted::Acknowledgement, Answer::Yes)),
            _ => None,
        };
        if let Some(question) = question {
            question.within = options.confirm_within;
        }
        let (target, result) = (input.target.clone(), OverallResult::Success);
        response.input = Some(Entered { target, result, yes: None });
        let answer = question.as_ref().map_or(Answer::Declined, |question| question.default.clone());
        decision.enter(&answer);
    }
    decision
}

impl Decision {
    /// Puts the answer to the question into the response.
    pub(super) fn enter(&mut self, answer: &Answer) {
        let confirms = self.question.as_ref().is_some_and(|question| question.wanted == Wanted::Confirmation);
        let (result, yes) = match answer {
            Answer::Yes => (OverallResult::Success, confirms.then_some(true)),
            Answer::No => (OverallResult::Success, confirms.then_some(false)),
            _ => (OverallResult::DeviceUnavailable, None),
        };
        self.end_input(result, yes);
    }

    /// The terminal does not want the answer any more.
    pub(super) fn abort(&mut self) {
        self.end_input(OverallResult::Aborted, None);
    }

    fn end_input(&mut self, result: OverallResult, yes: Option<bool>) {
        if let Some(input) = &mut self.response.input {
            let output = self.response.outputs.iter().find(|(_, put)| *put != OverallResult::Success);
            let worst = output.map_or(OverallResult::Success, |(_, put)| put.clone());
            self.response.result = if result == OverallResult::Success { worst } else { result.clone() };
            (input.result, input.yes) = (result, yes);
        }
    }
}

/// The answer of a till at which nobody is there for this request.
pub(super) fn unavailable(request: &DeviceRequest) -> DeviceResponse {
    let outputs = request.outputs.iter().map(|o| (o.target.clone(), OverallResult::DeviceUnavailable)).collect();
    let header = Header { sender: None, ..request.header.clone() };
    DeviceResponse { header, result: OverallResult::DeviceUnavailable, outputs, input: None, original: None }
}

fn put(output: &Output, wishes: &mut Vec<Wish>) -> OverallResult {
    match (&output.target, output.target.slip()) {
        (Target::CashierDisplay | Target::CustomerDisplay, _) => {
            let shown = text(output);
            wishes.extend((!shown.is_empty()).then_some(Wish::Show(shown)));
        }
        (_, Some(slip)) => {
            let line = |line: &super::wire::device::Line| Wish::Print { slip, text: line.text.clone(), ends: line.cut };
            wishes.extend(output.lines.iter().map(line));
        }
        (Target::Log, _) => tracing::debug!(lines = output.lines.len(), "the terminal wants something logged"),
        _ => return OverallResult::DeviceUnavailable,
    }
    OverallResult::Success
}

fn text(output: &Output) -> String {
    let words = output.lines.iter().map(|line| line.text.trim()).filter(|text| !text.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
