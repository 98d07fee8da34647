//! Lines: words wrapped, columns set side by side. ESC/POS and the text preview share this composer,
//! so that a preview breaks lines where the printer does.
//!
//! It writes straight into a [`Sink`] and keeps no lines. One character is one column, as printers of
//! single-byte code pages print it; a style that is *n* times as wide has a *n*th of the columns.

use std::fmt::Write;

use crate::document::{Align, Cell, Item, Receipt, Row, Rule, Style, Text, Width};

/// Cells that a row has at most, usually.
const FEW: usize = 8;

/// Takes composed lines.
pub trait Sink {
    /// A line begins. Its style holds until the end; where on the paper it stands is `align`.
    fn begin(&mut self, style: &Style, align: Align);
    /// Text of the line, without control characters for line ends.
    fn text(&mut self, text: &str);
    /// `count` times the same character.
    fn fill(&mut self, with: char, count: usize);
    /// The line ends.
    fn end(&mut self);
}

/// Composes words for paper of `columns` characters.
pub fn text(text: &Text, columns: usize, sink: &mut impl Sink) {
    for line in Wrap::new(&text.text, wide(columns, &text.style)) {
        sink.begin(&text.style, text.style.align);
        sink.text(line);
        sink.end();
    }
}

/// Composes a line across the paper.
pub fn rule(rule: &Rule, columns: usize, sink: &mut impl Sink) {
    sink.begin(&Style::default(), Align::Left);
    sink.fill(rule.with, columns);
    sink.end();
}

/// Composes columns. Cells that cannot stand side by side, with a space between them and one
/// character each, come one below the other.
pub fn row(row: &Row, columns: usize, sink: &mut impl Sink) {
    let columns = wide(columns, &row.style);
    // No allocation for rows of usual size.
    let count_cells = row.cells.len();
    let (mut few_widths, mut many_widths) = ([0; FEW], Vec::new());
    let widths = few_widths.get_mut(..count_cells).unwrap_or_else(|| {
        many_widths.resize(count_cells, 0);
        &mut many_widths
    });
    if !set_widths(&row.cells, columns, widths) {
        for cell in &row.cells {
            for line in Wrap::new(&cell.text, columns) {
                sink.begin(&row.style, cell.align);
                sink.text(line);
                sink.end();
            }
        }
        return;
    };
    let (mut few_wraps, mut many_wraps) = ([const { Wrap { rest: None, width: 1 } }; FEW], Vec::new());
    let wraps = few_wraps.get_mut(..count_cells).unwrap_or_else(|| {
        many_wraps.resize(count_cells, Wrap::new("", 1));
        &mut many_wraps
    });
    for ((wrap, cell), &mut width) in wraps.iter_mut().zip(&row.cells).zip(widths.iter_mut()) {
        *wrap = Wrap::new(&cell.text, width);
    }
    let shows_spaces = row.style.invert || row.style.underline;
    loop {
        let mut any = false;
        // Spaces are held back until text follows: no line needs them at its end.
        let mut spaces = 0;
        for (i, wrap) in wraps.iter_mut().enumerate() {
            let line = wrap.next();
            if line.is_some() && !any {
                any = true;
                sink.begin(&row.style, Align::Left);
                // The gaps and widths of the empty cells so far.
                spaces = widths[..i].iter().map(|w| w + 1).sum();
            }
            if !any {
                continue;
            }
            let line = line.unwrap_or_default();
            let free = widths[i].saturating_sub(count(line));
            let before = match row.cells[i].align {
                Align::Left => 0,
                Align::Centre => free / 2,
                Align::Right => free,
            };
            spaces += before;
            if !line.is_empty() {
                sink.fill(' ', spaces);
                sink.text(line);
                spaces = 0;
            }
            spaces += free - before + usize::from(i + 1 < widths.len());
        }
        if !any {
            return;
        }
        if shows_spaces {
            sink.fill(' ', spaces);
        }
        sink.end();
    }
}

/// A receipt as plain text of `columns` columns; what is no text is named in brackets.
pub fn preview(receipt: &Receipt, columns: usize) -> String {
    let mut preview = Preview { columns, ..Preview::default() };
    for item in receipt.items() {
        match item {
            Item::Text(content) => text(content, columns, &mut preview),
            Item::Row(content) => row(content, columns, &mut preview),
            Item::Rule(content) => rule(content, columns, &mut preview),
            Item::Image(image) => preview.note(&format!("[image {} × {}]", image.width(), image.height())),
            Item::Qr(qr) => preview.note(&format!("[QR {}]", qr.data())),
            Item::Barcode(code) => preview.note(&format!("[{:?} {}]", code.symbology(), code.data())),
            Item::Feed(feed) => (0..feed.lines).for_each(|_| preview.out.push('\n')),
            Item::Cut(_) => {
                preview.fill('-', columns);
                preview.line_end();
            }
            Item::Drawer(kick) => preview.note(&format!("[drawer, pin {}]", kick.pin.number())),
        }
    }
    preview.out
}

/// Columns for text of this style.
fn wide(columns: usize, style: &Style) -> usize {
    (columns / usize::from(style.times_wide())).max(1)
}

fn count(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// Sets how wide each cell is; false if they do not fit side by side.
fn set_widths(cells: &[Cell], columns: usize, widths: &mut [usize]) -> bool {
    let Some(space) = (columns + 1).checked_sub(cells.len()).filter(|&s| s >= cells.len() && !cells.is_empty()) else {
        return false;
    };
    let longest = |cell: &Cell| cell.text.split('\n').map(count).max().unwrap_or(0);
    // A flexible cell is not starved: it keeps half of an even share, if it has so much to say.
    let share = (columns / (2 * cells.len())).max(1);
    for (width, cell) in widths.iter_mut().zip(cells) {
        *width = match cell.width {
            Width::Fixed(width) => usize::from(width).max(1),
            Width::Fit => longest(cell).clamp(1, columns),
            Width::Flex(_) if cell.text.len() > share => longest(cell).clamp(1, share),
            Width::Flex(_) => cell.text.len().max(1),
        };
    }
    // Too much: the widest gives way, a column at a time.
    let mut used: usize = widths.iter().sum();
    while used > space {
        let widest = widths.iter_mut().max().expect("there are cells");
        let cut = (used - space).min((*widest / 2).max(1));
        *widest -= cut;
        used -= cut;
    }
    let weight = |cell: &Cell| if let Width::Flex(weight) = cell.width { usize::from(weight.max(1)) } else { 0 };
    let (total, free) = (cells.iter().map(weight).sum::<usize>(), space - used);
    let mut sum = 0;
    for (cell, width) in cells.iter().zip(&mut *widths).filter(|(cell, _)| weight(cell) > 0) {
        let before = free * sum / total;
        sum += weight(cell);
        *width += free * sum / total - before;
    }
    true
}

/// The lines of a text, at most so wide: broken at spaces, at `\n`, and inside words that are longer.
#[derive(Debug, Clone)]
pub struct Wrap<'a> {
    rest: Option<&'a str>,
    width: usize,
}

impl<'a> Wrap<'a> {
    /// Wraps `text` at `width` characters, at least one.
    pub fn new(text: &'a str, width: usize) -> Self {
        Self { rest: Some(text), width: width.max(1) }
    }
}

impl<'a> Iterator for Wrap<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let fits = text.len() <= self.width || (text.len() <= 4 * self.width && count(text) <= self.width);
        if fits && !text.as_bytes().contains(&b'\n') {
            self.rest = None;
            return Some(text);
        }
        let mut space = None;
        let mut before = ' ';
        for (taken, (at, c)) in text.char_indices().enumerate() {
            if c == '\n' {
                self.rest = Some(&text[at + 1..]).filter(|rest| !rest.is_empty());
                let line = &text[..at];
                return Some(line.strip_suffix('\r').unwrap_or(line));
            }
            if c == ' ' && before != ' ' {
                space = Some(at);
            }
            before = c;
            if taken == self.width {
                // A line end or a space right here costs no column.
                let end = space.unwrap_or(at);
                let rest = text[end..].trim_start_matches(' ');
                let rest = if space.is_some() { rest.strip_prefix('\n').unwrap_or(rest) } else { rest };
                self.rest = (!rest.is_empty()).then_some(rest);
                return Some(&text[..end]);
            }
        }
        self.rest = None;
        Some(text)
    }
}

#[derive(Default)]
struct Preview {
    out: String,
    line: String,
    columns: usize,
    times: usize,
    align: Align,
}

impl Preview {
    fn note(&mut self, note: &str) {
        for line in Wrap::new(note, self.columns) {
            self.begin(&Style::default(), Align::Centre);
            self.text(line);
            self.line_end();
        }
    }

    fn line_end(&mut self) {
        let free = self.columns.saturating_sub(count(&self.line));
        let before = match self.align {
            Align::Left => 0,
            Align::Centre => free / 2,
            Align::Right => free,
        };
        self.out.extend(std::iter::repeat_n(' ', before));
        self.out.push_str(self.line.trim_end());
        self.out.push('\n');
        self.line.clear();
        self.align = Align::Left;
        self.times = 1;
    }
}

impl Sink for Preview {
    fn begin(&mut self, style: &Style, align: Align) {
        (self.times, self.align) = (usize::from(style.times_wide()), align);
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            self.line.write_char(if c.is_control() { '?' } else { c }).expect("a String takes it");
            self.line.extend(std::iter::repeat_n(' ', self.times.max(1) - 1));
        }
    }

    fn fill(&mut self, with: char, count: usize) {
        self.line.extend(std::iter::repeat_n(with, count * self.times.max(1)));
    }

    fn end(&mut self) {
        self.line_end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Barcode, Qr};
    use crate::printer::DrawerPin;

    fn wrapped(text: &str, width: usize) -> Vec<&str> {
        Wrap::new(text, width).collect()
    }

    #[test]
    fn wraps_words_and_breaks_long_ones() {
        assert_eq!(wrapped("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrapped("the quick", 9), ["the quick"]);
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("an abcdefghij", 4), ["an", "abcd", "efgh", "ij"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("a\n\nb\r\nc\n", 4), ["a", "", "b", "c"]);
        assert_eq!(wrapped("  indented words", 10), ["  indented", "words"]);
        assert_eq!(wrapped("ends here \n", 9), ["ends here"]);
        assert_eq!(wrapped("süße Äpfel", 5), ["süße", "Äpfel"]);
        assert_eq!(wrapped("ab   cd", 3), ["ab", "cd"]);
    }

    #[test]
    fn sets_columns() {
        let receipt =
            Receipt::new().row("2 Flat white", "7,60 €").row("A name that is much too long for it", "12,00").columns(
                Row::new([Cell::fixed(4, "3x").right(), Cell::flex("Tee"), Cell::flex("mid").centre(), Cell::fit("1")]),
            );
        assert_eq!(
            preview(&receipt, 24),
            "2 Flat white      7,60 €\n\
             A name that is     12,00\n\
             much too long for\n\
             it\n\
             \x20 3x Tee        mid    1\n"
        );
    }

    #[test]
    fn columns_that_do_not_fit_give_way_or_stack() {
        assert_eq!(preview(&Receipt::new().row("left", "right side"), 8), "le right\nft  side\n");
        let four = Row::new(["a", "b", "c", "d"].map(Cell::flex));
        assert_eq!(preview(&Receipt::new().columns(four.clone()), 7), "a b c d\n");
        assert_eq!(preview(&Receipt::new().columns(four), 6), "a\nb\nc\nd\n");
        assert_eq!(preview(&Receipt::new().columns(Row::new([])), 6), "");
    }

    #[test]
    fn no_line_is_wider_than_the_paper() {
        for columns in 1..50 {
            let receipt = Receipt::new()
                .styled("Überschrift mit Wörtern", Style::new().centre().size(3, 1))
                .row("Ein langer Artikelname, der umbricht", "1.234,56 €")
                .columns(Row::new([Cell::fixed(60, "x".repeat(70)), Cell::flex("y").weight(3), Cell::fit("zz zz")]))
                .rule()
                .qr(Qr::new("https://example.com/a-long-address").expect("fits"))
                .barcode(Barcode::ean8("7351353").expect("fits"));
            let text = preview(&receipt, columns);
            let widest = text.lines().map(|l| l.chars().count()).max().unwrap_or(0);
            // A character that is three times as wide needs three columns, even if there are fewer.
            assert!(widest <= columns.max(3), "{widest} of {columns}:\n{text}");
        }
    }

    #[test]
    fn aligns_wide_text_by_its_printed_width() {
        let receipt = Receipt::new()
            .styled("AB", Style::new().centre().size(2, 2))
            .styled("right", Style::new().right())
            .drawer(DrawerPin::Five);
        assert_eq!(preview(&receipt, 12), "    A B\n       right\n[drawer, pin\n     5]\n");
    }
}
