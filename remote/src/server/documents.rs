//! What is fetched as a document: the schema, and pictures. A picture is the reply of a command, with its rights and
//! its record.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tresen::api::{Command, Request, camera, printer};
use tresen_hal::{Error, Kind};

use super::Peer;
use super::http::{admit, call, problem, status, turned_away};
use super::hub::Hub;

/// `GET /v1/schema`: what `tresen schema` prints. It needs a caller, and no right.
pub(super) async fn schema(
    State(hub): State<Arc<Hub>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match admit(&hub, &peer, &headers).await {
        Ok(_) => ([(header::CONTENT_TYPE, "application/schema+json")], SCHEMA).into_response(),
        Err(error) => problem(turned_away(&error), &error),
    }
}

/// `GET /v1/jobs/JOB/picture.png`: the command `printer.picture`.
pub(super) async fn picture(
    State(hub): State<Arc<Hub>>,
    Extension(peer): Extension<Peer>,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Response {
    let request = Request::new(0, printer::Picture::NAME, json!({ "job": job }));
    bytes(&hub, &peer, &headers, request, "png", "image/png").await
}

/// `GET /v1/cameras/CAMERA/frame.jpg`: the command `camera.frame`.
pub(super) async fn frame(
    State(hub): State<Arc<Hub>>,
    Extension(peer): Extension<Peer>,
    Path(camera): Path<String>,
    headers: HeaderMap,
) -> Response {
    let request = Request::new(0, camera::Frame::NAME, json!({ "camera": camera }));
    bytes(&hub, &peer, &headers, request, "jpeg", "image/jpeg").await
}

/// The bytes that stand in base64 in a field of a command's reply.
async fn bytes(
    hub: &Arc<Hub>,
    peer: &Peer,
    headers: &HeaderMap,
    request: Request,
    field: &str,
    content_type: &'static str,
) -> Response {
    let principal = match admit(hub, peer, headers).await {
        Ok(principal) => principal,
        Err(error) => return problem(turned_away(&error), &error),
    };
    let _place = match hub.posts(&principal.owner()).place() {
        Ok(place) => place,
        Err(error) => return problem(StatusCode::TOO_MANY_REQUESTS, &error),
    };
    let reply = match call(hub, &principal, peer, request).await {
        Ok(reply) => reply,
        Err(error) => return problem(status(&error), &error),
    };
    let reply: Value = serde_json::from_str(&reply).unwrap_or_default();
    let bytes = reply.get(field).and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    match bytes {
        Some(bytes) => ([(header::CONTENT_TYPE, content_type)], bytes).into_response(),
        None => {
            let error = Error::new(Kind::Protocol, format!("the reply has no `{field}`"));
            problem(status(&error), &error)
        }
    }
}

/// As `tresen schema` prints it; a test of the library compares the two.
const SCHEMA: &str = include_str!("../../schema.json");
