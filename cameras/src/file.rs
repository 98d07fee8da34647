//! A camera that is a file, or a folder of picture files shown in the order of their names.
//!
//! Address: `camera+file:///path`; [`Options::from_address`] lists its options. Without `loop`, each picture is shown
//! once, again when it changes, and new ones when they appear: a folder into which another program writes is a camera.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;
use tresen_hal::{Address, BoxFuture, Driver, Error, Kind, Known, Result, Runtime};

use crate::decode::load;
use crate::{Camera, Capabilities, Frame};

/// How a file camera plays its pictures.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Pictures a second, above 0 and up to 240.
    pub fps: f64,
    /// Whether to start over after the last picture.
    pub looping: bool,
    /// What it is called in errors; without it, its path.
    pub label: Option<String>,
}

impl Default for Options {
    /// 5 pictures a second, each once.
    fn default() -> Self {
        Self { fps: 5.0, looping: false, label: None }
    }
}

impl Options {
    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &["fps", "loop"];

    /// Options as an address gives them.
    ///
    /// | option | values | means | without it |
    /// |---|---|---|---|
    /// | `fps` | above 0, up to 240 | pictures a second | 5 |
    /// | `loop` | `true`, `false` | whether to start over after the last picture | `false` |
    ///
    /// # Errors
    /// [`Kind::Address`] names the option and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let usual = Self::default();
        let options = Self {
            fps: address.option_as("fps")?.unwrap_or(usual.fps),
            looping: address.option_as("loop")?.unwrap_or(usual.looping),
            label: Some(address.label()),
        };
        if !options.is_allowed() {
            return Err(address.refuse("fps", FPS));
        }
        Ok(options)
    }

    fn is_allowed(&self) -> bool {
        self.fps > 0.0 && self.fps <= 240.0
    }
}

/// Opens a file or folder as a camera. It must be there; a folder may be empty. Files are read on threads of
/// `runtime`, and frames take their times from it.
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::Permission`]; [`Kind::Config`] for options out of bounds.
pub async fn open(path: impl Into<PathBuf>, options: Options, runtime: Arc<dyn Runtime>) -> Result<Box<dyn Camera>> {
    Ok(Box::new(FileCamera::open(path.into(), options, runtime).await?))
}

struct FileCamera {
    path: PathBuf,
    label: String,
    looping: bool,
    runtime: Arc<dyn Runtime>,
    period: Duration,
    due: Instant,
    running: bool,
    /// Pictures left to show in this round, the next one last.
    ahead: Vec<(PathBuf, Version)>,
    /// The version of each file that was shown or found unreadable.
    known: HashMap<PathBuf, Version>,
    work: Option<oneshot::Receiver<Work>>,
    sequence: u64,
    capabilities: Capabilities,
}

/// When a file was changed, and its length.
type Version = (Option<SystemTime>, u64);

enum Work {
    Listed(Result<Vec<(PathBuf, Version)>>),
    Loaded(PathBuf, Version, Result<Frame>),
}

impl FileCamera {
    async fn open(path: PathBuf, options: Options, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let label = options.label.clone().unwrap_or_else(|| path.display().to_string());
        if !options.is_allowed() {
            return Err(Error::new(Kind::Config, format!("fps={}: {FPS}", options.fps)).at(label));
        }
        let listed = path.clone();
        let listed = runtime.run_blocking(move || list(&listed)).await?;
        listed.map_err(|e| e.at(&label).hint("name a picture file or a folder of them"))?;
        let capabilities = Capabilities { live: Known::No, fps: Some(options.fps), ..Capabilities::default() };
        Ok(Self {
            path,
            label,
            looping: options.looping,
            runtime,
            period: Duration::from_secs_f64((1.0 / options.fps).min(3600.0)),
            due: Instant::now(),
            running: true,
            ahead: Vec::new(),
            known: HashMap::new(),
            work: None,
            sequence: 0,
            capabilities,
        })
    }

    /// Starts the next listing or load on a thread that may block.
    fn begin(&mut self) -> oneshot::Receiver<Work> {
        let (done, result) = oneshot::channel();
        let Some((next, version)) = self.ahead.pop() else {
            let path = self.path.clone();
            self.runtime.offload(Box::new(move || _ = done.send(Work::Listed(list(&path)))));
            return result;
        };
        let clock = self.runtime.clone();
        self.runtime.offload(Box::new(move || {
            // It may have been listed half-written.
            let version = std::fs::metadata(&next).map_or(version, |metadata| version_of(&metadata));
            let loaded = load(&next, &*clock);
            done.send(Work::Loaded(next, version, loaded)).ok();
        }));
        result
    }

    /// Picks what to show from a listing, the next one last.
    fn select(&mut self, mut files: Vec<(PathBuf, Version)>) {
        files.sort();
        let there: HashSet<_> = files.iter().map(|(path, _)| path).collect();
        self.known.retain(|path, _| there.contains(path));
        if !self.looping {
            files.retain(|(path, version)| self.known.get(path) != Some(version));
        }
        files.reverse();
        self.ahead = files;
    }
}

impl Driver for FileCamera {
    type Event = Frame;

    fn event(&mut self) -> BoxFuture<'_, Result<Frame>> {
        Box::pin(async move {
            if !self.running {
                return std::future::pending().await;
            }
            loop {
                // Kept in `self`: a dropped future loses no picture.
                if self.work.is_none() {
                    tokio::time::sleep_until(self.due).await;
                    self.work = Some(self.begin());
                }
                let work = self.work.as_mut().expect("begun above").await;
                self.work = None;
                match work {
                    Ok(Work::Listed(files)) => {
                        let files = files.map_err(|e| e.at(&self.label))?;
                        self.select(files);
                        if self.ahead.is_empty() {
                            self.due = Instant::now() + self.period.max(Duration::from_millis(50));
                        }
                    }
                    Ok(Work::Loaded(path, version, Ok(frame))) => {
                        self.known.insert(path, version);
                        self.due = (self.due + self.period).max(Instant::now());
                        self.sequence += 1;
                        self.capabilities.size = Some((frame.width(), frame.height()));
                        self.capabilities.format = Some(frame.format());
                        self.capabilities.colour = frame.format().has_colour();
                        return Ok(frame.numbered(self.sequence).still());
                    }
                    Ok(Work::Loaded(path, version, Err(error))) => {
                        tracing::warn!(%error, "skipped a picture");
                        // It uses up its slot, so a loop over unreadable pictures does not spin.
                        self.due = (self.due + self.period).max(Instant::now());
                        self.known.insert(path, version);
                    }
                    Err(_) => return Err(Error::new(Kind::Io, "reading a picture failed").at(&self.label)),
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.work = None;
        Box::pin(std::future::ready(()))
    }
}

impl Camera for FileCamera {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn set_running(&mut self, running: bool) -> BoxFuture<'_, Result<()>> {
        self.running = running;
        Box::pin(std::future::ready(Ok(())))
    }
}

const FPS: &str = "allowed is above 0 and up to 240";
/// File extensions that are shown; other files in the folder are ignored.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

fn version_of(metadata: &std::fs::Metadata) -> Version {
    (metadata.modified().ok(), metadata.len())
}

/// The file itself, or the pictures in a folder.
fn list(path: &Path) -> Result<Vec<(PathBuf, Version)>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(vec![(path.to_owned(), version_of(&metadata))]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if !ENDINGS.contains(&ending.as_str()) {
            continue;
        }
        // A file that has vanished since is skipped.
        if let Ok(metadata) = std::fs::metadata(&path)
            && metadata.is_file()
        {
            files.push((path, version_of(&metadata)));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelFormat;
    use tresen_hal::SystemRuntime;

    async fn camera(path: impl Into<PathBuf>, options: Options) -> FileCamera {
        FileCamera::open(path.into(), options, Arc::new(SystemRuntime::new())).await.expect("opens")
    }

    fn save(folder: &Path, name: &str, grey: u8) {
        save_sized(folder, name, grey, 8);
    }

    /// Written beside and moved into place, as a program that feeds a folder does.
    fn save_sized(folder: &Path, name: &str, grey: u8, width: u32) {
        let beside = folder.join("part");
        let mut bytes = Vec::new();
        let written = if name.ends_with("webp") {
            let pixels = vec![grey; (width * 4) as usize];
            image_webp::WebPEncoder::new(&mut bytes)
                .encode(&pixels, width, 4, image_webp::ColorType::L8)
                .map_err(|e| e.to_string())
        } else {
            let header = png::Encoder::new(&mut bytes, width, 4).write_header();
            header
                .and_then(|mut writer| writer.write_image_data(&vec![grey; (width * 4) as usize]))
                .map_err(|e| e.to_string())
        };
        written.and_then(|()| std::fs::write(&beside, bytes).map_err(|e| e.to_string())).expect("saved");
        std::fs::rename(beside, folder.join(name)).expect("moved");
    }

    async fn shows(camera: &mut FileCamera) -> u8 {
        let frame = camera.event().await.expect("a frame");
        frame.grey(&mut Vec::new()).expect("grey").row(0)[0]
    }

    async fn shows_nothing(camera: &mut FileCamera) {
        tokio::time::timeout(Duration::from_secs(3), camera.event()).await.expect_err("nothing new");
    }

    #[tokio::test(start_paused = true)]
    async fn shows_a_folder_in_order_at_its_pace() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, grey) in [("b.png", 2), ("a.PNG", 1), ("c.webp", 3)] {
            save(folder.path(), name, grey);
        }
        std::fs::write(folder.path().join("readme.txt"), "no picture").expect("written");
        let address = format!("camera+file://{}?fps=4&loop=true", folder.path().display());
        let options = Options::from_address(&address.parse().expect("an address")).expect("good");
        let mut camera = camera(folder.path(), options).await;
        assert_eq!((camera.capabilities().size, camera.capabilities().fps), (None, Some(4.0)));
        let start = Instant::now();
        let mut got = Vec::new();
        for _ in 0..7 {
            got.push(shows(&mut camera).await);
        }
        assert_eq!(got, [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(start.elapsed(), Duration::from_millis(6 * 250));
        let told = serde_json::to_value(camera.capabilities()).expect("it is serialisable");
        assert_eq!((&told["live"], &told["size"]), (&"no".into(), &serde_json::json!([8, 4])), "{told}");
        assert_eq!(camera.capabilities().format, Some(PixelFormat::Grey8));
        assert_eq!(camera.event().await.expect("a frame").sequence(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn shows_each_once_and_what_appears() {
        let folder = tempfile::tempdir().expect("a folder");
        save(folder.path(), "b.png", 2);
        let mut camera = camera(folder.path(), Options::default()).await;
        assert_eq!(shows(&mut camera).await, 2);
        shows_nothing(&mut camera).await;
        save(folder.path(), "a.png", 1);
        assert_eq!(shows(&mut camera).await, 1, "new, though it sorts before what was shown");
        save_sized(folder.path(), "b.png", 9, 64);
        assert_eq!(shows(&mut camera).await, 9, "changed");
        shows_nothing(&mut camera).await;
    }

    #[tokio::test(start_paused = true)]
    async fn passes_over_what_it_cannot_read() {
        let folder = tempfile::tempdir().expect("a folder");
        save(folder.path(), "a.png", 1);
        std::fs::write(folder.path().join("b.png"), "damaged").expect("written");
        save(folder.path(), "c.png", 3);
        let mut camera = camera(folder.path(), Options::default()).await;
        assert_eq!((shows(&mut camera).await, shows(&mut camera).await), (1, 3));
        std::fs::remove_file(folder.path().join("b.png")).expect("removed");
        save(folder.path(), "b.png", 2);
        assert_eq!(shows(&mut camera).await, 2, "repaired");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_loses_no_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        for grey in 0..5 {
            save(folder.path(), &format!("{grey}.png"), grey);
        }
        let mut camera = camera(folder.path(), Options { fps: 10.0, ..Options::default() }).await;
        let mut got = Vec::new();
        while got.len() < 5 {
            if let Ok(frame) = tokio::time::timeout(Duration::from_millis(7), camera.event()).await {
                got.push(frame.expect("a frame").grey(&mut Vec::new()).expect("grey").row(0)[0]);
            }
        }
        assert_eq!(got, [0, 1, 2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn stops_and_starts() {
        let folder = tempfile::tempdir().expect("a folder");
        save(folder.path(), "a.png", 1);
        let mut camera = camera(folder.path().join("a.png"), Options::default()).await;
        camera.set_running(false).await.expect("stops");
        shows_nothing(&mut camera).await;
        camera.set_running(true).await.expect("starts");
        assert_eq!(shows(&mut camera).await, 1);
    }

    #[tokio::test]
    async fn says_what_cannot_be_opened() {
        let open = async |options| open("/no/such/folder", options, Arc::new(SystemRuntime::new())).await.err();
        let error = open(Options::default()).await.expect("missing");
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().starts_with("/no/such/folder: "), "{error}");
        let error = open(Options { fps: -1.0, ..Options::default() }).await.expect("out of bounds");
        assert_eq!(error.kind(), Kind::Config);
        for address in ["camera+file:///tmp?fps=0", "camera+file:///tmp?fps=often"] {
            let error = Options::from_address(&address.parse().expect(address)).expect_err(address);
            assert_eq!((error.kind(), error.device()), (Kind::Address, Some("camera+file:///tmp")), "{error}");
        }
    }
}
