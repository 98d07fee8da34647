//! Running an export: reads record by record and writes row by row.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tresen_hal::{Error, Kind, Result};

use super::cell::Value;
use super::columns::{Column, ENTRIES, JOBS, LINES, LineRow, PAYMENTS, PaymentRow, TAXES, TICKETS, TaxRow, Till};
use super::mapping::Layout;
use super::sheet::Sheet;
use super::{Export, Exported, Page, What};
use crate::store::failure::Failure;
use crate::store::records::{self, Selection};
use crate::store::{SaleView, Store, Unreadable, real};

impl Store {
    /// Writes an export to `to`, which is returned with the result. The output shows the database as it is now, also
    /// while a till writes to it; the till is not delayed. Dropping the pending call discards the result, not the
    /// export.
    ///
    /// # Errors
    /// [`Kind::Config`]: the mapping does not fit. [`Kind::Input`]: a value cannot be written as the mapping requests;
    /// the error names row and column. [`Kind::Storage`]: the database cannot be read, or `to` not be written. Some rows
    /// may have been written to `to` then.
    pub async fn export<W: Write + Send + 'static>(&self, export: Export, to: W) -> Result<(W, Exported)> {
        let till = self.till().to_owned();
        let work = move |db: &Connection| {
            let mut to = BufWriter::new(to);
            let done = write(db, &export, till, &mut to)?;
            let to = to.into_inner().map_err(|e| output(e.into_error()))?;
            Ok((to, done))
        };
        self.snapshot(work).await
    }

    /// Writes an export to a file, accessible to its owner only. It is written as `….part`, synced and then renamed: an
    /// existing file is replaced once the new one is complete, and remains if the export fails.
    ///
    /// # Errors
    /// As [`Store::export`]; nothing is written then.
    pub async fn export_file(&self, export: Export, path: impl Into<PathBuf>) -> Result<Exported> {
        let (till, path) = (self.till().to_owned(), path.into());
        self.snapshot(move |db| to_file(db, &export, till, &path)).await
    }

    /// One page of an export as text: about `limit` records after the position `after` of the page before, fewer if the
    /// text becomes large. A sale's rows stay together. Continue until there is no next page: each record that was there
    /// at the beginning appears once; a record that changes meanwhile appears as it is when its page is read.
    ///
    /// # Errors
    /// As [`Store::export`]. [`Kind::Input`]: columns of fixed width without `width`, or an invalid position.
    pub async fn export_page(&self, export: Export, after: Option<&str>, limit: u32) -> Result<Page> {
        let (till, after) = (self.till().to_owned(), after.map(str::to_owned));
        self.page(move |db| page(db, &export, till, after.as_deref(), limit.clamp(1, PAGE))).await
    }
}

fn to_file(db: &Connection, export: &Export, till: String, path: &Path) -> Result<Exported, Failure> {
    // What a link points to is replaced, not the link; a device is not replaced at all.
    let path = &real(path);
    if path.metadata().is_ok_and(|file| !file.is_file()) {
        let error = Error::new(Kind::Input, "is no regular file; it was left unchanged").at(path.display());
        return Err(error.hint("name another file").into());
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let failed = |e| Error::file(path, e);
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&part).map_err(|e| Error::file(&part, e))?;
    let written = || {
        let mut to = BufWriter::new(file);
        let done = write(db, export, till, &mut to).map_err(|failure| match failure {
            Failure::Refused(error) if error.device().is_none() => Failure::Refused(error.at(path.display())),
            other => other,
        })?;
        let file = to.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().and_then(|()| std::fs::rename(&part, path)).map_err(failed)?;
        Ok(done)
    };
    written().inspect_err(|_| _ = std::fs::remove_file(&part))
}

fn write(db: &Connection, export: &Export, till: String, to: &mut impl Write) -> Result<Exported, Failure> {
    let layout = export.mapping.layout(export.what)?;
    let mut sheet = Sheet::new(export.format, &layout, &export.mapping);
    let walk = Walk { db, export, layout: &layout, till: Till { id: till } };
    let which = export.selection();
    if sheet.needs_widths() {
        // The transaction shows both passes the same rows.
        walk.records(&which, &mut |_, row| {
            if let Row::Of(_, row) = row {
                sheet.measure(row);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let encoding = sheet.encoding();
    to.write_all(sheet.bom()).map_err(output)?;
    to.write_all(&encoding.encode(&sheet.header()?)).map_err(output)?;
    let mut done = Exported::default();
    walk.records(&which, &mut |_, row| {
        match row {
            Row::Of(label, row) => {
                let line = sheet.row(row, label)?;
                to.write_all(&encoding.encode(&line)).map_err(output)?;
                done.rows += 1;
            }
            Row::Unreadable(row) => done.missed(row),
            Row::End => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(done)
}

fn page(db: &Connection, export: &Export, till: String, after: Option<&str>, limit: u32) -> Result<Page, Failure> {
    let layout = export.mapping.layout(export.what)?;
    let sheet = Sheet::new(export.format, &layout, &export.mapping);
    if sheet.needs_widths() {
        let error = Error::new(Kind::Input, "pages of fixed-width columns need a `width` for each column");
        return Err(error.hint("set them in the mapping, or write a file").into());
    }
    let walk = Walk { db, export, layout: &layout, till: Till { id: till } };
    let mut page = Page::default();
    let start = match after {
        Some(after) => after.parse().map_err(|_| {
            Error::new(Kind::Input, format!("`{after}` is not a position")).hint("pass `next` of the page before")
        })?,
        None => {
            page.text = sheet.header()?;
            0
        }
    };
    let (mut records, mut last) = (0, None);
    walk.records(&Selection { after: start, ..export.selection() }, &mut |position, row| {
        match row {
            Row::Of(label, row) => {
                page.text += &sheet.row(row, label)?;
                page.done.rows += 1;
            }
            Row::Unreadable(row) => page.done.missed(row),
            Row::End => {
                records += 1;
                if records == limit || page.text.len() > TEXT {
                    last = Some(position);
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    page.next = last.map(|position: i64| position.to_string());
    Ok(page)
}

impl Export {
    fn selection(&self) -> Selection {
        Selection { after: 0, from: self.from, until: self.until, open: self.open }
    }
}

impl Exported {
    fn missed(&mut self, row: Unreadable) {
        self.unreadable += 1;
        if self.problems.len() < PROBLEMS {
            self.problems.push(row);
        }
    }
}

/// A row on its way to the output.
enum Row<'r> {
    /// A row: its label for errors, and its values by column.
    Of(&'r dyn Fn() -> String, &'r dyn Fn(usize) -> Value),
    /// A record that cannot be read.
    Unreadable(Unreadable),
    /// A record has no more rows.
    End,
}

type Take<'t> = dyn FnMut(i64, Row<'_>) -> Result<ControlFlow<()>> + 't;

/// Walks over the records of an export.
struct Walk<'w> {
    db: &'w Connection,
    export: &'w Export,
    layout: &'w Layout,
    till: Till,
}

impl Walk<'_> {
    fn records(&self, which: &Selection, take: &mut Take<'_>) -> Result<(), Failure> {
        match self.export.what {
            What::Tickets => records::sales(self.db, which, &mut |at, sale| {
                self.each(at, sale, TICKETS, take, |sale| (vec![Arc::new(sale)], |sale| ticket(sale)))
            }),
            What::Lines => records::sales(self.db, which, &mut |at, sale| {
                self.each(at, sale, LINES, take, |sale| {
                    let sale = Arc::new(sale);
                    let row = |at| LineRow { sale: sale.clone(), at };
                    ((0..sale.ticket.lines().len() + sale.ticket.tips().len()).map(row).collect(), |row: &LineRow| {
                        ticket(&row.sale)
                    })
                })
            }),
            What::Taxes => records::sales(self.db, which, &mut |at, sale| {
                self.each(at, sale, TAXES, take, |sale| {
                    let sale = Arc::new(sale);
                    let row = |row| TaxRow { sale: sale.clone(), row };
                    (sale.ticket.vat().into_iter().map(row).collect(), |row: &TaxRow| ticket(&row.sale))
                })
            }),
            What::Payments => self.payments(which, take),
            What::Jobs => records::jobs(self.db, which, &mut |at, job| {
                self.each(at, job, JOBS, take, |job| (vec![job], |job| format!("print job `{}`", job.id)))
            }),
            What::Journal => records::journal(self.db, which, &mut |at, entry| {
                self.each(at, entry, ENTRIES, take, |entry| {
                    (vec![entry], |entry| format!("journal entry {}", entry.entry.seq))
                })
            }),
        }
    }

    /// The tenders of sales, then the transactions that belong to no sale; their positions are above [`LONE`].
    fn payments(&self, which: &Selection, take: &mut Take<'_>) -> Result<(), Failure> {
        fn label(row: &PaymentRow) -> String {
            format!("payment `{}`", row.key)
        }
        let mut ended = false;
        if which.after < LONE {
            records::paid_sales(self.db, which, &mut |at, sale| {
                let flow = self.each(at, sale, PAYMENTS, take, |sale| {
                    let sale = Arc::new(sale);
                    let tenders = sale.tenders.iter().filter(|tender| which.holds(tender.at));
                    (tenders.map(|tender| PaymentRow::of_sale(&sale, tender)).collect(), label)
                })?;
                ended = flow.is_break();
                Ok(flow)
            })?;
        }
        if ended {
            return Ok(());
        }
        let which = Selection { after: (which.after - LONE).max(0), ..*which };
        records::lone_payments(self.db, &which, &mut |at, stored| {
            self.each(at + LONE, stored, PAYMENTS, take, |stored| (vec![PaymentRow::alone(stored)], label))
        })
    }

    /// Hands on the rows of a record that pass the filters.
    fn each<T, R, L: Fn(&R) -> String>(
        &self,
        position: i64,
        record: Result<T, Unreadable>,
        columns: &[Column<R>],
        take: &mut Take<'_>,
        rows: impl FnOnce(T) -> (Vec<R>, L),
    ) -> Result<ControlFlow<()>> {
        match record {
            Ok(record) => {
                let (rows, label) = rows(record);
                for row in &rows {
                    let value = |column: usize| columns[column].read(row, &self.till);
                    if self.passes(&value) {
                        _ = take(position, Row::Of(&|| label(row), &value))?;
                    }
                }
            }
            Err(row) => _ = take(position, Row::Unreadable(row))?,
        }
        take(position, Row::End)
    }

    fn passes(&self, row: &dyn Fn(usize) -> Value) -> bool {
        self.layout.filters.iter().all(|(column, values)| {
            let text = row(*column).plain();
            values.contains(&text)
        })
    }
}

fn ticket(sale: &SaleView) -> String {
    match sale.ticket.number() {
        Some(number) => format!("ticket {number}"),
        None => format!("sale `{}`", sale.ticket.id()),
    }
}

/// The error for an output that cannot be written.
fn output(error: std::io::Error) -> Error {
    let named = Error::file("", error);
    let plain = Error::new(named.kind(), named.what()).with_retry(named.retry());
    let plain = named.causes().into_iter().fold(plain, |plain, cause| plain.because(cause));
    match named.next_step() {
        Some(hint) => plain.hint(hint),
        None => plain,
    }
}

/// Positions of transactions that belong to no sale come after those of all sales.
const LONE: i64 = 1 << 40;
/// The most records of one page.
const PAGE: u32 = 10_000;
/// A page ends with the record whose text reaches this many bytes. A line of the socket holds 1 MiB.
const TEXT: usize = 256 << 10;
const PROBLEMS: usize = 100;
