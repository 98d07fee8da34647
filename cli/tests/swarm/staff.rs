//! The handhelds as processes: enrolled by the real commands, started, killed, started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::common::tresen;
use crate::dice::Dice;
use crate::handheld::{CERTIFICATE, CONFIG, DONE, FINISH, LEAVE, ME, Me, NOTES};
use crate::notes::Notes;
use crate::shop::Shop;
use crate::{GUARD, HANDHELD, Plan};

/// All handhelds.
pub(crate) struct Staff {
    members: Vec<Member>,
    kills: u64,
}

struct Member {
    me: Me,
    folder: PathBuf,
    process: Option<Child>,
    /// When somebody switches it on again.
    due: Option<Instant>,
}

impl Staff {
    /// Has each of them join the till, by a one-time code: `tresen enrol`, `tresen join`.
    pub(crate) fn enrol(shop: &Shop, plan: Plan, network: std::net::SocketAddr) -> Self {
        let members = (1..=plan.handhelds).map(|number| {
            let devices = has_devices(number);
            let me = Me { number, seed: plan.seed, url: format!("wss://{network}"), devices };
            let folder = shop.folder().join(format!("handheld-{number}"));
            std::fs::create_dir(&folder).expect("a new folder");
            let rights = "watch sell print scan pay attach";
            let config = shop.config();
            let code = tresen(["enrol", text(&config), &me.name(), "--rights", rights, "--json"]).well().json();
            let code = code["code"].as_str().expect("a code").to_owned();
            let till = format!("wss://{}", shop.till_at());
            tresen(["join", &till, "--code", &code, "--into", text(&folder.join(CERTIFICATE))]).well();
            if devices {
                std::fs::write(folder.join(CONFIG), shop.config_of(number)).expect("written");
            }
            std::fs::write(folder.join(ME), serde_json::to_vec(&me).expect("JSON")).expect("written");
            Member { me, folder, process: None, due: None }
        });
        Self { members: members.collect(), kills: 0 }
    }

    /// Starts all.
    pub(crate) fn begin(&mut self) {
        self.members.iter_mut().for_each(Member::start);
    }

    /// Switches those on again whose time has come.
    ///
    /// # Panics
    /// One has ended by itself.
    pub(crate) fn look(&mut self) {
        for member in &mut self.members {
            member.runs();
            if member.due.is_some_and(|due| due <= Instant::now()) {
                member.start();
            }
        }
    }

    /// Kills one of them (SIGKILL), if it runs; it is switched on again later. Where they are few, it happens less often, so
    /// that each gets on with its work.
    pub(crate) fn kill_one(&mut self, dice: &mut Dice) {
        if dice.index(20) > self.members.len() + 2 {
            return;
        }
        let at = dice.index(self.members.len());
        let member = &mut self.members[at];
        let due = Instant::now() + dice.millis(0, 6_000);
        if let Some(mut process) = member.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
            member.due = Some(due);
            self.kills += 1;
        }
    }

    pub(crate) fn kills(&self) -> u64 {
        self.kills
    }

    /// Has everybody serve who is there, and waits for that. They stay, and so do their devices.
    pub(crate) async fn finish(&mut self) {
        for member in &mut self.members {
            std::fs::write(member.folder.join(FINISH), "").expect("written");
            if member.process.is_none() {
                member.start();
            }
        }
        let began = Instant::now();
        while let Some(late) = self.members.iter().find(|member| !member.folder.join(DONE).exists()) {
            assert!(began.elapsed() < GUARD, "{} does not finish: {}", late.me.name(), late.said());
            sleep(Duration::from_millis(50)).await;
            self.look();
        }
    }

    /// Has all of them end.
    pub(crate) async fn leave(&mut self) {
        for member in &mut self.members {
            std::fs::write(member.folder.join(LEAVE), "").expect("written");
        }
        let began = Instant::now();
        for member in &mut self.members {
            let mut process = member.process.take().expect("it has finished, and stays");
            let status = loop {
                match process.try_wait().expect("it can be asked") {
                    Some(status) => break status,
                    None => sleep(Duration::from_millis(20)).await,
                }
                assert!(began.elapsed() < GUARD, "{} does not end: {}", member.me.name(), member.said());
            };
            assert!(status.success(), "{}: {status}: {}", member.me.name(), member.said());
        }
    }

    /// What each has noted, by its number.
    pub(crate) fn notes(&self) -> Vec<(u64, Notes)> {
        self.members.iter().map(|member| (member.me.number, Notes::read(&member.folder.join(NOTES)))).collect()
    }
}

/// One in four has a printer on its belt and a scanner.
pub(crate) fn has_devices(number: u64) -> bool {
    number % 4 == 2
}

impl Member {
    fn start(&mut self) {
        self.due = None;
        let log = OpenOptions::new().create(true).append(true).open(self.log()).expect("the folder is writable");
        let process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "a_swarm_of_handhelds_loses_and_doubles_nothing", "--nocapture"])
            .env(HANDHELD, &self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("starts"));
    }

    fn runs(&mut self) {
        let Some(process) = &mut self.process else { return };
        if let Some(status) = process.try_wait().expect("it can be asked") {
            panic!("{} has ended: {status}: {}", self.me.name(), self.said());
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The end of what it has said.
    fn said(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a name in UTF-8")
}
