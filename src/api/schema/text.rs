//! Docstrings as text for readers who have no Rust: without links to Rust items.

use serde_json::Value;

/// Removes links, line breaks within paragraphs, and defaults that say nothing.
pub(super) fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = without_items(&unlinked(&unwrapped(text))).replace("`None`", "`null`").trim_end().to_owned();
            }
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// One line for each paragraph and item of a list. Code, which is Rust, is left out.
fn unwrapped(text: &str) -> String {
    let mut unwrapped = String::new();
    let mut code = false;
    for line in text.lines().map(str::trim_end) {
        if line.starts_with("```") {
            code = !code;
            continue;
        }
        if code {
            continue;
        }
        let begins = line.is_empty() || line.starts_with("- ") || line.starts_with('|');
        match unwrapped.chars().last() {
            None | Some('\n') => {}
            Some(_) if begins => unwrapped.push('\n'),
            Some(_) => unwrapped.push(' '),
        }
        unwrapped.push_str(line);
        if line.is_empty() && !unwrapped.is_empty() && !unwrapped.ends_with("\n\n") {
            unwrapped.push('\n');
        }
    }
    unwrapped.trim_end().to_owned()
}

/// `[text](target)` and `[text]` become `text`; other brackets stay.
fn unlinked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, link) = rest.split_at(at);
        plain.push_str(before);
        let Some(end) = link.find(']') else { break };
        let (name, after) = (&link[1..end], &link[end + 1..]);
        // Within code, such as JSON, brackets mean themselves.
        let quoted = before.matches('`').count() % 2 == 1 || plain.matches('`').count() % 2 == 1;
        let target = after.strip_prefix('(').and_then(|after| Some(after.split_once(')')?.1));
        rest = match target {
            Some(after) if !quoted => {
                plain.push_str(name);
                after
            }
            _ if !quoted && name.starts_with('`') => {
                plain.push_str(name);
                after
            }
            _ => {
                plain.push('[');
                &link[1..]
            }
        };
    }
    plain.push_str(rest);
    plain
}

/// Without the Rust items after a colon that end a sentence: ``Takes a payment: `Terminal::pay_as`.``
pub(super) fn without_items(text: &str) -> String {
    let mut without = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(": `") {
        let (before, items) = rest.split_at(at);
        let end = items.find(['.', ';']).unwrap_or(items.len());
        let are_items = items[2..end].split(", ").all(|item| {
            item.strip_prefix('`').and_then(|item| item.strip_suffix('`')).is_some_and(|item| item.contains("::"))
        });
        without.push_str(before);
        if !are_items {
            without.push_str(&items[..end]);
        }
        rest = &items[end..];
    }
    without.push_str(rest);
    without
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_rust_become_text() {
        let text = "As [`Pay`], see\nthe [docs](x::y):\n- `[1,2]` stays\n\n```\nlet rust = 1;\n```\nEnd.";
        assert_eq!(unlinked(&unwrapped(text)), "As `Pay`, see the docs:\n- `[1,2]` stays\n\nEnd.");
        assert_eq!(without_items("Takes it: `T::pay_as`. More."), "Takes it. More.");
        assert_eq!(without_items("One of: `a`, `b`."), "One of: `a`, `b`.");
    }
}
