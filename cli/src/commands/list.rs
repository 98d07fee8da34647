use serde_json::json;
use tresen::Result;
use tresen::hal::discovery::{self, Event, Source};

use crate::out::Out;

/// List what is plugged in, with its address, and whether it may be opened
///
/// Looking opens nothing and disturbs no device in use. The protocol in an address is a guess from
/// class and maker; `tresen info ADDRESS` asks the device.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Go on and tell what comes and goes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let mut watch = args.watch.then(discovery::watch);
    let listed = discovery::list().await;
    for found in &listed.found {
        out.answer(found, found);
    }
    for problem in &listed.problems {
        out.failed(problem);
    }
    if listed.found.is_empty() {
        out.say("nothing is plugged in; network devices are reached by their address");
    }
    let Some(watch) = &mut watch else { return Ok(()) };
    match watch.source() {
        Source::Look(why) => out.say(format_args!("watching, with a look every 2 s ({why}); Ctrl-C ends")),
        _ => out.say("watching; Ctrl-C ends"),
    }
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match event {
            Event::Arrived(found) => out.answer(&json!({ "arrived": found }), format_args!("+ {found}")),
            Event::Left(found) => out.answer(&json!({ "left": found }), format_args!("- {found}")),
            other => out.answer(&json!({ "changed": other.found() }), format_args!("~ {}", other.found())),
        }
    }
}
