use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tresen::Result;
use tresen::hal::{Error, sim};
use tresen::printers::Profile;
use tresen::printers::escpos::sim::{Line, Simulator};

use super::{bind, commands, next};
use crate::commands::render::{entry, profile, row, write_whole};
use crate::out::Out;

/// A virtual ESC/POS receipt printer on a TCP port or a pseudo-terminal
///
/// Each sheet is saved as a picture and as text when it is cut, after 2 s of silence, or when the host
/// disconnects. What a real printer would have printed differently is reported as it happens. One host prints at
/// a time, as on a real printer.
///
/// Commands: paper out, paper out after LINES, paper in, near end, roll full, cover open, cover closed,
/// cutter jam, cutter free, drawer closed, drawer open, late MS, on time, few statuses, all statuses,
/// no identity, identity, no proof, proof, mute, speak, held (by another host), released, speed BYTES (a second,
/// as on a serial line), full speed, hang up after BYTES, never hang up, off and on, quit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "HOST:PORT")]
    listen: String,

    /// Simulate a serial printer on a pseudo-terminal instead
    #[cfg(all(unix, feature = "serial"))]
    #[arg(long, conflicts_with = "listen")]
    pty: bool,

    /// Where to save the sheets
    #[arg(long, default_value = "paper", value_name = "DIR")]
    out: PathBuf,

    /// The printer profile to simulate
    #[arg(long, default_value = "generic-80mm", value_parser = profile)]
    profile: Profile,

    /// The level of the drawer's sense pin while the drawer is open
    #[arg(long, default_value = "high", value_parser = ["high", "low"])]
    drawer_open: String,
}

const HELP: &str = "paper out [after LINES] | paper in | near end | roll full | cover open | cover closed | cutter jam | cutter free | \
     drawer closed | drawer open | late MS | on time | few statuses | all statuses | no identity | identity | no proof | proof | \
     mute | speak | held | released | speed BYTES | full speed | hang up after BYTES | never hang up | off and on | quit";

/// How much a serial server buffers from the host ahead of a slow line.
const LINE_BUFFER: usize = 4096;
/// A host that does not cut has finished its receipt after this long a silence.
const SILENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: Args, out: Out) -> Result<()> {
    std::fs::create_dir_all(&args.out).map_err(|e| Error::from(e).at(args.out.display()))?;
    let mut printer = Simulator::new(args.profile.clone()).with_silence(SILENCE);
    printer.attach_drawer(args.drawer_open == "high");
    let device = sim::Shared::new(printer);
    let (_served, address) = serve(&args, &device).await?;
    out.answer(
        &json!({ "address": address }),
        format_args!("{address}; sheets go to {}; Ctrl-C stops, `help` lists the commands", args.out.display()),
    );
    let mut lines = commands();
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut told = Reported::default();
    loop {
        tokio::select! {
            _ = look.tick() => told.tell(&device, &args.out, out)?,
            line = next(&mut lines) => {
                if line == "quit" {
                    break;
                }
                if line.is_empty() {
                    continue;
                }
                // Confirmed once it is in force, so that a script can wait for it.
                match device.with(|d| obey(d, &line)) {
                    true => out.answer(&json!({ "command": line }), format_args!("{line}: done")),
                    false => out.say(HELP),
                }
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    device.with(Simulator::finish);
    told.tell(&device, &args.out, out)
}

/// Keeps the service alive.
enum Served {
    Tcp {
        _server: sim::Server,
    },
    #[cfg(all(unix, feature = "serial"))]
    Pty {
        _pty: sim::Pty,
    },
}

async fn serve(args: &Args, device: &sim::Shared<Simulator>) -> Result<(Served, String)> {
    #[cfg(all(unix, feature = "serial"))]
    if args.pty {
        let pty = sim::pty(device.clone())?;
        let address = format!("escpos+serial://{}", pty.path);
        return Ok((Served::Pty { _pty: pty }, address));
    }
    let (server, at) = sim::tcp(bind(&args.listen).await?, device.clone())?;
    Ok((Served::Tcp { _server: server }, format!("escpos+tcp://{at}")))
}

/// What has been reported already.
#[derive(Default)]
struct Reported {
    kicks: u64,
    discarded: u64,
    unlisted: u64,
}

impl Reported {
    fn tell(&mut self, device: &sim::Shared<Simulator>, folder: &std::path::Path, out: Out) -> Result<()> {
        for sheet in device.with(Simulator::take_sheets) {
            let path = free(folder);
            write_whole(&path, &sheet.to_png())?;
            write_whole(&path.with_extension("txt"), sheet.text().as_bytes())?;
            out.answer(&json!({ "sheet": path }), path.display());
        }
        for unsupported in device.with(Simulator::take_unsupported) {
            let said = format!("a real printer would print this differently: {}", row(&unsupported).trim_start());
            out.answer(&json!({ "unsupported": entry(&unsupported) }), said);
        }
        let (kicks, discarded, unlisted) = device.with(|d| (d.kicked(), d.discarded(), d.unlisted()));
        if kicks > self.kicks {
            out.answer(&json!({ "drawer": kicks }), "the drawer opens");
        }
        if discarded > self.discarded {
            let lost = discarded - self.discarded;
            out.answer(
                &json!({ "discarded_sheets": lost }),
                format_args!("{lost} sheets were printed too fast to be saved"),
            );
        }
        if unlisted > self.unlisted {
            let more = unlisted - self.unlisted;
            out.answer(&json!({ "unlisted": more }), format_args!("and {more} more unsupported commands"));
        }
        *self = Self { kicks, discarded, unlisted };
        Ok(())
    }
}

/// Executes an operator's command; false if it is unknown.
fn obey(printer: &mut Simulator, line: &str) -> bool {
    let faults = &mut printer.faults;
    match line {
        "paper out" => printer.remove_paper(),
        "paper in" => printer.load_paper(),
        "near end" => printer.near_end(true),
        "roll full" => printer.near_end(false),
        "cover open" => printer.cover(true),
        "cover closed" => printer.cover(false),
        "cutter jam" => printer.jam_cutter(true),
        "cutter free" => printer.jam_cutter(false),
        "drawer closed" => printer.close_drawer(),
        "drawer open" => printer.open_drawer(),
        "on time" => faults.late = Duration::ZERO,
        "few statuses" => faults.few_statuses = true,
        "all statuses" => faults.few_statuses = false,
        "no identity" => faults.no_identity = true,
        "identity" => faults.no_identity = false,
        "mute" => faults.mute = true,
        "speak" => faults.mute = false,
        "held" => faults.held = true,
        "released" => faults.held = false,
        "full speed" => faults.line = None,
        "no proof" | "proof" => {
            faults.no_process_id = line == "no proof";
            faults.no_transmit_status = line == "no proof";
        }
        "never hang up" => faults.hang_up_after_bytes = None,
        "off and on" => printer.power_cycle(),
        other => {
            let number = |before: &str| other.strip_prefix(before).and_then(|n| n.trim().parse::<u32>().ok());
            if let Some(bytes) = number("hang up after ") {
                faults.hang_up_after_bytes = Some(bytes as usize);
            } else if let Some(bytes_per_second @ 1..) = number("speed ") {
                faults.line = Some(Line { bytes_per_second, buffer: LINE_BUFFER });
            } else if let Some(lines) = number("paper out after ") {
                faults.paper_out_after_lines = Some(lines);
            } else if let Some(ms) = number("late ") {
                faults.late = Duration::from_millis(ms.into());
            } else {
                return false;
            }
        }
    }
    true
}

/// The next unused file name, so that a second run overwrites nothing.
fn free(folder: &std::path::Path) -> PathBuf {
    (1..).map(|n| folder.join(format!("sheet-{n:04}.png"))).find(|p| !p.exists()).expect("numbers do not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_is_switched_on_and_off() {
        let mut printer = Simulator::new(Profile::default());
        assert!(obey(&mut printer, "speed 960"));
        assert_eq!(printer.faults.line.map(|line| line.bytes_per_second), Some(960));
        for wrong in ["speed 0", "speed", "speed fast", "speed -1"] {
            assert!(!obey(&mut printer, wrong), "{wrong}");
        }
        assert!(obey(&mut printer, "full speed"));
        assert_eq!(printer.faults.line, None);
    }
}
