//! The command `tresen`: find, test and diagnose what stands on the counter.

mod commands;
mod demo;
mod out;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::out::Out;

/// Find, test and diagnose what stands on the counter: receipt printers, barcode scanners,
/// cameras, payment terminals.
#[derive(Parser)]
#[command(name = "tresen", version, after_help = ADDRESSES, after_long_help = ADDRESSES, arg_required_else_help = true)]
struct Cli {
    /// Print JSON, one object a line, for scripts
    #[arg(long, global = true)]
    json: bool,

    /// Say more on standard error: -v what happens, -vv the frames on the wire (card data masked)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

const ADDRESSES: &str = "\
Addresses say what a device speaks and where it is:
  escpos+tcp://10.0.0.20:9100                    network printer
  escpos+serial:///dev/ttyUSB0?baud=38400        serial printer
  escpos+usb://04b8:0e15/SERIAL                  USB printer
  zvt+tcp://10.0.0.30:20007?password=000000      payment terminal
  scanner+serial:///dev/ttyACM0                  barcode scanner
  camera+file:///var/frames                      folder of images

Without a device at hand, start one: `tresen sim printer`, `tresen sim terminal`.
A whole sale on simulated devices: `tresen demo`.

Exit status: 0 done; 1 failed, with the reason on standard error; 2 wrong usage;
of `pay` also 3 not charged, 4 not known whether charged.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    List(commands::list::Args),
    Info(commands::info::Args),
    Print(commands::print::Args),
    Render(commands::render::Args),
    Pay(commands::pay::Args),
    Scan(commands::scan::Args),
    Decode(commands::decode::Args),
    Record(commands::record::Args),
    Replay(commands::replay::Args),
    #[command(subcommand)]
    Sim(commands::sim::Args),
    CheckConfig(commands::check_config::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.json);
    log(cli.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out.failed(&tresen::Error::new(tresen::Kind::Io, "cannot start threads").because(error));
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(run(cli.command, &out));
    // A blocking read of standard input must not keep the program alive.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(error) => {
            out.failed(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, out: &Out) -> tresen::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args, out).await?,
        Command::List(args) => commands::list::run(args, out).await?,
        Command::Info(args) => commands::info::run(args, out).await?,
        Command::Print(args) => commands::print::run(args, out).await?,
        Command::Render(args) => commands::render::run(&args, out)?,
        Command::Pay(args) => return commands::pay::run(args, out).await,
        Command::Scan(args) => commands::scan::run(args, out).await?,
        Command::Decode(args) => return Ok(commands::decode::run(&args, out)),
        Command::Record(args) => commands::record::run(args, out).await?,
        Command::Replay(args) => commands::replay::run(args, out).await?,
        Command::Sim(args) => commands::sim::run(args, out).await?,
        Command::CheckConfig(args) => commands::check_config::run(&args, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Logs go to standard error; `RUST_LOG` wins over `-v`.
fn log(verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => {
            "tresen=debug,tresen_hal=debug,tresen_printers=debug,tresen_payment=debug,tresen_scanners=debug,tresen_cameras=debug"
        }
        _ => {
            "tresen=trace,tresen_hal=trace,tresen_printers=trace,tresen_payment=trace,tresen_scanners=trace,tresen_cameras=trace"
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
