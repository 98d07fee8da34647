//! Programs in C against the library as it is built: linked statically and dynamically, beside simulated devices.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpListener;
use tresen::hal::sim::{self, Server, Shared};
use tresen::payment::zvt;
use tresen::printers::{Profile, escpos};

#[test]
fn a_program_in_c_uses_every_function_well_and_badly() -> Result<(), Box<dyn Error>> {
    let shop = Shop::open()?;
    let program = shop.compile(&folder().join("tests/c/whole.c"), Link::Dynamic)?;
    run(Command::new(program).arg(&shop.config))?;
    assert_eq!(shop.counter.with(|device| device.ledger().entries().len()), 1, "the same key is one payment");
    assert_eq!(shop.paper.with(|device| device.take_sheets().len()), 1, "the same key is one receipt");
    Ok(())
}

#[test]
fn the_readme_has_a_program_that_pays_and_prints() -> Result<(), Box<dyn Error>> {
    let shop = Shop::open()?;
    let readme = std::fs::read_to_string(folder().join("README.md"))?;
    let (_, rest) = readme.split_once("```c\n").ok_or("the README has no program")?;
    let (text, _) = rest.split_once("```").ok_or("its program does not end")?;
    let lines = text.lines().count();
    assert!(lines <= 30, "the README promises 30 lines, it has {lines}");
    let source = shop.folder.path().join("readme.c");
    std::fs::write(&source, text)?;
    let program = shop.compile(&source, Link::Static)?;
    let said = run(Command::new(program).current_dir(shop.folder.path()))?;
    assert!(said.contains("\"charged\""), "{said}");
    assert!(said.contains("\"printed\""), "{said}");
    Ok(())
}

/// Two terminals and a printer on ports of this machine, and the configuration of their till.
struct Shop {
    folder: tempfile::TempDir,
    config: PathBuf,
    counter: Shared<zvt::sim::Simulator>,
    paper: Shared<escpos::sim::Simulator>,
    _served: [Server; 3],
    _threads: tokio::runtime::Runtime,
}

enum Link {
    Dynamic,
    Static,
}

impl Shop {
    fn open() -> Result<Self, Box<dyn Error>> {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let counter = Shared::new(zvt::sim::Simulator::new(zvt::sim::Profile::default()));
        // Long enough to be aborted, whatever else this machine does.
        let pace = Duration::from_secs(2);
        let slow = Shared::new(zvt::sim::Simulator::new(zvt::sim::Profile { pace, ..zvt::sim::Profile::default() }));
        let paper = Shared::new(escpos::sim::Simulator::new(Profile::epson_tm_m30()));
        let (served, at) = threads.block_on(async {
            let (counter, at_counter) = sim::tcp(TcpListener::bind("127.0.0.1:0").await?, counter.clone())?;
            let (slow, at_slow) = sim::tcp(TcpListener::bind("127.0.0.1:0").await?, slow)?;
            let (paper, at_paper) = sim::tcp(TcpListener::bind("127.0.0.1:0").await?, paper.clone())?;
            Ok::<_, Box<dyn Error>>(([counter, slow, paper], [at_counter, at_slow, at_paper]))
        })?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("till.toml");
        let [counter_at, slow_at, paper_at] = at;
        let text = format!(
            "[till]\nname = 'Till of the C program'\n\
             [terminals.counter]\naddress = 'zvt+tcp://{counter_at}'\n\
             [terminals.slow]\naddress = 'zvt+tcp://{slow_at}'\n\
             [printers.receipt]\naddress = 'escpos+tcp://{paper_at}'\nprofile = 'epson-tm-m30'\n"
        );
        std::fs::write(&config, text)?;
        Ok(Self { folder, config, counter, paper, _served: served, _threads: threads })
    }

    /// Compiles a program with all warnings, and links it.
    fn compile(&self, source: &Path, link: Link) -> Result<PathBuf, Box<dyn Error>> {
        let (program, libraries) = (self.folder.path().join("program"), libraries()?);
        let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"]).arg(folder().join("include"));
        cc.arg("-o").arg(&program).arg(source);
        match link {
            Link::Dynamic => {
                let mut rpath = std::ffi::OsString::from("-Wl,-rpath,");
                rpath.push(&libraries);
                cc.arg("-L").arg(&libraries).arg("-ltresen_ffi").arg(rpath)
            }
            Link::Static => cc.arg(archive(&libraries)?).args(["-ldl", "-lm"]),
        };
        run(&mut cc)?;
        Ok(program)
    }
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the libraries were built, together with this test.
fn libraries() -> Result<PathBuf, Box<dyn Error>> {
    Ok(std::env::current_exe()?.parent().ok_or("the test has no folder")?.to_owned())
}

/// The newest static library: its name contains a hash of how it was built.
fn archive(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("libtresen_ffi") && name.ends_with(".a") {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    Ok(found.into_iter().max().ok_or("there is no static library")?.1)
}

fn run(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let done = command.output()?;
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    match done.status.success() {
        true => Ok(out.into_owned()),
        false => Err(format!("{command:?}: {}\n{out}\n{err}", done.status).into()),
    }
}
