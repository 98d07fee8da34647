//! Terminals that mislead a till: stale and foreign results, answers too late, questions that are of
//! no use. Whatever they do, no payment is called charged that was not, or not charged that was; what
//! stays unknown says why, and the next customer can pay.

mod common;

use std::time::Duration;

use common::{Counter, PRICE, is_charged, pay};
use tokio::sync::{mpsc, watch};
use tresen_hal::{Amount, Currency, Effect, Kind};
use tresen_payment::zvt::sim::{Commit, Kind as Sort, Misbehaviour, OnAbort, OnRepeat, Profile, Side};
use tresen_payment::zvt::{self, Charset};
use tresen_payment::{Decision, IntentId, Journal, Payment, Progress, Reason, Request, Terminal, Watch};

/// Messages to the till in a payment: `80`, `04 0F`, `06 0F` for the question before it, then `80`,
/// three `04 FF`, `04 0F`.
const ACCEPTED: usize = 3;
const APPROVAL: usize = 7;

fn cut_before(message: usize) -> Misbehaviour {
    Misbehaviour::HangUp { side: Side::ToTill, message, after: false }
}

fn why(payment: &Payment) -> &str {
    match payment {
        Payment::Unknown(unknown) => &unknown.why,
        other => panic!("{other:?}"),
    }
}

fn reason(payment: &Payment) -> Reason {
    match payment {
        Payment::NotCharged(not) => not.reason,
        other => panic!("{other:?}"),
    }
}

/// Pays as `sale` over a connection that ends before `message`, and lets `meanwhile` happen.
async fn lose(counter: &mut Counter, message: usize) {
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(cut_before(message)));
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(matches!(payment, Payment::Unknown(_)), "{payment:?}");
}

/// Recovers over a new connection and returns how `sale` stands; then the next customer pays.
async fn recovered(counter: &mut Counter) -> Payment {
    let mut terminal = counter.open().await.expect("registers again");
    terminal.recover().await.expect("asks");
    let payment = counter.entry("sale").expect("journalled").payment.expect("concluded");
    next_customer_pays(counter, terminal).await;
    let now = counter.entry("sale").expect("journalled").payment.expect("concluded");
    match (&now, &payment) {
        (Payment::Unknown(_), Payment::Unknown(_)) => {}
        _ => assert_eq!(now, payment),
    }
    payment
}

/// As the owner of a driver does: one that ended its connection is opened anew.
async fn next_customer_pays(counter: &mut Counter, mut terminal: zvt::Terminal) {
    let sent = counter.received(0x0601);
    for _ in 0..4 {
        match terminal.pay(Request::new("next", Amount::eur(3_00)), Watch::none()).await {
            Ok(next) => {
                assert!(is_charged(&next), "{next:?}");
                assert_eq!(counter.received(0x0601), sent + 1);
                return;
            }
            Err(error) => assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::None), "{error}"),
        }
        assert_eq!(counter.received(0x0601), sent);
        drop(terminal);
        terminal = counter.open().await.expect("registers again");
        terminal.recover().await.expect("asks");
    }
    panic!("the next customer could not pay");
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_was_not_heard_is_charged_only_if_the_terminal_is_ours_alone() {
    for exclusive in [false, true] {
        let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
        counter.options.exclusive = exclusive;
        lose(&mut counter, APPROVAL).await;
        let payment = recovered(&mut counter).await;
        assert_eq!(counter.stored(), 2, "it stands");
        if exclusive {
            assert!(is_charged(&payment), "{payment:?}");
        } else {
            assert!(why(&payment).contains("exclusive=true") && why(&payment).contains("receipt 0417"), "{payment:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_settles_what_stays_unknown_and_the_key_then_stands_for_that() {
    let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
    lose(&mut counter, APPROVAL).await;
    why(&recovered(&mut counter).await);
    let id = IntentId("sale".into());
    let decision = Decision::charged(PRICE, "Ada", "receipt 0417 is on the terminal's list");
    counter.journal.settle(&id, &decision).await.expect("it is open");
    let mut terminal = counter.open().await.expect("registers");
    assert!(terminal.recover().await.expect("nothing is open").is_empty());
    let again = pay(&mut terminal, "sale").await.expect("from the journal");
    assert!(matches!(again, Payment::Charged(c) if c.amount == PRICE));
    assert_eq!(counter.received(0x0601), 2);
}

#[tokio::test(start_paused = true)]
async fn what_others_do_at_the_terminal_is_not_the_lost_payment() {
    for exclusive in [false, true] {
        // The same price by another till, typed in, or a reversal with a receipt of its own; once or twice.
        for (sort, count) in [(Sort::Payment, 1), (Sort::Payment, 2), (Sort::Reversal(0), 1), (Sort::Refund, 2)] {
            if exclusive && sort == Sort::Payment && count == 1 {
                continue; // Nobody else uses it, says the user.
            }
            let mut counter = Counter::new(Profile::default());
            counter.options.exclusive = exclusive;
            counter.sim.with(|s| s.by_hand(Sort::Payment, PRICE).clone());
            lose(&mut counter, ACCEPTED).await;
            for _ in 0..count {
                counter.sim.with(|s| s.by_hand(sort, PRICE).clone());
            }
            let payment = recovered(&mut counter).await;
            assert!(matches!(payment, Payment::Unknown(_)), "{exclusive} {sort:?} {count}: {payment:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_taken_back_with_a_receipt_of_its_own_is_not_charged_by_it() {
    for exclusive in [false, true] {
        let profile = Profile { reverses_with_receipt: true, commit: Commit::Reverses, ..Profile::default() };
        let mut counter = Counter::new(profile);
        counter.options.exclusive = exclusive;
        lose(&mut counter, APPROVAL).await;
        let payment = recovered(&mut counter).await;
        assert!(matches!(payment, Payment::Unknown(_)), "{payment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_known_predecessor_the_customer_before_is_not_taken_for_the_lost_payment() {
    for repeat in [OnRepeat::Aborts(0xa0), OnRepeat::Refuses(0xa0), OnRepeat::Refuses(0x83), OnRepeat::PrintsOnly] {
        let mut counter = Counter::new(Profile { repeat, ..Profile::default() });
        counter.options.exclusive = true;
        counter.sim.with(|s| s.by_hand(Sort::Payment, PRICE).clone());
        let mut terminal = counter.open().await.expect("registers");
        // Everything is lost from the acknowledgement of 06 01 on.
        let before = if matches!(repeat, OnRepeat::Refuses(_)) { 1 } else { 2 };
        counter.sim.with(|s| s.misbehave(cut_before(before)));
        let lost = pay(&mut terminal, "sale").await;
        assert!(!matches!(lost, Ok(Payment::Charged(_))), "{lost:?}");
        drop(terminal);
        counter.sim.with(|s| {
            s.behave();
            s.profile_mut().repeat = OnRepeat::Shows;
        });
        if counter.entry("sale").is_some() {
            let payment = recovered(&mut counter).await;
            assert!(matches!(payment, Payment::Unknown(_)), "{repeat:?}: {payment:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_said_again_is_no_approval() {
    let mut counter = Counter::new(Profile::default());
    counter.sim.with(|s| s.by_hand(Sort::Payment, PRICE).clone());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| {
        s.misbehave(Misbehaviour::RepeatResult);
        s.misbehave(Misbehaviour::Decline(0x78));
    });
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(!is_charged(&payment), "{payment:?}");
    assert_eq!(counter.stored(), 1, "only the customer before");
    next_customer_pays(&mut counter, terminal).await;
    // The same, and the customer pays after all.
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::RepeatResult));
    let payment = pay(&mut terminal, "again").await.expect("an outcome");
    match payment {
        Payment::Charged(charge) => assert_eq!(charge.receipt_number.as_deref(), Some("0420")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_said_twice_is_one() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Twice { message: APPROVAL }));
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
    assert_eq!(counter.stored(), 1);
}

#[tokio::test(start_paused = true)]
async fn not_charged_is_never_concluded_after_one_look() {
    for exclusive in [false, true] {
        // It goes on with the customer for half a second, and says that it is idle.
        let profile = Profile {
            commit: Commit::Keeps,
            finishes_alone: true,
            lies_idle: true,
            pace: Duration::from_millis(500),
            ..Profile::default()
        };
        let mut counter = Counter::new(profile);
        counter.options.exclusive = exclusive;
        lose(&mut counter, APPROVAL - 1).await;
        let payment = recovered(&mut counter).await;
        assert_eq!(counter.stored(), 2);
        assert!(!matches!(payment, Payment::NotCharged(_)), "{payment:?}");
        assert_eq!(is_charged(&payment), exclusive, "{payment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_amount_or_currency_than_asked_for_is_unknown_and_says_so() {
    let chf = Amount::new(PRICE.minor(), "CHF".parse::<Currency>().expect("known"));
    for (approves, part) in
        [(Amount::eur(2_50), "2.50 EUR, not 12.50 EUR"), (Amount::eur(99_00), "99.00 EUR"), (chf, "not EUR")]
    {
        let mut counter = Counter::new(Profile { approves: Some(approves), ..Profile::default() });
        counter.options.exclusive = true;
        let mut terminal = counter.open().await.expect("registers");
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        assert!(why(&payment).contains(part), "{payment:?}");
        assert_eq!(counter.entry("sale").expect("journalled").approved.expect("it was heard").amount, approves);
        counter.sim.with(|s| s.profile_mut().approves = None);
        next_customer_pays(&mut counter, terminal).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_does_not_tell_its_last_transaction_closes_no_till() {
    let ways =
        [OnRepeat::Refuses(0x83), OnRepeat::Aborts(0x66), OnRepeat::Silent, OnRepeat::PrintsOnly, OnRepeat::Shows];
    for repeat in ways {
        for answers_enquiry in [true, false] {
            let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
            lose(&mut counter, APPROVAL).await;
            counter.sim.with(|s| {
                s.profile_mut().repeat = repeat;
                s.profile_mut().answers_enquiry = answers_enquiry;
                s.profile_mut().time = Some(jiff::civil::date(2026, 1, 2).at(8, 0, 0, 0));
            });
            if repeat == OnRepeat::Shows {
                // 05 01 stays unanswered; 06 20 is tried all the same, and settles.
                counter.options.exclusive = true;
            }
            let began = tokio::time::Instant::now();
            let payment = recovered(&mut counter).await;
            assert_eq!(is_charged(&payment), repeat == OnRepeat::Shows, "{repeat:?} {answers_enquiry} {payment:?}");
            assert!(began.elapsed().as_secs() < 60, "{repeat:?} {answers_enquiry}: {:?}", began.elapsed());
        }
    }
}

/// Its late end could be taken for the next payment's, so that one goes over another connection.
#[tokio::test(start_paused = true)]
async fn a_terminal_that_hangs_when_it_is_asked_takes_the_next_payment_all_the_same() {
    // Also where its clock is behind, so that no time says which approval is new.
    for time in [None, Some(jiff::civil::date(2026, 1, 1).at(8, 0, 0, 0))] {
        for repeat in [OnRepeat::Hangs, OnRepeat::Silent] {
            let mut counter = Counter::new(Profile { commit: Commit::Keeps, time, ..Profile::default() });
            lose(&mut counter, APPROVAL).await;
            counter.sim.with(|s| s.profile_mut().repeat = repeat);
            why(&recovered(&mut counter).await);
            assert_eq!(counter.stored(), 2, "both stand");
            let enough = counter.received(0x0620);
            // It is left alone from then on; what stays open is told each time.
            let mut terminal = counter.open().await.expect("registers");
            let settled = terminal.recover().await.expect("from the journal");
            assert!(settled[0].evidence.contains("not asked again"), "{settled:?}");
            assert_eq!(counter.received(0x0620), enough);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_a_terminal_keeps_stands_even_if_it_cannot_be_asked() {
    for repeat in [OnRepeat::Refuses(0x83), OnRepeat::Aborts(0x66), OnRepeat::Silent, OnRepeat::PrintsOnly] {
        let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
        counter.options.commit = Some(Commit::Keeps);
        let mut terminal = counter.open().await.expect("registers");
        // Approved and acknowledged; then nothing comes any more.
        counter.sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
        why(&pay(&mut terminal, "sale").await.expect("an outcome"));
        drop(terminal);
        counter.sim.with(|s| s.profile_mut().repeat = repeat);
        let payment = recovered(&mut counter).await;
        assert!(is_charged(&payment), "{repeat:?} {payment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_was_replaced_leaves_the_payment_unknown_and_takes_the_next() {
    let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
    counter.options.exclusive = true;
    lose(&mut counter, APPROVAL).await;
    counter.sim.with(|s| s.profile_mut().terminal_id = "60000002".into());
    let payment = recovered(&mut counter).await;
    assert!(why(&payment).contains("another terminal answers"), "{payment:?}");
}

#[tokio::test(start_paused = true)]
async fn a_field_that_no_table_knows_before_the_result_does_not_make_a_payment_unknown() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    for id in ["a", "b"] {
        // Before the answer to the question, too, so that both are read in the same way.
        counter.sim.with(|s| {
            s.misbehave(Misbehaviour::UnknownField { first: true });
            s.misbehave(Misbehaviour::UnknownField { first: true });
        });
        assert!(is_charged(&pay(&mut terminal, id).await.expect("an outcome")));
    }
    assert_eq!(counter.stored(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_belongs_to_nothing_does_not_make_a_payment_not_charged() {
    for commit in [Commit::Keeps, Commit::Reverses] {
        let mut counter = Counter::new(Profile { commit, pace: Duration::from_millis(300), ..Profile::default() });
        let mut terminal = counter.open().await.expect("registers");
        counter.sim.with(|s| s.misbehave(Misbehaviour::StrayAbort));
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        let stored = counter.stored();
        match &payment {
            Payment::Charged(_) => assert_eq!(stored, 1),
            Payment::NotCharged(_) => assert_eq!(stored, 0),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_an_abort_is_never_taken_for_the_next_commands() {
    let mut cases = 0;
    for tenth in 0..30 {
        for others in 0..8 {
            for decline in [false, true] {
                let profile =
                    Profile { on_abort: OnAbort::Refuses, pace: Duration::from_millis(300), ..Profile::default() };
                let mut counter = Counter::new(profile);
                let mut terminal = counter.open().await.expect("registers");
                counter.sim.with(|s| {
                    s.misbehave(Misbehaviour::AbortAnswerBehind { others });
                    if decline {
                        s.misbehave(Misbehaviour::Decline(0x6c));
                    }
                });
                let (abort, wanted) = watch::channel(false);
                let watch = Watch::with(mpsc::channel(Watch::KEPT).0, wanted);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(tenth * 100)).await;
                    abort.send(true).ok();
                    std::future::pending::<()>().await;
                });
                let first = terminal.pay(Request::new("first", PRICE), watch).await.expect("an outcome");
                assert_eq!(is_charged(&first), counter.stored() == 1, "{tenth} {others} {decline}: {first:?}");
                let stored = counter.stored();
                let second = Request::new("second", Amount::eur(25_00));
                match terminal.pay(second, Watch::none()).await {
                    Ok(Payment::Charged(charge)) => {
                        assert_eq!(charge.amount, Amount::eur(25_00));
                        assert_eq!(counter.stored(), stored + 1);
                    }
                    Ok(Payment::NotCharged(not)) => {
                        panic!("{tenth} {others} {decline}: nothing speaks against this payment, but {not:?}")
                    }
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.effect(), Effect::None, "{error}");
                        assert_eq!(counter.stored(), stored);
                    }
                }
                cases += 1;
            }
        }
    }
    println!("{cases} late answers to aborts");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_moves_no_money_waits_for_three_minutes() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let began = tokio::time::Instant::now();
    counter.sim.with(|s| s.misbehave(Misbehaviour::HangAfterAcknowledgement));
    let hung = pay(&mut terminal, "sale").await.expect_err("it hangs before anything moves");
    assert_eq!(hung.effect(), Effect::None);
    assert!(began.elapsed().as_secs() <= 30, "{:?}", began.elapsed());
    assert_eq!((counter.received(0x0601), counter.entry("sale")), (0, None));
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_three_times_to_abort_leaves_a_silent_terminal_soon() {
    for (presses, seconds) in [(2, 150..200), (3, 0..15)] {
        let profile = Profile { pace: Duration::from_secs(3600), on_abort: OnAbort::GoesOn, ..Profile::default() };
        let mut counter = Counter::new(Profile { pace: Duration::ZERO, ..profile });
        let mut terminal = counter.open().await.expect("registers");
        counter.sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
        counter.sim.with(|s| s.misbehave(Misbehaviour::NoAnswer { message: APPROVAL }));
        let (abort, wanted) = watch::channel(false);
        let watch = Watch::with(mpsc::channel(Watch::KEPT).0, wanted);
        tokio::spawn(async move {
            for _ in 0..presses {
                tokio::time::sleep(Duration::from_secs(1)).await;
                abort.send_replace(true);
            }
            std::future::pending::<()>().await;
        });
        let began = tokio::time::Instant::now();
        let payment = terminal.pay(Request::new("sale", PRICE), watch).await.expect("an outcome");
        why(&payment);
        assert!(seconds.contains(&began.elapsed().as_secs()), "{presses}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_is_busy_for_a_moment_is_waited_for() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::BusyFor(Duration::from_secs(3))));
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
    assert_eq!(counter.received(0x0601), 1);
    // And in recovery.
    drop(terminal);
    lose_as(&mut counter, "lost").await;
    counter.sim.with(|s| s.misbehave(Misbehaviour::BusyFor(Duration::from_secs(3))));
    let mut terminal = counter.open().await.expect("registers");
    let settled = terminal.recover().await.expect("asks");
    assert_eq!(reason(&settled[0].payment), Reason::NotFound);
    // Whoever aborts while it is busy has paid nothing, and nothing was sent.
    counter.sim.with(|s| s.misbehave(Misbehaviour::BusyFor(Duration::from_secs(60))));
    let (_abort, wanted) = watch::channel(true);
    let watch = Watch::with(mpsc::channel(Watch::KEPT).0, wanted);
    let error = terminal.pay(Request::new("left", PRICE), watch).await.expect_err("not begun");
    assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::None));
    assert_eq!(counter.entry("left"), None);
}

async fn lose_as(counter: &mut Counter, id: &str) {
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(cut_before(ACCEPTED)));
    why(&pay(&mut terminal, id).await.expect("an outcome"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_terminal_can_be_used_with_a_longer_t3() {
    let mut counter = Counter::new(Profile { acknowledges_after: Duration::from_secs(6), ..Profile::default() });
    assert_eq!(counter.open().await.expect_err("too slow").kind(), Kind::Timeout);
    counter.options.timeouts.t3 = Duration::from_secs(8);
    let mut terminal = counter.open().await.expect("registers");
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_refused_in_every_command_that_has_one() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.profile_mut().password = Some("123456".parse().expect("six digits")));
    let refused = terminal.end_of_day(Watch::none()).await.expect_err("another password");
    assert_eq!(refused.kind(), Kind::Refused);
}

#[tokio::test(start_paused = true)]
async fn the_largest_amount_is_named_where_it_is_exceeded() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let much = Request::new("sale", Amount::eur(1_000_000_000_000));
    let error = terminal.pay(much, Watch::none()).await.expect_err("too much").to_string();
    assert!(error.contains("at most 9999999999.99 EUR"), "{error}");
}

/// A terminal of another make, message by message: what it wants shown is progress, and why it
/// refuses stands in the data (`84 1E 01 7D`, as seen in the field).
#[tokio::test(start_paused = true)]
async fn display_texts_are_progress_and_a_refusal_reads_its_reason() {
    use tresen_hal::Link;
    let (near, far) = tresen_hal::link::memory::pair();
    let counter = Counter::new(Profile::default());
    tokio::spawn(async move {
        let mut heard = Vec::new();
        // Status byte 04 in the registration's completion: the day has to be closed.
        far.send(&[0x80, 0, 0, 0x06, 0x0f, 0x02, 0x19, 0x04]).await.expect("open");
        let mut payments = 0;
        while far.recv(&mut heard).await.is_ok() {
            if heard.starts_with(&[0x05, 0x01]) {
                far.send(&[0x80, 0, 0, 0x06, 0x0f, 0x01, 0x00]).await.expect("open");
            } else if heard.starts_with(&[0x06, 0x20]) {
                far.send(&[0x84, 0x83, 0]).await.expect("open");
            } else if heard.starts_with(&[0x06, 0x01]) && payments == 0 {
                payments += 1;
                far.send(&[0x80, 0, 0, 0x06, 0xe0, 0x09, 0x0a, 0xf1, 0xf0, 0xf5]).await.expect("open");
                far.send(b"Bitte").await.expect("open");
                far.send(&[0x04, 0x0f, 0x02, 0x27, 0x05, 0x06, 0x1e, 0x01, 0x05]).await.expect("open");
            } else if heard.starts_with(&[0x06, 0x01]) {
                far.send(&[0x84, 0x1e, 0x01, 0x7d]).await.expect("open");
            }
            heard.clear();
        }
    });
    let clock = std::sync::Arc::new(counter.clock.clone());
    let mut terminal =
        tresen_payment::zvt::open(Box::new(near), counter.options.clone(), counter.journal.clone(), clock)
            .await
            .expect("registers");
    let status = terminal.status().await.expect("answers");
    assert!(status.ready && status.text.contains("its day has to be closed"), "{status:?}");
    let (progress, mut told) = mpsc::channel(Watch::KEPT);
    let (_abort, abort) = watch::channel(false);
    let payment = terminal.pay(Request::new("a", PRICE), Watch::with(progress, abort)).await.expect("an outcome");
    assert_eq!(reason(&payment), Reason::Declined);
    assert_eq!(told.try_recv().expect("told"), Progress::Display("Bitte".into()));
    let payment = pay(&mut terminal, "b").await.expect("an outcome");
    match payment {
        Payment::NotCharged(not) => assert_eq!((not.reason, not.code), (Reason::Unavailable, Some(0x7d))),
        other => panic!("{other:?}"),
    }
}

/// A terminal by hand: what it says to each command.
async fn by_hand(
    counter: &Counter,
    says: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> tresen_hal::Result<zvt::Terminal> {
    use tresen_hal::Link;
    let (near, far) = tresen_hal::link::memory::pair();
    tokio::spawn(async move {
        let mut heard = Vec::new();
        while far.recv(&mut heard).await.is_ok() {
            let answers = match heard.as_slice() {
                [0x80, ..] => Vec::new(),
                [0x06, 0x00, ..] => vec![vec![0x80, 0, 0], vec![0x06, 0x0f, 0]],
                heard => says(heard),
            };
            for answer in answers {
                far.send(&answer).await.expect("open");
            }
            heard.clear();
        }
    });
    let clock = std::sync::Arc::new(counter.clock.clone());
    zvt::open(Box::new(near), counter.options.clone(), counter.journal.clone(), clock).await
}

/// `04 0F`: result 00, amount 12.50, receipt 7.
const APPROVED: [u8; 15] = [0x04, 0x0f, 0x0c, 0x27, 0, 0x04, 0, 0, 0, 0, 0x12, 0x50, 0x87, 0x00, 0x07];

#[tokio::test(start_paused = true)]
async fn a_terminal_that_calls_itself_idle_and_only_refuses_to_tell_its_last_transaction_is_paid_at() {
    let counter = Counter::new(Profile::default());
    let receipt = std::sync::atomic::AtomicU8::new(1);
    let approved = move || {
        let next = receipt.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        [&APPROVED[..14], &[next]].concat()
    };
    let opened = by_hand(&counter, move |heard| match heard {
        [0x06, 0x20, ..] => vec![vec![0x84, 0x9c, 0]],
        [0x05, 0x01, ..] => vec![vec![0x80, 0, 0, 0x06, 0x0f, 0x01, 0x00]],
        [0x06, 0x01, ..] => vec![vec![0x80, 0, 0], approved(), vec![0x06, 0x0f, 0]],
        _ => vec![],
    });
    let mut terminal = opened.await.expect("registers");
    let mut waits = Vec::new();
    for id in ["a", "b"] {
        let began = tokio::time::Instant::now();
        assert!(is_charged(&pay(&mut terminal, id).await.expect("an outcome")));
        waits.push(began.elapsed().as_secs());
    }
    let patience = counter.options.patience.as_secs();
    assert!((patience..patience + 5).contains(&waits[0]) && waits[1] < 5, "it is waited for once: {waits:?}");
}

/// Some terminals send ISO 8859-1 although nobody has agreed on that.
#[tokio::test(start_paused = true)]
async fn the_character_set_of_the_settings_counts_where_the_terminal_names_none() {
    // E4 is `Σ` in code page 437.
    for (charset, text) in [(Some(Charset::Iso8859(1)), "Händler"), (None, "HΣndler")] {
        let mut counter = Counter::new(Profile::default());
        counter.options.charset = charset;
        let line = [&[0x06, 0xd1, 0x08, 0x81][..], b"H\xe4ndler"].concat();
        let opened = by_hand(&counter, move |heard| match heard {
            [0x06, 0x20, ..] => vec![vec![0x84, 0x83, 0]],
            [0x06, 0x01, ..] => vec![vec![0x80, 0, 0], APPROVED.to_vec(), line.clone(), vec![0x06, 0x0f, 0]],
            _ => vec![],
        });
        let mut terminal = opened.await.expect("registers");
        match pay(&mut terminal, "sale").await.expect("an outcome") {
            Payment::Charged(charge) => {
                assert_eq!([charge.customer_slip, charge.merchant_slip].concat(), [text]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn results_that_differ_again_and_again_end_unknown() {
    let counter = Counter::new(Profile::default());
    let opened = by_hand(&counter, |heard| match heard {
        [0x06, 0x20, ..] => vec![vec![0x84, 0x83, 0]],
        [0x06, 0x01, ..] => {
            let result = |n: u8| [&APPROVED[..14], &[n]].concat();
            std::iter::once(vec![0x80, 0, 0]).chain((0..10_000u32).map(|n| result((n % 100) as u8))).collect()
        }
        _ => vec![],
    });
    let mut terminal = opened.await.expect("registers");
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(why(&payment).contains("different results"), "{payment:?}");
}
