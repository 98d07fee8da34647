use super::*;

fn fails(text: &str) -> String {
    let error = Config::parse(text, "till.toml").expect_err(text);
    assert_eq!(error.kind(), Kind::Config, "{error}");
    error.to_string()
}

#[test]
fn reads_the_example() {
    let config = Config::parse(include_str!("../../examples/till.toml"), "till.toml").expect("the example is right");
    assert!(config.printers.contains_key("receipt"));
    assert_eq!(config.route("receipt"), Some(vec!["receipt".to_owned(), "kitchen".to_owned()]));
    assert_eq!(config.route("kitchen"), Some(vec!["kitchen".to_owned()]));
    assert_eq!(config.route("bar"), None);
}

#[test]
fn an_option_in_the_address_wins_over_the_key() {
    let text = "[printers.a]\naddress = 'escpos+serial:///dev/x?baud=9600'\nbaud = 38400\nparity = 'even'\n";
    let config = Config::parse(text, "till.toml").expect("right");
    let address = &config.printers["a"].addresses()[0];
    assert_eq!((address.option("baud"), address.option("parity")), (Some("9600"), Some("even")));
}

#[test]
fn names_file_line_key_and_what_is_allowed() {
    for (text, parts) in [
        ("[printer.a]\n", &["till.toml:1", "printer", "expected one of", "`printers`"][..]),
        ("[till]\nname = 'x'\nstor = 'y'\n", &["till.toml:3", "till.stor", "`store`"]),
        ("[printers.a]\naddress = 'escpos+tcp//x'\n", &["till.toml:2", "printers.a.address", "no `://`"]),
        ("[printers.a]\naddress = 5\n", &["till.toml:2", "printers.a.address", "an address such as"]),
        ("[printers.a]\naddress = []\n", &["till.toml:2", "printers.a.address", "no address"]),
        (
            "[printers.a]\naddress = 'escpos+tcp://x'\nprofil = 'tm'\n",
            &["till.toml:3", "printers.a.profil", "unknown option", "profile"],
        ),
        ("[printers.a]\naddress = 'zvt+tcp://x'\n", &["till.toml:2", "printers.a.address", "escpos"]),
        (
            "[routes]\nx = ['bar']\n[printers.kitchen]\naddress='escpos+tcp://x'\n",
            &["till.toml:2", "routes.x", "`bar`", "kitchen"],
        ),
        ("[till]\ncurrency = 'Mark'\n", &["till.toml:2", "till.currency", "EUR"]),
        ("in-store = ['29?']\n", &["till.toml:1", "in-store"]),
        ("[till\n", &["till.toml:1"]),
    ] {
        let message = fails(text);
        for part in parts {
            assert!(message.contains(part), "{text}\n{message}\nlacks {part}");
        }
        assert!(!message.contains('\n'), "one line: {message}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("no/such/till.toml")).expect_err("missing");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().starts_with("no/such/till.toml: "), "{error}");
}
