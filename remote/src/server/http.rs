//! Plain HTTP: one request, one call.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::time::timeout;
use tresen::api::{FOLLOW, PATIENCE, Request};
use tresen_hal::{Error, Kind, Result};

use super::Peer;
use super::hub::Hub;
use super::socket;
use crate::session::{GATE, check};
use crate::trust::Principal;
use crate::wire::{ABORT, Abort, MESSAGE, required};

/// `GET /v1/ws`
pub(super) async fn upgrade(
    State(hub): State<Arc<Hub>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let origin = origin(&headers).map(str::to_owned);
    upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_message_size(MESSAGE)
        .max_frame_size(MESSAGE)
        .on_upgrade(move |socket| socket::serve(hub, socket, peer, origin))
}

/// `POST /v1/COMMAND`
pub(super) async fn post(
    State(hub): State<Arc<Hub>>,
    Extension(peer): Extension<Peer>,
    Path(command): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let principal = match admit(&hub, &peer, &headers).await {
        Ok(principal) => principal,
        Err(error) => return problem(turned_away(&error), &error),
    };
    let place = match hub.posts(&principal.owner()).place() {
        Ok(place) => place,
        Err(error) => return problem(StatusCode::TOO_MANY_REQUESTS, &error),
    };
    let done = run(&hub, &principal, &peer, command, &headers, body).await;
    drop(place);
    match done {
        Ok(reply) => ([(header::CONTENT_TYPE, "application/json")], String::from(reply)).into_response(),
        Err((Some(status), error)) => problem(status, &error),
        Err((None, error)) => problem(status(&error), &error),
    }
}

/// The status for somebody who is not let in.
pub(super) fn turned_away(error: &Error) -> StatusCode {
    match error.kind() {
        Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNAUTHORIZED,
    }
}

/// Who sends a request: by its certificate, or by `Authorization: Bearer TOKEN`. For further routes of the server.
///
/// # Errors
/// [`Kind::Permission`]: not let in; the answer is status 401.
pub(super) async fn admit(hub: &Hub, peer: &Peer, headers: &HeaderMap) -> Result<Principal> {
    let token = match headers.get(header::AUTHORIZATION) {
        None => None,
        Some(value) => {
            let token = value.to_str().ok().and_then(|text| text.split_once(' '));
            let token =
                token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
            let wrong = || Error::new(Kind::Permission, "expected `Authorization: Bearer TOKEN`");
            Some(token.ok_or_else(wrong)?)
        }
    };
    hub.admit(peer, token, origin(headers)).await
}

/// The reply as JSON.
async fn run(
    hub: &Arc<Hub>,
    principal: &Principal,
    peer: &Peer,
    command: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<Box<str>, (Option<StatusCode>, Error)> {
    let fault = |error: Error| (None, error);
    let body = match timeout(PATIENCE, to_bytes(body, MESSAGE)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            // The body is too long, or its sender has gone.
            let error = Error::new(Kind::Input, format!("a request is limited to {MESSAGE} bytes")).because(error);
            return Err((Some(StatusCode::PAYLOAD_TOO_LARGE), error));
        }
        Err(_) => {
            let error = Error::new(Kind::Timeout, format!("the request took longer than {} s", PATIENCE.as_secs()));
            return Err((Some(StatusCode::REQUEST_TIMEOUT), error));
        }
    };
    let with = match body.trim_ascii() {
        [] => Value::Null,
        body => serde_json::from_slice(body)
            .map_err(|error| fault(Error::new(Kind::Input, format!("the body is not JSON: {error}"))))?,
    };
    match command.as_str() {
        FOLLOW => {
            let error = Error::new(Kind::Unsupported, "`follow` needs a WebSocket");
            return Err(fault(error.hint("connect to /v1/ws")));
        }
        ABORT => {
            let Abort { key } = required(ABORT, with).map_err(fault)?;
            return Ok(hub.abort(&principal.owner(), &key).to_string().into());
        }
        command if command.starts_with(GATE) => {
            let unknown = || Error::new(Kind::Unsupported, format!("unknown command `{command}`"));
            let answer = hub.gate.command(principal, command, &with).ok_or_else(|| fault(unknown()))?;
            return answer.await.map(|answered| answered.reply.to_string().into()).map_err(fault);
        }
        _ => {}
    }
    let key = match headers.get("idempotency-key").map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) => Some(key.to_owned()),
        Some(Err(_)) => return Err(fault(Error::new(Kind::Input, "`Idempotency-Key` is not plain text"))),
    };
    let mut request = Request::new(0, command, with);
    request.key = key;
    call(hub, principal, peer, request).await.map_err(fault)
}

/// One call, and its reply as JSON.
pub(super) async fn call(hub: &Arc<Hub>, principal: &Principal, peer: &Peer, request: Request) -> Result<Box<str>> {
    let checked = check(principal, request)?;
    // The connection ends with this future.
    let done = hub.reply(hub.take(principal, peer, checked), std::future::pending()).await;
    match done {
        Some(done) => done.reply.clone(),
        None => Err(Error::new(Kind::Cancelled, "the call has ended without a reply")),
    }
}

/// An error as a response.
pub(super) fn problem(status: StatusCode, error: &Error) -> Response {
    (status, Json(error)).into_response()
}

/// The status of a failed call.
pub(super) fn status(error: &Error) -> StatusCode {
    match error.kind() {
        Kind::Input | Kind::Config | Kind::Address => StatusCode::BAD_REQUEST,
        Kind::Permission => StatusCode::FORBIDDEN,
        Kind::NotFound | Kind::Unsupported => StatusCode::NOT_FOUND,
        Kind::Busy | Kind::Operator => StatusCode::CONFLICT,
        Kind::Closed | Kind::Cancelled | Kind::Storage => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ORIGIN)?.to_str().ok()
}

/// Bytes that a connection reads at once. A thousand idle connections hold as many buffers.
const BUFFER: usize = 4 << 10;
