//! Export of tickets as CSV.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use tresen_hal::{Amount, Result};
use tresen_payment::Charge;

use super::line::{Line, Quantity};
use super::ticket::Ticket;
use crate::store::failure;

/// Appends the lines of a ticket to the file, which is created with a header if missing, readable by its owner only.
///
/// Amounts are decimals with a point and without currency, times RFC 3339; an open ticket has no number. `kind` is
/// `line` or `tip`; a tip has only a total. The file is
/// locked meanwhile, so several programs can append to it, and the ticket is written whole: a full disk leaves no
/// partial ticket.
///
/// # Errors
/// [`Kind::Storage`](tresen_hal::Kind::Storage): the file cannot be written; the error names it.
pub fn append_csv(path: &Path, ticket: &Ticket, charge: Option<&Charge>) -> Result<()> {
    let failed = |e: std::io::Error| failure::file(e, path);
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    let before = file.metadata().map_err(failed)?.len();
    let text = rows(ticket, charge, before == 0).map_err(|e| failed(e.into()))?;
    write_whole(&mut file, &text, before).map_err(failed)
}

/// The lock is held: everything after `before` is ours.
fn write_whole(file: &mut File, text: &[u8], before: u64) -> std::io::Result<()> {
    file.write_all(text).and_then(|()| file.sync_data()).inspect_err(|_| _ = file.set_len(before))
}

fn rows(ticket: &Ticket, charge: Option<&Charge>, header: bool) -> csv::Result<Vec<u8>> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    if header {
        rows.write_record(COLUMNS)?;
    }
    let mut row = |at: usize, kind: &str, line: Option<&Line>, total: Amount| {
        let (pieces, grams) = match line.map(|line| line.quantity) {
            Some(Quantity::Pieces(count)) => (count.to_string(), String::new()),
            Some(Quantity::Grams(grams)) => (String::new(), grams.to_string()),
            None => Default::default(),
        };
        let text = |of: fn(&Line) -> String| line.map(of).unwrap_or_default();
        rows.write_record([
            ticket.number().map(|n| n.to_string()).unwrap_or_default(),
            ticket.id().to_owned(),
            ticket.opened_at().to_string(),
            (at + 1).to_string(),
            kind.to_owned(),
            text(|line| line.name.clone()),
            pieces,
            grams,
            text(|line| line.unit_price.number('.')),
            text(|line| line.vat.to_string()),
            text(|line| line.tax_key.clone().unwrap_or_default()),
            total.number('.'),
            ticket.total().number('.'),
            charge.and_then(|c| c.receipt_number.clone()).unwrap_or_default(),
        ])
    };
    for (at, line) in ticket.lines().iter().enumerate() {
        row(at, "line", Some(line), line.total)?;
    }
    for (at, tip) in ticket.tips().iter().enumerate() {
        row(at, "tip", None, tip.amount)?;
    }
    rows.into_inner().map_err(|e| e.into_error().into())
}

const COLUMNS: [&str; 14] = [
    "ticket",
    "id",
    "opened_at",
    "line",
    "kind",
    "name",
    "pieces",
    "grams",
    "unit_price",
    "vat",
    "tax_key",
    "line_total",
    "ticket_total",
    "terminal_receipt",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::{Tax, Vat};
    use tresen_hal::Currency;

    #[test]
    fn appends_with_one_header() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tickets.csv");
        let mut ticket = Ticket::new("id-7".into(), "2026-01-02T08:00:00Z".parse().expect("a time"), Currency::EUR);
        ticket.number = Some(7);
        ticket
            .add(Line::pieces("Tea, \"black\"", 2, Amount::eur(2_90), Vat::percent(19)).expect("fits"))
            .expect("euro");
        let reduced = Tax::new("2", Vat::percent(7));
        ticket.add(Line::weighed("Ham", 456, Amount::eur(19_90), &reduced).expect("fits")).expect("euro");
        ticket.add_tip(Amount::eur(1_00).into()).expect("euro");
        for _ in 0..2 {
            append_csv(&path, &ticket, None).expect("written");
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 7, "{text}");
        assert_eq!(lines[0], COLUMNS.join(","));
        assert_eq!(lines[1], "7,id-7,2026-01-02T08:00:00Z,1,line,\"Tea, \"\"black\"\"\",2,,2.90,19 %,,5.80,15.87,");
        assert_eq!(lines[5], "7,id-7,2026-01-02T08:00:00Z,2,line,Ham,,456,19.90,7 %,2,9.07,15.87,");
        assert_eq!(lines[3], "7,id-7,2026-01-02T08:00:00Z,1,tip,,,,,,,1.00,15.87,");
        let error = append_csv(dir.path(), &ticket, None).expect_err("a folder");
        assert!(error.to_string().starts_with(&dir.path().display().to_string()), "{error}");
    }

    /// Each writer sees the file at a different time; another writer's lines must not be truncated.
    #[test]
    fn many_writers_lose_no_line_of_each_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tickets.csv");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let at = "2026-01-02T08:00:00Z".parse().expect("a time");
                    let mut ticket = Ticket::new(format!("id-{writer}"), at, Currency::EUR);
                    ticket
                        .add(Line::pieces("Tea", 1, Amount::eur(2_90), Vat::percent(19)).expect("fits"))
                        .expect("euro");
                    (0..10).for_each(|_| append_csv(path, &ticket, None).expect("written"));
                });
            }
        });
        let text = std::fs::read_to_string(&path).expect("readable");
        assert_eq!((text.lines().count(), text.matches("ticket,id").count()), (81, 1), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tickets.csv");
        let ticket = Ticket::new("id".into(), "2026-01-02T08:00:00Z".parse().expect("a time"), Currency::EUR);
        append_csv(&path, &ticket, None).expect("written");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
