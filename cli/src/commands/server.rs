use std::io::Write;
use std::path::PathBuf;

use tresen::api;
use tresen::config::Server;
use tresen::sync::postgres;
use tresen::{Error, Kind, Result};

use super::{running, status};
use crate::out::Out;

/// Set up the PostgreSQL server of a shop's tills, and show what they sent
///
/// Tills log in under a role of their own: CREATE ROLE till LOGIN PASSWORD '…' IN ROLE tresen_till
#[derive(clap::Subcommand)]
pub(crate) enum Args {
    /// Print the SQL of the schema, for an administrator to read or to run with psql
    Sql,
    /// Create or update the schema; running it again changes nothing
    Migrate(At),
    /// Show what each till sent and when, its gaps, and what lies in quarantine
    Status(At),
    /// Have a running till go on without journal entries that the server lacks and that the till has removed since
    AcceptGap {
        /// The till's configuration or database, such as till.toml or till.db
        file: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct At {
    /// The server as its administrator: postgres://ROLE@HOST/DATABASE; the password comes from PGPASSWORD
    url: String,

    /// File with the authorities (PEM) that may have signed the server's certificate
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// File with the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl At {
    fn server(self) -> Server {
        let mut server = Server::at(self.url);
        server.ca = self.ca;
        server.password_file = self.password_file;
        server
    }
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    match args {
        Args::Sql => {
            let mut stdout = std::io::stdout().lock();
            let written = stdout.write_all(postgres::sql().as_bytes()).and_then(|()| stdout.flush());
            written.map_err(|e| Error::new(Kind::Io, "standard output cannot be written").because(e))
        }
        Args::Migrate(at) => {
            let applied = postgres::migrate(&at.server()).await?;
            let text = match applied.is_empty() {
                true => "the schema is up to date".to_owned(),
                false => format!("applied {}", applied.join(", ")),
            };
            out.answer(&serde_json::json!({ "applied": applied }), text);
            Ok(())
        }
        Args::AcceptGap { file } => {
            let place = running::store(&file)?;
            let Some(till) = running::till(&place).await? else { return Err(status::nobody(&place)) };
            let gap = till.call(api::server::AcceptGap {}).await?;
            let (after, before) = (gap.after, gap.before);
            out.answer(
                &gap,
                format!("the exchange goes on; the entries after {after} and before {before} are recorded as a gap"),
            );
            Ok(())
        }
        Args::Status(at) => {
            let sent = postgres::sent(&at.server()).await?;
            if sent.is_empty() {
                out.answer(&sent, "no till has sent anything");
            }
            for till in &sent {
                let mut line = format!("{:<12} {} ", till.name, till.till);
                if let (Some(epoch), Some(through)) = (till.epoch, till.through) {
                    line.push_str(&format!("epoch {epoch}: {} entries through {through}, ", till.entries));
                }
                line.push_str(&format!("last heard {:.0}", till.seen_at));
                for (n, what) in [(till.missing, "missing"), (till.quarantined, "in quarantine")] {
                    if n > 0 {
                        line.push_str(&format!(", {n} {what}"));
                    }
                }
                if till.clock_behind.abs() >= CLOCK {
                    line.push_str(&format!(", clock off by {:.0} s", -till.clock_behind));
                }
                out.answer(till, line);
            }
            Ok(())
        }
    }
}

/// Seconds by which a till's clock may differ without being mentioned.
const CLOCK: f64 = 5.0;
