//! A till with a printer, and the server's role and database for it.

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_postgres::Client;
use tresen::config::{Device, Server};
use tresen::hal::sim::{self, Shared};
use tresen::printers::Profile;
use tresen::printers::escpos::sim::Simulator;
use tresen::sale::{Line, Sale, Sold, Vat};
use tresen::sync::{SyncState, postgres};
use tresen::{Amount, Class, Config, Tresen};

use crate::cluster::Cluster;

/// Nothing that these tests wait for takes this long, unless it never comes.
const DEADLINE: Duration = Duration::from_secs(120);

/// Creates the database, its schema and a role for tills; returns an administrator's connection.
pub(crate) async fn prepare(cluster: &Cluster) -> Client {
    let admin = cluster.connect("admin", "postgres").await;
    admin.batch_execute("CREATE DATABASE shop").await.expect("created");
    let applied = postgres::migrate(&Server::at(cluster.url("admin", "shop"))).await.expect("migrated");
    assert_eq!(applied, ["001_outbox", "002_reference", "003_accounts"]);
    let admin = cluster.connect("admin", "shop").await;
    admin.batch_execute("CREATE ROLE till LOGIN IN ROLE tresen_till").await.expect("created");
    admin
}

async fn config(dir: &Path, server: Server) -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let simulator = Shared::new(Simulator::new(Profile::epson_tm_m30()));
    let (printer, at) = sim::tcp(listener, simulator).expect("served");
    // As long as the threads of the till run.
    std::mem::forget(printer);
    let printer = Device::at(format!("escpos+tcp://{at}").parse().expect("an address"));
    let mut config = Config::default().with(Class::Printer, "receipt", printer);
    config.till.store = dir.join("till.db");
    config.till.socket = false;
    config.server = Some(server);
    config
}

pub(crate) async fn open(dir: &Path, server: Server) -> Tresen {
    Tresen::with(config(dir, server).await).await.expect("opens")
}

pub(crate) async fn basket(till: &Tresen, name: &str, cents: i64) -> Sale {
    let mut sale = till.open_sale_by("bar".into()).await.expect("opens");
    let tea = Line::pieces(name, 1, Amount::eur(cents), Vat::percent(19)).expect("fits").article("17").tax_key("A");
    sale.add(tea).await.expect("added");
    sale
}

pub(crate) async fn close(till: &Tresen, sale: &mut Sale) {
    let sold = till.checkout("receipt").expect("configured").close(sale).await.expect("stored");
    assert!(matches!(sold, Sold::Closed { .. }), "{sold:?}");
}

/// A sale paid in cash; its id.
pub(crate) async fn sell(till: &Tresen, cents: i64) -> String {
    let mut sale = basket(till, "Tea", cents).await;
    sale.pay_cash(Amount::eur(cents)).await.expect("taken");
    close(till, &mut sale).await;
    sale.id().to_owned()
}

pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Waits until the server has everything.
pub(crate) async fn up(till: &Tresen) {
    within("everything at the server", async {
        loop {
            let status = till.sync().await.expect("readable");
            if status.state == SyncState::Connected && status.behind == 0 {
                return;
            }
            // Does not wait for the next attempt.
            till.refresh_reference().await.expect("readable");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Why the till is in local mode, once it is.
pub(crate) async fn local(till: &Tresen) -> String {
    let mut state = till.sync_state();
    let reason = |state: &SyncState| match state {
        SyncState::Local { why, .. } if why != "not connected yet" => Some(why.clone()),
        _ => None,
    };
    let shown = within("local mode", state.wait_for(|state| reason(state).is_some())).await.expect("open").clone();
    reason(&shown).expect("just seen")
}

/// One number.
pub(crate) async fn count(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.expect(query).get(0)
}

/// One column of text.
pub(crate) async fn texts(client: &Client, query: &str) -> Vec<String> {
    client.query(query, &[]).await.expect(query).iter().map(|row| row.get(0)).collect()
}
