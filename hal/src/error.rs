//! One error for every room: what went wrong, what that did to the world, and what to do now.

use std::fmt;

/// The result of everything that can fail between us and a device.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in words a program can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An address that cannot be read.
    Address,
    /// A configuration that cannot be used.
    Config,
    /// What the caller handed in cannot be used: text, image, amount.
    Input,
    /// The device, the build or the platform cannot do this.
    Unsupported,
    /// No such device, file or host.
    NotFound,
    /// The operating system does not let us.
    Permission,
    /// Someone else holds the device.
    Busy,
    /// The device is there and refused the connection or the command.
    Refused,
    /// The link ended: unplugged, closed, powered off.
    Closed,
    /// No answer in time.
    Timeout,
    /// The operating system reported another fault on the link.
    Io,
    /// The device sent something its protocol does not allow.
    Protocol,
    /// The device needs a person: paper, cover, jam.
    Operator,
    /// The journal or spool could not be read or written.
    Storage,
    /// The caller or the shutdown ended it.
    Cancelled,
}

/// What the failed operation did in the world. Failover is safe on [`Effect::None`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing happened.
    None,
    /// Something happened, and it is known to be incomplete.
    Partial,
    /// It may or may not have happened.
    Unknown,
}

/// When trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// At once.
    Now,
    /// When the device is back.
    AfterReconnect,
    /// When a person has seen to it: paper, cover, permission, cable.
    AfterOperator,
    /// Not without changing the request.
    Never,
}

/// An error that names the device, what happened in the world and the next step.
///
/// `Display` reads as one sentence: `kitchen: connection refused (…); is the printer switched on?`
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    effect: Effect,
    retry: Retry,
    device: Option<String>,
    what: String,
    hint: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error. Effect and retry start at what is usual for `kind`; set them where it differs.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        let (effect, retry) = usual(kind);
        Self(Box::new(Inner { kind, effect, retry, device: None, what: what.into(), hint: None, cause: None }))
    }

    /// The device or file it is about; an outer, better name replaces an inner one.
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

    /// When trying again makes sense.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// The next step for a person, as a clause: `is the printer switched on?`
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The error underneath.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
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

    /// When trying again makes sense.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The device or file it is about.
    pub fn device(&self) -> Option<&str> {
        self.0.device.as_deref()
    }

    /// What happened, without device, cause and next step.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The whole sentence, without `device` in front if that is what it is about: for whoever names the
    /// device anyway.
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

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(device) = &self.device {
            write!(f, "{device}: ")?;
        }
        f.write_str(&self.what)?;
        if let Some(cause) = &self.cause {
            write!(f, " ({cause})")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Inner {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|c| &**c as &(dyn std::error::Error + 'static))
    }
}

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
            _ => (Kind::Io, "input/output error"),
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
        assert_eq!(error.to_string(), "kitchen: connection refused (connection refused); is the printer switched on?");
        assert_eq!((error.kind(), error.effect(), error.retry()), (Kind::Refused, Effect::None, Retry::Now));
    }

    #[test]
    fn a_lost_link_leaves_the_effect_unknown() {
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::Unknown));
    }
}
