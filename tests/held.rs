//! What is held and booked later: on the handle of the till, as commands, and in its books.

mod common;

use common::{Counter, within};
use serde_json::Value;
use tresen::export::{Export, Format, What};
use tresen::payment::zvt;
use tresen::payment::zvt::sim::{Profile, State};
use tresen::{Amount, Kind, Payment};

fn charged(payment: Payment) -> tresen::payment::Charge {
    payment.into_charge().expect("it stands")
}

#[tokio::test]
async fn only_what_is_booked_counts_as_turnover() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["counter"]).await;
    let terminal = till.terminal("counter").expect("configured");
    let held = charged(within("held", terminal.pre_authorise(Amount::eur(50_00))).await.expect("an outcome"));
    let other = charged(within("held", terminal.pre_authorise(Amount::eur(30_00))).await.expect("an outcome"));
    let of = held.reference.expect("it is named");
    let booked = charged(within("booked", terminal.book(&of, Amount::eur(42_00))).await.expect("an outcome"));
    assert_eq!(booked.amount, Amount::eur(42_00));
    // By the number on the slip: the journal knows what is held.
    let number = zvt::reference(None, &other.receipt_number.expect("numbered"), None);
    let error = within("refused", terminal.book(&number, Amount::eur(30_01))).await.expect_err("more than is held");
    assert!(error.kind() == Kind::Input && error.to_string().contains("holds 30.00 EUR"), "{error}");
    charged(within("released", terminal.release(&number, Amount::eur(30_00))).await.expect("an outcome"));
    let error = within("refused", terminal.increment(&of, Amount::eur(1))).await.expect_err("ZVT has none");
    assert_eq!(error.kind(), Kind::Unsupported);
    let states: Vec<_> = sim.with(|s| s.ledger().entries().iter().map(|t| t.state).collect());
    assert_eq!(states, [State::Booked(Amount::eur(42_00)), State::Released, State::Stored, State::Stored]);

    let rows = till.store().payments().await.expect("readable").rows;
    let ended: Vec<_> = rows.iter().map(|row| row.reversed_by.clone()).collect();
    assert_eq!(ended[..2], [Some(rows[2].intent.id.clone()), Some(rows[3].intent.id.clone())]);
    assert_eq!(rows[2].original.as_ref(), Some(&rows[0].intent.id));
    assert_eq!(rows[3].original.as_ref(), Some(&rows[1].intent.id));

    let (text, _) = till.export(Export::new(What::Payments, Format::Json), Vec::new()).await.expect("exported");
    let text = String::from_utf8(text).expect("text");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<_> = rows.iter().map(|row| (row["operation"].as_str(), &row["asked"], &row["taken"])).collect();
    assert_eq!(told.len(), 4, "{text}");
    let names = ["pre-authorisation", "pre-authorisation", "booking", "release"];
    assert_eq!(told.iter().map(|row| row.0).collect::<Vec<_>>(), names.map(Some));
    let taken: Vec<_> = told.iter().map(|row| row.2.to_string()).collect();
    assert!(taken[2].contains("42"), "{taken:?}");
    assert!([0, 1, 3].iter().all(|at| !taken[*at].contains(['3', '4', '5'])), "{taken:?}");
}
