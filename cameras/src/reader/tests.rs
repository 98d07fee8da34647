//! A reader between frames that are pushed and codes that are taken, with decoders that do as they are told.

use std::sync::mpsc as std_mpsc;

use tresen_hal::{Clock, SimulatedRuntime, SystemClock, SystemRuntime};

use super::*;
use crate::decode::{Format, Hints, code_for_tests as code};
use crate::frame::{GreyView, PixelFormat};

/// A decoder that reads the first pixel as a QR code, when it is let, and tells before that it has begun.
struct Pixel {
    begun: std_mpsc::Sender<()>,
    gate: std_mpsc::Receiver<()>,
}

impl Decoder for Pixel {
    fn decode(&mut self, picture: &GreyView<'_>, _: &Hints, _: &dyn Clock) -> Result<Vec<Code>> {
        self.begun.send(()).ok();
        self.gate.recv().ok();
        match picture.row(0)[0] {
            0 => Err(Error::new(Kind::Input, "black")),
            n => Ok(vec![code(Format::Qr, &n.to_string())]),
        }
    }
}

/// A decoder that calls a function with the first pixel.
struct Call<F>(F);

impl<F: FnMut(u8) -> Vec<Code> + Send> Decoder for Call<F> {
    fn decode(&mut self, picture: &GreyView<'_>, _: &Hints, _: &dyn Clock) -> Result<Vec<Code>> {
        Ok(self.0(picture.row(0)[0]))
    }
}

fn frame(pixel: u8) -> Frame {
    Frame::new(PixelFormat::Grey8, 1, 1, vec![pixel], &SystemClock).expect("good").numbered(pixel.into())
}

fn system() -> Arc<dyn Runtime> {
    Arc::new(SystemRuntime::new())
}

/// A reader that decodes one frame for each `()` sent, with as many decoders as receivers given, and what tells that
/// one has begun.
fn gated(options: Options, gates: Vec<std_mpsc::Receiver<()>>) -> (Reader, std_mpsc::Receiver<()>) {
    let (gates, (begun, begins)) = (Mutex::new(gates), std_mpsc::channel());
    let factory: Factory =
        Arc::new(move || Box::new(Pixel { begun: begun.clone(), gate: gates.lock().expect("unbroken").remove(0) }));
    (Reader::with_decoder(options, factory, system()).expect("a thread"), begins)
}

async fn text(reader: &Reader) -> String {
    reader.next().await.expect("a code").code.text
}

#[tokio::test]
async fn the_latest_frame_wins() {
    let (gate, opens) = std_mpsc::channel();
    let (reader, _begins) = gated(Options::default(), vec![opens]);
    for n in 1..=9 {
        reader.push(frame(n));
    }
    gate.send(()).expect("open");
    gate.send(()).expect("open");
    let read = reader.next().await.expect("a code");
    assert_eq!((read.code.text.as_str(), read.sequence), ("1", 1));
    assert_eq!(text(&reader).await, "9");
    assert_eq!(reader.skipped(), 7);
}

#[tokio::test]
async fn a_bad_frame_is_an_error_and_the_next_goes_well() {
    let (gate, opens) = std_mpsc::channel();
    let (reader, _begins) = gated(Options::default(), vec![opens]);
    gate.send(()).expect("open");
    gate.send(()).expect("open");
    reader.push(frame(0));
    assert_eq!(reader.next().await.expect_err("black").kind(), Kind::Input);
    reader.push(frame(5));
    assert_eq!(text(&reader).await, "5");
}

#[tokio::test]
async fn a_decoder_that_panics_is_an_error_and_the_next_frame_goes_well() {
    let factory: Factory = Arc::new(|| {
        Box::new(Call(|pixel| {
            assert_ne!(pixel, 1, "a defect of the decoder");
            vec![code(Format::Qr, "good")]
        }))
    });
    let reader = Reader::with_decoder(Options::default(), factory, system()).expect("a thread");
    reader.push(frame(1));
    assert_eq!(reader.next().await.expect_err("a panic").kind(), Kind::Input);
    reader.push(frame(2));
    assert_eq!(text(&reader).await, "good");
}

#[tokio::test]
async fn frames_are_decoded_on_another_thread_and_that_ends_with_the_reader() {
    let (to, names) = std_mpsc::channel();
    let to = Mutex::new(Some(to));
    let factory: Factory = Arc::new(move || {
        let to = to.lock().expect("whole").take().expect("one decoder");
        Box::new(Call(move |_| {
            to.send(std::thread::current().name().map(str::to_owned)).expect("awaited");
            vec![code(Format::Qr, "q")]
        }))
    });
    let reader = Reader::with_decoder(Options::default(), factory, system()).expect("a thread");
    reader.push(frame(1));
    reader.next().await.expect("a code");
    assert_eq!(names.recv().expect("decoded").as_deref(), Some("tresen-decode"));
    drop(reader);
    // The decoder, and with it the sender, is dropped.
    assert!(names.recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_decoder_is_replaced_and_its_answer_ignored() {
    let (hang, first) = std_mpsc::channel();
    let (gate, second) = std_mpsc::channel();
    let options = Options::default();
    let stuck = options.stuck;
    let (reader, begins) = gated(options, vec![first, second]);
    reader.push(frame(1));
    begins.recv().expect("the first decoder");
    tokio::time::advance(stuck).await;
    gate.send(()).expect("open");
    reader.push(frame(2));
    // The other thread takes real time from here on.
    tokio::time::resume();
    assert_eq!(text(&reader).await, "2");
    hang.send(()).expect("it still hangs");
    gate.send(()).expect("open");
    reader.push(frame(3));
    assert_eq!(text(&reader).await, "3", "not 1");
}

#[tokio::test(start_paused = true)]
async fn not_every_hanging_decoder_is_replaced() {
    let (senders, gates): (Vec<_>, Vec<_>) = (0..=HANGING).map(|_| std_mpsc::channel()).unzip();
    let (reader, _begins) = gated(Options::default(), gates);
    reader.push(frame(1));
    let error = loop {
        // Hanging decoders take the frame that waits.
        reader.push(frame(2));
        match tokio::time::timeout(Duration::from_secs(6), reader.next()).await {
            Ok(read) => break read.expect_err("all hang"),
            Err(_) => continue,
        }
    };
    assert!(error.to_string().contains("no other is started"), "{error}");
    drop(senders);
}

#[tokio::test(start_paused = true)]
async fn fewer_frames_are_wanted_while_nothing_changes() {
    let runtime = SimulatedRuntime::new(1, "2026-01-02T08:00:00Z".parse().expect("a timestamp"));
    let factory: Factory = Arc::new(|| Box::new(Call(|_| Vec::new())));
    let reader = Reader::with_decoder(Options::default(), factory, Arc::new(runtime.clone())).expect("inline");
    let show = |left: u8, right: u8| {
        reader.push(Frame::new(PixelFormat::Grey8, 2, 1, vec![left, right], &runtime).expect("good"));
    };
    let start = Instant::now();
    let mut wanted = 0;
    while start.elapsed() < Duration::from_secs(60) {
        // A camera with 50 frames a second.
        tokio::time::sleep(Duration::from_millis(20)).await;
        reader.wants_frame().await;
        show(90, 90);
        wanted += 1;
    }
    // 2 s with 50 a second, 58 s with one every 200 ms.
    assert!((380..=392).contains(&wanted), "{wanted}");
    let waiting = Instant::now();
    reader.wants_frame().await;
    assert_eq!(waiting.elapsed(), Duration::from_millis(200));
    show(90, 200);
    reader.wants_frame().await;
    assert_eq!(waiting.elapsed(), Duration::from_millis(200), "something has come into view");
}

#[tokio::test]
async fn an_article_in_a_picture_file_is_read_once_shown() {
    for (enhanced, first) in [(false, "4006381333931"), (true, "q")] {
        let factory: Factory = Arc::new(move || {
            Box::new(Call(move |_| {
                vec![Code { enhanced, ..code(Format::Ean13, "4006381333931") }, code(Format::Qr, "q")]
            }))
        });
        let reader = Reader::with_decoder(Options::default(), factory, system()).expect("a thread");
        reader.push(frame(1).still());
        assert_eq!(text(&reader).await, first);
    }
}
