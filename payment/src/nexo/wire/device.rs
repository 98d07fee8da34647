//! Messages of the class `Device`: one side shows, prints or asks with what the other side has.
//!
//! Names and presence are those of Adyen's Terminal API reference and of the messages that its libraries are tested with
//! (`adyen-java-api-library`, `src/test/resources/mocks/terminal-api`). `Debug` shows neither texts nor what was entered.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::body::{Answer, OutputContent, OutputText, shown};

/// `DisplayRequest`: what a side wants shown at the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisplayRequest {
    /// One for each display.
    #[serde(deserialize_with = "one_or_more")]
    pub display_output: Vec<DisplayOutput>,
}

/// `DisplayOutput`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisplayOutput {
    /// `CustomerDisplay` at the terminal, `CashierDisplay` at the till.
    pub device: String,
    /// `Display`, `Status` and others.
    pub info_qualify: String,
    /// What.
    pub output_content: OutputContent,
    /// What can be chosen, of a question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub menu_entry: Vec<MenuEntry>,
    /// An answer is wanted unless this is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_required_flag: Option<bool>,
    /// For how many seconds at least, up to 999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_display_time: Option<u32>,
}

/// One thing that can be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MenuEntry {
    /// `Text`.
    pub output_format: String,
    /// Its words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_text: Vec<OutputText>,
}

/// `DisplayResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisplayResponse {
    /// One for each display.
    #[serde(deserialize_with = "one_or_more")]
    pub output_result: Vec<OutputResult>,
}

/// `OutputResult`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutputResult {
    /// As in the request.
    pub device: String,
    /// As in the request.
    pub info_qualify: String,
    /// How it went.
    pub response: Answer,
}

/// `InputRequest`: a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InputRequest {
    /// What is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_output: Option<DisplayOutput>,
    /// What is wanted.
    pub input_data: InputData,
}

/// `InputData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InputData {
    /// `CustomerInput`.
    pub device: String,
    /// `Input`.
    pub info_qualify: String,
    /// `GetConfirmation`, `DigitString`, `TextString`, `GetMenuEntry`.
    pub input_command: String,
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_time: Option<u64>,
    /// Characters at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// Characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// What is typed is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask_characters_flag: Option<bool>,
}

/// `InputResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InputResponse {
    /// Whether it was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_result: Option<OutputResult>,
    /// What was entered.
    pub input_result: InputResult,
}

/// `InputResult`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InputResult {
    /// As in the request.
    pub device: String,
    /// As in the request.
    pub info_qualify: String,
    /// How it went.
    pub response: Answer,
    /// What was entered, if something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
}

/// `Input`. `Debug` shows the command alone.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    /// As in the request.
    pub input_command: String,
    /// Of `GetConfirmation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_flag: Option<bool>,
    /// Of `TextString`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_input: Option<String>,
    /// Of `DigitString`. The reference calls it a number, other descriptions a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digit_input: Option<Digits>,
    /// Of `GetMenuEntry`: see [`Input::chosen`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub menu_entry_number: Vec<i64>,
}

impl Input {
    /// The place, counted from 0, of the one that was chosen of `count`.
    ///
    /// The reference has numbers that count from 1; the responses that the vendor's libraries are tested with have a
    /// 0 or a 1 for each entry. What is neither says nothing.
    pub fn chosen(&self, count: usize) -> Option<usize> {
        let numbers = &self.menu_entry_number[..];
        let marks = count > 1 && numbers.len() == count && numbers.iter().all(|number| matches!(number, 0 | 1));
        match numbers {
            _ if marks => {
                let mut chosen = numbers.iter().enumerate().filter(|(_, mark)| **mark == 1).map(|(at, _)| at);
                chosen.next().filter(|_| chosen.next().is_none())
            }
            [number] => usize::try_from(*number).ok()?.checked_sub(1).filter(|at| *at < count),
            _ => None,
        }
    }
}

/// Digits, written as a text; read from a text or a number. `Debug` shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Digits(pub String);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Text(text) => text,
        }))
    }
}

/// `PrintRequest`: what a side wants printed at the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PrintRequest {
    /// What.
    pub print_output: PrintOutput,
}

/// `PrintOutput`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PrintOutput {
    /// `Document`.
    pub document_qualifier: String,
    /// `PrintEnd`: the answer comes once it is printed.
    pub response_mode: String,
    /// What.
    pub output_content: OutputContent,
}

/// `PrintResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PrintResponse {
    /// As in the request.
    pub document_qualifier: String,
    /// How it went.
    pub response: Answer,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("command", &shown(&self.input_command)).finish_non_exhaustive()
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digits({} characters)", self.0.chars().count())
    }
}

/// An object alone, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        More(Vec<T>),
        One(T),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::More(all) => all,
        Either::One(one) => vec![one],
    })
}
