//! XML as values: bounded, without namespaces, without entities.
//!
//! Names are local names: terminals send the IXRetail namespace as default, with a prefix, or not at all. They are
//! compared without case (`POSdata`, `POSData`). Document types are refused, and of references only characters
//! (`&#228;`) and the five that XML defines are read. Text keeps its blanks, which align receipts.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion, escape};

/// An element with everything in it. `Debug` shows its shape, no values.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its local name.
    pub name: String,
    /// Its attributes by local name, in their order; without those that declare namespaces and schemas.
    pub attributes: Vec<(String, String)>,
    /// The elements in it.
    pub children: Vec<Element>,
    /// The text in it, without that of its children.
    pub text: String,
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    /// Where, in the text as UTF-8.
    pub at: usize,
    /// What is wrong.
    pub why: &'static str,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

/// The character encodings of OPI messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// ISO 8859-1.
    Latin1,
}

/// Elements that may stand in each other.
pub const MAX_DEPTH: usize = 16;
/// Elements of one message.
pub const MAX_ELEMENTS: usize = 4096;
/// Attributes of one element.
pub const MAX_ATTRIBUTES: usize = 64;

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same with an attribute.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// The same with an attribute, if there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The same with another element in it.
    #[must_use]
    pub fn containing(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// The same with this text.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Whether this is its name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(name))
    }

    /// All children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.is(name))
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// An attribute, or the text of the child of that name: dialects use either. Blanks around it and an empty value
    /// count as nothing.
    pub fn value(&self, name: &str) -> Option<&str> {
        let attribute = self.attribute(name).map(str::trim).filter(|value| !value.is_empty());
        let child = || self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty());
        attribute.or_else(child)
    }

    /// Reads one message.
    ///
    /// # Errors
    /// It is not well formed, has a document type or an entity, or is beyond a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let text = decode(bytes);
        let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).trim_end_matches('\0');
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        let mut elements = 0;
        loop {
            let event = reader.read_event();
            let position = if event.is_err() { reader.error_position() } else { reader.buffer_position() };
            let at = usize::try_from(position).unwrap_or(usize::MAX);
            let invalid = |why| Invalid { at, why };
            match event.map_err(|_| invalid("not well formed"))? {
                Event::Start(tag) => {
                    elements += 1;
                    if elements > MAX_ELEMENTS || open.len() >= MAX_DEPTH {
                        return Err(invalid("too many elements"));
                    }
                    if root.is_some() {
                        return Err(invalid("a second message"));
                    }
                    open.push(start(&tag).map_err(invalid)?);
                }
                Event::End(_) => {
                    let done = open.pop().ok_or_else(|| invalid("not well formed"))?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(done),
                        None => root = Some(done),
                    }
                }
                Event::Text(text) => said(&mut open, &text.xml10_content()).map_err(invalid)?,
                Event::CData(text) => said(&mut open, &text.xml10_content()).map_err(invalid)?,
                Event::GeneralRef(reference) => {
                    let known = match reference.resolve_char_ref() {
                        Ok(Some(c)) => Some(Cow::Owned(c.to_string())),
                        Ok(None) => escape::resolve_predefined_entity(&reference).map(Cow::Borrowed),
                        Err(_) => None,
                    };
                    said(&mut open, &known.ok_or_else(|| invalid("an entity"))?).map_err(invalid)?;
                }
                Event::DocType(_) => return Err(invalid("a document type")),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Empty(_) => return Err(invalid("not well formed")),
                Event::Eof => {
                    return root.filter(|_| open.is_empty()).ok_or_else(|| invalid("incomplete"));
                }
            }
        }
    }

    /// The message with its declaration.
    pub fn to_bytes(&self, encoding: Encoding) -> Vec<u8> {
        let mut text = String::from(match encoding {
            Encoding::Utf8 => "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            Encoding::Latin1 => "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
        });
        self.write(&mut text, encoding);
        match encoding {
            Encoding::Utf8 => text.into_bytes(),
            Encoding::Latin1 => text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
        }
    }

    fn write(&self, out: &mut String, encoding: Encoding) {
        out.push('<');
        named(out, &self.name, encoding);
        for (name, value) in &self.attributes {
            out.push(' ');
            named(out, name, encoding);
            out.push_str("=\"");
            escaped(out, value, encoding, true);
            out.push('"');
        }
        if self.children.is_empty() && self.text.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        escaped(out, &self.text, encoding, false);
        self.children.iter().for_each(|child| child.write(out, encoding));
        out.push_str("</");
        named(out, &self.name, encoding);
        out.push('>');
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes: Vec<_> = self.attributes.iter().map(|(name, _)| name).collect();
        let mut shown = f.debug_struct(&self.name);
        shown.field("attributes", &attributes);
        if !self.children.is_empty() {
            shown.field("children", &self.children);
        }
        shown.finish_non_exhaustive()
    }
}

fn start(tag: &BytesStart<'_>) -> Result<Element, &'static str> {
    let mut element = Element::new(tag.local_name().into_inner());
    if !is_name(&element.name) {
        return Err("a malformed name");
    }
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| "a malformed attribute")?;
        let (name, prefix) = attribute.key.decompose();
        let (name, prefix) = (name.into_inner(), prefix.map(|p| p.into_inner()));
        if element.attributes.len() >= MAX_ATTRIBUTES {
            return Err("too many attributes");
        }
        if name == "xmlns" || matches!(prefix, Some("xmlns" | "xsi" | "xml")) {
            continue;
        }
        if !is_name(name) {
            return Err("a malformed name");
        }
        // Of two prefixes: which one counts is not known.
        if element.attributes.iter().any(|(known, _)| known == name) {
            return Err("a malformed attribute");
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| "an entity")?;
        element.attributes.push((name.to_owned(), value.into_owned()));
    }
    Ok(element)
}

/// Letters, digits and what XML allows between them.
fn is_name(name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(inside)
}

fn said(open: &mut [Element], text: &str) -> Result<(), &'static str> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("text outside the message"),
    }
    Ok(())
}

/// A name cannot hold references, so what the encoding does not have is spelled out.
fn named(out: &mut String, name: &str, encoding: Encoding) {
    for c in name.chars() {
        match encoding {
            Encoding::Latin1 if u32::from(c) > 0xff => _ = write!(out, "_x{:x}_", u32::from(c)),
            _ => out.push(c),
        }
    }
}

fn escaped(out: &mut String, text: &str, encoding: Encoding, attribute: bool) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\t' | '\n' | '\r' if attribute => _ = write!(out, "&#{};", u32::from(c)),
            '\t' | '\n' => out.push(c),
            // A bare carriage return would be read as a line feed.
            '\r' => out.push_str("&#13;"),
            // XML 1.0 cannot carry these at all.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('?'),
            _ if encoding == Encoding::Latin1 && u32::from(c) > 0xff => _ = write!(out, "&#{};", u32::from(c)),
            _ => out.push(c),
        }
    }
}

/// As the declaration says; what claims to be UTF-8 and is not, is taken for ISO 8859-1.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION)]).to_ascii_lowercase();
    let declared = head.split_once("encoding").and_then(|(before, rest)| {
        let inside = before.contains("<?xml") && !before.contains("?>");
        let quote = rest.find(['"', '\'']).filter(|_| inside)?;
        rest[quote + 1..].split(['"', '\'']).next()
    });
    let latin = |euro: u8| bytes.iter().map(|b| if *b == euro { '€' } else { char::from(*b) }).collect::<String>();
    match declared {
        Some("iso-8859-1" | "latin1" | "iso8859-1" | "windows-1252") => Cow::Owned(latin(0x80)),
        Some("iso-8859-15") => Cow::Owned(latin(0xa4)),
        _ => std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(latin(0x80)), Cow::Borrowed),
    }
}

/// The declaration stands within these first bytes.
const DECLARATION: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> &'static str {
        Element::parse(text.as_bytes()).expect_err(text).why
    }

    #[test]
    fn names_are_local_and_without_case_and_text_keeps_its_blanks() {
        let text = "\u{feff}<?xml version='1.0'?>\n<!-- x --><i:DeviceRequest xmlns:i='urn:x' xmlns='urn:y' \
            xsi:schemaLocation='a b' i:RequestType='Output'><POSData><a>1</a></POSData><TextLine>  a &amp; b&#228; \
            <![CDATA[<c>]]></TextLine><Empty/></i:DeviceRequest>\0";
        let root = Element::parse(text.as_bytes()).expect("well formed");
        assert_eq!((root.name.as_str(), root.attributes.len()), ("DeviceRequest", 1));
        assert_eq!(root.attribute("requesttype"), Some("Output"));
        assert_eq!(root.child("POSdata").and_then(|p| p.value("A")), Some("1"));
        assert_eq!(root.child("TextLine").expect("there").text, "  a & bä <c>");
        assert_eq!(root.children.len(), 3);
    }

    #[test]
    fn refuses_what_could_be_abused() {
        assert_eq!(why("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), "a document type");
        assert_eq!(why("<a>&b;</a>"), "an entity");
        assert_eq!(why("<a b='&c;'/>"), "an entity");
        assert_eq!(why("<a b='1' b='2'/>"), "a malformed attribute");
        assert_eq!(why("<a b='1' x:b='2'/>"), "a malformed attribute");
        assert_eq!(why(&format!("{}{}", "<a>".repeat(17), "</a>".repeat(17))), "too many elements");
        assert_eq!(why(&format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS))), "too many elements");
        let many: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}='1'")).collect();
        assert_eq!(why(&format!("<a{many}/>")), "too many attributes");
        assert_eq!((why("<a,b/>"), why("<a b,c='1'/>")), ("a malformed name", "a malformed name"));
        for text in ["<a></b>", "<a", "</a>", "<a b=1/>"] {
            why(text);
        }
        assert_eq!((why("<a>"), why(""), why("<a/><b/>")), ("incomplete", "incomplete", "a second message"));
        assert_eq!(why("<a/>x"), "text outside the message");
        assert_eq!(Element::parse(b"<a><b>&c;</b></a>").expect_err("an entity").at, 9);
    }

    #[test]
    fn reads_both_encodings_and_what_lies_about_its_own() {
        let umlaut = |bytes: &[u8]| Element::parse(bytes).expect("well formed").text;
        assert_eq!(umlaut(b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?><a>\xe4</a>"), "ä");
        assert_eq!(umlaut(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>\xc3\xa4</a>"), "ä");
        assert_eq!(umlaut(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>\xe4</a>"), "ä");
        assert_eq!(umlaut(b"<?xml version='1.0' encoding='iso-8859-15'?><a>\xa4</a>"), "€");
        assert_eq!(umlaut(b"<a>encoding='iso-8859-1' \xc3\xa4</a>"), "encoding='iso-8859-1' ä");
    }

    #[test]
    fn what_is_written_reads_back() {
        let element = Element::new("a").with("b", "\"<&\n'€ä").containing(Element::new("c").saying(" € ä\r\n<&> "));
        for encoding in [Encoding::Utf8, Encoding::Latin1] {
            let bytes = element.to_bytes(encoding);
            assert_eq!(Element::parse(&bytes), Ok(element.clone()), "{encoding:?}");
            assert_eq!(encoding == Encoding::Latin1, bytes.contains(&0xe4), "{encoding:?}");
        }
        // A name that the encoding does not have.
        let foreign = Element::parse("<Łódź/>".as_bytes()).expect("well formed");
        assert_eq!(Element::parse(&foreign.to_bytes(Encoding::Utf8)), Ok(foreign.clone()));
        assert_eq!(Element::parse(&foreign.to_bytes(Encoding::Latin1)).expect("well formed").name, "_x141_ód_x17a_");
        let control = Element::new("a").saying("\u{1}");
        assert_eq!(Element::parse(&control.to_bytes(Encoding::Utf8)).expect("well formed").text, "?");
        assert!(!format!("{element:?}").contains('€'), "no values in Debug");
    }
}
