//! The pages that the till serves: front page, dashboard, example kiosk, and the module `tresen.js` for pages of one's own.
//!
//! They are compiled in and need nothing from the internet. They are public: what they show comes over connections that
//! are not. Scripts, styles and connections are limited to the till itself
//! ([CSP](https://www.w3.org/TR/CSP3/)). A browser asks each time whether its copy of a file is current, by its hash.

mod files;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use files::{FILES, File};

/// The routes of the pages, for [`Options::routes`](crate::server::Options::routes).
pub fn routes() -> Router {
    let mut router = Router::new();
    for file in FILES {
        let tag = tag(file.body);
        router = router.route(file.path, get(move |headers: HeaderMap| async move { serve(file, &tag, &headers) }));
    }
    for folder in ["/dashboard", "/kiosk"] {
        router = router.route(folder, get(move || async move { Redirect::permanent(&format!("{folder}/")) }));
    }
    router
}

fn serve(file: &'static File, tag: &str, headers: &HeaderMap) -> Response {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let current = known.flat_map(|tags| tags.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = match current {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => file.body.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, file.kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// The entity tag of a file: RFC 9110, section 8.8.3.
fn tag(body: &str) -> String {
    let hash = Sha256::digest(body.as_bytes());
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// Pictures of paper and cameras are made by the page itself (`blob:`); the icon is empty (`data:`).
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests;
