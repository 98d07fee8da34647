//! Whatever is wrong: one clear error that names what and where, an exit status that says so, and
//! nothing half-written.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use common::{Said, tresen};
use tempfile::TempDir;

/// An address where nobody listens, and the socket that keeps it so.
struct Nobody(tokio::net::TcpSocket);

impl Nobody {
    fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        Self(socket)
    }

    fn at(&self) -> std::net::SocketAddr {
        self.0.local_addr().expect("bound")
    }
}

/// Answers every connection with `say`, after having heard something, and hangs up.
fn stranger(say: Option<&'static [u8]>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if let Some(say) = say.filter(|_| stream.read(&mut [0; 256]).is_ok_and(|heard| heard > 0)) {
                stream.write_all(say).ok();
            }
        }
    });
    at
}

/// It failed with one error, on one line of standard error, which has all of `parts`.
#[track_caller]
fn fails(said: &Said, parts: &[&str]) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "one error: {said:?}");
    assert!(said.err.starts_with("tresen: "), "{}", said.err);
    for part in parts {
        assert!(said.err.contains(part), "`{}` lacks `{part}`", said.err.trim_end());
    }
}

/// The command line itself is wrong: status 2, and one error.
#[track_caller]
fn misused(said: &Said, parts: &[&str]) {
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
    assert_eq!(said.err.matches("error: ").count(), 1, "one error: {}", said.err);
    for part in parts {
        assert!(said.err.contains(part), "`{}` lacks `{part}`", said.err.trim_end());
    }
}

/// A folder with some bad files.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("written");
    write("note.txt", b"Hello");
    write("letter.pdf", b"%PDF-1.7");
    write("broken.png", b"\x89PNG\r\n\x1a\n and then nothing");
    write("words.png", b"these are words");
    write("latin1.txt", b"Caf\xe9");
    write("receipt.json", b"{\"lines\": 5}");
    write("empty.bin", b"");
    write(
        "till.toml",
        b"[till]\nname = 'Till 1'\n\n[printers.receipt]\naddress = 'escpos+tcp://10.0.0.20'\nprofil = 'x'\n",
    );
    dir
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().expect("text").to_owned()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .expect("a folder")
        .map(|e| e.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn files_that_cannot_be_read_or_understood() {
    let dir = folder();
    let before = names(dir.path());
    let nobody = Nobody::new();
    let printer = format!("escpos+tcp://{}", nobody.at());
    let file = |name: &str| path(&dir, name);
    let out = file("out.png");
    // The file is looked at before the printer is: it need not even be there.
    for (name, what) in [
        ("no.txt", "not found"),
        ("letter.pdf", ".pdf"),
        ("broken.png", "PNG"),
        ("words.png", "PNG"),
        ("latin1.txt", "UTF-8"),
        ("receipt.json", "not a receipt document"),
    ] {
        fails(&tresen(["print", &printer, &file(name)]), &[&file(name), what]);
    }
    for name in ["no.png", "broken.png", "words.png", "note.txt"] {
        fails(&tresen(["decode", &file(name)]), &[&file(name)]);
    }
    let said = tresen(["decode", &file("words.png"), &file("no.png")]);
    assert_eq!((said.code, said.err.lines().count()), (Some(1), 2), "one error for each: {said:?}");
    fails(&tresen(["render", &file("no.bin"), "-o", &out]), &["no.bin", "not found"]);
    fails(&tresen(["render", &file("empty.bin"), "-o", &out]), &["empty.bin", "prints nothing"]);
    fails(&tresen(["render", &file("note.txt"), "-o", &file("no/such/out.png")]), &["no/such/out.png"]);
    fails(&tresen(["check-config", &file("no.toml")]), &["no.toml", "no such file"]);
    let faulty = format!("{}:6", file("till.toml"));
    fails(&tresen(["check-config", &file("till.toml")]), &[&faulty, "printers.receipt.profil", "profile", "width"]);
    fails(&tresen(["scan", &format!("camera+file://{}", file("frames"))]), &["frames"]);
    assert_eq!(names(dir.path()), before, "nothing was left behind");
}

#[test]
fn folders_that_cannot_be_written() {
    let dir = folder();
    let before = names(dir.path());
    // A file in place of the folder stops also those who may write everywhere.
    let taken = path(&dir, "note.txt");
    fails(&tresen(["demo", "--out", &taken]), &[&taken]);
    fails(&tresen(["sim", "printer", "--listen", "127.0.0.1:0", "--out", &taken]), &[&taken]);
    let (at, inside) = (stranger(None), format!("{taken}/journal.db"));
    fails(&tresen(["pay", &format!("zvt+tcp://{at}"), "1.00", "--journal", &inside]), &[&inside]);
    assert_eq!(std::fs::read(&taken).expect("readable"), b"Hello");
    assert_eq!(names(dir.path()), before);
}

#[test]
fn addresses_and_amounts_that_are_none() {
    for (address, what) in [
        ("10.0.0.20", "`10.0.0.20`"),
        ("escpos+tcp//x", "escpos+tcp//x"),
        ("escpos+carrier-pigeon://x", "carrier-pigeon"),
        ("escpos+tcp://x:99999", "99999"),
    ] {
        misused(&tresen(["info", address]), &["ADDRESS", what]);
    }
    for amount in ["twelve", "12.345", "12,50,1", "12.50 XX"] {
        misused(&tresen(["pay", "zvt+tcp://127.0.0.1", amount]), &["AMOUNT", amount]);
    }
    misused(&tresen(["pay", "zvt+tcp://127.0.0.1"]), &["AMOUNT"]);
    misused(&tresen(["sim", "printer", "--profile", "no-such"]), &["no-such", "generic-80mm"]);
    misused(&tresen(["demo", "--fault", "fire"]), &["fire", "paper-out"]);
    fails(&tresen(["info", "telex+tcp://127.0.0.1:1"]), &["`telex`", "escpos", "zvt"]);
    let dir = folder();
    let journal = path(&dir, "journal.db");
    let sim = common::Sim::start(&["terminal"]);
    for amount in ["0", "0.00"] {
        let said = tresen(["pay", &sim.address, amount, "--journal", &journal]);
        fails(&said, &[&sim.address, "cannot be paid", "above zero"]);
    }
    assert_eq!(payments(&journal), 0, "nothing was meant");
    sim.quit();
    let said = tresen(["print", "zvt+tcp://127.0.0.1:1", &path(&dir, "note.txt")]);
    fails(&said, &["printers", "`zvt`"]);
    let said = tresen(["print", "escpos+tcp://127.0.0.1:1?profil=x", &path(&dir, "note.txt")]);
    fails(&said, &["`profil`", "profile"]);
}

#[test]
fn nobody_listens() {
    let dir = folder();
    let nobody = Nobody::new();
    let at = nobody.at().to_string();
    fails(&tresen(["print", &format!("escpos+tcp://{at}"), &path(&dir, "note.txt")]), &[&at, "refused"]);
    fails(&tresen(["info", &format!("escpos+tcp://{at}")]), &[&at, "refused"]);
    fails(&tresen(["info", &format!("zvt+tcp://{at}")]), &[&at, "refused"]);
    fails(&tresen(["scan", &format!("scanner+tcp://{at}"), "--count", "1"]), &[&at, "refused"]);
    let journal = path(&dir, "journal.db");
    fails(&tresen(["pay", &format!("zvt+tcp://{at}"), "12.50", "--journal", &journal]), &[&at, "refused"]);
    assert_eq!(payments(&journal), 0, "nothing was meant");
    fails(&tresen(["pay", &format!("zvt+tcp://{at}"), "--recover", "--journal", &journal]), &[&at, "refused"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("bound").to_string();
    fails(&tresen(["sim", "terminal", "--listen", &taken]), &[&taken, "in use"]);
}

/// How many payments a journal has.
fn payments(journal: &str) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a thread");
    runtime.block_on(async {
        let clock = std::sync::Arc::new(tresen::SystemRuntime::new());
        let store = tresen::Store::open(Path::new(journal), clock).await.expect("a journal");
        store.payments().await.expect("readable").len()
    })
}

#[test]
fn what_answers_is_no_terminal() {
    let dir = folder();
    let at = stranger(Some(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")).to_string();
    let journal = path(&dir, "journal.db");
    fails(&tresen(["pay", &format!("zvt+tcp://{at}"), "12.50", "--journal", &journal]), &[&at]);
    assert_eq!(payments(&journal), 0, "nothing was meant");
    fails(&tresen(["info", &format!("zvt+tcp://{at}")]), &[&at]);
}

#[test]
fn a_printer_that_closes_the_connection() {
    let dir = folder();
    let at = stranger(None).to_string();
    fails(&tresen(["print", &format!("escpos+tcp://{at}"), &path(&dir, "note.txt")]), &[&at, "closed", "another"]);

    // In the middle of a job: then it may be on paper.
    let long = path(&dir, "long.txt");
    std::fs::write(&long, "a line of text\n".repeat(500)).expect("written");
    let paper = path(&dir, "paper");
    let mut sim = common::Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", &paper]);
    sim.type_in("hang up after 1000");
    // The simulator reads its keyboard and its port independently; only a fault that is set is of use.
    let said = (0..100).map(|_| tresen(["print", &sim.address, &long])).find(|said| said.code != Some(0));
    fails(&said.expect("it hangs up"), &[sim.address.trim_start_matches("escpos+tcp://"), "check the paper"]);
    sim.quit();
}

#[test]
fn errors_are_json_for_scripts() {
    let dir = folder();
    let nobody = Nobody::new();
    let printer = format!("escpos+tcp://{}", nobody.at());
    for (args, kind) in [
        (["print", &printer, &path(&dir, "note.txt")], "refused"),
        (["print", &printer, &path(&dir, "no.txt")], "not-found"),
        (["print", &printer, &path(&dir, "letter.pdf")], "input"),
        (["decode", &path(&dir, "words.png"), "--"], "input"),
        (["check-config", &path(&dir, "till.toml"), "--"], "config"),
    ] {
        let said = tresen([&["--json"], &args[..]].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        let error: serde_json::Value = serde_json::from_str(&said.err).unwrap_or_else(|e| panic!("{e}: {}", said.err));
        assert_eq!(error["kind"], kind, "{error}");
        assert_eq!(error["effect"], "none", "{error}");
        assert!(error["error"].as_str().is_some_and(|e| !e.is_empty()), "{error}");
        assert!(error["device"].as_str().is_some_and(|e| !e.is_empty()), "{error}");
    }
}

/// Opening a pipe would wait for whoever writes to it, for ever.
#[cfg(unix)]
#[test]
fn a_pipe_and_a_device_are_no_database_and_no_file_of_an_export() {
    let dir = folder();
    let pipe = path(&dir, "pipe.db");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("coreutils");
    assert!(made.success());
    for args in [vec!["status", &pipe], vec!["backup", &pipe, "copy.db"], vec!["export", &pipe, "--what", "tickets"]] {
        fails(&tresen(args), &["pipe.db", "a device or a pipe"]);
    }
    let db = path(&dir, "till.db");
    let store = tresen::Store::open(db.as_ref(), std::sync::Arc::new(tresen::SystemRuntime::new()));
    let threads = tokio::runtime::Runtime::new().expect("threads");
    threads.block_on(async { drop(store.await.expect("made")) });
    fails(&tresen(["export", &db, "--what", "tickets", "-o", &pipe]), &["pipe.db", "no regular file"]);
    // A link stays a link to the file.
    let (link, to) = (path(&dir, "link.csv"), path(&dir, "tickets.csv"));
    std::os::unix::fs::symlink("tickets.csv", &link).expect("linked");
    tresen(["export", &db, "--what", "tickets", "-o", &link]).well();
    let is_link = std::fs::symlink_metadata(&link).expect("there").is_symlink();
    assert!(is_link && std::fs::read_to_string(to).expect("written").starts_with("till,"));
}

#[test]
fn names_do_not_operate_the_terminal() {
    let dir = folder();
    let file = path(&dir, "names.toml");
    let text = "[till]\nname = \"a\\u001b[2Jb\"\n[printers.\"x\\ny\"]\naddress = \"escpos+tcp://127.0.0.1:9\"\n";
    std::fs::write(&file, text).expect("written");
    let said = tresen(["check-config", &file]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.err.matches("must not contain control characters").count(), 2, "{}", said.err);
    assert!(!said.err.contains('\u{1b}') && !said.out.contains('\u{1b}'), "{said:?}");
}
