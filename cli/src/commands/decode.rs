use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use tresen::cameras::decode_file;

use crate::out::Out;

/// Decode the barcodes in pictures
///
/// Prints one line per code: file, format, AIM identifier, text. An unreadable picture does not stop
/// the others from being decoded, but sets the exit status to 1.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pictures in PNG, JPEG or WebP format
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, out: &Out) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for image in &args.images {
        match decode_file(image) {
            Ok(codes) if codes.is_empty() => {
                out.answer(&json!({ "file": image, "codes": [] }), format_args!("{}: no code", image.display()));
            }
            Ok(codes) => {
                for seen in codes {
                    let line =
                        format!("{}: {:?} {} {}", image.display(), seen.format, seen.aim, seen.text.escape_debug());
                    out.answer(&json!({ "file": image, "code": seen }), line);
                }
            }
            Err(error) => {
                code = ExitCode::FAILURE;
                out.failed(&error);
            }
        }
    }
    code
}
