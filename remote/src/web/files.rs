//! The files of `remote/web`.

/// A file as it is served.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    pub(super) body: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TYPES: &str = "application/typescript; charset=utf-8";

macro_rules! files {
    ($($path:literal $kind:ident $file:literal)*) => {
        &[$(File { path: $path, kind: $kind, body: include_str!(concat!("../../web/", $file)) }),*]
    };
}

/// All of them by their path.
pub(super) const FILES: &[File] = files! {
    "/" HTML "index.html"
    "/style.css" STYLE "style.css"
    "/view.js" SCRIPT "view.js"
    "/entrance.js" SCRIPT "entrance.js"
    "/tresen.js" SCRIPT "tresen.js"
    "/tresen.d.ts" TYPES "tresen.d.ts"
    "/commands.d.ts" TYPES "commands.d.ts"
    "/dashboard/" HTML "dashboard/index.html"
    "/dashboard/dashboard.js" SCRIPT "dashboard/dashboard.js"
    "/dashboard/dialogs.js" SCRIPT "dashboard/dialogs.js"
    "/dashboard/panels.js" SCRIPT "dashboard/panels.js"
    "/dashboard/words.js" SCRIPT "dashboard/words.js"
    "/kiosk/" HTML "kiosk/index.html"
    "/kiosk/articles.js" SCRIPT "kiosk/articles.js"
    "/kiosk/checkout.js" SCRIPT "kiosk/checkout.js"
    "/kiosk/kept.js" SCRIPT "kiosk/kept.js"
    "/kiosk/kiosk.js" SCRIPT "kiosk/kiosk.js"
    "/kiosk/question.js" SCRIPT "kiosk/question.js"
    "/kiosk/standing.js" SCRIPT "kiosk/standing.js"
    "/kiosk/views.js" SCRIPT "kiosk/views.js"
    "/kiosk/words.js" SCRIPT "kiosk/words.js"
};
