//! One target's state machine, step by step.

mod any_order;

use jiff::Timestamp;

use super::refusal::Refusal;
use super::*;
use crate::class::{Class, DeviceId};

const TTL: Duration = TIME_TO_LIVE;

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn target() -> Target {
    Target::Device(DeviceId::new(Class::Terminal, "bar"))
}

fn named(name: &str) -> Claim<'_> {
    Claim { name: Some(name), token: None }
}

fn with(name: &str, token: u64) -> Claim<'_> {
    Claim { name: Some(name), token: Some(token) }
}

fn holder(slot: &Slot) -> Option<String> {
    slot.view(&target()).map(|view| view.holder)
}

fn token(slot: &Slot, name: &str) -> u64 {
    slot.grant_of(&target(), name).expect("the holder").key.token
}

fn said(refusal: Refusal) -> String {
    refusal.into_error(&target()).to_string()
}

#[test]
fn the_second_is_told_who_has_it_and_what_to_do() {
    let mut slot = Slot::default();
    slot.acquire("anna", TTL, at(0)).expect("free");
    let error = slot.acquire("bo", TTL, at(40)).expect_err("anna has it").into_error(&target());
    assert_eq!((error.kind(), error.effect()), (tresen_hal::Kind::Busy, tresen_hal::Effect::None));
    assert_eq!(
        error.to_string(),
        "bar: leased by `anna` for 40 s, for 140 s more unless renewed; queue for it, ask its holder, or take it over \
         with a reason"
    );
    slot.queue("bo", TTL, at(40));
    let Some(Turn::Waiting { place, since, lease, .. }) = slot.turn(&target(), "bo") else { panic!("anna has it") };
    assert_eq!((place, since, lease.holder.as_str()), (1, at(40), "anna"));
}

#[test]
fn use_and_renewal_keep_it_and_silence_ends_it() {
    let mut slot = Slot::default();
    slot.acquire("anna", TTL, at(0)).expect("free");
    let used = slot.enter(named("anna"), Use::Call, TTL, at(170)).expect("hers").expect("a lease");
    // A call that takes long is use all the time.
    slot.tick(at(600));
    assert_eq!(holder(&slot).as_deref(), Some("anna"));
    slot.exit(used, at(600));
    slot.renew(named("anna"), at(700)).expect("hers");
    slot.tick(at(879));
    assert_eq!(holder(&slot).as_deref(), Some("anna"));
    assert_eq!(slot.deadline(), Some(at(880)));
    slot.tick(at(880));
    assert_eq!(holder(&slot), None);
    let error = slot.renew(with("anna", used), at(890)).expect_err("expired");
    assert_eq!(said(error), "bar: the lease ended 10 s ago: it was not renewed; lease it again");
}

#[test]
fn a_late_call_of_an_old_holder_is_refused() {
    let mut slot = Slot::default();
    slot.acquire("anna", TTL, at(0)).expect("free");
    let old = token(&slot, "anna");
    slot.take_over("bo", "her shift is over", TTL, at(10));
    assert_eq!(holder(&slot).as_deref(), Some("bo"));
    let error = slot.check(with("anna", old), Use::Call, at(12)).expect_err("late");
    assert_eq!(said(error), "bar: the lease ended 2 s ago: `bo` took it over: her shift is over; lease it again");
    assert!(slot.release(named("bo"), at(20)));
    slot.check(with("anna", old), Use::Call, at(20)).expect_err("free again, but not hers");
    slot.check(named("anna"), Use::Call, at(20)).expect("free");
    slot.acquire("anna", TTL, at(21)).expect("free");
    assert!(!slot.release(with("anna", old), at(22)), "that lease ended long ago");
    assert_eq!(holder(&slot).as_deref(), Some("anna"));
}

#[test]
fn a_running_transaction_is_not_torn_from_its_terminal() {
    let mut slot = Slot::default();
    slot.acquire("anna", TTL, at(0)).expect("free");
    let lease = slot.enter(named("anna"), Use::Transaction, TTL, at(1)).expect("hers").expect("a lease");
    slot.begin(named("anna"), "pay-1", at(1)).expect("hers");
    slot.queue("cleo", TTL, at(2));
    slot.take_changes();
    slot.take_over("bo", "the guest leaves", TTL, at(3));
    let why = End::TakenOver { by: "bo".into(), why: "the guest leaves".into() };
    let ending =
        Change::Ending { holder: "anna".into(), token: lease, why: why.clone(), running: vec!["pay-1".into()] };
    assert!(slot.take_changes().contains(&ending));
    assert_eq!(holder(&slot).as_deref(), Some("anna"));
    slot.begin(named("anna"), "pay-2", at(4)).expect_err("the next one is too late");
    slot.renew(named("anna"), at(4)).expect_err("and so is this");
    slot.ended(lease, "pay-1", at(5));
    assert_eq!(holder(&slot).as_deref(), Some("bo"), "before cleo");
    let ended = Change::Ended { holder: "anna".into(), token: lease, why };
    assert!(slot.take_changes().contains(&ended));
    slot.exit(lease, at(5));
    assert_eq!(holder(&slot).as_deref(), Some("bo"));
}

#[test]
fn a_vanished_holders_lease_ends_with_its_transaction() {
    let mut slot = Slot::default();
    slot.acquire("anna", TTL, at(0)).expect("free");
    let lease = slot.enter(named("anna"), Use::Transaction, TTL, at(1)).expect("hers").expect("a lease");
    slot.begin(named("anna"), "pay-1", at(1)).expect("hers");
    slot.exit(lease, at(10));
    slot.tick(at(190));
    let view = slot.view(&target()).expect("still running");
    assert_eq!((view.holder.as_str(), view.ending), ("anna", Some(End::Expired)));
    slot.ended(lease, "pay-1", at(300));
    assert_eq!(holder(&slot), None);
}

#[test]
fn a_transaction_is_a_lease_of_its_own_for_the_named() {
    let mut slot = Slot::default();
    let lease = slot.enter(named("anna"), Use::Transaction, TTL, at(0)).expect("free").expect("a lease");
    let error = slot.enter(named("bo"), Use::Transaction, TTL, at(7)).expect_err("anna pays");
    assert!(said(error).starts_with("bar: serving `anna` for 7 s; queue for it"));
    assert_eq!(slot.enter(Claim::default(), Use::Transaction, TTL, at(7)), Ok(None), "the nameless wait their turn");
    slot.enter(named("bo"), Use::Call, TTL, at(7)).expect("a status request waits its turn");
    assert_eq!(slot.enter(named("anna"), Use::Transaction, TTL, at(8)), Ok(Some(lease)), "and so does anna");
    slot.exit(lease, at(9));
    assert_eq!(holder(&slot).as_deref(), Some("anna"), "her second payment waits");
    slot.exit(lease, at(10));
    assert_eq!(holder(&slot), None, "there is nothing to renew");
}

#[test]
fn a_scanner_has_one_listener_until_it_stops_or_somebody_leases_it() {
    let mut slot = Slot::default();
    let anna = slot.enter(named("anna"), Use::Listen, TTL, at(0)).expect("free").expect("a lease");
    slot.enter(named("bo"), Use::Listen, TTL, at(1)).expect_err("anna listens");
    slot.enter(Claim::default(), Use::Listen, TTL, at(1)).expect_err("anna listens");
    slot.enter(named("bo"), Use::Call, TTL, at(1)).expect("anybody may make it beep");
    slot.exit(anna, at(5));
    slot.tick(at(184));
    assert_eq!(holder(&slot).as_deref(), Some("anna"), "she may call again");
    slot.tick(at(185));
    assert_eq!(holder(&slot), None);
    slot.enter(named("anna"), Use::Listen, TTL, at(200)).expect("free");
    slot.acquire("bo", TTL, at(201)).expect("leasing it is how to take over");
    slot.enter(named("anna"), Use::Listen, TTL, at(201)).expect_err("bo has leased it");
}

#[test]
fn a_stored_lease_has_at_most_its_time_to_live_after_a_restart() {
    let mut slot = Slot::default();
    slot.acquire("anna", TTL, at(10_000)).expect("free");
    slot.queue("bo", TTL, at(10_000));
    let text = serde_json::to_string(&slot).expect("serialises");
    // The wall clock was set back by hours while the till was off.
    let mut slot: Slot = serde_json::from_str(&text).expect("reads back");
    slot.restored(at(500));
    assert_eq!(slot.deadline(), Some(at(680)));
    assert!(slot.view(&target()).expect("hers").since <= at(500));
}
