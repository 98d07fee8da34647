//! `tresen check-config` and `tresen doctor` as a technician meets them.

mod common;

use common::{Sim, tresen};
use serde_json::{Value, json};

/// A folder with one configuration, and its path.
fn configuration(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("till.toml");
    std::fs::write(&file, text).expect("written");
    let file = file.to_str().expect("text").to_owned();
    (dir, file)
}

fn lines(json: &str) -> Vec<Value> {
    json.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

#[test]
fn a_right_file_is_listed_and_ok() {
    let (_dir, file) = configuration("[printers.bar]\naddress = 'escpos+tcp://10.0.0.20'\n[routes]\nr = ['bar']\n");
    let said = tresen(["check-config", &file]).well();
    assert_eq!(
        said.out,
        format!(
            "printer bar: escpos+tcp://10.0.0.20:9100\n\
         route  prints         station  on   rules\n\
         r      what names it  all      bar  warns after 2m\n\
         away  route  station  on\n\
         bar   r      all      waits\n\
         {file}: OK\n"
        )
    );
}

#[test]
fn a_served_till_shows_its_limits() {
    let (_dir, file) = configuration("[remote]\nstrangers = 20\n");
    let said = tresen(["check-config", &file]).well();
    let shown =
        "remote: 127.0.0.1:7443; 1000 connections, 32 of one caller; 20 of strangers, 8 of one address; audit 400 days";
    assert_eq!(said.out, format!("{shown}\n{file}: OK\n"));
    let said = tresen(["--json", "check-config", &file]).well();
    assert_eq!(
        lines(&said.out)[0],
        json!({
            "class": "remote", "listen": "127.0.0.1:7443", "plain": null, "connections": 1000, "strangers": 20,
            "strangers-of-one-address": 8, "connections-of-one-caller": 32, "audit-days": 400,
        })
    );
    let (_dir, file) = configuration("[remote]\nconnections = 50\n");
    let said = tresen(["check-config", &file]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(":1: key `remote.strangers`: 64 strangers leave no room"), "{said:?}");
}

const RESTAURANT: &str = "\
[printers]
kitchen.address = 'escpos+tcp://10.0.0.1'
bar.address = 'escpos+tcp://10.0.0.2'
belt.address = 'escpos+tcp://10.0.0.3'
[stations.'handheld 7']
printer = 'belt'
[routes]
kitchen = ['kitchen', 'bar']
[routes.drinks]
printers = ['bar']
groups = ['wine', 'beer']
copies = 2
fail-back = '30s'
warn-after = 'never'
[routes.receipt]
printers = ['bar', 'kitchen']
own = true
";

#[test]
fn each_route_is_shown_with_what_it_prints_where_also_with_a_printer_away() {
    let (_dir, file) = configuration(RESTAURANT);
    let said = tresen(["check-config", &file]).well();
    let (_, tables) = said.out.split_once("route  ").expect("the tables");
    let expected = "  prints               station     on                           rules
drinks   kitchen: beer, wine  all         bar                          2 copies, fail-back 30s, never warns
kitchen  kitchen              all         kitchen, then bar            warns after 2m
receipt  receipt, slip        handheld 7  belt, then bar, then kitchen  warns after 2m
receipt  receipt, slip        others      bar, then kitchen            warns after 2m
away     route    station     on
bar      drinks   all         waits
bar      receipt  others      kitchen, marked
bar      kitchen  all         unaffected
belt     receipt  handheld 7  bar, marked
belt     drinks   all         unaffected
belt     kitchen  all         unaffected
kitchen  kitchen  all         bar, marked
kitchen  drinks   all         unaffected
kitchen  receipt  all         unaffected
";
    // The longest cell decides a column's width.
    let words =
        |text: &str| text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    let told = words(tables);
    assert_eq!(told[..told.len() - 1], words(expected), "{}", said.out);
    let columns: Vec<_> = tables.lines().skip(1).take(4).map(|l| l.find("warns").expect("a rule")).collect();
    assert_eq!(columns[1..], [columns[1]; 3], "aligned: {}", said.out);

    let said = tresen(["--json", "check-config", &file]).well();
    let told = lines(&said.out);
    let of = |class: &str, key: &str, name: &str| {
        let found = told.iter().find(|line| line["class"] == class && line[key] == name);
        found.unwrap_or_else(|| panic!("{class} {name}: {told:?}")).clone()
    };
    assert_eq!(
        of("route", "name", "drinks"),
        json!({
            "class": "route", "name": "drinks", "prints": ["kitchen"], "groups": ["beer", "wine"], "copies": 2,
            "fail-back": "30s", "warn-after": null, "printers": [{ "station": null, "printers": ["bar"] }],
        })
    );
    let receipt = of("route", "name", "receipt");
    assert_eq!(receipt["printers"][0], json!({ "station": "handheld 7", "printers": ["belt", "bar", "kitchen"] }));
    assert_eq!(receipt["warn-after"], "2m");
    assert_eq!(
        of("away", "printer", "belt"),
        json!({
            "class": "away", "printer": "belt", "unaffected": ["drinks", "kitchen"],
            "changes": [{ "route": "receipt", "station": "handheld 7", "on": "bar" }],
        })
    );
}

#[test]
fn one_printer_under_two_names_is_an_error_in_whatever_spelling() {
    let (_dir, file) = configuration(
        "[printers.bar]\naddress = 'escpos+tcp://Bar.Shop'\n[printers.counter]\naddress = 'escpos+tcp://bar.shop.:9100'\n",
    );
    let said = tresen(["check-config", &file]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains(":4: key `printers.counter.address`: ") && said.err.contains("`printers.bar`"),
        "{said:?}"
    );
}

#[test]
fn all_problems_are_told_each_with_its_line() {
    let (_dir, file) = configuration(
        "[till]\nname = 5\n[printers.bar]\naddress = 'escpos+tcp://10.0.0.20'\nprofil = 'x'\n\n[terminals.bar]\naddress = 'zvt+tcp://t'\npassword = 'secret'\n",
    );
    let said = tresen(["check-config", &file]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let told: Vec<_> = said.err.lines().collect();
    assert_eq!(told.len(), 4, "{said:?}");
    for (line, parts) in told.iter().zip([
        ["2: key `till.name`", "text in quotes"],
        ["5: key `printers.bar.profil`", "unknown option"],
        ["7: warning: key `terminals.bar`", "printers"],
        ["9: key `terminals.bar.password`", "six digits"],
    ]) {
        assert!(line.starts_with(&format!("tresen: {file}:")), "{line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{line} lacks {parts:?}");
        assert!(!line.contains("secret"), "{line}");
    }
    assert_eq!(said.out, format!("{file}: 3 errors, 1 warning\n"));

    let said = tresen(["--json", "check-config", &file]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    let told = lines(&said.err);
    let places: Vec<_> = told.iter().map(|t| (t["line"].as_u64(), t["severity"].as_str())).collect();
    let (error, warning) = (Some("error"), Some("warning"));
    assert_eq!(places, [(Some(2), error), (Some(5), error), (Some(7), warning), (Some(9), error)]);
    assert_eq!((&told[1]["key"], &told[1]["kind"]), (&"printers.bar.profil".into(), &"config".into()));
}

#[test]
fn warnings_do_not_fail() {
    let (_dir, file) =
        configuration("[printers.bar]\naddress = 'escpos+tcp://10.0.0.20'\n[routes]\nr = ['bar', 'bar']\n");
    let said = tresen(["check-config", &file]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains(":4: warning: ") && said.err.lines().count() == 1, "{said:?}");
    assert!(said.out.ends_with(&format!("{file}: OK, 1 warning\n")), "{said:?}");
}

#[test]
fn the_doctor_looks_at_everything_in_one_go() {
    let paper = tempfile::tempdir().expect("a folder");
    let mut printer =
        Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", paper.path().to_str().expect("text")]);
    let terminal = Sim::start(&["terminal", "--pace", "0"]);
    let text =
        format!("[printers.bar]\naddress = '{}'\n[terminals.t]\naddress = '{}'\n", printer.address, terminal.address);
    let (dir, file) = configuration(&text);
    let said = tresen(["doctor", &file]).well();
    for part in ["clock", "till.toml", "store", "printer bar", "terminal t", "60000001", "no problems found"] {
        assert!(said.out.contains(part), "{} lacks {part}", said.out);
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1, "nothing is written");
    assert_eq!(std::fs::read_dir(paper.path()).expect("a folder").count(), 0, "nothing is printed");

    printer.type_in("paper out");
    // The simulator reads its keyboard and its port independently.
    let said = std::iter::repeat_with(|| tresen(["--json", "doctor", &file])).find(|s| s.code != Some(0));
    let said = said.expect("it does not end");
    let found = lines(&said.out);
    let of = |subject: &str| found.iter().find(|f| f["subject"] == subject).expect(subject);
    assert_eq!(of("printer bar")["state"], "failed", "{said:?}");
    assert!(of("printer bar").to_string().contains("out of paper"), "{said:?}");
    assert_eq!(of("terminal t")["state"], "ok", "{said:?}");
    assert_eq!(said.code, Some(1));
    terminal.quit();
    printer.quit();
}
