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
    for expected in [
        "doctor",
        "reverse",
        "refund",
        "preauth",
        "increment",
        "book",
        "release",
        "tip",
        "topup",
        "read-card",
        "end-of-day",
        "totals",
        "diagnosis",
        "initialise",
        "repeat-receipt",
        "test-page",
        "drawer",
        "manual",
        "settle",
        "status",
        "watch",
        "jobs",
        "payments",
        "support-bundle",
        "reprint",
        "cancel",
        "journal",
    ] {
        assert!(names.iter().any(|n| n == expected), "{expected} in {names:?}");
    }
    for expected in ["demo", "list", "info", "print", "render", "pay", "scan", "decode", "sim", "check-config"] {
        assert!(names.iter().any(|n| n == expected), "{expected} in {names:?}");
    }
    let sims = commands(&tresen(["sim", "--help"]).well().out);
    assert_eq!(sims, ["printer", "scanner", "terminal"]);
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

/// The width of a PNG that can be decoded.
fn png_width(path: &str) -> u32 {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect(path));
    let mut picture = png::Decoder::new(file).read_info().expect(path);
    let mut pixels = vec![0; picture.output_buffer_size().expect(path)];
    picture.next_frame(&mut pixels).expect(path).width
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
    assert!(png_width(sheet) > 500);

    // A second sheet overwrites nothing.
    tresen(["print", &sim.address, note]).well();
    assert!(sim.line()["sheet"].as_str().is_some_and(|s| s.ends_with("sheet-0002.png")));
    sim.quit();
}

#[test]
fn render_lists_what_it_does_not_print() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("written");
    write("page.bin", b"a\x1b\x74\x3b\x91\n\x1d\x76\x30");
    let said = tresen(["render", &path("page.bin")]).well().out;
    for part in ["1b 74 3b", "ESC t: code page 59 is not known", "the data end in the middle of GS v"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let told = tresen(["render", &path("page.bin"), "--json"]).well().json();
    let entry = &told["unsupported"][0];
    assert_eq!((&entry["offset"], &entry["bytes"]), (&1.into(), &"1b 74 3b".into()), "{told}");
    assert!(told["text"].as_str().is_some_and(|text| text.starts_with('a')), "{told}");

    write("many.bin", &[b"a\n".to_vec(), b"\x1b\x7b\x01".repeat(30)].concat());
    let said = tresen(["render", &path("many.bin")]).well().out;
    assert!(said.contains("and 10 more; -v lists them"), "{said}");
    let said = tresen(["-v", "render", &path("many.bin")]);
    assert_eq!((said.code, said.out.matches("upside-down").count()), (Some(0), 30), "{said:?}");

    // A file with nothing but what cannot be drawn is still told about.
    write("kanji.bin", b"\x1c\x26");
    let said = tresen(["render", &path("kanji.bin")]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("FS &: Kanji mode") && said.err.contains("prints nothing"), "{said:?}");
    write("pdf417.bin", b"\x1d\x28\x6b\x07\x00\x30\x50\x30ABCD\x1d\x28\x6b\x03\x00\x30\x51\x30");
    assert!(tresen(["render", &path("pdf417.bin")]).well().out.contains("[PDF417 ABCD]"));

    // The ending says what is written.
    tresen(["render", &path("page.bin"), "-o", &path("page.txt")]).well();
    assert!(std::fs::read_to_string(path("page.txt")).expect("text").starts_with('a'));
    tresen(["render", &path("page.bin"), "-o", &path("page.png")]).well();
    assert!(png_width(&path("page.png")) > 0);
    let said = tresen(["render", &path("page.bin"), "-o", &path("page.pdf")]);
    assert!(said.code == Some(1) && said.err.contains("page.pdf") && said.err.contains(".png"), "{said:?}");
    assert!(!dir.path().join("page.pdf").exists());

    write("pulse.bin", b"x\n\x10\x14\x01\x00\x06");
    assert_eq!(tresen(["render", &path("pulse.bin"), "--json"]).well().json()["drawer"], 1);
    write("cuts.bin", &b"x\n\x1d\x56\x00".repeat(1001));
    assert!(tresen(["render", &path("cuts.bin")]).well().out.contains("only the last 1000 sheets"));
}

/// A host that is not one of ours: it sends bytes and goes.
fn send(address: &str, bytes: &[u8]) {
    use std::io::Write;
    let at = address.strip_prefix("escpos+tcp://").expect("a TCP address");
    std::net::TcpStream::connect(at).and_then(|mut s| s.write_all(bytes)).expect("it listens");
}

#[test]
fn a_simulated_printer_says_what_it_does_not_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let paper = dir.path().join("paper");
    let mut sim = Sim::start(&["printer", "--profile", "generic-58mm", "--out", paper.to_str().expect("text")]);
    // No cut: the sheet ends with the connection.
    send(&sim.address, b"\x1b\x7b\x01Total 5.00\n");
    let said = [sim.line(), sim.line()];
    let sheet = said.iter().find_map(|l| l["sheet"].as_str()).expect("a sheet");
    let text = std::fs::read_to_string(sheet.replace(".png", ".txt")).expect("text");
    assert_eq!(text, "Total 5.00\n");
    let listed = said.iter().find(|l| l["unsupported"].is_object()).expect("what it did not do");
    assert_eq!(listed["unsupported"]["name"], "ESC {: upside-down printing", "{listed}");
    // Half an image takes the next job; switching it off helps.
    send(&sim.address, b"\x1d\x76\x30\x00\x48\x00\xff\x00");
    let told = sim.line();
    assert_eq!(told["unsupported"]["name"], "the data end in the middle of GS v", "{told}");
    for command in [
        "off and on",
        "no proof",
        "proof",
        "drawer closed",
        "late 10",
        "on time",
        "speed 960",
        "full speed",
        "cutter jam",
        "cutter free",
    ] {
        sim.type_in(command);
        assert_eq!(sim.line()["command"], command);
    }
    send(&sim.address, b"job\n");
    let sheet = sim.line()["sheet"].as_str().expect("a sheet").replace(".png", ".txt");
    assert_eq!(std::fs::read_to_string(sheet).expect("text"), "job\n");
    sim.quit();
}

#[test]
fn a_simulated_printer_can_be_held_by_somebody_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let (paper, note) = (dir.path().join("paper"), dir.path().join("note.txt"));
    std::fs::write(&note, "Table 4").expect("written");
    let (paper, note) = (paper.to_str().expect("text"), note.to_str().expect("text"));
    let mut sim = Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", paper]);
    sim.type_in("held");
    assert_eq!(sim.line()["command"], "held");
    let said = tresen(["print", &sim.address, note]);
    assert!(said.code == Some(1) && said.err.contains("does not answer"), "{said:?}");
    sim.type_in("released");
    assert_eq!(sim.line()["command"], "released");
    tresen(["print", &sim.address, note]).well();
    sim.quit();
}

#[test]
fn a_file_of_escpos_bytes_is_printed_as_a_job() {
    let dir = tempfile::tempdir().expect("a folder");
    let paper = dir.path().join("paper");
    let mut sim = Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", paper.to_str().expect("text")]);
    let ticket = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    for name in ["ticket.bin", "ticket.prn"] {
        std::fs::write(ticket(name), b"Table 4\n\x1dV\x00").expect("written");
    }
    let (bin, prn) = (ticket("ticket.bin"), ticket("ticket.prn"));
    let address = sim.address.clone();
    for args in [&["--json", "print", &address, &bin][..], &["--json", "print", "--raw", &address, &prn]] {
        let told = tresen(args).well().json();
        assert_eq!(told["outcome"], "printed", "{told}");
        let sheet = sim.line()["sheet"].as_str().expect("a sheet").replace(".png", ".txt");
        assert_eq!(std::fs::read_to_string(sheet).expect("text"), "Table 4\n");
    }
    let said = tresen(["print", &sim.address, &prn]);
    assert!(said.code == Some(1) && said.err.contains(".prn") && said.err.contains("--raw"), "{said:?}");
    sim.quit();
}

#[test]
fn a_print_says_in_words_what_this_printer_lacks() {
    let dir = tempfile::tempdir().expect("a folder");
    let (paper, note) = (dir.path().join("paper"), dir.path().join("note.txt"));
    let (paper, note_) = (paper.to_str().expect("text"), note.to_str().expect("text"));
    let sim = Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", paper]);
    std::fs::write(&note, "Ωμέγα").expect("written");
    let said = tresen(["print", &sim.address, note_]).well().out;
    assert!(!said.contains("note"), "this printer has named itself, and it has Greek: {said}");
    assert!(said.contains("returned after printing"), "{said}");
    std::fs::write(&note, "漢").expect("written");
    let said = tresen(["print", &sim.address, note_]).well().out;
    assert!(said.contains("note: item 1: this printer has no `漢` and prints ? instead"), "{said}");
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
    let (width, colors) = (code.width(), code.to_colors());
    let side = (width + 8) * 8;
    let pixel = |i: usize| {
        let (x, y) = ((i % side / 8).wrapping_sub(4), (i / side / 8).wrapping_sub(4));
        let dark = x < width && y < width && colors[y * width + x] == qrcode::Color::Dark;
        if dark { 20 } else { 235 }
    };
    let (mut bytes, pixels): (_, Vec<u8>) = (Vec::new(), (0..side * side).map(pixel).collect());
    let header = png::Encoder::new(&mut bytes, side as u32, side as u32).write_header();
    header.and_then(|mut writer| writer.write_image_data(&pixels)).expect("encoded");
    let file = dir.path().join("1.png");
    std::fs::write(&file, bytes).expect("written");
    let address = format!("camera+file://{}", dir.path().display());
    let scan = start(["scan", &address, "--count", "1", "--timeout", "30", "--json"]).end().well().json();
    assert_eq!((&scan["text"], &scan["device"].is_string()), (&"VOUCHER-1".into(), &true), "{scan}");
    let said = tresen(["decode", file.to_str().expect("text")]).well();
    assert!(said.out.contains("]Q1 VOUCHER-1"), "{}", said.out);
}

#[test]
fn logs_in_a_pipe_have_no_colours() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tresen"));
    command.args(["-vv", "info", "escpos+tcp://127.0.0.1:1"]).env_remove("NO_COLOR").env("RUST_LOG", "trace");
    let said = command.output().expect("the command was built");
    let logged = String::from_utf8(said.stderr).expect("text");
    assert!(logged.lines().count() > 1, "something is logged: {logged}");
    assert!(!logged.contains('\x1b'), "{logged:?}");
}

#[test]
fn completions_and_manual_know_all_commands() {
    let bash = tresen(["completions", "bash"]).well().out;
    let names = commands(&tresen(["--help"]).well().out);
    for name in &names {
        assert!(bash.contains(name.as_str()), "{name} is missing");
    }
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        assert!(tresen(["completions", shell]).well().out.contains("check-config"), "{shell}");
    }
    assert!(tresen(["manual"]).well().out.contains(".TH tresen"));
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("man");
    tresen(["manual", "--out", out.to_str().expect("text")]).well();
    for name in &names {
        let page = std::fs::read_to_string(out.join(format!("tresen-{name}.1"))).expect(name);
        let asks_a_till = ["status", "jobs", "payments", "journal", "settle", "reprint", "cancel", "doctor"];
        if asks_a_till.contains(&name.as_str()) || name == "support-bundle" {
            let example = format!("tresen {name} ").replace('-', "\\-");
            assert!(page.contains("Examples:") && page.contains(&example), "no example of {name}: {page}");
        }
    }
}

#[test]
fn the_drawer_opens_and_the_test_page_tells_what_to_look_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let paper = dir.path().join("paper");
    let mut sim = Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", paper.to_str().expect("text")]);
    let told = tresen(["--json", "drawer", &sim.address]).well().json();
    assert_eq!(told["drawer"], "kicked", "{told}");
    assert_eq!(sim.line()["drawer"], 1);
    let told = tresen(["--json", "test-page", &sim.address]).well().json();
    assert_eq!(told["outcome"], "printed", "{told}");
    let sheet = std::iter::repeat_with(|| sim.line()).find_map(|l| l["sheet"].as_str().map(str::to_owned));
    let text = std::fs::read_to_string(std::path::Path::new(&sheet.expect("a sheet")).with_extension("txt"));
    let text = text.expect("text");
    assert!(text.contains("TEST PAGE") && text.contains("ÄÖÜ") && text.contains("4006381333931"), "{text}");
    sim.quit();
}

#[test]
fn profiles_are_listed_as_the_example_configuration_promises() {
    let listed = tresen(["info", "--profiles"]).well().out;
    assert!(listed.contains("generic-80mm") && listed.contains("epson-tm-m30"), "{listed}");
    let sim = Sim::start(&["printer", "--out", tempfile::tempdir().expect("a folder").path().to_str().expect("text")]);
    let said = tresen(["info", &sim.address]).well().out;
    assert!(said.contains("profiles   ") && said.contains("generic-58mm"), "{said}");
    sim.quit();
}
