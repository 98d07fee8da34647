//! The error type of all crates: what went wrong, its effect on the world, and what to do next.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::Deserializer;
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

/// The result of everything that can fail between us and a device.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for a program to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ErrorKind"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An invalid address.
    Address,
    /// An invalid configuration.
    Config,
    /// Invalid input of the caller: text, image, amount.
    Input,
    /// The device, the build or the platform cannot do this.
    Unsupported,
    /// No such device, file or host.
    NotFound,
    /// The operating system denies access.
    Permission,
    /// Another program or user holds the device.
    Busy,
    /// The device refused the connection or the command.
    Refused,
    /// The link ended: unplugged, closed, powered off.
    Closed,
    /// No answer in time.
    Timeout,
    /// The operating system reported another fault on the link.
    Io,
    /// The device violated its protocol.
    Protocol,
    /// The device needs a person: paper, cover, jam.
    Operator,
    /// The journal or spool could not be read or written.
    Storage,
    /// Cancelled by the caller or by a shutdown.
    Cancelled,
}

/// The effect of the failed operation on the world. Failover is safe only after [`Effect::None`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ErrorEffect"))]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing happened.
    None,
    /// It is known to have happened in part.
    Partial,
    /// It may or may not have happened.
    Unknown,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ErrorRetry"))]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// At once.
    Now,
    /// When the device is connected again.
    AfterReconnect,
    /// When a person has fixed it: paper, cover, permission, cable.
    AfterOperator,
    /// Not at all; the request has to change.
    Never,
}

/// An error with its device, its effect on the world and the next step.
///
/// `{}` reads as one sentence: `kitchen: connection refused; is the printer switched on?` The cause
/// is the [`source`](std::error::Error::source), as usual; `{:#}` includes it in the sentence:
/// `kitchen: connection refused (Connection refused (os error 111)); is the printer switched on?`
///
/// It can be cloned, and serialises with its causes as text. A deserialised error prints the same; only
/// the types of its causes are lost.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: Kind,
    effect: Effect,
    retry: Retry,
    device: Option<String>,
    option: Option<String>,
    what: String,
    hint: Option<String>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error, with the default effect and retry of `kind`.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        let (effect, retry) = usual(kind);
        let (device, option, hint, cause) = (None, None, None, None);
        Self(Box::new(Inner { kind, effect, retry, device, option, what: what.into(), hint, cause }))
    }

    /// The error of a file operation on `path`. Unlike a failed device operation it has no effect on the world, and
    /// waiting does not help.
    pub fn file(path: impl AsRef<Path>, error: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let (kind, what, hint) = match error.kind() {
            K::NotFound => (Kind::NotFound, "there is no such file or folder", "check the path"),
            K::PermissionDenied => (Kind::Permission, "permission denied", "check who owns the file and its folder"),
            K::ReadOnlyFilesystem => (Kind::Permission, "the medium is read-only", "choose another folder"),
            K::StorageFull | K::QuotaExceeded => (Kind::Storage, "the disk is full", "free some space"),
            K::AlreadyExists => (Kind::Input, "the file exists already", "choose another name"),
            K::IsADirectory => (Kind::Input, "this is a folder", "name a file"),
            K::NotADirectory => (Kind::Input, "a part of the path is not a folder", "check the path"),
            K::InvalidData => (Kind::Input, "the file is not UTF-8 text", "is it the right file?"),
            K::ResourceBusy | K::WouldBlock => (Kind::Busy, "another program has the file", "close it there"),
            _ => (Kind::Storage, "the file cannot be read or written", "is the medium sound?"),
        };
        let new = Self::new(kind, what).with_effect(Effect::None).with_retry(Retry::AfterOperator);
        new.at(path.as_ref().display()).hint(hint).because(error)
    }

    /// Sets the device or file; the name given last wins.
    #[must_use]
    pub fn at(mut self, device: impl fmt::Display) -> Self {
        self.0.device = Some(device.to_string());
        self
    }

    /// What happened in the world.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// When to try again.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Sets the next step for a person, as a clause: `is the printer switched on?`
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into().into());
        self
    }

    /// Sets the address option that is at fault.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>) -> Self {
        self.0.option = Some(name.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What happened in the world.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The device or file it is about.
    pub fn device(&self) -> Option<&str> {
        self.0.device.as_deref()
    }

    /// The name of the address option that is at fault, if one is: `baud`.
    pub fn option(&self) -> Option<&str> {
        self.0.option.as_deref()
    }

    /// What happened, without device, cause and next step.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The whole sentence, without the device if that is `device`: for callers that print it themselves.
    pub fn said_of(&self, device: &str) -> String {
        let whole = self.to_string();
        match whole.strip_prefix(device).and_then(|rest| rest.strip_prefix(": ")) {
            Some(rest) => rest.to_owned(),
            None => whole,
        }
    }

    /// The next step for a person.
    pub fn next_step(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The causes as text, the nearest first. One that repeats the previous text is left out.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

fn usual(kind: Kind) -> (Effect, Retry) {
    match kind {
        Kind::Address | Kind::Config | Kind::Input | Kind::Unsupported | Kind::Cancelled => {
            (Effect::None, Retry::Never)
        }
        Kind::NotFound => (Effect::None, Retry::AfterReconnect),
        Kind::Permission | Kind::Operator => (Effect::None, Retry::AfterOperator),
        Kind::Busy | Kind::Refused => (Effect::None, Retry::Now),
        Kind::Closed | Kind::Io | Kind::Timeout => (Effect::Unknown, Retry::AfterReconnect),
        Kind::Protocol => (Effect::Unknown, Retry::Never),
        Kind::Storage => (Effect::None, Retry::AfterOperator),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if let Some(device) = &inner.device {
            write!(f, "{device}: ")?;
        }
        f.write_str(&inner.what)?;
        if f.alternate() {
            let causes = self.causes();
            if !causes.is_empty() {
                write!(f, " ({})", causes.join(": "))?;
            }
        }
        if let Some(hint) = &inner.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|c| &**c as &(dyn std::error::Error + 'static))
    }
}

/// The fields, and `message`: the whole sentence as `{:#}` prints it.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Inner { kind, effect, retry, device, option, what, hint, .. } = &*self.0;
        let mut error = serializer.serialize_struct("Error", 9)?;
        error.serialize_field("kind", kind)?;
        error.serialize_field("effect", effect)?;
        error.serialize_field("retry", retry)?;
        error.serialize_field("device", device)?;
        error.serialize_field("option", option)?;
        error.serialize_field("what", what)?;
        error.serialize_field("hint", hint)?;
        error.serialize_field("causes", &self.causes())?;
        error.serialize_field("message", &format_args!("{self:#}"))?;
        error.end()
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            kind: Kind,
            effect: Effect,
            retry: Retry,
            #[serde(default)]
            device: Option<String>,
            #[serde(default)]
            option: Option<String>,
            what: String,
            #[serde(default)]
            hint: Option<String>,
            #[serde(default)]
            causes: Vec<String>,
        }
        let Fields { kind, effect, retry, device, option, what, hint, causes } = Fields::deserialize(deserializer)?;
        let under = |below: Option<Box<Told>>, text| Some(Box::new(Told { text, below }));
        let cause = causes.into_iter().rev().fold(None, under).map(|told| {
            let told: Box<dyn std::error::Error + Send + Sync> = told;
            Arc::from(told)
        });
        Ok(Self(Box::new(Inner { kind, effect, retry, device, option, what, hint, cause })))
    }
}

/// A deserialised cause: its text.
#[derive(Debug)]
struct Told {
    text: String,
    below: Option<Box<Told>>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.below.as_deref().map(|below| below as &(dyn std::error::Error + 'static))
    }
}

/// For links. For files use [`Error::file`].
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let (kind, what) = match error.kind() {
            K::NotFound => (Kind::NotFound, "not found"),
            K::PermissionDenied => (Kind::Permission, "permission denied"),
            K::ConnectionRefused => (Kind::Refused, "connection refused"),
            K::TimedOut => (Kind::Timeout, "no answer in time"),
            K::AddrInUse | K::ResourceBusy => (Kind::Busy, "in use"),
            K::UnexpectedEof | K::BrokenPipe | K::ConnectionReset | K::ConnectionAborted | K::NotConnected => {
                (Kind::Closed, "the link was closed")
            }
            K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown => (Kind::NotFound, "host not reachable"),
            _ => return Self::new(Kind::Io, format!("the system reports: {error}")).because(error),
        };
        Self::new(kind, what).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_why_and_what_next() {
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
            .at("kitchen")
            .hint("is the printer switched on?");
        assert_eq!(error.to_string(), "kitchen: connection refused; is the printer switched on?");
        assert_eq!(
            format!("{error:#}"),
            "kitchen: connection refused (connection refused); is the printer switched on?"
        );
        assert_eq!((error.kind(), error.effect(), error.retry()), (Kind::Refused, Effect::None, Retry::Now));
    }

    #[test]
    fn a_chain_of_causes_names_each_of_them_once() {
        let below = Error::new(Kind::Io, "no paper path").because(std::io::Error::other("out of cheese"));
        let error = Error::new(Kind::Closed, "the printer is gone").because(below).at("till").hint("look at it");
        // As anyhow and similar crates print it: the error, then each source.
        let mut chain = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            chain = format!("{chain}: {cause}");
            next = cause.source();
        }
        assert_eq!(chain, "till: the printer is gone; look at it: no paper path: out of cheese");
        let io = Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        let source = std::error::Error::source(&io).expect("the original");
        assert!(source.downcast_ref::<std::io::Error>().is_some(), "the original type");
    }

    #[test]
    fn an_error_can_be_cloned_and_comes_back_from_json() {
        let error = Error::new(Kind::Address, "baud")
            .at("printer")
            .with_option("baud")
            .hint("use 9600")
            .because(Error::new(Kind::Io, "inner").because(std::io::Error::other("innermost")));
        let copy = error.clone();
        assert_eq!(format!("{copy:#}"), format!("{error:#}"));
        let json = serde_json::to_value(&error).expect("serialises");
        assert_eq!(json["message"], "printer: baud (inner: innermost); use 9600");
        let back: Error = serde_json::from_value(json).expect("deserialises");
        assert_eq!(format!("{back:#}"), format!("{error:#}"));
        assert_eq!((back.kind(), back.option(), back.causes()), (error.kind(), Some("baud"), error.causes()));
    }

    #[test]
    fn a_file_that_fails_did_nothing_to_the_world() {
        use std::io::ErrorKind as K;
        for (io, kind) in [
            (K::NotFound, Kind::NotFound),
            (K::StorageFull, Kind::Storage),
            (K::PermissionDenied, Kind::Permission),
            (K::Other, Kind::Storage),
        ] {
            let error = Error::file("/etc/till.toml", io.into());
            let facts = (error.kind(), error.effect(), error.retry(), error.device());
            assert_eq!(facts, (kind, Effect::None, Retry::AfterOperator, Some("/etc/till.toml")));
            assert!(error.next_step().is_some());
        }
    }

    #[test]
    fn a_lost_link_leaves_the_effect_unknown() {
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::Unknown));
    }
}
