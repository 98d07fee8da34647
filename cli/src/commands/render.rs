use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tresen::Result;
use tresen::hal::{Error, Kind};
use tresen::printers::Profile;
use tresen::printers::escpos::sim::{Unsupported, render};

use crate::out::Out;

/// How many unsupported commands are listed without `-v`.
const SHOWN: usize = 20;

/// Render a file of ESC/POS bytes as a picture or as text
///
/// Lists what a real printer would have printed differently: unknown commands, unsupported code pages and
/// modes, codes that do not fit, truncated data.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The bytes as sent by a till to its printer
    file: PathBuf,

    /// Write the picture (.png) or the text (.txt) here; otherwise the text is shown
    #[arg(short, long, value_name = "FILE.png")]
    output: Option<PathBuf>,

    /// The printer's profile
    #[arg(long, default_value = "generic-80mm", value_parser = profile)]
    profile: Profile,
}

pub(crate) fn profile(name: &str) -> Result<Profile, String> {
    let names = || Profile::all().map(|p| p.name.into_owned()).join(", ");
    Profile::named(name).ok_or_else(|| format!("expected one of {}", names()))
}

pub(crate) fn run(args: &Args, out: &Out, verbose: bool) -> Result<()> {
    let picture = match args.output.as_deref().map(|path| (path, extension(path))) {
        None => false,
        Some((_, kind)) if kind == "png" || kind == "txt" => kind == "png",
        Some((path, _)) => {
            let error = Error::new(Kind::Input, "the output must be a picture or text").at(path.display());
            return Err(error.hint("name a .png or a .txt file"));
        }
    };
    let bytes = std::fs::read(&args.file).map_err(|e| Error::from(e).at(args.file.display()))?;
    let rendered = render(&bytes, &args.profile);
    let roll = rendered.roll();
    let mut value = json!({
        "sheets": rendered.sheets.len(),
        "discarded_sheets": rendered.discarded,
        "drawer": rendered.kicks.len(),
        "unsupported": rendered.unsupported.iter().map(entry).collect::<Vec<_>>(),
        "unlisted": rendered.unlisted,
    });
    let tell_unsupported = || {
        let listed = rendered.unsupported.len() as u64 + rendered.unlisted;
        if listed > 0 {
            out.say(format_args!("a real printer would print these differently:"));
        }
        let shown = if verbose { rendered.unsupported.len() } else { SHOWN };
        rendered.unsupported.iter().take(shown).for_each(|u| out.say(row(u)));
        if listed > shown as u64 {
            let more = listed - (shown as u64).min(listed);
            out.say(format_args!("and {more} more{}", if verbose { "" } else { "; -v lists them" }));
        }
    };
    if roll.is_empty() {
        tell_unsupported();
        let hint = if rendered.unsupported.is_empty() { "is it ESC/POS?" } else { "none of it is supported here" };
        return Err(Error::new(Kind::Input, "prints nothing").at(args.file.display()).hint(hint));
    }
    match &args.output {
        Some(path) => {
            write_whole(path, &if picture { roll.to_png() } else { roll.text().as_bytes().to_vec() })?;
            value["output"] = json!(path);
            out.answer(&value, format_args!("{}: {} sheets", path.display(), rendered.sheets.len()));
        }
        None => {
            value["text"] = roll.text().into();
            out.answer(&value, roll.text().trim_end());
        }
    }
    if rendered.discarded > 0 {
        out.say(format_args!(
            "only the last {} sheets are shown; {} earlier ones were dropped",
            rendered.sheets.len(),
            rendered.discarded
        ));
    }
    let printed: u64 = rendered.sheets.iter().map(|s| u64::from(s.dots().height())).sum();
    if picture && printed > u64::from(roll.dots().height()) {
        let shown = roll.dots().height();
        out.say(format_args!("the picture is cut off after {shown} of {printed} rows"));
    }
    tell_unsupported();
    Ok(())
}

fn extension(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}

/// An unsupported command in JSON, with its bytes in hexadecimal.
pub(crate) fn entry(unsupported: &Unsupported) -> Value {
    json!({
        "offset": unsupported.offset,
        "length": unsupported.length,
        "name": unsupported.name,
        "bytes": hex(unsupported),
    })
}

/// An unsupported command as a table row: offset, bytes, name.
pub(crate) fn row(unsupported: &Unsupported) -> String {
    format!("{:>8}  {:<24} {}", unsupported.offset, hex(unsupported), unsupported.name)
}

fn hex(unsupported: &Unsupported) -> String {
    let bytes: Vec<String> = unsupported.bytes.iter().map(|b| format!("{b:02x}")).collect();
    let more = if unsupported.length > bytes.len() as u64 { " …" } else { "" };
    bytes.join(" ") + more
}

/// Writes a file atomically: the old content stays until the new one is complete.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| Error::from(e).at(path.display());
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path)).map_err(|e| {
        std::fs::remove_file(&part).ok();
        failed(e)
    })
}
