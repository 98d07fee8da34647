//! Runs the built command as a person or a script does.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Nothing that these tests run takes this long, unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(50);

/// What the command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// It went well, and nothing was complained about.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self
    }

    /// The last line, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.out.lines().last().expect("a line")).expect("JSON")
    }
}

pub(crate) fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tresen"));
    command.args(args).env_remove("RUST_LOG").env("NO_COLOR", "1").env("COLUMNS", "100");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the command to its end.
pub(crate) fn tresen<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Said {
    Running::from(command(args)).end()
}

/// Starts the command.
pub(crate) fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Running {
    Running::from(command(args))
}

/// The command while it runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    out: Stream,
    err: Stream,
}

/// What the command writes to one of its outputs, line by line, as it comes.
struct Stream {
    lines: Receiver<String>,
    heard: String,
}

impl From<Command> for Running {
    fn from(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the command was built");
        let out = Stream::of(child.stdout.take().expect("piped"));
        let err = Stream::of(child.stderr.take().expect("piped"));
        Self { child, out, err }
    }
}

impl Stream {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (heard, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).expect("text") > 0 {
                heard.send(std::mem::take(&mut line)).ok();
            }
        });
        Self { lines, heard: String::new() }
    }

    /// Reads on until a line holds `text`, or to the end if it is none. False if that does not come by `deadline`.
    fn read(&mut self, text: Option<&str>, deadline: Instant) -> bool {
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.heard += &line;
                    if text.is_some_and(|text| line.contains(text)) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return text.is_none(),
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Running {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: it writes, closes and says nothing more.
    pub(crate) fn kill(mut self) {
        assert!(self.child.try_wait().expect("it can be asked").is_none(), "it ended by itself");
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Ctrl-C.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill is there").success());
    }

    /// Waits until it complains of something: a line on standard error that holds `text`.
    #[track_caller]
    pub(crate) fn complains(&mut self, text: &str) {
        assert!(self.err.read(Some(text), Instant::now() + DEADLINE), "no `{text}` in {:?}", self.err.heard);
    }

    /// Waits until it says something: a line on standard output that holds `text`.
    #[track_caller]
    pub(crate) fn says(&mut self, text: &str) {
        assert!(self.out.read(Some(text), Instant::now() + DEADLINE), "no `{text}` in {:?}", self.out.heard);
    }

    /// The next line that it says, as JSON.
    #[track_caller]
    pub(crate) fn json(&mut self) -> serde_json::Value {
        let line = self.out.lines.recv_timeout(DEADLINE).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: `{line}`"))
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Said {
        self.end_within(DEADLINE).unwrap_or_else(|| panic!("it does not end within {DEADLINE:?}"))
    }

    /// Waits for its end, and kills it if that does not come in time.
    pub(crate) fn end_within(mut self, time: Duration) -> Option<Said> {
        // Its outputs end with it.
        let deadline = Instant::now() + time;
        if !self.out.read(None, deadline) || !self.err.read(None, deadline) {
            return None;
        }
        let code = self.child.wait().expect("it ends").code();
        let [out, err] = [&mut self.out, &mut self.err].map(|stream| std::mem::take(&mut stream.heard));
        Some(Said { code, out, err })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A simulator of the command, with someone at its keyboard.
pub(crate) struct Sim {
    running: Running,
    keyboard: ChildStdin,
    pub(crate) address: String,
}

impl Sim {
    /// `tresen sim …` on a free port, with `--json`.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::with(&[args, &["--listen", "127.0.0.1:0"]].concat())
    }

    /// `tresen sim …` with these arguments only, and `--json`.
    pub(crate) fn with(args: &[&str]) -> Self {
        let mut command = command([&["sim"], args, &["--json"]].concat());
        command.stdin(Stdio::piped());
        let mut running = Running::from(command);
        let keyboard = running.child.stdin.take().expect("piped");
        let mut sim = Self { running, keyboard, address: String::new() };
        sim.address = sim.line()["address"].as_str().expect("an address").to_owned();
        sim
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> serde_json::Value {
        self.running.json()
    }

    pub(crate) fn type_in(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").expect("it listens");
    }

    /// Ends it by its own command.
    pub(crate) fn quit(mut self) {
        self.type_in("quit");
        let said = self.running.end();
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    }
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
