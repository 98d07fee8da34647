//! Terminals that several people want: payments under leases.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tresen::lease::{End, Nature, Target, Turn};
use tresen::sale::{Line, Vat};
use tresen::{Amount, Class, Config, Effect, EventKind, Kind, Origin};

use super::common::is_charged;
use super::{SECOND, TTL, bar, ended, heard, id, journalled, open, pay, terminal};

#[tokio::test(start_paused = true)]
async fn a_second_cashier_is_told_at_once_who_pays() {
    let (_folder, till) = open().await;
    let device = terminal(&till, "bar", Duration::from_secs(10)).await;
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of(Origin::new().operator("bo")));
    let first = tokio::spawn({
        let anna = anna.clone();
        async move { pay(&anna, "bar", "a").await }
    });
    tokio::time::sleep(Duration::from_secs(7)).await;
    let asked = Instant::now();
    let error = pay(&bo, "bar", "b").await.expect_err("anna pays");
    assert_eq!((asked.elapsed(), error.kind(), error.effect()), (Duration::ZERO, Kind::Busy, Effect::None));
    assert!(error.to_string().starts_with("bar: serving `anna` for 7 s; queue for it"), "{error}");
    assert_eq!(till.store().payment(&tresen::payment::IntentId("b".into())).await.expect("readable"), None);
    let view = &till.leases().await.expect("readable")[0];
    assert_eq!((view.holder.as_str(), view.nature, view.until), ("anna", Nature::Transaction, None));
    assert_eq!(till.devices()[0].lease.as_ref(), Some(view), "and every screen can show it");
    // Those without a name wait their turn, as does anna herself.
    let (nameless, again) = tokio::join!(pay(&till, "bar", "c"), pay(&anna, "bar", "d"));
    assert!(is_charged(&nameless.expect("served")) && is_charged(&again.expect("served")));
    assert!(is_charged(&first.await.expect("no panic").expect("served")));
    assert!(is_charged(&pay(&bo, "bar", "b").await.expect("free")));
    assert_eq!(device.with(|d| d.ledger().turnover()), 4 * 5_00);
    assert_eq!(till.leases().await.expect("readable"), [], "a transaction's lease ends with it");
}

#[tokio::test(start_paused = true)]
async fn a_leased_terminal_refuses_everybody_else_until_its_holder_has_vanished() {
    let (_folder, till) = open().await;
    terminal(&till, "bar", Duration::ZERO).await;
    let mut events = till.events();
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let error = till.lease(bar()).await.expect_err("who?");
    assert!(error.kind() == Kind::Input && error.to_string().contains("on_behalf_of"), "{error}");
    let error = anna.lease(id(Class::Terminal, "bra")).await.expect_err("a typo");
    assert!(error.kind() == Kind::Config && error.to_string().contains("bar"), "{error}");

    let lease = anna.lease(&anna.terminal("bar").expect("attached")).await.expect("free");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(is_charged(&pay(&anna, "bar", "a").await.expect("hers")), "her name is enough, and renews it");
    let used = Instant::now();
    for (who, key) in [(&bo, "b"), (&till, "c")] {
        let error = pay(who, "bar", key).await.expect_err("leased");
        assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{error}");
        assert!(error.to_string().contains("leased by `anna` for 100 s, for 180 s more"), "{error}");
        let status = who.terminal("bar").expect("attached").status().await.expect_err("leased");
        assert_eq!(status.kind(), Kind::Busy, "{status}");
    }
    bo.lease(bar()).await.expect_err("leased");
    let place = bo.queue(bar()).await.expect("a place");
    assert_eq!(place.position().await.expect("known"), 1);
    // Anna is gone: bo gets it in time, and anna's late call finds it taken.
    let waiting = tokio::spawn(place.wait());
    assert_eq!(heard(&mut events, ended).await, ("anna".into(), End::Expired));
    assert!(used.elapsed() <= TTL + SECOND, "{:?}", used.elapsed());
    let granted = |kind| if let EventKind::LeaseGranted { holder, .. } = kind { Some(holder) } else { None };
    assert_eq!(heard(&mut events, granted).await, "bo");
    let new = waiting.await.expect("no panic").expect("his turn");
    assert!(new.token() > lease.token());
    let error = pay(lease.till(), "bar", "late").await.expect_err("lost");
    assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::None));
    assert!(error.to_string().contains("it was not renewed"), "{error}");
    assert!(!lease.release().await.expect("no matter"), "it does not end the lease of bo");
    assert!(is_charged(&pay(new.till(), "bar", "b").await.expect("his")));
    assert!(new.release().await.expect("his"));
    assert_eq!(till.leases().await.expect("readable"), []);
}

#[tokio::test(start_paused = true)]
async fn a_granted_lease_that_nobody_claims_passes_on_and_a_vanished_place_blocks_nobody() {
    let (_folder, till) = open().await;
    terminal(&till, "bar", Duration::ZERO).await;
    let [anna, bo, cleo, dan] = ["anna", "bo", "cleo", "dan"].map(|name| till.on_behalf_of(name));
    let lease = anna.lease(bar()).await.expect("free");
    // Bo and cleo queue by name, as a handheld does over the socket, and vanish; dan stays.
    for gone in [&bo, &cleo] {
        assert!(matches!(gone.queue_turn(&bar()).await.expect("a place"), Turn::Waiting { .. }));
    }
    let dan = tokio::spawn(dan.queue(bar()).await.expect("a place").wait());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(cleo.leave_queue(&bar()).await.expect("left"));
    assert!(lease.release().await.expect("hers"));
    let start = Instant::now();
    let mut events = till.events();
    assert_eq!(till.leases().await.expect("readable")[0].holder, "bo");
    dan.await.expect("no panic").expect("his turn");
    assert_eq!(start.elapsed(), TTL, "bo did not come for it");
    let mut left: Vec<_> = Vec::new();
    while let Some(event) = events.try_next() {
        left.extend(ended(event.kind));
    }
    assert!(left.contains(&("bo".into(), End::Expired)), "{left:?}");

    // Dropping a place leaves the queue, and gives back what it has just got.
    let place = anna.queue(bar()).await.expect("a place");
    drop(place);
    assert_eq!(till.leases().await.expect("readable")[0].waiting, []);
    let place = anna.queue(bar()).await.expect("a place");
    till.on_behalf_of("dan").release_lease(&bar()).await.expect("his");
    assert_eq!(till.leases().await.expect("readable")[0].holder, "anna");
    drop(place);
    assert_eq!(till.leases().await.expect("readable"), []);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_taken_over_during_a_payment_ends_with_it_and_the_sale_says_so() {
    let (_folder, till) = open().await;
    let device = terminal(&till, "bar", Duration::from_secs(10)).await;
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let mut sale = anna.open_sale().await.expect("opens");
    sale.add(Line::pieces("Tea", 1, Amount::eur(2_90), Vat::percent(19)).expect("fits")).await.expect("stored");
    let lease = anna.lease(bar()).await.expect("free");
    let paying = tokio::spawn({
        let counter = lease.till().terminal("bar").expect("attached");
        async move {
            let (_keep, abort) = tokio::sync::watch::channel(false);
            let paid = sale.pay_card(&counter, abort).await;
            (paid, sale, Instant::now())
        }
    });
    // A second payment of anna waits behind the first.
    let late = tokio::spawn({
        let till = lease.till().clone();
        async move {
            tokio::time::sleep(SECOND).await;
            pay(&till, "bar", "late").await
        }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut events = till.events();
    let view = bo.ask_holder(bar(), "my guest leaves").await.expect("anna has it");
    assert_eq!(view.holder, "anna");
    assert_eq!(lease.asked().await.expect("hers")[0].by, "bo");
    let wanted = |kind| if let EventKind::LeaseWanted { by, why, .. } = kind { Some((by, why)) } else { None };
    assert_eq!(heard(&mut events, wanted).await, ("bo".into(), "my guest leaves".into()));
    let error = bo.take_over(bar(), " ").await.expect_err("why?");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    let place = bo.take_over(bar(), "my guest leaves").await.expect("a place");
    assert_eq!(place.position().await.expect("known"), 1);
    let ending = till.leases().await.expect("readable").remove(0);
    let why = End::TakenOver { by: "bo".into(), why: "my guest leaves".into() };
    assert_eq!((ending.holder.as_str(), ending.ending.as_ref()), ("anna", Some(&why)));
    assert_eq!(lease.renew().await.expect_err("too late").kind(), Kind::Cancelled);

    let (got, paid) = tokio::join!(
        async {
            let lease = place.wait().await.expect("his turn");
            (lease, Instant::now())
        },
        paying
    );
    let ((new, since), (paid, sale, until)) = (got, paid.expect("no panic"));
    assert!(is_charged(&paid.expect("served")), "a running payment is not torn from its terminal");
    assert_eq!(since, until, "and bo got it when it ended");
    assert_eq!(device.with(|d| (d.received(0x0601), d.ledger().turnover())), (1, 2_90));
    let error = late.await.expect("no panic").expect_err("the next one was too late");
    assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::None));
    assert!(error.to_string().contains("`bo` took it over: my guest leaves"), "{error}");
    let tender = &sale.tenders()[0];
    let said = tender.lease_ended.as_deref().expect("it says what happened");
    assert!(said.contains("anna") && said.contains("`bo` took it over: my guest leaves"), "{said}");
    assert_eq!(journalled(&till, &tender.key).await[0].origin, Origin::new().station("bo"));
    drop(new);
    tokio::time::sleep(SECOND).await;
    assert_eq!(journalled(&till, "terminal bar").await.len(), 1, "and so does the terminal's history");
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_vanished_holder_ends_with_its_payment() {
    let (_folder, till) = open().await;
    // Each step of the customer takes longer than a lease lasts.
    const SHORT: Duration = Duration::from_secs(5);
    let device = terminal(&till, "bar", 2 * SHORT).await;
    let mut config = Config::clone(&till.config());
    config.till.lease = SHORT;
    till.reload_with(config, SECOND).await.expect("right");
    let mut events = till.events();
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    anna.lease(bar()).await.expect("free");
    let gone = tokio::time::timeout(SECOND, pay(&anna, "bar", "a")).await;
    gone.expect_err("the customer takes longer");
    let left = Instant::now();
    let waiting = tokio::spawn(bo.queue(bar()).await.expect("a place").wait());
    let ending = |kind| if let EventKind::LeaseEnding { why, .. } = kind { Some(why) } else { None };
    assert_eq!(heard(&mut events, ending).await, End::Expired);
    assert!(left.elapsed() <= SHORT + SECOND, "{:?}", left.elapsed());
    assert_eq!(device.with(|d| d.ledger().turnover()), 0, "the payment runs on");
    waiting.await.expect("no panic").expect("his turn");
    let payment = till.store().payment(&tresen::payment::IntentId("a".into())).await.expect("readable").expect("there");
    assert!(payment.outcome().is_some_and(|outcome| is_charged(&outcome)), "it had ended by then: {payment:?}");
    assert_eq!(device.with(|d| d.ledger().turnover()), 5_00);
    assert_eq!(journalled(&till, "a").await.len(), 1);
}

/// 22 handhelds share 3 terminals; some are dropped on the way.
#[tokio::test(start_paused = true)]
async fn twenty_two_handhelds_take_turns_at_three_terminals() {
    const HANDHELDS: usize = 22;
    const ROUNDS: usize = 6;
    let (_folder, till) = open().await;
    let names = ["counter", "bar", "garden"];
    let mut devices = Vec::new();
    for name in names {
        devices.push(terminal(&till, name, Duration::from_secs(4)).await);
    }
    type Grants = BTreeMap<Target, Vec<(Timestamp, String)>>;
    let grants: Arc<Mutex<Grants>> = Arc::default();
    let start = Instant::now();
    let handhelds = (0..HANDHELDS).map(|n| {
        let (till, grants) = (till.on_behalf_of(format!("handheld {n}").as_str()), grants.clone());
        tokio::spawn(async move {
            let (mut waits, mut paid) = (Vec::new(), 0);
            for round in 0..ROUNDS {
                let target = id(Class::Terminal, names[(n + round) % 3]);
                let asked = Instant::now();
                let place = till.queue(target.clone()).await.expect("a place");
                let since = place.since();
                let lease = place.wait().await.expect("its turn");
                waits.push(asked.elapsed());
                grants.lock().expect("whole").entry(target.clone()).or_default().push((since, lease.holder().into()));
                let terminal = names[(n + round) % 3];
                let payment = pay(lease.till(), terminal, &format!("{n}-{round}")).await.expect("its own");
                assert!(is_charged(&payment), "{payment:?}");
                paid += 1;
                if n % 7 == 3 && round == 2 {
                    // Out of range, with the lease.
                    return (waits, paid);
                }
                assert!(lease.release().await.expect("its own"));
            }
            (waits, paid)
        })
    });
    let (mut waits, mut paid) = (Vec::new(), 0);
    for handheld in handhelds.collect::<Vec<_>>() {
        let (waited, done) = handheld.await.expect("no panic");
        waits.extend(waited);
        paid += done;
    }
    let lasted = start.elapsed();
    let (shortest, longest) = (waits.iter().min().expect("some"), waits.iter().max().expect("some"));
    println!("{paid} payments in {lasted:?}: waited {shortest:?} at least, {longest:?} at most");
    let turnover: i64 = devices.iter().map(|d| d.with(|d| d.ledger().turnover())).sum();
    assert_eq!(turnover, paid * 5_00);
    for (target, grants) in grants.lock().expect("whole").iter() {
        assert!(grants.is_sorted_by_key(|(since, _)| *since), "{target}: {grants:?}");
    }
    // Nobody waits longer than for all others before, and for the three that vanished.
    let each = Duration::from_secs(4 * 8);
    assert!(*longest <= each * HANDHELDS as u32 + 3 * (TTL + SECOND), "{longest:?}");
    tokio::time::sleep(TTL + SECOND).await;
    assert_eq!(till.leases().await.expect("readable"), []);
}
