use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use tresen::cameras::decode_file;

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
