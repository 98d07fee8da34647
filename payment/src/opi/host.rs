//! Where what a terminal asks of the till is decided: the one place, until an application can answer itself.

use super::results::OverallResult;
use super::wire::Header;
use super::wire::device::{DeviceRequest, DeviceResponse, Entered, Output, Target};
use crate::slips::Slip;

/// Answers a terminal's requests.
pub(super) trait Host: Send + Sync + std::fmt::Debug {
    /// The answer to a question with yes and no.
    fn confirm(&mut self, question: &str) -> bool;
}

/// Answers as the options say.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) confirm: bool,
}

impl Host for Declared {
    fn confirm(&mut self, question: &str) -> bool {
        let question = crate::pan::mask_line(question, &[]);
        tracing::info!(question, answer = self.confirm, "the terminal's question is answered as declared");
        self.confirm
    }
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
pub(super) fn decide(request: &DeviceRequest, host: &mut dyn Host) -> (DeviceResponse, Vec<Wish>) {
    let mut wishes = Vec::new();
    let header = Header { sender: None, ..request.header.clone() };
    let mut response =
        DeviceResponse { header, result: OverallResult::Success, outputs: Vec::new(), input: None, original: None };
    // Nothing can be shown, asked or entered in secret here.
    if request.header.is("SecureInput") || request.header.is("SecureOutput") {
        response.result = OverallResult::DeviceUnavailable;
        return (response, wishes);
    }
    for output in &request.outputs {
        let result = put(output, &mut wishes);
        if result != OverallResult::Success {
            response.result = result.clone();
        }
        response.outputs.push((output.target.clone(), result));
    }
    if let Some(input) = request.input.as_ref().filter(|_| request.header.is("Input") || request.header.is("Output")) {
        let question = request.outputs.iter().map(text).collect::<Vec<_>>().join(" ");
        let (result, yes) = match input.command.to_ascii_lowercase().as_str() {
            "getconfirmation" => (OverallResult::Success, Some(host.confirm(&question))),
            "getanykey" => (OverallResult::Success, None),
            // Nobody can type or choose.
            _ => (OverallResult::DeviceUnavailable, None),
        };
        if result != OverallResult::Success {
            response.result = result.clone();
        }
        response.input = Some(Entered { target: input.target.clone(), result, yes });
    }
    (response, wishes)
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
