use std::path::PathBuf;

use serde_json::json;
use tresen::Result;
use tresen::cameras::decode_file;
use tresen::hal::{Error, Kind};

use crate::out::Out;

/// Read the codes in pictures
///
/// Prints a line for each code: file, format, AIM identifier, text. A picture that cannot be read does
/// not keep the others from being read, but the exit status says so.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pictures: PNG, JPEG or WebP
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, out: &Out) -> Result<()> {
    let mut failed = 0;
    for image in &args.images {
        match decode_file(image) {
            Ok(codes) if codes.is_empty() => {
                out.answer(&json!({ "file": image, "codes": [] }), format_args!("{}: no code", image.display()));
            }
            Ok(codes) => {
                for code in codes {
                    let line =
                        format!("{}: {:?} {} {}", image.display(), code.format, code.aim, code.text.escape_debug());
                    out.answer(&json!({ "file": image, "code": code }), line);
                }
            }
            Err(error) => {
                failed += 1;
                out.failed(&error);
            }
        }
    }
    match failed {
        0 => Ok(()),
        n => Err(Error::new(Kind::Input, format!("{n} of {} pictures could not be read", args.images.len()))),
    }
}
