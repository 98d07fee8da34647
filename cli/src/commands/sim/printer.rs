use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tresen::Result;
use tresen::hal::{Error, sim};
use tresen::printers::Profile;
use tresen::printers::escpos::sim::VirtualPrinter;

use super::{bind, commands, next};
use crate::commands::render::{profile, write_whole};
use crate::out::Out;

/// A virtual ESC/POS receipt printer on a TCP port
///
/// Each sheet is saved as a picture and as text when it is cut. One host prints at a time, as on a real
/// printer. Commands: paper out, paper in, near end, roll full, cover open, cover closed, mute, speak,
/// no proof, hang up after BYTES, quit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "HOST:PORT")]
    listen: String,

    /// Where the sheets go
    #[arg(long, default_value = "paper", value_name = "DIR")]
    out: PathBuf,

    /// What kind of printer it is
    #[arg(long, default_value = "generic-80mm", value_parser = profile)]
    profile: Profile,
}

const HELP: &str = "paper out | paper in | near end | roll full | cover open | cover closed | mute | speak | no proof | hang up after BYTES | quit";

pub(crate) async fn run(args: Args, out: Out) -> Result<()> {
    std::fs::create_dir_all(&args.out).map_err(|e| Error::from(e).at(args.out.display()))?;
    let device = sim::Shared::new(VirtualPrinter::new(args.profile));
    let (_server, at) = sim::tcp(bind(&args.listen).await?, device.clone())?;
    out.answer(
        &json!({ "address": format!("escpos+tcp://{at}") }),
        format_args!("escpos+tcp://{at}; sheets go to {}; Ctrl-C ends, `help` helps", args.out.display()),
    );
    let mut lines = commands();
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut kicks = 0;
    loop {
        tokio::select! {
            _ = look.tick() => {
                for sheet in device.with(VirtualPrinter::take_sheets) {
                    let path = free(&args.out);
                    write_whole(&path, &sheet.to_png())?;
                    write_whole(&path.with_extension("txt"), sheet.text().as_bytes())?;
                    out.answer(&json!({ "sheet": path }), path.display());
                }
                let now = device.with(|d| d.kicks().len());
                if now > kicks {
                    kicks = now;
                    out.answer(&json!({ "drawer": kicks }), "the drawer opens");
                }
            }
            line = next(&mut lines) => {
                if line == "quit" {
                    return Ok(());
                }
                if !device.with(|d| obey(d, &line)) {
                    out.say(HELP);
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// Does what the operator says; false if it is no command.
fn obey(printer: &mut VirtualPrinter, line: &str) -> bool {
    match line {
        "" => {}
        "paper out" => printer.take_paper(),
        "paper in" => printer.put_paper(),
        "near end" => printer.near_end(true),
        "roll full" => printer.near_end(false),
        "cover open" => printer.cover(true),
        "cover closed" => printer.cover(false),
        "mute" => printer.faults.mute = true,
        "speak" => printer.faults.mute = false,
        "no proof" => {
            printer.faults.no_process_id = true;
            printer.faults.no_transmit_status = true;
        }
        other => match other.strip_prefix("hang up after ").and_then(|n| n.parse().ok()) {
            Some(bytes) => printer.faults.hang_up_after_bytes = Some(bytes),
            None => return false,
        },
    }
    true
}

/// The next file name that is not taken, so that a second run overwrites nothing.
fn free(folder: &std::path::Path) -> PathBuf {
    (1..).map(|n| folder.join(format!("sheet-{n:04}.png"))).find(|p| !p.exists()).expect("numbers do not end")
}
