//! A PostgreSQL server of the test's own: in its own folder, on a free port of this machine, stopped with the test.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

pub(crate) struct Cluster {
    dir: TempDir,
    bin: PathBuf,
    /// The user that the server runs as: it refuses to run as root.
    user: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
    settings: Vec<String>,
}

impl Cluster {
    /// Creates a cluster whose superuser is `admin`, and starts it.
    pub(crate) async fn start() -> Self {
        let mut cluster = Self::new();
        cluster.launch().await;
        cluster
    }

    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let is_root = number("id", &["-u"]) == Some(0);
        let user = is_root.then(|| {
            ["postgres", "nobody"]
                .iter()
                .find_map(|name| Some((number("id", &["-u", name])?, number("id", &["-g", name])?)))
                .expect("a user other than root")
        });
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).expect("owned");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let cluster = Self { bin: binaries(), user, port, server: None, settings: Vec::new(), dir };
        let made = cluster
            .command("initdb")
            .args(["--username=admin", "--auth=trust", "--no-sync", "--locale=C"])
            .args(["--encoding=UTF8", "--pgdata"])
            .arg(cluster.data())
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A setting for the next start.
    pub(crate) fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Writes a file that the server can read.
    pub(crate) fn write(&self, path: &Path, text: &str) {
        fs::write(path, text).expect("written");
        if let Some((uid, gid)) = self.user {
            chown(path, Some(uid), Some(gid)).expect("owned");
        }
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("private");
    }

    /// Starts the server and waits until it answers.
    pub(crate) async fn launch(&mut self) {
        loop {
            let mut start = self.command("postgres");
            start.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
            // A killed server loses nothing that the system has taken; only a power cut would need `fsync`.
            for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=40"]
            {
                start.args(["-c", setting]);
            }
            self.settings.iter().for_each(|setting| _ = start.args(["-c", setting]));
            let log =
                fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("log")).expect("a log");
            let mut server = start.stdout(Stdio::null()).stderr(log).spawn().expect("postgres starts");
            // It exits while processes of the server before it are still ending.
            loop {
                if server.try_wait().expect("a process").is_some() {
                    break;
                }
                if self.try_connect("admin", "postgres").await.is_ok() {
                    self.server = Some(server);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills the server with all its processes.
    pub(crate) fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let mut all = vec![server.id()];
        for entry in fs::read_dir("/proc").expect("processes").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
            if parent == Some(server.id()) {
                all.push(pid);
            }
        }
        let pids: Vec<_> = all.iter().map(u32::to_string).collect();
        Command::new("sh").args(["-c", &format!("kill -9 {} 2>/dev/null", pids.join(" "))]).status().ok();
        server.wait().ok();
    }

    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn connect(&self, role: &str, database: &str) -> Client {
        self.try_connect(role, database).await.expect("connects")
    }

    async fn try_connect(&self, role: &str, database: &str) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.url(role, database), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir(self.dir.path()).env_remove("PGPASSWORD").env("LC_ALL", "C");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(20).collect();
            eprintln!("the server's last words:\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The newest installed server.
fn binaries() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = installed
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("postgres").exists() && bin.join("initdb").exists())
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, bin)| bin);
    newest.expect("install the server: on Debian, the package `postgresql`")
}

fn number(program: &str, args: &[&str]) -> Option<u32> {
    let out = Command::new(program).args(args).output().ok().filter(|out| out.status.success())?;
    String::from_utf8_lossy(&out.stdout).trim().parse().ok()
}
