//! Tills elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tresen::hal::{Effect, Error, Kind, Result};
use tresen::{Runtime, SystemRuntime};
use tresen_remote::Client;
use tresen_remote::client::{self, Following, News, Plain};
use tresen_remote::trust::Identity;
use tresen_remote::wire::Followed;

use crate::answer::Failure;
use crate::events;

/// How to prove who connects.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Options {
    /// By a folder that `tresen join` has made.
    Identity(PathBuf),
    /// By a token, at a till on this machine.
    Token(String),
}

impl Options {
    pub(crate) fn read(options: Value) -> Result<Self, Failure> {
        // Without the value: it may contain a token.
        serde_json::from_value(options).map_err(|_| {
            Failure::invalid("`options` is wrong: expected {\"identity\":\"FOLDER\"} or {\"token\":\"…\"}")
        })
    }

    pub(crate) async fn connect(self, url: &str) -> Result<Client> {
        let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::new());
        let options = client::Options::new(runtime.clone());
        match self {
            Self::Identity(folder) => {
                let identity = runtime.run_blocking(move || Identity::open(&folder)).await??;
                Client::connect(identity.dial(url)?, options).await
            }
            Self::Token(token) => Client::connect(Plain::new(url)?, options.token(token)).await,
        }
    }
}

/// Follows; the first news is the state of the devices.
pub(crate) async fn follow(client: &Client) -> Result<(Following, Box<Followed>)> {
    let mut following = client.follow().await?;
    match following.next().await {
        Some(News::State(state)) => Ok((following, state)),
        _ => {
            let error = Error::new(Kind::Permission, "the till does not let this client follow its events");
            Err(error.with_effect(Effect::None).hint("it needs the right `watch`"))
        }
    }
}

/// News as JSON: an event, or what was missed.
pub(crate) fn event(news: News) -> Result<Value, Failure> {
    match news {
        News::Event(event) => events::json(event),
        News::Missed(missed) => Ok(json!({ "missed": missed })),
        News::State(state) => Ok(json!({ "missed": state.missed, "devices": state.snapshot.devices })),
        other => Err(Failure::panicked(format!("news of an unknown kind: {other:?}"))),
    }
}
