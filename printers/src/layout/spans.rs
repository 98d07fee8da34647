//! Lines in several styles. Widths here are in columns of single-width characters.

use super::{Columns, Sink, set_widths};
use crate::document::{Align, Cell, Row, Spans, Style, Text, Width};

/// Text with a style per character.
struct Words {
    styles: Vec<Style>,
    /// Each character and the index of its style.
    chars: Vec<(char, usize)>,
}

/// A line as runs of one style each.
type Line = Vec<(Style, String)>;

pub(super) fn text(text: &Text, columns: usize, sink: &mut impl Sink) {
    let words = Words::new(&text.text, &text.style, u8::MAX, sink);
    for line in words.lines(columns) {
        print_line(&line, text.style.align, sink);
    }
}

pub(super) fn row(row: &Row, columns: usize, sink: &mut impl Sink) {
    // Narrower while a cell that must not break is wider than the paper.
    let fits = |cells: &[Words]| {
        row.cells.iter().zip(cells).all(|(cell, words)| cell.width != Width::Fit || words.longest() <= columns)
    };
    let cells = (1..=8).rev().map(|most| resolve(row, most, sink)).find(|cells| fits(cells));
    let cells = cells.unwrap_or_else(|| resolve(row, 1, sink));
    let mut widths = vec![0; cells.len()];
    if !set_widths(&row.cells, &cells, usize::from(row.style.times_wide()), columns, &mut widths) {
        for (cell, words) in row.cells.iter().zip(&cells) {
            for line in words.lines(columns) {
                print_line(&line, cell.align, sink);
            }
        }
        return;
    }
    let cells: Vec<Vec<Line>> = cells.iter().zip(&widths).map(|(words, &width)| words.lines(width)).collect();
    let between = Style { width: 1, align: Align::Left, ..row.style };
    for at in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        sink.begin(&between, Align::Left);
        let mut spaces = 0;
        for (i, (lines, &width)) in cells.iter().zip(&widths).enumerate() {
            let line = lines.get(at).map(Vec::as_slice).unwrap_or_default();
            let free = width.saturating_sub(line.iter().map(|(style, text)| wide(style, text)).sum());
            let before = match row.cells[i].align {
                Align::Left => 0,
                Align::Centre => free / 2,
                Align::Right => free,
            };
            spaces += before;
            for (style, text) in line {
                if spaces > 0 {
                    sink.style(&between);
                    sink.fill(' ', std::mem::take(&mut spaces));
                }
                sink.style(style);
                sink.text(text);
            }
            spaces += free - before + usize::from(i + 1 < widths.len());
        }
        if between.invert || between.underline {
            sink.style(&between);
            sink.fill(' ', spaces);
        }
        sink.end();
    }
}

fn resolve(row: &Row, most: u8, sink: &impl Sink) -> Vec<Words> {
    let style = |cell: &Cell| cell.style.unwrap_or(row.style);
    row.cells.iter().map(|cell| Words::new(&cell.text, &style(cell), most, sink)).collect()
}

fn print_line(line: &Line, align: Align, sink: &mut impl Sink) {
    let first = line.first().map(|(style, _)| *style).unwrap_or_default();
    sink.begin(&first, align);
    for (style, text) in line {
        sink.style(style);
        sink.text(text);
    }
    sink.end();
}

fn wide(style: &Style, text: &str) -> usize {
    text.chars().count() * usize::from(style.times_wide())
}

impl Words {
    /// The text with its styles resolved and their widths capped at `most` times.
    fn new(spans: &Spans, style: &Style, most: u8, sink: &impl Sink) -> Self {
        let (mut styles, mut chars) = (Vec::new(), Vec::new());
        for span in spans.spans() {
            let mut style = span.style.unwrap_or(*style);
            style.width = style.times_wide().min(most);
            chars.extend(sink.printable(&span.text).chars().map(|c| (c, styles.len())));
            styles.push(style);
        }
        Self { styles, chars }
    }

    fn width(&self, at: usize) -> usize {
        usize::from(self.styles[self.chars[at].1].times_wide())
    }

    fn sum(&self, of: impl Fn(char) -> bool) -> usize {
        let pieces = self.chars.split(|(c, _)| of(*c));
        let wide = |piece: &[(char, usize)]| piece.iter().map(|(_, s)| usize::from(self.styles[*s].times_wide())).sum();
        pieces.map(wide).max().unwrap_or(0)
    }

    /// The lines at this maximum width, broken as by [`super::Wrap`].
    fn lines(&self, columns: usize) -> Vec<Line> {
        let (mut lines, mut start) = (Vec::new(), 0);
        loop {
            let (mut at, mut used, mut space) = (start, 0, None);
            let ended = loop {
                let Some(&(c, _)) = self.chars.get(at) else { break true };
                if c == '\n' {
                    break true;
                }
                if c == ' ' && at > start && self.chars[at - 1].0 != ' ' {
                    space = Some(at);
                }
                used += self.width(at);
                if used > columns && at > start {
                    break false;
                }
                at += 1;
            };
            if ended {
                let end = if at > start && self.chars[at - 1].0 == '\r' { at - 1 } else { at };
                lines.push(self.runs(start, end));
                // A trailing line end does not start another line.
                if at + 1 >= self.chars.len() {
                    return lines;
                }
                start = at + 1;
                continue;
            }
            let end = space.unwrap_or(at);
            lines.push(self.runs(start, end));
            start = end;
            while self.chars.get(start).is_some_and(|(c, _)| *c == ' ') {
                start += 1;
            }
            if space.is_some() && self.chars.get(start).is_some_and(|(c, _)| *c == '\n') {
                start += 1;
            }
            if start == self.chars.len() {
                return lines;
            }
        }
    }

    fn runs(&self, start: usize, end: usize) -> Line {
        let runs = self.chars[start..end].chunk_by(|a, b| a.1 == b.1);
        runs.map(|run| (self.styles[run[0].1], run.iter().map(|(c, _)| c).collect())).collect()
    }
}

impl Columns for Words {
    fn longest(&self) -> usize {
        self.sum(|c| c == '\n')
    }

    fn longest_word(&self) -> usize {
        self.sum(|c| c == ' ' || c == '\n')
    }
}

#[cfg(test)]
mod tests {
    use crate::document::{Cell, Receipt, Row, Span, Spans, Style};
    use crate::layout::preview;

    fn bold(text: &str) -> Span {
        Span::new(text, Style::new().bold())
    }

    /// Whether styles differ or not, lines break at the same places.
    #[test]
    fn styles_of_one_width_break_like_plain_text() {
        for text in ["the quick brown fox", "abcdefghij", "a\n\nb\r\nc\n", "  indented words", "", "ab   cd", "ends \n"]
        {
            for split in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
                let mixed = [Span::from(&text[..split]), bold(&text[split..])];
                for columns in 1..20 {
                    let plain = preview(&Receipt::new().text(text), columns);
                    assert_eq!(
                        preview(&Receipt::new().text(mixed.clone()), columns),
                        plain,
                        "{text:?} {split} {columns}"
                    );
                    let row =
                        |text: Spans| Receipt::new().columns(Row::new([Cell::flex(text), Cell::fit("1,00").right()]));
                    assert_eq!(
                        preview(&row(mixed.clone().into()), columns),
                        preview(&row(text.into()), columns),
                        "{columns}"
                    );
                }
            }
        }
    }

    #[test]
    fn wide_spans_take_their_room() {
        let wide = Span::new("12,00", Style::new().size(2, 2));
        let row = Row::new([Cell::flex("Total"), Cell::fit([Span::from("EUR "), wide.clone()]).right()]);
        assert_eq!(preview(&Receipt::new().columns(row), 24), "Total     EUR 1 2 , 0 0\n");
        assert_eq!(preview(&Receipt::new().text([Span::from("now only "), wide]), 16), "now only\n1 2 , 0 0\n");
        let styled = Cell::fit("9").right().style(Style::new().size(3, 1));
        assert_eq!(preview(&Receipt::new().columns(Row::new([Cell::flex("a"), styled])), 8), "a    9\n");
    }
}
