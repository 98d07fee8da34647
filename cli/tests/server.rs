//! `tresen server`, as far as it goes without one. The exchange itself is tested with a real server in `tests/postgres`.

mod common;

use common::tresen;

#[test]
fn the_sql_of_the_server_is_printed_whole() {
    let out = tresen(["server", "sql"]).well();
    for part in ["CREATE SCHEMA", "CREATE ROLE tresen_till", "VIEW tresen.tickets", "tresen.reserve", "COMMIT"] {
        assert!(out.out.contains(part), "{part}");
    }
}

#[test]
fn a_server_that_is_not_there_is_one_clear_message_without_the_password() {
    for command in ["migrate", "status"] {
        // The discard port: nothing listens there.
        let out = tresen(["server", command, "postgres://admin:secret@127.0.0.1:9/shop"]);
        assert_eq!(out.code, Some(1));
        let text = out.err;
        assert!(text.contains("postgres://admin@127.0.0.1:9/shop: nobody listens there"), "{text}");
        assert!(!text.contains("secret") && text.lines().count() <= 2, "{text}");
    }
    let out = tresen(["server", "status", "postgres://admin:secret@10.0.0.2/shop"]);
    let text = out.err;
    assert!(text.contains("certificate") && text.contains("`ca`") && !text.contains("secret"), "{text}");
}
