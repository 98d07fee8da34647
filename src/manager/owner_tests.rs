use std::sync::Mutex as Locked;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;

/// A device that a test scripts: it opens when `there`, and ends its link when told.
#[derive(Default)]
struct Bench {
    there: std::sync::atomic::AtomicBool,
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
            self.0.unplug.notified().await;
            Err(Error::new(Kind::Closed, "unplugged"))
        })
    }
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

struct Log(Arc<Bench>);

impl Hooks<Scripted> for Log {
    fn opened<'a>(&'a self, _: &'a mut Scripted, address: &'a str) -> BoxFuture<'a, Result<()>> {
        self.0.events.lock().expect("lock").push(format!("open {address}"));
        Box::pin(async { Ok(()) })
    }
    fn event(&self, (): ()) {}
    fn lost(&self, error: &Error) {
        self.0.events.lock().expect("lock").push(format!("lost {}", error.what()));
    }
    fn faulted(&self, why: &str) {
        self.0.events.lock().expect("lock").push(format!("faulted {why}"));
    }
}

fn start(there: bool) -> (Arc<Bench>, Owned<Scripted>) {
    let bench = Arc::new(Bench::default());
    bench.there.store(there, SeqCst);
    let opener: Opener<Scripted> = {
        let bench = bench.clone();
        Arc::new(move || {
            let bench = bench.clone();
            Box::pin(async move {
                bench.opens.fetch_add(1, SeqCst);
                match bench.there.load(SeqCst) {
                    true => Ok((Box::new(Scripted(bench)), "here".to_owned())),
                    false => Err(Error::new(Kind::Refused, "switched off")),
                }
            })
        })
    };
    let owned = own("bar", opener, Arc::new(Log(bench.clone())));
    (bench, owned)
}

const SOON: Duration = Duration::from_secs(5);

fn stuck(_: &mut Scripted) -> BoxFuture<'_, ((), After)> {
    Box::pin(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ((), After::Keep)
    })
}

fn count(driver: &mut Scripted) -> BoxFuture<'_, (usize, After)> {
    Box::pin(async { (driver.0.calls.fetch_add(1, SeqCst), After::Keep) })
}

#[tokio::test(start_paused = true)]
async fn reconnects_with_backoff_and_answers_at_once_meanwhile() {
    let (bench, owned) = start(false);
    let mut phase = owned.phase();
    phase.wait_for(|p| matches!(p, Phase::Away(_))).await.expect("owned");
    let begin = Instant::now();
    let error = owned.call(SOON, count).await.expect_err("away");
    assert_eq!((error.effect(), error.retry()), (Effect::None, Retry::AfterReconnect));
    assert!(error.to_string().starts_with("bar: not connected: switched off"), "{error}");
    assert_eq!(begin.elapsed(), Duration::ZERO, "it does not hang");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!((6..=10).contains(&bench.opens.load(SeqCst)), "{} tries in a minute", bench.opens.load(SeqCst));
    bench.there.store(true, SeqCst);
    owned.reset().await.expect("owned");
    assert_eq!(owned.call(SOON, count).await.expect("back"), 0);
}

#[tokio::test(start_paused = true)]
async fn opens_again_within_250_ms_after_an_unplug() {
    let (bench, owned) = start(true);
    owned.call(SOON, count).await.expect("open");
    bench.unplug.notify_one();
    let mut phase = owned.phase();
    phase.wait_for(|p| matches!(p, Phase::Away(_))).await.expect("owned");
    let begin = Instant::now();
    phase.wait_for(|p| *p == Phase::Ready).await.expect("owned");
    assert!(begin.elapsed() <= Duration::from_millis(251), "{:?}", begin.elapsed());
    assert_eq!(*bench.events.lock().expect("lock"), ["open here", "lost unplugged", "open here"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_begun_is_finished_though_its_caller_left() {
    let (bench, owned) = start(true);
    let (begun, has_begun) = oneshot::channel();
    let slow = owned.call(Duration::from_secs(60), move |driver: &mut Scripted| {
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
    assert_eq!(owned.call(SOON, count).await.expect("after it"), 10);
    assert_eq!(bench.opens.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_nobody_waits_for_does_not_begin() {
    let (bench, owned) = start(true);
    let slow = owned.call(Duration::from_secs(60), |_: &mut Scripted| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            ((), After::Keep)
        })
    });
    let impatient = owned.call(Duration::from_secs(1), count);
    let (slow, impatient) = tokio::join!(slow, impatient);
    slow.expect("done");
    assert_eq!(impatient.expect_err("too late").kind(), Kind::Timeout);
    assert_eq!(owned.call(SOON, count).await.expect("open"), 0, "the late call did not run");
    assert_eq!(bench.calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_said_so() {
    let (_bench, owned) = start(true);
    let calls: Vec<_> = (0..QUEUE + 8)
        .map(|_| {
            let owned = owned.clone();
            tokio::spawn(async move { owned.call(Duration::from_secs(600), stuck).await })
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
        let boom = owned.call(SOON, |_: &mut Scripted| -> BoxFuture<'_, ((), After)> { panic!("a defect") }).await;
        assert_eq!(boom.expect_err("it panicked").effect(), Effect::Unknown);
    }
    let mut phase = owned.phase();
    phase.wait_for(|p| matches!(p, Phase::Faulted(_))).await.expect("owned");
    let error = owned.call(SOON, count).await.expect_err("faulted");
    assert!(error.to_string().contains("reset the device"), "{error}");
    owned.reset().await.expect("owned");
    assert_eq!(owned.call(SOON, count).await.expect("started again"), 0);
    assert!(bench.events.lock().expect("lock").iter().any(|e| e.starts_with("faulted")));
}

#[tokio::test(start_paused = true)]
async fn ends_with_its_last_handle() {
    let (bench, owned) = start(true);
    owned.call(SOON, count).await.expect("open");
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
    let ring = owned.ring();
    bench.there.store(true, SeqCst);
    let begin = Instant::now();
    ring();
    let mut phase = owned.phase();
    phase.wait_for(|p| *p == Phase::Ready).await.expect("owned");
    assert_eq!(begin.elapsed(), Duration::ZERO);
    drop((owned, phase));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&bench), 1, "a bell does not keep the owner");
    ring();
}
