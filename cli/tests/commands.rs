//! The commands as somebody meets them who knows none: help that teaches, and simulators that serve
//! another program.

mod common;

use common::{Sim, start, tresen};

/// The names under `Commands:` in a help text.
fn commands(help: &str) -> Vec<String> {
    let (_, list) = help.split_once("Commands:\n").expect("commands");
    let lines = list.lines().take_while(|l| !l.is_empty());
    let names = lines.filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    names.filter_map(|l| l.split_whitespace().next()).filter(|n| *n != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_help_that_shows_an_address() {
    let main = tresen(["--help"]).well().out;
    assert!(main.contains("escpos+tcp://") && main.contains("zvt+tcp://") && main.contains("Exit status"), "{main}");
    let names = commands(&main);
    for expected in ["demo", "list", "info", "print", "render", "pay", "scan", "decode", "sim", "check-config"] {
        assert!(names.iter().any(|n| n == expected), "{expected} in {names:?}");
    }
    let sims = commands(&tresen(["sim", "--help"]).well().out);
    assert_eq!(sims, ["printer", "terminal"]);
    let plain = names.iter().map(|n| vec![n.as_str()]);
    let (mut seen, mut addresses) = (0, 0);
    for command in plain.chain(sims.iter().map(|s| vec!["sim", s])) {
        let help = tresen([&command[..], &["--help"]].concat()).well().out;
        let first = help.lines().next().expect("a line");
        assert!(first.len() > 15 && !first.starts_with("Usage"), "{command:?} says what it does: {first}");
        if help.contains("<ADDRESS>") {
            let shows = ["escpos+", "zvt+", "scanner+", "camera+"].iter().any(|p| help.contains(p));
            assert!(shows && help.contains("://"), "{command:?} shows no address:\n{help}");
            addresses += 1;
        }
        seen += 1;
    }
    assert!(seen >= 12 && addresses >= 4, "{seen} commands, {addresses} with an address");
    assert!(tresen(["demo", "--help"]).well().out.contains("link-cut"));
    assert!(tresen(["--version"]).well().out.starts_with("tresen 0."));
}

#[test]
fn a_simulated_printer_serves_another_program() {
    let dir = tempfile::tempdir().expect("a folder");
    let (paper, note) = (dir.path().join("paper"), dir.path().join("note.txt"));
    std::fs::write(&note, "Grüße vom Tresen").expect("written");
    let (paper_, note) = (paper.to_str().expect("text"), note.to_str().expect("text"));
    let mut sim = Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", paper_]);

    let told = tresen(["--json", "info", &sim.address]).well().json();
    assert_eq!((&told["identity"]["maker"], &told["status"]["online"]), (&"TRESEN".into(), &"yes".into()), "{told}");
    let told = tresen(["print", &sim.address, note, "--drawer", "--json"]).well().json();
    assert_eq!(told["outcome"], "printed", "{told}");
    let said = [sim.line(), sim.line()];
    assert!(said.iter().any(|l| l["drawer"] == 1), "{said:?}");
    let sheet = said.iter().find_map(|l| l["sheet"].as_str()).expect("a sheet");
    assert_eq!(sheet, paper.join("sheet-0001.png").to_str().expect("text"));
    let text = std::fs::read_to_string(paper.join("sheet-0001.txt")).expect("text");
    assert!(text.contains("Grüße vom Tresen"), "{text}");
    assert!(image::open(sheet).expect("a picture").width() > 500);

    // A second sheet overwrites nothing.
    tresen(["print", &sim.address, note]).well();
    assert!(sim.line()["sheet"].as_str().is_some_and(|s| s.ends_with("sheet-0002.png")));
    sim.quit();
}

#[test]
fn a_simulated_terminal_serves_another_program() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = dir.path().join("journal.db");
    let journal = journal.to_str().expect("text");
    let mut sim = Sim::start(&["terminal", "--pace", "0"]);
    let told = tresen(["--json", "info", &sim.address]).well().json();
    assert_eq!(told["status"]["ready"], true, "{told}");
    let said = tresen(["pay", &sim.address, "12.50", "--journal", journal]).well();
    assert!(said.out.contains("approved") && said.out.contains("charged 12.50 EUR"), "{}", said.out);
    let entry = std::iter::repeat_with(|| sim.line()).find(|l| l["state"] == "Stored").expect("lines do not end");
    assert_eq!((&entry["amount"], &entry["kind"]), (&"12.50 EUR".into(), &"Payment".into()), "{entry}");

    let mut sim = Sim::start(&["terminal", "--pace", "0", "--decline", "5"]);
    let said = tresen(["pay", &sim.address, "7", "--journal", journal]);
    assert_eq!((said.code, said.err.as_str()), (Some(3), ""), "{said:?}");
    assert!(said.out.contains("not charged"), "{}", said.out);
    assert_eq!(sim.line()["state"], "Declined");
    sim.quit();
}

#[test]
fn a_scan_prints_what_a_camera_sees() {
    let dir = tempfile::tempdir().expect("a folder");
    let code = qrcode::QrCode::new("VOUCHER-1").expect("short");
    let (width, colors) = (code.width() as u32, code.to_colors());
    let picture = image::GrayImage::from_fn((width + 8) * 8, (width + 8) * 8, |x, y| {
        let (x, y) = ((x / 8).wrapping_sub(4), (y / 8).wrapping_sub(4));
        let dark = x < width && y < width && colors[(y * width + x) as usize] == qrcode::Color::Dark;
        image::Luma([if dark { 20 } else { 235 }])
    });
    let file = dir.path().join("1.png");
    picture.save(&file).expect("written");
    let address = format!("camera+file://{}", dir.path().display());
    let scan = start(["scan", &address, "--count", "1", "--timeout", "30", "--json"]).end().well().json();
    assert_eq!((&scan["text"], &scan["device"].is_string()), (&"VOUCHER-1".into(), &true), "{scan}");
    let said = tresen(["decode", file.to_str().expect("text")]).well();
    assert!(said.out.contains("]Q1 VOUCHER-1"), "{}", said.out);
}
