//! What the lab's tests share: USB gadgets on the kernel's own stack, simulators behind them, and bounded
//! waiting. It works as root in the lab's virtual machine only; `tests/lab/run` boots it.
#![cfg(target_os = "linux")]

mod ffs;
mod gadget;
pub mod net;
mod paper;
#[cfg(feature = "camera")]
pub mod picture;
mod race;
#[cfg(feature = "bluetooth")]
pub mod radio;
mod served;
pub mod uhid;
pub mod video;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub use ffs::{FfsPrinter, Script};
pub use gadget::{Gadget, KEYBOARD, POS_SCANNER};
pub use paper::Paper;
pub use race::Race;
pub use served::Served;

/// How long anything in the emulated machine may take. Its CPU is about twelve times slower than ours.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Loads a kernel module, with parameters.
///
/// # Panics
/// It cannot be loaded.
pub fn modprobe(arguments: &str) {
    run(&format!("modprobe {arguments}"));
}

/// Runs a command line.
///
/// # Panics
/// It fails.
pub fn run(line: &str) {
    let done = Command::new("bash").args(["-c", line]).output().expect("bash");
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Waits until `condition` holds, for what announces itself nowhere: a file in /sys or /dev.
///
/// # Panics
/// It does not within [`PATIENCE`].
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited {} s for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for a file.
///
/// # Panics
/// As [`until`].
pub fn until_exists(path: impl AsRef<Path>) {
    let path = path.as_ref();
    until(&path.display().to_string(), || path.exists());
}

/// Ends a future that takes longer than [`PATIENCE`].
///
/// # Panics
/// It does.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what} took longer than {} s", PATIENCE.as_secs()),
    }
}

/// Open descriptors of this process.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// Threads of this process.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("/proc").count()
}

/// A file that the lab's scripts have fetched or built: beside the kernel that they booted, whose place is on its
/// command line, or above.
fn fetched(file: &Path) -> Option<std::path::PathBuf> {
    let line = std::fs::read_to_string("/proc/cmdline").ok()?;
    let kernel = line.split_whitespace().find_map(|word| word.strip_prefix("lab.kernel="))?;
    Path::new(kernel).ancestors().map(|folder| folder.join(file)).find(|path| path.exists())
}

/// Whether this is what [`again_as_nobody`] runs.
pub fn is_nobody() -> bool {
    std::env::var_os("LAB_NOBODY").is_some()
}

/// Runs one test of this program again as the user `nobody`.
///
/// # Panics
/// It fails there.
pub fn again_as_nobody(test: &str) {
    let mut again = Command::new(std::env::current_exe().expect("this program"));
    again.args(["--exact", test]).env("LAB_NOBODY", "1").uid(65534).gid(65534);
    let done = again.output().expect("runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

/// Writes a measurement where the test's output shows it and `tests/lab/run` collects it.
#[allow(clippy::print_stdout, reason = "tests/lab/run reads the output")]
pub fn measured(line: &str) {
    println!("measured: {line}");
    if let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open("/run/out/measured") {
        std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes()).ok();
    }
}
