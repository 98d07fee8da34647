use std::sync::Mutex as Locked;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tresen_hal::Effect;

use super::super::calls::QUEUE;
use super::super::task::RESTARTS;
use super::*;

/// A device scripted by a test: it opens while `there`, hangs while opening or disconnects right after it on request,
/// and ends its link on request.
#[derive(Default)]
struct Bench {
    there: std::sync::atomic::AtomicBool,
    hangs: std::sync::atomic::AtomicBool,
    flaps: std::sync::atomic::AtomicBool,
    /// Seconds for which it is made ready once its link is open; it fails then while `broken`.
    readying: std::sync::atomic::AtomicU64,
    broken: std::sync::atomic::AtomicBool,
    recording: std::sync::atomic::AtomicBool,
    opens: AtomicUsize,
    calls: AtomicUsize,
    unplug: tokio::sync::Notify,
    events: Locked<Vec<String>>,
}

struct Scripted(Arc<Bench>);

impl Driver for Scripted {
    type Event = ();
    fn event(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            if !self.0.flaps.load(SeqCst) {
                self.0.unplug.notified().await;
            }
            Err(Error::new(Kind::Closed, "unplugged"))
        })
    }
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

struct Log(Arc<Bench>);

impl Hooks<Scripted> for Log {
    const OPENED_WITHIN: Duration = Duration::from_secs(200);
    fn opened<'a>(&'a self, _: &'a mut Scripted, address: &'a str) -> BoxFuture<'a, Result<Option<Duration>>> {
        self.0.events.lock().expect("lock").push(format!("open {address}"));
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(self.0.readying.load(SeqCst))).await;
            match self.0.broken.load(SeqCst) {
                true => Err(Error::new(Kind::Refused, "it is broken")),
                false => Ok(None),
            }
        })
    }
    fn connected(&self, _: &mut Scripted, _: &str) {}
    fn event(&self, (): ()) {}
    fn lost(&self, reason: LossReason<'_>) {
        let what = match reason {
            LossReason::Lost(error) => format!("lost {}", error.what()),
            LossReason::Ended(why) => format!("ended {why}"),
            LossReason::Faulted(why) => format!("faulted {why}"),
            LossReason::Closed => return,
        };
        self.0.events.lock().expect("lock").push(what);
    }
}

fn start(there: bool) -> (Arc<Bench>, Owned<Scripted>) {
    start_as(there, |_| {})
}

fn start_as(there: bool, set: impl FnOnce(&Bench)) -> (Arc<Bench>, Owned<Scripted>) {
    let bench = Arc::new(Bench::default());
    bench.there.store(there, SeqCst);
    set(&bench);
    let opener: Opener<Scripted> = {
        let bench = bench.clone();
        Arc::new(move || {
            let bench = bench.clone();
            Box::pin(async move {
                bench.opens.fetch_add(1, SeqCst);
                if bench.hangs.load(SeqCst) {
                    tokio::time::sleep(Duration::from_secs(180)).await;
                }
                let recording = bench.recording.load(SeqCst);
                match bench.there.load(SeqCst) {
                    true => Ok(Opened { driver: Box::new(Scripted(bench)), address: "here".to_owned(), recording }),
                    false => Err(Error::new(Kind::Refused, "switched off")),
                }
            })
        })
    };
    let owned = unowned("bar");
    let activity = Arc::new(Activity::new(crate::Class::Printer, "bar", "Till".into()));
    let (hooks, clock) = (Arc::new(Log(bench.clone())), Arc::new(tresen_hal::SystemClock));
    owned.start(opener, hooks, clock, Reconnect::default(), activity);
    (bench, owned)
}

const SOON: Duration = Duration::from_secs(5);

/// A normal call, with the error as returned to the caller.
async fn call<T: Send + 'static>(
    owned: &Owned<Scripted>,
    within: Duration,
    call: impl for<'a> FnOnce(&'a mut Scripted) -> BoxFuture<'a, (T, After)> + Send + 'static,
) -> Result<T> {
    Ok(owned.call(Terms::normal("a call", within), call).await?)
}

async fn phase_is(owned: &Owned<Scripted>, holds: impl FnMut(&Phase) -> bool) -> Phase {
    owned.phase().wait_for(holds).await.expect("owned").clone()
}

fn stuck(_: &mut Scripted) -> BoxFuture<'_, ((), After)> {
    Box::pin(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ((), After::Keep)
    })
}

fn hang(_: &mut Scripted) -> BoxFuture<'_, ((), After)> {
    Box::pin(std::future::pending())
}

fn cut(_: &mut Scripted) -> BoxFuture<'_, ((), After)> {
    Box::pin(async { ((), After::of(&Error::new(Kind::Io, "the cable is cut"))) })
}

/// A call that records when it was served.
fn note(
    order: &Arc<Locked<Vec<&'static str>>>,
    what: &'static str,
) -> impl for<'a> FnOnce(&'a mut Scripted) -> BoxFuture<'a, ((), After)> + Send + 'static {
    let order = order.clone();
    move |_| {
        order.lock().expect("lock").push(what);
        Box::pin(async { ((), After::Keep) })
    }
}

fn count(driver: &mut Scripted) -> BoxFuture<'_, (usize, After)> {
    Box::pin(async { (driver.0.calls.fetch_add(1, SeqCst), After::Keep) })
}

#[tokio::test(start_paused = true)]
async fn reconnects_with_backoff_and_answers_at_once_meanwhile() {
    let (bench, owned) = start(false);
    let mut phase = owned.phase();
    phase.wait_for(|p| matches!(p, Phase::Away { .. })).await.expect("owned");
    let begin = Instant::now();
    let error = call(&owned, SOON, count).await.expect_err("away");
    assert_eq!((error.effect(), error.retry()), (Effect::None, Retry::AfterReconnect));
    assert!(error.to_string().starts_with("bar: not connected: switched off"), "{error}");
    assert_eq!(begin.elapsed(), Duration::ZERO, "it does not hang");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!((6..=10).contains(&bench.opens.load(SeqCst)), "{} tries in a minute", bench.opens.load(SeqCst));
    bench.there.store(true, SeqCst);
    owned.reset().expect("owned");
    assert_eq!(call(&owned, SOON, count).await.expect("back"), 0);
}

#[tokio::test(start_paused = true)]
async fn opens_again_within_250_ms_after_an_unplug() {
    let (bench, owned) = start(true);
    call(&owned, SOON, count).await.expect("open");
    bench.unplug.notify_one();
    let mut phase = owned.phase();
    phase.wait_for(|p| matches!(p, Phase::Away { .. })).await.expect("owned");
    let begin = Instant::now();
    phase.wait_for(|p| *p == Phase::Ready).await.expect("owned");
    assert!(begin.elapsed() <= Duration::from_millis(251), "{:?}", begin.elapsed());
    assert_eq!(*bench.events.lock().expect("lock"), ["open here", "lost unplugged", "open here"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_begun_is_finished_though_its_caller_left() {
    let (bench, owned) = start(true);
    let (begun, has_begun) = oneshot::channel();
    let slow = call(&owned, Duration::from_secs(60), move |driver: &mut Scripted| {
        Box::pin(async move {
            begun.send(()).ok();
            tokio::time::sleep(Duration::from_secs(1)).await;
            driver.0.calls.fetch_add(10, SeqCst);
            ((), After::Keep)
        })
    });
    tokio::select! {
        _ = slow => panic!("it takes a second"),
        _ = has_begun => {}
    }
    assert_eq!(call(&owned, SOON, count).await.expect("after it"), 10);
    assert_eq!(bench.opens.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_nobody_waits_for_does_not_begin() {
    let (bench, owned) = start(true);
    let slow = call(&owned, Duration::from_secs(60), |_: &mut Scripted| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            ((), After::Keep)
        })
    });
    let impatient = call(&owned, Duration::from_secs(1), count);
    let (slow, impatient) = tokio::join!(slow, impatient);
    slow.expect("done");
    let error = impatient.expect_err("too late");
    assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{error}");
    assert!(error.to_string().contains("busy with a call"), "says what keeps it: {error}");
    assert_eq!(call(&owned, SOON, count).await.expect("open"), 0, "the late call did not run");
    assert_eq!(bench.calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_reported() {
    let (_bench, owned) = start(true);
    let calls: Vec<_> = (0..QUEUE + 8)
        .map(|_| {
            let owned = owned.clone();
            tokio::spawn(async move { call(&owned, Duration::from_secs(600), stuck).await })
        })
        .collect();
    let mut busy = 0;
    for call in calls {
        if let Err(error) = call.await.expect("no panic") {
            assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None));
            busy += 1;
        }
    }
    assert!((7..=8).contains(&busy), "{busy}");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_keeps_failing_is_faulted_until_reset() {
    let (bench, owned) = start(true);
    for _ in 0..=RESTARTS {
        let boom = call(&owned, SOON, |_: &mut Scripted| -> BoxFuture<'_, ((), After)> { panic!("a defect") }).await;
        assert_eq!(boom.expect_err("it panicked").effect(), Effect::Unknown);
    }
    let mut phase = owned.phase();
    phase.wait_for(|p| matches!(p, Phase::Faulted { .. })).await.expect("owned");
    let error = call(&owned, SOON, count).await.expect_err("faulted");
    assert!(error.to_string().contains("reset the device"), "{error}");
    owned.reset().expect("owned");
    assert_eq!(call(&owned, SOON, count).await.expect("started again"), 0);
    assert!(bench.events.lock().expect("lock").iter().any(|e| e.starts_with("faulted")));
}

#[tokio::test(start_paused = true)]
async fn ends_with_its_last_handle() {
    let (bench, owned) = start(true);
    call(&owned, SOON, count).await.expect("open");
    drop(owned);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&bench), 1, "the task and its driver are gone");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_plugged_in_is_opened_at_once() {
    let (bench, owned) = start(false);
    tokio::time::sleep(Duration::from_secs(120)).await;
    bench.there.store(true, SeqCst);
    let begin = Instant::now();
    owned.arrived();
    let mut phase = owned.phase();
    phase.wait_for(|p| *p == Phase::Ready).await.expect("owned");
    assert_eq!(begin.elapsed(), Duration::ZERO);
    drop((owned, phase));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&bench), 1, "its owner has ended");
}

/// Ten seconds of a device that accepts each connection and closes it: it used to be reopened four times a second,
/// forever.
#[tokio::test(start_paused = true)]
async fn a_device_that_accepts_and_hangs_up_is_tried_less_and_less_often() {
    let (bench, owned) = start_as(true, |bench| bench.flaps.store(true, SeqCst));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!((6..=10).contains(&bench.opens.load(SeqCst)), "{} connections in a minute", bench.opens.load(SeqCst));
    // Once it stays connected, the next loss is retried quickly again.
    bench.flaps.store(false, SeqCst);
    owned.reset().expect("open");
    phase_is(&owned, Phase::is_ready).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    bench.unplug.notify_one();
    phase_is(&owned, Phase::is_away).await;
    let begin = Instant::now();
    phase_is(&owned, Phase::is_ready).await;
    assert!(begin.elapsed() <= Duration::from_millis(251), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_device_that_stays_away_is_told_once_per_reason_and_its_phase_stands_still() {
    let (bench, owned) = start(false);
    let first = phase_is(&owned, Phase::is_away).await;
    let mut phase = owned.phase();
    phase.mark_unchanged();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(bench.opens.load(SeqCst) > 10);
    assert!(!phase.has_changed().expect("owned"), "{:?} became {:?}", first, *phase.borrow());
    assert_eq!(*bench.events.lock().expect("lock"), ["lost switched off"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_told_with_the_reason_of_the_driver() {
    let (bench, owned) = start(true);
    call(&owned, SOON, cut).await.expect("ends");
    let away = phase_is(&owned, Phase::is_away).await;
    assert!(away.why().is_some_and(|why| why.contains("the cable is cut")), "{away:?}");
    assert_eq!(bench.events.lock().expect("lock")[1], "lost the cable is cut");
}

/// A restarted till used to refuse payments after 5 s, while its terminal was asked about open ones.
#[tokio::test(start_paused = true)]
async fn a_call_waits_in_its_own_time_while_a_device_is_opened() {
    let (bench, owned) = start_as(true, |bench| bench.readying.store(90, SeqCst));
    let begin = Instant::now();
    let error = call(&owned, Duration::from_secs(60), count).await.expect_err("its time is over");
    assert_eq!((error.effect(), begin.elapsed().as_secs()), (Effect::None, 60), "{error}");
    assert!(error.to_string().contains("still being opened") && owned.is_opening(), "{error}");
    call(&owned, Duration::from_secs(60), count).await.expect("served once it is ready");
    assert_eq!((begin.elapsed().as_secs(), bench.calls.load(SeqCst)), (90, 1));
    assert!(!owned.is_opening());
    // Lost and open again: it is away until it is ready, and calls wait from when its link is open.
    call(&owned, SOON, cut).await.expect("ends");
    phase_is(&owned, Phase::is_away).await;
    let error = call(&owned, Duration::from_secs(60), count).await.expect_err("away");
    assert!(error.to_string().contains("the cable is cut"), "{error}");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(owned.phase().borrow().is_away() && owned.is_opening());
    call(&owned, Duration::from_secs(90), count).await.expect("served once it is ready");
    assert_eq!(bench.calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_refused_with_the_reason_if_the_device_cannot_be_opened() {
    let (bench, owned) = start_as(true, |bench| {
        bench.readying.store(30, SeqCst);
        bench.broken.store(true, SeqCst);
    });
    let begin = Instant::now();
    let error = call(&owned, Duration::from_secs(900), count).await.expect_err("it is broken");
    assert_eq!((error.effect(), begin.elapsed().as_secs()), (Effect::None, 30), "{error}");
    assert!(error.to_string().contains("it is broken"), "{error}");
    let error = call(&owned, Duration::from_secs(900), count).await.expect_err("away");
    assert!(error.to_string().contains("it is broken") && begin.elapsed().as_secs() == 30, "{error}");
    assert_eq!(bench.calls.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_can_be_withdrawn_and_one_that_has_begun_cannot() {
    let (bench, owned) = start_as(true, |bench| bench.readying.store(30, SeqCst));
    let withdrawn = |after| async move {
        tokio::time::sleep(Duration::from_secs(after)).await;
        Error::new(Kind::Cancelled, "not wanted any more")
    };
    let begin = Instant::now();
    let terms = Terms::normal("a call", Duration::from_secs(900));
    let error = Error::from(owned.call_unless(terms, withdrawn(10), count).await.expect_err("withdrawn"));
    assert_eq!((error.kind(), error.effect(), begin.elapsed().as_secs()), (Kind::Cancelled, Effect::None, 10));
    phase_is(&owned, Phase::is_ready).await;
    let slow: for<'a> fn(&'a mut Scripted) -> BoxFuture<'a, (usize, After)> = |driver| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            (driver.0.calls.fetch_add(1, SeqCst), After::Keep)
        })
    };
    owned.call_unless(terms, withdrawn(10), slow).await.expect("it had begun");
    assert_eq!(bench.calls.load(SeqCst), 1);
}

/// A terminal that acknowledges and then hangs used to block each caller for three minutes.
#[tokio::test(start_paused = true)]
async fn a_call_does_not_wait_for_a_device_that_is_away() {
    let (bench, owned) = start_as(true, |bench| bench.hangs.store(true, SeqCst));
    bench.there.store(false, SeqCst);
    phase_is(&owned, Phase::is_away).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let begin = Instant::now();
    let error = call(&owned, Duration::from_secs(900), count).await.expect_err("away, and hanging again");
    assert_eq!((error.effect(), begin.elapsed()), (Effect::None, Duration::ZERO), "{error}");
    assert!(error.to_string().contains("switched off"), "says why: {error}");
    assert_eq!(bench.calls.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaks_off_an_opening_that_hangs() {
    let (bench, owned) = start_as(true, |bench| bench.hangs.store(true, SeqCst));
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.hangs.store(false, SeqCst);
    let begin = Instant::now();
    owned.reset().expect("open");
    phase_is(&owned, Phase::is_ready).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaks_off_a_call_that_hangs_and_its_effect_is_unknown() {
    let (bench, owned) = start(true);
    let hung = tokio::spawn({
        let owned = owned.clone();
        async move { call(&owned, Duration::from_secs(900), hang).await }
    });
    let behind = tokio::spawn({
        let owned = owned.clone();
        async move { call(&owned, Duration::from_secs(900), count).await }
    });
    tokio::time::sleep(Duration::from_secs(20)).await;
    let begin = Instant::now();
    owned.reset().expect("open");
    let error = hung.await.expect("no panic").expect_err("broken off");
    assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::Unknown), "{error}");
    let error = behind.await.expect("no panic").expect_err("refused");
    assert_eq!(error.effect(), Effect::None, "what has not begun has no effect: {error}");
    phase_is(&owned, Phase::is_ready).await;
    assert_eq!((begin.elapsed(), bench.calls.load(SeqCst)), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn an_urgent_call_goes_before_normal_ones_that_wait() {
    let (_bench, owned) = start(true);
    let order = Arc::new(Locked::new(Vec::new()));
    let busy = owned.call(Terms::normal("a job", SOON), stuck);
    let job = owned.call(Terms::normal("a job", SOON), note(&order, "job"));
    let drawer = owned.call(Terms::urgent("a drawer kick", SOON), note(&order, "drawer"));
    let (busy, job, drawer) = tokio::join!(busy, job, drawer);
    (busy.and(job).and(drawer)).expect("served");
    assert_eq!(*order.lock().expect("lock"), ["drawer", "job"]);
}

/// A recording in a configuration used to be replayed endlessly.
#[tokio::test(start_paused = true)]
async fn a_recording_is_played_once_and_again_after_a_reset() {
    let (bench, owned) = start_as(true, |bench| bench.recording.store(true, SeqCst));
    phase_is(&owned, Phase::is_ready).await;
    bench.unplug.notify_one();
    let ended = phase_is(&owned, |p| matches!(p, Phase::Ended { .. })).await;
    assert_eq!(ended.why(), Some("unplugged"));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.opens.load(SeqCst), 1);
    assert_eq!(call(&owned, SOON, count).await.expect_err("played").effect(), Effect::None);
    owned.reset().expect("open");
    phase_is(&owned, Phase::is_ready).await;
    assert_eq!(*bench.events.lock().expect("lock"), ["open here", "ended unplugged", "open here"]);
}

#[tokio::test(start_paused = true)]
async fn closing_finishes_the_running_call_and_refuses_those_that_wait() {
    let (bench, owned) = start(true);
    let running = tokio::spawn({
        let owned = owned.clone();
        async move { call(&owned, Duration::from_secs(60), stuck).await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let waiting = tokio::spawn({
        let owned = owned.clone();
        async move { call(&owned, Duration::from_secs(60), count).await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    owned.close(Instant::now() + Duration::from_secs(10)).await;
    running.await.expect("no panic").expect("finished");
    assert_eq!(waiting.await.expect("no panic").expect_err("refused").effect(), Effect::None);
    assert_eq!((phase_is(&owned, |p| *p == Phase::Closed).await, bench.calls.load(SeqCst)), (Phase::Closed, 0));
    assert_eq!(call(&owned, SOON, count).await.expect_err("closed").kind(), Kind::Cancelled);
}
