use std::path::{Path, PathBuf};

use serde_json::json;
use tresen::Result;
use tresen::hal::{Error, Kind};
use tresen::printers::Profile;
use tresen::printers::escpos::sim::render;

use crate::out::Out;

/// Show what a file of ESC/POS bytes prints, as a picture or as text
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The bytes, as a till sends them to its printer
    file: PathBuf,

    /// Where the picture goes; without it the text is printed
    #[arg(short, long, value_name = "FILE.png")]
    output: Option<PathBuf>,

    /// The printer's profile
    #[arg(long, default_value = "generic-80mm", value_parser = profile)]
    profile: Profile,
}

pub(crate) fn profile(name: &str) -> Result<Profile, String> {
    let names = || Profile::all().map(|p| p.name.into_owned()).join(", ");
    Profile::named(name).ok_or_else(|| format!("profiles are {}", names()))
}

pub(crate) fn run(args: &Args, out: &Out) -> Result<()> {
    let bytes = std::fs::read(&args.file).map_err(|e| Error::from(e).at(args.file.display()))?;
    let rendered = render(&bytes, &args.profile);
    let roll = rendered.roll();
    if roll.is_empty() {
        return Err(Error::new(Kind::Input, "prints nothing").at(args.file.display()).hint("is it ESC/POS?"));
    }
    let unknown: Vec<_> = rendered.unknown.iter().map(|u| u.offset).collect();
    match &args.output {
        Some(path) => {
            write_whole(path, &roll.to_png())?;
            let value = json!({ "output": path, "sheets": rendered.sheets.len(), "drawer": rendered.kicks.len(), "unknown_at": unknown });
            out.answer(&value, format_args!("{}: {} sheets", path.display(), rendered.sheets.len()));
        }
        None => out.answer(&json!({ "text": roll.text(), "unknown_at": unknown }), roll.text().trim_end()),
    }
    if !unknown.is_empty() {
        out.say(format_args!("{} commands were not understood, the first at byte {}", unknown.len(), unknown[0]));
    }
    Ok(())
}

/// Writes a file in one piece: what was there stays until the new one is whole.
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
