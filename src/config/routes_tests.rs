use super::super::{AwayPlan, Problem, Redirected, Severity};
use super::*;
use crate::drivers::Drivers;

const PRINTERS: &str = "printers.bar.address = 'escpos+tcp://10.0.0.1'
printers.kitchen.address = 'escpos+tcp://10.0.0.2'
printers.belt.address = 'escpos+tcp://10.0.0.3'
";

fn problems(rest: &str) -> Vec<Problem> {
    Config::check_text(&format!("{PRINTERS}{rest}"), "till.toml", &Drivers::standard()).problems
}

fn right(rest: &str) -> Config {
    assert_eq!(problems(rest), [], "{rest}");
    Config::parse(&format!("{PRINTERS}{rest}"), "till.toml", &Drivers::standard()).expect("right")
}

#[test]
fn reads_every_key() {
    let config = right(
        "[till]\npatience = '90s'\nreconnect = { first = '1s', at-most = '1m' }\n\
         [printers.office]\naddress = 'escpos+tcp://10.0.0.4'\nreconnect = { first = '5s' }\n\
         [stations.'handheld 7']\nprinter = 'belt'\n\
         [routes]\nreceipt = ['bar', 'kitchen']\n\
         [routes.food]\nprinters = ['kitchen', 'bar']\nprints = ['kitchen']\ngroups = ['grill', 'kitchen']\n\
         own = true\ncopies = 2\nfail-back = '30s'\nwarn-after = 'never'\nstall = '5s'\n",
    );
    let seconds = Duration::from_secs;
    assert_eq!((config.till.patience, config.till.reconnect), (seconds(90), Reconnect::new(seconds(1), seconds(60))));
    let office = config.device(Class::Printer, "office").expect("configured");
    assert_eq!(office.reconnect, Some(Reconnect::new(seconds(5), seconds(30))));
    assert_eq!(config.routes["receipt"], Route::of(["bar", "kitchen"]), "the short form has the usual rules");
    let food = &config.routes["food"];
    assert_eq!((food.own, food.copies, food.fail_back), (true, 2, FailBack::After(seconds(30))));
    assert_eq!((food.warn_after, food.stall), (None, seconds(5)));
    assert_eq!(food.groups.iter().collect::<Vec<_>>(), ["grill", "kitchen"]);
    assert_eq!(config.printers_for("food", Some("handheld 7")), ["belt", "kitchen", "bar"]);
    assert_eq!(config.printers_for("food", Some("handheld 8")), ["kitchen", "bar"]);
    assert_eq!(config.printers_for("receipt", Some("handheld 7")), ["bar", "kitchen"], "without `own`");
    for (text, rule) in [("at-once", FailBack::AtOnce), ("when-empty", FailBack::WhenEmpty)] {
        let config = right(&format!("[routes.r]\nprinters = ['bar']\nfail-back = '{text}'\n"));
        assert_eq!((config.routes["r"].fail_back, rule.to_string().as_str()), (rule, text));
    }
}

/// Lines of the rest of the file, line and column of the problem, its key, and parts of the message.
type Case<'a> = (&'a str, (usize, usize), &'a str, &'a [&'a str]);

#[test]
fn every_wrong_key_is_named_with_its_place() {
    let cases: &[Case<'_>] = &[
        ("[routes]\nr = ['bra']\n", (5, 6), "routes.r", &["unknown printer `bra`", "bar, belt, kitchen"]),
        ("[routes]\nr = []\n", (5, 1), "routes.r", &["the list of printers is empty"]),
        ("[routes]\nr = 5\n", (5, 1), "routes.r", &["a list of printers", "a section of its own", "the number 5"]),
        ("[routes.r]\ncopies = 1\n", (4, 9), "routes.r.printers", &["is missing"]),
        ("[routes.r]\nprinters = 'bar'\n", (5, 1), "routes.r.printers", &["a list of texts"]),
        ("[routes.r]\nprinters = ['bar', 'bra']\n", (5, 20), "routes.r.printers", &["unknown printer `bra`"]),
        ("[routes.r]\nprinters = ['bar']\nprint = ['slip']\n", (6, 1), "routes.r.print", &["unknown key", "`prints`"]),
        ("[routes.r]\nprinters = ['bar']\nprints = ['slips']\n", (6, 11), "routes.r.prints", &["`slips`", "`slip`"]),
        ("[routes.r]\nprinters = ['bar']\nprints = 'slip'\n", (6, 1), "routes.r.prints", &["a list of texts"]),
        ("[routes.r]\nprinters = ['bar']\ngroups = ['']\n", (6, 11), "routes.r.groups", &["must not be empty"]),
        (
            "[routes.r]\nprinters = ['bar']\nprints = ['slip']\ngroups = ['grill']\n",
            (7, 1),
            "routes.r.groups",
            &["groups select kitchen tickets", "add \"kitchen\""],
        ),
        (
            "[routes.r]\nprinters = ['bar']\nprints = ['slip', 'kitchen']\ngroups = ['grill']\n",
            (6, 1),
            "routes.r.prints",
            &["their kitchen tickets only"],
        ),
        ("[routes.r]\nprinters = ['bar']\nown = 'yes'\n", (6, 1), "routes.r.own", &["true or false", "\"yes\""]),
        ("[routes.r]\nprinters = ['bar']\ncopies = 0\n", (6, 1), "routes.r.copies", &["from 1 to 9", "the number 0"]),
        ("[routes.r]\nprinters = ['bar']\ncopies = 300\n", (6, 1), "routes.r.copies", &["from 1 to 9"]),
        ("[routes.r]\nprinters = ['bar']\ncopies = '2'\n", (6, 1), "routes.r.copies", &["the text \"2\""]),
        (
            "[routes.r]\nprinters = ['bar']\nfail-back = 'soon'\n",
            (6, 1),
            "routes.r.fail-back",
            &["`at-once`, `when-empty`", "\"30s\"", "\"soon\""],
        ),
        ("[routes.r]\nprinters = ['bar']\nfail-back = 30\n", (6, 1), "routes.r.fail-back", &["the number 30"]),
        ("[routes.r]\nprinters = ['bar']\nwarn-after = 120\n", (6, 1), "routes.r.warn-after", &["a duration such as"]),
        ("[routes.r]\nprinters = ['bar']\nwarn-after = '-2m'\n", (6, 1), "routes.r.warn-after", &["a duration"]),
        ("[routes.r]\nprinters = ['bar']\nstall = '0s'\n", (6, 1), "routes.r.stall", &["a duration", "\"0s\""]),
        ("[routes.r]\nprinters = ['bar']\nstall = '9999 years'\n", (6, 1), "routes.r.stall", &["a duration"]),
        (
            "[routes]\nslip = ['bar']\nr = { printers = ['kitchen'], prints = ['slip'] }\n",
            (5, 1),
            "routes.slip",
            &["the route `r` prints the kind of paper `slip` already"],
        ),
        (
            "[routes.a]\nprinters = ['bar']\nprints = ['label']\n[routes.b]\nprinters = ['bar']\nprints = ['label']\n",
            (9, 1),
            "routes.b.prints",
            &["the route `a` prints the kind of paper `label` already", "`groups`"],
        ),
        ("[till]\npatience = 60\n", (5, 1), "till.patience", &["a duration such as", "the number 60"]),
        ("[till]\nreconnect = '1s'\n", (5, 1), "till.reconnect", &["a table", "first ="]),
        ("[till]\nreconnect = { frist = '1s' }\n", (5, 15), "till.reconnect.frist", &["`first`, `at-most`"]),
        ("[till]\nreconnect = { first = 1 }\n", (5, 15), "till.reconnect.first", &["a duration"]),
        (
            "[till]\nreconnect = { first = '1m', at-most = '5s' }\n",
            (5, 1),
            "till.reconnect",
            &["the first delay, 60s, is longer than the longest, 5s"],
        ),
        (
            "[printers.a]\naddress = 'escpos+tcp://x'\nreconnect = 5\n",
            (6, 1),
            "printers.a.reconnect",
            &["a table", "the number 5"],
        ),
    ];
    for (text, place, key, parts) in cases {
        let found = problems(text);
        let [problem] = found.as_slice() else { panic!("{text}\n{found:?}") };
        assert_eq!((problem.line, problem.column), (Some(place.0), Some(place.1)), "{text}\n{problem}");
        assert_eq!((problem.key.as_str(), problem.severity), (*key, Severity::Error), "{text}");
        let told = problem.to_string();
        assert!(parts.iter().all(|part| told.contains(part)), "{told} lacks {parts:?}");
    }
}

#[test]
fn an_own_printer_that_nobody_uses_is_a_warning() {
    let station = "[stations.'handheld 7']\nprinter = 'belt'\n";
    for (text, line, key) in [
        (format!("[routes]\nr = ['bar']\n{station}"), 7, "stations.\"handheld 7\".printer"),
        ("[routes.r]\nprinters = ['bar']\nown = true\n".to_owned(), 6, "routes.r.own"),
    ] {
        let found = problems(&text);
        let [problem] = found.as_slice() else { panic!("{text}\n{found:?}") };
        assert_eq!((problem.severity, problem.line, problem.key.as_str()), (Severity::Warning, Some(line), key));
    }
    right(&format!("[routes.r]\nprinters = ['bar']\nown = true\n{station}"));
}

#[test]
fn a_kind_of_paper_has_one_route() {
    let config = right(
        "[routes]\nreceipt = ['bar']\nkitchen = ['kitchen']\n\
         [routes.labels]\nprinters = ['belt']\nprints = ['label']\n\
         [routes.grill]\nprinters = ['kitchen']\ngroups = ['grill']\n",
    );
    let route = |kind| config.route_for(kind).expect("there is one");
    let all = PaperKind::ALL.map(route);
    assert_eq!(all, ["receipt", "kitchen", "receipt", "labels"], "slips go where receipts go");
    assert_eq!(config.routes_for_group(Some("grill")).expect("its own"), ["grill"]);
    assert_eq!(config.routes_for_group(Some("soups")).expect("the rest"), ["kitchen"]);
    // A printer that is named like a kind of paper.
    let config = right("[routes]\nreceipt = ['bar']\n");
    assert_eq!(config.route_for(PaperKind::Kitchen).expect("the printer"), "kitchen");
    let error = config.route_for(PaperKind::Label).expect_err("none");
    assert!(error.to_string().contains("`label`"), "{error}");
    // A route of that name that prints something else.
    let config = right("[routes.kitchen]\nprinters = ['kitchen']\nprints = ['slip']\n");
    assert!(config.route_for(PaperKind::Kitchen).is_err());
}

#[test]
fn the_plan_shows_what_is_printed_where_also_with_a_printer_away() {
    let config = right(
        "[stations.'handheld 7']\nprinter = 'belt'\n\
         [routes]\nkitchen = ['kitchen', 'bar']\n\
         [routes.receipt]\nprinters = ['bar']\nown = true\n",
    );
    let plan = config.plan();
    let names: Vec<_> = plan.iter().map(|plan| plan.route.as_str()).collect();
    assert_eq!(names, ["bar", "belt", "kitchen", "receipt"]);
    let receipt = &plan[3];
    assert_eq!(receipt.prints, BTreeSet::from([PaperKind::Receipt, PaperKind::Slip]));
    let at: Vec<_> = receipt.printers.iter().map(|at| (at.station.as_deref(), at.printers.join(" "))).collect();
    assert_eq!(at, [(Some("handheld 7"), "belt bar".to_owned()), (None, "bar".to_owned())]);

    let redirected = |route: &str, station: Option<&str>, on: Option<&str>| Redirected {
        route: route.into(),
        station: station.map(str::to_owned),
        on: on.map(str::to_owned),
    };
    let away = |away: &str, changes: Vec<Redirected>, unaffected: &[&str]| AwayPlan {
        away: away.into(),
        changes,
        unaffected: unaffected.iter().map(|route| (*route).to_owned()).collect(),
    };
    let expected = [
        away("bar", vec![redirected("receipt", None, None)], &["kitchen"]),
        away("belt", vec![redirected("receipt", Some("handheld 7"), Some("bar"))], &["kitchen"]),
        away("kitchen", vec![redirected("kitchen", None, Some("bar"))], &["receipt"]),
    ];
    assert_eq!(config.plan_away(), expected);
}

#[test]
fn one_place_under_two_names_is_told_in_whatever_spelling() {
    for (a, b) in [
        ("escpos+tcp://Printer.Shop", "escpos+tcp://printer.shop.:9100"),
        ("escpos+tcp://localhost:9100", "escpos+tcp://127.0.0.1"),
        ("escpos+serial:///dev/no-such-port", "escpos+serial:///dev//./no-such-port"),
    ] {
        let text = format!("[printers.x]\naddress = '{a}'\n[printers.y]\naddress = '{b}'\n");
        let found = problems(&text);
        let [problem] = found.as_slice() else { panic!("{text}\n{found:?}") };
        assert_eq!((problem.line, problem.key.as_str()), (Some(7), "printers.y.address"), "{problem}");
        assert!(problem.what.contains("`printers.x`"), "{problem}");
    }
}
