use std::path::PathBuf;
use std::sync::Arc;

use tresen::{Result, Store, SystemRuntime};

use super::listed::unreadable;
use crate::out::Out;

/// List a till's journal, one line per step, oldest first; works while the till is running
///
/// Reads only. Card numbers are masked.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's database, such as till.db
    file: PathBuf,

    /// Only entries after this sequence number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: i64,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let store = Store::open_read_only(&args.file, Arc::new(SystemRuntime::new())).await?;
    let mut after = Some(args.after);
    while let Some(from) = after {
        let page = store.journal().after(from).await?;
        for line in &page.rows {
            out.answer(line, format_args!("{:>6}  {:.0}  {:<12} {}", line.seq, line.at, line.kind, line.key));
        }
        unreadable(&page.unreadable, *out);
        after = page.next;
    }
    Ok(())
}
