//! Finds the line and the key that an error is about.

use tresen_hal::{Error, Kind};

/// What the TOML reader says, with file, line and key in our words.
pub(super) fn error(error: &toml::de::Error, text: &str, name: &str) -> Error {
    let what = error.message().trim_end().replace('\n', ", ");
    let Some(span) = error.span() else {
        return Error::new(Kind::Config, what).at(name);
    };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count();
    let section = text.lines().take(line + 1).filter_map(section).last();
    let key = text.lines().nth(line).and_then(key);
    let path: Vec<_> = section.into_iter().chain(key).collect();
    let at = format!("{name}:{}", line + 1);
    match path.is_empty() {
        true => Error::new(Kind::Config, what).at(at),
        false => Error::new(Kind::Config, format!("key `{}`: {what}", path.join("."))).at(at),
    }
}

/// `file:line` of a key such as `printers.bar.address`, or of its section.
pub(super) fn place(text: &str, name: &str, path: &[String]) -> String {
    let (last, sections) = path.split_last().map_or(("", path), |(last, rest)| (last.as_str(), rest));
    let wanted = sections.join(".");
    let (mut current, mut found) = (String::new(), None);
    for (at, line) in text.lines().enumerate() {
        if let Some(section) = section(line) {
            current = section.replace(['"', '\''], "");
            if current == wanted || current == path.join(".") {
                found = found.or(Some(at));
            }
        } else if current == wanted && key(line) == Some(last) {
            return format!("{name}:{}", at + 1);
        }
    }
    found.map_or(name.to_owned(), |at| format!("{name}:{}", at + 1))
}

fn section(line: &str) -> Option<&str> {
    let line = line.trim().strip_prefix('[')?;
    Some(line.split(']').next()?.trim_matches(['[', ' ']))
}

fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && !key.starts_with(['#', '['])).then_some(key.trim_matches(['"', '\'']))
}
