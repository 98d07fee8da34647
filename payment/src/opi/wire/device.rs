//! What the terminal asks of the till (channel 1): to print, show and ask, and what the till answers.

use std::fmt;

use super::super::results::OverallResult;
use super::super::xml::{Element, Encoding};
use super::{Header, OriginalHeader};
use crate::slips::Slip;

/// What the terminal asks of the till.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Its header. The id may be that of the request of channel 0 that runs.
    pub header: Header,
    /// Counts the requests that belong to one id.
    pub sequence: Option<String>,
    /// The terminal's id.
    pub terminal_id: Option<String>,
    /// What to show or print, and where.
    pub outputs: Vec<Output>,
    /// What to ask.
    pub input: Option<Input>,
}

/// `Output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where to.
    pub target: Target,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line of an output. `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its text, with the blanks that align it.
    pub text: String,
    /// The paper is cut after it.
    pub cut: bool,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({} characters)", self.text.chars().count())
    }
}

/// `Input`: what is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where: `CashierKeyboard`.
    pub target: String,
    /// `GetConfirmation`.
    pub command: String,
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `CashierDisplay`.
    CashierDisplay,
    /// `CustomerDisplay`.
    CustomerDisplay,
    /// `Printer`: the merchant's.
    Printer,
    /// `PrinterReceipt`: the customer's.
    PrinterReceipt,
    /// `JournalPrinter`.
    JournalPrinter,
    /// `E-Journal`.
    Journal,
    /// `Log`.
    Log,
    /// Any other device.
    Other(String),
}

const TARGETS: &[(&str, Target)] = &[
    ("CashierDisplay", Target::CashierDisplay),
    ("CustomerDisplay", Target::CustomerDisplay),
    ("Printer", Target::Printer),
    ("PrinterReceipt", Target::PrinterReceipt),
    ("JournalPrinter", Target::JournalPrinter),
    ("E-Journal", Target::Journal),
    ("Log", Target::Log),
];

impl Target {
    /// Reads the name, without case.
    pub fn parse(name: &str) -> Self {
        let found = TARGETS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or_else(|| Self::Other(name.to_owned()), |(_, target)| target.clone())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => TARGETS.iter().find(|(_, target)| target == known).map_or("", |(name, _)| name),
        }
    }

    /// Whose paper it prints on, if it is a printer.
    pub fn slip(&self) -> Option<Slip> {
        match self {
            Self::Printer => Some(Slip::Merchant),
            Self::PrinterReceipt => Some(Slip::Customer),
            Self::JournalPrinter | Self::Journal => Some(Slip::Admin),
            _ => None,
        }
    }
}

/// What the till answers to a [`DeviceRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceResponse {
    /// That of the request.
    pub header: Header,
    /// How it ended.
    pub result: OverallResult,
    /// How each output ended.
    pub outputs: Vec<(Target, OverallResult)>,
    /// How the input ended, and what was entered.
    pub input: Option<Entered>,
    /// Of a repeated message: which one it was.
    pub original: Option<OriginalHeader>,
}

/// The answer to an [`Input`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Where it was asked.
    pub target: String,
    /// How it ended.
    pub result: OverallResult,
    /// The answer to a question with yes and no.
    pub yes: Option<bool>,
}

impl DeviceRequest {
    pub(super) fn read(root: &Element) -> Self {
        let text = |name| root.value(name).map(str::to_owned);
        let output = |element: &Element| Output {
            target: Target::parse(element.value("OutDeviceTarget").unwrap_or_default()),
            lines: element.all("TextLine").map(Line::read).collect(),
        };
        let input = root.child("Input").map(|element| Input {
            target: element.value("InDeviceTarget").unwrap_or_default().to_owned(),
            command: element.value("Command").unwrap_or_default().to_owned(),
        });
        Self {
            header: Header::read(root),
            sequence: text("SequenceID"),
            terminal_id: text("TerminalID"),
            outputs: root.all("Output").map(output).collect(),
            input,
        }
    }

    /// The bytes of the message, without framing.
    pub fn to_bytes(&self, encoding: Encoding) -> Vec<u8> {
        let mut root = self.header.write("DeviceRequest");
        root = root.with_some("SequenceID", self.sequence.as_ref()).with_some("TerminalID", self.terminal_id.as_ref());
        for output in &self.outputs {
            let mut element = Element::new("Output").with("OutDeviceTarget", output.target.name());
            element.children.extend(output.lines.iter().enumerate().map(|(row, line)| line.write(row)));
            root = root.containing(element);
        }
        if let Some(input) = &self.input {
            let command = Element::new("Command").saying(&input.command);
            root = root.containing(Element::new("Input").with("InDeviceTarget", &input.target).containing(command));
        }
        root.to_bytes(encoding)
    }
}

impl Line {
    fn read(element: &Element) -> Self {
        let cut = element.value("PaperCut").is_some_and(|cut| matches!(cut, "true" | "True" | "1"));
        Self { text: element.text.clone(), cut }
    }

    fn write(&self, row: usize) -> Element {
        let line = Element::new("TextLine").with("Column", "0").with("Row", row.to_string());
        line.with_some("PaperCut", self.cut.then_some("true")).saying(&self.text)
    }
}

impl DeviceResponse {
    pub(super) fn read(root: &Element) -> Self {
        let result = |element: &Element, name: &str| OverallResult::parse(element.value(name).unwrap_or_default());
        let entered = |element: &Element| Entered {
            target: element.value("InDeviceTarget").unwrap_or_default().to_owned(),
            result: result(element, "InResult"),
            yes: element
                .child("InputValue")
                .and_then(|value| value.value("InBoolean"))
                .map(|b| matches!(b, "true" | "1")),
        };
        let output = |element: &Element| {
            (Target::parse(element.value("OutDeviceTarget").unwrap_or_default()), result(element, "OutResult"))
        };
        Self {
            header: Header::read(root),
            result: result(root, "OverallResult"),
            outputs: root.all("Output").map(output).collect(),
            input: root.child("Input").map(entered),
            original: OriginalHeader::find(root),
        }
    }

    /// The bytes of the message, without framing.
    pub fn to_bytes(&self, encoding: Encoding) -> Vec<u8> {
        let mut root = self.header.write("DeviceResponse").with("OverallResult", self.result.to_string());
        for (target, result) in &self.outputs {
            let output = Element::new("Output").with("OutDeviceTarget", target.name());
            root = root.containing(output.with("OutResult", result.to_string()));
        }
        if let Some(entered) = &self.input {
            let mut input = Element::new("Input").with("InDeviceTarget", &entered.target);
            input = input.with("InResult", entered.result.to_string());
            if let Some(yes) = entered.yes {
                let boolean = Element::new("InBoolean").saying(if yes { "true" } else { "false" });
                input = input.containing(Element::new("InputValue").containing(boolean));
            }
            root = root.containing(input);
        }
        root.children.extend(self.original.as_ref().map(OriginalHeader::write));
        root.to_bytes(encoding)
    }
}
