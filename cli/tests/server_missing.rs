//! A build without the feature `postgres` names it, and how to get it.
#![cfg(not(feature = "postgres"))]

mod common;

use common::tresen;

#[test]
fn a_server_without_its_feature_is_named_with_the_way_to_install_it() {
    for args in [&["server", "migrate", "postgres://admin@10.0.0.2/shop"] as &[&str], &["server", "sql"], &["server"]] {
        let said = tresen(args);
        assert_eq!(said.code, Some(1), "{said:?}");
        let text = said.err;
        assert!(
            text.contains("feature `postgres`") && text.contains("cargo install tresen-cli --features postgres"),
            "{text}"
        );
    }
    assert!(tresen(["--help"]).well().out.contains("server"));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("till.toml");
    std::fs::write(&file, "[server]\nurl = 'postgres://till@10.0.0.2/tresen'\n").expect("written");
    let said = tresen(["check-config", file.to_str().expect("text")]);
    let text = said.out + &said.err;
    assert!(text.contains("feature `postgres`") && text.contains("--features postgres"), "{text}");
}
