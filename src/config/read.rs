//! Parses TOML text into a [`Config`], keeping the position of each key.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use tresen_hal::{Address, Language};

use super::problem::{Fault, Path, Problem, Severity};
use super::{Config, Device, OptionValue, Reconnect};
use crate::class::{Class, DeviceId};

/// The parsed configuration, the positions, and what could not be read.
pub(super) struct Read<'t> {
    pub(super) config: Config,
    pub(super) places: Places<'t>,
    pub(super) faults: Vec<Fault>,
}

/// Reads everything that can be read.
///
/// # Errors
/// Not valid TOML: every syntax error.
pub(super) fn text<'t>(text: &'t str, name: &'t str) -> Result<Read<'t>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut places = Places::new(text, name);
    places.note_table(&Path::default(), table.get_ref());
    if !errors.is_empty() {
        return Err(syntax(&errors, &places));
    }
    let mut reader = Reader { config: Config::default(), faults: Vec::new() };
    reader.file(table.get_ref());
    Ok(Read { config: reader.config, places, faults: reader.faults })
}

/// The problem for a file with an invalid UTF-8 byte at `at`.
pub(super) fn not_utf8(bytes: &[u8], at: usize, name: &str) -> Problem {
    let line = bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let what = if wide { "is UTF-16 text".to_owned() } else { format!("is not UTF-8 text: byte {:#04X}", bytes[at]) };
    Problem {
        severity: Severity::Error,
        file: Some(name.to_owned()),
        line: Some(line),
        column: None,
        key: String::new(),
        what,
        hint: Some("save the file as UTF-8".into()),
    }
}

/// Positions of the keys of a text.
pub(super) struct Places<'t> {
    text: &'t str,
    file: &'t str,
    /// The start of each key or list element, and the range of its value.
    known: BTreeMap<Path, (usize, Range<usize>)>,
}

impl<'t> Places<'t> {
    fn new(text: &'t str, file: &'t str) -> Self {
        Self { text, file, known: BTreeMap::new() }
    }

    /// The problem at the line of the fault's key, or of the innermost existing table around it.
    pub(super) fn locate(&self, fault: Fault) -> Problem {
        let mut fault = fault;
        match fault.otherwise.take() {
            Some(path) if !self.known.contains_key(&fault.path) && self.known.contains_key(&path) => fault.path = path,
            _ => {}
        }
        let at = fault.path.outwards().find_map(|path| self.known.get(&path)).map(|(key, _)| *key);
        self.at(at, fault.without_place())
    }

    fn at(&self, offset: Option<usize>, problem: Problem) -> Problem {
        let place = offset.map(|at| {
            let before = &self.text[..self.text.floor_char_boundary(at)];
            let line = before.rsplit('\n').next().unwrap_or_default();
            (before.matches('\n').count() + 1, line.chars().count() + 1)
        });
        Problem { file: Some(self.file.into()), line: place.map(|p| p.0), column: place.map(|p| p.1), ..problem }
    }

    /// The key at `offset`: the one that starts before it on its line, or whose value contains it; otherwise its
    /// section.
    fn key_at(&self, offset: usize) -> Option<&Path> {
        let line = self.text[..self.text.floor_char_boundary(offset)].rfind('\n').map_or(0, |at| at + 1);
        let last = |holds: &dyn Fn(usize, &Range<usize>) -> bool| {
            let held = self.known.iter().filter(|(_, (key, value))| *key <= offset && holds(*key, value));
            held.max_by_key(|(_, (key, _))| *key).map(|(path, _)| path)
        };
        // A section's value is its header, which begins before its name.
        last(&|key, value| key >= line || value.contains(&offset)).or_else(|| last(&|key, value| value.start < key))
    }

    fn note_table(&mut self, path: &Path, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = path.key(key.get_ref());
            self.known.insert(path.clone(), (key.span().start, value.span()));
            self.note(&path, value.get_ref());
        }
    }

    fn note(&mut self, path: &Path, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => self.note_table(path, table),
            DeValue::Array(array) => {
                for (i, value) in array.iter().enumerate() {
                    let path = path.index(i);
                    self.known.insert(path.clone(), (value.span().start, value.span()));
                    self.note(&path, value.get_ref());
                }
            }
            _ => {}
        }
    }
}

/// Syntax errors with their positions; only the first per line.
fn syntax(errors: &[toml::de::Error], places: &Places<'_>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let offset = error.span().map(|span| span.start);
        let path = offset.and_then(|at| places.key_at(at)).cloned().unwrap_or_default();
        let mut what = format!("not valid TOML: {}", error.message().trim_end().replace('\n', ", "));
        if let Some(text) = error.span().and_then(|span| places.text.get(span)).filter(|t| is_word(t)) {
            what.push_str(&format!(": `{text}`"));
        }
        let mut fault = Fault::error(path, what);
        fault.hint = offset.and_then(|at| advice(places.text, at)).map(str::to_owned);
        let problem = places.at(offset, fault.without_place());
        if problems.iter().all(|p| p.line != problem.line) {
            problems.push(problem);
        }
    }
    problems
}

/// Whether the text can be quoted within a one-line message.
fn is_word(text: &str) -> bool {
    (1..=40).contains(&text.len()) && !text.contains(char::is_control)
}

/// Advice for the most common syntax errors, based on the text at `offset`.
fn advice(text: &str, offset: usize) -> Option<&'static str> {
    let rest = text.get(offset..)?;
    let line = rest.lines().next().unwrap_or_default();
    if line.starts_with('0') && line[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return Some("digits with a leading zero are text: write them in quotes");
    }
    // The error points at the backslash, or just past it and the letter.
    if line.starts_with('\\') || text[..offset].chars().rev().take(2).any(|c| c == '\\') {
        return Some("write `\\\\` for a backslash, or put the text in 'single quotes'");
    }
    None
}

pub(super) struct Reader {
    pub(super) config: Config,
    faults: Vec<Fault>,
}

/// Sections besides those of the classes.
const SECTIONS: [&str; 8] = ["till", "tenders", "server", "remote", "stations", "routes", "in-store", "health"];
const LANGUAGES: [(&str, Language); 2] = [("english", Language::English), ("german", Language::German)];

impl Reader {
    fn file(&mut self, table: &DeTable<'_>) {
        let mut server = None;
        for (key, value) in table {
            let path = Path::of(&[key.get_ref()]);
            match &**key.get_ref() {
                "server" => server = Some((path, value)),
                "till" => self.till(&path, value),
                "tenders" => self.tenders(&path, value),
                "remote" => self.remote(&path, value),
                "stations" => self.stations(&path, value),
                "routes" => self.routes(&path, value),
                "in-store" => {
                    self.config.in_store = self.texts(&path, value).into_iter().map(|(_, text)| text).collect();
                }
                "health" => self.health(&path, value),
                section => match Class::of_section(section) {
                    Some(class) => self.devices(class, &path, value),
                    None => {
                        let what = format!("unknown key; expected one of {}", quoted(&sections()));
                        self.fault(Fault::error(path, what));
                    }
                },
            }
        }
        if let Some((path, value)) = server {
            self.server(&path, value);
        }
    }

    fn till(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        const KEYS: [&str; 9] =
            ["name", "store", "currency", "language", "socket", "patience", "reconnect", "lease", "tell-after"];
        let Some(table) = self.table(path, value, "`[till]`") else { return };
        for (key, value) in table {
            let path = path.key(key.get_ref());
            let key = &**key.get_ref();
            if !KEYS.contains(&key) {
                let fault = Fault::error(path, format!("unknown key; expected one of {}", quoted(&KEYS)));
                self.fault(match sections().contains(&key) {
                    true => fault.hint(format!("`{key}` belongs at the top of the file, before the first `[section]`")),
                    false => fault,
                });
                continue;
            }
            match key {
                "socket" => {
                    self.config.till.socket = self.truth(&path, value).unwrap_or(self.config.till.socket);
                    continue;
                }
                "patience" => {
                    self.config.till.patience = self.duration(&path, value).unwrap_or(self.config.till.patience);
                    continue;
                }
                "lease" => {
                    self.config.till.lease = self.duration(&path, value).unwrap_or(self.config.till.lease);
                    continue;
                }
                "reconnect" => {
                    self.config.till.reconnect = self.reconnect(&path, value, Reconnect::default());
                    continue;
                }
                _ => {}
            }
            if key == "tell-after" {
                self.config.till.tell_after = self.duration(&path, value).unwrap_or(self.config.till.tell_after);
                continue;
            }
            let Some(text) = self.filled(&path, value) else { continue };
            match key {
                "name" => {
                    self.named(&path, &text);
                    self.config.till.name = text;
                }
                "store" => self.config.till.store = text.into(),
                "currency" => match text.parse() {
                    Ok(currency) => self.config.till.currency = currency,
                    Err(error) => self.fault(Fault::because(path, &error)),
                },
                _ => match LANGUAGES.iter().find(|(name, _)| *name == text) {
                    Some((_, language)) => self.config.till.language = *language,
                    None => {
                        let names = LANGUAGES.map(|(name, _)| name);
                        let what = format!("unknown language `{text}`; expected one of {}", quoted(&names));
                        self.fault(Fault::error(path, what));
                    }
                },
            }
        }
    }

    fn devices(&mut self, class: Class, path: &Path, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(path, value, &format!("`[{path}.NAME]`")) else { return };
        for (name, value) in table {
            let path = path.key(name.get_ref());
            self.named(&path, name.get_ref());
            let like = "`{ address = \"…\" }` or a section of its own";
            let device = match self.table(&path, value, like) {
                Some(table) => {
                    let declared = if class == Class::Terminal { self.declared(&path, table) } else { None };
                    if let Some(declared) = declared {
                        self.config.declared.insert(name.get_ref().to_string(), declared);
                    }
                    self.device(class, &path, table)
                }
                // Routes can refer to it all the same.
                None => Device::default(),
            };
            self.config.devices.insert(DeviceId::new(class, name.get_ref().to_string()), device);
        }
    }

    /// A name is shown on screens and in lists, in one line.
    pub(super) fn named(&mut self, path: &Path, name: &str) {
        if name.chars().any(char::is_control) {
            self.fault(Fault::error(path.clone(), "a name must not contain control characters"));
        }
    }

    fn device(&mut self, class: Class, path: &Path, table: &DeTable<'_>) -> Device {
        let mut device = Device::default();
        for (key, value) in table {
            let path = path.key(key.get_ref());
            match &**key.get_ref() {
                "address" => device.address = self.addresses(&path, value),
                "reconnect" => device.reconnect = Some(self.reconnect(&path, value, Reconnect::default())),
                "from" => {
                    device.from = self.filled(&path, value);
                    if device.from.is_none() {
                        // Nothing else is said about one that cannot be read.
                        device.from = Some(String::new());
                    }
                }
                // Declared, and no option of the protocol.
                "can" | "methods" if class == Class::Terminal => {}
                name => {
                    if let Some(value) = self.option(&path, value.get_ref()) {
                        device.options.insert(name.to_owned(), value);
                    }
                }
            }
        }
        if !table.contains_key("address") && device.from.is_none() {
            let fault = Fault::error(path.key("address"), "is missing");
            let hint = "add one, such as address = \"escpos+tcp://10.0.0.20\", or `from` for a device of a handheld";
            self.fault(fault.hint(hint));
        }
        device
    }

    fn addresses(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Vec<Address> {
        let texts = match value.get_ref() {
            DeValue::String(text) => vec![(path.clone(), text.to_string())],
            DeValue::Array(_) => self.texts(path, value),
            other => {
                let what = format!(
                    "expected an address such as \"escpos+tcp://10.0.0.20\", or a list of them; found {}",
                    kind(other)
                );
                self.fault(Fault::error(path.clone(), what));
                return Vec::new();
            }
        };
        let mut addresses = Vec::new();
        for (path, text) in texts {
            match text.parse::<Address>() {
                Ok(address) => addresses.push(address),
                Err(error) => {
                    let fault = Fault::because(path, &error);
                    let what = error.device().map_or(fault.what.clone(), |text| format!("{text}: {}", fault.what));
                    self.fault(Fault { what, ..fault });
                }
            }
        }
        addresses
    }

    fn option(&mut self, path: &Path, value: &DeValue<'_>) -> Option<OptionValue> {
        let number = |text: &str, radix| i64::from_str_radix(text, radix).ok().map(OptionValue::Number);
        let read = match value {
            DeValue::String(text) => Some(OptionValue::Text(text.to_string())),
            DeValue::Boolean(truth) => Some(OptionValue::Truth(*truth)),
            DeValue::Integer(integer) => number(integer.as_str(), integer.radix()),
            DeValue::Float(float) => {
                float.as_str().parse().ok().filter(|f: &f64| f.is_finite()).map(OptionValue::Decimal)
            }
            _ => None,
        };
        if read.is_none() {
            let what = format!("expected text in quotes, a number, or true or false; found {}", kind(value));
            self.fault(Fault::error(path.clone(), what));
        }
        read
    }

    pub(super) fn table<'v, 'i>(
        &mut self,
        path: &Path,
        value: &'v Spanned<DeValue<'i>>,
        like: &str,
    ) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let what = format!("expected a table; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what).hint(format!("write {like}")));
        }
        table
    }

    /// A list of strings, each with its path. A list that cannot be read completely is empty.
    pub(super) fn texts(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Vec<(Path, String)> {
        let Some(list): Option<&DeArray<'_>> = value.get_ref().as_array() else {
            let what = format!("expected a list of texts, such as [\"a\", \"b\"]; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (i, value) in list.iter().enumerate() {
            let path = path.index(i);
            if let Some(text) = self.text(&path, value) {
                texts.push((path, text));
            }
        }
        texts
    }

    pub(super) fn text(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            let what = format!("expected text in quotes; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        text
    }

    pub(super) fn filled(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.text(path, value)?;
        if text.trim().is_empty() {
            self.fault(Fault::error(path.clone(), "must not be empty"));
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(super) fn truth(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            let what = format!("expected true or false; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        read
    }

    /// A positive duration, such as `"30s"`.
    pub(super) fn duration(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let read = value.get_ref().as_str().and_then(span);
        if read.is_none() {
            let what = format!("expected a duration such as \"30s\" or \"3m\"; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        read
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }
}

/// A positive duration.
pub(super) fn span(text: &str) -> Option<Duration> {
    let read = text.parse::<SignedDuration>().ok().filter(SignedDuration::is_positive)?;
    Duration::try_from(read).ok().filter(|duration| *duration <= LONGEST)
}

/// No delay of a till is longer: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// All sections of a file, those of the classes in their order.
fn sections() -> Vec<&'static str> {
    let [till, rest @ ..] = SECTIONS;
    [till].into_iter().chain(Class::all().map(Class::section)).chain(rest).collect()
}

/// A value's type, for messages.
pub(super) fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Float(float) => format!("the number {}", float.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date or time".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// `a`, `b`, `c`
pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
