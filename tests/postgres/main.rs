//! The exchange with a real PostgreSQL server: killed a hundred times, set up wrongly, restored and tampered with.

#![cfg(unix)]

mod cluster;
mod shop;

use std::path::Path;
use std::time::Duration;

use cluster::Cluster;
use shop::{basket, close, count, local, open, prepare, sell, texts, up, within};
use tempfile::TempDir;
use tresen::config::Server;
use tresen::sale::OnAccount;
use tresen::sync::{Booked, Booking, SyncState, Upstream as _, postgres};
use tresen::{Amount, EventKind, Tresen};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Threads that can be stopped with all that runs on them, as a process can.
fn process() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

/// Sells until told to stop; the ids of what was sold. Waits a moment in between, as customers do.
async fn sells(till: Tresen, stop: tokio::sync::watch::Receiver<bool>) -> Vec<String> {
    let mut sold = Vec::new();
    while !*stop.borrow() {
        sold.push(sell(&till, 100 + sold.len() as i64).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sold
}

#[test]
fn killed_a_hundred_times_the_server_has_each_ticket_of_both_tills_once() {
    let (test, dirs) = (process(), [folder(), folder()]);
    let mut cluster = test.block_on(Cluster::start());
    test.block_on(prepare(&cluster));
    let url = cluster.url("till", "shop");
    let start = |dir: &Path, stop: &tokio::sync::watch::Sender<bool>| {
        let (threads, server, dir, stop) = (process(), Server::at(&url), dir.to_owned(), stop.subscribe());
        let till = threads.block_on(open(&dir, server));
        let selling = threads.spawn(sells(till.clone(), stop));
        (threads, till, selling)
    };
    let stop = tokio::sync::watch::Sender::new(false);
    let (first_threads, first, first_sells) = start(dirs[0].path(), &stop);
    let mut second = Some(start(dirs[1].path(), &stop));
    let mut dice = 7u64;
    for round in 0..100 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let some_time = Duration::from_millis((dice >> 33) % 120);
        if round % 33 == 32 {
            // The second till is killed with whatever it was doing.
            let (threads, till, _) = second.take().expect("runs");
            threads.shutdown_background();
            drop(till);
            second = Some(start(dirs[1].path(), &stop));
        }
        cluster.kill();
        test.block_on(async {
            cluster.launch().await;
            // Half of the kills hit an exchange in progress.
            if dice.is_multiple_of(2) {
                first.refresh_reference().await.expect("readable");
            }
            tokio::time::sleep(some_time).await;
        });
    }
    stop.send_replace(true);
    let (second_threads, second, second_sells) = second.expect("runs");
    let sold = test.block_on(async {
        let sold = [first_sells.await.expect("sells"), second_sells.await.expect("sells")];
        up(&first).await;
        up(&second).await;
        sold
    });
    test.block_on(async {
        let admin = cluster.connect("admin", "shop").await;
        for (till, sold) in [(&first, &sold[0]), (&second, &sold[1])] {
            let id = till.store().till();
            let theirs =
                texts(&admin, &format!("SELECT id FROM tresen.tickets WHERE till = '{id}' ORDER BY number")).await;
            let ours = till.tickets_since(0, 1_000_000).await.expect("read");
            let ours: Vec<_> = ours.iter().map(|sale| sale.id().to_owned()).collect();
            assert_eq!(theirs, ours, "tickets at the server = tickets at the till, each once");
            assert!(sold.iter().all(|id| ours.contains(id)), "nothing that was sold is lost");
            let lines = till.sync().await.expect("read").end;
            assert_eq!(count(&admin, &format!("SELECT count(*) FROM tresen.entries WHERE till = '{id}'")).await, lines);
            assert!(ours.len() > 100, "{} tickets", ours.len());
        }
        assert_eq!(count(&admin, "SELECT count(*) FROM tresen.quarantine").await, 0);
        assert_eq!(count(&admin, "SELECT sum(missing)::bigint FROM tresen.tills").await, 0);
    });
    drop((first_threads, second_threads));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_show_tickets_lines_tenders_and_what_each_till_sent() {
    let cluster = Cluster::start().await;
    let admin = prepare(&cluster).await;
    let dir = folder();
    let till = open(dir.path(), Server::at(cluster.url("till", "shop"))).await;
    sell(&till, 3_80).await;
    // A character that PostgreSQL cannot store does not stop the others.
    let mut sale = basket(&till, "Tea\0 and more", 1_00).await;
    sale.pay_cash(Amount::eur(1_00)).await.expect("taken");
    close(&till, &mut sale).await;
    let mut left = basket(&till, "Coffee", 2_00).await;
    left.void("left \"quickly\"").await.expect("voided");
    up(&till).await;
    let text = |row: &tokio_postgres::Row| -> String { row.get(0) };
    let rows = admin
        .query(
            "SELECT concat_ws('|', number, state, total, currency, station, why, opened_at <= closed_at)
             FROM tresen.tickets ORDER BY number NULLS LAST",
            &[],
        )
        .await
        .expect("read");
    let rows: Vec<_> = rows.iter().map(text).collect();
    assert_eq!(rows, ["1|closed|3.80|EUR|bar|t", "2|closed|1.00|EUR|bar|t", "voided|2.00|EUR|bar|left \"quickly\"|t"]);
    let lines = texts(
        &admin,
        "SELECT concat_ws('|', number, line, name, article, total, body ->> 'tax_key')
         FROM tresen.lines WHERE number IS NOT NULL ORDER BY number",
    )
    .await;
    assert_eq!(lines, ["1|1|Tea|17|3.80|A", "2|1|Tea\u{fffd} and more|17|1.00|A"]);
    let tenders = texts(&admin, "SELECT concat_ws('|', kind, state, taken) FROM tresen.tenders ORDER BY number").await;
    assert_eq!(tenders, ["cash|taken|3.80", "cash|taken|1.00"]);
    let sent = postgres::sent(&Server::at(cluster.url("admin", "shop"))).await.expect("read");
    assert_eq!(sent.len(), 1, "{sent:?}");
    let end = till.sync().await.expect("read").end;
    assert_eq!((sent[0].till.as_str(), sent[0].through, sent[0].entries), (till.store().till(), Some(end), end));
    assert_eq!((sent[0].missing, sent[0].quarantined), (0, 0));
    assert!(sent[0].clock_behind.abs() < 60.0, "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_tills_may_call_its_functions_and_nothing_else() {
    let cluster = Cluster::start().await;
    prepare(&cluster).await;
    let till = cluster.connect("till", "shop").await;
    for statement in [
        "SELECT * FROM tresen.entries",
        "SELECT * FROM tresen.tills",
        "SELECT * FROM tresen.accounts",
        "INSERT INTO tresen.reference (name, id, body) VALUES ('a', 'b', '1')",
        "INSERT INTO tresen.accounts VALUES ('a', 100)",
        "UPDATE tresen.epochs SET through = 0",
        "DELETE FROM tresen.entries",
        "TRUNCATE tresen.entries CASCADE",
        "DROP SCHEMA tresen CASCADE",
        "CREATE TABLE tresen.mine (x int)",
        "SELECT tresen.set_booking('{}', 'booked', NULL)",
        "SELECT tresen.refusal('{}')",
        "SELECT tresen.acks('x')",
    ] {
        let error = till.batch_execute(statement).await.expect_err(statement);
        let code = error.code().map(|code| code.code().to_owned());
        // DROP is for the owner.
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    }
    till.batch_execute("SELECT tresen.schema_version()").await.expect("granted");
    // The schema made by hand is the same.
    let admin = cluster.connect("admin", "postgres").await;
    admin.batch_execute("CREATE DATABASE by_hand").await.expect("created");
    cluster.connect("admin", "by_hand").await.batch_execute(&postgres::sql()).await.expect("runs");
    let again = postgres::migrate(&Server::at(cluster.url("admin", "by_hand"))).await.expect("migrated");
    assert!(again.is_empty(), "{again:?}");
}

/// The till opens and sells although the server cannot be used, and says why; once that is mended, everything goes up.
#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_setup_is_one_clear_message_and_nothing_is_lost() {
    let mut cluster = Cluster::new();
    let hba = cluster.data().join("pg_hba.conf");
    cluster.write(&hba, "host all secret 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n");
    cluster.launch().await;
    let root = cluster.connect("admin", "postgres").await;
    let dir = folder();
    let file = dir.path().join("password");
    std::fs::write(&file, "wrong\n").expect("written");
    let mut settings = Server::at(cluster.url("secret", "shop"));
    settings.password_file = Some(file.clone());
    let till = open(dir.path(), settings).await;
    let mut events = till.events();
    let mut said = Vec::new();
    /// Mends one thing, and expects the next message.
    async fn next(till: &Tresen, said: &mut Vec<String>, parts: &[&str]) {
        sell(till, 100).await;
        within(parts[0], async {
            loop {
                let why = local(till).await;
                if parts.iter().all(|part| why.contains(part)) {
                    assert!(!why.contains("right password") && !why.contains("wrong\n"), "{why}");
                    said.push(why);
                    return;
                }
                till.refresh_reference().await.expect("readable");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    next(&till, &mut said, &["`secret`", "password"]).await;
    root.batch_execute("CREATE ROLE secret LOGIN PASSWORD 'right password'").await.expect("created");
    next(&till, &mut said, &["password", "is wrong", "`password-file`"]).await;
    std::fs::write(&file, "right password\n").expect("written");
    next(&till, &mut said, &["no database `shop`"]).await;
    root.batch_execute("CREATE DATABASE shop").await.expect("created");
    next(&till, &mut said, &["lacks the schema", "tresen server migrate"]).await;
    let admin_url = Server::at(cluster.url("admin", "shop"));
    postgres::migrate(&admin_url).await.expect("migrated");
    next(&till, &mut said, &["`secret` may not use", "GRANT tresen_till TO secret"]).await;
    let admin = cluster.connect("admin", "shop").await;
    admin.batch_execute("GRANT tresen_till TO secret").await.expect("granted");
    admin.batch_execute("INSERT INTO tresen.schema_versions VALUES (99, 'from the future')").await.expect("written");
    next(&till, &mut said, &["version 99", "update tresen"]).await;
    let error = postgres::migrate(&admin_url).await.expect_err("newer");
    assert!(error.to_string().contains("version 99"), "{error}");
    admin.batch_execute("DELETE FROM tresen.schema_versions WHERE version > 2").await.expect("written");
    next(&till, &mut said, &["version 2", "tresen server migrate"]).await;
    admin.batch_execute("INSERT INTO tresen.schema_versions VALUES (3, '003_accounts')").await.expect("written");
    let id = till.store().till().to_owned();
    let other = format!(
        "INSERT INTO tresen.registered (till, name, version, login, till_clock, seen_at)
         VALUES ('{id}', 'x', 'x', 'somebody', now(), now())"
    );
    admin.batch_execute(&other).await.expect("written");
    next(&till, &mut said, &["belongs to the login somebody", "tresen.registered"]).await;
    admin.batch_execute("DELETE FROM tresen.registered").await.expect("removed");
    up(&till).await;
    assert_eq!(count(&admin, "SELECT count(*) FROM tresen.tickets").await, said.len() as i64);
    // Each was told as an event, once.
    let mut told = Vec::new();
    while let Some(event) = events.try_next() {
        if let EventKind::Server(SyncState::Local { why, .. }) = event.kind {
            told.push(why);
        }
    }
    for why in &said {
        assert_eq!(told.iter().filter(|it| *it == why).count(), 1, "{why}: {told:#?}");
    }
    assert!(postgres::migrate(&admin_url).await.expect("migrated").is_empty(), "migrating again changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_and_a_foreign_entry_lose_nothing() {
    let cluster = Cluster::start().await;
    let admin = prepare(&cluster).await;
    let (dir, saved) = (folder(), folder());
    let server = || Server::at(cluster.url("till", "shop"));
    let copy = |from: &Path, to: &Path| {
        for file in ["till.db", "till.db.lock"] {
            std::fs::copy(from.join(file), to.join(file)).expect("copied");
        }
    };
    let till = open(dir.path(), server()).await;
    let mut sold = vec![sell(&till, 100).await];
    up(&till).await;
    till.close(Duration::from_secs(10)).await.expect("closes");
    copy(dir.path(), saved.path());
    let till = open(dir.path(), server()).await;
    for n in 0..3 {
        sold.push(sell(&till, 200 + n).await);
    }
    up(&till).await;
    till.close(Duration::from_secs(10)).await.expect("closes");
    copy(saved.path(), dir.path());
    let till = open(dir.path(), server()).await;
    let mut events = till.events();
    sold.push(sell(&till, 300).await);
    up(&till).await;
    sold.sort();
    assert_eq!(texts(&admin, "SELECT id FROM tresen.tickets ORDER BY id").await, sold, "each once");
    assert_eq!(texts(&admin, "SELECT epoch || ':' || missing FROM tresen.tills ORDER BY epoch").await, ["1:0", "2:0"]);
    let found =
        std::iter::from_fn(|| events.try_next()).any(|e| matches!(e.kind, EventKind::RestoreFound { epoch: 2, .. }));
    assert!(found, "a person is told");
    // Another entry lies under the key of the next but one.
    let (id, end) = (till.store().till().to_owned(), till.sync().await.expect("read").end);
    let foreign = format!(
        "INSERT INTO tresen.entries (till, epoch, seq, at, kind, key, body, hash)
         VALUES ('{id}', 2, {}, now(), 'closed', 'foreign', '{{}}', 'other')",
        end + 2
    );
    admin.batch_execute(&foreign).await.expect("written");
    // Both sales go up in one batch.
    admin.batch_execute("REVOKE tresen_till FROM till").await.expect("revoked");
    admin
        .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'till'")
        .await
        .expect("cut");
    till.refresh_reference().await.expect("readable");
    local(&till).await;
    sell(&till, 400).await;
    let last = sell(&till, 500).await;
    admin.batch_execute("GRANT tresen_till TO till").await.expect("granted");
    up(&till).await;
    let aside = texts(&admin, "SELECT epoch || '/' || seq || '/' || (entry ->> 'kind') FROM tresen.quarantine").await;
    assert_eq!(aside, [format!("2/{}/closed", end + 2)]);
    assert_eq!(count(&admin, "SELECT count(*) FROM tresen.tickets WHERE id = 'foreign'").await, 1, "left alone");
    assert_eq!(count(&admin, &format!("SELECT count(*) FROM tresen.tickets WHERE id = '{last}'")).await, 1);
    let told =
        std::iter::from_fn(|| events.try_next()).filter(|e| matches!(e.kind, EventKind::Quarantined { .. })).count();
    assert_eq!(told, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_reference_tables_work_as_their_sql_says() {
    let mut cluster = Cluster::start().await;
    let admin = prepare(&cluster).await;
    admin
        .batch_execute(
            "INSERT INTO tresen.accounts (account, balance, credit) VALUES ('a', 20, 0), ('b', 0, 5.50);
             INSERT INTO tresen.reference (name, id, body)
             SELECT 'articles', n::text, jsonb_build_object('name', 'Article ' || n) FROM generate_series(1, 300) n",
        )
        .await
        .expect("written");
    let dir = folder();
    let mut server = Server::at(cluster.url("till", "shop"));
    server.account_limit = Some(Amount::eur(10_00));
    server.reference = vec!["articles".into()];
    let till = open(dir.path(), server).await;
    up(&till).await;
    let page = till.reference("articles", None, 1000).await.expect("read");
    assert_eq!((page.rows.len(), page.table.expect("received").version), (300, 300));
    admin.batch_execute("DELETE FROM tresen.reference WHERE id = '17'").await.expect("removed");
    assert_eq!(till.refresh_reference().await.expect("read").tables[0].version, 301);
    assert!(till.reference_row("articles", "17").await.expect("read").is_none());

    let accounts = till.accounts().expect("configured");
    let pay = async |account: &str, cents: i64| {
        let mut sale = basket(&till, "Lunch", cents).await;
        let paid = sale.pay_account(&accounts, account, Amount::eur(cents)).await.expect("stored");
        (sale, paid)
    };
    let (mut lunch, paid) = pay("a", 6_50).await;
    assert_eq!(paid, OnAccount::Reserved { balance: Some(Amount::eur(13_50)) });
    let (mut snack, paid) = pay("b", 5_50).await;
    assert_eq!(paid, OnAccount::Reserved { balance: Some(Amount::eur(0)) }, "on credit");
    let (_, paid) = pay("b", 1).await;
    assert!(matches!(&paid, OnAccount::Refused { why } if why.contains("0 EUR")), "{paid:?}");
    let (_, paid) = pay("c", 1).await;
    assert!(matches!(&paid, OnAccount::Refused { why } if why.contains("no account `c`")), "{paid:?}");
    close(&till, &mut lunch).await;
    snack.give_back(1).await.expect("given back");
    up(&till).await;
    let states =
        texts(&admin, "SELECT account || ' ' || state || ' ' || amount FROM tresen.bookings ORDER BY at").await;
    assert_eq!(states, ["a booked 6.50", "b released 5.50"]);
    // Local mode: 8.00 of the 13.50 last seen, while somebody else spends most of it.
    admin.batch_execute("UPDATE tresen.accounts SET balance = 3 WHERE account = 'a'").await.expect("spent");
    cluster.kill();
    let (mut dinner, paid) = pay("a", 8_00).await;
    assert_eq!(paid, OnAccount::Owed { balance: Amount::eur(5_50) });
    close(&till, &mut dinner).await;
    let (_, paid) = pay("a", 2_01).await;
    assert!(matches!(&paid, OnAccount::Refused { why } if why.contains("limit")), "{paid:?}");
    cluster.launch().await;
    up(&till).await;
    let admin = cluster.connect("admin", "shop").await;
    assert_eq!(till.unbooked().await.expect("read").len(), 1);
    assert_eq!(
        texts(&admin, "SELECT account || ' ' || amount || ' ' || why FROM tresen.unbooked").await,
        ["a 8.00 the balance is 3 EUR"]
    );
    admin.batch_execute("UPDATE tresen.accounts SET balance = 30 WHERE account = 'a'").await.expect("paid in");
    till.refresh_reference().await.expect("read");
    assert_eq!(till.unbooked().await.expect("read"), []);
    assert_eq!(texts(&admin, "SELECT balance::text FROM tresen.accounts WHERE account = 'a'").await, ["22.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_certificate_must_be_signed_by_the_authority_and_name_the_host() {
    let mut cluster = Cluster::new();
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("right");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("signed");
        (certificate, rcgen::Issuer::new(params, key))
    };
    let ((ours, issuer), (other, _)) = (authority("ours"), authority("other"));
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("right").signed_by(&key, &issuer).expect("signed");
    cluster.write(&cluster.data().join("server.crt"), &certificate.pem());
    cluster.write(&cluster.data().join("server.key"), &key.serialize_pem());
    cluster.set("ssl=on");
    cluster.write(&cluster.data().join("pg_hba.conf"), "hostnossl all admin all trust\nhostssl all all all trust\n");
    cluster.launch().await;
    let admin = prepare(&cluster).await;
    let dir = folder();
    let (good, bad) = (dir.path().join("ours.pem"), dir.path().join("other.pem"));
    std::fs::write(&good, ours.pem()).expect("written");
    std::fs::write(&bad, other.pem()).expect("written");
    let url = |host: &str| format!("postgres://till@{host}:{}/shop", cluster.port());
    for (host, ca, parts) in [
        ("localhost", &bad, ["certificate is not trusted", "`ca`"]),
        ("127.0.0.1", &good, ["certificate is not trusted", "host"]),
    ] {
        let mut server = Server::at(url(host));
        server.ca = Some(ca.clone());
        let till = open(dir.path(), server).await;
        let why = local(&till).await;
        assert!(parts.iter().all(|part| why.contains(part)), "{why}");
        till.close(Duration::from_secs(10)).await.expect("closes");
    }
    let mut server = Server::at(url("localhost"));
    server.ca = Some(good);
    let till = open(dir.path(), server).await;
    sell(&till, 100).await;
    up(&till).await;
    assert_eq!(
        count(
            &admin,
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename = 'till'"
        )
        .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_or_amount_under_a_known_key_is_refused_and_listed() {
    let cluster = Cluster::start().await;
    let admin = prepare(&cluster).await;
    admin
        .batch_execute("INSERT INTO tresen.accounts (account, balance, credit) VALUES ('a', 20, 0), ('b', 20, 0)")
        .await
        .expect("written");
    let dir = folder();
    let till = open(dir.path(), Server::at(cluster.url("till", "shop"))).await;
    up(&till).await;
    let server = postgres::Postgres::new(&Server::at(cluster.url("till", "shop"))).expect("right");
    let booking = |account: &str, cents| Booking {
        till: till.store().till().to_owned(),
        key: "s/1/o".into(),
        account: account.into(),
        amount: Amount::eur(cents),
    };
    let ours = booking("a", 5_00);
    assert_eq!(server.reserve(&ours).await.expect("reachable").refused, None);
    assert_eq!(server.reserve(&ours).await.expect("reachable").refused, None, "asked again");
    for other in [booking("a", 6_00), booking("b", 5_00)] {
        let refused = server.reserve(&other).await.expect("reachable").refused.expect("it is another");
        assert!(refused.contains("another booking"), "{refused}");
        assert!(!server.decide(&other).await.expect("reachable"));
        server.release(&other).await.expect("reachable");
        for _ in 0..2 {
            let booked = server.book(&other).await.expect("reachable");
            assert!(matches!(&booked, Booked::Unbooked { why } if why.contains("another booking")), "{booked:?}");
        }
    }
    let listed = texts(&admin, "SELECT account || ' ' || amount FROM tresen.unbooked ORDER BY account, amount").await;
    assert_eq!(listed, ["a 6.00", "b 5.00"]);
    assert!(server.decide(&ours).await.expect("reachable"), "ours is still reserved");
    for _ in 0..2 {
        assert_eq!(server.book(&ours).await.expect("reachable"), Booked::Booked);
    }
    let balances = texts(&admin, "SELECT account || ' ' || balance FROM tresen.accounts ORDER BY account").await;
    assert_eq!(balances, ["a 15.00", "b 20"], "once");
}
