//! `tresen export`, `backup` and `restore`, as a person or a script runs them beside a till.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{Said, tresen};
use tempfile::TempDir;
use tresen::sale::{Line, Vat};
use tresen::{Amount, Config, Drivers, Origin, Store, SystemRuntime, Tresen};

/// A till that has sold, and still runs.
struct Shop {
    dir: TempDir,
    runtime: tokio::runtime::Runtime,
    till: Option<Tresen>,
}

impl Shop {
    fn new(sales: usize) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("till.toml"), "[till]\nname = 'Till 1'\nsocket = false\n").expect("written");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let mut shop = Self { dir, runtime: runtime.expect("threads"), till: None };
        shop.open();
        shop.sell(sales);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    fn open(&mut self) {
        let path = self.path("till.toml");
        let config = Config::load(&path, &Drivers::standard()).expect("right");
        self.till = Some(self.runtime.block_on(Tresen::with(config)).expect("opens"));
    }

    fn close(&mut self) {
        let till = self.till.take().expect("open");
        self.runtime.block_on(till.close(common::DEADLINE)).expect("closed");
    }

    /// Sales that are paid, voided in turn: no printer is needed to end those.
    fn sell(&self, sales: usize) {
        let till = self.till.as_ref().expect("open");
        self.runtime.block_on(async {
            for n in 0..sales {
                let origin = Origin::new().station("bar").operator("anna");
                let mut sale = till.open_sale_by(origin).await.expect("opens");
                let line =
                    Line::pieces(format!("Käse; \"{n}\""), 1, Amount::eur(2_90), Vat::percent(19)).expect("fits");
                sale.add(line).await.expect("kept");
                sale.void("a test").await.expect("voided");
            }
        });
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).expect("a folder").map(|e| e.expect("an entry").file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().expect("text")).collect();
        names.sort();
        names
    }
}

#[track_caller]
fn fails(said: &Said, parts: &[&str]) {
    assert_eq!((said.code, said.err.lines().count()), (Some(1), 1), "{said:?}");
    parts.iter().for_each(|part| assert!(said.err.contains(part), "`{part}` in {}", said.err));
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

#[test]
fn an_export_beside_a_running_till_goes_to_the_output_or_to_a_file() {
    let shop = Shop::new(3);
    let db = shop.text("till.db");
    let lines = |more: &[&str]| tresen([&["export", &db, "--what", "lines"], more].concat());
    let said = lines(&[]).well();
    let mut rows = csv::Reader::from_reader(said.out.as_bytes());
    let header = rows.headers().expect("a header").clone();
    let at = |name: &str| header.iter().position(|column| column == name).expect("a column");
    let rows: Vec<_> = rows.records().map(|row| row.expect("a row")).collect();
    let names: Vec<_> = rows.iter().map(|row| row[at("name")].to_owned()).collect();
    assert_eq!(names, ["Käse; \"0\"", "Käse; \"1\"", "Käse; \"2\""]);
    assert!(rows.iter().all(|row| &row[at("station")] == "bar" && &row[at("operator")] == "anna"));
    assert!(rows.iter().all(|row| &row[at("state")] == "voided"));

    // The same by the configuration, into a file that replaces another.
    let file = shop.text("lines.csv");
    write(Path::new(&file), "of yesterday");
    let said2 = tresen(["export", &shop.text("till.toml"), "--what", "lines", "-o", &file]).well();
    assert_eq!(said2.out.trim_end(), format!("{file}: 3 rows"));
    assert_eq!(std::fs::read_to_string(&file).expect("readable"), said.out);

    let mapping = shop.text("map.toml");
    write(
        Path::new(&mapping),
        "what = 'lines'\nformat = 'txt'\n[txt]\nencoding = 'ibm850'\nheader = false\nnewline = 'lf'\n\
         [[columns]]\nfield = 'name'\nwidth = 12\n[[columns]]\nfield = 'total'\nwidth = 6\n",
    );
    tresen(["export", &shop.text("till.db"), "--map", &mapping, "-o", &file]).well();
    // Code page 850 has ä at 84h.
    let line = |n: char| [b"K\x84se; \"".to_vec(), vec![n as u8], b"\"     2.90\n".to_vec()].concat();
    assert_eq!(std::fs::read(&file).expect("readable"), ['0', '1', '2'].map(line).concat());

    let said = tresen(["export", "--columns", "--what", "payments", "--json"]).well();
    assert!(said.out.lines().any(|line| line.contains("\"card_number\"") && line.contains("masked")), "{}", said.out);
    let none = lines(&["--from", "2020-01-01", "--to", "2020-01-31", "--format", "json"]).well();
    assert_eq!(none.out, "");
}

#[test]
fn bad_input_to_an_export_is_one_clear_error_and_the_file_of_before_remains() {
    let shop = Shop::new(1);
    let (db, file, mapping) = (shop.text("till.db"), shop.text("lines.csv"), shop.text("map.toml"));
    write(Path::new(&file), "of yesterday");
    let with = |text: &str| {
        write(Path::new(&mapping), text);
        tresen(["export", &db, "--what", "lines", "--map", &mapping, "-o", &file])
    };
    fails(&with("[csv]\nseperator = ';'"), &["map.toml:2", "csv.seperator", "`separator`"]);
    fails(&with("[[columns]]\nfield = 'price'"), &["map.toml:1", "unknown column `price` of lines", "unit_price"]);
    fails(&with("what = 'jobs'"), &["the mapping is for jobs, not for lines"]);
    fails(&with("[csv]\nencoding = 'us-ascii'"), &["lines.csv", "column `name`", "lacks `ä`"]);
    fails(&tresen(["export", &db, "--what", "lines", "--map", "no.toml"]), &["no.toml", "no such file"]);
    fails(&tresen(["export", &db]), &["what is to be exported?", "--what"]);
    fails(&tresen(["export", &db, "--what", "lines", "--from", "02.01.2026"]), &["`02.01.2026`", "2026-01-02"]);
    fails(&tresen(["export", &shop.text("no.db"), "--what", "lines"]), &["no.db", "no such file"]);
    fails(&tresen(["export", &db, "--what", "lines", "-o", &shop.text("no/lines.csv")]), &["no/lines.csv"]);
    let said = tresen(["export", &db, "--what", "sums"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("expected one of tickets, lines"), "{}", said.err);
    assert_eq!(std::fs::read(&file).expect("readable"), b"of yesterday");
    assert!(!shop.files().iter().any(|name| name.ends_with(".part")), "{:?}", shop.files());
}

/// The shell's limit on the size of files stands for a full disk: both refuse the write in the middle.
#[cfg(unix)]
fn tresen_on_a_full_disk(args: &[&str]) -> Said {
    let quoted: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
    // Without the trap, the signal ends the program.
    let script = format!("trap '' XFSZ; ulimit -f 8; exec {} {}", env!("CARGO_BIN_EXE_tresen"), quoted.join(" "));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(Stdio::null()).env_remove("RUST_LOG");
    let output = command.output().expect("a shell");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_half_file() {
    let shop = Shop::new(40);
    let (db, file) = (shop.text("till.db"), shop.text("lines.csv"));
    write(Path::new(&file), "of yesterday");
    let before = shop.files();
    fails(&tresen_on_a_full_disk(&["export", &db, "--what", "lines", "-o", &file]), &["lines.csv"]);
    assert_eq!(std::fs::read(&file).expect("readable"), b"of yesterday");
    fails(
        &tresen_on_a_full_disk(&["backup", &db, &shop.text("copy.db")]),
        &["copy.db", "check the medium and its free space"],
    );
    assert_eq!(shop.files(), before);
    // The till sells on.
    shop.sell(1);
    tresen(["backup", &db, &shop.text("copy.db")]).well();
}

#[test]
fn a_record_that_cannot_be_read_is_said_and_the_exit_status_is_1() {
    let shop = Shop::new(3);
    let store = shop.runtime.block_on(Store::open_read_only(&shop.path("till.db"), Arc::new(SystemRuntime::new())));
    let tickets = shop.runtime.block_on(store.expect("a database").tickets().into_future()).expect("readable");
    let id = &tickets[1].id;
    let db = rusqlite::Connection::open(shop.path("till.db")).expect("opens");
    db.execute("UPDATE sales SET body = '{}' WHERE id = ?1", [id]).expect("written");
    let said = tresen(["export", &shop.text("till.db"), "--what", "lines"]);
    assert_eq!((said.code, said.err.lines().count()), (Some(1), 1), "{said:?}");
    assert!(said.err.contains(id) && said.err.contains("cannot be read"), "{}", said.err);
    assert_eq!(said.out.matches("Käse").count(), 2, "the others are there: {}", said.out);
}

#[test]
fn a_backup_goes_back_and_what_it_lacks_is_said() {
    let mut shop = Shop::new(2);
    let (db, folder) = (shop.text("till.db"), shop.text("backups"));
    fails(&tresen(["backup", &db, &folder, "--keep", "1"]), &["`--keep` needs an existing folder"]);
    std::fs::create_dir(&folder).expect("made");
    let said = tresen(["backup", &shop.text("till.toml"), &folder, "--keep", "1", "--json"]).well().json();
    let backup = said["path"].as_str().expect("a path").to_owned();
    assert_eq!((&said["removed"], &said["number"]), (&serde_json::json!([]), &0.into()));
    fails(&tresen(["backup", &db, &backup]), &[&backup, "exists already"]);
    shop.sell(3);
    fails(&tresen(["restore", &backup, &db]), &[&db, "is open in another till", "close it"]);
    shop.close();
    let said = tresen(["restore", &backup, &shop.text("till.toml")]).well();
    assert!(said.out.contains("epoch 2") && said.out.contains("till.db.replaced-2"), "{}", said.out);
    // Each void is an entry of the journal.
    assert!(said.out.contains("3 entries of the journal"), "{}", said.out);
    shop.open();
    let epoch = shop.till.as_ref().map(|till| till.store().epoch());
    assert_eq!(epoch, Some(2));
    fails(&tresen(["restore", &shop.text("no.db"), &db]), &["no.db", "no such file"]);
}
