//! What exports look like. CSV is read with the crate `csv`, JSON with `serde_json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tresen_hal::{Amount, ManualClock, SystemRuntime};

use super::*;
use crate::sale::{Line, TenderKind, TenderOperation, Tip, Vat};
use crate::store::{Basis, Closing, NewTender, Origin, Store};

/// A till with a few sales: its clock starts at 08:00 UTC and moves by an hour with each.
struct Shop {
    _dir: tempfile::TempDir,
    store: Store,
    clock: Arc<ManualClock>,
}

type Row = BTreeMap<String, String>;

impl Shop {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a time")));
        let runtime = Arc::new(SystemRuntime::with_clock(clock.clone()));
        let store = Store::open(&dir.path().join("till.db"), runtime).await.expect("opens");
        Self { _dir: dir, store, clock }
    }

    fn basis(&self, rev: i64) -> Basis {
        Basis::nameless(rev, &self.store)
    }

    async fn sell(&self, id: &str, lines: &[Line], note: Option<&str>) {
        let origin = Origin::new().station("bar").source("order 9").operator("anna");
        let at: Timestamp = self.store.time();
        let sale = self.store.new_sale(id, at, tresen_hal::Currency::EUR, &origin).await.expect("new");
        let mut ticket = sale.ticket.clone();
        lines.iter().for_each(|line| ticket.add(line.clone()).expect("euro"));
        if let Some(note) = note {
            ticket.set_note(note);
            // Who writes notes also tips.
            ticket.add_tip(Tip::new(Amount::eur(1_13)).recipient("anna")).expect("euro");
        }
        let sale = self.store.change_sale(self.basis(sale.rev), &ticket).await.expect("kept");
        let cash = NewTender {
            kind: TenderKind::Cash,
            operation: TenderOperation::Payment,
            asked: ticket.total(),
            given: Some(Amount::eur(50_00)),
            reference: None,
            taken: true,
        };
        let (sale, _) = self.store.begin_tender(id, self.basis(sale.rev), cash, &origin).await.expect("taken");
        self.clock.advance(std::time::Duration::from_secs(3600));
        let number = self.store.next_number().await.expect("read");
        let closing = Closing { number, at: self.store.time(), paper: None, order: None };
        self.store.close_sale(id, self.basis(sale.rev), closing).await.expect("closed");
    }

    async fn text(&self, export: Export) -> String {
        String::from_utf8(self.bytes(export).await).expect("UTF-8")
    }

    async fn bytes(&self, export: Export) -> Vec<u8> {
        let (bytes, done) = self.store.export(export, Vec::new()).await.expect("written");
        assert_eq!(done.unreadable, 0, "{done:?}");
        bytes
    }

    async fn fails(&self, export: Export) -> String {
        self.store.export(export, Vec::new()).await.expect_err("it fails").to_string()
    }
}

fn lines() -> [Line; 2] {
    let tea = Line::pieces("Tea, \"black\"\nhot", 2, Amount::eur(2_90), Vat::percent(19)).expect("fits");
    let ham = Line::weighed("Käse €", 456, Amount::eur(19_90), Vat::percent(7)).expect("fits");
    [tea.article("17").group("drinks"), ham.tax_key("B")]
}

fn read(text: &str, separator: u8) -> Vec<Row> {
    let mut rows = csv::ReaderBuilder::new().delimiter(separator).from_reader(text.as_bytes());
    rows.deserialize().map(|row| row.expect("a row")).collect()
}

fn csv_of(what: What) -> Export {
    Export::new(what, Format::Csv)
}

fn mapped(what: What, format: Format, mapping: &str) -> Export {
    Export::new(what, format).mapping(Mapping::parse(mapping, "map.toml").expect("right"))
}

#[tokio::test]
async fn another_reader_finds_every_value_under_its_name() {
    let shop = Shop::new().await;
    shop.sell("a", &lines(), Some("for Jürgen; \"VIP\"")).await;
    let rows = read(&shop.text(csv_of(What::Lines)).await, b',');
    let cells = |row: &Row, names: &[&str]| names.iter().map(|name| row[*name].clone()).collect::<Vec<_>>();
    let names =
        ["number", "id", "line", "article", "name", "group", "quantity", "unit", "unit_price", "vat", "tax_key"];
    // 2 x 2.90; 0.456 kg at 19.90 is 9.0744.
    assert_eq!(
        cells(&rows[0], &names),
        ["1", "a", "1", "17", "Tea, \"black\"\nhot", "drinks", "2", "piece", "2.90", "19.00", ""]
    );
    assert_eq!(cells(&rows[1], &names), ["1", "a", "2", "", "Käse €", "", "0.456", "kg", "19.90", "7.00", "B"]);
    for (row, total) in rows.iter().zip(["5.80", "9.07"]) {
        let names = ["total", "ticket_total", "currency", "station", "source", "operator", "closed_at", "till"];
        let till = shop.store.till();
        let expected = [total, "16.00", "EUR", "bar", "order 9", "anna", "2026-01-02T09:00:00Z", till];
        assert_eq!(cells(row, &names), expected);
    }
    let names = ["line", "kind", "name", "total", "quantity", "vat"];
    assert_eq!(
        (rows.len(), cells(&rows[2], &names)),
        (3, ["3", "tip", "anna", "1.13", "", ""].map(str::to_owned).into())
    );
    let ticket = &read(&shop.text(csv_of(What::Tickets)).await, b',')[0];
    // 5.80 at 19 % contains 0.926, 9.07 at 7 % contains 0.593.
    let names = ["total", "tip", "net", "tax", "cash", "card", "note", "lines", "state", "signed"];
    assert_eq!(
        cells(ticket, &names),
        ["16.00", "1.13", "13.35", "1.52", "16.00", "0.00", "for Jürgen; \"VIP\"", "2", "closed", ""]
    );
    let taxes = read(&shop.text(csv_of(What::Taxes)).await, b',');
    let names = ["vat", "tax_key", "gross", "net", "tax"];
    assert_eq!(cells(&taxes[0], &names), ["19.00", "", "5.80", "4.87", "0.93"]);
    assert_eq!(cells(&taxes[1], &names), ["7.00", "B", "9.07", "8.48", "0.59"]);
    let payment = &read(&shop.text(csv_of(What::Payments)).await, b',')[0];
    let names = ["key", "sale", "number", "attempt", "tender", "state", "asked", "taken", "given", "change", "at"];
    let expected = ["a/1", "a", "1", "1", "cash", "taken", "16.00", "16.00", "50.00", "34.00", "2026-01-02T08:00:00Z"];
    assert_eq!(cells(payment, &names), expected);
    let json = shop.text(Export::new(What::Journal, Format::Json)).await;
    let entries: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(entries.iter().map(|e| e["kind"].as_str()).collect::<Vec<_>>(), [Some("tender"), Some("closed")]);
    assert!(entries[1]["seq"] == 2 && entries[1]["body"].is_object(), "{}", entries[1]);
    assert_eq!(entries[1]["operator"], "anna");
}

#[tokio::test]
async fn a_mapping_decides_on_everything_that_another_system_sees() {
    let shop = Shop::new().await;
    shop.sell("a", &lines(), None).await;
    let mapping = r#"
        what = "lines"
        [csv]
        separator = ";"
        decimal = ","
        encoding = "windows-1252"
        newline = "lf"
        [time]
        zone = "Europe/Berlin"
        [filter]
        name = ["Käse €"]
        [[columns]]
        constant = "0815"
        name = "Filiale"
        [[columns]]
        field = "closed_at"
        name = "Datum"
        format = "%d.%m.%Y %H:%M"
        [[columns]]
        field = "name"
        name = "Artikel"
        [[columns]]
        field = "total"
        name = "Betrag"
        [[columns]]
        field = "quantity"
        [[columns]]
        field = "unit"
        values = { kg = "Kilo", piece = "Stk" }
        [[columns]]
        field = "article"
        empty = "-"
        [[columns]]
        field = "unit_price"
        minor = true
    "#;
    let bytes = shop.bytes(mapped(What::Lines, Format::Csv, mapping)).await;
    // 0xe4 is ä and 0x80 is the euro sign in windows-1252.
    let expected = b"Filiale;Datum;Artikel;Betrag;quantity;unit;article;unit_price\n\
        0815;02.01.2026 10:00;K\xe4se \x80;9,07;0,456;Kilo;-;1990\n";
    assert_eq!(bytes, expected, "{}", String::from_utf8_lossy(&bytes));
    let error = shop.fails(mapped(What::Tickets, Format::Csv, mapping)).await;
    assert!(error.contains("the mapping is for lines, not for tickets"), "{error}");
}

#[tokio::test]
async fn columns_of_fixed_width_line_up_and_never_cut_a_number() {
    let shop = Shop::new().await;
    shop.sell("a", &lines(), None).await;
    let text = |mapping: &'static str| mapped(What::Lines, Format::Txt, mapping);
    let columns = r#"
        [txt]
        header = false
        newline = "lf"
        gap = "|"
        [[columns]]
        field = "name"
        width = 9
        overflow = "cut"
        [[columns]]
        field = "total"
        minor = true
        width = 8
        pad = "0"
        [[columns]]
        field = "group"
    "#;
    assert_eq!(shop.text(text(columns)).await, "Tea, \"bla|00000580|drinks\nKäse €   |00000907|      \n");
    let narrow = "[[columns]]\nfield = 'total'\nname = 'Sum'\nwidth = 3\noverflow = 'cut'";
    let error = shop.fails(text(narrow)).await;
    assert!(error.contains("ticket 1, column `Sum`: `5.80` has 4 characters, the column is 3 wide"), "{error}");
    let error = shop.fails(text("[[columns]]\nfield = 'name'\nwidth = 9")).await;
    assert!(error.contains("ticket 1, column `name`") && error.contains("overflow"), "{error}");
}

#[tokio::test]
async fn a_character_that_the_encoding_lacks_names_its_row_or_is_replaced_as_declared() {
    let shop = Shop::new().await;
    shop.sell("a", &lines()[..1], None).await;
    shop.sell("b", &lines(), None).await;
    let ascii = "[csv]\nencoding = 'us-ascii'\n[[columns]]\nfield = 'name'";
    let error = shop.fails(mapped(What::Lines, Format::Csv, ascii)).await;
    assert!(error.contains("ticket 2, column `name`: the encoding us-ascii lacks `ä` (U+00E4)"), "{error}");
    let replaced = "[csv]\nencoding = 'us-ascii'\nreplacement = '?'\nheader = false\n[[columns]]\nfield = 'article'\n\
        [[columns]]\nfield = 'name'";
    let text = shop.text(mapped(What::Lines, Format::Csv, replaced)).await;
    assert!(text.ends_with("\r\n,K?se ?\r\n"), "{text}");
}

/// OWASP's examples of CSV injection.
#[tokio::test]
async fn formulas_are_kept_escaped_or_refused() {
    let shop = Shop::new().await;
    let line = |name: &str| Line::pieces(name, -1, Amount::eur(1_00), Vat::percent(19)).expect("fits");
    shop.sell("a", &[line("=1+2\";=1+2"), line("@SUM(1+1)*cmd|' /C calc'!A0"), line("Tea")], None).await;
    let names = |mapping: &'static str| {
        let shop = &shop;
        async move {
            let rows = read(&shop.text(mapped(What::Lines, Format::Csv, mapping)).await, b',');
            rows.iter().map(|row| (row["name"].clone(), row["total"].clone())).collect::<Vec<_>>()
        }
    };
    let pair = |name: &str| (name.to_owned(), "-1.00".to_owned());
    let own = ["=1+2\";=1+2", "@SUM(1+1)*cmd|' /C calc'!A0", "Tea"];
    assert_eq!(names("").await, own.map(pair));
    // Numbers may be negative; they are no text.
    let escaped = ["'=1+2\";=1+2", "'@SUM(1+1)*cmd|' /C calc'!A0", "Tea"];
    assert_eq!(names("[csv]\nformulas = 'escape'").await, escaped.map(pair));
    let error = shop.fails(mapped(What::Lines, Format::Csv, "[csv]\nformulas = 'refuse'")).await;
    assert!(error.contains("ticket 1, column `name`: the text begins like a formula"), "{error}");
}

#[tokio::test]
async fn ranges_hold_what_ended_in_them_and_open_sales_only_if_asked_for() {
    let shop = Shop::new().await;
    for id in ["a", "b", "c"] {
        shop.sell(id, &lines(), None).await;
    }
    let origin = Origin::new();
    let open = shop.store.new_sale("open", shop.store.time(), tresen_hal::Currency::EUR, &origin).await;
    let voided = shop.store.new_sale("void", shop.store.time(), tresen_hal::Currency::EUR, &origin).await;
    open.expect("new");
    let basis = shop.basis(voided.expect("new").rev);
    shop.store.void_sale("void", basis, "a mistake", &origin).await.expect("voided");
    let ids = |export: Export| {
        let shop = &shop;
        async move { read(&shop.text(export).await, b',').iter().map(|row| row["id"].clone()).collect::<Vec<_>>() }
    };
    // Closed at 09:00, 10:00 and 11:00; the voided one ended at 11:00, too.
    assert_eq!(ids(csv_of(What::Tickets)).await, ["a", "b", "c", "void"]);
    assert_eq!(ids(csv_of(What::Tickets).open(true)).await, ["a", "b", "c", "open", "void"]);
    let range = |from, to| csv_of(What::Tickets).range(Some(from), Some(to)).expect("a range");
    assert_eq!(ids(range("2026-01-02T09:00:00Z", "2026-01-02T11:00:00Z")).await, ["a", "b"]);
    assert_eq!(ids(csv_of(What::Tickets).until("2026-01-02T09:30:00Z".parse().expect("a time"))).await, ["a"]);
    let zone = mapped(What::Tickets, Format::Csv, "[time]\nzone = 'Pacific/Kiritimati'");
    // There, 10:00 UTC begins the third of January.
    let third = zone.range(Some("2026-01-03"), Some("2026-01-03")).expect("a range");
    assert_eq!(ids(third).await, ["b", "c", "void"]);
    let backwards = csv_of(What::Tickets).range(Some("2026-01-03"), Some("2026-01-02T08:00")).expect_err("backwards");
    assert!(backwards.to_string().contains("ends before it begins"), "{backwards}");
    let closed = mapped(What::Tickets, Format::Csv, "[filter]\nstate = ['voided']");
    assert_eq!(ids(closed).await, ["void"]);
}

#[tokio::test]
async fn pages_together_are_the_whole_and_sales_between_them_neither_double_nor_hide_one() {
    let shop = Shop::new().await;
    for id in ["a", "b", "c"] {
        shop.sell(id, &lines(), None).await;
    }
    let whole = shop.text(csv_of(What::Lines)).await;
    let (mut pages, mut after, mut rows) = (String::new(), None::<String>, 0);
    loop {
        let page = shop.store.export_page(csv_of(What::Lines), after.as_deref(), 1).await.expect("a page");
        pages += &page.text;
        rows += page.done.rows;
        let Some(next) = page.next else { break };
        if after.is_none() {
            shop.sell("d", &lines(), None).await;
        }
        after = Some(next);
    }
    assert!(pages.starts_with(&whole), "{pages}");
    assert_eq!((rows, read(&pages, b',').last().expect("rows")["id"].as_str()), (8, "d"));
    let error = shop.store.export_page(csv_of(What::Lines), Some("x"), 1).await.expect_err("no position");
    assert!(error.to_string().contains("`x` is not a position"), "{error}");
    let text = Export::new(What::Lines, Format::Txt);
    let error = shop.store.export_page(text, None, 1).await.expect_err("no widths");
    assert!(error.to_string().contains("need a `width` for each column"), "{error}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_reported_and_the_others_are_there() {
    let shop = Shop::new().await;
    for id in ["a", "b", "c"] {
        shop.sell(id, &lines(), None).await;
    }
    let broken = rusqlite::Connection::open(shop.store.path()).expect("opens");
    broken.execute("UPDATE sales SET body = '{\"v\":9}' WHERE id = 'b'", []).expect("written");
    for what in [What::Tickets, What::Lines, What::Taxes, What::Payments] {
        let (text, done) = shop.store.export(csv_of(what), Vec::new()).await.expect("written");
        let text = String::from_utf8(text).expect("UTF-8");
        let rows = read(&text, b',');
        assert_eq!((done.unreadable, done.problems[0].id.as_str()), (1, "b"), "{what}");
        assert_eq!(done.rows, rows.len() as u64, "{what}");
        assert!(rows.iter().all(|row| row["number"] != "2") && rows.iter().any(|row| row["number"] == "3"), "{text}");
    }
}

/// An output that takes some bytes and is full then.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_output_is_one_clear_error() {
    let shop = Shop::new().await;
    shop.sell("a", &lines(), None).await;
    let error = shop.store.export(csv_of(What::Lines), Full(20)).await.err().expect("it is full");
    assert_eq!(error.kind(), Kind::Storage);
    assert!(error.to_string().contains("the disk is full; free some space"), "{error}");
}

#[test]
fn faults_of_a_mapping_name_line_key_and_what_is_expected() {
    for (text, parts) in [
        ("[csv]\nseperator = ';'", &["map.toml:2", "key `csv.seperator`", "unknown field", "`separator`"][..]),
        ("[csv]\n\nseparator = 3", &["map.toml:3", "csv.separator", "expected a string"]),
        ("[csv]\nseparator = ''", &["map.toml:2", "csv.separator"]),
        ("[csv]\nseparator = ','\ndecimal = ','", &["map.toml:3", "contains the decimal mark"]),
        ("[csv]\nencoding = 'utf-9'", &["map.toml:2", "unknown encoding", "windows-1252"]),
        ("[csv]\nencoding = 'us-ascii'\nreplacement = 'ä'", &["map.toml:3", "us-ascii lacks `ä`"]),
        ("[csv]\nnewline = 'cr'", &["map.toml:2", "unknown value `cr`", "crlf, lf"]),
        ("[csv]\nformulas = 'no'", &["map.toml:2", "keep, escape, refuse"]),
        ("[time]\nzone = 'Berlin'", &["map.toml:2", "time.zone", "Europe/Berlin"]),
        ("[time]\nformat = '%Q %ö'", &["map.toml:2", "time.format"]),
        ("what = 'sales'", &["map.toml:1", "unknown export `sales`", "tickets, lines"]),
        ("\n\n[[columns]]\nname = 'x'", &["map.toml:3", "either `field` or `constant`"]),
        ("[[columns]]\nconstant = 'x'", &["map.toml:1", "a constant needs a `name`"]),
        ("[[columns]]\nfield = 'id'\nwidth = 0", &["map.toml:3", "columns[0].width", "from 1 to"]),
        ("[[columns]]\nfield = 'id'\nalign = 'middle'", &["map.toml:3", "left, right"]),
        ("[[columns]]\nfield = 'id'\ncolour = 'red'", &["map.toml:3", "columns[0].colour", "unknown field"]),
        ("[csv\nseparator = ';'", &["map.toml:1"]),
    ] {
        let error = Mapping::parse(text, "map.toml").expect_err(text);
        assert_eq!(error.kind(), Kind::Config, "{text}");
        let error = error.to_string();
        assert!(!error.contains('\n'), "{error}");
        parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` in {error}"));
    }
    for (text, parts) in [
        ("[[columns]]\nfield = 'sum'", &["map.toml:1", "unknown column `sum` of tickets", "total"][..]),
        ("[[columns]]\nfield = 'id'\n[[columns]]\nfield = 'total'\nname = 'id'", &["map.toml:3", "named `id`"]),
        ("[[columns]]\nfield = 'total'\nformat = '%d'", &["map.toml:1", "only times have a format"]),
        ("[filter]\nstatus = ['x']", &["map.toml:2", "unknown column `status`"]),
    ] {
        let mapping = Mapping::parse(text, "map.toml").expect("its syntax is right");
        let error = mapping.layout(What::Tickets).expect_err(text).to_string();
        parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` in {error}"));
    }
}

/// What is documented as a mapping is one, with the defaults it states.
#[test]
fn the_documented_mapping_is_right() {
    let text = include_str!("../../examples/mapping.toml");
    let mapping = Mapping::parse(text, "mapping.toml").expect("right");
    mapping.layout(What::Lines).expect("it fits");
}

#[test]
fn each_column_has_a_name_of_its_own_and_its_till_and_origin() {
    for (name, what) in WHATS {
        assert_eq!((name.parse::<What>().expect("known"), what.to_string().as_str()), (what, name));
        let names: Vec<_> = columns(what).iter().map(|column| column.name).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{what}: {name}");
        }
        assert_eq!(names[0], "till");
        assert!(names.ends_with(&["station", "source", "operator"]), "{what}");
    }
}
