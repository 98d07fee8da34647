//! Line layout: wraps words and sets columns side by side. The ESC/POS encoder and the text preview share it, so a
//! preview breaks lines where the printer does.
//!
//! Lines are written straight into a [`Sink`]. A character takes one column, as on printers with single-byte code
//! pages; in a style *n* times as wide it takes *n*.

mod spans;

use std::borrow::Cow;
use std::fmt::Write;

use crate::document::{Align, Cell, Item, Receipt, Row, Rule, Style, Text, Width};
use crate::text::{CodePage, Slot, printable};

/// Rows with up to this many cells are laid out without allocating.
const FEW: usize = 4;

/// Receives the lines of a layout.
pub trait Sink {
    /// The text as it will be printed, one character per column, with substitutes for characters that this printer
    /// lacks.
    fn printable<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }
    /// Starts a line in a style. `align` places the whole line; the style's own alignment is ignored.
    fn begin(&mut self, style: &Style, align: Align);
    /// Changes the style for the rest of the line; the style's alignment is ignored.
    fn style(&mut self, style: &Style);
    /// Appends text that contains no line ends.
    fn text(&mut self, text: &str);
    /// Appends `count` times the same character.
    fn fill(&mut self, with: char, count: usize);
    /// Ends the line.
    fn end(&mut self);
}

/// Lays out text on paper of `columns` characters.
pub fn text(text: &Text, columns: usize, sink: &mut impl Sink) {
    let Some(words) = text.text.as_plain() else { return spans::text(text, columns, sink) };
    let words = sink.printable(words);
    for line in Wrap::new(&words, wide(columns, &text.style)) {
        sink.begin(&text.style, text.style.align);
        sink.text(line);
        sink.end();
    }
}

/// Lays out a rule across the paper.
pub fn rule(rule: &Rule, columns: usize, sink: &mut impl Sink) {
    let mut buffer = [0; 4];
    let with = sink.printable(rule.with.encode_utf8(&mut buffer)).chars().next().unwrap_or(' ');
    sink.begin(&Style::default(), Align::Left);
    sink.fill(with, columns);
    sink.end();
}

/// Lays out columns as [`Row`] specifies. Cells that do not fit side by side, with a space between them, are stacked.
pub fn row(row: &Row, columns: usize, sink: &mut impl Sink) {
    // No allocation for rows of common size.
    let count_cells = row.cells.len();
    let (mut few_texts, mut many_texts) = ([const { Measured::EMPTY }; FEW], Vec::new());
    let texts = few_texts.get_mut(..count_cells).unwrap_or_else(|| {
        many_texts.resize_with(count_cells, || Measured::EMPTY);
        &mut many_texts
    });
    for (text, cell) in texts.iter_mut().zip(&row.cells) {
        let Some(words) = cell.text.as_plain().filter(|_| cell.style.is_none()) else {
            return spans::row(row, columns, sink);
        };
        *text = Measured::new(sink.printable(words));
    }
    let style = &narrowed(row, texts, columns);
    let columns = wide(columns, style);
    let (mut few_widths, mut many_widths) = ([0; FEW], Vec::new());
    let widths = few_widths.get_mut(..count_cells).unwrap_or_else(|| {
        many_widths.resize(count_cells, 0);
        &mut many_widths
    });
    if !set_widths(&row.cells, texts, 1, columns, widths) {
        for (text, cell) in texts.iter().zip(&row.cells) {
            for line in Wrap::new(&text.text, columns) {
                sink.begin(style, cell.align);
                sink.text(line);
                sink.end();
            }
        }
        return;
    };
    if texts.iter().zip(&*widths).all(|(text, &width)| text.is_line && text.longest <= width) {
        let parts = texts.iter().map(|text| Some((&*text.text, text.longest)));
        side_by_side(row, style, widths, parts, sink);
        return;
    }
    let mut wraps: Vec<Wrap<'_>> = texts.iter().zip(&*widths).map(|(t, &width)| Wrap::new(&t.text, width)).collect();
    loop {
        let parts = wraps.iter_mut().map(|wrap| wrap.next().map(|line| (line, count(line))));
        if !side_by_side(row, style, widths, parts, sink) {
            return;
        }
    }
}

/// Lays out one line of a row from each cell's text and its width in columns. Returns false, and writes nothing, if no
/// cell has text left.
fn side_by_side<'t>(
    row: &Row,
    style: &Style,
    widths: &[usize],
    parts: impl Iterator<Item = Option<(&'t str, usize)>>,
    sink: &mut impl Sink,
) -> bool {
    let mut any = false;
    // Spaces are held back until text follows, so that lines do not end in spaces.
    let mut spaces = 0;
    for (i, part) in parts.enumerate() {
        if part.is_some() && !any {
            any = true;
            sink.begin(style, Align::Left);
        }
        let (text, columns) = part.unwrap_or_default();
        let free = widths[i].saturating_sub(columns);
        let before = match row.cells[i].align {
            Align::Left => 0,
            Align::Centre => free / 2,
            Align::Right => free,
        };
        spaces += before;
        if !text.is_empty() {
            sink.fill(' ', spaces);
            sink.text(text);
            spaces = 0;
        }
        spaces += free - before + usize::from(i + 1 < widths.len());
    }
    if any {
        if style.invert || style.underline {
            sink.fill(' ', spaces);
        }
        sink.end();
    }
    any
}

/// A receipt as plain text of `columns` columns; codes and images are named in brackets. It assumes a printer with all
/// code pages; one with fewer prints `?` for the characters that [`Receipt::check`] lists.
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

/// How many characters of this style fit into `columns`.
fn wide(columns: usize, style: &Style) -> usize {
    (columns / usize::from(style.times_wide())).max(1)
}

fn count(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// The row's style, made narrower while a cell that must not break is wider than the paper.
fn narrowed(row: &Row, texts: &[Measured<'_>], columns: usize) -> Style {
    let mut style = row.style;
    let fits = |style: &Style| {
        let columns = wide(columns, style);
        row.cells.iter().zip(texts).all(|(cell, text)| cell.width != Width::Fit || text.longest <= columns)
    };
    while style.times_wide() > 1 && !fits(&style) {
        style.width = style.times_wide() - 1;
    }
    style
}

/// How many columns a text takes.
trait Columns {
    /// The width of its longest line.
    fn longest(&self) -> usize;
    /// The width of its longest word.
    fn longest_word(&self) -> usize;
}

/// A cell's text, measured once.
struct Measured<'a> {
    text: Cow<'a, str>,
    /// Columns in its longest line.
    longest: usize,
    /// It is a single line.
    is_line: bool,
}

impl<'a> Measured<'a> {
    const EMPTY: Self = Self { text: Cow::Borrowed(""), longest: 0, is_line: true };

    fn new(text: Cow<'a, str>) -> Self {
        let is_line = !text.as_bytes().contains(&b'\n');
        let longest = if is_line { count(&text) } else { text.split('\n').map(count).max().unwrap_or(0) };
        Self { text, longest, is_line }
    }
}

impl Columns for Measured<'_> {
    fn longest(&self) -> usize {
        self.longest
    }

    fn longest_word(&self) -> usize {
        self.text.split([' ', '\n']).map(count).max().unwrap_or(0)
    }
}

/// Computes each cell's width, where a character of the row's style takes `unit` columns. False if the cells do not
/// fit side by side.
fn set_widths(cells: &[Cell], texts: &[impl Columns], unit: usize, columns: usize, widths: &mut [usize]) -> bool {
    let Some(space) = (columns + 1).checked_sub(cells.len()).filter(|&s| s >= cells.len() && !cells.is_empty()) else {
        return false;
    };
    // A flexible cell claims at most half an even share before the others have theirs.
    let share = (columns / (2 * cells.len())).max(1);
    for ((width, cell), text) in widths.iter_mut().zip(cells).zip(texts) {
        *width = match cell.width {
            Width::Fixed(width) => (usize::from(width) * unit).max(1),
            Width::Fit => text.longest().max(1),
            Width::Flex(_) => text.longest().clamp(1, share),
        };
    }
    let mut used: usize = widths.iter().sum();
    if used > space {
        // Unused space in fixed cells goes first, then flexible cells shrink and wrap.
        for ((width, cell), text) in widths.iter_mut().zip(cells).zip(texts) {
            if let Width::Fixed(_) = cell.width {
                let spare = width.saturating_sub(text.longest().max(1)).min(used.saturating_sub(space));
                *width -= spare;
                used -= spare;
            }
        }
        for (width, _) in widths.iter_mut().zip(cells).filter(|(_, cell)| matches!(cell.width, Width::Flex(_))) {
            let spare = (*width - 1).min(used.saturating_sub(space));
            *width -= spare;
            used -= spare;
        }
        if used > space {
            return false;
        }
    }
    let weight = |cell: &Cell| if let Width::Flex(weight) = cell.width { usize::from(weight.max(1)) } else { 0 };
    let (total, free) = (cells.iter().map(weight).sum::<usize>(), space - used);
    let mut sum = 0;
    for (cell, width) in cells.iter().zip(&mut *widths).filter(|(cell, _)| weight(cell) > 0) {
        let before = free * sum / total;
        sum += weight(cell);
        *width += free * sum / total - before;
    }
    // If a narrow column would break words, stacking reads better.
    let enough = columns / (2 * (cells.len() - 1)).max(2);
    cells.iter().zip(texts).zip(&*widths).all(|((cell, text), &width)| {
        !matches!(cell.width, Width::Flex(_))
            || width >= enough
            || width >= text.longest()
            || text.longest_word() <= width
    })
}

/// The lines of a text at a maximum width: broken at `\n`, at spaces, and inside words that are too long.
#[derive(Debug, Clone)]
pub struct Wrap<'a> {
    rest: Option<&'a str>,
    width: usize,
}

impl<'a> Wrap<'a> {
    /// Wraps `text` at `width` characters; at least one.
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
                // A line end or a space right here takes no column.
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

/// A preview assumes a printer with every page.
const EVERY_PAGE: [Slot; CodePage::ALL.len()] = {
    let mut slots = [(CodePage::Cp437, 0); CodePage::ALL.len()];
    let mut i = 0;
    while i < slots.len() {
        slots[i].0 = CodePage::ALL[i];
        i += 1;
    }
    slots
};

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
    fn printable<'t>(&self, text: &'t str) -> Cow<'t, str> {
        printable(text, &EVERY_PAGE)
    }

    fn begin(&mut self, style: &Style, align: Align) {
        (self.times, self.align) = (usize::from(style.times_wide()), align);
    }

    fn style(&mut self, style: &Style) {
        self.times = usize::from(style.times_wide());
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            // As on the printer: a tab prints as a space, other control characters as `?`.
            let c = match c {
                '\t' => ' ',
                c if c.is_control() => '?',
                c => c,
            };
            self.line.write_char(c).expect("a String takes it");
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

    /// Columns count characters, not bytes.
    #[test]
    fn umlauts_move_no_column() {
        let second = |first: &str| {
            let row = Row::new([Cell::flex(first), Cell::flex("x")]);
            preview(&Receipt::new().columns(row), 48).chars().position(|c| c == 'x')
        };
        assert_eq!(second("äöüß"), second("aous"));
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
        assert_eq!(preview(&Receipt::new().row("left", "right side"), 8), "left\n   right\n    side\n");
        let four = Row::new(["a", "b", "c", "d"].map(Cell::flex));
        assert_eq!(preview(&Receipt::new().columns(four.clone()), 7), "a b c d\n");
        assert_eq!(preview(&Receipt::new().columns(four), 6), "a\nb\nc\nd\n");
        assert_eq!(preview(&Receipt::new().columns(Row::new([])), 6), "");
    }

    /// 58 mm paper has 32 columns: 10 of triple width, 16 of double.
    #[test]
    fn amounts_are_not_broken() {
        let total = |label: &str, amount: &str, times: u8| {
            preview(&Receipt::new().styled_row(label, amount, Style::new().size(times, times)), 32).replace("  ", " ")
        };
        let spread =
            |text: &str| text.chars().map(|c| format!("{c}  ")).collect::<String>().trim_end().replace("  ", " ");
        let printed = total("SUMME EUR", "1.234,56 €", 3);
        assert_eq!(printed.lines().count(), 2, "{printed}");
        assert!(printed.lines().next().is_some_and(|l| l == spread("SUMME EUR")), "{printed}");
        assert!(printed.lines().nth(1).is_some_and(|l| l.trim() == spread("1.234,56 €")), "{printed}");
        for times in 1..=8 {
            for amount in ["1.234,56 €", "12.345.678,90 €"] {
                let printed = preview(&Receipt::new().styled_row("Zu zahlen", amount, Style::new().size(times, 1)), 32);
                let close = |text: &str| text.replace([' ', '\n'], "");
                assert!(printed.lines().any(|l| close(l).ends_with(&close(amount))), "{times}: {printed}");
            }
        }
        assert_eq!(
            preview(&Receipt::new().columns(Row::new([Cell::fixed(30, "ab").right(), Cell::fit("1,00").right()])), 12),
            "     ab 1,00\n",
            "what is fixed and empty gives way"
        );
    }

    #[test]
    fn a_preview_writes_as_the_printer_does() {
        assert_eq!(preview(&Receipt::new().text("a\tb → STRAẞE\u{1b}"), 32), "a b -> STRASSE?\n");
        assert_eq!(preview(&Receipt::new().row("Cafe\u{301}", "1"), 8), "Café   1\n");
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
