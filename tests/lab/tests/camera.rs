//! Cameras: vivid and v4l2loopback through the kernel's Video4Linux, with our own frames and with its faults.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tresen::{CameraScans, Cameras, Context, Drivers};
use tresen_cameras::{Camera, Frame, PixelFormat, Reader, V4l2Camera, decode, reader, v4l2};
use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Driver, Error, Kind, Known, Retry, SystemClock, SystemRuntime};
use tresen_lab::video::{Loopback, Vivid};
use tresen_lab::{descriptors, measured, picture, run, threads, until, within};

const TEXT: &str = "https://example.org/01/04006381333931";

/// A camera that is gone or broken says so within this, by the emulated machine's clock.
const SOON: Duration = Duration::from_secs(1);

fn yuyv() -> Vec<u8> {
    picture::yuyv(TEXT)
}

fn jpeg() -> Vec<u8> {
    picture::jpeg(TEXT)
}

async fn open(address: &str) -> Result<V4l2Camera, Error> {
    let address: Address = address.parse().expect("an address");
    let LinkKind::V4l2 { path } = address.link() else { panic!("{address} is no video device") };
    let options = v4l2::Options::from_address(&address)?;
    within("opening", V4l2Camera::open(path, options, Arc::new(SystemRuntime::new()))).await
}

/// The first frame that holds these bytes: a loop begins with what was there before.
async fn shows(camera: &mut V4l2Camera, bytes: &[u8]) -> Frame {
    within("our frame", async {
        loop {
            let frame = camera.event().await.expect("a frame");
            if frame.data() == bytes {
                return frame;
            }
        }
    })
    .await
}

async fn reads(camera: &mut V4l2Camera) {
    let mut hints = decode::Hints::retail().with_budget(Duration::from_secs(2));
    hints.formats = vec![decode::Format::Qr];
    let options = reader::Options { hints, stuck: Duration::from_secs(20), ..reader::Options::default() };
    let reader = Reader::new(options, Arc::new(SystemRuntime::new())).expect("a thread");
    let read = within("the code", reader.next_of(camera)).await.expect("a code");
    assert_eq!(read.code.text, TEXT);
    assert_eq!(read.code.format, decode::Format::Qr);
}

/// The error that ends a camera, and how long after the fault it came. The owner waits for a frame meanwhile.
async fn ends(camera: &mut V4l2Camera, fault: impl FnOnce()) -> (Error, Duration) {
    let end = within("the end", async {
        loop {
            if let Err(error) = camera.event().await {
                return (error, Instant::now());
            }
        }
    });
    let fault = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let begin = Instant::now();
        fault();
        begin
    };
    let ((error, end), begin) = tokio::join!(end, fault);
    (error, end.duration_since(begin))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_yuyv_comes_through_the_loop_byte_for_byte() {
    let (vivid, frame) = (Vivid::looped(), yuyv());
    let _feed = vivid.feed(frame.clone());
    let mut camera = open("camera+v4l2:///dev/video0?width=640&height=480&format=yuyv").await.expect("opens");
    let can = camera.capabilities();
    assert_eq!((can.size, can.format, can.live), (Some((640, 480)), Some(PixelFormat::Yuyv), Known::Yes));
    assert!(can.modes.iter().any(|m| (m.format, m.width, m.height) == (PixelFormat::Yuyv, 640, 480)), "{can:?}");
    let got = shows(&mut camera, &frame).await;
    assert_eq!((got.format(), got.width(), got.height(), got.stride()), (PixelFormat::Yuyv, 640, 480, 1280));
    reads(&mut camera).await;
    within("closing", camera.close()).await;
    assert_eq!(camera.event().await.expect_err("closed").kind(), Kind::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_yuyv_and_mjpeg_come_through_v4l2loopback_byte_for_byte() {
    let camera = Loopback::load();
    for (code, frame, format) in [(b"YUYV", yuyv(), PixelFormat::Yuyv), (b"MJPG", jpeg(), PixelFormat::Mjpeg)] {
        let feed = camera.feed(code, frame.clone());
        let mut camera = open("camera+v4l2:///dev/video10").await.expect("opens with what is fed");
        let got = shows(&mut camera, &frame).await;
        assert_eq!((got.format(), got.width(), got.height()), (format, 640, 480));
        reads(&mut camera).await;
        within("closing", camera.close()).await;
        drop(feed);
    }
}

/// As the till opens a camera: by its address alone, and what comes are scans.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_till_scans_with_it() {
    let _feed = Loopback::load().feed(b"MJPG", jpeg());
    let address = "camera+v4l2:///dev/video10?format=mjpeg".parse().expect("an address");
    let (drivers, context) = (Drivers::standard(), Context::new("counter"));
    let camera = within("opening", drivers.open::<Cameras>(&address, context)).await.expect("opens");
    let options = reader::Options::from_address(&address).expect("good options");
    let runtime = Arc::new(SystemRuntime::new());
    let mut camera = CameraScans::new(camera, options, "counter", runtime).expect("a thread");
    let scan = within("the scan", camera.event()).await.expect("a scan");
    assert_eq!((scan.text.as_str(), scan.device.as_str()), (TEXT, "counter"));
    within("closing", camera.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_stops_is_a_timeout_and_none_is_no_camera() {
    let loopback = Loopback::load();
    let error = open("camera+v4l2:///dev/video10").await.expect_err("nothing is fed");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("`Lab` delivers no pictures here"), "{error}");
    let feed = loopback.feed(b"YUYV", yuyv());
    let mut camera = open("camera+v4l2:///dev/video10").await.expect("opens");
    shows(&mut camera, &yuyv()).await;
    let (error, took) = ends(&mut camera, || drop(feed)).await;
    assert_eq!((error.kind(), error.device()), (Kind::Timeout, Some("camera+v4l2:///dev/video10")), "{error}");
    assert!((4..8).contains(&took.as_secs()), "{took:?}");
    within("closing", camera.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_camera_gives_what_the_options_ask_for() {
    let _vivid = Vivid::webcam();
    let open_files = descriptors();
    for (options, format, size) in [
        ("?width=320&height=180", PixelFormat::Grey8, (320, 180)),
        ("?width=320&height=180&format=yuyv", PixelFormat::Yuyv, (320, 180)),
        ("?width=320&height=180&format=grey&fps=10", PixelFormat::Grey8, (320, 180)),
        ("?width=320&height=180&format=nv12", PixelFormat::Grey8, (320, 180)),
        ("?width=320&height=180&format=rgb", PixelFormat::Rgb8, (320, 180)),
        ("", PixelFormat::Grey8, (1280, 720)),
    ] {
        let mut camera = open(&format!("camera+v4l2:///dev/video0{options}")).await.expect(options);
        let first = within("a frame", camera.event()).await.expect(options);
        let second = within("a frame", camera.event()).await.expect(options);
        for frame in [&first, &second] {
            assert_eq!((frame.format(), frame.width(), frame.height()), (format, size.0, size.1), "{options}");
            assert_eq!(frame.grey(&mut Vec::new()).expect("grey").width(), size.0 as usize);
        }
        assert!(second.sequence() > first.sequence() && second.captured() > first.captured(), "{options}");
        within("closing", camera.close()).await;
    }
    for (options, kind, says) in [
        ("?format=mjpeg", Kind::Unsupported, "does not offer `mjpeg`; it offers: "),
        ("?width=333&height=222", Kind::Unsupported, "does not offer the size 333x222; it offers: 320x180, "),
    ] {
        let error = open(&format!("camera+v4l2:///dev/video0{options}")).await.expect_err(options);
        assert!(error.kind() == kind && error.to_string().contains(says), "{error}");
    }
    assert_eq!(descriptors(), open_files, "every one is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_held_by_one_and_says_who_may() {
    let _vivid = Vivid::webcam();
    let first = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("opens");
    let error = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect_err("held");
    assert_eq!((error.kind(), error.retry()), (Kind::Busy, Retry::Now), "{error}");
    drop(first);
    let error = open("camera+v4l2:///dev/video5").await.expect_err("none");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("there are: /dev/video0 (vivid"), "{error}");
    let error = open("camera+v4l2:///dev/null").await.expect_err("no camera");
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_and_starts_and_a_slow_owner_gets_the_latest() {
    let _vivid = Vivid::webcam();
    let mut camera = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("opens");
    let before = within("a frame", camera.event()).await.expect("a frame");
    within("stopping", camera.set_running(false)).await.expect("stops");
    assert!(tokio::time::timeout(Duration::from_millis(600), camera.event()).await.is_err(), "none while it stands");
    within("starting", camera.set_running(true)).await.expect("starts");
    let after = within("a frame", camera.event()).await.expect("a frame");
    assert!(after.sequence() > before.sequence());

    // The driver fills its four buffers in a fraction of this and then has no room: without care the
    // next frame would be as old as the pause is long.
    // An owner who left in the middle of a wait has not let the camera fall silent either.
    let after =
        tokio::time::timeout(Duration::ZERO, camera.event()).await.map_or(after, |frame| frame.expect("a frame"));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let late = within("a frame", camera.event()).await.expect("a frame");
    assert!(
        late.sequence() > after.sequence() + 8,
        "{} after {}: not one of the four",
        late.sequence(),
        after.sequence()
    );
    let age = tresen_hal::Clock::now(&SystemClock).duration_since(late.captured());
    measured(&format!("camera: age of the first frame after a pause of 6 s: {} ms", age.as_millis()));
    assert!(age < Duration::from_millis(700), "{age:?}");
    within("closing", camera.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_start_says_so() {
    let vivid = Vivid::webcam();
    let open_files = descriptors();
    for (fault, says) in [
        ("Inject VIDIOC_REQBUFS Error", "refused reserving its buffers"),
        ("Inject VIDIOC_STREAMON Error", "refused starting the stream"),
    ] {
        vivid.set(fault, 1);
        let begin = Instant::now();
        let error = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect_err(fault);
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(begin.elapsed() < 3 * SOON, "{:?}", begin.elapsed());
    }
    assert_eq!(descriptors(), open_files, "nothing is left open");
    let mut camera = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("the next time goes well");
    within("a frame", camera.event()).await.expect("a frame");
    within("stopping", camera.set_running(false)).await.expect("stops");
    vivid.set("Inject VIDIOC_STREAMON Error", 1);
    let error = within("starting", camera.set_running(true)).await.expect_err("it cannot");
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    within("a frame", camera.event()).await.expect("tried again, it can");
    within("closing", camera.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_frames_are_passed_over_and_counted() {
    let vivid = Vivid::webcam();
    let mut camera = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("opens");
    within("a frame", camera.event()).await.expect("a frame");
    assert_eq!(camera.damaged(), 0);
    vivid.set("Inject V4L2_BUF_FLAG_ERROR", 1);
    within("damage", async {
        while camera.damaged() == 0 {
            camera.event().await.expect("the good ones still come");
        }
    })
    .await;
    within("a frame", camera.event()).await.expect("a frame");
    vivid.set("Percentage of Dropped Buffers", 50);
    let first = within("a frame", camera.event()).await.expect("a frame");
    for _ in 0..10 {
        within("a frame", camera.event()).await.expect("a frame");
    }
    let last = within("a frame", camera.event()).await.expect("a frame");
    assert!(last.sequence() - first.sequence() > 11, "gaps show: {} to {}", first.sequence(), last.sequence());
    within("closing", camera.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_is_an_error_in_time() {
    let vivid = Vivid::webcam();
    let mut camera = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("opens");
    within("a frame", camera.event()).await.expect("a frame");
    let (error, took) = ends(&mut camera, || vivid.set("Inject Fatal Streaming Error", 1)).await;
    assert_eq!((error.kind(), error.retry()), (Kind::Io, Retry::AfterReconnect), "{error}");
    assert_eq!(error.device(), Some("camera+v4l2:///dev/video0"));
    measured(&format!("camera: a fatal streaming error (EIO) told after {} ms", took.as_millis()));
    assert!(took < SOON, "{took:?}");
    within("closing", camera.close()).await;
    let mut camera = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("opens anew");
    within("a frame", camera.event()).await.expect("a frame");
    within("closing", camera.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unplugged_camera_is_closed_in_time() {
    let vivid = Vivid::webcam();
    let open_files = descriptors();
    let mut camera = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("opens");
    within("a frame", camera.event()).await.expect("a frame");
    let (error, took) = ends(&mut camera, || vivid.set("Disconnect", 1)).await;
    assert_eq!((error.kind(), error.retry()), (Kind::Closed, Retry::AfterReconnect), "{error}");
    assert!(error.to_string().contains("the camera was unplugged"), "{error}");
    measured(&format!("camera: unplugged (ENODEV) told after {} ms", took.as_millis()));
    assert!(took < SOON, "{took:?}");
    let begin = Instant::now();
    within("closing", camera.close()).await;
    let error = open("camera+v4l2:///dev/video0").await.expect_err("gone");
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    assert!(begin.elapsed() < 3 * SOON, "{:?}", begin.elapsed());
    assert_eq!(descriptors(), open_files, "nothing is left open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_cameras_that_are_dropped() {
    let _vivid = Vivid::webcam();
    let (files, tasks) = (descriptors(), threads());
    for _ in 0..20 {
        let mut camera = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("opens");
        within("a frame", camera.event()).await.expect("a frame");
        drop(camera);
        until("the camera to be let go of", || descriptors() == files && threads() == tasks);
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0, "no task is left");
}

/// A driver that drops every frame wakes nobody when the camera goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_camera_that_goes_is_noticed_in_time() {
    let vivid = Vivid::webcam();
    let mut camera = open("camera+v4l2:///dev/video0?width=320&height=180").await.expect("opens");
    within("a frame", camera.event()).await.expect("a frame");
    vivid.set("Percentage of Dropped Buffers", 100);
    let silent = async { while tokio::time::timeout(Duration::from_millis(600), camera.event()).await.is_ok() {} };
    within("silence", silent).await;
    let (error, took) = ends(&mut camera, || vivid.set("Disconnect", 1)).await;
    assert_eq!(error.kind(), Kind::Closed, "{error}");
    measured(&format!("camera: unplugged while silent told after {} ms", took.as_millis()));
    assert!(took < SOON, "{took:?}");
    within("closing", camera.close()).await;
}

/// As a user who is in no group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_open_it_says_which_group() {
    let _vivid = Vivid::webcam();
    // Our group stays that of root.
    run("chmod 600 /dev/video0");
    let error = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // The rights of a thread are inherited by the one that opens.
        let nobody = rustix::thread::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("root");
        runtime.block_on(open("camera+v4l2:///dev/video0")).expect_err("not allowed")
    })
    .join()
    .expect("no panic");
    assert_eq!((error.kind(), error.retry()), (Kind::Permission, Retry::AfterOperator), "{error}");
    assert!(error.to_string().contains("sudo usermod -aG video $USER"), "{error}");
}
