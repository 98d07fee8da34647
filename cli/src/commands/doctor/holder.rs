//! Which program on this machine holds a device or a connection, without special rights where possible.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The programs that have the file or device at `path` open: `process 4711 (minicom)`. Without special rights that is
/// known of one's own programs, and of others' if they locked it.
pub(super) fn of_file(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let open = with_open(|target| target == path);
    if open.is_empty() {
        return by_lock(&path, &fs::read_to_string("/proc/locks").ok()?);
    }
    Some(open.join(" and "))
}

/// The programs that are connected to `address`, but for this one.
pub(super) fn of_connection(address: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets: Vec<PathBuf> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes(&table, address))
        .map(|inode| PathBuf::from(format!("socket:[{inode}]")))
        .collect();
    let open = with_open(|target| sockets.iter().any(|socket| socket == target));
    (!open.is_empty()).then(|| open.join(" and "))
}

/// The other processes with an open file that fits.
fn with_open(fits: impl Fn(&Path) -> bool) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|target| fits(&target)) {
            found.push(named(&pid));
        }
    }
    found
}

/// The holder of a lock on the file, as /proc/locks tells everybody: `1: FLOCK ADVISORY WRITE 4711 00:06:92 0 EOF`.
#[cfg(unix)]
fn by_lock(path: &Path, locks: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{}", fs::metadata(path).ok()?.ino());
    let line = locks.lines().find(|line| line.split_whitespace().nth(5).is_some_and(|id| id.ends_with(&inode)))?;
    let pid = line.split_whitespace().nth(4)?;
    (pid.parse::<u32>().ok()? != std::process::id()).then(|| named(pid))
}

#[cfg(not(unix))]
fn by_lock(_: &Path, _: &str) -> Option<String> {
    None
}

/// `process 4711 (minicom)`
pub(super) fn named(pid: &str) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim_end()),
        Err(_) => format!("process {pid}"),
    }
}

/// The inodes of sockets with an established connection to `address`. proc(5), /proc/net/tcp: `rem_address` is the
/// address in hexadecimal, in the machine's byte order, and the port; state 01 is established.
fn inodes(table: &str, address: SocketAddr) -> Vec<String> {
    let connected = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (remote, state, inode) = (columns.get(2)?, columns.get(3)?, columns.get(9)?);
        (*state == "01" && parsed(remote)? == address && *inode != "0").then(|| (*inode).to_owned())
    });
    connected.collect()
}

fn parsed(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Option<Vec<u32>> =
        (0..ip.len() / 8).map(|i| u32::from_str_radix(ip.get(8 * i..8 * i + 8)?, 16).ok()).collect();
    let ip = match words?.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(word.to_ne_bytes())),
        [a, b, c, d] => {
            let mut bytes = [0; 16];
            for (i, word) in [a, b, c, d].into_iter().enumerate() {
                bytes[4 * i..4 * i + 4].copy_from_slice(&word.to_ne_bytes());
            }
            let ip = Ipv6Addr::from(bytes);
            ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(all(test, target_os = "linux", target_endian = "little"))]
mod tests {
    use super::*;

    /// As in proc(5), and from a machine: 127.0.0.1:9100 is 0100007F:238C.
    #[test]
    fn a_connection_is_found_by_its_other_end() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:238C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1\n\
            1: 0100007F:C350 0100007F:238C 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1\n\
            2: 0100007F:C351 0100007F:238C 06 00000000:00000000 00:00000000 00000000     0        0 0 1\n";
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(inodes(table, at("127.0.0.1:9100")), ["4242"]);
        assert_eq!(inodes(table, at("127.0.0.1:9101")), [""; 0]);
        let mapped = "0000000000000000FFFF00000100007F:238C";
        assert_eq!(parsed(mapped), Some(at("127.0.0.1:9100")));
        for wrong in ["", ":", "0100007F", "0100007G:0001", "01:02"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_programs_own_files_are_not_anothers() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(of_file(file.path()), None);
        let mut other = std::process::Command::new("sleep");
        let mut other = other.arg("1000").stdin(file.reopen().expect("open")).spawn().expect("starts");
        let held = of_file(file.path());
        other.kill().expect("runs");
        other.wait().expect("ends");
        assert_eq!(held, Some(format!("process {} (sleep)", other.id())));
    }
}
