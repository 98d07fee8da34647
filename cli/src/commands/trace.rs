use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tresen::hal::Language;
use tresen::hal::link::record::Direction;
use tresen::hal::link::replay::Entry;
use tresen::hal::trace::{Told, Tracer};
use tresen::payment::trace::Nexo;
use tresen::{Address, Error, Kind, Result};

use crate::devices;
use crate::out::Out;

/// Print a recording in words
///
/// Shows the dialogue with a terminal as `record=FILE` or `tresen record` wrote it: when, who, what, with the fields of
/// each message (ZVT, OPI, nexo, PayTec). Card data is masked, in recordings of other programs too. Recordings of other
/// devices are shown as bytes. For pictures of codes see `tresen decode`, for what a printer prints `tresen render`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The recordings, one after the other. What a later connection was recorded in (`FILE.2`, `FILE.3`) follows its FILE
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Go on as the last recording grows, until it ends or Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// The language of the words
    #[arg(short, long, default_value = "en", value_name = "en|de")]
    language: Language,

    /// nexo: the file with the passphrase of the key that seals the messages, for recordings of other programs; our own
    /// hold no sealed content
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// How often a growing file is looked at.
const LOOK: Duration = Duration::from_millis(300);

pub(crate) async fn run(args: Args, out: Out) -> Result<()> {
    let mut files: VecDeque<PathBuf> = args.files.iter().cloned().collect();
    while let Some(file) = files.pop_front() {
        for part in later_parts(&file).into_iter().rev().filter(|part| !args.files.contains(part)) {
            if !files.contains(&part) {
                files.push_front(part);
            }
        }
        tell(&file, &args, files.is_empty(), out).await?;
    }
    Ok(())
}

/// Tells one recording. The last one may grow.
async fn tell(file: &Path, args: &Args, last: bool, out: Out) -> Result<()> {
    let mut lines = Lines::open(file)?;
    let first = lines.next()?.filter(|line| Entry::label(line).is_some());
    let Some(first) = first else {
        return Err(Error::new(Kind::Input, "is no recording: it does not begin with `tresen-capture 1`")
            .at(file.display())
            .hint("recordings are made with `record=FILE` in an address, or with `tresen record`"));
    };
    let label = Entry::label(&first).unwrap_or_default().to_owned();
    let mut words = Words::new(&label, file, args, out)?;
    loop {
        match lines.next()? {
            Some(line) if line.trim().is_empty() => {}
            Some(line) => match Entry::parse(&line) {
                Ok(Entry::Chunk { at, direction, bytes }) => words.chunk(at, direction, &bytes),
                Ok(Entry::End { at }) => {
                    words.end(Some(at));
                    return Ok(());
                }
                Err(why) => {
                    words.end(None);
                    return Err(Error::new(Kind::Input, format!("line {}: {why}", lines.number))
                        .at(file.display())
                        .hint("the recording is damaged from there on"));
                }
            },
            None if args.follow && last => tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            },
            None => {
                words.end(None);
                out.note("the recording does not end: it was cut off, or goes on (`--follow`)");
                return Ok(());
            }
        }
    }
}

/// `FILE.2`, `FILE.3` and so on, in their order: each new connection of a device is recorded in a file of its own.
fn later_parts(file: &Path) -> Vec<PathBuf> {
    let Some(name) = file.file_name().map(|name| name.to_string_lossy().into_owned()) else { return Vec::new() };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |found: &str| found.strip_prefix(&name)?.strip_prefix('.')?.parse::<u32>().ok().filter(|at| *at > 1);
    let mut parts: Vec<_> = beside.filter_map(|entry| number(&entry.file_name().to_string_lossy())).collect();
    parts.sort_unstable();
    let part = |at: u32| file.with_file_name(format!("{name}.{at}"));
    parts.into_iter().map(part).collect()
}

/// The whole lines of a file that may grow.
struct Lines {
    file: BufReader<File>,
    path: PathBuf,
    part: Vec<u8>,
    number: usize,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::file(path, e))?;
        Ok(Self { file: BufReader::new(file), path: path.to_owned(), part: Vec::new(), number: 0 })
    }

    /// The next line; `None` if there is none yet. A line that the writer has not finished waits.
    fn next(&mut self) -> Result<Option<String>> {
        self.file.read_until(b'\n', &mut self.part).map_err(|e| Error::file(&self.path, e))?;
        if !self.part.ends_with(b"\n") {
            return Ok(None);
        }
        self.number += 1;
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.part)).trim_end().to_owned();
        Ok(Some(line))
    }
}

/// Prints messages as they become complete.
pub(super) struct Words {
    tracer: Box<dyn Tracer>,
    language: Language,
    out: Out,
}

impl Words {
    fn new(label: &str, recording: &Path, args: &Args, out: Out) -> Result<Self> {
        let language = args.language;
        let protocol = label.parse::<Address>().map(|address| address.protocol().to_owned()).unwrap_or_default();
        let tracer: Box<dyn Tracer> = match &args.passphrase_file {
            Some(file) if protocol == "nexo" => {
                let passphrase = std::fs::read_to_string(file).map_err(|e| Error::file(file, e))?;
                Box::new(Nexo::new(language).with_passphrase(passphrase.trim_end_matches(['\r', '\n'])))
            }
            Some(_) => {
                let what = format!("`--passphrase-file` is for nexo; this is a recording of `{label}`");
                return Err(Error::new(Kind::Input, what).at(recording.display()));
            }
            None => devices::drivers().tracer(label, language),
        };
        match args.files.as_slice() {
            [only] if only == recording => out.say(label),
            _ => out.say(format_args!("{}: {label}", recording.display())),
        }
        Ok(Self { tracer, language, out })
    }

    /// In English, of the traffic with the device at `label`.
    pub(super) fn of(label: &str, out: Out) -> Self {
        let language = Language::English;
        Self { tracer: devices::drivers().tracer(label, language), language, out }
    }

    pub(super) fn chunk(&mut self, at: Duration, direction: Direction, bytes: &[u8]) {
        for told in self.tracer.feed(direction, bytes) {
            self.tell(at, direction, &told);
        }
    }

    pub(super) fn end(&mut self, at: Option<Duration>) {
        for direction in [Direction::Sent, Direction::Received] {
            for told in self.tracer.finish(direction) {
                self.tell(at.unwrap_or_default(), direction, &told);
            }
        }
    }

    fn tell(&self, at: Duration, direction: Direction, told: &Told) {
        let (device, till) = if self.language == Language::German { ("Gerät", "Kasse") } else { ("device", "till") };
        let (mark, from, key) = match direction {
            Direction::Sent => ('>', till, "till"),
            Direction::Received => ('<', device, "device"),
        };
        let seconds = at.as_secs_f64();
        let mut text = format!("{seconds:10.3} {mark} {from:<6}  {}", one_line(&told.title));
        for line in &told.details {
            text += &format!("\n{:21}{}", "", one_line(line));
        }
        let value = json!({ "at": seconds, "from": key, "message": told.title, "details": told.details });
        self.out.answer(&value, text);
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("language", &self.language).finish_non_exhaustive()
    }
}

/// Texts of a device must not begin another line.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}
