//! What the doctor learns from the kernel: who may open a device, and which program has it. With pseudo-terminals; the
//! other kinds of devices are in `tests/lab`.
#![cfg(all(target_os = "linux", feature = "serial"))]

mod common;

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use common::{Running, start};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{ioctl_tiocexcl, ioctl_tiocnxcl};
use serde_json::Value;
use tempfile::TempDir;

/// The user `nobody`.
const NOBODY: u32 = 65_534;

/// Someone without special rights: who runs this test or, since nothing is forbidden to root, `nobody`.
struct Visitor {
    uid: Option<u32>,
    /// The command, where `nobody` may run it.
    _folder: TempDir,
    program: std::path::PathBuf,
}

impl Visitor {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("its own");
        let program = folder.path().join("tresen");
        // Another program copies it: a process that a test beside this one starts would inherit the open file, and what
        // is open for writing does not run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_tresen")).arg(&program).status();
        assert!(copied.is_ok_and(|status| status.success()), "the command was built");
        Self { uid: is_root().then_some(NOBODY), _folder: folder, program }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env("NO_COLOR", "1").env_remove("RUST_LOG");
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(id) = self.uid {
            command.uid(id).gid(id);
        }
        command
    }

    /// What the doctor tells this user about a device, and its exit status.
    fn doctor(&self, address: &str) -> (Vec<Value>, Option<i32>) {
        let said = Running::from(self.command(&self.program, &["--json", "doctor", address])).end();
        let found = said.out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")));
        (found.collect(), said.code)
    }

    /// The doctor finds a fault, and what it tells holds all parts.
    #[track_caller]
    fn fails(&self, address: &str, parts: &[&str]) {
        let (found, code) = self.doctor(address);
        let failed = found.iter().find(|f| f["state"] == "failed").unwrap_or_else(|| panic!("all is well: {found:#?}"));
        assert_eq!(code, Some(1), "{found:#?}");
        for part in parts {
            assert!(failed.to_string().contains(part), "no `{part}` in {failed:#}");
        }
    }

    /// A program of this user that has a file open.
    fn holds(&self, file: &File) -> Child {
        let mut holder = self.command("sleep", &["1000"]);
        holder.stdin(file.try_clone().expect("open")).spawn().expect("starts")
    }
}

/// proc(5): /proc/PID belongs to the user of the process.
fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc").uid() == 0
}

/// A pseudo-terminal: its far end, its near end, and the path of that.
fn port() -> (File, File, String) {
    let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&far).and_then(|()| unlockpt(&far)).expect("its own");
    let path = ptsname(&far, Vec::new()).expect("a name").into_string().expect("text");
    let near = OpenOptions::new().read(true).write(true).open(&path).expect("opens");
    (File::from(far), near, path)
}

fn allow(path: &str, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its owner, or root");
}

fn ended(mut child: Child) {
    child.kill().expect("runs");
    child.wait().expect("ends");
}

#[test]
fn a_port_that_this_user_may_not_open_names_its_group_and_the_next_step() {
    let visitor = Visitor::new();
    let (_far, _near, path) = port();
    let group = Command::new("stat").args(["-c", "%G", &path]).output().expect("coreutils").stdout;
    let group = String::from_utf8(group).expect("text").trim().to_owned();
    let belongs = format!("{path} belongs to the group `{group}`, mode ");
    for address in [format!("scanner+serial://{path}"), format!("escpos+serial://{path}")] {
        allow(&path, 0);
        visitor.fails(&address, &[&format!("{belongs}0"), "udev rule", "`tresen list`"]);
        // The owner may not, the group may.
        allow(&path, 0o060);
        let step = match group.as_str() {
            "root" => "udev rule".to_owned(),
            group => format!("sudo usermod -aG {group} $USER, then log in again"),
        };
        visitor.fails(&address, &[&format!("{belongs}60"), &step]);
    }
    allow(&path, 0o666);
    let (found, code) = visitor.doctor(&format!("scanner+serial://{path}"));
    assert_eq!(code, Some(0), "{found:#?}");
}

/// tty_ioctl(2), TIOCEXCL: whoever opens the terminal from then on gets EBUSY, unless it is root.
#[test]
fn a_port_that_another_program_has_for_itself_names_that_program() {
    let visitor = Visitor::new();
    let (_far, near, path) = port();
    allow(&path, 0o666);
    let address = format!("scanner+serial://{path}");
    let holder = visitor.holds(&near);
    ioctl_tiocexcl(&near).expect("a terminal");
    let named = format!("process {} (sleep)", holder.id());
    visitor.fails(&address, &[&named, "has it open", "end that program"]);
    ended(holder);
    ioctl_tiocnxcl(&near).expect("a terminal");
    let (found, code) = visitor.doctor(&address);
    assert_eq!(code, Some(0), "{found:#?}");
}

/// The programs of other users cannot be looked into, but a lock names its holder to everybody.
#[test]
fn a_program_of_another_user_is_named_by_its_lock_or_not_at_all() {
    let visitor = Visitor::new();
    if visitor.uid.is_none() {
        // Without root there is no other user here whose program could hold the port.
        eprintln!("NOT TESTED: needs to be run by root, to have programs of two users");
        return;
    }
    let (_far, near, path) = port();
    allow(&path, 0o666);
    let address = format!("scanner+serial://{path}");
    let mut holder = start(["scan", &address, "-v"]);
    holder.says("reading from");
    visitor.fails(&address, &["(tresen) has it open", "end that program"]);
    holder.kill();

    let holder = Command::new("sleep").arg("1000").stdin(near.try_clone().expect("open")).spawn().expect("starts");
    ioctl_tiocexcl(&near).expect("a terminal");
    visitor.fails(&address, &["a program of another user has it open", "sudo"]);
    ended(holder);
}
