use std::collections::BTreeSet;
use std::path::Path;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt as _;
use tresen::api;

use super::*;

async fn get_(path: &str, known: Option<&HeaderValue>) -> Response {
    let mut request = Request::get(path);
    if let Some(known) = known {
        request = request.header(header::IF_NONE_MATCH, known);
    }
    routes().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible")
}

#[tokio::test]
async fn each_file_is_served_once_per_version() {
    for file in FILES {
        let first = get_(file.path, None).await;
        assert_eq!(first.status(), StatusCode::OK, "{}", file.path);
        assert_eq!(first.headers()[header::CONTENT_TYPE], file.kind);
        assert!(
            first.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text").contains("default-src 'self'")
        );
        let tag = first.headers()[header::ETAG].clone();
        assert_eq!(to_bytes(first.into_body(), usize::MAX).await.expect("a body"), file.body);
        let second = get_(file.path, Some(&tag)).await;
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert!(to_bytes(second.into_body(), usize::MAX).await.expect("a body").is_empty());
    }
    assert_eq!(get_("/dashboard", None).await.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(get_("/web/../Cargo.toml", None).await.status(), StatusCode::NOT_FOUND);
}

#[test]
fn what_a_page_loads_is_served_by_the_till_and_nothing_is_inline() {
    let paths: BTreeSet<_> = FILES.iter().map(|file| file.path).collect();
    for file in FILES {
        // Attributes of pages, and imports of modules.
        for (before, after) in [("src=\"", '"'), ("href=\"", '"'), (" from \"", '"')] {
            for piece in file.body.split(before).skip(1) {
                let Some((target, _)) = piece.split_once(after) else { continue };
                let local = !target.starts_with(['#', '$']) && !target.starts_with("data:");
                // The example in the module's documentation and relative imports of its own folder.
                let folder = Path::new(file.path).parent().map(|folder| folder.to_string_lossy().into_owned());
                let full = match target.strip_prefix("./") {
                    Some(name) => format!("{}/{name}", folder.unwrap_or_default().trim_end_matches('/')),
                    None => target.to_owned(),
                };
                let types = file.path.ends_with(".d.ts");
                assert!(!local || types || paths.contains(full.as_str()), "{} loads {target}", file.path);
            }
        }
        if file.path.ends_with('/') {
            assert!(!file.body.contains(" style=") && !file.body.contains(" onclick="), "{}", file.path);
            let scripts = file.body.matches("<script").count();
            assert_eq!(scripts, file.body.matches("<script type=\"module\" src=").count(), "{}", file.path);
        }
        assert!(!file.body.contains("https://") || !file.path.ends_with('/'), "{} names another host", file.path);
    }
}

/// The module sends a key with each command but these: the till refuses a changing one without.
#[test]
fn the_module_knows_which_commands_only_read() {
    let script = FILES.iter().find(|file| file.path == "/tresen.js").expect("the module").body;
    let (_, list) = script.split_once("READS = new Set([").expect("the list");
    let (list, _) = list.split_once("]);").expect("its end");
    let known: BTreeSet<_> = list.split('"').skip(1).step_by(2).collect();
    let wanted = api::commands().filter(|name| !api::command(name).expect("a command").changes);
    let wanted: BTreeSet<_> = wanted.chain([api::FOLLOW, crate::wire::ABORT]).collect();
    assert_eq!(known, wanted);
}

/// Both languages of each page have the same texts.
#[test]
fn english_and_german_have_the_same_texts() {
    for file in FILES.iter().filter(|file| file.path.ends_with("/words.js")) {
        let (english, german) = file.body.split_once("const de =").expect("two languages");
        let names = |text: &str| -> BTreeSet<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
            let names = lines.filter_map(|line| line.split_once(": "));
            names.map(|(name, _)| name.trim_matches('"').to_owned()).collect()
        };
        assert_eq!(names(english), names(german), "{}", file.path);
        assert!(names(english).len() > 20);
    }
}
