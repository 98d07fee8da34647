//! The routes by which callers get in; besides the page at `/` and static files the only ones without authentication.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tresen::api::PATIENCE;
use tresen::remote::OneTimeCode;
use tresen_hal::{Effect, Error, Kind, Result};

use super::Trust;
use super::enrolment::Ask;
use crate::server::Peer;

/// The routes that need no authentication.
pub const PUBLIC: [&str; 2] = ["/v1/enrol", "/v1/session"];

/// `GET` and `POST /v1/enrol`: a client gets a certificate (see the [module](super)). `POST /v1/session` with
/// `{"code":"K7QF-…"}`: a browser or a script gets a token, `{"token":…,"expires":…,"you":…}`. Attempts are limited: one a
/// second of each kind; a wrong one is answered with status 403, one too many with 429.
pub fn routes(trust: Arc<Trust>) -> Router {
    Router::new()
        .route("/v1/enrol", get(offer).post(enrol))
        .route("/v1/session", axum::routing::post(session))
        .with_state(trust)
}

async fn offer(State(trust): State<Arc<Trust>>) -> Response {
    Json(trust.offer()).into_response()
}

async fn enrol(State(trust): State<Arc<Trust>>, peer: Option<Extension<Peer>>, body: Body) -> Response {
    let Some(peer) = peer.filter(|peer| peer.secure) else {
        let error = Error::new(Kind::Permission, "a client enrols over TLS only");
        return problem(&error.hint("use the till's address of `wss://`"));
    };
    let body = match whole(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let done = match read::<Ask>(&body) {
        Ok(ask) => trust.enrol(ask, Some(peer.address.clone())).await,
        Err(error) => Err(error),
    };
    answer(done)
}

/// The body of `POST /v1/session`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    code: String,
}

async fn session(
    State(trust): State<Arc<Trust>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = match whole(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let begun = async {
        let Begin { code } = read(&body)?;
        let code: OneTimeCode = code.parse()?;
        let origin = match headers.get(header::ORIGIN) {
            None => None,
            Some(origin) => {
                let wrong = |_| Error::new(Kind::Input, "`Origin` is not plain text");
                Some(origin.to_str().map_err(wrong)?.to_owned())
            }
        };
        trust.begin(code, origin, peer.map(|peer| peer.address.clone())).await
    };
    answer(begun.await)
}

/// All of a body: in time, since whoever sends it need not be anybody.
async fn whole(body: Body) -> std::result::Result<Bytes, Response> {
    let (status, error) = match timeout(PATIENCE, to_bytes(body, BODY)).await {
        Ok(Ok(body)) => return Ok(body),
        // Or its sender has gone.
        Ok(Err(_)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, Error::new(Kind::Input, format!("a body is limited to {BODY} bytes")))
        }
        Err(_) => (StatusCode::REQUEST_TIMEOUT, Error::new(Kind::Timeout, "the body did not come in time")),
    };
    Err((status, Json(error.with_effect(Effect::None))).into_response())
}

/// Reads a body. The error names the field; it never quotes the body, which holds a secret.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let what = match error.inner().classify() {
            serde_json::error::Category::Data if field != "." => format!("field `{field}` is wrong or unknown"),
            serde_json::error::Category::Data => "a field is missing".to_owned(),
            _ => "the body is not JSON".to_owned(),
        };
        Error::new(Kind::Input, what)
    })
}

fn answer(done: Result<impl serde::Serialize>) -> Response {
    match done {
        Ok(done) => Json(done).into_response(),
        Err(error) => problem(&error),
    }
}

fn problem(error: &Error) -> Response {
    let status = match error.kind() {
        Kind::Input => StatusCode::BAD_REQUEST,
        Kind::Permission => StatusCode::FORBIDDEN,
        Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(error)).into_response()
}

/// Maximum length of a body, in bytes: a certificate request has one kilobyte.
const BODY: usize = 16 << 10;
