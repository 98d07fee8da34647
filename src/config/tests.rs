use tresen_hal::{Kind, Retry};

use super::*;

fn parse(text: &str, name: &str) -> Result<Config> {
    Config::parse(text, name, &Drivers::standard())
}

fn check_text(text: &str, name: &str) -> Checked {
    Config::check_text(text, name, &Drivers::standard())
}

fn camera(config: &Config) -> &Device {
    config.device(Class::Camera, "a").expect("configured")
}

fn problems(text: &str) -> Vec<Problem> {
    check_text(text, "till.toml").problems
}

#[test]
fn reads_the_example() {
    let checked = check_text(include_str!("../../examples/till.toml"), "till.toml");
    assert_eq!(checked.problems, []);
    let config = checked.into_config().expect("no errors");
    assert!(config.device(Class::Printer, "receipt").is_some());
    assert_eq!(config.printers_for("receipt", None), ["receipt", "kitchen"]);
    assert_eq!(config.route("bar"), None);
}

#[test]
fn an_option_in_the_address_wins_over_the_key() {
    let text = "[printers.a]\naddress = 'escpos+serial:///dev/x?baud=9600'\nbaud = 38400\nparity = 'even'\n";
    let config = parse(text, "till.toml").expect("right");
    let address = &config.device(Class::Printer, "a").expect("configured").addresses()[0];
    assert_eq!((address.option("baud"), address.option("parity")), (Some("9600"), Some("even")));
}

#[test]
fn decimal_numbers_are_option_values_as_a_key_and_in_the_address() {
    for text in [
        "[cameras.a]\naddress = 'camera+file:///tmp'\nfps = 2.5\n",
        "[cameras.a]\naddress = 'camera+file:///tmp?fps=2.5'\n",
        "cameras.a = { address = 'camera+file:///tmp', fps = 2.5 }\n",
    ] {
        let config = parse(text, "till.toml").expect(text);
        assert_eq!(camera(&config).addresses()[0].option("fps"), Some("2.5"), "{text}");
    }
    let config = parse("[cameras.a]\naddress = 'camera+file:///tmp'\nfps = 5.0\n", "till.toml").expect("right");
    assert_eq!(camera(&config).addresses()[0].option("fps"), Some("5"));
}

/// A text with one problem: the line, the key and parts of the message.
type Case<'a> = (&'a str, usize, &'a str, &'a [&'a str]);

#[track_caller]
fn each(cases: &[Case<'_>], severity: Severity) {
    for (text, line, key, parts) in cases {
        let found = problems(text);
        let [problem] = &found[..] else { panic!("{text}\nhas one problem, not {found:#?}") };
        assert_eq!((problem.line, problem.key.as_str()), (Some(*line), *key), "{text}\n{problem}");
        assert_eq!((problem.severity, problem.file.as_deref()), (severity, Some("till.toml")), "{text}\n{problem}");
        let message = problem.to_string();
        for part in *parts {
            assert!(message.contains(part), "{text}\n{message}\nlacks {part}");
        }
        for jargon in ["enum", "variant", "OptionValue", "invalid type", "\n"] {
            assert!(!message.contains(jargon), "{text}\n{message}\nspeaks of {jargon:?}");
        }
        assert!(message.starts_with(&format!("till.toml:{line}: ")), "{message}");
        match severity {
            Severity::Error => {
                let error = parse(text, "till.toml").expect_err(text);
                assert_eq!((error.kind(), error.to_string()), (Kind::Config, message), "{text}");
            }
            Severity::Warning => drop(parse(text, "till.toml").expect(text)),
        }
    }
}

#[test]
fn what_is_not_toml_is_named_with_its_line_and_key() {
    each(
        &[
            ("[till\n", 1, "till", &["not valid TOML", "`]`"]),
            ("[till]\nname = 'x\n", 2, "till.name", &["not valid TOML"]),
            ("[till]\nname = Till 1\n", 2, "till.name", &["not valid TOML", "quote"]),
            ("[till]\nname 'x'\n", 2, "till", &["not valid TOML", "key with no value", "`=`"]),
            ("[till]\nname = 'x'\nname = 'y'\n", 3, "till", &["duplicate key", "`name`"]),
            (
                "[printers.a]\naddress = 'escpos+tcp://a'\n\n[printers.a]\nwidth = 500\n",
                4,
                "printers.a",
                &["duplicate"],
            ),
            (
                "[terminals.a]\naddress = 'zvt+tcp://x'\npassword = 000000\n",
                3,
                "terminals.a.password",
                &["digits with a leading zero", "write them in quotes"],
            ),
            (
                "[terminals]\na = { address = 'zvt+tcp://x', password = 012345 }\n",
                2,
                "terminals.a.password",
                &["write them in quotes"],
            ),
            ("[till]\nstore = \"C:\\till\\x.db\"\n", 2, "till.store", &["'single quotes'"]),
            (
                "[printers.a]\naddress = [\n  'escpos+tcp://a',\n  escpos+tcp://b,\n]\n",
                4,
                "printers.a.address",
                &["TOML"],
            ),
        ],
        Severity::Error,
    );
}

#[test]
fn keys_that_nobody_reads_are_named_with_those_that_are_known() {
    each(
        &[
            ("[printer.a]\naddress = 'x'\n", 1, "printer", &["unknown key", "`printers`", "`in-store`"]),
            ("\n\ntills = 1\n", 3, "tills", &["unknown key", "`till`"]),
            ("[till]\nname = 'x'\nstor = 'y'\n", 3, "till.stor", &["unknown key", "`store`"]),
            ("till = { stor = 'y' }\n", 1, "till.stor", &["`store`"]),
            ("# one\n\ntill.stor = 'y'\n", 3, "till.stor", &["`store`"]),
            ("[till]\nname = 'x'\nin-store = ['29PPPPPAAAAAC']\n", 3, "till.in-store", &["top of the file"]),
            (
                "[printers.a]\naddress = 'escpos+tcp://x'\nprofil = 'tm'\n",
                3,
                "printers.a.profil",
                &["unknown option `profil`", "profile"],
            ),
            (
                "[printers.\"the bar\"]\naddress = 'escpos+tcp://x'\nbaud = 9600\n",
                3,
                "printers.\"the bar\".baud",
                &["baud"],
            ),
            (
                "[printers]\na = { address = 'escpos+tcp://x', profil = 'tm' }\n",
                2,
                "printers.a.profil",
                &["unknown option"],
            ),
            (
                "printers.a.address = 'escpos+tcp://x'\nprinters.a.profil = 'tm'\n",
                2,
                "printers.a.profil",
                &["unknown option"],
            ),
            (
                "[printers.a]\naddress = 'escpos+tcp://x?profil=tm'\n",
                2,
                "printers.a.address",
                &["unknown option `profil`"],
            ),
            ("[cameras.a]\naddress = 'camera+file:///x'\nwidth = 100\n", 3, "cameras.a.width", &["width"]),
        ],
        Severity::Error,
    );
}

#[test]
fn values_of_the_wrong_kind_are_named_in_plain_words() {
    let option = "[cameras.a]\naddress = 'camera+file:///tmp'\nfps = ";
    each(
        &[
            ("till = 5\n", 1, "till", &["expected a table", "the number 5", "[till]"]),
            ("[till]\nname = 5\n", 2, "till.name", &["text in quotes", "the number 5"]),
            ("[till]\nname = true\n", 2, "till.name", &["text in quotes", "true"]),
            ("[till]\nname = 1.5\n", 2, "till.name", &["the number 1.5"]),
            ("[till]\nstore = 2026-01-02\n", 2, "till.store", &["a date"]),
            ("[till]\nstore = ['x']\n", 2, "till.store", &["a list"]),
            ("printers = 'escpos+tcp://x'\n", 1, "printers", &["expected a table", "[printers.NAME]"]),
            ("[[printers]]\naddress = 'escpos+tcp://x'\n", 1, "printers", &["expected a table", "a list"]),
            ("[printers]\na = 'escpos+tcp://x'\n", 2, "printers.a", &["expected a table", "address ="]),
            ("[printers.a]\naddress = 5\n", 2, "printers.a.address", &["an address such as", "the number 5"]),
            ("[printers.a]\naddress = { at = 'x' }\n", 2, "printers.a.address", &["an address such as", "a table"]),
            (
                "[printers.a]\naddress = [\n  'escpos+tcp://x',\n  7,\n]\n",
                4,
                "printers.a.address",
                &["text in quotes", "the number 7"],
            ),
            (&format!("{option}2026-01-02\n"), 3, "cameras.a.fps", &["a number", "a date"]),
            (&format!("{option}07:32:00\n"), 3, "cameras.a.fps", &["a date or time"]),
            (&format!("{option}[1, 2]\n"), 3, "cameras.a.fps", &["a list"]),
            (&format!("{option}{{ x = 1 }}\n"), 3, "cameras.a.fps", &["a table"]),
            (&format!("{option}inf\n"), 3, "cameras.a.fps", &["the number inf"]),
            ("[cameras.a]\naddress = 'camera+file:///tmp'\n[cameras.a.fps]\nx = 1\n", 3, "cameras.a.fps", &["a table"]),
            ("routes = ['a']\n", 1, "routes", &["expected a table", "a list"]),
            ("[routes]\nx = 'bar'\n", 2, "routes.x", &["a list of printers", "a section of its own", "\"bar\""]),
            ("in-store = '29PPPPPAAAAAC'\n", 1, "in-store", &["a list of texts"]),
            ("in-store = [\n  '29PPPPPAAAAAC',\n  29,\n]\n", 3, "in-store", &["the number 29"]),
        ],
        Severity::Error,
    );
}

#[test]
fn values_that_are_not_allowed_are_named_with_the_line_of_their_key() {
    let serial = "[scanners.s]\naddress = 'scanner+serial:///dev/ttyS0'\n";
    let terminal = "[terminals.t]\naddress = 'zvt+tcp://x'\n";
    let printer = "[printers.a]\naddress = 'escpos+tcp://x'\n";
    each(
        &[
            ("[till]\nname = ''\n", 2, "till.name", &["must not be empty"]),
            ("[till]\nstore = \"\"\n", 2, "till.store", &["must not be empty"]),
            ("[till]\ncurrency = 'Mark'\n", 2, "till.currency", &["`Mark`", "EUR"]),
            ("[till]\nsocket = 'off'\n", 2, "till.socket", &["expected true or false", "the text \"off\""]),
            ("[till]\n\nlanguage = 'French'\n", 3, "till.language", &["unknown language `French`", "`german`"]),
            ("[printers.a]\nprofile = 'generic-80mm'\n", 1, "printers.a.address", &["is missing", "escpos+tcp://"]),
            ("[printers.a]\naddress = []\n", 2, "printers.a.address", &["empty"]),
            ("[printers.a]\naddress = 'escpos+tcp//x'\n", 2, "printers.a.address", &["`escpos+tcp//x`", "no `://`"]),
            ("[printers.a]\naddress = 'escpos+pigeon://x'\n", 2, "printers.a.address", &["pigeon", "tcp"]),
            ("[printers.a]\naddress = 'escpos+tcp://x:99999'\n", 2, "printers.a.address", &["99999", "65535"]),
            ("[printers.a]\naddress = 'zvt+tcp://x'\n", 2, "printers.a.address", &["zvt", "escpos"]),
            (
                "[printers.a]\naddress = [\n  'escpos+tcp://x',\n  'escpos+tcp//y',\n]\n",
                4,
                "printers.a.address",
                &["`escpos+tcp//y`"],
            ),
            (
                "[printers.a]\naddress = [\n  'escpos+tcp://x',\n  'zvt+tcp://y',\n]\nwidth = 500\n",
                4,
                "printers.a.address",
                &["zvt"],
            ),
            ("[printers.'']\naddress = 'escpos+tcp://x'\n", 1, "printers.\"\"", &["name must not be empty"]),
            (
                &format!("{printer}# the old one\n\nprofile = 'tm'\n"),
                5,
                "printers.a.profile",
                &["`tm`", "generic-80mm"],
            ),
            (&format!("{printer}width = 5\n"), 3, "printers.a.width", &["100 to 4096"]),
            (&format!("{printer}width = 500\ncolumns = 5\n"), 4, "printers.a.columns", &["8 to 256"]),
            (&format!("{serial}\nbaud = 12\n"), 4, "scanners.s.baud", &["12"]),
            (&format!("{serial}baud = 'fast'\n"), 3, "scanners.s.baud", &["fast"]),
            (&format!("{serial}parity = 'evn'\nbaud = 9600\n"), 3, "scanners.s.parity", &["evn", "even"]),
            (&format!("{serial}baud = 9600\ngap = 'soon'\n"), 4, "scanners.s.gap", &["soon"]),
            (&format!("{serial}max = 0\n"), 3, "scanners.s.max", &["max"]),
            (&format!("{serial}commands = 'zebra'\n"), 3, "scanners.s.commands", &["zebra", "honeywell"]),
            ("[scanners.k]\naddress = 'scanner+evdev://05e0:1200'\nlayout = 'xx'\n", 3, "scanners.k.layout", &["xx"]),
            (&format!("{terminal}\n\n\npassword = '12345x'\n"), 6, "terminals.t.password", &["six digits"]),
            (&format!("{terminal}currency = 'Mark'\n"), 3, "terminals.t.currency", &["Mark"]),
            (&format!("{terminal}commit = 'perhaps'\n"), 3, "terminals.t.commit", &["perhaps", "reverses"]),
            (
                "[terminals]\nt = { address = 'zvt+tcp://x', password = 'x' }\n",
                2,
                "terminals.t.password",
                &["six digits"],
            ),
            ("terminals.t.address = 'zvt+tcp://x'\nterminals.t.password = 'x'\n", 2, "terminals.t.password", &["six"]),
            ("[terminals.t]\naddress = 'zvt+usb://04b8:0e15'\n", 2, "terminals.t.address", &["usb", "zvt+tcp"]),
            ("[cameras.c]\naddress = 'camera+v4l2:///dev/video0'\nformat = 'h264'\n", 3, "cameras.c.format", &["h264"]),
            ("[cameras.c]\naddress = 'camera+http://x/y'\n", 2, "cameras.c.address", &["http"]),
            (
                "[routes]\nx = ['bar']\n[printers.k]\naddress='escpos+tcp://x'\n",
                2,
                "routes.x",
                &["`bar`", "expected one of k"],
            ),
            (
                "[routes]\nx = [\n  'k',\n  'bar',\n]\n[printers.k]\naddress='escpos+tcp://x'\n",
                4,
                "routes.x",
                &["`bar`"],
            ),
            ("routes.x = []\n", 1, "routes.x", &["empty", "no printer is configured"]),
            (&format!("{printer}connect-timeout = 500\n"), 3, "printers.a.connect-timeout", &["0.1 to 60"]),
            (&format!("{printer}width = 500\ntls = 'yes'\n"), 4, "printers.a.tls", &["true or false"]),
            (&format!("{printer}fingerprint = 'zz'\n"), 3, "printers.a.fingerprint", &["without `tls=true`"]),
            (&format!("{printer}record = ''\n"), 3, "printers.a.record", &["name a file"]),
            (
                "[printers.a]\naddress = 'escpos+replay:///no/such.capture'\n",
                2,
                "printers.a.address",
                &["no such file"],
            ),
            ("in-store = ['29?']\n", 1, "in-store", &["29?"]),
            ("in-store = [\n  '29PPPPPAAAAAC',\n  '29?',\n]\n", 3, "in-store", &["29?"]),
        ],
        Severity::Error,
    );
}

#[cfg(feature = "tls")]
#[test]
fn options_of_tls_are_checked_with_their_files() {
    let tls = "[terminals.t]\naddress = 'zvt+tcp://x'\ntls = true\n";
    each(
        &[
            (&format!("{tls}fingerprint = 'zz'\n"), 4, "terminals.t.fingerprint", &["SHA-256"]),
            (&format!("{tls}\nca = '/no/such/ca.pem'\n"), 5, "terminals.t.ca", &["/no/such/ca.pem"]),
        ],
        Severity::Error,
    );
}

#[cfg(all(feature = "ble", feature = "spp", target_os = "linux"))]
#[test]
fn options_of_bluetooth_are_checked() {
    let at = |link: &str| format!("[printers.p]\naddress = 'escpos+{link}://AA:BB:CC:DD:EE:FF'\n");
    each(
        &[
            (&format!("{}mtu = 5\n", at("ble")), 3, "printers.p.mtu", &["5"]),
            (&format!("{}channel = 99\n", at("spp")), 3, "printers.p.channel", &["99"]),
        ],
        Severity::Error,
    );
}

#[test]
fn one_device_cannot_serve_two_names() {
    each(
        &[
            (
                "[printers.a]\naddress = 'escpos+tcp://x'\n[printers.b]\naddress = 'escpos+tcp://x:9100'\nwidth = 500\n",
                4,
                "printers.b.address",
                &["also an address of `printers.a`"],
            ),
            (
                "[printers.a]\naddress = 'escpos+tcp://x'\n[terminals.b]\naddress = [\n'zvt+tcp://y',\n'zvt+tcp://x:9100']\n",
                6,
                "terminals.b.address",
                &["also an address of `printers.a`"],
            ),
        ],
        Severity::Error,
    );
}

#[test]
fn what_is_allowed_but_odd_is_a_warning() {
    let kitchen = "[printers.kitchen]\naddress = 'escpos+tcp://k'\n";
    each(
        &[
            (
                "[terminals.a]\naddress = 'zvt+tcp://x'\n[scanners.a]\naddress = 'scanner+tcp://y:1'\n",
                3,
                "scanners.a",
                &["warning", "terminals"],
            ),
            (
                "[printers.a]\naddress = ['escpos+tcp://x', 'escpos+tcp://x:9100']\n",
                2,
                "printers.a.address",
                &["twice"],
            ),
            (&format!("{kitchen}[routes]\nx = ['kitchen', 'kitchen']\n"), 4, "routes.x", &["twice"]),
            (
                &format!("[printers.a]\naddress = 'escpos+tcp://a'\n{kitchen}[routes]\na = ['kitchen']\n"),
                6,
                "routes.a",
                &["does not contain the printer"],
            ),
        ],
        Severity::Warning,
    );
}

#[test]
fn all_problems_are_found_in_the_order_of_the_file() {
    let text = "
[till]
name = 5
[printers.a]
address = 'escpos+tcp://x'
width = 5
profil = 'tm'
columns = 5
[printers.b]
address = 7
[routes]
r = ['a', 'b', 'c']
";
    let found: Vec<_> = problems(text).into_iter().map(|p| (p.line.expect("a line"), p.key)).collect();
    let expected = [
        (3, "till.name"),
        (6, "printers.a.width"),
        (7, "printers.a.profil"),
        (8, "printers.a.columns"),
        (10, "printers.b.address"),
        (12, "routes.r"),
    ];
    assert_eq!(found, expected.map(|(line, key)| (line, key.to_owned())));
}

#[test]
fn a_configuration_put_together_in_the_program_is_checked_without_a_place() {
    let mut device = Device::at("escpos+tcp://x".parse().expect("an address"));
    device.options.insert("width".into(), OptionValue::Number(5));
    let config = Config::default().with(Class::Printer, "a", device);
    let error = config.validate(&Drivers::standard()).expect_err("too narrow").to_string();
    assert!(error.starts_with("key `printers.a.width`: "), "{error}");
}

#[test]
fn files_that_cannot_be_read_are_named_as_such() {
    let error = Config::load(Path::new("no/such/till.toml"), &Drivers::standard()).expect_err("missing");
    assert_eq!((error.kind(), error.retry()), (Kind::NotFound, Retry::AfterOperator));
    assert!(error.to_string().starts_with("no/such/till.toml: "), "{error}");

    let dir = tempfile::tempdir().expect("a folder");
    let error = Config::load(dir.path(), &Drivers::standard()).expect_err("a folder").to_string();
    assert!(error.contains("is a folder"), "{error}");

    let file = dir.path().join("till.toml");
    let at = |line: usize| format!("{}:{line}: ", file.display());
    let load = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("written");
        Config::load(&file, &Drivers::standard())
    };
    for (bytes, line, part) in [
        (&b"[till]\nname = 'Caf\xe9'\n"[..], 2, "is not UTF-8 text: byte 0xE9"),
        (b"\xff\xfe[\0t\0i\0l\0l\0]\0", 1, "is UTF-16 text"),
    ] {
        let error = load(bytes).expect_err("not UTF-8");
        assert_eq!(error.kind(), Kind::Config, "{error}");
        let error = error.to_string();
        assert!(
            error.starts_with(&at(line)) && error.contains(part) && error.contains("save the file as UTF-8"),
            "{error}"
        );
    }
    load(b"\xef\xbb\xbf[till]\r\nname = 'x'\r\n").expect("a byte order mark and CR LF are Notepad's way");

    std::fs::create_dir(dir.path().join("books")).expect("created");
    for (store, part) in [("books", "is a folder"), (".", "is a folder"), ("no/such/till.db", "does not exist")] {
        let error = load(format!("[till]\nstore = '{store}'\n").as_bytes()).expect_err(store).to_string();
        assert!(error.starts_with(&at(2)) && error.contains(part) && error.contains("till.store"), "{error}");
    }
    let config = load(b"[till]\nstore = 'till.db'\n").expect("right");
    assert_eq!(config.till.store, dir.path().join("till.db"));
}

#[test]
fn a_till_answers_on_its_socket_unless_told_otherwise() {
    let socket = |text| Config::parse(text, "till.toml", &Drivers::standard()).expect("right").till.socket;
    assert_eq!(socket("[till]\nname = 'x'\n"), cfg!(unix));
    assert!(!socket("[till]\nsocket = false\n"));
    assert!(socket("[till]\nsocket = true\n"));
}

#[test]
fn a_station_may_name_devices_that_come_from_outside() {
    let text = "[remote]\n[stations.'handheld 7']\nterminal = 'terminal.7'\n[stations.bar]\nsuffix = 'b'\nprinter = 'belt.b'\n";
    let config = parse(text, "till.toml").expect("right");
    assert_eq!(config.stations["handheld 7"].suffix("handheld 7"), Some("7"));
    assert_eq!(config.stations["bar"].suffix("bar"), Some("b"));
    for wrong in
        [text.replace("[remote]\n", ""), text.replace("'terminal.7'", "'terminal.8'"), text.replace("terminal.7", ".7")]
    {
        assert!(parse(&wrong, "till.toml").is_err(), "{wrong}");
    }
}

#[test]
fn stations_have_fixed_devices() {
    let text = "[terminals.bar]\naddress = 'zvt+tcp://x'\n[stations.'handheld 7']\nterminal = 'bar'\n";
    let config = Config::parse(text, "till.toml", &Drivers::standard()).expect("right");
    assert_eq!(config.stations["handheld 7"].device(Class::Terminal), Some("bar"));
    assert_eq!(config.stations["handheld 7"].device(Class::Printer), None);

    let wrong = |line: &str| {
        let error = Config::parse(&format!("{text}{line}\n"), "till.toml", &Drivers::standard()).expect_err(line);
        error.to_string()
    };
    let unknown = wrong("printer = 'belt'");
    assert!(unknown.starts_with("till.toml:5: ") && unknown.contains("unknown printer `belt`"), "{unknown}");
    let key = wrong("camera = 'x'");
    assert!(key.starts_with("till.toml:5: ") && key.contains("expected one of `terminal`, `printer`"), "{key}");
}

#[test]
fn the_server_section_is_read_with_the_tills_currency() {
    let text = "[server]\naccount-limit = '20.50'\nreference = ['articles', 'staff']\n[till]\ncurrency = 'CHF'\n";
    let server = parse(text, "till.toml").expect("right").server.expect("configured");
    assert_eq!(server.account_limit.expect("a limit").to_string(), "20.50 CHF");
    assert_eq!(server.reference, ["articles", "staff"]);
    each(
        &[
            ("[server]\nuri = 'x'\n", 2, "server.uri", &["`url`", "`account-limit`"]),
            ("[server]\naccount-limit = 20\n", 2, "server.account-limit", &["text in quotes"]),
            ("[server]\naccount-limit = '-1'\n", 2, "server.account-limit", &["negative"]),
            ("[server]\nreference = ['a', '']\n", 2, "server.reference", &["empty"]),
            ("server = 7\n", 1, "server", &["a table"]),
        ],
        Severity::Error,
    );
}

#[cfg(not(feature = "postgres"))]
#[test]
fn a_server_needs_the_feature() {
    let text = "[server]\nurl = 'postgres://till:secret@10.0.0.2/tresen'\n";
    each(&[(text, 2, "server.url", &["feature `postgres`", "--features postgres"])], Severity::Error);
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_elsewhere_needs_its_authority() {
    let text = "[server]\nurl = 'postgres://till:secret@10.0.0.2/tresen'\n";
    each(&[(text, 2, "server.url", &["certificate", "`ca`"])], Severity::Error);
    let problem = &problems("[server]\nurl = 'postgres://till:secret@10.0.0.2/tresen'\n")[0];
    assert!(!problem.to_string().contains("secret"), "{problem}");
}
