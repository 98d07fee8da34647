//! Which web pages may call: the origins that browsers name in their requests.
//!
//! A request with an `Origin` comes from a page: it is refused unless the page is the till's own or listed. A listed page
//! is told so as [CORS](https://fetch.spec.whatwg.org/#http-cors-protocol) has it. Chrome 142 and later ask the user whether
//! a public page may use the [local network](https://developer.chrome.com/blog/local-network-access); earlier versions asked
//! the server in the preflight (`Access-Control-Request-Private-Network`), which is answered too.
//!
//! Browsers leave `Origin` out of what a page fetches with GET from its own server, and say `Sec-Fetch-Site: same-origin`
//! ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header)), which no script can set: such a request
//! comes from the till's own page.
//!
//! A page can have a name of its own point to the till (DNS rebinding), and then counts as the till's own. So the name in
//! `Host` has to be the till's.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tresen_hal::{Error, Kind};

use super::Peer;
use super::http::problem;

/// Who may call from a browser.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    /// Pages that may call.
    pub(super) listed: Arc<[String]>,
    /// The till's names, besides addresses and `localhost`.
    pub(super) names: Arc<[String]>,
}

impl Origins {
    /// Whether `host` (of the `Host` header) is the till. Over TLS the certificate has shown it.
    fn is_host(&self, host: &str, secure: bool) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        if !secure {
            return name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        }
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok()
            || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether a page of this origin may call: `None` if it is the till's own.
    fn check(&self, origin: &str, host: &str, secure: bool) -> Result<Option<()>, ()> {
        let scheme = if secure { "https://" } else { "http://" };
        if origin.strip_prefix(scheme).is_some_and(|rest| rest.eq_ignore_ascii_case(host)) {
            return Ok(None);
        }
        self.listed.iter().any(|listed| listed == origin).then_some(Some(())).ok_or(())
    }
}

/// Checks `Host` and `Origin` of every request, and answers preflights.
pub(super) async fn guard(State(origins): State<Origins>, mut request: Request, next: Next) -> Response {
    let secure = request.extensions().get::<Peer>().is_some_and(|peer| peer.secure);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    if !origins.is_host(&host, secure) {
        let error = Error::new(Kind::Permission, "the request is for another host");
        return problem(StatusCode::MISDIRECTED_REQUEST, &error.hint("add the name under `[remote] names`"));
    }
    let origin = match request.headers().get(header::ORIGIN) {
        None => None,
        Some(origin) => {
            let checked = origin.to_str().map_err(|_| ()).and_then(|text| origins.check(text, &host, secure));
            match checked {
                Ok(None) => None,
                Ok(Some(())) => Some(origin.clone()),
                Err(()) => {
                    let error = Error::new(Kind::Permission, "pages of this origin may not call the till");
                    return problem(StatusCode::FORBIDDEN, &error.hint("add it under `[remote] origins`"));
                }
            }
        }
    };
    if let Some(own) = of_own_page(request.headers(), &host, secure) {
        request.headers_mut().insert(header::ORIGIN, own);
    }
    let private = request.headers().contains_key(REQUEST_PRIVATE);
    let mut response = match *request.method() == Method::OPTIONS {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    if let Some(origin) = origin {
        cross_origin(headers, origin, private);
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The origin of the till's own page, if the request comes from there and does not name it.
fn of_own_page(headers: &HeaderMap, host: &str, secure: bool) -> Option<HeaderValue> {
    let own = !headers.contains_key(header::ORIGIN) && headers.get(FETCH_SITE)? == "same-origin";
    let scheme = if secure { "https" } else { "http" };
    own.then(|| format!("{scheme}://{host}").parse().ok()).flatten()
}

fn cross_origin(headers: &mut HeaderMap, origin: HeaderValue, private: bool) {
    let set = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, idempotency-key"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if private {
        headers.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
    }
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const REQUEST_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let (listed, names) = (["https://kiosk.example".to_owned()], ["till-1.local".to_owned()]);
        Origins { listed: Arc::from(listed), names: Arc::from(names) }
    }

    #[test]
    fn a_page_is_the_tills_own_or_listed() {
        let origins = origins();
        assert_eq!(origins.check("https://till-1.local:7443", "till-1.local:7443", true), Ok(None));
        assert_eq!(origins.check("https://kiosk.example", "till-1.local:7443", true), Ok(Some(())));
        for other in ["http://till-1.local:7443", "https://till-1.local", "https://kiosk.example.evil", "null", ""] {
            assert_eq!(origins.check(other, "till-1.local:7443", true), Err(()), "{other}");
        }
    }

    #[test]
    fn a_name_that_only_points_to_the_till_is_not_the_till() {
        let origins = origins();
        for (host, plain, tls) in [
            ("localhost:7480", true, true),
            ("127.0.0.1", true, true),
            ("[::1]:7480", true, true),
            ("10.0.0.2:7443", false, true),
            ("till-1.local:7443", false, true),
            ("Till-1.local", false, true),
            ("evil.example:7480", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("", false, false),
        ] {
            assert_eq!((origins.is_host(host, false), origins.is_host(host, true)), (plain, tls), "{host}");
        }
    }
}
