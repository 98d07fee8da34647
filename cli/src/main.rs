//! The command `tresen`: find, test and diagnose the devices of a shop's counter.

mod commands;
mod demo;
mod devices;
mod interrupts;
mod out;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::out::Out;

/// Find, test and diagnose the devices of a shop's counter: receipt printers, barcode scanners, cameras, payment terminals.
/// Look after a till, and serve it to handhelds and browsers.
#[derive(Parser)]
#[command(name = "tresen", version, after_help = ADDRESSES, after_long_help = ADDRESSES, arg_required_else_help = true)]
struct Cli {
    /// Print JSON, one object per line, for scripts
    #[arg(long, global = true)]
    json: bool,

    /// Log to standard error: -v for events, -vv also the frames on the wire (card data masked)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

const ADDRESSES: &str = "\
An address names a device's protocol, link and location:
  escpos+tcp://10.0.0.20:9100                    network printer
  escpos+serial:///dev/ttyUSB0?baud=38400        serial printer
  escpos+usb://04b8:0e15/SERIAL                  USB printer
  zvt+tcp://10.0.0.30:20007?password=000000      payment terminal
  opi+tcp://10.0.0.31?listen=usual               payment terminal that speaks OPI
  nexo+https://10.0.0.32?poi=V400m-1&key=shop&passphrase=…
                                                 payment terminal that speaks nexo
  paytec+tcp://10.0.0.33                         payment terminal of PayTec, Switzerland
  scanner+serial:///dev/ttyACM0                  barcode scanner
  camera+file:///var/frames                      folder of images

No device at hand? Simulate one: `tresen sim printer`, `tresen sim terminal`.
A whole sale on simulated devices: `tresen demo`. If something does not work: `tresen doctor`.

Exit status: 0 done; 1 failed, with the reason on standard error; 2 wrong usage;
for commands that move or hold money (`pay`, `reverse`, `refund`, `preauth`, `book`, …) also 3 not done by the terminal, 4 unknown whether it was done, 5 done in part;
for `settle` also 4 something is open.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Doctor(commands::doctor::Args),
    List(commands::list::Args),
    Info(commands::info::Args),
    Probe(commands::probe::Args),
    Print(commands::print::Args),
    TestPage(commands::test_page::Args),
    Drawer(commands::drawer::Args),
    Render(commands::render::Args),
    Pay(commands::pay::Args),
    Reverse(commands::reverse::Args),
    Refund(commands::refund::Args),
    Preauth(commands::preauth::Args),
    Increment(commands::increment::Args),
    Book(commands::book::Args),
    Release(commands::release::Args),
    Tip(commands::tip::Args),
    Topup(commands::topup::Args),
    ReadCard(commands::read_card::Args),
    Settle(commands::settle::Args),
    EndOfDay(commands::end_of_day::Args),
    Totals(commands::totals::Args),
    Diagnosis(commands::diagnosis::Args),
    Initialise(commands::initialise::Args),
    RepeatReceipt(commands::repeat_receipt::Args),
    Status(commands::status::Args),
    Watch(commands::watch::Args),
    Serve(commands::remote::serve::Args),
    Enrol(commands::remote::enrol::Args),
    Join(commands::remote::join::Args),
    Attach(commands::remote::attach::Args),
    Clients(commands::remote::clients::Args),
    Revoke(commands::remote::revoke::Args),
    Token(commands::remote::token::Args),
    Audit(commands::remote::audit::Args),
    Jobs(commands::jobs::Args),
    Payments(commands::payments::Args),
    Reprint(commands::reprint::Args),
    Cancel(commands::cancel::Args),
    Lease(commands::lease::Args),
    Journal(commands::journal::Args),
    Export(commands::export::Args),
    Backup(commands::backup::Args),
    Restore(commands::restore::Args),
    Scan(commands::scan::Args),
    Decode(commands::decode::Args),
    Record(commands::record::Args),
    Replay(commands::replay::Args),
    Trace(commands::trace::Args),
    #[command(subcommand)]
    Sim(commands::sim::Args),
    #[cfg_attr(feature = "postgres", command(subcommand))]
    Server(commands::server::Args),
    CheckConfig(commands::check_config::Args),
    SupportBundle(commands::support_bundle::Args),
    Schema(commands::schema::Args),
    Completions(commands::completions::Args),
    Manual(commands::manual::Args),
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
    let done = runtime.block_on(run(cli.command, &out, cli.verbose > 0));
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

async fn run(command: Command, out: &Out, verbose: bool) -> tresen::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args, out).await?,
        Command::Doctor(args) => commands::doctor::run(args, out).await?,
        Command::List(args) => commands::list::run(args, out).await?,
        Command::Info(args) => commands::info::run(args, out).await?,
        Command::Probe(args) => return commands::probe::run(args, *out).await,
        Command::Print(args) => commands::print::run(args, out).await?,
        Command::TestPage(args) => commands::test_page::run(args, out).await?,
        Command::Drawer(args) => commands::drawer::run(args, out).await?,
        Command::Render(args) => commands::render::run(&args, out, verbose)?,
        Command::Pay(args) => return commands::pay::run(args, out).await,
        Command::Reverse(args) => return commands::reverse::run(args, out).await,
        Command::Refund(args) => return commands::refund::run(args, out).await,
        Command::Preauth(args) => return commands::preauth::run(args, out).await,
        Command::Increment(args) => return commands::increment::run(args, out).await,
        Command::Book(args) => return commands::book::run(args, out).await,
        Command::Release(args) => return commands::release::run(args, out).await,
        Command::Tip(args) => return commands::tip::run(args, out).await,
        Command::Topup(args) => return commands::topup::run(args, out).await,
        Command::ReadCard(args) => commands::read_card::run(args, out).await?,
        Command::Settle(args) => return commands::settle::run(args, out).await,
        Command::EndOfDay(args) => commands::end_of_day::run(args, out).await?,
        Command::Totals(args) => commands::totals::run(args, out).await?,
        Command::Diagnosis(args) => commands::diagnosis::run(args, out).await?,
        Command::Initialise(args) => commands::initialise::run(args, out).await?,
        Command::RepeatReceipt(args) => commands::repeat_receipt::run(args, out).await?,
        Command::Status(args) => commands::status::run(args, out).await?,
        Command::Watch(args) => commands::watch::run(args, out).await?,
        Command::Serve(args) => commands::remote::serve::run(args, out).await?,
        Command::Enrol(args) => commands::remote::enrol::run(args, out).await?,
        Command::Join(args) => commands::remote::join::run(args, out).await?,
        Command::Attach(args) => commands::remote::attach::run(args, out).await?,
        Command::Clients(args) => commands::remote::clients::run(args, out).await?,
        Command::Revoke(args) => commands::remote::revoke::run(args, out).await?,
        Command::Token(args) => commands::remote::token::run(args, out).await?,
        Command::Audit(args) => commands::remote::audit::run(args, out).await?,
        Command::Reprint(args) => commands::reprint::run(args, out).await?,
        Command::Cancel(args) => commands::cancel::run(args, out).await?,
        Command::Lease(args) => commands::lease::run(args, out).await?,
        Command::Jobs(args) => commands::jobs::run(args, out).await?,
        Command::Payments(args) => commands::payments::run(args, out).await?,
        Command::Journal(args) => commands::journal::run(args, out).await?,
        Command::Export(args) => return commands::export::run(args, out).await,
        Command::Backup(args) => commands::backup::run(args, out).await?,
        Command::Restore(args) => commands::restore::run(args, out).await?,
        Command::Scan(args) => return commands::scan::run(args, out).await,
        Command::Decode(args) => return Ok(commands::decode::run(&args, out)),
        Command::Record(args) => commands::record::run(args, out).await?,
        Command::Replay(args) => commands::replay::run(args, out).await?,
        Command::Trace(args) => commands::trace::run(args, *out).await?,
        Command::Sim(args) => commands::sim::run(args, out).await?,
        Command::Server(args) => commands::server::run(args, out).await?,
        Command::CheckConfig(args) => return commands::check_config::run(&args, out),
        Command::SupportBundle(args) => commands::support_bundle::run(args, out).await?,
        Command::Schema(args) => commands::schema::run(&args)?,
        Command::Completions(args) => commands::completions::run(&args)?,
        Command::Manual(args) => commands::manual::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Logs go to standard error, in colour on a terminal unless `NO_COLOR` is set; `RUST_LOG` overrides `-v`.
fn log(verbose: u8) {
    const CRATES: [&str; 8] = [
        "tresen_cli",
        "tresen",
        "tresen_hal",
        "tresen_printers",
        "tresen_payment",
        "tresen_scanners",
        "tresen_cameras",
        "tresen_remote",
    ];
    let level = match verbose {
        0 => "error".to_owned(),
        1 => CRATES.map(|name| format!("{name}=debug")).join(","),
        _ => CRATES.map(|name| format!("{name}=trace")).join(","),
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr).init();
}
